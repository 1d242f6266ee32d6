/*
 * The pipeline with everything real around it but Redis and the door: a rig holds loop,
 * database, ledger, journal, flush and accept, wired as app/build.c does it.
 */
#include "lib/test.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "journal/fold.h"
#include "lib/faults.h"
#include "lib/loop.h"
#include "lib/tempdir.h"
#include "pipeline/accept.h"
#include "pipeline/recover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 60000
#define SHOWN_MS 60000 /* so long that no answer goes by it */
#define USERS_MAX 20

#define N_CONNS 128

struct rig {
	uv_loop_t loop;
	struct tempdir dir;
	struct store *store;
	struct ledger *ledger;
	struct journal *journal;
	struct live *live;
	struct flush *flush;
	struct accept *accept;
	unsigned n_closed;
	enum delivery deliveries[N_CONNS]; /* what is known of each one's answer */
	char answers[256]; /* the names of the reports that were let go, in their order */
};

static enum delivery delivery_of(void *arg, uint64_t connection)
{
	return ((struct rig *)arg)->deliveries[connection];
}

static void on_progress(void *arg)
{
	struct rig *rig = arg;

	if (rig->accept != NULL)
		accept_advance(rig->accept);
}

static void on_synced(void *arg, uint64_t synced_seq)
{
	(void)synced_seq;
	on_progress(arg);
}

static void on_cut(void *arg)
{
	journal_rotate(((struct rig *)arg)->journal);
}

static void on_committed(void *arg, uint64_t seq, bool is_settled)
{
	journal_drop(((struct rig *)arg)->journal, seq, is_settled);
}

static void on_fatal(void *arg, int code)
{
	(void)arg;
	fail_msg("fatal: %s", err_text(code));
}

static struct store *open_store(const struct tempdir *dir)
{
	struct store_config config = {tempdir_path(dir, "tally.db"), 1000, 50, false};
	struct store *store = NULL;
	struct errmsg msg = {""};

	if (store_open(&config, &store, &msg) != 0)
		fail_msg("%s", msg.text);
	return store;
}

static void describe_rest(void *arg, struct errmsg *ret_rest)
{
	(void)arg;
	(void)err_set(ret_rest, 0, "in the journal");
}

/* What a flush at this many users, and a journal of that size, would be like. */
struct shape {
	enum journal_fsync fsync;
	uint64_t max_bytes;
	size_t emergency_flush_size;
	uint64_t min_free_bytes;
};

static const struct shape everysec = {FSYNC_EVERYSEC, 1 << 20, 1000, 0};
static const struct shape always = {FSYNC_ALWAYS, 1 << 20, 1000, 0};

/* In the folder that rig->dir is; all else of the rig is 0. */
static void open_rig_in(struct rig *rig, const struct shape *shape)
{
	struct journal_config journal = {.fsync = shape->fsync,
		.max_bytes = shape->max_bytes,
		.min_free_bytes = shape->min_free_bytes};
	struct live_config live = {.key_prefix = "user:", .instance_id = "x"};
	struct flush_config flush = {.interval_ms = 3600000,
		.max_pending_users = 1000,
		.emergency_flush_size = shape->emergency_flush_size,
		.max_retries = 3,
		.retry_delay_ms = 1};
	struct live_hooks live_hooks = {.on_progress = on_progress, .arg = rig};
	struct flush_hooks hooks = {on_cut, on_committed, on_fatal, describe_rest, rig};
	struct accept_parts parts;
	struct errmsg msg = {""};

	assert_int_equal(uv_loop_init(&rig->loop), 0);
	rig->store = open_store(&rig->dir);
	rig->ledger = ledger_new(USERS_MAX, false);
	assert_non_null(rig->ledger);
	assert_int_equal(journal_open(&rig->loop, rig->dir.fd, &journal, 0, 0, on_synced,
				 rig, &rig->journal, &msg),
		0);
	rig->live = live_new(rig->ledger, &live, &live_hooks);
	assert_non_null(rig->live);
	live_start(rig->live, &rig->loop);
	rig->flush = flush_new(&rig->loop, rig->store, rig->ledger, &flush, &hooks);
	assert_non_null(rig->flush);
	flush_start(rig->flush);
	parts = (struct accept_parts){rig->ledger, rig->journal, rig->live, rig->flush,
		SHOWN_MS, delivery_of, rig};
	rig->accept = accept_new(&rig->loop, &parts);
	assert_non_null(rig->accept);
}

static void open_rig(struct rig *rig, const struct shape *shape)
{
	faults_reset();
	memset(rig, 0, sizeof(*rig));
	tempdir_make(&rig->dir);
	open_rig_in(rig, shape);
}

static void on_closed(void *arg)
{
	((struct rig *)arg)->n_closed++;
}

static bool is_closed(const void *arg)
{
	return ((const struct rig *)arg)->n_closed == 4;
}

static bool is_flush_idle(const void *arg)
{
	struct flush_stats stats;

	flush_get_stats(((const struct rig *)arg)->flush, &stats);
	return !stats.is_running;
}

/* Everything but the files. */
static void stop_rig(struct rig *rig)
{
	assert_true(loop_run_until(&rig->loop, is_flush_idle, rig, PATIENCE_MS));
	accept_close(rig->accept, on_closed, rig);
	flush_close(rig->flush, on_closed, rig);
	live_close(rig->live, on_closed, rig);
	journal_close(rig->journal, on_closed, rig);
	faults_release(FAULT_FDATASYNC);
	assert_true(loop_run_until(&rig->loop, is_closed, rig, PATIENCE_MS));
	assert_int_equal(uv_loop_close(&rig->loop), 0);
	accept_free(rig->accept);
	flush_free(rig->flush);
	live_free(rig->live);
	journal_free(rig->journal);
	ledger_free(rig->ledger);
	store_close(rig->store);
}

static void close_rig(struct rig *rig)
{
	stop_rig(rig);
	tempdir_remove(&rig->dir);
}

/* A report on its way; `name` is what answers shows of it. */
struct ticket {
	struct rig *rig;
	const char *name;
	uint64_t seq; /* of its record */
	bool is_done, was_synced, is_answered_at_once;
};

static void on_done(void *arg)
{
	struct ticket *ticket = arg;
	struct journal_stats journal;

	if (ticket->is_done)
		fail_msg("%s is answered twice", ticket->name);
	journal_get_stats(ticket->rig->journal, &journal);
	ticket->is_done = true;
	ticket->was_synced = journal.synced_seq >= ticket->seq;
	(void)strcat(ticket->rig->answers, ticket->name);
}

static int post_on(
	struct rig *rig, uint64_t connection, const char *body, struct ticket *ticket)
{
	struct incoming incoming = {
		"hk1", COUNTERS_DELTA, connection, body, strlen(body), NULL, NULL};
	int code;

	ticket->rig = rig;
	code = accept_report(rig->accept, &incoming, on_done, ticket);
	ticket->seq = ledger_seq(rig->ledger);
	assert_false(ticket->is_done); /* never inside */
	ticket->is_answered_at_once = code == 0;
	if (ticket->is_answered_at_once)
		on_done(ticket);
	return code == ACCEPT_WAITS ? 0 : code;
}

static int post(struct rig *rig, const char *body, struct ticket *ticket)
{
	return post_on(rig, 7, body, ticket);
}

/* As one that was read before, see large.h, and for counters of that mode. */
static int post_read(struct rig *rig, uint64_t connection, enum counter_mode mode,
	const char *body, struct ticket *ticket)
{
	struct reading reading;
	struct incoming incoming = {
		.node = "hk1", .connection = connection, .reading = &reading};
	int code;

	assert_int_equal(reading_parse(body, strlen(body), &reading), 0);
	reading.counters = mode;
	assert_int_equal(account_book_some(rig->ledger, "hk1", mode, &reading.report,
				 SIZE_MAX, &reading.n_booked, &reading.bookings),
		0);
	assert_int_equal(ledger_prepare_more(rig->ledger, "hk1", &reading.bookings,
				 &reading.prepared),
		0);
	ticket->rig = rig;
	code = accept_report(rig->accept, &incoming, on_done, ticket);
	if (code == 0)
		on_done(ticket);
	if (!reading.is_applied)
		ledger_forget_from(rig->ledger, "hk1", &reading.bookings, 0);
	reading_done(&reading);
	return code == ACCEPT_WAITS ? 0 : code;
}

#define STATS(client, input, output)                                                     \
	"{\"kind\":\"handler\",\"service\":\"s\",\"client\":\"" client                   \
	"\",\"type\":\"stats\",\"stats\":{\"inputBytes\":" #input                        \
	",\"outputBytes\":" #output "}}"
#define REPORT(events) "{\"events\":[" events "]}"
#define ALICE REPORT(STATS("alice", 3, 4))
#define BAD STATS("mallory", -1, 0)

static void wait_for(struct ticket *ticket)
{
	assert_true(
		loop_run_until_set(&ticket->rig->loop, &ticket->is_done, PATIENCE_MS));
}

/* Posts, and waits for the answer. */
static void must_post(struct rig *rig, const char *body)
{
	struct ticket ticket = {.name = ""};

	assert_int_equal(post(rig, body, &ticket), 0);
	wait_for(&ticket);
}

static struct accept_stats stats_of(const struct rig *rig)
{
	struct accept_stats stats;

	accept_get_stats(rig->accept, &stats);
	return stats;
}

static uint64_t used_by(const struct ledger *ledger, const char *id)
{
	const struct user *user = ledger_find_user(ledger, id);

	return user != NULL ? user->total.used : 0;
}

static uint64_t journal_seq(const struct rig *rig)
{
	struct journal_stats stats;

	journal_get_stats(rig->journal, &stats);
	return stats.seq;
}

/* As if nothing had ever been reported. */
static void assert_untouched(const struct rig *rig)
{
	struct ledger_stats stats;

	ledger_get_stats(rig->ledger, &stats);
	assert_int_equal(stats.users, 0);
	assert_int_equal(stats.dirty_users, 0);
	assert_int_equal(stats.services, 0);
	assert_false(ledger_is_dirty(rig->ledger));
	assert_int_equal(ledger_seq(rig->ledger), 0);
	assert_int_equal(journal_seq(rig), 0);
	assert_int_equal(stats_of(rig).accepted, 0);
}

/* What the files of a stopped rig come to: a fresh ledger, as the next start has it. */
static struct ledger *recover_from(const struct tempdir *dir)
{
	struct store *store = open_store(dir);
	struct ledger *ledger = ledger_new(1000, false);
	struct recover_options options = {.max_retries = 0};
	struct recovered recovered;
	struct errmsg msg = {""};

	assert_non_null(ledger);
	if (recover(dir->fd, store, ledger, &options, &recovered, &msg) != 0)
		fail_msg("%s", msg.text);
	store_close(store);
	return ledger;
}

/* The records of the journal, as "seq:client:used ". */
static int on_record(void *arg, struct record *record)
{
	char *text = arg;

	for (size_t i = 0; i < record->bookings.n; i++) {
		const struct booking *booking = &record->bookings.list[i];

		(void)sprintf(text + strlen(text), "%" PRIu64 ":%s:%" PRIu64 " ",
			record->origin.seq, booking->client,
			booking->counters.input_bytes + booking->counters.output_bytes);
	}
	return 0;
}

static void assert_journal(const struct rig *rig, const char *expected)
{
	struct fold_options options = {0};
	struct fold_result result;
	struct errmsg msg = {""};
	char text[1024] = "";

	assert_int_equal(
		journal_fold(rig->dir.fd, &options, on_record, text, &result, &msg), 0);
	assert_string_equal(text, expected);
	assert_false(result.is_cut);
}

TEST(an_accepted_report_is_in_journal_and_ledger_before_the_call_returns)
{
	struct rig rig;
	struct ticket ticket = {.name = "a"};

	open_rig(&rig, &everysec);
	assert_int_equal(
		post(&rig, REPORT(STATS("alice", 3, 4) "," STATS("bob", 0, 5)), &ticket),
		0);
	assert_int_equal(used_by(rig.ledger, "alice"), 7);
	assert_int_equal(used_by(rig.ledger, "bob"), 5);
	assert_int_equal(ledger_seq(rig.ledger), 1);
	assert_journal(&rig, "1:alice:7 1:bob:5 ");
	assert_int_equal(stats_of(&rig).accepted, 1);
	assert_int_equal(stats_of(&rig).stats_events, 2);
	wait_for(&ticket);
	close_rig(&rig);
}

struct seen {
	char node[32];
	uint64_t conn, time_ms;
	uint8_t fingerprints[4][FINGERPRINT_BYTES];
	size_t n;
};

static int note_origin(void *arg, struct record *record)
{
	struct seen *seen = arg;

	(void)snprintf(seen->node, sizeof(seen->node), "%s", record->node);
	seen->conn = record->origin.conn;
	seen->time_ms = record->origin.time_ms;
	memcpy(seen->fingerprints[seen->n++], record->origin.fingerprint,
		FINGERPRINT_BYTES);
	return 0;
}

TEST(a_record_tells_node_connection_time_and_the_bodys_fingerprint)
{
	struct rig rig;
	struct seen seen = {.n = 0};
	struct fold_options options = {0};
	struct fold_result result;
	struct errmsg msg = {""};

	clock_freeze_for_test(1700000000000);
	open_rig(&rig, &everysec);
	must_post(&rig, ALICE);
	must_post(&rig, ALICE);
	must_post(&rig, " " ALICE);
	assert_int_equal(
		journal_fold(rig.dir.fd, &options, note_origin, &seen, &result, &msg), 0);
	assert_string_equal(seen.node, "hk1");
	assert_int_equal(seen.conn, 7);
	assert_int_equal(seen.time_ms, 1700000000000);
	assert_int_equal(seen.n, 3);
	assert_memory_equal(
		seen.fingerprints[0], seen.fingerprints[1], FINGERPRINT_BYTES);
	assert_memory_not_equal(
		seen.fingerprints[0], seen.fingerprints[2], FINGERPRINT_BYTES);
	clock_freeze_for_test(0);
	close_rig(&rig);
}

TEST(answers_come_once_and_in_the_order_of_the_reports)
{
	static const struct shape *const shapes[] = {&everysec, &always};

	for (size_t i = 0; i < COUNT_OF(shapes); i++) {
		struct ticket tickets[] = {
			{.name = "a"}, {.name = "b"}, {.name = "c"}, {.name = "d"}};
		struct rig rig;

		open_rig(&rig, shapes[i]);
		for (size_t j = 0; j < 3; j++)
			AT_ROW(i, post(&rig, ALICE, &tickets[j]) == 0);
		wait_for(&tickets[2]);
		AT_ROW(i, post(&rig, ALICE, &tickets[3]) == 0);
		wait_for(&tickets[3]);
		(void)uv_run(&rig.loop, UV_RUN_NOWAIT);
		AT_ROW(i, strcmp(rig.answers, "abcd") == 0);
		AT_ROW(i, used_by(rig.ledger, "alice") == 28);
		close_rig(&rig);
	}
}

TEST(a_write_that_fails_changes_nothing_and_a_later_report_works)
{
	static const struct {
		unsigned nth;
		size_t shortened_to; /* the write before it; 0: there is none */
		int error;
		bool is_cut_back;
	} rows[] = {
		{1, 0, ENOSPC, true},
		{1, 0, EIO, true},
		{1, 0, ENOSPC, false},
		{2, 1, ENOSPC, true},
		{2, 60, EIO, true},
		{2, 60, EIO, false},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct ticket refused = {.name = "refused"}, taken = {.name = "taken"};
		struct ledger *ledger;
		struct rig rig;

		open_rig(&rig, &everysec);
		faults_fail_nth(FAULT_PWRITE, rows[i].nth, rows[i].error);
		if (rows[i].shortened_to > 0)
			faults_shorten_nth(1, rows[i].shortened_to);
		if (!rows[i].is_cut_back)
			faults_fail_nth(FAULT_FTRUNCATE, 1, EIO);
		AT_ROW(i, post(&rig, ALICE, &refused) == ERR_JOURNAL_WRITE);
		AT_ROW(i, faults_fired(FAULT_PWRITE));
		faults_reset();
		assert_untouched(&rig);
		AT_ROW(i, stats_of(&rig).refused == 1);
		AT_ROW(i, post(&rig, REPORT(STATS("bob", 5, 6)), &taken) == 0);
		wait_for(&taken);
		AT_ROW(i, strcmp(rig.answers, "taken") == 0);
		AT_ROW(i, used_by(rig.ledger, "alice") == 0);
		AT_ROW(i, used_by(rig.ledger, "bob") == 11);
		AT_ROW(i, ledger_seq(rig.ledger) == 1);
		AT_ROW(i, stats_of(&rig).accepted == 1 && stats_of(&rig).refused == 1);
		stop_rig(&rig);
		ledger = recover_from(&rig.dir);
		AT_ROW(i, used_by(ledger, "alice") == 0);
		AT_ROW(i, used_by(ledger, "bob") == 11);
		ledger_free(ledger);
		tempdir_remove(&rig.dir);
	}
}

TEST(a_refused_report_keeps_no_rejects_as_it_will_come_again)
{
	struct ticket ticket = {.name = ""};
	struct rig rig;

	open_rig(&rig, &everysec);
	faults_fail_nth(FAULT_PWRITE, 1, ENOSPC);
	assert_int_equal(post(&rig, REPORT(STATS("alice", 1, 1) "," BAD), &ticket),
		ERR_JOURNAL_WRITE);
	faults_reset();
	assert_untouched(&rig);
	assert_int_equal(stats_of(&rig).rejected_events, 0);
	assert_int_equal(stats_of(&rig).stats_events, 0);
	close_rig(&rig);
}

TEST(fsync_always_answers_only_after_the_sync)
{
	struct ticket a = {.name = "a"}, b = {.name = "b"};
	bool was_early;
	struct rig rig;

	open_rig(&rig, &always);
	assert_true(loop_run_jobs(&rig.loop, PATIENCE_MS));
	faults_reset(); /* counts from here */
	faults_hold(FAULT_FDATASYNC);
	assert_int_equal(post(&rig, ALICE, &a), 0);
	(void)uv_run(&rig.loop, UV_RUN_NOWAIT); /* its sync begins, and covers no more */
	assert_int_equal(post(&rig, ALICE, &b), 0);
	for (int turn = 0; turn < 5; turn++)
		(void)uv_run(&rig.loop, UV_RUN_NOWAIT);
	accept_advance(rig.accept);
	was_early = a.is_done || b.is_done;
	assert_int_equal(used_by(rig.ledger, "alice"), 14); /* accepted all the same */
	faults_release(FAULT_FDATASYNC);
	wait_for(&a);
	wait_for(&b);
	(void)loop_run_jobs(&rig.loop, PATIENCE_MS);
	assert_false(was_early); /* only now: a failure leaves no job behind */
	assert_true(a.was_synced && b.was_synced);
	assert_string_equal(rig.answers, "ab");
	assert_int_equal(faults_count(FAULT_FDATASYNC), 2);
	close_rig(&rig);
}

TEST(who_need_not_wait_keeps_the_place_behind_those_that_wait)
{
	struct ticket first = {.name = "a"}, second = {.name = "b"},
		      repeat = {.name = "c"};
	struct rig rig;

	open_rig(&rig, &always);
	assert_int_equal(post_on(&rig, 1, ALICE, &first), 0);
	wait_for(&first);
	assert_true(loop_run_jobs(&rig.loop, PATIENCE_MS));
	faults_hold(FAULT_FDATASYNC);
	assert_int_equal(post_on(&rig, 2, REPORT(STATS("bob", 1, 1)), &second), 0);
	rig.deliveries[1] = DELIVERY_LOST;
	assert_int_equal(post_on(&rig, 3, ALICE, &repeat), 0); /* of what is synced */
	assert_int_equal(stats_of(&rig).repeats, 1);
	accept_advance(rig.accept);
	assert_string_equal(rig.answers, "a");
	faults_release(FAULT_FDATASYNC);
	wait_for(&repeat);
	assert_string_equal(rig.answers, "abc");
	faults_reset();
	close_rig(&rig);
}

TEST(where_nobody_is_waited_for_the_answer_may_go_at_once_and_nothing_fires_later)
{
	struct ticket ticket = {.name = "a"}, bad = {.name = "b"};
	struct rig rig;

	open_rig(&rig, &everysec);
	assert_int_equal(post(&rig, ALICE, &ticket), 0);
	assert_true(ticket.is_answered_at_once);
	assert_int_equal(post(&rig, REPORT(BAD), &bad), 0);
	assert_true(bad.is_answered_at_once);
	for (int turn = 0; turn < 5; turn++)
		(void)uv_run(&rig.loop, UV_RUN_NOWAIT);
	accept_advance(rig.accept);
	assert_string_equal(rig.answers, "ab"); /* or a ticket has complained */
	close_rig(&rig);
}

TEST(the_other_modes_answer_without_waiting_for_the_disk)
{
	static const struct shape shapes[] = {
		{FSYNC_EVERYSEC, 1 << 20, 1000, 0}, {FSYNC_NO, 1 << 20, 1000, 0}};

	for (size_t i = 0; i < COUNT_OF(shapes); i++) {
		struct ticket ticket = {.name = "a"};
		struct rig rig;

		open_rig(&rig, &shapes[i]);
		AT_ROW(i, post(&rig, ALICE, &ticket) == 0);
		wait_for(&ticket);
		AT_ROW(i, !ticket.was_synced);
		close_rig(&rig);
	}
}

TEST(what_is_no_report_is_refused_counted_and_changes_nothing)
{
	static const struct {
		const char *body;
		int code;
	} rows[] = {
		{"", ERR_JSON},
		{"nonsense", ERR_JSON},
		{"{\"events\":[", ERR_JSON},
		{ALICE "x", ERR_JSON},
		{"{}", ERR_NO_EVENTS},
		{"[]", ERR_NO_EVENTS},
		{"{\"events\":{}}", ERR_NO_EVENTS},
		{"null", ERR_NO_EVENTS},
	};
	struct ticket ticket = {.name = "?"};
	struct rig rig;

	open_rig(&rig, &everysec);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		AT_ROW(i, post(&rig, rows[i].body, &ticket) == rows[i].code);
		AT_ROW(i, stats_of(&rig).refused == i + 1);
	}
	(void)uv_run(&rig.loop, UV_RUN_NOWAIT);
	assert_false(ticket.is_done);
	assert_untouched(&rig);
	assert_journal(&rig, "");
	close_rig(&rig);
}

TEST(after_stop_reports_are_refused_and_those_that_wait_are_answered)
{
	struct ticket first = {.name = "first"}, late = {.name = "late"};
	struct rig rig;

	open_rig(&rig, &always);
	assert_int_equal(post(&rig, ALICE, &first), 0);
	accept_stop(rig.accept);
	assert_int_equal(post(&rig, ALICE, &late), ERR_STOPPING);
	assert_int_equal(post(&rig, "nonsense", &late), ERR_STOPPING);
	wait_for(&first);
	assert_string_equal(rig.answers, "first");
	assert_int_equal(stats_of(&rig).accepted, 1);
	assert_int_equal(stats_of(&rig).refused, 2);
	assert_int_equal(used_by(rig.ledger, "alice"), 7);
	assert_int_equal(journal_seq(&rig), 1);
	close_rig(&rig);
}

TEST(a_close_forgets_who_waits_but_not_what_was_accepted)
{
	struct ticket tickets[] = {{.name = "a"}, {.name = "b"}};
	struct ledger *ledger;
	struct rig rig;

	open_rig(&rig, &always);
	faults_hold(FAULT_FDATASYNC);
	assert_int_equal(post(&rig, ALICE, &tickets[0]), 0);
	assert_int_equal(post(&rig, ALICE, &tickets[1]), 0);
	stop_rig(&rig);
	assert_string_equal(rig.answers, "");
	ledger = recover_from(&rig.dir);
	assert_int_equal(used_by(ledger, "alice"), 14);
	ledger_free(ledger);
	tempdir_remove(&rig.dir);
}

TEST(a_bad_event_costs_the_others_nothing_and_is_kept)
{
	struct rig rig;
	struct cut *cut;

	open_rig(&rig, &everysec);
	must_post(&rig, REPORT(STATS("alice", 3, 4) "," BAD "," STATS("bob", 1, 1)));
	assert_int_equal(used_by(rig.ledger, "alice"), 7);
	assert_int_equal(used_by(rig.ledger, "bob"), 2);
	assert_int_equal(used_by(rig.ledger, "mallory"), 0);
	assert_int_equal(stats_of(&rig).accepted, 1);
	assert_int_equal(stats_of(&rig).refused, 0);
	assert_int_equal(stats_of(&rig).stats_events, 2);
	assert_int_equal(stats_of(&rig).rejected_events, 1);
	assert_journal(&rig, "1:alice:7 1:bob:2 ");
	cut = ledger_cut(rig.ledger);
	assert_non_null(cut);
	assert_int_equal(cut->n_rejects, 1);
	assert_string_equal(cut->rejects[0].node, "hk1");
	assert_non_null(strstr(cut->rejects[0].reason, "inputBytes"));
	assert_non_null(strstr(cut->rejects[0].event, "mallory"));
	ledger_forget_cut(cut);
	close_rig(&rig);
}

TEST(a_report_of_nothing_but_bad_events_is_accepted_without_a_record)
{
	struct rig rig;

	open_rig(&rig, &always);
	must_post(&rig, REPORT(BAD "," BAD));
	must_post(&rig, REPORT(""));
	must_post(&rig, REPORT("{\"type\":\"unheard of\"}"));
	assert_int_equal(stats_of(&rig).accepted, 3);
	assert_int_equal(stats_of(&rig).rejected_events, 2);
	assert_int_equal(stats_of(&rig).stats_events, 0);
	assert_int_equal(journal_seq(&rig), 0);
	assert_int_equal(ledger_seq(rig.ledger), 0);
	assert_true(ledger_is_dirty(rig.ledger)); /* the rejects want to SQLite */
	must_post(&rig, ALICE);
	assert_journal(&rig, "1:alice:7 ");
	close_rig(&rig);
}

TEST(more_rejects_than_are_kept_of_a_report_are_counted)
{
	char body[4096] = "{\"events\":[" BAD;
	struct rig rig;
	struct cut *cut;

	for (int i = 1; i < 20; i++)
		(void)strcat(body, "," BAD);
	(void)strcat(body, "]}");
	open_rig(&rig, &everysec);
	must_post(&rig, body);
	assert_int_equal(stats_of(&rig).rejected_events, 20);
	cut = ledger_cut(rig.ledger);
	assert_int_equal(cut->n_rejects, REPORT_REJECTS_KEPT);
	ledger_cut_committed(rig.ledger, cut);
	close_rig(&rig);
}

TEST(users_beyond_the_bound_are_rejected_and_known_ones_go_on)
{
	struct rig rig;

	open_rig(&rig, &everysec);
	for (int i = 0; i < USERS_MAX + 2; i++) {
		char body[256];

		(void)snprintf(body, sizeof(body), REPORT(STATS("u%d", 1, 1)), i);
		must_post(&rig, body);
	}
	must_post(&rig, REPORT(STATS("u0", 1, 1) "," STATS("more", 1, 1)));
	assert_int_equal(used_by(rig.ledger, "u0"), 4);
	assert_int_equal(used_by(rig.ledger, "u19"), 2);
	assert_null(ledger_find_user(rig.ledger, "u20"));
	assert_null(ledger_find_user(rig.ledger, "more"));
	assert_int_equal(stats_of(&rig).rejected_events, 3);
	assert_int_equal(stats_of(&rig).accepted, USERS_MAX + 3);
	close_rig(&rig);
}

TEST(a_status_is_accepted_and_is_no_stats_event)
{
	struct rig rig;

	open_rig(&rig, &everysec);
	must_post(&rig,
		REPORT("{\"kind\":\"service\",\"service\":\"s\",\"type\":"
		       "\"status\",\"status\":{\"state\":\"running\"}}"));
	assert_int_equal(stats_of(&rig).accepted, 1);
	assert_int_equal(stats_of(&rig).stats_events, 0);
	assert_true(ledger_has_service(rig.ledger, "hk1", KIND_SERVICE, "s"));
	assert_int_equal(journal_seq(&rig), 1);
	close_rig(&rig);
}

static unsigned long long commits(const struct rig *rig)
{
	struct flush_stats stats;

	flush_get_stats(rig->flush, &stats);
	return stats.n_succeeded;
}

static bool has_committed(const void *arg)
{
	return commits(arg) > 0;
}

TEST(a_report_that_makes_many_users_dirty_starts_a_flush)
{
	static const struct shape shape = {FSYNC_EVERYSEC, 1 << 20, 2, 0};
	struct store *store;
	struct ledger *ledger = ledger_new(10, false);
	struct errmsg msg = {""};
	struct rig rig;

	open_rig(&rig, &shape);
	must_post(&rig, ALICE);
	assert_int_equal(commits(&rig), 0);
	assert_true(is_flush_idle(&rig));
	must_post(&rig, REPORT(STATS("bob", 1, 1) "," BAD));
	assert_true(loop_run_until(&rig.loop, has_committed, &rig, PATIENCE_MS));
	stop_rig(&rig);
	store = open_store(&rig.dir);
	assert_int_equal(store_load(store, ledger, &msg), 0);
	assert_int_equal(used_by(ledger, "alice"), 7);
	assert_int_equal(used_by(ledger, "bob"), 2);
	assert_int_equal(ledger_seq(ledger), 2);
	store_close(store);
	ledger_free(ledger);
	tempdir_remove(&rig.dir);
}

/* Posts until one is refused; its code. */
static int fill(struct rig *rig, struct ticket *tickets, size_t n, size_t *ret_accepted)
{
	for (size_t i = 0; i < n; i++) {
		int code;

		tickets[i] = (struct ticket){.name = ""};
		code = post(rig, ALICE, &tickets[i]);
		if (code != 0)
			return code;
		*ret_accepted = i + 1;
	}
	return 0;
}

TEST(a_full_journal_refuses_and_takes_reports_again_after_a_flush)
{
	static const struct shape shape = {FSYNC_ALWAYS, 1000, 1000, 0};
	struct ticket tickets[32];
	struct ledger *ledger;
	struct rig rig;
	size_t n = 0;

	open_rig(&rig, &shape);
	must_post(&rig, ALICE);
	assert_true(loop_run_jobs(&rig.loop, PATIENCE_MS)); /* a next segment is made */
	assert_int_equal(fill(&rig, tickets, COUNT_OF(tickets), &n), ERR_JOURNAL_FULL);
	assert_in_range(n, 5, 15);
	assert_int_equal(used_by(rig.ledger, "alice"), 7 * (n + 1));
	assert_int_equal(ledger_seq(rig.ledger), n + 1);
	assert_int_equal(stats_of(&rig).refused, 1);
	assert_true(loop_run_until(&rig.loop, has_committed, &rig, PATIENCE_MS));
	must_post(&rig, ALICE);
	assert_int_equal(stats_of(&rig).refused, 1);
	stop_rig(&rig);
	ledger = recover_from(&rig.dir);
	assert_int_equal(used_by(ledger, "alice"), 7 * (n + 2));
	ledger_free(ledger);
	tempdir_remove(&rig.dir);
}

TEST(a_disk_that_is_low_refuses_and_changes_nothing)
{
	static const struct shape shape = {
		FSYNC_EVERYSEC, 1 << 20, 1000, UINT64_C(1) << 62};
	struct ticket ticket = {.name = "x"};
	struct rig rig;

	open_rig(&rig, &shape);
	assert_int_equal(post(&rig, ALICE, &ticket), ERR_DISK_LOW);
	(void)uv_run(&rig.loop, UV_RUN_NOWAIT);
	assert_untouched(&rig);
	assert_int_equal(stats_of(&rig).refused, 1);
	assert_string_equal(rig.answers, "");
	close_rig(&rig);
}

#define MIXED REPORT(STATS("alice", 3, 4) "," BAD "," STATS("alice", 1, 0))

TEST(short_memory_refuses_a_report_whole_or_counts_it_whole)
{
	static struct ticket tickets[256];
	struct ledger *ledger;
	struct rig rig;
	uint64_t expected = 8;
	unsigned n = 0;
	bool has_fired = true;

	json_init(); /* cJSON's allocations fail, too, and are no bad JSON */
	open_rig(&rig, &everysec);
	must_post(&rig, MIXED);
	while (has_fired) {
		uint64_t seq = ledger_seq(rig.ledger);
		int code;

		assert_true(n < COUNT_OF(tickets));
		tickets[n] = (struct ticket){.name = ""};
		faults_fail_nth(FAULT_MEMORY, n + 1, ENOMEM);
		code = post(&rig, MIXED, &tickets[n++]);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		assert_true(code == 0 || (code == ERR_NOMEM && has_fired));
		expected += code == 0 ? 8 : 0;
		assert_int_equal(used_by(rig.ledger, "alice"), expected);
		assert_int_equal(ledger_seq(rig.ledger), seq + (code == 0));
		assert_int_equal(journal_seq(&rig), seq + (code == 0));
	}
	cJSON_InitHooks(NULL);
	assert_true(n > 50);
	assert_int_equal(stats_of(&rig).accepted + stats_of(&rig).refused, n + 1);
	assert_true(stats_of(&rig).refused > 50);
	stop_rig(&rig);
	ledger = recover_from(&rig.dir);
	assert_int_equal(used_by(ledger, "alice"), expected);
	ledger_free(ledger);
	tempdir_remove(&rig.dir);
}

/* Posts on that connection; what it added to alice's total, which is 7 if it counts. */
static uint64_t added_on(struct rig *rig, uint64_t connection)
{
	uint64_t before = used_by(rig->ledger, "alice");
	struct ticket ticket = {.name = ""};

	assert_int_equal(post_on(rig, connection, ALICE, &ticket), 0);
	wait_for(&ticket);
	return used_by(rig->ledger, "alice") - before;
}

static size_t n_open(const struct rig *rig)
{
	struct ledger_stats stats;

	ledger_get_stats(rig->ledger, &stats);
	return stats.open_reports;
}

TEST(an_equal_report_counts_while_the_first_ones_answer_is_undecided_or_has_arrived)
{
	struct rig rig;

	open_rig(&rig, &everysec);
	assert_int_equal(added_on(&rig, 1), 7);
	assert_int_equal(added_on(&rig, 2), 7);
	assert_int_equal(n_open(&rig), 2);
	rig.deliveries[1] = rig.deliveries[2] = DELIVERY_ARRIVED;
	assert_int_equal(added_on(&rig, 3), 7);
	assert_int_equal(n_open(&rig), 1);
	accept_delivered(rig.accept, 3);
	assert_int_equal(n_open(&rig), 0);
	rig.deliveries[3] = DELIVERY_LOST; /* too late */
	assert_int_equal(added_on(&rig, 4), 7);
	assert_int_equal(stats_of(&rig).repeats, 0);
	assert_int_equal(stats_of(&rig).accepted, 4);
	close_rig(&rig);
}

TEST(an_equal_report_is_a_repeat_of_one_whose_answer_was_lost)
{
	struct rig rig;

	open_rig(&rig, &everysec);
	assert_int_equal(added_on(&rig, 1), 7);
	for (uint64_t connection = 2; connection < 5; connection++) {
		rig.deliveries[connection - 1] = DELIVERY_LOST;
		assert_int_equal(added_on(&rig, connection), 0);
		assert_int_equal(n_open(&rig), 1);
	}
	assert_int_equal(stats_of(&rig).repeats, 3);
	assert_int_equal(stats_of(&rig).accepted, 1);
	assert_int_equal(stats_of(&rig).stats_events, 1);
	assert_int_equal(added_on(&rig, 5), 7); /* the last repeat's answer may arrive */
	assert_int_equal(journal_seq(&rig), 5);
	close_rig(&rig);
}

TEST(each_lost_answer_excuses_one_report)
{
	struct rig rig;

	open_rig(&rig, &everysec);
	for (uint64_t connection = 1; connection <= 3; connection++)
		assert_int_equal(added_on(&rig, connection), 7);
	rig.deliveries[1] = rig.deliveries[3] = DELIVERY_LOST;
	assert_int_equal(added_on(&rig, 4), 0);
	assert_int_equal(added_on(&rig, 5), 0);
	assert_int_equal(added_on(&rig, 6), 7);
	close_rig(&rig);
}

/* Every life of a GOST announces itself in the same words. */
TEST(an_announcement_is_no_repeat_of_an_equal_one)
{
	static const char ready[] =
		REPORT("{\"kind\":\"service\",\"service\":\"s\",\"type\":\"status\","
		       "\"status\":{\"state\":\"ready\"}}");
	struct rig rig;

	open_rig(&rig, &everysec);
	for (uint64_t connection = 1; connection <= 3; connection++) {
		struct ticket ticket = {.name = ""};

		assert_int_equal(post_on(&rig, connection, ready, &ticket), 0);
		wait_for(&ticket);
		rig.deliveries[connection] = DELIVERY_LOST;
		assert_int_equal(n_open(&rig), 0);
	}
	assert_int_equal(stats_of(&rig).accepted, 3);
	assert_int_equal(stats_of(&rig).repeats, 0);
	close_rig(&rig);
}

TEST(a_report_whose_client_has_gone_is_refused_and_changes_nothing)
{
	struct ticket ticket = {.name = ""};
	struct rig rig;

	open_rig(&rig, &everysec);
	rig.deliveries[1] = DELIVERY_LOST;
	assert_int_equal(post_on(&rig, 1, ALICE, &ticket), ERR_HUNG_UP);
	assert_untouched(&rig);
	assert_int_equal(stats_of(&rig).refused, 1);
	close_rig(&rig);
}

TEST(one_that_was_read_before_is_taken_as_one_that_was_not)
{
	struct ticket a = {.name = "a"}, b = {.name = "b"}, c = {.name = "c"};
	struct rig rig;

	open_rig(&rig, &everysec);
	assert_int_equal(post_read(&rig, 1, COUNTERS_DELTA,
				 REPORT(STATS("alice", 3, 4) "," BAD), &a),
		0);
	assert_int_equal(used_by(rig.ledger, "alice"), 7);
	assert_journal(&rig, "1:alice:7 ");
	assert_int_equal(stats_of(&rig).rejected_events, 1);
	assert_int_equal(stats_of(&rig).stats_events, 1);
	/* Its body is what is compared. */
	rig.deliveries[1] = DELIVERY_LOST;
	assert_int_equal(post_on(&rig, 2, REPORT(STATS("alice", 3, 4) "," BAD), &b), 0);
	rig.deliveries[2] = DELIVERY_LOST;
	assert_int_equal(post_read(&rig, 3, COUNTERS_DELTA,
				 REPORT(STATS("alice", 3, 4) "," BAD), &c),
		0);
	assert_int_equal(used_by(rig.ledger, "alice"), 7);
	assert_int_equal(stats_of(&rig).repeats, 2);
	assert_string_equal(rig.answers, "abc");
	close_rig(&rig);
}

TEST(one_that_was_read_for_other_counters_or_whose_client_has_gone_changes_nothing)
{
	struct ticket ticket = {.name = "?"};
	struct rig rig;

	open_rig(&rig, &everysec);
	assert_int_equal(
		post_read(&rig, 1, COUNTERS_CUMULATIVE, ALICE, &ticket), ERR_UNSETTLED);
	rig.deliveries[1] = DELIVERY_LOST;
	assert_int_equal(post_read(&rig, 1, COUNTERS_DELTA, ALICE, &ticket), ERR_HUNG_UP);
	accept_stop(rig.accept);
	assert_int_equal(
		post_read(&rig, 2, COUNTERS_DELTA, ALICE, &ticket), ERR_STOPPING);
	assert_untouched(&rig);
	assert_int_equal(ledger_bounds(rig.ledger)->used.of[BOUND_MEMORY], 0);
	assert_int_equal(stats_of(&rig).refused, 3);
	assert_string_equal(rig.answers, "");
	close_rig(&rig);
}

TEST(a_repeat_that_cannot_be_written_leaves_its_report_open)
{
	struct ticket ticket = {.name = ""};
	struct rig rig;

	open_rig(&rig, &everysec);
	assert_int_equal(added_on(&rig, 1), 7);
	rig.deliveries[1] = DELIVERY_LOST;
	faults_fail_nth(FAULT_PWRITE, 1, ENOSPC);
	assert_int_equal(post_on(&rig, 2, ALICE, &ticket), ERR_JOURNAL_WRITE);
	faults_reset();
	assert_int_equal(stats_of(&rig).repeats, 0);
	rig.deliveries[2] = DELIVERY_LOST;
	assert_int_equal(added_on(&rig, 3), 0);
	close_rig(&rig);
}

/* The answer to a repeat needs no sync but that of what it repeats. */
TEST(a_repeat_is_answered_no_earlier_than_its_report_could_have_been)
{
	struct ticket first = {.name = "a"}, repeat = {.name = "b"};
	struct rig rig;

	open_rig(&rig, &always);
	faults_hold(FAULT_FDATASYNC);
	assert_int_equal(post_on(&rig, 1, ALICE, &first), 0);
	rig.deliveries[1] = DELIVERY_LOST;
	assert_int_equal(post_on(&rig, 2, ALICE, &repeat), 0);
	for (int i = 0; i < 5; i++)
		(void)uv_run(&rig.loop, UV_RUN_NOWAIT);
	assert_false(repeat.is_done);
	faults_release(FAULT_FDATASYNC);
	wait_for(&repeat);
	assert_string_equal(rig.answers, "ab");
	faults_reset();
	close_rig(&rig);
}

TEST(short_memory_at_a_repeat_counts_it_never)
{
	struct rig rig;
	uint64_t connection = 1;
	bool has_fired = true;

	open_rig(&rig, &everysec);
	assert_int_equal(added_on(&rig, connection), 7);
	for (unsigned n = 1; has_fired; n++) {
		struct ticket *ticket = calloc(1, sizeof(*ticket));
		int code;

		assert_true(connection + 1 < N_CONNS);
		rig.deliveries[connection++] = DELIVERY_LOST;
		ticket->name = "";
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = post_on(&rig, connection, ALICE, ticket);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		assert_true(code == 0 || (code == ERR_NOMEM && has_fired));
		assert_int_equal(used_by(rig.ledger, "alice"), 7);
		if (code == 0)
			wait_for(ticket);
		free(ticket);
	}
	assert_true(stats_of(&rig).refused > 0);
	close_rig(&rig);
}

TEST(an_open_report_is_open_after_the_next_start)
{
	struct ledger *ledger;
	struct ledger_stats stats;
	struct rig rig;

	open_rig(&rig, &everysec);
	assert_int_equal(added_on(&rig, 1), 7);
	rig.deliveries[1] = DELIVERY_LOST;
	assert_int_equal(added_on(&rig, 2), 0);
	must_post(&rig, REPORT(STATS("bob", 1, 1)));
	stop_rig(&rig);
	ledger = recover_from(&rig.dir);
	ledger_get_stats(ledger, &stats);
	assert_int_equal(used_by(ledger, "alice"), 7);
	assert_int_equal(stats.open_reports, 2);
	ledger_free(ledger);
	tempdir_remove(&rig.dir);
}

/* How a child of the test below has ended. */
enum ending { ACCEPTED, REFUSED, NOTHING_FAILED, CONTRADICTION, ENDED_ITSELF };

static void on_exit_called(void)
{
	_exit(ENDED_ITSELF); /* before anybody looks for leaks of what was under way */
}

/* In a child that ends with all its memory: what SQLite holds would be taken for leaks.
 */
static void close_store_of(struct rig *rig)
{
	store_close(rig->store);
	rig->store = NULL;
}

/* In a process of its own: uthash ends it if it cannot grow a table. */
static void post_with_fault(const struct tempdir *dir, unsigned n)
{
	struct rig rig = {.dir = *dir};
	struct ticket ticket = {.name = ""};
	uint64_t used;
	int code;

	open_rig_in(&rig, &everysec);
	close_store_of(&rig);
	(void)atexit(on_exit_called);
	faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
	code = post(&rig, REPORT(STATS("new", 3, 4) "," STATS("newer", 1, 1) "," BAD),
		&ticket);
	used = used_by(rig.ledger, "new") + used_by(rig.ledger, "newer");
	if (!faults_fired(FAULT_MEMORY))
		_exit(NOTHING_FAILED);
	if (code == 0)
		_exit(used == 9 && journal_seq(&rig) == 1 ? ACCEPTED : CONTRADICTION);
	_exit(code == ERR_NOMEM && used == 0 && journal_seq(&rig) == 0 &&
				!ledger_is_dirty(rig.ledger)
			? REFUSED
			: CONTRADICTION);
}

TEST(short_memory_with_new_names_refuses_counts_or_ends_but_loses_nothing)
{
	unsigned n_of[ENDED_ITSELF + 1] = {0};
	unsigned n = 1;

	for (; n_of[NOTHING_FAILED] == 0; n++) {
		struct tempdir dir;
		struct ledger *ledger;
		int status = 0;
		uint64_t used;
		pid_t pid;

		assert_true(n < 100);
		tempdir_make(&dir);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			post_with_fault(&dir, n);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_in_range(WEXITSTATUS(status), 0, ENDED_ITSELF);
		assert_int_not_equal(WEXITSTATUS(status), CONTRADICTION);
		n_of[WEXITSTATUS(status)]++;
		ledger = recover_from(&dir);
		used = used_by(ledger, "new") + used_by(ledger, "newer");
		if (WEXITSTATUS(status) == ACCEPTED ||
			WEXITSTATUS(status) == NOTHING_FAILED)
			assert_int_equal(used, 9);
		else
			assert_int_equal(used, 0);
		ledger_free(ledger);
		tempdir_remove(&dir);
	}
	assert_true(n_of[REFUSED] > 5);
}

TEST(without_memory_for_it_there_is_no_pipeline)
{
	struct accept_parts parts = {0};
	uv_loop_t loop;

	assert_int_equal(uv_loop_init(&loop), 0);
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	assert_null(accept_new(&loop, &parts));
	faults_reset();
	accept_free(NULL);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			an_accepted_report_is_in_journal_and_ledger_before_the_call_returns),
		cmocka_unit_test(
			a_record_tells_node_connection_time_and_the_bodys_fingerprint),
		cmocka_unit_test(answers_come_once_and_in_the_order_of_the_reports),
		cmocka_unit_test(
			a_write_that_fails_changes_nothing_and_a_later_report_works),
		cmocka_unit_test(a_refused_report_keeps_no_rejects_as_it_will_come_again),
		cmocka_unit_test(fsync_always_answers_only_after_the_sync),
		cmocka_unit_test(
			who_need_not_wait_keeps_the_place_behind_those_that_wait),
		cmocka_unit_test(
			where_nobody_is_waited_for_the_answer_may_go_at_once_and_nothing_fires_later),
		cmocka_unit_test(the_other_modes_answer_without_waiting_for_the_disk),
		cmocka_unit_test(
			what_is_no_report_is_refused_counted_and_changes_nothing),
		cmocka_unit_test(
			after_stop_reports_are_refused_and_those_that_wait_are_answered),
		cmocka_unit_test(a_close_forgets_who_waits_but_not_what_was_accepted),
		cmocka_unit_test(a_bad_event_costs_the_others_nothing_and_is_kept),
		cmocka_unit_test(
			a_report_of_nothing_but_bad_events_is_accepted_without_a_record),
		cmocka_unit_test(more_rejects_than_are_kept_of_a_report_are_counted),
		cmocka_unit_test(
			users_beyond_the_bound_are_rejected_and_known_ones_go_on),
		cmocka_unit_test(a_status_is_accepted_and_is_no_stats_event),
		cmocka_unit_test(a_report_that_makes_many_users_dirty_starts_a_flush),
		cmocka_unit_test(
			a_full_journal_refuses_and_takes_reports_again_after_a_flush),
		cmocka_unit_test(a_disk_that_is_low_refuses_and_changes_nothing),
		cmocka_unit_test(short_memory_refuses_a_report_whole_or_counts_it_whole),
		cmocka_unit_test(
			an_equal_report_counts_while_the_first_ones_answer_is_undecided_or_has_arrived),
		cmocka_unit_test(
			an_equal_report_is_a_repeat_of_one_whose_answer_was_lost),
		cmocka_unit_test(each_lost_answer_excuses_one_report),
		cmocka_unit_test(an_announcement_is_no_repeat_of_an_equal_one),
		cmocka_unit_test(
			a_report_whose_client_has_gone_is_refused_and_changes_nothing),
		cmocka_unit_test(one_that_was_read_before_is_taken_as_one_that_was_not),
		cmocka_unit_test(
			one_that_was_read_for_other_counters_or_whose_client_has_gone_changes_nothing),
		cmocka_unit_test(a_repeat_that_cannot_be_written_leaves_its_report_open),
		cmocka_unit_test(
			a_repeat_is_answered_no_earlier_than_its_report_could_have_been),
		cmocka_unit_test(short_memory_at_a_repeat_counts_it_never),
		cmocka_unit_test(an_open_report_is_open_after_the_next_start),
		cmocka_unit_test(
			short_memory_with_new_names_refuses_counts_or_ends_but_loses_nothing),
		cmocka_unit_test(without_memory_for_it_there_is_no_pipeline),
	};

	log_set_level(LOG_ERROR);
	return RUN_TESTS(tests);
}
