#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 512

void buf_done(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){0};
}

void buf_reset(struct buf *buf, size_t keep_bytes)
{
	if (buf->cap > keep_bytes)
		buf_done(buf);
	buf->len = 0;
	buf->failed = false;
}

bool buf_ok(const struct buf *buf)
{
	return !buf->failed;
}

uint8_t *buf_room(struct buf *buf, size_t len)
{
	if (buf->failed)
		return NULL;
	if (buf->cap - buf->len < len) {
		size_t cap = buf->cap == 0 ? FIRST_BYTES : buf->cap;
		uint8_t *data;

		while (cap - buf->len < len)
			cap *= 2;
		data = realloc(buf->data, cap);
		if (data == NULL) {
			buf->failed = true;
			return NULL;
		}
		buf->data = data;
		buf->cap = cap;
	}
	return buf->data + buf->len;
}

static uint8_t *extend(struct buf *buf, size_t len)
{
	uint8_t *at = buf_room(buf, len);

	if (at != NULL)
		buf->len += len;
	return at;
}

void buf_put(struct buf *buf, const void *bytes, size_t len)
{
	uint8_t *at = extend(buf, len);

	if (at != NULL && len > 0)
		memcpy(at, bytes, len);
}

void buf_put_u8(struct buf *buf, uint8_t value)
{
	buf_put(buf, &value, 1);
}

void buf_store(uint8_t *at, uint64_t value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

void buf_put_u32(struct buf *buf, uint32_t value)
{
	uint8_t *at = extend(buf, 4);

	if (at != NULL)
		buf_store(at, value, 4);
}

void buf_put_u64(struct buf *buf, uint64_t value)
{
	uint8_t *at = extend(buf, 8);

	if (at != NULL)
		buf_store(at, value, 8);
}

void buf_put_varint(struct buf *buf, uint64_t value)
{
	uint8_t bytes[10];
	size_t n = 0;

	do {
		bytes[n] = (uint8_t)(value & 0x7f);
		value >>= 7;
		if (value != 0)
			bytes[n] |= 0x80;
		n++;
	} while (value != 0);
	buf_put(buf, bytes, n);
}

void buf_put_str(struct buf *buf, const char *text)
{
	size_t len = strlen(text);

	buf_put_varint(buf, len);
	buf_put(buf, text, len + 1);
}

void buf_set_u32(struct buf *buf, size_t at, uint32_t value)
{
	if (!buf->failed)
		buf_store(buf->data + at, value, 4);
}

const uint8_t *reader_bytes(struct reader *r, size_t len)
{
	const uint8_t *at = r->at;

	if (!r->ok || (size_t)(r->end - r->at) < len) {
		r->ok = false;
		return NULL;
	}
	r->at += len;
	return at;
}

static uint64_t load_little_endian(struct reader *r, size_t n)
{
	const uint8_t *at = reader_bytes(r, n);
	uint64_t value = 0;

	for (size_t i = 0; at != NULL && i < n; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

uint8_t reader_u8(struct reader *r)
{
	return (uint8_t)load_little_endian(r, 1);
}

uint32_t reader_u32(struct reader *r)
{
	return (uint32_t)load_little_endian(r, 4);
}

uint64_t reader_u64(struct reader *r)
{
	return load_little_endian(r, 8);
}

uint64_t reader_varint(struct reader *r)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = reader_u8(r);

		value |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			return r->ok ? value : 0;
	}
	r->ok = false;
	return 0;
}

const char *reader_str(struct reader *r)
{
	uint64_t len = reader_varint(r);
	const uint8_t *at;

	if (!r->ok || len >= (size_t)(r->end - r->at)) {
		r->ok = false;
		return "";
	}
	at = reader_bytes(r, (size_t)len + 1);
	if (at == NULL || at[len] != '\0' || memchr(at, '\0', (size_t)len) != NULL) {
		r->ok = false;
		return "";
	}
	return (const char *)at;
}
