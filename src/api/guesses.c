#include "api/guesses.h"
#include "base/hash.h"

#include <arpa/inet.h>
#include <string.h>

/* An IPv6 host has a /64 to choose from. What is no address, "unix", is one by itself. */
static void make_key(const char *address, uint8_t ret_key[16])
{
	struct in_addr in;
	struct in6_addr in6;

	memset(ret_key, 0, 16);
	if (inet_pton(AF_INET, address, &in) == 1) {
		memset(ret_key + 10, 0xff, 2); /* ::ffff:0:0/96 */
		memcpy(ret_key + 12, &in, 4);
	} else if (inet_pton(AF_INET6, address, &in6) == 1) {
		memcpy(ret_key, &in6, 8);
	} else {
		memset(ret_key, 0xff, 16);
	}
}

/* The address' place, or the one that is to be its. */
static struct guesser *place_of(struct guesses *guesses, const uint8_t key[16])
{
	struct guesser *set = guesses->table[hash_bytes(key, 16) % GUESSES_SETS];
	struct guesser *oldest = &set[0];

	for (size_t i = 0; i < GUESSES_WAYS; i++) {
		if (set[i].last_ms != 0 && memcmp(set[i].key, key, 16) == 0)
			return &set[i];
		if (set[i].last_ms < oldest->last_ms)
			oldest = &set[i];
	}
	oldest->count = 0;
	memcpy(oldest->key, key, 16);
	return oldest;
}

unsigned guesses_note(struct guesses *guesses, const char *address, uint64_t now_ms)
{
	struct guesser *guesser;
	uint8_t key[16];
	unsigned delay_ms;

	make_key(address, key);
	guesser = place_of(guesses, key);
	if (now_ms - guesser->last_ms >= GUESSES_MEMORY_MS)
		guesser->count = 0;
	guesser->last_ms = now_ms > 0 ? now_ms : 1;
	if (guesser->count < GUESSES_FREE) {
		guesser->count++;
		return 0;
	}
	delay_ms = (guesser->count - GUESSES_FREE + 1) * GUESSES_STEP_MS;
	if (delay_ms >= GUESSES_MAX_DELAY_MS)
		return GUESSES_MAX_DELAY_MS;
	guesser->count++;
	return delay_ms;
}
