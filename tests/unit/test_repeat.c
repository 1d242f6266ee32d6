/*
 * Open reports: first streams alone, then in a ledger with its cuts and records. What is
 * open is compared as text: "1@10 2@11" are the records 1 and 2, resting on the
 * connections 10 and 11, in the order in which they came last.
 */
#include "lib/test.h"
#include "account/ledger.h"
#include "journal/record.h"
#include "lib/faults.h"
#include "lib/image.h"
#include "lib/sample.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Streams of a service that is in no ledger. */
struct rig {
	struct bounds bounds;
	struct service service;
	struct repeats repeats;
	struct stream stream, other;
	uint64_t seq, now_ms;
};

static void begin(struct rig *rig)
{
	*rig = (struct rig){.now_ms = 1000000};
	bounds_init(&rig->bounds, 1);
	repeats_init(&rig->repeats, &rig->bounds);
	stream_init(&rig->stream, &rig->service);
	stream_init(&rig->other, &rig->service);
}

static void end(struct rig *rig)
{
	repeats_done(&rig->repeats);
}

/* The record after the last; its fingerprint is 16 times `body`. */
static struct origin origin_of(struct rig *rig, uint64_t conn, char body)
{
	struct origin origin = {.seq = ++rig->seq, .conn = conn, .time_ms = rig->now_ms};

	memset(origin.fingerprint, body, FINGERPRINT_BYTES);
	return origin;
}

static void note(struct rig *rig, struct stream *stream, const struct origin *origin)
{
	assert_int_equal(repeats_prepare(&rig->repeats), 0);
	repeats_note(&rig->repeats, stream, origin);
}

static void report_in(struct rig *rig, struct stream *stream, uint64_t conn, char body)
{
	struct origin origin = origin_of(rig, conn, body);

	note(rig, stream, &origin);
}

static void report(struct rig *rig, uint64_t conn, char body)
{
	report_in(rig, &rig->stream, conn, body);
}

static void repeat(struct rig *rig, uint64_t conn, char body, uint64_t seq)
{
	struct origin origin = origin_of(rig, conn, body);

	origin.repeats = seq;
	note(rig, &rig->stream, &origin);
}

static const char *open_in(const struct stream *stream)
{
	static char text[16 * 2 * REPEAT_MAX_OPEN];
	const struct open_report *report;
	size_t len = 0;
	unsigned n = 0;

	text[0] = '\0';
	TAILQ_FOREACH (report, &stream->open, link) {
		len += (size_t)snprintf(text + len, sizeof(text) - len,
			"%s%" PRIu64 "@%" PRIu64, n > 0 ? " " : "", report->seq,
			report->conn);
		n++;
	}
	assert_int_equal(n, stream->n_open);
	return text;
}

static void assert_open(const struct rig *rig, const char *open)
{
	assert_string_equal(open_in(&rig->stream), open);
	assert_int_equal(rig->repeats.n_open, rig->stream.n_open + rig->other.n_open);
}

/* The sequences that are found for that body, in order. */
static void assert_found(const struct rig *rig, char body, const char *seqs)
{
	uint8_t fingerprint[FINGERPRINT_BYTES];
	const struct open_report *found;
	char text[64] = "";

	memset(fingerprint, body, sizeof(fingerprint));
	TAILQ_FOREACH (found, &rig->stream.open, link)
		if (memcmp(found->fingerprint, fingerprint, FINGERPRINT_BYTES) == 0)
			(void)sprintf(text + strlen(text), "%" PRIu64 " ", found->seq);
	assert_string_equal(text, seqs);
}

TEST(an_accepted_report_is_open_and_rests_on_its_connection)
{
	struct rig rig;

	begin(&rig);
	assert_open(&rig, "");
	assert_false(rig.stream.row.is_dirty);
	report(&rig, 10, 'a');
	assert_open(&rig, "1@10");
	assert_true(rig.stream.row.is_dirty);
	assert_false(rig.other.row.is_dirty);
	assert_int_equal(TAILQ_FIRST(&rig.stream.open)->time_ms, 1000000);
	end(&rig);
}

TEST(a_later_record_of_the_connection_proves_the_report)
{
	struct rig rig;

	begin(&rig);
	report(&rig, 10, 'a');
	report(&rig, 11, 'a');
	report(&rig, 10, 'b');
	assert_open(&rig, "2@11 3@10");
	/* In whichever stream it stands: handlers share connections. */
	report_in(&rig, &rig.other, 11, 'c');
	assert_open(&rig, "3@10");
	assert_string_equal(open_in(&rig.other), "4@11");
	end(&rig);
}

TEST(a_record_tells_what_was_proved_since_the_one_before)
{
	uint64_t proved[] = {10, 12, 99, 10};
	struct rig rig;
	struct origin origin;

	begin(&rig);
	report(&rig, 10, 'a');
	report(&rig, 11, 'a');
	report_in(&rig, &rig.other, 12, 'a');
	origin = origin_of(&rig, 13, 'a');
	origin.proved = proved;
	origin.n_proved = COUNT_OF(proved);
	note(&rig, &rig.stream, &origin);
	assert_open(&rig, "2@11 4@13");
	assert_string_equal(open_in(&rig.other), "");
	end(&rig);
}

TEST(a_proof_ends_the_report_and_waits_for_the_next_record)
{
	struct rig rig;

	begin(&rig);
	report(&rig, 10, 'a');
	report(&rig, 11, 'a');
	repeats_prove(&rig.repeats, 11);
	repeats_prove(&rig.repeats, 11); /* nothing of it is open any more */
	repeats_prove(&rig.repeats, 99);
	assert_open(&rig, "1@10");
	assert_int_equal(rig.repeats.proofs.n, 1);
	assert_int_equal(rig.repeats.proofs.conns[0], 11);
	repeats_prove(&rig.repeats, 10);
	assert_int_equal(rig.repeats.proofs.n, 2);
	report(&rig, 12, 'a');
	assert_int_equal(rig.repeats.proofs.n, 0);
	/* What the next record itself proves needs not be told. */
	report(&rig, 12, 'a');
	assert_int_equal(rig.repeats.proofs.n, 0);
	end(&rig);
}

TEST(connections_that_share_a_bucket_are_told_apart)
{
	struct rig rig;

	begin(&rig);
	report(&rig, 1, 'a');
	report(&rig, 1 + rig.repeats.n_buckets, 'b');
	report(&rig, 1 + 2 * rig.repeats.n_buckets, 'c');
	repeats_prove(&rig.repeats, 1 + rig.repeats.n_buckets);
	assert_open(&rig, "1@1 3@2049");
	report(&rig, 1, 'd');
	assert_open(&rig, "3@2049 4@1");
	end(&rig);
}

TEST(the_highest_connection_is_known_also_of_a_checkpoint)
{
	struct origin origin = {.seq = 1, .conn = 500};
	struct rig rig;

	begin(&rig);
	assert_int_equal(repeats_load(&rig.repeats, &rig.stream, &origin), 0);
	report(&rig, 20, 'a');
	assert_int_equal(rig.repeats.last_conn, 500);
	report(&rig, 501, 'a');
	repeats_prove(&rig.repeats, 501);
	assert_int_equal(rig.repeats.last_conn, 501);
	end(&rig);
}

TEST(connections_are_found_however_many_reports_are_open)
{
	struct rig rig;
	struct stream streams[100];

	begin(&rig);
	for (size_t i = 0; i < COUNT_OF(streams); i++)
		stream_init(&streams[i], &rig.service);
	for (uint64_t conn = 1; conn <= 5000; conn++) {
		struct origin origin = {.seq = conn, .conn = conn, .time_ms = 1};

		assert_int_equal(repeats_prepare(&rig.repeats), 0);
		repeats_note(&rig.repeats, &streams[conn % COUNT_OF(streams)], &origin);
	}
	assert_true(rig.repeats.n_buckets >= 5000);
	assert_int_equal(rig.repeats.n_open, 5000);
	for (uint64_t conn = 1; conn <= 5000; conn++)
		repeats_prove(&rig.repeats, conn);
	assert_int_equal(rig.repeats.n_open, 0);
	end(&rig);
}

TEST(a_repeat_moves_the_report_to_its_connection_and_to_the_end)
{
	struct rig rig;

	begin(&rig);
	report(&rig, 10, 'a');
	report(&rig, 11, 'b');
	rig.now_ms = 1005000;
	repeat(&rig, 12, 'a', 1);
	assert_open(&rig, "2@11 1@12");
	assert_int_equal(TAILQ_LAST(&rig.stream.open, open_reports)->time_ms, 1005000);
	/* The connection that it has left proves nothing of it. */
	repeats_prove(&rig.repeats, 10);
	report_in(&rig, &rig.other, 10, 'c');
	assert_open(&rig, "2@11 1@12");
	repeats_prove(&rig.repeats, 12);
	assert_open(&rig, "2@11");
	end(&rig);
}

TEST(a_chain_of_repeats_stays_one_open_report)
{
	struct rig rig;

	begin(&rig);
	report(&rig, 10, 'a');
	for (uint64_t conn = 11; conn < 30; conn++) {
		repeat(&rig, conn, 'a', 1);
		assert_int_equal(rig.repeats.n_open, 1);
	}
	assert_open(&rig, "1@29");
	report(&rig, 29, 'b');
	assert_open(&rig, "21@29");
	end(&rig);
}

TEST(a_repeat_proves_what_its_connection_brought_before)
{
	struct rig rig;

	begin(&rig);
	report(&rig, 10, 'a');
	report(&rig, 11, 'b');
	report(&rig, 12, 'c');
	repeat(&rig, 11, 'a', 1);
	assert_open(&rig, "3@12 1@11");
	end(&rig);
}

TEST(a_repeat_does_not_prove_what_it_repeats)
{
	uint64_t proved[] = {10};
	struct rig rig;
	struct origin origin;

	begin(&rig);
	report(&rig, 10, 'a');
	repeat(&rig, 10, 'a', 1);
	assert_open(&rig, "1@10");
	origin = origin_of(&rig, 11, 'a');
	origin.repeats = 1;
	origin.proved = proved;
	origin.n_proved = COUNT_OF(proved);
	note(&rig, &rig.stream, &origin);
	assert_open(&rig, "1@11");
	end(&rig);
}

TEST(a_repeat_of_what_is_not_open_here_opens_it_under_its_own_sequence)
{
	struct rig rig;

	begin(&rig);
	rig.seq = 7;
	repeat(&rig, 10, 'a', 3);
	assert_open(&rig, "3@10");
	assert_found(&rig, 'a', "3 ");
	end(&rig);
}

TEST(three_senders_with_equal_names_and_bodies_have_one_open_each)
{
	struct rig rig;

	begin(&rig);
	report(&rig, 10, 'a');
	report(&rig, 11, 'b');
	report(&rig, 12, 'a');
	report(&rig, 13, 'a');
	report_in(&rig, &rig.other, 14, 'a');
	assert_found(&rig, 'a', "1 3 4 ");
	assert_found(&rig, 'b', "2 ");
	assert_found(&rig, 'c', "");
	repeat(&rig, 15, 'a', 3);
	assert_found(&rig, 'a', "1 4 3 ");
	repeats_prove(&rig.repeats, 13);
	assert_found(&rig, 'a', "1 3 ");
	repeat(&rig, 16, 'a', 1);
	assert_open(&rig, "2@11 3@15 1@16");
	end(&rig);
}

static enum delivery always_lost(void *arg, uint64_t conn)
{
	(void)arg;
	(void)conn;
	return DELIVERY_LOST;
}

static uint64_t find_fingerprint(
	struct rig *rig, const uint8_t fingerprint[FINGERPRINT_BYTES])
{
	return repeats_find(&rig->repeats, &rig->stream, fingerprint, always_lost, NULL);
}

TEST(a_fingerprint_differs_by_any_byte)
{
	struct rig rig;
	uint8_t fingerprint[FINGERPRINT_BYTES];

	begin(&rig);
	report(&rig, 10, 'a');
	for (size_t i = 0; i < FINGERPRINT_BYTES; i++) {
		memset(fingerprint, 'a', sizeof(fingerprint));
		AT_ROW(i, find_fingerprint(&rig, fingerprint) != 0);
		fingerprint[i]++;
		AT_ROW(i, find_fingerprint(&rig, fingerprint) == 0);
	}
	end(&rig);
}

/* What is known of connections: those below 20 are lost, those above 30 have arrived. */
static enum delivery fate_of(void *arg, uint64_t conn)
{
	++*(unsigned *)arg;
	if (conn < 20)
		return DELIVERY_LOST;
	return conn < 30 ? DELIVERY_UNDECIDED : DELIVERY_ARRIVED;
}

static uint64_t find(struct rig *rig, char body, unsigned *ret_n_asked)
{
	uint8_t fingerprint[FINGERPRINT_BYTES];

	memset(fingerprint, body, sizeof(fingerprint));
	*ret_n_asked = 0;
	return repeats_find(
		&rig->repeats, &rig->stream, fingerprint, fate_of, ret_n_asked);
}

TEST(a_repeat_is_of_the_first_whose_answer_was_lost)
{
	static const struct {
		uint64_t conns[4];
		uint64_t found;
		unsigned n_asked;
		const char *open;
	} rows[] = {
		{{0}, 0, 0, "5@9"},
		{{10}, 1, 1, "1@10 5@9"},
		{{20}, 0, 1, "1@20 5@9"},
		{{30}, 0, 1, "5@9"},
		{{20, 10}, 2, 2, "1@20 2@10 5@9"},
		{{30, 10}, 2, 2, "2@10 5@9"},
		{{10, 30}, 1, 1, "1@10 2@30 5@9"}, /* nobody asks for the others */
		{{30, 31, 20, 32}, 0, 4, "3@20 5@9"},
		{{20, 31, 21, 12}, 4, 4, "1@20 3@21 4@12 5@9"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct rig rig;
		unsigned n_asked;

		begin(&rig);
		for (size_t j = 0; j < COUNT_OF(rows[i].conns); j++) {
			rig.seq = j;
			if (rows[i].conns[j] != 0)
				report(&rig, rows[i].conns[j], 'a');
		}
		rig.seq = 4;
		report(&rig, 9, 'b');
		AT_ROW(i, find(&rig, 'a', &n_asked) == rows[i].found);
		AT_ROW(i, n_asked == rows[i].n_asked);
		AT_ROW(i, strcmp(open_in(&rig.stream), rows[i].open) == 0);
		end(&rig);
	}
}

TEST(what_turns_out_to_have_arrived_is_told_by_the_next_record)
{
	struct rig rig;
	unsigned n_asked;

	begin(&rig);
	report(&rig, 30, 'a');
	report(&rig, 31, 'a');
	assert_int_equal(find(&rig, 'a', &n_asked), 0);
	assert_int_equal(rig.repeats.proofs.n, 2);
	assert_int_equal(rig.repeats.proofs.conns[1], 31);
	end(&rig);
}

TEST(more_than_the_bound_drop_the_oldest_of_their_stream_and_are_counted)
{
	struct rig rig;
	uint64_t conn = 1;

	begin(&rig);
	report_in(&rig, &rig.other, conn++, 'o');
	report(&rig, conn++, 'a');
	report(&rig, conn++, 'b');
	for (unsigned i = 2; i < REPEAT_MAX_OPEN; i++)
		report(&rig, conn++, 'x');
	assert_int_equal(rig.stream.n_open, REPEAT_MAX_OPEN);
	assert_int_equal(rig.repeats.n_dropped, 0);
	/* A repeat is no more, and makes its report the youngest. */
	repeat(&rig, conn++, 'a', 2);
	assert_int_equal(rig.repeats.n_dropped, 0);
	report(&rig, conn++, 'y');
	assert_int_equal(rig.stream.n_open, REPEAT_MAX_OPEN);
	assert_int_equal(rig.repeats.n_dropped, 1);
	assert_found(&rig, 'b', "");
	assert_found(&rig, 'a', "2 ");
	assert_found(&rig, 'y', "67 ");
	/* What its own connection brought is proved first, and makes room. */
	report(&rig, conn - 1, 'z');
	assert_int_equal(rig.repeats.n_dropped, 1);
	assert_int_equal(rig.stream.n_open, REPEAT_MAX_OPEN);
	assert_string_equal(open_in(&rig.other), "1@1");
	end(&rig);
}

/* So many reports of another connection, so far apart. */
static void go_on(struct rig *rig, unsigned n, uint64_t pause_ms)
{
	for (unsigned i = 0; i < n; i++) {
		rig->now_ms += pause_ms;
		report(rig, 99, 'x');
	}
}

TEST(a_report_lapses_when_its_stream_has_reported_for_five_minutes_without_it)
{
	static const struct {
		unsigned n;
		uint64_t pause_ms;
		unsigned n_open;
	} rows[] = {
		{60, 5000, 1},
		{59, 5000, 2},
		{299, 1000, 2},
		{300, 1000, 1},
		{1, 299999, 2}, /* a pause counts as half a minute at most */
		{9, 30000, 2},
		{10, 30000, 1},
		{9, 100000000, 2},
		{10, 100000000, 1},
		{1000, 0, 2},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct rig rig;

		begin(&rig);
		report(&rig, 10, 'a');
		go_on(&rig, rows[i].n, rows[i].pause_ms);
		AT_ROW(i, rig.stream.n_open == rows[i].n_open);
		AT_ROW(i, rig.repeats.n_dropped == 0);
		end(&rig);
	}
}

TEST(a_report_that_is_alone_lapses_with_the_next_one_after_its_time)
{
	struct rig rig;

	begin(&rig);
	report(&rig, 10, 'a');
	/* Silence is no reporting, however long: it is still open. */
	rig.now_ms += 24 * 3600 * 1000;
	assert_found(&rig, 'a', "1 ");
	repeat(&rig, 11, 'a', 1);
	assert_open(&rig, "1@11");
	end(&rig);
}

TEST(a_repeat_begins_the_time_of_its_report_again)
{
	struct rig rig;

	begin(&rig);
	report(&rig, 10, 'a');
	report(&rig, 11, 'b');
	go_on(&rig, 50, 5000);
	rig.now_ms += 1000;
	repeat(&rig, 12, 'a', 1);
	go_on(&rig, 10, 5000);
	assert_found(&rig, 'a', "1 ");
	assert_found(&rig, 'b', "");
	go_on(&rig, 50, 5000);
	assert_found(&rig, 'a', "");
	end(&rig);
}

TEST(a_repeat_that_comes_at_the_last_moment_does_not_lapse)
{
	struct rig rig;

	begin(&rig);
	report(&rig, 10, 'a');
	go_on(&rig, 59, 5000);
	rig.now_ms += 30000; /* over the time, had it not come */
	repeat(&rig, 11, 'a', 1);
	assert_found(&rig, 'a', "1 ");
	end(&rig);
}

TEST(a_clock_that_is_set_does_not_make_time_pass)
{
	struct rig rig;

	begin(&rig);
	report(&rig, 10, 'a');
	for (unsigned i = 0; i < 100; i++) {
		rig.now_ms -= 5000;
		report(&rig, 99, 'x');
	}
	assert_found(&rig, 'a', "1 ");
	go_on(&rig, 59, 5000);
	assert_found(&rig, 'a', "1 ");
	rig.now_ms = 1; /* to 1970, and on from there */
	report(&rig, 99, 'x');
	assert_found(&rig, 'a', "1 ");
	go_on(&rig, 1, 5000);
	assert_found(&rig, 'a', "");
	end(&rig);
}

TEST(time_passes_for_each_stream_alone)
{
	struct rig rig;

	begin(&rig);
	report_in(&rig, &rig.other, 10, 'a');
	report(&rig, 11, 'b');
	go_on(&rig, 100, 5000);
	assert_found(&rig, 'b', "");
	assert_string_equal(open_in(&rig.other), "1@10");
	end(&rig);
}

TEST(a_restart_of_the_sender_ends_all_of_its_stream)
{
	struct rig rig;

	begin(&rig);
	report(&rig, 10, 'a');
	report(&rig, 11, 'b');
	report_in(&rig, &rig.other, 12, 'c');
	repeats_lapse(&rig.repeats, &rig.stream);
	assert_open(&rig, "");
	assert_string_equal(open_in(&rig.other), "3@12");
	assert_int_equal(rig.repeats.proofs.n, 0); /* nothing was proved */
	assert_int_equal(rig.repeats.n_dropped, 0);
	repeats_lapse(&rig.repeats, &rig.stream);
	report(&rig, 10, 'a');
	assert_open(&rig, "4@10");
	end(&rig);
}

TEST(a_loaded_report_is_open_and_not_dirty)
{
	struct rig rig;
	struct origin origin;

	begin(&rig);
	rig.seq = 4;
	for (uint64_t conn = 10; conn < 13; conn++) {
		origin = origin_of(&rig, conn, 'a');
		assert_int_equal(repeats_load(&rig.repeats, &rig.stream, &origin), 0);
	}
	assert_open(&rig, "5@10 6@11 7@12");
	assert_false(rig.stream.row.is_dirty);
	assert_int_equal(rig.repeats.dirty.n, 0);
	repeat(&rig, 20, 'a', 6);
	repeats_prove(&rig.repeats, 12);
	assert_open(&rig, "5@10 6@20");
	assert_true(rig.stream.row.is_dirty);
	end(&rig);
}

TEST(of_two_loaded_reports_of_one_connection_the_first_stays)
{
	struct rig rig;
	struct origin origin;

	begin(&rig);
	for (int i = 0; i < 2; i++) {
		origin = origin_of(&rig, 10, 'a');
		assert_int_equal(repeats_load(&rig.repeats, &rig.stream, &origin), 0);
	}
	assert_open(&rig, "1@10");
	end(&rig);
}

TEST(the_time_of_a_loaded_report_begins_with_the_first_record_after_it)
{
	struct rig rig;
	struct origin origin;

	begin(&rig);
	origin = origin_of(&rig, 10, 'a');
	assert_int_equal(repeats_load(&rig.repeats, &rig.stream, &origin), 0);
	go_on(&rig, 1, 100000000); /* how long we were away tells nothing */
	go_on(&rig, 59, 5000);
	assert_found(&rig, 'a', "1 ");
	go_on(&rig, 1, 5000);
	assert_found(&rig, 'a', "");
	end(&rig);
}

TEST(a_stream_is_dirty_once_until_it_is_marked_clean)
{
	struct rig rig;

	begin(&rig);
	report(&rig, 10, 'a');
	report(&rig, 11, 'a');
	assert_int_equal(rig.repeats.dirty.n, 1);
	report_in(&rig, &rig.other, 12, 'a');
	assert_int_equal(rig.repeats.dirty.n, 2);
	dirty_clean(&rig.repeats.dirty, &rig.stream.row);
	assert_ptr_equal(TAILQ_FIRST(&rig.repeats.dirty.list), &rig.other.row);
	assert_int_equal(rig.repeats.dirty.n, 1);
	repeats_prove(&rig.repeats, 10); /* what is open has changed */
	assert_int_equal(rig.repeats.dirty.n, 2);
	dirty_clean(&rig.repeats.dirty, &rig.stream.row);
	dirty_clean(&rig.repeats.dirty, &rig.other.row);
	repeats_prove(&rig.repeats, 99);
	dirty_mark(&rig.repeats.dirty, &rig.stream.row);
	dirty_mark(&rig.repeats.dirty, &rig.stream.row);
	assert_int_equal(rig.repeats.dirty.n, 1);
	end(&rig);
}

TEST(what_is_prepared_needs_no_memory_when_it_is_noted)
{
	struct rig rig;
	struct origin origin;

	begin(&rig);
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	assert_int_equal(repeats_prepare(&rig.repeats), ERR_NOMEM);
	faults_reset();
	for (uint64_t conn = 10; conn < 10 + 2 * REPEAT_MAX_OPEN; conn++) {
		assert_int_equal(repeats_prepare(&rig.repeats), 0);
		faults_fail_from(FAULT_MEMORY, 1, ENOMEM);
		/* Once is enough, if nothing came of it. */
		assert_int_equal(repeats_prepare(&rig.repeats), 0);
		origin = origin_of(&rig, conn, 'a');
		repeats_note(&rig.repeats, &rig.stream, &origin);
		assert_false(faults_fired(FAULT_MEMORY));
		faults_reset();
	}
	assert_int_equal(rig.stream.n_open, REPEAT_MAX_OPEN);
	end(&rig);
}

TEST(a_loaded_report_that_finds_no_memory_is_told)
{
	struct rig rig;
	struct origin origin;

	begin(&rig);
	origin = origin_of(&rig, 10, 'a');
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	assert_int_equal(repeats_load(&rig.repeats, &rig.stream, &origin), ERR_NOMEM);
	faults_reset();
	assert_open(&rig, "");
	end(&rig);
}

TEST(a_proof_that_finds_no_memory_ends_the_report_and_is_not_told)
{
	struct rig rig;

	begin(&rig);
	for (uint64_t conn = 1; conn <= 17; conn++)
		report(&rig, conn, 'a');
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	repeats_prove(&rig.repeats, 1);
	faults_reset();
	assert_int_equal(rig.stream.n_open, 16);
	assert_int_equal(rig.repeats.proofs.n, 0);
	for (uint64_t conn = 2; conn <= 17; conn++)
		repeats_prove(&rig.repeats, conn);
	assert_int_equal(rig.repeats.proofs.n, 16);
	report(&rig, 18, 'a');
	report(&rig, 19, 'a');
	repeats_prove(&rig.repeats, 18);
	assert_int_equal(rig.repeats.proofs.n, 1);
	assert_int_equal(rig.repeats.proofs.conns[0], 18);
	end(&rig);
}

TEST(proofs_grow_beyond_their_first_room_and_lose_none_that_were_kept)
{
	struct rig rig;

	begin(&rig);
	for (uint64_t conn = 1; conn <= 40; conn++)
		report(&rig, conn, 'a');
	for (uint64_t conn = 1; conn <= 40; conn++) {
		if (conn == 17)
			faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
		repeats_prove(&rig.repeats, conn);
		faults_reset();
	}
	assert_int_equal(rig.repeats.proofs.n, 39);
	for (uint64_t i = 0; i < 39; i++)
		AT_ROW(i, rig.repeats.proofs.conns[i] == i + (i < 16 ? 1 : 2));
	end(&rig);
}

/* From here on with a ledger: node "n", service "s", user "u". */

static struct ledger *new_ledger(void)
{
	struct ledger *ledger = ledger_new(1000, false);

	assert_non_null(ledger);
	return ledger;
}

static struct ledger_stats stats_of(const struct ledger *ledger)
{
	struct ledger_stats stats;

	ledger_get_stats(ledger, &stats);
	return stats;
}

static struct origin next_origin(
	const struct ledger *ledger, uint64_t conn, uint64_t repeats)
{
	return (struct origin){.seq = ledger_seq(ledger) + 1,
		.conn = conn,
		.time_ms = 1000,
		.repeats = repeats,
		.fingerprint = {1}};
}

/* Through the bytes of a record into `folded`, if there is one, and into the ledger. */
static void apply_to_both(struct ledger *ledger, struct ledger *folded,
	struct bookings *bookings, struct origin origin)
{
	struct record record = {.node = "n"}, back;
	struct buf buf = {0};

	bookings->n_stats = 0;
	for (size_t i = 0; i < bookings->n; i++)
		bookings->n_stats += bookings->list[i].state[0] == '\0';
	record.bookings = *bookings;
	assert_int_equal(ledger_prepare(ledger, "n", bookings), 0);
	ledger_measure(ledger, bookings);
	ledger_tell_proofs(ledger, &origin);
	record.origin = origin;
	record_encode(&record, &buf);
	assert_true(buf_ok(&buf));
	ledger_apply(ledger, bookings, &origin);
	if (folded != NULL) {
		assert_int_equal(record_decode(buf.data, buf.len, &back), 0);
		assert_int_equal(ledger_prepare(folded, "n", &back.bookings), 0);
		ledger_apply(folded, &back.bookings, &back.origin);
		record_done(&back);
	}
	buf_done(&buf);
}

static void apply(
	struct ledger *ledger, struct booking booking, uint64_t conn, uint64_t repeats)
{
	struct bookings bookings = {&booking, 1, 1};

	apply_to_both(ledger, NULL, &bookings, next_origin(ledger, conn, repeats));
}

static void book(struct ledger *ledger, uint64_t conn)
{
	apply(ledger, sample_traffic("s", "u", 5, 6), conn, 0);
}

static struct booking service_traffic(void)
{
	struct booking booking = sample_traffic("s", "", 50, 60);

	booking.kind = KIND_SERVICE;
	return booking;
}

static struct booking state_of(const char *state)
{
	return (struct booking){
		.kind = KIND_SERVICE, .service = "s", .client = "", .state = state};
}

/* The stream of that kind of service "s". */
static const struct stream *stream_of(struct ledger *ledger, enum event_kind kind)
{
	struct booking booking = sample_traffic("s", "", 0, 0);
	struct bookings bookings = {&booking, 1, 1};

	booking.kind = kind;
	assert_int_equal(ledger_prepare(ledger, "n", &bookings), 0);
	return &booking.in_service->stream;
}

static void assert_handler_open(struct ledger *ledger, const char *open)
{
	assert_string_equal(open_in(stream_of(ledger, KIND_HANDLER)), open);
}

TEST(a_report_is_open_in_the_stream_of_its_first_service)
{
	struct ledger *ledger = new_ledger();
	struct booking list[] = {
		sample_traffic("t", "u", 1, 0), sample_traffic("s", "u", 2, 0)};
	struct bookings bookings = {list, 2, 2};

	apply_to_both(ledger, NULL, &bookings, next_origin(ledger, 10, 0));
	assert_string_equal(open_in(&list[0].in_service->stream), "1@10");
	assert_handler_open(ledger, "");
	assert_int_equal(stats_of(ledger).open_reports, 1);
	ledger_free(ledger);
}

TEST(what_is_only_prepared_is_not_open)
{
	struct ledger *ledger = new_ledger();
	struct booking booking = sample_traffic("s", "u", 1, 0);
	struct bookings bookings = {&booking, 1, 1};

	assert_int_equal(ledger_prepare(ledger, "n", &bookings), 0);
	assert_int_equal(stats_of(ledger).open_reports, 0);
	ledger_forget_prepared(ledger, "n", &bookings);
	assert_false(ledger_is_dirty(ledger));
	ledger_free(ledger);
}

TEST(a_repeat_adds_nothing_to_anybody)
{
	struct ledger *ledger = new_ledger();
	struct booking marked = sample_traffic("s", "u", 100, 50);
	struct image image = {0}, after;

	marked.has_mark = true;
	apply(ledger, marked, 10, 0);
	image_flush(&image, ledger);
	after = image;
	for (uint64_t conn = 11; conn < 14; conn++) {
		marked.counters.input_bytes = 70; /* as if it were a restart */
		apply(ledger, marked, conn, 1);
		assert_int_equal(ledger_find_user(ledger, "u")->total.used, 150);
		image_flush(&after, ledger);
	}
	assert_int_equal(after.applied_seq, 4);
	assert_memory_equal(after.users, image.users, sizeof(image.users));
	assert_memory_equal(after.services, image.services, sizeof(image.services));
	assert_memory_equal(after.series, image.series, sizeof(image.series));
	assert_int_equal(after.n_open_reports, 1);
	assert_int_equal(after.open_reports[0].origin.seq, 1);
	assert_int_equal(after.open_reports[0].origin.conn, 13);
	ledger_free(ledger);
}

TEST(a_cut_holds_all_that_is_open_in_streams_that_changed_and_no_others)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	book(ledger, 10);
	book(ledger, 11);
	apply(ledger, sample_traffic("t", "u", 1, 0), 12, 0);
	cut = ledger_cut(ledger);
	assert_int_equal(cut->n_streams, 2);
	assert_int_equal(cut->n_open_reports, 3);
	ledger_cut_committed(ledger, cut);
	book(ledger, 13);
	cut = ledger_cut(ledger);
	assert_int_equal(cut->n_streams, 1);
	assert_string_equal(cut->streams[0]->service->name, "s");
	assert_int_equal(cut->n_open_reports, 3);
	assert_int_equal(cut->open_reports[0].origin.seq, 1);
	assert_int_equal(cut->open_reports[2].origin.seq, 4);
	assert_int_equal(cut->open_reports[2].origin.conn, 13);
	assert_int_equal(cut->open_reports[2].origin.time_ms, 1000);
	assert_int_equal(cut->open_reports[2].origin.fingerprint[0], 1);
	assert_int_equal(cut->open_reports[2].origin.n_proved, 0);
	ledger_cut_committed(ledger, cut);
	assert_false(ledger_is_dirty(ledger));
	ledger_free(ledger);
}

TEST(a_proof_alone_makes_the_ledger_dirty_and_its_cut_clears_the_stream)
{
	struct ledger *ledger = new_ledger();
	struct image image = {0};
	struct cut *cut;

	book(ledger, 10);
	image_flush(&image, ledger);
	assert_int_equal(image.n_open_reports, 1);
	assert_false(ledger_is_dirty(ledger));
	repeats_prove(ledger_repeats(ledger), 10);
	assert_true(ledger_is_dirty(ledger));
	assert_int_equal(stats_of(ledger).dirty_users, 0);
	cut = ledger_cut(ledger);
	assert_int_equal(cut->seq, cut->prev_seq);
	assert_int_equal(cut->n_streams, 1);
	assert_int_equal(cut->n_open_reports, 0);
	image_commit(&image, cut);
	ledger_cut_committed(ledger, cut);
	assert_int_equal(image.n_open_reports, 0);
	assert_false(ledger_is_dirty(ledger));
	ledger_free(ledger);
}

TEST(streams_that_change_while_a_cut_is_out_go_with_the_next_one_as_they_are_then)
{
	struct ledger *ledger = new_ledger();
	struct image image = {0};
	struct cut *cut;

	book(ledger, 10);
	apply(ledger, sample_traffic("t", "u", 1, 0), 11, 0);
	cut = ledger_cut(ledger);
	repeats_prove(ledger_repeats(ledger), 10);
	book(ledger, 12);
	image_commit(&image, cut);
	ledger_cut_committed(ledger, cut);
	assert_int_equal(image.n_open_reports, 2);
	assert_true(ledger_is_dirty(ledger));
	image_flush(&image, ledger);
	assert_int_equal(image.n_open_reports, 2);
	ledger_free(ledger);
	ledger = new_ledger();
	assert_int_equal(image_load(&image, ledger), 0);
	assert_handler_open(ledger, "3@12");
	assert_int_equal(stats_of(ledger).open_reports, 2);
	ledger_free(ledger);
}

TEST(what_was_open_at_a_cut_is_open_after_a_load_and_nothing_is_dirty)
{
	struct ledger *ledger = new_ledger();
	struct image image = {0};

	book(ledger, 10);
	book(ledger, 11);
	book(ledger, 12);
	apply(ledger, service_traffic(), 13, 0);
	apply(ledger, sample_traffic("s", "u", 5, 6), 14, 1);
	repeats_prove(ledger_repeats(ledger), 12);
	assert_handler_open(ledger, "2@11 1@14");
	image_flush(&image, ledger);
	ledger_free(ledger);
	ledger = new_ledger();
	assert_int_equal(image_load(&image, ledger), 0);
	assert_false(ledger_is_dirty(ledger));
	/* At one time, so the sequences decide. */
	assert_handler_open(ledger, "1@14 2@11");
	assert_string_equal(open_in(stream_of(ledger, KIND_SERVICE)), "4@13");
	assert_int_equal(stats_of(ledger).open_reports, 3);
	apply(ledger, sample_traffic("s", "u", 5, 6), 15, 2);
	assert_int_equal(ledger_find_user(ledger, "u")->total.used, 33);
	assert_handler_open(ledger, "1@14 2@15");
	ledger_free(ledger);
}

/* Every way in which a report can end or move, told by records alone. */
TEST(a_fold_of_the_records_has_open_what_the_ledger_had)
{
	struct ledger *ledger = new_ledger(), *folded = new_ledger();
	static const struct {
		uint64_t conn, repeats, proves;
		const char *open;
	} rows[] = {
		{10, 0, 0, "1@10"},
		{11, 0, 0, "1@10 2@11"},
		{12, 0, 10, "2@11 3@12"},
		{11, 0, 0, "3@12 4@11"},
		{13, 3, 0, "4@11 3@13"},
		{14, 3, 11, "3@14"},
		{12, 0, 0, "3@14 7@12"}, /* which the repeats have left */
		{14, 0, 12, "8@14"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct booking booking = sample_traffic("s", "u", 5, 6);
		struct bookings bookings = {&booking, 1, 1};

		if (rows[i].proves != 0)
			repeats_prove(ledger_repeats(ledger), rows[i].proves);
		apply_to_both(ledger, folded, &bookings,
			next_origin(ledger, rows[i].conn, rows[i].repeats));
		assert_handler_open(ledger, rows[i].open);
		assert_handler_open(folded, rows[i].open);
	}
	assert_int_equal(ledger_find_user(folded, "u")->total.used, 6 * 11);
	ledger_free(ledger);
	ledger_free(folded);
}

TEST(the_announcement_of_a_restart_ends_what_is_open_of_both_kinds)
{
	struct ledger *ledger = new_ledger();

	book(ledger, 10);
	apply(ledger, sample_traffic("t", "u", 1, 0), 11, 0);
	apply(ledger, service_traffic(), 12, 0);
	apply(ledger, state_of("ready"), 13, 0);
	apply(ledger, state_of("running"), 14, 0);
	assert_handler_open(ledger, "1@10");
	assert_string_equal(open_in(stream_of(ledger, KIND_SERVICE)), "3@12");
	apply(ledger, state_of("ready"), 15, 0);
	assert_handler_open(ledger, "");
	assert_string_equal(open_in(stream_of(ledger, KIND_SERVICE)), "");
	assert_int_equal(stats_of(ledger).open_reports, 1); /* another service's */
	ledger_free(ledger);
}

/* Every start announces itself in the same words. */
TEST(a_state_is_not_open_and_repeats_nothing)
{
	struct ledger *ledger = new_ledger(), *folded = new_ledger();
	struct booking list[] = {state_of("ready"), sample_traffic("s", "u", 5, 6)};
	struct bookings bookings = {list, 1, 0};
	const uint8_t fingerprint[FINGERPRINT_BYTES] = {1};
	unsigned n_asked = 0;

	apply_to_both(ledger, folded, &bookings, next_origin(ledger, 10, 0));
	assert_int_equal(stats_of(ledger).open_reports, 0);
	assert_int_equal(stats_of(folded).open_reports, 0);
	assert_null(ledger_stream(&bookings));
	assert_int_equal(repeats_find(ledger_repeats(ledger), NULL, fingerprint, fate_of,
				 &n_asked),
		0);
	assert_int_equal(n_asked, 0);
	/* With traffic beside it, it is a report like any other. */
	bookings.n = 2;
	apply_to_both(ledger, folded, &bookings, next_origin(ledger, 11, 0));
	assert_int_equal(stats_of(folded).open_reports, 1);
	assert_ptr_equal(ledger_stream(&bookings), &list[0].in_service->stream);
	assert_int_equal(repeats_find(ledger_repeats(ledger), ledger_stream(&bookings),
				 fingerprint, fate_of, &n_asked),
		2);
	ledger_free(ledger);
	ledger_free(folded);
}

TEST(a_state_proves_what_its_connection_brought_before)
{
	struct ledger *ledger = new_ledger();

	book(ledger, 10);
	book(ledger, 11);
	apply(ledger, state_of("running"), 10, 0);
	assert_handler_open(ledger, "2@11");
	repeats_prove(ledger_repeats(ledger), 11);
	apply(ledger, state_of("ready"), 12, 0);
	assert_int_equal(ledger_repeats(ledger)->proofs.n, 0);
	ledger_free(ledger);
}

TEST(what_is_dropped_is_counted)
{
	struct ledger *ledger = new_ledger();

	for (uint64_t conn = 1; conn <= REPEAT_MAX_OPEN + 3; conn++)
		book(ledger, conn);
	assert_int_equal(stats_of(ledger).open_reports, REPEAT_MAX_OPEN);
	assert_int_equal(stats_of(ledger).dropped_open_reports, 3);
	ledger_free(ledger);
}

TEST(a_record_that_is_told_proofs_has_them_all)
{
	struct ledger *ledger = new_ledger();
	struct origin origin = {0};

	ledger_tell_proofs(ledger, &origin);
	assert_int_equal(origin.n_proved, 0);
	for (uint64_t conn = 1; conn <= 20; conn++)
		book(ledger, conn);
	for (uint64_t conn = 1; conn <= 20; conn++)
		repeats_prove(ledger_repeats(ledger), conn);
	ledger_tell_proofs(ledger, &origin);
	assert_int_equal(origin.n_proved, 20);
	assert_int_equal(origin.proved[19], 20);
	/* Until a record is applied, the next one is to tell them as well. */
	ledger_tell_proofs(ledger, &origin);
	assert_int_equal(origin.n_proved, 20);
	book(ledger, 21);
	ledger_tell_proofs(ledger, &origin);
	assert_int_equal(origin.n_proved, 0);
	ledger_free(ledger);
}

/* The record that counted it is gone: salvage, or an operator who deleted the row. */
TEST(a_service_of_which_only_a_repeat_is_known_stays)
{
	struct ledger *ledger = new_ledger();
	struct image image = {0};
	struct booking booking = sample_traffic("s", "u", 1, 0);
	struct bookings bookings = {&booking, 1, 1};

	apply(ledger, sample_traffic("s", "", 5, 6), 10, 77);
	assert_handler_open(ledger, "77@10");
	assert_int_equal(ledger_prepare(ledger, "n", &bookings), 0);
	ledger_forget_prepared(ledger, "n", &bookings);
	assert_handler_open(ledger, "77@10");
	assert_int_equal(stats_of(ledger).open_reports, 1);
	image_flush(&image, ledger);
	assert_int_equal(image.n_open_reports, 1);
	ledger_free(ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_accepted_report_is_open_and_rests_on_its_connection),
		cmocka_unit_test(a_later_record_of_the_connection_proves_the_report),
		cmocka_unit_test(a_record_tells_what_was_proved_since_the_one_before),
		cmocka_unit_test(a_proof_ends_the_report_and_waits_for_the_next_record),
		cmocka_unit_test(connections_that_share_a_bucket_are_told_apart),
		cmocka_unit_test(the_highest_connection_is_known_also_of_a_checkpoint),
		cmocka_unit_test(connections_are_found_however_many_reports_are_open),
		cmocka_unit_test(
			a_repeat_moves_the_report_to_its_connection_and_to_the_end),
		cmocka_unit_test(a_chain_of_repeats_stays_one_open_report),
		cmocka_unit_test(a_repeat_proves_what_its_connection_brought_before),
		cmocka_unit_test(a_repeat_does_not_prove_what_it_repeats),
		cmocka_unit_test(
			a_repeat_of_what_is_not_open_here_opens_it_under_its_own_sequence),
		cmocka_unit_test(
			three_senders_with_equal_names_and_bodies_have_one_open_each),
		cmocka_unit_test(a_fingerprint_differs_by_any_byte),
		cmocka_unit_test(a_repeat_is_of_the_first_whose_answer_was_lost),
		cmocka_unit_test(
			what_turns_out_to_have_arrived_is_told_by_the_next_record),
		cmocka_unit_test(
			more_than_the_bound_drop_the_oldest_of_their_stream_and_are_counted),
		cmocka_unit_test(
			a_report_lapses_when_its_stream_has_reported_for_five_minutes_without_it),
		cmocka_unit_test(
			a_report_that_is_alone_lapses_with_the_next_one_after_its_time),
		cmocka_unit_test(a_repeat_begins_the_time_of_its_report_again),
		cmocka_unit_test(a_repeat_that_comes_at_the_last_moment_does_not_lapse),
		cmocka_unit_test(a_clock_that_is_set_does_not_make_time_pass),
		cmocka_unit_test(time_passes_for_each_stream_alone),
		cmocka_unit_test(a_restart_of_the_sender_ends_all_of_its_stream),
		cmocka_unit_test(a_loaded_report_is_open_and_not_dirty),
		cmocka_unit_test(of_two_loaded_reports_of_one_connection_the_first_stays),
		cmocka_unit_test(
			the_time_of_a_loaded_report_begins_with_the_first_record_after_it),
		cmocka_unit_test(a_stream_is_dirty_once_until_it_is_marked_clean),
		cmocka_unit_test(what_is_prepared_needs_no_memory_when_it_is_noted),
		cmocka_unit_test(a_loaded_report_that_finds_no_memory_is_told),
		cmocka_unit_test(
			a_proof_that_finds_no_memory_ends_the_report_and_is_not_told),
		cmocka_unit_test(
			proofs_grow_beyond_their_first_room_and_lose_none_that_were_kept),
		cmocka_unit_test(a_report_is_open_in_the_stream_of_its_first_service),
		cmocka_unit_test(what_is_only_prepared_is_not_open),
		cmocka_unit_test(a_repeat_adds_nothing_to_anybody),
		cmocka_unit_test(
			a_cut_holds_all_that_is_open_in_streams_that_changed_and_no_others),
		cmocka_unit_test(
			a_proof_alone_makes_the_ledger_dirty_and_its_cut_clears_the_stream),
		cmocka_unit_test(
			streams_that_change_while_a_cut_is_out_go_with_the_next_one_as_they_are_then),
		cmocka_unit_test(
			what_was_open_at_a_cut_is_open_after_a_load_and_nothing_is_dirty),
		cmocka_unit_test(a_fold_of_the_records_has_open_what_the_ledger_had),
		cmocka_unit_test(
			the_announcement_of_a_restart_ends_what_is_open_of_both_kinds),
		cmocka_unit_test(a_state_is_not_open_and_repeats_nothing),
		cmocka_unit_test(a_state_proves_what_its_connection_brought_before),
		cmocka_unit_test(what_is_dropped_is_counted),
		cmocka_unit_test(a_record_that_is_told_proofs_has_them_all),
		cmocka_unit_test(a_service_of_which_only_a_repeat_is_known_stays),
	};

	return RUN_TESTS(tests);
}
