/*
 * Linear hashing (Litwin, 1980): with n buckets, 2^k of them and some more, a hash stands
 * in the bucket of its lowest k + 1 bits, or, while there is no such bucket yet, of its
 * lowest k. The next bucket to come takes its items from just one other.
 *
 * A bucket is in order of the bits read backwards (split-ordered lists, Shalev and
 * Shavit, 2006). So all buckets, taken in that order, are one list whose order no split
 * changes: splitting cuts a bucket in two, and a walk goes on wherever it was.
 */
#include "base/hash_table.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FIRST_BUCKETS 64
#define MAX_BUCKETS ((size_t)FIRST_BUCKETS << (HASH_TABLE_BLOCKS - 1))
#define CACHE_LINE_BYTES 64

void hash_table_init(struct hash_table *table, size_t key_offset)
{
	*table = (struct hash_table){.key_offset = key_offset};
}

void hash_table_done(struct hash_table *table)
{
	for (size_t i = 0; i < HASH_TABLE_BLOCKS; i++)
		free(table->blocks[i]);
	hash_table_init(table, table->key_offset);
}

static uint32_t backwards(uint32_t bits)
{
	bits = (bits & 0x55555555U) << 1 | (bits >> 1 & 0x55555555U);
	bits = (bits & 0x33333333U) << 2 | (bits >> 2 & 0x33333333U);
	bits = (bits & 0x0f0f0f0fU) << 4 | (bits >> 4 & 0x0f0f0f0fU);
	return __builtin_bswap32(bits);
}

/* The bits that name the bucket of a hash. */
static uint32_t mask_of(const struct hash_table *table, uint32_t hash)
{
	uint32_t n = (uint32_t)table->n_buckets;
	uint32_t half = UINT32_C(1) << (31 - __builtin_clz(n)); /* 2^k */
	uint32_t is_split = (hash & (half - 1)) < n - half;

	return (half << is_split) - 1;
}

/* The block that a bucket stands in, and how many buckets stand before that. */
static size_t block_of(size_t index, size_t *ret_first)
{
	unsigned bits =
		32 - (unsigned)__builtin_clz((uint32_t)index | (FIRST_BUCKETS - 1));

	if (index < FIRST_BUCKETS) {
		*ret_first = 0;
		return 0;
	}
	*ret_first = (size_t)1 << (bits - 1);
	return bits - 6;
}

static struct hash_item **bucket_at(const struct hash_table *table, size_t index)
{
	size_t first, block = block_of(index, &first);

	return &table->blocks[block][index - first];
}

static struct hash_item **bucket_of(const struct hash_table *table, uint32_t hash)
{
	return bucket_at(table, hash & mask_of(table, hash));
}

static const char *key_of(const struct hash_table *table, const struct hash_item *item)
{
	return (const char *)item + table->key_offset;
}

struct hash_item *hash_table_find_hashed(
	const struct hash_table *table, const char *key, size_t len, uint32_t hash)
{
	struct hash_item *item = table->n > 0 ? *bucket_of(table, hash) : NULL;

	while (item != NULL &&
		(item->hash != hash || item->key_len != len ||
			memcmp(key_of(table, item), key, len) != 0))
		item = item->next;
	return item;
}

struct hash_item *hash_table_find(
	const struct hash_table *table, const char *key, size_t len)
{
	return hash_table_find_hashed(table, key, len, hash_bytes(key, len));
}

/* Where in its bucket an item of this hash stands, or would. */
static struct hash_item **place_of(const struct hash_table *table, uint32_t hash)
{
	struct hash_item **place = bucket_of(table, hash);
	uint32_t order = backwards(hash);

	while (*place != NULL && backwards((*place)->hash) < order)
		place = &(*place)->next;
	return place;
}

/* Each look-up is at another place of it, so that of small pages hardly one is among
 * those whose address the processor has at hand; the kernel gives large ones if it is
 * asked to. */
#define HUGE_PAGE_BYTES ((size_t)2 << 20)

static struct hash_item **allocate(size_t n_buckets)
{
	size_t bytes = n_buckets * sizeof(struct hash_item *);
	void *block = bytes < HUGE_PAGE_BYTES ? malloc(bytes)
					      : aligned_alloc(HUGE_PAGE_BYTES, bytes);

	if (block != NULL && bytes >= HUGE_PAGE_BYTES)
		(void)madvise(block, bytes, MADV_HUGEPAGE); /* it may be slower */
	return block;
}

/* One more bucket, which is empty. False: memory is short. */
static bool add_bucket(struct hash_table *table)
{
	size_t first, block = block_of(table->n_buckets, &first);
	size_t size = first > 0 ? first : FIRST_BUCKETS;

	if (table->n_buckets == MAX_BUCKETS)
		return false;
	if (table->n_buckets == first) {
		table->blocks[block] = allocate(size);
		if (table->blocks[block] == NULL)
			return false;
	}
	*bucket_at(table, table->n_buckets) = NULL;
	table->n_buckets++;
	return true;
}

/* The bucket that a later one takes its items from. */
static size_t parent_of(size_t index)
{
	return index & ~((size_t)1 << (63 - __builtin_clzl(index)));
}

/* Those who have the bit by which the two differ stand behind all others. False: memory
 * is short. */
static bool split(struct hash_table *table)
{
	size_t index = table->n_buckets, parent = parent_of(index);
	struct hash_item **place = bucket_at(table, parent);

	if (!add_bucket(table))
		return false;
	while (*place != NULL && ((*place)->hash & (index ^ parent)) == 0)
		place = &(*place)->next;
	*bucket_at(table, index) = *place;
	*place = NULL;
	return true;
}

void hash_table_reserve(struct hash_table *table, size_t n)
{
	bool can_grow = table->n_buckets > 0 || add_bucket(table);

	while (can_grow && table->n_buckets < n)
		can_grow = split(table);
}

static void join(struct hash_table *table)
{
	size_t index = table->n_buckets - 1, first, block = block_of(index, &first);
	struct hash_item **place = bucket_at(table, parent_of(index));

	while (*place != NULL)
		place = &(*place)->next;
	*place = *bucket_at(table, index);
	table->n_buckets--;
	if (index == first) {
		free(table->blocks[block]);
		table->blocks[block] = NULL;
	}
}

int hash_table_add(struct hash_table *table, struct hash_item *item, size_t len)
{
	struct hash_item **place;

	if (table->n_buckets == 0 && !add_bucket(table))
		return ERR_NOMEM;
	item->hash = hash_bytes(key_of(table, item), len);
	item->key_len = (uint32_t)len;
	place = place_of(table, item->hash);
	item->next = *place;
	*place = item;
	table->n++;
	/* Twice, to catch up with what memory was short for. */
	for (int i = 0; i < 2 && table->n > table->n_buckets; i++)
		(void)split(table); /* else look-ups are merely slower */
	return 0;
}

void hash_table_remove(struct hash_table *table, struct hash_item *item)
{
	struct hash_item **place = place_of(table, item->hash);

	/* The analyzer does not see that it stands there. */
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	while (*place != item)
		place = &(*place)->next;
	*place = item->next;
	table->n--;
	/* So that a walk does not pass many that are empty. */
	for (int i = 0; i < 2 && table->n_buckets > 1 && table->n < table->n_buckets / 2;
		i++)
		join(table);
}

/* The bucket behind that of `mask`'s bits of `hash`; 0: that was the last. */
static uint32_t next_bucket(uint32_t hash, uint32_t mask)
{
	return backwards(backwards(hash | ~mask) + 1);
}

struct hash_item *hash_table_next(
	const struct hash_table *table, const struct hash_item *item)
{
	struct hash_item *next = item != NULL ? item->next : NULL;
	uint32_t at = item != NULL ? item->hash : 0;

	if (item == NULL && table->n > 0)
		next = *bucket_at(table, 0);
	while (next == NULL && table->n > 0) {
		at = next_bucket(at, mask_of(table, at));
		if (at == 0)
			return NULL;
		next = *bucket_at(table, at);
	}
	return next;
}

void hash_table_fetch_bucket(const struct hash_table *table, uint32_t hash)
{
	if (table->n > 0)
		__builtin_prefetch(bucket_of(table, hash));
}

void hash_table_fetch_item(const struct hash_table *table, uint32_t hash, size_t bytes)
{
	const char *item = table->n > 0 ? (const char *)*bucket_of(table, hash) : NULL;

	for (size_t at = 0; item != NULL && at < bytes; at += CACHE_LINE_BYTES)
		__builtin_prefetch(item + at);
}
