#define XXH_INLINE_ALL
#include "base/hash.h"

#include <sys/random.h>
#include <time.h>
#include <xxhash.h>

static XXH64_hash_t seed;

__attribute__((constructor)) static void choose_seed(void)
{
	/* Without random bits, which only an ancient kernel lacks, the time is better
	 * than nothing. */
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = (XXH64_hash_t)time(NULL);
}

unsigned hash_bytes(const void *bytes, size_t len)
{
	return (unsigned)XXH3_64bits_withSeed(bytes, len, seed);
}
