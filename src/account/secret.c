/* Hashes of secrets, by libsodium. A node's secret has 128 random bits, so it needs no
 * slow hash; it is looked at with every report. */
#include "account/nodes.h"

#include <sodium.h>
#include <string.h>

void node_hash_secret(const char *name, const char *secret, size_t len,
	uint8_t ret_hash[NODE_HASH_BYTES])
{
	crypto_generichash_state state;

	/* None of these can fail with these lengths. */
	(void)crypto_generichash_init(&state, NULL, 0, NODE_HASH_BYTES);
	(void)crypto_generichash_update(
		&state, (const unsigned char *)name, strlen(name) + 1);
	(void)crypto_generichash_update(&state, (const unsigned char *)secret, len);
	(void)crypto_generichash_final(&state, ret_hash, NODE_HASH_BYTES);
}

bool node_knows_hash(
	const struct node *node, const uint8_t hash[NODE_HASH_BYTES], uint64_t now_ms)
{
	const struct node_kept *kept = &node->kept;
	bool is_new = sodium_memcmp(hash, kept->secret, NODE_HASH_BYTES) == 0;
	bool is_old = sodium_memcmp(hash, kept->old_secret, NODE_HASH_BYTES) == 0;

	return kept->has_secret && kept->deleted_ms == 0 &&
		(is_new || (is_old && now_ms < kept->old_until_ms));
}
