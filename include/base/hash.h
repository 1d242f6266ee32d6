/*
 * The hash of every table. Keyed with random bits of this process: names come from
 * outside, and who could choose them to collide would make each look-up a walk.
 *
 * Where memory is too short to add something, uthash ends the process, unless
 * HASH_NONFATAL_OOM is 1 where this is included: then it is not in the table, and whoever
 * adds looks at HASH_IS_ADDED().
 */
#ifndef TALLYD_BASE_HASH_H
#define TALLYD_BASE_HASH_H

#include <stddef.h>

unsigned hash_bytes(const void *bytes, size_t len);

/* uthash asks for it by this name; it has to be known before uthash.h is included. */
#define HASH_FUNCTION(key, len, ret_hash) ((ret_hash) = hash_bytes((key), (len)))
#include <uthash.h>

#define HASH_IS_ADDED(item) ((item)->hh.tbl != NULL)

#endif
