/*
 * Each test has a real database, a loop and a ledger of its own; another program is a
 * second connection. What was flushed is read by that one.
 *
 * Nothing is timed. Where a delay must not be over, it is an hour; where it must, a few
 * milliseconds, and the test waits for what comes of it. A running flush is kept running
 * by the other program's lock, which the store waits for.
 */
#include "lib/test.h"
#include "base/clock.h"
#include "lib/faults.h"
#include "lib/loop.h"
#include "lib/sample.h"
#include "lib/tempdir.h"
#include "store/flush.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_MS 10000
#define NEVER_MS 3600000
#define A_WHILE_MS 30 /* to see that nothing happens */

struct fixture {
	struct tempdir dir;
	char path[256];
	uv_loop_t loop;
	struct store *store;
	struct ledger *ledger;
	struct flush *flush;
	sqlite3 *other; /* another program's transaction */
	unsigned n_cuts, n_commits, n_fatal;
	uint64_t committed_seq;
	struct {
		unsigned n_cuts, n_answers;
		int64_t sum, link;
		bool is_link_saved;
	} at_first_commit;
	int fatal_code;
	uint64_t await_n; /* for the conditions below */
	bool is_closed;
	unsigned n_answers; /* of all requests, and of the stop: to tell their order */
	unsigned n_reminders;
};

/* A request, or the stop; what its callback was told, and what it found in the file. */
struct waiter {
	struct fixture *f;
	bool is_done;
	int code;
	unsigned place; /* 1: the first to be answered */
	int64_t sum;    /* of used_traffic, when it was answered */
	struct flush_outcome outcome;
};

static const struct flush_config quiet = {.interval_ms = NEVER_MS,
	.max_pending_users = 1000,
	.emergency_flush_size = 800,
	.max_retries = 3,
	.retry_delay_ms = NEVER_MS};

/* Retries at once, and again and again. */
static struct flush_config eager(void)
{
	struct flush_config config = quiet;

	config.max_retries = 1000;
	config.retry_delay_ms = 1;
	return config;
}

static int64_t number(const struct fixture *f, const char *text)
{
	return sample_number(f->path, text);
}

static int64_t sum_of_used(const struct fixture *f)
{
	return number(f, "SELECT coalesce(sum(used_traffic), 0) FROM users");
}

/* 0: there is none. */
static int64_t link_in_file(const struct fixture *f)
{
	return number(f,
		"SELECT coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE "
		"key='redis_link'), 0)");
}

static struct flush_stats stats_of(const struct fixture *f)
{
	struct flush_stats stats;

	flush_get_stats(f->flush, &stats);
	return stats;
}

static void on_cut(void *arg)
{
	struct fixture *f = arg;

	f->n_cuts++;
}

static void on_committed(void *arg, uint64_t seq, bool is_settled)
{
	struct fixture *f = arg;

	(void)is_settled;
	assert_int_equal(
		number(f, "SELECT value FROM meta WHERE key='applied_seq'"), seq);
	if (f->n_commits++ == 0) {
		f->at_first_commit.n_cuts = f->n_cuts;
		f->at_first_commit.n_answers = f->n_answers;
		f->at_first_commit.sum = sum_of_used(f);
		f->at_first_commit.link = link_in_file(f);
		f->at_first_commit.is_link_saved = ledger_is_link_saved(f->ledger);
	}
	f->committed_seq = seq;
}

static void on_fatal(void *arg, int code)
{
	struct fixture *f = arg;

	f->n_fatal++;
	f->fatal_code = code;
}

static void describe_rest(void *arg, struct errmsg *ret_rest)
{
	struct fixture *f = arg;

	f->n_reminders++;
	(void)err_set(ret_rest, 0, "kept");
}

static void on_done(void *arg, int code, const struct flush_outcome *outcome)
{
	struct waiter *waiter = arg;

	assert_false(waiter->is_done);
	waiter->is_done = true;
	waiter->code = code;
	waiter->place = ++waiter->f->n_answers;
	waiter->sum = sum_of_used(waiter->f);
	waiter->outcome = *outcome;
}

static void on_closed(void *arg)
{
	struct fixture *f = arg;

	f->is_closed = true;
}

static void begin_waiting(
	struct fixture *f, const struct flush_config *config, unsigned busy_timeout_ms)
{
	const struct flush_hooks hooks = {
		on_cut, on_committed, on_fatal, describe_rest, f};
	struct store_config store = {f->path, busy_timeout_ms, 3, false};
	struct errmsg msg;

	memset(f, 0, sizeof(*f));
	faults_reset();
	faults_watch_sqlite();
	tempdir_make(&f->dir);
	(void)snprintf(f->path, sizeof(f->path), "%s", tempdir_path(&f->dir, "tally.db"));
	assert_int_equal(store_open(&store, &f->store, &msg), 0);
	f->ledger = ledger_new(10000, false);
	assert_non_null(f->ledger);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	f->flush = flush_new(&f->loop, f->store, f->ledger, config, &hooks);
	assert_non_null(f->flush);
	flush_start(f->flush);
}

/* A lock of another program is seen at once. */
static void begin(struct fixture *f, const struct flush_config *config)
{
	begin_waiting(f, config, 0);
}

static void end(struct fixture *f)
{
	flush_close(f->flush, on_closed, f);
	assert_false(f->is_closed);
	assert_true(loop_run_until_set(&f->loop, &f->is_closed, DEADLINE_MS));
	assert_int_equal(uv_loop_close(&f->loop), 0);
	flush_free(f->flush);
	store_close(f->store);
	ledger_free(f->ledger);
	tempdir_remove(&f->dir);
	faults_reset();
	clock_freeze_for_test(0);
}

static void lock(struct fixture *f)
{
	assert_int_equal(
		sqlite3_open_v2(f->path, &f->other, SQLITE_OPEN_READWRITE, "unix"),
		SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(f->other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

static void unlock(struct fixture *f)
{
	assert_int_equal(sqlite3_close(f->other), SQLITE_OK);
	f->other = NULL;
}

/* Each has one byte in. */
static void book_users(struct fixture *f, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++)
		sample_book(f->ledger, sample_name(i), 1, 0);
}

static void request(struct fixture *f, struct waiter *waiter)
{
	*waiter = (struct waiter){.f = f};
	assert_int_equal(flush_request(f->flush, on_done, waiter), 0);
	assert_false(waiter->is_done); /* never inside the call */
}

static void stop(struct fixture *f, uint64_t timeout_ms, struct waiter *waiter)
{
	*waiter = (struct waiter){.f = f};
	flush_stop(f->flush, timeout_ms, on_done, waiter);
	assert_false(waiter->is_done);
}

static void run_until_done(struct fixture *f, const struct waiter *waiter, int code)
{
	assert_true(loop_run_until_set(&f->loop, &waiter->is_done, DEADLINE_MS));
	assert_int_equal(waiter->code, code);
}

static bool has_started(const void *arg)
{
	const struct fixture *f = arg;

	return stats_of(f).n_started >= f->await_n;
}

static bool has_failed(const void *arg)
{
	const struct fixture *f = arg;

	return stats_of(f).n_failed >= f->await_n;
}

static bool has_succeeded(const void *arg)
{
	const struct fixture *f = arg;

	return stats_of(f).n_succeeded >= f->await_n;
}

static void run_until(
	struct fixture *f, bool (*is_reached)(const void *arg), uint64_t await_n)
{
	f->await_n = await_n;
	assert_true(loop_run_until(&f->loop, is_reached, f, DEADLINE_MS));
}

/* So many have started, and no other does for a while. */
static void expect_n_started(struct fixture *f, uint64_t n)
{
	assert_int_equal(stats_of(f).n_started, n);
	loop_run_for(&f->loop, A_WHILE_MS);
	assert_int_equal(stats_of(f).n_started, n);
}

static size_t n_dirty_users(const struct fixture *f)
{
	struct ledger_stats stats;

	ledger_get_stats(f->ledger, &stats);
	return stats.dirty_users;
}

static void expect_flushed(const struct fixture *f, int64_t sum)
{
	assert_int_equal(sum_of_used(f), sum);
	assert_false(ledger_is_dirty(f->ledger));
	assert_int_equal(n_dirty_users(f), 0);
	assert_int_equal(f->committed_seq, ledger_seq(f->ledger));
}

TEST(the_interval_flushes_what_is_dirty_again_and_again)
{
	struct flush_config config = quiet;
	struct fixture f;

	config.interval_ms = 2;
	begin(&f, &config);
	for (unsigned i = 1; i <= 3; i++) {
		book_users(&f, 0, 5);
		run_until(&f, has_succeeded, i);
		expect_flushed(&f, 5 * i);
		assert_int_equal(stats_of(&f).n_started, i);
		assert_int_equal(f.n_cuts, i);
	}
	end(&f);
}

TEST(with_nothing_dirty_there_is_no_sync)
{
	struct flush_config config = quiet;
	struct waiter waiter;
	struct fixture f;

	config.interval_ms = 1;
	begin(&f, &config);
	expect_n_started(&f, 0);
	request(&f, &waiter);
	run_until_done(&f, &waiter, 0);
	flush_maybe_start(f.flush, false);
	flush_maybe_start(f.flush, true);
	expect_n_started(&f, 0);
	assert_int_equal(stats_of(&f).last.at_ms, 0);
	assert_int_equal(f.n_cuts, 0);
	end(&f);
}

TEST(a_request_is_answered_after_its_commit)
{
	struct waiter waiter;
	struct fixture f;

	begin(&f, &quiet);
	book_users(&f, 0, 7);
	request(&f, &waiter);
	run_until_done(&f, &waiter, 0);
	assert_int_equal(waiter.sum, 7);
	assert_int_equal(waiter.outcome.users, 7);
	expect_flushed(&f, 7);
	request(&f,
		&waiter); /* nothing is left to write, and nothing is said of before */
	run_until_done(&f, &waiter, 0);
	assert_int_equal(waiter.outcome.users, 0);
	assert_int_equal(waiter.outcome.at_ms, 0);
	end(&f);
}

TEST(the_statistics_tell_users_statements_and_the_last_flush)
{
	struct waiter waiter;
	struct fixture f;
	struct flush_stats stats;

	begin(&f, &quiet);
	book_users(&f, 0, 7);
	request(&f, &waiter);
	run_until_done(&f, &waiter, 0);
	book_users(&f, 0, 3);
	clock_freeze_for_test(123456);
	request(&f, &waiter);
	run_until_done(&f, &waiter, 0);
	stats = stats_of(&f);
	assert_int_equal(stats.n_started, 2);
	assert_int_equal(stats.n_succeeded, 2);
	assert_int_equal(stats.n_failed, 0);
	assert_int_equal(stats.users_written, 10);
	assert_int_equal(stats.statements, 3 + 1);
	assert_false(stats.is_running);
	assert_int_equal(stats.last.at_ms, 123456);
	assert_int_equal(stats.last.users, 3);
	assert_int_equal(stats.last.error, 0);
	assert_true(stats.last.time_ms >= 0 && stats.total_ms >= stats.last.time_ms);
	end(&f);
}

TEST(requests_of_one_turn_share_a_flush)
{
	struct waiter waiters[3];
	struct fixture f;

	begin(&f, &quiet);
	book_users(&f, 0, 4);
	for (size_t i = 0; i < COUNT_OF(waiters); i++)
		request(&f, &waiters[i]);
	run_until_done(&f, &waiters[2], 0);
	for (size_t i = 0; i < COUNT_OF(waiters); i++) {
		AT_ROW(i, waiters[i].place == i + 1);
		AT_ROW(i, waiters[i].code == 0);
		AT_ROW(i, waiters[i].sum == 4);
	}
	assert_int_equal(stats_of(&f).n_started, 1);
	end(&f);
}

TEST(a_request_during_a_flush_is_answered_by_one_that_has_all_its_bytes)
{
	struct waiter first, second;
	struct fixture f;

	begin_waiting(&f, &quiet, DEADLINE_MS);
	lock(&f);
	book_users(&f, 0, 4);
	request(&f, &first);
	run_until(&f, has_started, 1);
	assert_true(stats_of(&f).is_running);
	book_users(&f, 2, 5); /* some of them are in the cut, too */
	request(&f, &second);
	unlock(&f);
	run_until_done(&f, &first, 0);
	assert_int_equal(first.sum, 4);
	run_until_done(&f, &second, 0);
	assert_int_equal(second.place, 2);
	assert_int_equal(second.sum, 9);
	assert_int_equal(stats_of(&f).n_started, 2);
	expect_flushed(&f, 9);
	end(&f);
}

TEST(a_request_during_a_flush_that_has_all_its_bytes_needs_no_other)
{
	struct waiter first, second;
	struct fixture f;

	begin_waiting(&f, &quiet, DEADLINE_MS);
	lock(&f);
	book_users(&f, 0, 4);
	request(&f, &first);
	run_until(&f, has_started, 1);
	request(&f, &second);
	unlock(&f);
	run_until_done(&f, &second, 0);
	assert_int_equal(second.sum, 4);
	assert_int_equal(second.place, 2);
	assert_int_equal(stats_of(&f).n_started, 1);
	end(&f);
}

TEST(what_is_booked_during_a_flush_stays_dirty)
{
	struct waiter waiter;
	struct fixture f;

	begin_waiting(&f, &quiet, DEADLINE_MS);
	lock(&f);
	book_users(&f, 0, 4);
	request(&f, &waiter);
	run_until(&f, has_started, 1);
	book_users(&f, 0, 2);
	unlock(&f);
	run_until_done(&f, &waiter, 0);
	assert_int_equal(n_dirty_users(&f), 2);
	assert_int_equal(f.committed_seq, 4);
	expect_n_started(&f, 1); /* the interval has time */
	request(&f, &waiter);
	run_until_done(&f, &waiter, 0);
	expect_flushed(&f, 6);
	end(&f);
}

TEST(a_failed_flush_is_tried_with_the_same_cut_and_what_came_since_follows_at_once)
{
	struct flush_config config = eager();
	struct waiter waiter;
	struct fixture f;

	begin(&f, &config);
	lock(&f);
	book_users(&f, 0, 10);
	request(&f, &waiter);
	run_until_done(&f, &waiter, ERR_STORE_BUSY);
	assert_int_equal(n_dirty_users(&f), 10);
	assert_int_equal(stats_of(&f).last.error, ERR_STORE_BUSY);
	assert_int_equal(stats_of(&f).last.users, 10);
	assert_int_equal(f.committed_seq, 0);
	book_users(&f, 5, 10);
	run_until(&f, has_failed, 4);
	assert_int_equal(n_dirty_users(&f), 15);
	assert_int_equal(f.n_cuts, 1);
	unlock(&f);
	run_until(&f, has_succeeded, 2);
	assert_int_equal(f.at_first_commit.n_cuts, 1);
	assert_int_equal(f.at_first_commit.sum, 10);
	assert_int_equal(f.n_cuts, 2);
	expect_flushed(&f, 20);
	assert_int_equal(stats_of(&f).users_written, 20);
	assert_int_equal(stats_of(&f).last.error, 0);
	assert_int_equal(stats_of(&f).n_started, stats_of(&f).n_failed + 2);
	expect_n_started(&f, stats_of(&f).n_started); /* and then the interval has time */
	end(&f);
}

TEST(each_retry_waits_twice_as_long_and_after_the_last_one_the_interval)
{
	struct flush_config config = quiet;
	struct waiter waiter;
	struct fixture f;
	uint64_t began_ms;

	config.retry_delay_ms = 4;
	begin(&f, &config);
	lock(&f);
	book_users(&f, 0, 3);
	request(&f, &waiter);
	began_ms = uv_now(&f.loop);
	/* A slow machine makes it only more. */
	for (unsigned i = 0; i <= config.max_retries; i++) {
		run_until(&f, has_failed, 1 + i);
		AT_ROW(i,
			uv_now(&f.loop) - began_ms >=
				config.retry_delay_ms * ((1U << i) - 1));
	}
	expect_n_started(&f, 1 + config.max_retries);
	unlock(&f);
	expect_n_started(&f, 1 + config.max_retries);
	assert_int_equal(f.n_cuts, 1);
	assert_int_equal(waiter.place, 1); /* once, by the first of them */
	assert_int_equal(n_dirty_users(&f), 3);
	request(&f, &waiter); /* retry_delay is over: it need not wait for the interval */
	run_until_done(&f, &waiter, 0);
	expect_flushed(&f, 3);
	end(&f);
}

TEST(after_the_last_retry_the_interval_begins_anew_with_quick_retries)
{
	struct flush_config config = quiet;
	struct fixture f;
	uint64_t began_ms;

	config.retry_delay_ms = 1;
	config.max_retries = 2;
	config.interval_ms = 20;
	begin(&f, &config);
	began_ms = uv_now(&f.loop);
	lock(&f);
	book_users(&f, 0, 3);
	run_until(&f, has_failed, 7); /* twice an interval, and each has two retries */
	assert_true(uv_now(&f.loop) - began_ms >= 2 * (config.interval_ms + 1 + 2));
	unlock(&f);
	run_until(&f, has_succeeded, 1);
	expect_flushed(&f, 3);
	end(&f);
}

TEST(a_flush_that_keeps_failing_is_told_of_once_quick_retries_are_over_and_rarely_again)
{
	struct flush_config config = quiet;
	struct fixture f;

	config.retry_delay_ms = 1;
	config.max_retries = 2;
	config.interval_ms = 3;
	begin(&f, &config);
	lock(&f);
	book_users(&f, 0, 3);
	assert_int_equal(stats_of(&f).failing_since_ms, 0);
	run_until(&f, has_failed, 2);
	assert_true(stats_of(&f).failing_since_ms > 0);
	assert_true(f.n_reminders == 0 || stats_of(&f).n_failed > 2);
	run_until(&f, has_failed, 8);
	assert_int_equal(f.n_reminders, 1); /* the same, within ten minutes */
	clock_freeze_for_test(clock_ms() + 600001);
	run_until(&f, has_failed, stats_of(&f).n_failed + 2);
	assert_int_equal(f.n_reminders, 2);
	unlock(&f);
	run_until(&f, has_succeeded, 1);
	assert_int_equal(stats_of(&f).failing_since_ms, 0);
	lock(&f);
	book_users(&f, 0, 3);
	run_until(&f, has_failed, stats_of(&f).n_failed + 3);
	assert_int_equal(f.n_reminders, 3); /* another time it fails */
	unlock(&f);
	run_until(&f, has_succeeded, 2);
	expect_flushed(&f, 6);
	end(&f);
}

TEST(for_each_failure_there_is_something_that_an_operator_can_do)
{
	static const struct {
		int code;
		bool needs_help;
		const char *advice;
	} rows[] = {
		{ERR_STORE_BUSY, false, "transaction"},
		{ERR_STORE_FULL, false, "room"},
		{ERR_STORE_UNKNOWN, false, "disk"},
		{ERR_NOMEM, false, "memory"},
		{ERR_STORE_IO, true, "disk"},
		{ERR_STORE_GONE, true, "put that very file back"},
		{ERR_STORE_READONLY, true, "write"},
		{ERR_STORE_CORRUPT, true, "backup"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		AT_ROW(i, store_needs_help(rows[i].code) == rows[i].needs_help);
		AT_ROW(i, strstr(store_advice(rows[i].code), rows[i].advice) != NULL);
	}
}

TEST(nothing_starts_within_retry_delay_of_a_failure_whoever_asks)
{
	struct flush_config config = quiet;
	struct waiter first, second, third;
	struct fixture f;

	config.interval_ms = 1;
	config.emergency_flush_size = 1;
	begin(&f, &config);
	lock(&f);
	book_users(&f, 0, 3);
	request(&f, &first);
	run_until(&f, has_failed, 1);
	unlock(&f);
	book_users(&f, 0, 3);
	request(&f, &second);
	flush_maybe_start(f.flush, false);
	flush_maybe_start(f.flush, true);
	expect_n_started(&f, 1);
	assert_int_equal(stats_of(&f).n_started, 1);
	assert_false(second.is_done);
	clock_freeze_for_test(clock_ms() + config.retry_delay_ms);
	request(&f, &third);
	run_until_done(&f, &third, 0);
	assert_true(second.is_done);
	assert_int_equal(second.code, 0);
	expect_flushed(&f, 6);
	end(&f);
}

TEST(a_request_in_a_backoff_is_answered_when_retry_delay_is_over)
{
	struct flush_config config = quiet;
	struct waiter waiter;
	struct fixture f;

	config.retry_delay_ms = 5;
	config.max_retries = 0; /* at once the interval's turn, which is an hour off */
	begin(&f, &config);
	lock(&f);
	book_users(&f, 0, 3);
	request(&f, &waiter);
	run_until_done(&f, &waiter, ERR_STORE_BUSY);
	unlock(&f);
	request(&f, &waiter);
	run_until_done(&f, &waiter, 0);
	expect_flushed(&f, 3);
	end(&f);
}

TEST(an_emergency_flush_starts_when_many_users_are_dirty)
{
	struct flush_config config = quiet;
	struct fixture f;

	config.emergency_flush_size = 5;
	begin(&f, &config);
	for (unsigned i = 0; i < 4; i++) {
		book_users(&f, i, 1);
		book_users(&f, i, 1);
		flush_maybe_start(f.flush, false);
	}
	expect_n_started(&f, 0);
	book_users(&f, 4, 1);
	flush_maybe_start(f.flush, false);
	run_until(&f, has_succeeded, 1);
	expect_flushed(&f, 9);
	end(&f);
}

TEST(emergency_flushes_start_at_most_every_5_seconds)
{
	uint64_t now = 1000000;
	struct flush_config config = quiet;
	struct fixture f;

	config.emergency_flush_size = 5;
	begin(&f, &config);
	clock_freeze_for_test(now);
	book_users(&f, 0, 5);
	flush_maybe_start(f.flush, false);
	run_until(&f, has_succeeded, 1);
	book_users(&f, 0, 5);
	for (unsigned i = 0; i < 3; i++) {
		static const uint64_t later[] = {0, 1, 4999};

		clock_freeze_for_test(now + later[i]);
		flush_maybe_start(f.flush, false);
		flush_maybe_start(f.flush, true);
		expect_n_started(&f, 1);
	}
	clock_freeze_for_test(now + 5000);
	flush_maybe_start(f.flush, false);
	run_until(&f, has_succeeded, 2);
	expect_flushed(&f, 10);
	end(&f);
}

TEST(the_5_seconds_between_emergencies_stop_no_request)
{
	struct flush_config config = quiet;
	struct waiter waiter;
	struct fixture f;

	config.emergency_flush_size = 5;
	begin(&f, &config);
	book_users(&f, 0, 5);
	flush_maybe_start(f.flush, false);
	run_until(&f, has_succeeded, 1);
	book_users(&f, 0, 5);
	flush_maybe_start(f.flush, false); /* a timer waits for the 5 s */
	request(&f, &waiter);
	run_until_done(&f, &waiter, 0);
	expect_flushed(&f, 10);
	end(&f);
}

TEST(a_pressed_journal_starts_a_flush_of_a_single_user)
{
	struct fixture f;

	begin(&f, &quiet);
	clock_freeze_for_test(1000000);
	book_users(&f, 0, 1);
	flush_maybe_start(f.flush, false);
	expect_n_started(&f, 0);
	flush_maybe_start(f.flush, true);
	run_until(&f, has_succeeded, 1);
	expect_flushed(&f, 1);
	clock_freeze_for_test(1000000 + 5000);
	book_users(&f, 0, 1);
	flush_maybe_start(f.flush, false); /* the cut took the pressure */
	expect_n_started(&f, 1);
	end(&f);
}

TEST(pressure_during_a_flush_is_remembered)
{
	uint64_t now = 1000000;
	struct waiter waiter;
	struct fixture f;

	begin_waiting(&f, &quiet, DEADLINE_MS);
	clock_freeze_for_test(now);
	lock(&f);
	book_users(&f, 0, 1);
	request(&f, &waiter);
	run_until(&f, has_started, 1);
	book_users(&f, 0, 2);
	flush_maybe_start(f.flush, true);
	unlock(&f);
	run_until(&f, has_succeeded, 2); /* nobody has asked again */
	expect_flushed(&f, 3);
	end(&f);
}

TEST(stopping_writes_everything)
{
	struct waiter waiter;
	struct fixture f;

	begin(&f, &quiet);
	book_users(&f, 0, 20);
	stop(&f, DEADLINE_MS, &waiter);
	run_until_done(&f, &waiter, 0);
	assert_int_equal(waiter.sum, 20);
	expect_flushed(&f, 20);
	expect_n_started(&f, 1);
	end(&f);
}

TEST(stopping_with_nothing_to_write_starts_nothing)
{
	struct waiter waiter;
	struct fixture f;

	begin(&f, &quiet);
	stop(&f, DEADLINE_MS, &waiter);
	run_until_done(&f, &waiter, 0);
	assert_int_equal(stats_of(&f).n_started, 0);
	end(&f);
}

TEST(stopping_during_a_flush_writes_what_came_after_its_cut)
{
	struct waiter waiter, stopped;
	struct fixture f;

	begin_waiting(&f, &quiet, DEADLINE_MS);
	lock(&f);
	book_users(&f, 0, 4);
	request(&f, &waiter);
	run_until(&f, has_started, 1);
	book_users(&f, 2, 4);
	stop(&f, DEADLINE_MS, &stopped);
	unlock(&f);
	run_until_done(&f, &stopped, 0);
	assert_int_equal(stopped.sum, 8);
	expect_flushed(&f, 8);
	end(&f);
}

TEST(stopping_goes_on_trying_until_the_lock_is_gone)
{
	struct flush_config config = quiet;
	struct waiter stopped;
	struct fixture f;

	config.retry_delay_ms = 1;
	config.max_retries = 1; /* a stop never waits for the interval */
	begin(&f, &config);
	lock(&f);
	book_users(&f, 0, 4);
	stop(&f, NEVER_MS, &stopped);
	run_until(&f, has_failed, 5);
	unlock(&f);
	run_until_done(&f, &stopped, 0);
	expect_flushed(&f, 4);
	end(&f);
}

TEST(a_stop_whose_time_is_over_says_why_and_leaves_the_file_as_it_is)
{
	static const uint64_t timeouts_ms[] = {0, 20};

	for (size_t i = 0; i < COUNT_OF(timeouts_ms); i++) {
		struct flush_config config = eager();
		struct waiter stopped;
		struct fixture f;
		uint64_t n_started;

		begin(&f, &config);
		lock(&f);
		book_users(&f, 0, 4);
		stop(&f, timeouts_ms[i], &stopped);
		run_until_done(&f, &stopped, ERR_STORE_BUSY);
		n_started = stats_of(&f).n_started;
		assert_true(n_started >= 1);
		assert_int_equal(n_dirty_users(&f), 4);
		expect_n_started(&f, n_started);
		unlock(&f);
		assert_int_equal(sum_of_used(&f), 0);
		end(&f);
	}
}

TEST(a_stop_waits_no_longer_than_its_time_however_long_the_retry_delay)
{
	struct waiter waiter, stopped;
	struct fixture f;

	begin(&f, &quiet);
	lock(&f);
	book_users(&f, 0, 4);
	request(&f, &waiter);
	run_until_done(&f, &waiter, ERR_STORE_BUSY); /* from here on it is an hour */
	stop(&f, 20, &stopped);
	run_until_done(&f, &stopped, ERR_STORE_BUSY);
	unlock(&f);
	assert_int_equal(n_dirty_users(&f), 4);
	end(&f);
}

TEST(requests_are_answered_before_the_stop)
{
	struct flush_config config = eager();
	struct waiter before, waiting, stopped;
	struct fixture f;

	begin(&f, &config);
	lock(&f);
	book_users(&f, 0, 4);
	request(&f, &before);
	run_until_done(&f, &before, ERR_STORE_BUSY);
	request(&f, &waiting);
	stop(&f, 20, &stopped);
	run_until_done(&f, &stopped, ERR_STORE_BUSY);
	assert_true(waiting.is_done);
	assert_int_equal(waiting.code, ERR_STORE_BUSY);
	assert_true(waiting.place < stopped.place);
	unlock(&f);
	end(&f);
}

TEST(a_stop_answers_with_success_those_whose_bytes_it_wrote)
{
	struct waiter waiting, stopped;
	struct fixture f;

	begin(&f, &quiet);
	book_users(&f, 0, 4);
	request(&f, &waiting);
	stop(&f, DEADLINE_MS, &stopped);
	run_until_done(&f, &stopped, 0);
	assert_true(waiting.is_done);
	assert_int_equal(waiting.code, 0);
	assert_int_equal(waiting.sum, 4);
	assert_true(waiting.place < stopped.place);
	end(&f);
}

TEST(a_new_interval_counts_from_now)
{
	struct flush_config config = quiet;
	struct fixture f;

	begin(&f, &config);
	book_users(&f, 0, 4);
	expect_n_started(&f, 0);
	config.interval_ms = 2;
	flush_configure(f.flush, &config);
	run_until(&f, has_succeeded, 1);
	expect_flushed(&f, 4);
	config.interval_ms = NEVER_MS;
	flush_configure(f.flush, &config);
	book_users(&f, 0, 4);
	expect_n_started(&f, 1);
	end(&f);
}

TEST(new_sizes_and_delays_hold_for_the_next_time)
{
	struct flush_config config = quiet;
	struct waiter waiter;
	struct fixture f;

	begin(&f, &config);
	book_users(&f, 0, 4);
	config.emergency_flush_size = 4;
	config.retry_delay_ms = 1;
	flush_configure(f.flush, &config);
	lock(&f);
	flush_maybe_start(f.flush, false);
	run_until(&f, has_failed, 2); /* the second by the new delay */
	unlock(&f);
	run_until(&f, has_succeeded, 1);
	request(&f, &waiter);
	run_until_done(&f, &waiter, 0);
	expect_flushed(&f, 4);
	end(&f);
}

/* The next commit fails with its outcome unknown. */
static void fail_commit(void)
{
	faults_fail_nth(FAULT_SQLITE_SYNC, 1, SQLITE_IOERR_FSYNC);
}

/* Four users of one byte each, asked to be flushed: nobody knows yet whether they were.
 */
static void begin_with_unknown_cut(struct fixture *f)
{
	struct waiter waiter;

	begin(f, &quiet);
	book_users(f, 0, 4);
	request(f, &waiter);
	fail_commit();
	run_until_done(f, &waiter, ERR_STORE_UNKNOWN);
	assert_true(faults_fired(FAULT_SQLITE_SYNC));
	faults_reset();
}

/* Whoever asks from now on need not wait. */
static void pass_retry_delay(void)
{
	clock_freeze_for_test(clock_ms() + quiet.retry_delay_ms);
}

TEST(a_cut_of_unknown_outcome_is_handed_in_again_before_any_other)
{
	struct waiter second;
	struct fixture f;

	begin_with_unknown_cut(&f);
	assert_int_equal(f.n_cuts, 1);
	assert_int_equal(n_dirty_users(&f), 4);
	book_users(&f, 2, 6); /* these are for the next cut */
	pass_retry_delay();
	request(&f, &second);
	run_until_done(&f, &second, 0);
	assert_int_equal(f.at_first_commit.n_cuts, 1);
	assert_int_equal(f.at_first_commit.sum, 4);
	assert_int_equal(f.at_first_commit.n_answers, 1); /* the second wants more */
	assert_int_equal(second.sum, 10);
	assert_int_equal(f.n_cuts, 2);
	expect_flushed(&f, 10);
	end(&f);
}

TEST(a_commit_that_was_made_after_all_is_not_made_twice)
{
	struct flush_config config = eager();
	struct waiter waiter;
	struct fixture f;

	begin(&f, &config);
	book_users(&f, 0, 4);
	faults_fail_nth(FAULT_SQLITE_COMMITTED, 1, SQLITE_IOERR);
	request(&f, &waiter);
	run_until_done(&f, &waiter, ERR_STORE_UNKNOWN);
	assert_int_equal(waiter.sum, 4);
	run_until(&f, has_succeeded, 1);
	expect_flushed(&f, 4);
	assert_int_equal(f.n_cuts, 1);
	end(&f);
}

TEST(a_request_is_answered_even_if_an_unknown_cut_fails_again)
{
	struct waiter again, healed;
	struct fixture f;

	begin_with_unknown_cut(&f);
	pass_retry_delay();
	request(&f, &again);
	fail_commit();
	run_until_done(&f, &again, ERR_STORE_UNKNOWN);
	faults_reset();
	pass_retry_delay();
	request(&f, &healed);
	run_until_done(&f, &healed, 0);
	expect_flushed(&f, 4);
	end(&f);
}

TEST(a_stop_tries_an_unknown_cut_again_and_then_the_rest)
{
	struct waiter stopped;
	struct fixture f;

	begin_with_unknown_cut(&f);
	book_users(&f, 2, 6);
	pass_retry_delay();
	stop(&f, DEADLINE_MS, &stopped);
	run_until_done(&f, &stopped, 0);
	assert_int_equal(stopped.sum, 10);
	expect_flushed(&f, 10);
	end(&f);
}

static void set_link(struct fixture *f, uint64_t at_ms)
{
	struct link_record link = {at_ms, "somebody"};

	ledger_set_link(f->ledger, &link);
}

static bool is_running(const void *arg)
{
	const struct fixture *f = arg;

	return stats_of(f).is_running;
}

static bool has_saved_link(const void *arg)
{
	const struct fixture *f = arg;

	return ledger_is_link_saved(f->ledger);
}

static void expect_link_saved(const struct fixture *f, int64_t at_ms)
{
	assert_true(ledger_is_link_saved(f->ledger));
	assert_false(ledger_is_dirty(f->ledger));
	assert_int_equal(link_in_file(f), at_ms);
}

/* Nothing but `error` tells of a flush that held only the link. */
static void expect_uncounted(const struct fixture *f, int error)
{
	struct flush_stats stats = stats_of(f);

	assert_int_equal(stats.n_started, 0);
	assert_int_equal(stats.n_succeeded, 0);
	assert_int_equal(stats.n_failed, 0);
	assert_int_equal(stats.users_written, 0);
	assert_int_equal(stats.statements, 0);
	assert_true(stats.total_ms <= 0);
	assert_false(stats.is_running);
	assert_int_equal(stats.last.at_ms, 0);
	assert_int_equal(stats.last.users, 0);
	assert_int_equal(stats.last.error, error);
}

TEST(a_flush_of_a_link_alone_is_made_and_not_counted)
{
	struct waiter waiter;
	struct fixture f;

	begin(&f, &quiet);
	set_link(&f, 1000);
	request(&f, &waiter);
	run_until_done(&f, &waiter, 0);
	assert_int_equal(f.n_cuts, 1);
	assert_int_equal(f.n_commits, 1);
	assert_true(f.at_first_commit.is_link_saved);
	assert_int_equal(f.committed_seq, 0);
	expect_link_saved(&f, 1000);
	expect_uncounted(&f, 0);
	assert_int_equal(waiter.outcome.users, 0);
	assert_int_equal(waiter.outcome.at_ms, 0);
	request(&f, &waiter); /* it is not written again */
	run_until_done(&f, &waiter, 0);
	assert_int_equal(f.n_cuts, 1);
	book_users(&f, 0, 7);
	request(&f, &waiter);
	run_until_done(&f, &waiter, 0);
	expect_flushed(&f, 7);
	assert_int_equal(stats_of(&f).n_started, 1);
	assert_int_equal(stats_of(&f).n_succeeded, 1);
	end(&f);
}

TEST(the_interval_and_a_stop_write_a_link_too)
{
	struct flush_config config = quiet;
	struct waiter stopped;
	struct fixture f;

	config.interval_ms = 2;
	begin(&f, &config);
	set_link(&f, 1000);
	assert_true(loop_run_until(&f.loop, has_saved_link, &f, DEADLINE_MS));
	expect_link_saved(&f, 1000);
	set_link(&f, 2000);
	stop(&f, DEADLINE_MS, &stopped);
	run_until_done(&f, &stopped, 0);
	expect_link_saved(&f, 2000);
	expect_uncounted(&f, 0);
	end(&f);
}

TEST(a_failed_flush_of_the_link_says_so_and_is_tried_again)
{
	struct flush_config config = eager();
	struct waiter waiter;
	struct fixture f;

	begin(&f, &config);
	lock(&f);
	set_link(&f, 1000);
	request(&f, &waiter);
	run_until_done(&f, &waiter, ERR_STORE_BUSY);
	assert_int_equal(stats_of(&f).last.error, ERR_STORE_BUSY);
	assert_int_equal(waiter.outcome.error, ERR_STORE_BUSY);
	assert_false(ledger_is_link_saved(f.ledger));
	assert_true(ledger_is_dirty(f.ledger));
	loop_run_for(&f.loop, A_WHILE_MS); /* nobody has asked again */
	assert_int_equal(stats_of(&f).last.error, ERR_STORE_BUSY);
	assert_int_equal(f.n_commits, 0);
	unlock(&f);
	assert_true(loop_run_until(&f.loop, has_saved_link, &f, DEADLINE_MS));
	assert_int_equal(f.n_commits, 1);
	expect_link_saved(&f, 1000);
	expect_uncounted(&f, 0);
	end(&f);
}

TEST(a_link_that_is_set_during_a_flush_of_the_link_is_written_by_another)
{
	struct waiter first, second;
	struct fixture f;

	begin_waiting(&f, &quiet, DEADLINE_MS);
	lock(&f);
	set_link(&f, 1000);
	request(&f, &first);
	run_until(&f, is_running, 0);
	set_link(&f, 2000);
	request(&f, &second);
	unlock(&f);
	run_until_done(&f, &second, 0);
	assert_int_equal(f.at_first_commit.link, 1000);
	assert_false(f.at_first_commit.is_link_saved);
	assert_int_equal(first.code, 0);
	assert_int_equal(first.place, 1);
	assert_int_equal(f.n_commits, 2);
	expect_link_saved(&f, 2000);
	expect_uncounted(&f, 0);
	end(&f);
}

/* The link asked to be flushed: nobody knows yet whether it was. */
static void begin_with_unknown_link(struct fixture *f, const char *adopted_id)
{
	char id[16];
	struct adopted adopted = {id, {500, 0, 0}};
	struct waiter waiter;

	begin(f, &quiet);
	(void)snprintf(id, sizeof(id), "%s", adopted_id);
	if (id[0] != '\0')
		assert_int_equal(ledger_adopt(f->ledger, &adopted, 1, 1000), 0);
	set_link(f, 1000);
	request(f, &waiter);
	fail_commit();
	run_until_done(f, &waiter, ERR_STORE_UNKNOWN);
	assert_true(faults_fired(FAULT_SQLITE_SYNC));
	faults_reset();
	assert_false(ledger_is_link_saved(f->ledger));
	assert_int_equal(link_in_file(f), 0);
}

TEST(a_link_of_unknown_outcome_is_handed_in_again_before_what_came_since)
{
	struct waiter waiter;
	struct fixture f;

	begin_with_unknown_link(&f, "");
	expect_uncounted(&f, ERR_STORE_UNKNOWN);
	book_users(&f, 0, 4);
	pass_retry_delay();
	request(&f, &waiter);
	run_until_done(&f, &waiter, 0);
	assert_int_equal(f.at_first_commit.n_cuts, 1);
	assert_int_equal(f.at_first_commit.link, 1000);
	assert_int_equal(f.at_first_commit.sum, 0);
	assert_int_equal(f.n_commits, 2);
	expect_link_saved(&f, 1000);
	expect_flushed(&f, 4);
	assert_int_equal(stats_of(&f).n_started, 1); /* of the users */
	assert_int_equal(stats_of(&f).n_failed, 0);
	end(&f);
}

TEST(adopted_totals_whose_outcome_is_unknown_are_in_the_file_once)
{
	for (int is_made = 0; is_made < 2; is_made++) {
		struct waiter waiter;
		struct fixture f;

		begin_with_unknown_link(&f, "a");
		assert_int_equal(stats_of(&f).n_failed, 1); /* it was a sync */
		assert_int_equal(sum_of_used(&f), 0);
		if (is_made) /* as if SQLite had got it to the disk before it failed */
			sample_sql(f.path,
				"INSERT INTO users(id, used_traffic) VALUES('a', 500);"
				"INSERT INTO meta VALUES('redis_link', '1000 somebody')");
		pass_retry_delay();
		request(&f, &waiter);
		run_until_done(&f, &waiter, 0);
		expect_flushed(&f, 500);
		expect_link_saved(&f, 1000);
		assert_int_equal(f.n_cuts, 1);
		assert_int_equal(stats_of(&f).n_started, 2);
		assert_int_equal(stats_of(&f).n_succeeded, 1);
		end(&f);
	}
}

/* Each brings a user one byte, and its report is proved to be answered. */
static void book_proved(struct fixture *f, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++) {
		book_users(f, i, 1);
		repeats_prove(ledger_repeats(f->ledger), ledger_seq(f->ledger));
	}
}

/* Adopted totals and their link, and records beside them. */
static void book_round(struct fixture *f, unsigned round, unsigned n_records)
{
	char id[] = "a";
	struct adopted adopted = {id, {500, 0, 0}};

	book_proved(f, 0, n_records);
	assert_int_equal(ledger_adopt(f->ledger, &adopted, 1, 1000), 0);
	set_link(f, round);
	f->n_cuts = 0;
}

/* Asks for a flush as soon as one may start; the code of its answer. */
static int flush_now(struct fixture *f)
{
	struct waiter waiter;

	pass_retry_delay();
	request(f, &waiter);
	assert_true(loop_run_until_set(&f->loop, &waiter.is_done, DEADLINE_MS));
	return waiter.code;
}

/* A flush whose nth step fails; true if that has fired. */
static bool flush_with_fault(struct fixture *f, enum fault_kind kind, unsigned n)
{
	bool has_fired;
	int code;

	faults_fail_nth(kind, n, SQLITE_IOERR);
	code = flush_now(f);
	has_fired = faults_fired(kind);
	faults_reset();
	assert_true(code == 0 || has_fired); /* 0: a ROLLBACK of nothing has failed */
	return has_fired;
}

static const enum fault_kind step_kinds[] = {FAULT_SQLITE_STEP, FAULT_SQLITE_STEPPED};

TEST(a_flush_that_fails_at_any_step_is_made_good_by_the_next_and_counts_once)
{
	for (size_t i = 0; i < COUNT_OF(step_kinds); i++) {
		bool has_fired = true;
		unsigned n = 0;
		struct fixture f;

		begin(&f, &quiet);
		while (has_fired) {
			book_round(&f, ++n, 4);
			has_fired = flush_with_fault(&f, step_kinds[i], n);
			book_proved(&f, 2, 4);
			AT_ROW(i, flush_now(&f) == 0);
			expect_flushed(&f, n * (500 + 4 + 4));
			expect_link_saved(&f, n);
		}
		AT_ROW(i, n > 8);
		assert_int_equal(f.n_fatal, 0);
		end(&f);
	}
}

TEST(a_commit_that_was_made_although_it_failed_counts_once_whatever_step_of_the_next_fails)
{
	for (size_t i = 0; i < 2 * COUNT_OF(step_kinds); i++) {
		unsigned n = 0, n_records = i % 2 == 0 ? 0 : 4;
		bool has_fired = true;
		struct fixture f;

		begin(&f, &quiet);
		while (has_fired) {
			book_round(&f, ++n, n_records);
			AT_ROW(i, flush_with_fault(&f, FAULT_SQLITE_COMMITTED, 1));
			assert_int_equal(stats_of(&f).last.error, ERR_STORE_UNKNOWN);
			book_proved(&f, 2, 4); /* these are for the next cut */
			has_fired = flush_with_fault(&f, step_kinds[i / 2], n);
			book_proved(&f, 4, 3);
			AT_ROW(i, flush_now(&f) == 0);
			expect_flushed(&f, n * (500 + n_records + 4 + 3));
			expect_link_saved(&f, n);
		}
		AT_ROW(i, n > 8);
		assert_int_equal(f.n_fatal, 0);
		end(&f);
	}
}

TEST(a_foreign_applied_seq_is_fatal_and_nothing_more_is_tried)
{
	struct flush_config config = eager();
	struct fixture f;

	config.interval_ms = 1;
	begin(&f, &config);
	sample_sql(f.path, "UPDATE meta SET value='77' WHERE key='applied_seq'");
	book_users(&f, 0, 4);
	run_until(&f, has_failed, 1);
	expect_n_started(&f, 1);
	assert_int_equal(f.n_fatal, 1);
	assert_int_equal(f.fatal_code, ERR_STORE_FOREIGN);
	assert_int_equal(sum_of_used(&f), 0);
	end(&f);
}

TEST(a_cut_that_finds_no_memory_is_taken_later)
{
	struct flush_config config = eager();
	struct waiter waiter;
	struct fixture f;

	begin(&f, &config);
	book_users(&f, 0, 4);
	for (unsigned n = 1; n <= 4; n++) {
		sample_book(f.ledger, "u", 1, 0);
		request(&f, &waiter);
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		run_until_done(&f, &waiter, 0);
		AT_ROW(n, faults_fired(FAULT_MEMORY));
		AT_ROW(n, waiter.sum == 4 + n);
		faults_reset();
	}
	assert_int_equal(stats_of(&f).n_failed, 0);
	expect_flushed(&f, 8);
	end(&f);
}

TEST(a_request_that_finds_no_memory_is_refused_and_never_answered)
{
	struct fixture f;
	struct waiter waiter = {.f = &f};

	begin(&f, &quiet);
	book_users(&f, 0, 4);
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	assert_int_equal(flush_request(f.flush, on_done, &waiter), ERR_NOMEM);
	faults_reset();
	expect_n_started(&f, 0);
	assert_false(waiter.is_done);
	end(&f);
}

TEST(a_stop_that_never_found_memory_does_not_claim_success)
{
	struct flush_config config = eager();
	struct waiter waiting, stopped;
	struct fixture f;

	begin(&f, &config);
	book_users(&f, 0, 4);
	request(&f, &waiting);
	stop(&f, 20, &stopped);
	faults_fail_from(FAULT_MEMORY, 1, ENOMEM);
	assert_true(loop_run_until_set(&f.loop, &stopped.is_done, DEADLINE_MS));
	faults_reset();
	assert_int_equal(n_dirty_users(&f), 4);
	assert_int_equal(sum_of_used(&f), 0);
	assert_int_equal(stopped.code, ERR_NOMEM);
	assert_int_equal(waiting.code, ERR_NOMEM);
	end(&f);
}

TEST(a_flush_that_finds_no_memory_is_not_made)
{
	struct fixture f;
	const struct flush_hooks hooks = {
		on_cut, on_committed, on_fatal, describe_rest, &f};

	begin(&f, &quiet);
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	assert_null(flush_new(&f.loop, f.store, f.ledger, &quiet, &hooks));
	faults_reset();
	flush_free(NULL);
	end(&f);
}

TEST(closing_with_requests_and_timers_pending_leaves_nothing_behind)
{
	struct waiter waiter;
	struct fixture f;

	begin(&f, &quiet);
	book_users(&f, 0, 4);
	request(&f, &waiter);
	end(&f);
	assert_false(waiter.is_done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_interval_flushes_what_is_dirty_again_and_again),
		cmocka_unit_test(with_nothing_dirty_there_is_no_sync),
		cmocka_unit_test(a_request_is_answered_after_its_commit),
		cmocka_unit_test(the_statistics_tell_users_statements_and_the_last_flush),
		cmocka_unit_test(requests_of_one_turn_share_a_flush),
		cmocka_unit_test(
			a_request_during_a_flush_is_answered_by_one_that_has_all_its_bytes),
		cmocka_unit_test(
			a_request_during_a_flush_that_has_all_its_bytes_needs_no_other),
		cmocka_unit_test(what_is_booked_during_a_flush_stays_dirty),
		cmocka_unit_test(
			a_failed_flush_is_tried_with_the_same_cut_and_what_came_since_follows_at_once),
		cmocka_unit_test(
			each_retry_waits_twice_as_long_and_after_the_last_one_the_interval),
		cmocka_unit_test(
			after_the_last_retry_the_interval_begins_anew_with_quick_retries),
		cmocka_unit_test(
			a_flush_that_keeps_failing_is_told_of_once_quick_retries_are_over_and_rarely_again),
		cmocka_unit_test(
			for_each_failure_there_is_something_that_an_operator_can_do),
		cmocka_unit_test(
			nothing_starts_within_retry_delay_of_a_failure_whoever_asks),
		cmocka_unit_test(
			a_request_in_a_backoff_is_answered_when_retry_delay_is_over),
		cmocka_unit_test(an_emergency_flush_starts_when_many_users_are_dirty),
		cmocka_unit_test(emergency_flushes_start_at_most_every_5_seconds),
		cmocka_unit_test(the_5_seconds_between_emergencies_stop_no_request),
		cmocka_unit_test(a_pressed_journal_starts_a_flush_of_a_single_user),
		cmocka_unit_test(pressure_during_a_flush_is_remembered),
		cmocka_unit_test(stopping_writes_everything),
		cmocka_unit_test(stopping_with_nothing_to_write_starts_nothing),
		cmocka_unit_test(stopping_during_a_flush_writes_what_came_after_its_cut),
		cmocka_unit_test(stopping_goes_on_trying_until_the_lock_is_gone),
		cmocka_unit_test(
			a_stop_whose_time_is_over_says_why_and_leaves_the_file_as_it_is),
		cmocka_unit_test(
			a_stop_waits_no_longer_than_its_time_however_long_the_retry_delay),
		cmocka_unit_test(requests_are_answered_before_the_stop),
		cmocka_unit_test(a_stop_answers_with_success_those_whose_bytes_it_wrote),
		cmocka_unit_test(a_new_interval_counts_from_now),
		cmocka_unit_test(new_sizes_and_delays_hold_for_the_next_time),
		cmocka_unit_test(
			a_cut_of_unknown_outcome_is_handed_in_again_before_any_other),
		cmocka_unit_test(a_commit_that_was_made_after_all_is_not_made_twice),
		cmocka_unit_test(a_stop_tries_an_unknown_cut_again_and_then_the_rest),
		cmocka_unit_test(a_flush_of_a_link_alone_is_made_and_not_counted),
		cmocka_unit_test(the_interval_and_a_stop_write_a_link_too),
		cmocka_unit_test(a_failed_flush_of_the_link_says_so_and_is_tried_again),
		cmocka_unit_test(
			a_link_that_is_set_during_a_flush_of_the_link_is_written_by_another),
		cmocka_unit_test(
			a_link_of_unknown_outcome_is_handed_in_again_before_what_came_since),
		cmocka_unit_test(
			adopted_totals_whose_outcome_is_unknown_are_in_the_file_once),
		cmocka_unit_test(
			a_flush_that_fails_at_any_step_is_made_good_by_the_next_and_counts_once),
		cmocka_unit_test(
			a_commit_that_was_made_although_it_failed_counts_once_whatever_step_of_the_next_fails),
		cmocka_unit_test(
			a_foreign_applied_seq_is_fatal_and_nothing_more_is_tried),
		cmocka_unit_test(a_cut_that_finds_no_memory_is_taken_later),
		cmocka_unit_test(
			a_request_that_finds_no_memory_is_refused_and_never_answered),
		cmocka_unit_test(a_stop_that_never_found_memory_does_not_claim_success),
		cmocka_unit_test(a_flush_that_finds_no_memory_is_not_made),
		cmocka_unit_test(
			closing_with_requests_and_timers_pending_leaves_nothing_behind),
		cmocka_unit_test(
			a_request_is_answered_even_if_an_unknown_cut_fails_again),
	};

	return RUN_TESTS(tests);
}
