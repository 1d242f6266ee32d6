/*
 * Payload: node, number of bookings, bookings. A booking begins with flags; a service is
 * written only where it differs from the booking before, since a report nearly always has
 * one.
 */
#include "journal/record.h"
#include "base/crc32c.h"

#include <stdlib.h>
#include <string.h>

#define CRC_AT 4
#define COVERED_AT 8

#define FLAG_SERVICE_KIND 0x01
#define FLAG_SAME_SERVICE 0x02
#define FLAG_HAS_CLIENT 0x04
#define FLAG_IS_STATUS 0x08

/* The CRC skips itself: first the length, then what follows. */
static uint32_t checksum(const uint8_t *record, size_t size)
{
	return crc32c(crc32c(0, record, CRC_AT), record + COVERED_AT, size - COVERED_AT);
}

static void encode_counters(const struct counters *counters, struct buf *out)
{
	buf_put_varint(out, counters->input_bytes);
	buf_put_varint(out, counters->output_bytes);
	buf_put_varint(out, counters->total_conns);
	buf_put_varint(out, counters->current_conns);
	buf_put_varint(out, counters->total_errs);
}

static void encode_booking(
	const struct booking *booking, const char *last_service, struct buf *out)
{
	bool is_same =
		last_service != NULL && strcmp(last_service, booking->service) == 0;
	bool is_status = booking->state[0] != '\0';
	unsigned flags = (booking->kind == KIND_SERVICE ? FLAG_SERVICE_KIND : 0) |
		(is_same ? FLAG_SAME_SERVICE : 0) |
		(booking->client[0] != '\0' ? FLAG_HAS_CLIENT : 0) |
		(is_status ? FLAG_IS_STATUS : 0);

	buf_put_u8(out, (uint8_t)flags);
	if (!is_same)
		buf_put_str(out, booking->service);
	if (booking->client[0] != '\0')
		buf_put_str(out, booking->client);
	if (is_status)
		buf_put_str(out, booking->state);
	else
		encode_counters(&booking->counters, out);
}

void record_encode(const struct record *record, struct buf *out)
{
	size_t start = out->len;
	const char *last_service = NULL;

	buf_put_u32(out, 0); /* length and CRC, once they are known */
	buf_put_u32(out, 0);
	buf_put_u64(out, record->seq);
	buf_put_u64(out, record->synced_seq);
	buf_put_u64(out, record->conn);
	buf_put_u64(out, record->time_ms);
	buf_put(out, record->fingerprint, FINGERPRINT_BYTES);
	buf_put_str(out, record->node);
	buf_put_varint(out, record->bookings.n);
	for (size_t i = 0; i < record->bookings.n; i++) {
		encode_booking(&record->bookings.list[i], last_service, out);
		last_service = record->bookings.list[i].service;
	}
	if (!buf_ok(out))
		return;
	buf_set_u32(out, start, (uint32_t)(out->len - start - RECORD_HEAD_BYTES));
	buf_set_u32(out, start + CRC_AT, checksum(out->data + start, out->len - start));
}

enum record_check record_check(const uint8_t *bytes, size_t len, size_t *ret_size,
	uint64_t *ret_seq, uint64_t *ret_synced_seq)
{
	struct reader r = {bytes, bytes + len, true};
	uint32_t length = reader_u32(&r);
	uint32_t crc = reader_u32(&r);
	uint64_t seq = reader_u64(&r);
	uint64_t synced_seq = reader_u64(&r);

	if (len < RECORD_HEAD_BYTES)
		return RECORD_SHORT;
	if (length > RECORD_MAX_PAYLOAD)
		return RECORD_BAD;
	if (len - RECORD_HEAD_BYTES < length)
		return RECORD_SHORT;
	if (checksum(bytes, RECORD_HEAD_BYTES + (size_t)length) != crc)
		return RECORD_BAD;
	*ret_size = RECORD_HEAD_BYTES + (size_t)length;
	*ret_seq = seq;
	*ret_synced_seq = synced_seq;
	return RECORD_WHOLE;
}

static void decode_counters(struct reader *r, struct counters *counters)
{
	counters->input_bytes = reader_varint(r);
	counters->output_bytes = reader_varint(r);
	counters->total_conns = reader_varint(r);
	counters->current_conns = reader_varint(r);
	counters->total_errs = reader_varint(r);
	if (counters->input_bytes > COUNTER_MAX || counters->output_bytes > COUNTER_MAX)
		r->ok = false;
}

static void decode_booking(
	struct reader *r, const char *last_service, struct booking *booking)
{
	unsigned flags = reader_u8(r);

	*booking = (struct booking){.service = "", .client = "", .state = ""};
	booking->kind = (flags & FLAG_SERVICE_KIND) != 0 ? KIND_SERVICE : KIND_HANDLER;
	booking->service =
		(flags & FLAG_SAME_SERVICE) != 0 ? last_service : reader_str(r);
	if ((flags & FLAG_HAS_CLIENT) != 0)
		booking->client = reader_str(r);
	if ((flags & FLAG_IS_STATUS) != 0)
		booking->state = reader_str(r);
	else
		decode_counters(r, &booking->counters);
}

/* A booking takes at least two bytes, so a count that promises more is a lie. */
static int decode_bookings(struct reader *r, struct bookings *ret_bookings)
{
	struct bookings bookings = {0};
	uint64_t n = reader_varint(r);
	const char *last_service = "";

	if (!r->ok || n > (size_t)(r->end - r->at) / 2)
		return ERR_JOURNAL_CORRUPT;
	bookings.list = calloc((size_t)n + 1, sizeof(*bookings.list));
	if (bookings.list == NULL)
		return ERR_NOMEM;
	for (; bookings.n < n; bookings.n++) {
		struct booking *booking = &bookings.list[bookings.n];

		decode_booking(r, last_service, booking);
		last_service = booking->service;
		bookings.n_stats += booking->state[0] == '\0';
	}
	if (!r->ok || r->at != r->end) {
		bookings_done(&bookings);
		return ERR_JOURNAL_CORRUPT;
	}
	*ret_bookings = bookings;
	return 0;
}

int record_decode(const uint8_t *bytes, size_t size, struct record *ret_record)
{
	struct reader r = {bytes + COVERED_AT, bytes + size, true};
	struct record record = {0};
	const uint8_t *fingerprint;
	int code;

	record.seq = reader_u64(&r);
	record.synced_seq = reader_u64(&r);
	record.conn = reader_u64(&r);
	record.time_ms = reader_u64(&r);
	fingerprint = reader_bytes(&r, FINGERPRINT_BYTES);
	record.node = reader_str(&r);
	code = decode_bookings(&r, &record.bookings);
	if (code != 0)
		return code;
	memcpy(record.fingerprint, fingerprint, FINGERPRINT_BYTES);
	*ret_record = record;
	return 0;
}
