#include "http/hush.h"
#include "base/hash.h"

#include <string.h>

/* 64 bits, so that two kinds are hardly ever one. */
static void make_key(
	int code, const char *peer, const char *node, unsigned ret_key[static 2])
{
	unsigned parts[3] = {(unsigned)-code, hash_bytes(peer, strlen(peer)),
		hash_bytes(node, strlen(node))};

	ret_key[0] = hash_bytes(parts, sizeof(parts));
	parts[0] = ~parts[0];
	ret_key[1] = hash_bytes(parts, sizeof(parts));
}

struct hushed *hush_find(
	struct hush *hush, int code, const char *peer, const char *node, uint64_t now_ms)
{
	struct hushed *oldest = &hush->kinds[0];
	unsigned key[2];

	make_key(code, peer, node, key);
	for (unsigned i = 0; i < HUSH_KINDS; i++) {
		struct hushed *kind = &hush->kinds[i];

		if (kind->seen_ms != 0 && memcmp(kind->key, key, sizeof(key)) == 0) {
			oldest = kind;
			break;
		}
		if (kind->seen_ms < oldest->seen_ms)
			oldest = kind;
	}
	if (memcmp(oldest->key, key, sizeof(key)) != 0 || oldest->seen_ms == 0 ||
		now_ms - oldest->seen_ms >= HUSH_FORGET_MS) {
		*oldest = (struct hushed){0};
		memcpy(oldest->key, key, sizeof(key));
	}
	oldest->seen_ms = now_ms;
	return oldest;
}

bool hush_is_due(struct hushed *kind, uint64_t now_ms)
{
	if (kind->lines < HUSH_LINES || now_ms - kind->said_ms >= HUSH_PAUSE_MS)
		return true;
	kind->suppressed++;
	return false;
}

unsigned hush_said(struct hushed *kind, uint64_t now_ms)
{
	unsigned suppressed = kind->suppressed;

	if (kind->lines < HUSH_LINES)
		kind->lines++;
	kind->said_ms = now_ms;
	kind->suppressed = 0;
	return suppressed;
}
