#include "lib/test.h"
#include "base/limits.h"
#include "base/text.h"
#include "journal/record.h"
#include "lib/faults.h"
#include "lib/sample.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void encode(const struct record *record, struct buf *out)
{
	record_encode(record, out);
	assert_true(buf_ok(out));
}

static void assert_same_booking(const struct booking *a, const struct booking *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_string_equal(a->service, b->service);
	assert_string_equal(a->client, b->client);
	assert_string_equal(a->state, b->state);
	assert_memory_equal(&a->counters, &b->counters, sizeof(a->counters));
	assert_int_equal(a->has_mark, b->has_mark);
	if (a->has_mark)
		assert_memory_equal(&a->mark, &b->mark, sizeof(a->mark));
}

static void assert_same_origin(const struct origin *a, const struct origin *b)
{
	assert_int_equal(a->seq, b->seq);
	assert_int_equal(a->conn, b->conn);
	assert_int_equal(a->time_ms, b->time_ms);
	assert_int_equal(a->repeats, b->repeats);
	assert_memory_equal(a->fingerprint, b->fingerprint, FINGERPRINT_BYTES);
	assert_int_equal(a->n_proved, b->n_proved);
	for (size_t i = 0; i < a->n_proved; i++)
		AT_ROW(i, a->proved[i] == b->proved[i]);
}

/* Through bytes and back. */
static void assert_round_trip(const struct record *record)
{
	struct buf buf = {0};
	struct record back;
	size_t size = 0;
	uint64_t seq = 0, synced_seq = 0;

	encode(record, &buf);
	assert_int_equal(
		record_check(buf.data, buf.len, &size, &seq, &synced_seq), RECORD_WHOLE);
	assert_int_equal(size, buf.len);
	assert_int_equal(seq, record->origin.seq);
	assert_int_equal(synced_seq, record->synced_seq);
	assert_int_equal(record_decode(buf.data, size, &back), 0);
	assert_same_origin(&back.origin, &record->origin);
	assert_int_equal(back.synced_seq, record->synced_seq);
	assert_string_equal(back.node, record->node);
	assert_int_equal(back.bookings.n, record->bookings.n);
	assert_int_equal(back.bookings.n_stats, record->bookings.n_stats);
	for (size_t i = 0; i < back.bookings.n; i++)
		assert_same_booking(&back.bookings.list[i], &record->bookings.list[i]);
	record_done(&back);
	buf_done(&buf);
}

static struct booking status(const char *service, const char *state)
{
	return (struct booking){
		.kind = KIND_SERVICE, .service = service, .client = "", .state = state};
}

TEST(every_kind_of_booking_survives_the_bytes)
{
	struct booking list[] = {
		sample_traffic("service-0", "user1", 78, 574),
		sample_traffic("service-0", "user2", 0, 0),
		sample_traffic("service-0", "", 1, 2),
		sample_traffic("service-1", "user1", COUNTER_MAX + 1, COUNTER_MAX),
		status("service-1", "running"),
		status("service-0", "1234567890123456789012345678901"),
		sample_traffic("", "u", 3, 4),
		sample_traffic("", "", 3, 4),
		sample_traffic("\xe2\x82\xac", "\xf0\x9f\x98\x80", 1, 1),
	};
	struct record record = {.origin.seq = 1,
		.origin.conn = NUMBER_MAX,
		.origin.time_ms = TIME_MAX_MS,
		.node = "default",
		.origin.fingerprint = {1, 2, 3, 255}};

	list[0].counters.total_conns = COUNTER_MAX;
	list[1].counters.current_conns = 127;
	list[2].counters.total_errs = 128;
	for (size_t n = 1; n <= COUNT_OF(list); n++) {
		record.bookings = (struct bookings){list, n, 0};
		for (size_t i = 0; i < n; i++)
			record.bookings.n_stats += list[i].state[0] == '\0';
		assert_round_trip(&record);
	}
}

TEST(the_edges_of_sequences_and_names_survive_the_bytes)
{
	char name[256] = "";
	struct booking booking = sample_traffic(name, name, 1, 2);
	struct record record = {.origin.seq = UINT64_MAX,
		.synced_seq = UINT64_MAX - 1,
		.node = name,
		.bookings = {&booking, 1, 1}};

	memset(name, 'n', 255);
	name[255] = '\0';
	assert_round_trip(&record);
	name[0] = '\0';
	assert_round_trip(&record);
}

static struct booking marked(struct booking booking, struct mark mark)
{
	booking.has_mark = true;
	booking.mark = mark;
	return booking;
}

TEST(marks_survive_the_bytes)
{
	static const uint64_t edges[] = {
		0, 1, 127, 128, UINT32_MAX, COUNTER_MAX, COUNTER_MAX + 1};
	struct booking list[2 * COUNT_OF(edges) + 1];
	struct record record = {.origin.seq = 5, .node = "n", .bookings = {list, 0, 0}};

	for (size_t i = 0; i < COUNT_OF(edges); i++) {
		uint64_t edge = edges[i], next = edges[(i + 1) % COUNT_OF(edges)];

		list[2 * i] = marked(
			sample_traffic("s", "u", i, 1), (struct mark){edge, next, 3, 4});
		list[2 * i + 1] = marked(
			sample_traffic("t", "", 1, i), (struct mark){3, 4, next, edge});
	}
	list[2 * COUNT_OF(edges)] = sample_traffic("t", "u", 1, 2);
	for (size_t n = 1; n <= COUNT_OF(list); n++) {
		record.bookings.n = record.bookings.n_stats = n;
		assert_round_trip(&record);
	}
}

TEST(proofs_survive_the_bytes)
{
	static const uint64_t proved[] = {1, NUMBER_MAX, 0, 128, 1};
	struct booking booking = sample_traffic("s", "u", 1, 2);
	struct record record = {.origin = {.seq = 5, .proved = proved},
		.node = "n",
		.bookings = {&booking, 1, 1}};

	for (size_t n = 0; n <= COUNT_OF(proved); n++) {
		record.origin.n_proved = n;
		record.bookings.n_stats = 1;
		record.origin.repeats = 0;
		assert_round_trip(&record);
		record.bookings.n_stats = 0;
		record.origin.repeats = 4;
		booking.counters = (struct counters){0}; /* of a repeat, none is kept */
		booking.client = "";
		assert_round_trip(&record);
	}
}

/* One record after the other, each with one number or name that no tallyd writes. */
TEST(a_whole_record_with_a_number_or_a_name_that_no_tallyd_writes_is_corrupt)
{
	static const uint64_t proved[] = {1, NUMBER_MAX + 1};
	static const char *const unclean[] = {"al\xff\x1b\x65", "ali\n\x01", "de\x1b[31m",
		"\x7f", "\xc2\x85", "\xed\xa0\x80"};
	char name[NAME_MAX_BYTES + 2] = "", long_state[STATE_MAX_BYTES + 2] = "";
	struct booking plain = sample_traffic("s", "u", 1, 2);
	struct record record = {.origin.seq = 5, .node = "n"};
	struct record bad[18 + 4 * COUNT_OF(unclean)];
	struct booking bookings[COUNT_OF(bad)];
	size_t n = 0;

	memset(name, 'n', NAME_MAX_BYTES + 1);
	memset(long_state, 's', STATE_MAX_BYTES + 1);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		bookings[i] = plain;
		bad[i] = record;
		bad[i].bookings = (struct bookings){&bookings[i], 1, 1};
	}
	bad[n++].origin.conn = NUMBER_MAX + 1;
	bad[n++].origin.conn = UINT64_MAX;
	bad[n++].origin.time_ms = TIME_MAX_MS + 1;
	bad[n++].origin.time_ms = UINT64_MAX;
	bad[n].origin.proved = proved;
	bad[n++].origin.n_proved = COUNT_OF(proved);
	bad[n++].node = name;
	bookings[n++].service = name;
	bookings[n++].client = name;
	bookings[n++].state = long_state;
	bookings[n++].counters.input_bytes = COUNTER_MAX + 2;
	bookings[n++].counters.output_bytes = UINT64_MAX;
	bookings[n++].counters.total_conns = COUNTER_MAX + 2;
	bookings[n++].counters.current_conns = UINT64_MAX;
	bookings[n++].counters.total_errs = UINT64_MAX;
	bookings[n] = marked(plain, (struct mark){COUNTER_MAX + 2, 0, 0, 0});
	bookings[++n] = marked(plain, (struct mark){0, UINT64_MAX, 0, 0});
	bookings[++n] = marked(plain, (struct mark){0, 0, COUNTER_MAX + 2, 0});
	bookings[++n] = marked(plain, (struct mark){0, 0, 0, NUMBER_MAX + 1});
	for (size_t i = 0; i < COUNT_OF(unclean); i++) {
		bad[++n].node = unclean[i];
		bookings[++n].service = unclean[i];
		bookings[++n].client = unclean[i];
		bookings[++n].state = unclean[i];
	}
	assert_int_equal(n + 1, COUNT_OF(bad));
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct record back;
		struct buf buf = {0};

		encode(&bad[i], &buf);
		AT_ROW(i, record_decode(buf.data, buf.len, &back) == ERR_JOURNAL_CORRUPT);
		buf_done(&buf);
	}
}

TEST(a_repeat_keeps_its_stream_and_what_it_repeats_and_no_bytes)
{
	struct booking list[] = {
		marked(sample_traffic("s", "u", 7, 8), (struct mark){1, 2, 3, 4}),
		sample_traffic("t", "v", 9, 9)};
	struct record record = {
		.origin = {.seq = UINT64_MAX, .conn = 9, .repeats = UINT64_MAX - 1},
		.node = "n",
		.bookings = {list, 2, 2}};
	struct record back;
	struct buf buf = {0};

	for (int kind = KIND_HANDLER; kind <= KIND_SERVICE; kind++) {
		list[0].kind = (enum event_kind)kind;
		encode(&record, &buf);
		assert_int_equal(record_decode(buf.data, buf.len, &back), 0);
		assert_same_origin(&back.origin, &record.origin);
		assert_int_equal(back.bookings.n, 1);
		assert_int_equal(back.bookings.n_stats, 0);
		assert_int_equal(back.bookings.list[0].kind, kind);
		assert_string_equal(back.bookings.list[0].service, "s");
		assert_string_equal(back.bookings.list[0].client, "");
		assert_string_equal(back.bookings.list[0].state, "");
		assert_int_equal(back.bookings.list[0].counters.input_bytes, 0);
		assert_false(back.bookings.list[0].has_mark);
		record_done(&back);
		buf_done(&buf);
	}
}

static const char *random_text(char *text, size_t max)
{
	size_t len = (size_t)rand() % max;

	for (size_t i = 0; i < len; i++)
		text[i] = (char)(1 + rand() % 255);
	text[len] = '\0';
	text_make_clean(text, len); /* as every name is */
	return text;
}

TEST(random_records_survive_the_bytes)
{
	struct booking list[40];
	char texts[2 * 40 + 1][64];
	uint64_t proved[20];

	srand(11);
	for (unsigned round = 0; round < 500; round++) {
		struct record record = {.origin.seq = (uint64_t)rand() + 1,
			.origin.conn = (uint64_t)rand(),
			.origin.time_ms = (uint64_t)rand(),
			.origin.proved = proved,
			.origin.n_proved = rand() % 2 ? (size_t)rand() % 20 : 0,
			.node = random_text(texts[80], 64),
			.bookings = {list, 1 + (size_t)rand() % 39, 0}};

		for (size_t i = 0; i < record.origin.n_proved; i++)
			proved[i] = (uint64_t)rand() << (rand() % 31);
		for (size_t i = 0; i < record.bookings.n; i++) {
			bool is_status = rand() % 5 == 0;
			const char *text = random_text(texts[2 * i + 1], 30);

			list[i] = sample_traffic(rand() % 2 || i == 0
					? random_text(texts[2 * i], 64)
					: list[i - 1].service,
				is_status ? "" : text, (uint64_t)rand() << (rand() % 22),
				(uint64_t)rand());
			list[i].kind = rand() % 2 ? KIND_SERVICE : KIND_HANDLER;
			if (is_status) {
				list[i].state = text[0] != '\0' ? text : "x";
				list[i].counters = (struct counters){0};
			} else if (rand() % 2) {
				list[i] = marked(list[i],
					(struct mark){(uint64_t)rand(), (uint64_t)rand(),
						(uint64_t)rand(), (uint64_t)rand()});
			}
			record.bookings.n_stats += !is_status;
		}
		assert_round_trip(&record);
	}
}

TEST(the_head_lies_where_the_format_says)
{
	struct record record = {.origin.seq = 0x1122334455667788,
		.synced_seq = 5,
		.origin.conn = 6,
		.origin.time_ms = 7,
		.origin.fingerprint = {0xaa},
		.node = "n"};
	struct buf buf = {0};

	encode(&record, &buf);
	assert_int_equal(buf.len, RECORD_HEAD_BYTES + 4);
	assert_memory_equal(buf.data, "\4\0\0\0", 4);
	assert_memory_equal(buf.data + 8, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
	assert_int_equal(buf.data[16], 5);
	assert_int_equal(buf.data[24], 6);
	assert_int_equal(buf.data[32], 7);
	assert_int_equal(buf.data[40], 0xaa);
	assert_memory_equal(buf.data + 56, "\1n\0\0", 4);
	buf_done(&buf);
}

/* With everything that a record may have. */
static void encode_sample(struct buf *buf)
{
	static const uint64_t proved[] = {2, 300};
	struct booking list[] = {marked(sample_traffic("s", "user", 1000, 70000),
					 (struct mark){5000, 90000, 300, 1}),
		status("s", "ready")};
	struct record record = {.origin.seq = 9,
		.origin.proved = proved,
		.origin.n_proved = COUNT_OF(proved),
		.synced_seq = 8,
		.origin.conn = 3,
		.origin.time_ms = 1234567,
		.node = "node",
		.bookings = {list, 2, 1}};

	encode(&record, buf);
}

TEST(every_flipped_bit_is_noticed)
{
	struct buf buf = {0};
	size_t size;
	uint64_t seq, synced_seq;

	encode_sample(&buf);
	for (size_t i = 0; i < buf.len * 8; i++) {
		buf.data[i / 8] ^= (uint8_t)(1u << (i % 8));
		assert_int_not_equal(
			record_check(buf.data, buf.len, &size, &seq, &synced_seq),
			RECORD_WHOLE);
		buf.data[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
	assert_int_equal(
		record_check(buf.data, buf.len, &size, &seq, &synced_seq), RECORD_WHOLE);
	buf_done(&buf);
}

TEST(every_other_byte_is_noticed)
{
	struct buf buf = {0};
	size_t size;
	uint64_t seq, synced_seq;

	encode_sample(&buf);
	for (size_t i = 0; i < buf.len; i++) {
		for (unsigned value = 1; value < 256; value++) {
			buf.data[i] ^= (uint8_t)value;
			assert_int_not_equal(
				record_check(buf.data, buf.len, &size, &seq, &synced_seq),
				RECORD_WHOLE);
			buf.data[i] ^= (uint8_t)value;
		}
	}
	buf_done(&buf);
}

TEST(every_truncation_is_short_and_more_behind_it_does_not_matter)
{
	struct buf buf = {0};
	size_t size = 0, whole;
	uint64_t seq, synced_seq;

	encode_sample(&buf);
	whole = buf.len;
	for (size_t len = 0; len < whole; len++) {
		uint8_t *copy = malloc(len + 1);

		memcpy(copy, buf.data, len);
		assert_int_equal(
			record_check(copy, len, &size, &seq, &synced_seq), RECORD_SHORT);
		assert_int_equal(size, 0);
		free(copy);
	}
	buf_put_str(&buf, "the next one");
	assert_int_equal(
		record_check(buf.data, buf.len, &size, &seq, &synced_seq), RECORD_WHOLE);
	assert_int_equal(size, whole);
	buf_done(&buf);
}

TEST(a_length_beyond_the_bound_is_bad_not_short)
{
	struct buf buf = {0};
	size_t size;
	uint64_t seq, synced_seq;

	encode_sample(&buf);
	buf_set_u32(&buf, 0, RECORD_MAX_PAYLOAD);
	assert_int_equal(
		record_check(buf.data, buf.len, &size, &seq, &synced_seq), RECORD_SHORT);
	buf_set_u32(&buf, 0, RECORD_MAX_PAYLOAD + 1);
	assert_int_equal(
		record_check(buf.data, buf.len, &size, &seq, &synced_seq), RECORD_BAD);
	buf_done(&buf);
}

TEST(zeros_are_no_record)
{
	uint8_t zeros[4096] = {0};
	size_t size;
	uint64_t seq, synced_seq;

	assert_int_equal(
		record_check(zeros, sizeof(zeros), &size, &seq, &synced_seq), RECORD_BAD);
}

/* Payloads that a checksum would cover but nobody of ours wrote. */
TEST(a_payload_that_is_not_ours_is_corrupt_and_never_read_beyond)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{"", 0},
		{"\1n", 2},
		{"\1n\0", 3},
		{"\1n\0\1", 4},
		{"\1n\0\2\0\1s", 7},
		{"\1n\0\0\0", 5},
		{"\1nx\0", 4},
		{"\0\0\377\377\377\377\377\377\377\377\377\1",
			12}, /* a count of 2^64-1 */
		{"\0\0\1\2\0\0\0\0", 8},
		{"\0\0\1\2\0\0\0\0\0\0", 10},
		{"\0\0\1\2\201\200\200\200\200\200\200\020\0\0\0\0",
			16}, /* 2^53 + 1 bytes in */
		/* a booking with a mark that ends early: a number of four, or in one */
		{"\0\0\1\022\0\0\0\0\0\1\1\1", 12},
		{"\0\0\1\022\0\0\0\0\0\1\1\1\200", 13},
		/* repeats: no kind (above), no service, no sequence, 0, itself, a later
		   one, and one byte too many behind, which counts proofs that are not
		   there */

		{"\1n\0\0\1\1s", 7},
		{"\1n\0\0\0\1s\0", 8},
		{"\1n\0\0\0\1s\0\0", 9},
		{"\1n\0\0\0\1s\0\201\202\204\210\220\240\300\200\001", 17},
		{"\1n\0\0\0\1s\0\377\377\377\377\377\377\377\377\377\001", 18},
		{"\1n\0\0\0\1s\0\5\1", 10},
		/* proofs: none told, fewer than told, more than told, one cut short */
		{"\1n\0\1\2\0\0\0\0\0\0", 11},
		{"\1n\0\1\2\0\0\0\0\0\2\7", 12},
		{"\1n\0\1\2\0\0\0\0\0\1\7\7", 13},
		{"\1n\0\1\2\0\0\0\0\0\1\200", 12},
		{"\1n\0\1\2\0\0\0\0\0\377\377\377\377\377\377\377\377\377\1\7", 21},
	};
	uint8_t bytes[RECORD_HEAD_BYTES + 32];

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct record record, before;
		uint8_t *exact = malloc(RECORD_HEAD_BYTES + rows[i].len);

		memset(bytes, 1, sizeof(bytes));
		memcpy(exact, bytes, RECORD_HEAD_BYTES);
		memcpy(exact + RECORD_HEAD_BYTES, rows[i].bytes, rows[i].len);
		memset(&record, 0x5a, sizeof(record));
		before = record;
		AT_ROW(i,
			record_decode(exact, RECORD_HEAD_BYTES + rows[i].len, &record) ==
				ERR_JOURNAL_CORRUPT);
		AT_ROW(i, memcmp(&record, &before, sizeof(record)) == 0);
		free(exact);
	}
}

TEST(mutated_payloads_never_crash_the_decoder)
{
	struct buf buf = {0};
	unsigned n_decoded = 0;

	encode_sample(&buf);
	srand(5);
	for (unsigned round = 0; round < 50000; round++) {
		struct record record;
		size_t len = RECORD_HEAD_BYTES +
			(size_t)rand() % (buf.len - RECORD_HEAD_BYTES + 1);
		uint8_t *copy = malloc(len);

		memcpy(copy, buf.data, len);
		for (int n = rand() % 4; n > 0 && len > RECORD_HEAD_BYTES; n--)
			copy[RECORD_HEAD_BYTES +
				(size_t)rand() % (len - RECORD_HEAD_BYTES)] =
				(uint8_t)rand();
		if (record_decode(copy, len, &record) == 0) {
			n_decoded++;
			record_done(&record);
		}
		free(copy);
	}
	assert_true(n_decoded > 100);
	buf_done(&buf);
}

TEST(short_memory_is_told_by_the_buffer_and_by_decode)
{
	struct buf buf = {0};
	struct record record = {.node = "n", .origin.seq = 1}, back;

	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	record_encode(&record, &buf);
	faults_reset();
	assert_false(buf_ok(&buf));
	buf_done(&buf);
	encode_sample(&buf);
	for (unsigned n = 1; n <= 2; n++) { /* bookings, and proofs */
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		AT_ROW(n, record_decode(buf.data, buf.len, &back) == ERR_NOMEM);
		faults_reset();
	}
	assert_int_equal(record_decode(buf.data, buf.len, &back), 0);
	record_done(&back);
	record_done(&back); /* is none any more */
	buf_done(&buf);
}

TEST(records_stand_one_behind_the_other_in_a_buffer)
{
	struct buf buf = {0};
	size_t size, at = 0;
	uint64_t seq, synced_seq;

	for (int i = 0; i < 3; i++)
		encode_sample(&buf);
	for (int i = 0; i < 3; i++, at += size)
		assert_int_equal(record_check(buf.data + at, buf.len - at, &size, &seq,
					 &synced_seq),
			RECORD_WHOLE);
	assert_int_equal(at, buf.len);
	buf_done(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_booking_survives_the_bytes),
		cmocka_unit_test(the_edges_of_sequences_and_names_survive_the_bytes),
		cmocka_unit_test(marks_survive_the_bytes),
		cmocka_unit_test(proofs_survive_the_bytes),
		cmocka_unit_test(
			a_whole_record_with_a_number_or_a_name_that_no_tallyd_writes_is_corrupt),
		cmocka_unit_test(
			a_repeat_keeps_its_stream_and_what_it_repeats_and_no_bytes),
		cmocka_unit_test(random_records_survive_the_bytes),
		cmocka_unit_test(the_head_lies_where_the_format_says),
		cmocka_unit_test(every_flipped_bit_is_noticed),
		cmocka_unit_test(every_other_byte_is_noticed),
		cmocka_unit_test(
			every_truncation_is_short_and_more_behind_it_does_not_matter),
		cmocka_unit_test(a_length_beyond_the_bound_is_bad_not_short),
		cmocka_unit_test(zeros_are_no_record),
		cmocka_unit_test(
			a_payload_that_is_not_ours_is_corrupt_and_never_read_beyond),
		cmocka_unit_test(mutated_payloads_never_crash_the_decoder),
		cmocka_unit_test(short_memory_is_told_by_the_buffer_and_by_decode),
		cmocka_unit_test(records_stand_one_behind_the_other_in_a_buffer),
	};

	return RUN_TESTS(tests);
}
