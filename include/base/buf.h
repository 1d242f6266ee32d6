/*
 * A growing byte buffer, and a bounded reader, with the encoding of the journal:
 * little-endian fixed integers, LEB128 varints, and strings as length, bytes, NUL.
 *
 * A buffer remembers that an allocation failed: writers need not check each step, only
 * `buf_ok()` at the end. A reader does the same with `ok`.
 */
#ifndef TALLYD_BASE_BUF_H
#define TALLYD_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data;
	size_t len, cap;
	bool failed;
};

/* Frees the bytes and leaves an empty, usable buffer. */
void buf_done(struct buf *buf);

/* Empties it and keeps the memory, unless it is more than `keep_bytes`. */
void buf_reset(struct buf *buf, size_t keep_bytes);

bool buf_ok(const struct buf *buf);

/* Room for `len` bytes behind those that are there, or NULL once memory was short. What
 * is written into it is there as soon as `buf->len` has grown by it. */
uint8_t *buf_room(struct buf *buf, size_t len);

void buf_put(struct buf *buf, const void *bytes, size_t len);
void buf_put_u8(struct buf *buf, uint8_t value);
void buf_put_u32(struct buf *buf, uint32_t value);
void buf_put_u64(struct buf *buf, uint64_t value);
void buf_put_varint(struct buf *buf, uint64_t value);
void buf_put_str(struct buf *buf, const char *text);

/* Overwrites four bytes at `at`, which must have been written. */
void buf_set_u32(struct buf *buf, size_t at, uint32_t value);

/* The `n` lowest bytes of `value` at `at`, little-endian; for what is no buffer. */
void buf_store(uint8_t *at, uint64_t value, size_t n);

/* Reads within [at, end). After the first read that does not fit, `ok` is false and reads
 * give 0. */
struct reader {
	const uint8_t *at, *end;
	bool ok;
};

uint8_t reader_u8(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
uint64_t reader_varint(struct reader *r);
const uint8_t *reader_bytes(struct reader *r, size_t len);

/* A string that lies, terminated, in the reader's bytes; "" once `ok` is false. */
const char *reader_str(struct reader *r);

#endif
