/*
 * The hash table of what there may be millions of. Besides what stands in an item it
 * takes 8 bytes for each, a look-up reads one place of the table and then the item, and
 * it never grows at once: who comes splits one bucket (linear hashing), so that no turn
 * of the loop pays for all. uthash, which every other table is (base/hash.h), takes 56
 * bytes of an item, and moves all of them when it grows.
 *
 * An item begins with a struct hash_item, has its key at `key_offset`, stays where it is
 * and is the caller's. The hash is hash_bytes() of base/hash.h.
 */
#ifndef TALLYD_BASE_HASH_TABLE_H
#define TALLYD_BASE_HASH_TABLE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct hash_item {
	struct hash_item *next; /* in its bucket */
	uint32_t hash, key_len;
};

/* Of buckets: as many as all blocks before it have together, and the first 64. */
#define HASH_TABLE_BLOCKS 26

struct hash_table {
	size_t key_offset;
	size_t n, n_buckets;
	struct hash_item **blocks[HASH_TABLE_BLOCKS];
};

void hash_table_init(struct hash_table *table, size_t key_offset);

/* There are to be so many items, for which it then need not grow. Short of memory it
 * grows with them all the same. */
void hash_table_reserve(struct hash_table *table, size_t n);

/* Of the table alone; the items are as they were. */
void hash_table_done(struct hash_table *table);

/* NULL: there is none of this key. */
struct hash_item *hash_table_find(
	const struct hash_table *table, const char *key, size_t len);

/* Adds an item whose key, of `len` bytes, stands in it and is not in the table. 0, or
 * ERR_NOMEM, which only an empty table gives: else it is merely slower. */
int hash_table_add(
	struct hash_table *table, struct hash_item *item, size_t len) MUST_CHECK;
void hash_table_remove(struct hash_table *table, struct hash_item *item);

/* Walks all items in no particular order; NULL begins, and ends. Whoever is there all the
 * while is met once, whoever comes and goes. `item` has to be in the table. */
struct hash_item *hash_table_next(
	const struct hash_table *table, const struct hash_item *item);

/*
 * A look-up in a large table waits twice for memory, for as long as some hundred
 * instructions take. Who looks up many has the processor fetch for all of them meanwhile:
 * first all buckets, then their first items, of so many bytes, and then finds each.
 */
void hash_table_fetch_bucket(const struct hash_table *table, uint32_t hash);
void hash_table_fetch_item(const struct hash_table *table, uint32_t hash, size_t bytes);
struct hash_item *hash_table_find_hashed(
	const struct hash_table *table, const char *key, size_t len, uint32_t hash);

#endif
