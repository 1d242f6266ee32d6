/*
 * Payload: node, number of bookings, bookings, and, unless there are none, the proved
 * connections and how many. A booking begins with flags; a service is written only where
 * it differs from the booking before, since a report nearly always has one. A repeat has
 * no bookings, but kind, service and the sequence that it repeats.
 */
#include "journal/record.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/text.h"
#include "journal/command_record.h"

#include <stdlib.h>
#include <string.h>

#define OLD_COUNTER_MAX (COUNTER_MAX + 1) /* see COUNTER_MAX */
#define CRC_AT 4
#define COVERED_AT 8

#define FLAG_SERVICE_KIND 0x01
#define FLAG_SAME_SERVICE 0x02
#define FLAG_HAS_CLIENT 0x04
#define FLAG_IS_STATUS 0x08
#define FLAG_HAS_MARK 0x10

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

static void encode_mark(const struct mark *mark, struct buf *out)
{
	buf_put_varint(out, mark->input_bytes);
	buf_put_varint(out, mark->output_bytes);
	buf_put_varint(out, mark->total_conns);
	buf_put_varint(out, mark->epoch);
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
		(is_status ? FLAG_IS_STATUS : 0) |
		(booking->has_mark ? FLAG_HAS_MARK : 0);

	buf_put_u8(out, (uint8_t)flags);
	if (!is_same)
		buf_put_str(out, booking->service);
	if (booking->client[0] != '\0')
		buf_put_str(out, booking->client);
	if (is_status)
		buf_put_str(out, booking->state);
	else
		encode_counters(&booking->counters, out);
	if (booking->has_mark)
		encode_mark(&booking->mark, out);
}

static void encode_bookings(const struct bookings *bookings, struct buf *out)
{
	const char *last_service = NULL;

	buf_put_varint(out, bookings->n);
	for (size_t i = 0; i < bookings->n; i++) {
		encode_booking(&bookings->list[i], last_service, out);
		last_service = bookings->list[i].service;
	}
}

static void encode_repeat(const struct record *record, struct buf *out)
{
	buf_put_varint(out, 0);
	buf_put_u8(out, (uint8_t)record->bookings.list[0].kind);
	buf_put_str(out, record->bookings.list[0].service);
	buf_put_varint(out, record->origin.repeats);
}

static void encode_proved(const struct origin *origin, struct buf *out)
{
	if (origin->n_proved == 0)
		return;
	buf_put_varint(out, origin->n_proved);
	for (size_t i = 0; i < origin->n_proved; i++)
		buf_put_varint(out, origin->proved[i]);
}

static void encode_report(const struct record *record, struct buf *out)
{
	buf_put_str(out, record->node);
	if (record->origin.repeats != 0)
		encode_repeat(record, out);
	else
		encode_bookings(&record->bookings, out);
	encode_proved(&record->origin, out);
}

void record_encode(const struct record *record, struct buf *out)
{
	const struct origin *origin = &record->origin;
	size_t start = out->len;

	buf_put_u32(out, 0); /* length and CRC, once they are known */
	buf_put_u32(out, 0);
	buf_put_u64(out, origin->seq);
	buf_put_u64(out, record->synced_seq);
	buf_put_u64(out, origin->conn);
	buf_put_u64(out, origin->time_ms);
	buf_put(out, origin->fingerprint, FINGERPRINT_BYTES);
	if (record->command != NULL)
		command_encode(record->command, out);
	else
		encode_report(record, out);
	if (!buf_ok(out))
		return;
	buf_set_u32(out, start,
		(uint32_t)(out->len - start - RECORD_HEAD_BYTES) |
			(record->command != NULL ? RECORD_IS_COMMAND : 0));
	buf_set_u32(out, start + CRC_AT, checksum(out->data + start, out->len - start));
}

enum record_check record_check(const uint8_t *bytes, size_t len, size_t *ret_size,
	uint64_t *ret_seq, uint64_t *ret_synced_seq)
{
	struct reader r = {bytes, bytes + len, true};
	uint32_t length = reader_u32(&r) & ~RECORD_IS_COMMAND;
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
	if (counters->input_bytes > OLD_COUNTER_MAX ||
		counters->output_bytes > OLD_COUNTER_MAX ||
		counters->total_conns > OLD_COUNTER_MAX ||
		counters->current_conns > OLD_COUNTER_MAX ||
		counters->total_errs > OLD_COUNTER_MAX)
		r->ok = false;
}

static void decode_mark(struct reader *r, struct mark *mark)
{
	mark->input_bytes = reader_varint(r);
	mark->output_bytes = reader_varint(r);
	mark->total_conns = reader_varint(r);
	mark->epoch = reader_varint(r);
	if (mark->input_bytes > OLD_COUNTER_MAX || mark->output_bytes > OLD_COUNTER_MAX ||
		mark->total_conns > OLD_COUNTER_MAX || mark->epoch > NUMBER_MAX)
		r->ok = false;
}

/* What is longer would be cut where it is looked up, and be somebody else's; what is no
 * clean text would be told to terminals and to readers of JSON (rule 6). */
static const char *read_name(struct reader *r, size_t max_bytes)
{
	const char *name = reader_str(r);

	if (strlen(name) > max_bytes || !text_is_name(name))
		r->ok = false;
	return name;
}

static void decode_booking(
	struct reader *r, const char *last_service, struct booking *booking)
{
	unsigned flags = reader_u8(r);

	*booking = (struct booking){.service = "", .client = "", .state = ""};
	booking->kind = (flags & FLAG_SERVICE_KIND) != 0 ? KIND_SERVICE : KIND_HANDLER;
	booking->service = (flags & FLAG_SAME_SERVICE) != 0
		? last_service
		: read_name(r, NAME_MAX_BYTES);
	if ((flags & FLAG_HAS_CLIENT) != 0)
		booking->client = read_name(r, NAME_MAX_BYTES);
	if ((flags & FLAG_IS_STATUS) != 0)
		booking->state = read_name(r, STATE_MAX_BYTES);
	else
		decode_counters(r, &booking->counters);
	booking->has_mark = (flags & FLAG_HAS_MARK) != 0;
	if (booking->has_mark)
		decode_mark(r, &booking->mark);
}

static void decode_repeat(struct reader *r, struct record *record)
{
	record->bookings.list[0] = (struct booking){
		.kind = reader_u8(r) == KIND_SERVICE ? KIND_SERVICE : KIND_HANDLER,
		.service = read_name(r, NAME_MAX_BYTES),
		.client = "",
		.state = ""};
	record->bookings.n = 1;
	record->origin.repeats = reader_varint(r);
	if (record->origin.repeats == 0 || record->origin.repeats >= record->origin.seq)
		r->ok = false;
}

/* A booking takes at least two bytes, so a count that promises more is a lie. */
static int decode_bookings(struct reader *r, struct record *record)
{
	struct bookings *bookings = &record->bookings;
	uint64_t n = reader_varint(r);
	const char *last_service = "";

	if (!r->ok || n > (size_t)(r->end - r->at) / 2)
		return ERR_JOURNAL_CORRUPT;
	bookings->list = calloc((size_t)n + 1, sizeof(*bookings->list));
	if (bookings->list == NULL)
		return ERR_NOMEM;
	if (n == 0)
		decode_repeat(r, record);
	for (; bookings->n < n; bookings->n++) {
		struct booking *booking = &bookings->list[bookings->n];

		decode_booking(r, last_service, booking);
		last_service = booking->service;
		bookings->n_stats += booking->state[0] == '\0';
	}
	return r->ok ? 0 : ERR_JOURNAL_CORRUPT;
}

static int decode_proved(struct reader *r, struct record *record)
{
	uint64_t n;

	if (r->at == r->end)
		return 0;
	n = reader_varint(r);
	if (!r->ok || n == 0 || n > (size_t)(r->end - r->at))
		return ERR_JOURNAL_CORRUPT;
	record->proved = calloc((size_t)n + 1, sizeof(*record->proved));
	if (record->proved == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		record->proved[i] = reader_varint(r);
		if (record->proved[i] > NUMBER_MAX)
			r->ok = false;
	}
	record->origin.proved = record->proved;
	record->origin.n_proved = (size_t)n;
	return r->ok && r->at == r->end ? 0 : ERR_JOURNAL_CORRUPT;
}

static int decode_report(struct reader *r, struct record *record)
{
	int code;

	record->node = read_name(r, NAME_MAX_BYTES);
	code = decode_bookings(r, record);
	return code == 0 ? decode_proved(r, record) : code;
}

static int decode_command(struct reader *r, struct record *record)
{
	record->owns_command = true;
	return command_decode(r, &record->command);
}

int record_decode(const uint8_t *bytes, size_t size, struct record *ret_record)
{
	struct reader head = {bytes, bytes + size, true};
	struct reader r = {bytes + COVERED_AT, bytes + size, true};
	bool is_command = (reader_u32(&head) & RECORD_IS_COMMAND) != 0;
	struct record record = {0};
	const uint8_t *fingerprint;
	int code;

	record.origin.seq = reader_u64(&r);
	record.synced_seq = reader_u64(&r);
	record.origin.conn = reader_u64(&r);
	record.origin.time_ms = reader_u64(&r);
	fingerprint = reader_bytes(&r, FINGERPRINT_BYTES);
	code = is_command ? decode_command(&r, &record) : decode_report(&r, &record);
	if (code == 0 &&
		(record.origin.conn > NUMBER_MAX || record.origin.time_ms > TIME_MAX_MS))
		code = ERR_JOURNAL_CORRUPT;
	if (code != 0) {
		record_done(&record);
		return code;
	}
	memcpy(record.origin.fingerprint, fingerprint, FINGERPRINT_BYTES);
	*ret_record = record;
	return 0;
}

void record_done(struct record *record)
{
	bookings_done(&record->bookings);
	free(record->proved);
	record->proved = NULL;
	if (record->owns_command)
		command_free(record->command);
	record->command = NULL;
}
