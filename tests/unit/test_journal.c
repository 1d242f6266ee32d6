/*
 * Each test writes a real journal in a folder of its own, and what is on disk is said by
 * journal_fold(), which shares no state with the journal that wrote it.
 *
 * Every record carries a number of its own as its bytes, so that the fold can tell which
 * ones are there. The thread pool is stopped by faults_hold() where the order of loop and
 * job matters.
 */
#include "lib/test.h"
#include "base/clock.h"
#include "journal/fold.h"
#include "journal/journal.h"
#include "journal/segment.h"
#include "lib/faults.h"
#include "lib/loop.h"
#include "lib/sample.h"
#include "lib/tempdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 10000
#define MAX_RECORDS 1000

struct fixture {
	struct tempdir dir;
	uv_loop_t loop;
	struct journal *journal;
	uint64_t ids[MAX_RECORDS + 1]; /* of what was appended, by sequence */
	uint64_t seq;                  /* the last one appended */
	uint64_t synced_seq;           /* as on_synced() was told */
	unsigned n_synced;
	uint64_t first_synced_seq;
	uint64_t await_seq;
	bool is_closed;
};

static const struct journal_config always = {
	.fsync = FSYNC_ALWAYS, .max_bytes = UINT64_C(1) << 30};
static const struct journal_config everysec = {
	.fsync = FSYNC_EVERYSEC, .max_bytes = UINT64_C(1) << 30};
static const struct journal_config unsynced = {
	.fsync = FSYNC_NO, .max_bytes = UINT64_C(1) << 30};

static void on_synced(void *arg, uint64_t synced_seq)
{
	struct fixture *f = arg;

	assert_true(synced_seq >= f->synced_seq && synced_seq <= f->seq);
	f->synced_seq = synced_seq;
	if (f->n_synced++ == 0)
		f->first_synced_seq = synced_seq;
}

static void on_closed(void *arg)
{
	struct fixture *f = arg;

	assert_int_equal(f->synced_seq, f->seq);
	f->is_closed = true;
}

static void open_at(struct fixture *f, const struct journal_config *config, uint64_t seq,
	uint64_t last_number)
{
	struct errmsg msg;

	f->seq = f->synced_seq = seq;
	f->n_synced = 0;
	f->is_closed = false;
	assert_int_equal(journal_open(&f->loop, f->dir.fd, config, seq, last_number,
				 on_synced, f, &f->journal, &msg),
		0);
	faults_reset();
}

static void begin(struct fixture *f, const struct journal_config *config)
{
	memset(f, 0, sizeof(*f));
	faults_reset();
	tempdir_make(&f->dir);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	open_at(f, config, 0, 0);
}

static void close_journal(struct fixture *f)
{
	journal_close(f->journal, on_closed, f);
	assert_false(f->is_closed); /* never inside the call */
	assert_true(loop_run_until_set(&f->loop, &f->is_closed, DEADLINE_MS));
	journal_free(f->journal);
	f->journal = NULL;
}

static void end(struct fixture *f)
{
	if (f->journal != NULL)
		close_journal(f);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	tempdir_remove(&f->dir);
	faults_reset();
}

/* `id` up to 127 takes the same number of bytes as a record. */
static int append_by(struct fixture *f, const char *client, uint64_t id)
{
	struct booking booking = sample_traffic("s", client, id, 0);
	struct record record = {.origin = {.conn = 7, .time_ms = 1000},
		.node = "n",
		.bookings = {&booking, 1, 1}};
	int code = journal_append(f->journal, &record);

	if (code == 0) {
		assert_int_equal(record.origin.seq, f->seq + 1);
		assert_int_equal(record.synced_seq, f->synced_seq);
		f->ids[++f->seq] = id;
	}
	return code;
}

static int append(struct fixture *f, uint64_t id)
{
	return append_by(f, "u", id);
}

static void append_n(struct fixture *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(append(f, 1 + f->seq % 100), 0);
}

static struct journal_stats stats_of(const struct fixture *f)
{
	struct journal_stats stats;

	journal_get_stats(f->journal, &stats);
	return stats;
}

static bool is_synced(const void *arg)
{
	const struct fixture *f = arg;

	return f->synced_seq >= f->await_seq;
}

static void run_until_synced(struct fixture *f, uint64_t seq)
{
	f->await_seq = seq;
	assert_true(loop_run_until(&f->loop, is_synced, f, DEADLINE_MS));
}

/* Until the jobs that were asked for have ended: then a next segment is prepared. */
static void run_jobs(struct fixture *f)
{
	assert_true(loop_run_jobs(&f->loop, DEADLINE_MS));
}

static size_t n_segments(const struct fixture *f)
{
	return tempdir_count(&f->dir, "0", ".seg");
}

static bool has_segment(const struct fixture *f, uint64_t number)
{
	char name[SEGMENT_NAME_BYTES];
	struct stat st;

	return fstatat(f->dir.fd, segment_name(number, name), &st, 0) == 0;
}

static void rotate(struct fixture *f)
{
	uint64_t bytes = stats_of(f).bytes;

	run_jobs(f);
	journal_rotate(f->journal);
	assert_int_equal(stats_of(f).bytes, bytes + SEGMENT_HEAD_BYTES);
}

struct expected {
	const struct fixture *f;
	uint64_t seq;
};

static int on_record(void *arg, struct record *record)
{
	struct expected *expected = arg;

	assert_int_equal(record->origin.seq, expected->seq + 1);
	assert_true(record->origin.seq <= expected->f->seq);
	assert_true(record->synced_seq < record->origin.seq);
	assert_int_equal(record->origin.conn, 7);
	assert_int_equal(record->bookings.n, 1);
	assert_int_equal(record->bookings.list[0].counters.input_bytes,
		expected->f->ids[record->origin.seq]);
	expected->seq = record->origin.seq;
	return 0;
}

/* The fold gives exactly what was appended above `after_seq`. */
static struct fold_result expect_on_disk(const struct fixture *f, uint64_t after_seq)
{
	struct fold_options options = {.after_seq = after_seq};
	struct expected expected = {f, after_seq};
	struct fold_result result;
	struct errmsg msg = {""};

	if (journal_fold(f->dir.fd, &options, on_record, &expected, &result, &msg) != 0)
		fail_msg("%s", msg.text);
	assert_int_equal(expected.seq, f->seq);
	assert_int_equal(result.last_seq, f->seq);
	return result;
}

TEST(records_get_sequences_without_gaps_and_are_read_back_in_order)
{
	struct fixture f;
	struct fold_result result;

	begin(&f, &always);
	append_n(&f, 1);
	run_until_synced(&f, 1);
	append_n(&f, 5);
	run_until_synced(&f, 6);
	append_n(&f, 1);
	assert_int_equal(stats_of(&f).seq, 7);
	assert_int_equal(stats_of(&f).records, 7);
	assert_int_equal(
		stats_of(&f).bytes, SEGMENT_HEAD_BYTES + 7 * sample_record_size());
	assert_int_equal(stats_of(&f).refusal, 0);
	result = expect_on_disk(&f, 0); /* a written record is there, synced or not */
	assert_int_equal(result.n_records, 7);
	assert_false(result.is_cut);
	end(&f);
}

TEST(a_second_process_goes_on_behind_the_first_in_a_file_of_its_own)
{
	struct fixture f;
	struct fold_result result;

	begin(&f, &always);
	append_n(&f, 3);
	close_journal(&f);
	result = expect_on_disk(&f, 0);
	assert_true(result.last_number >= 1);
	open_at(&f, &always, result.last_seq, result.last_number);
	assert_true(has_segment(&f, result.last_number + 1));
	assert_int_equal(stats_of(&f).seq, 3);
	assert_int_equal(stats_of(&f).synced_seq, 3);
	append_n(&f, 2);
	close_journal(&f);
	result = expect_on_disk(&f, 0);
	assert_int_equal(result.n_records, 5);
	assert_false(result.is_cut);
	end(&f);
}

TEST(always_syncs_all_records_of_a_turn_with_one_fdatasync)
{
	struct fixture f;

	begin(&f, &always);
	append_n(&f, 100);
	assert_int_equal(f.n_synced, 0);
	run_until_synced(&f, 100);
	assert_int_equal(faults_count(FAULT_FDATASYNC), 1);
	assert_int_equal(f.n_synced, 1);
	assert_int_equal(stats_of(&f).n_syncs, 1);
	assert_int_equal(stats_of(&f).synced_seq, 100);
	end(&f);
}

TEST(a_sync_covers_what_was_written_before_it_began_and_no_more)
{
	struct fixture f;

	begin(&f, &always);
	faults_hold(FAULT_FDATASYNC);
	append_n(&f, 2);
	(void)uv_run(&f.loop, UV_RUN_NOWAIT); /* the job is on its way */
	append_n(&f, 3);
	(void)uv_run(&f.loop, UV_RUN_NOWAIT);
	assert_int_equal(f.n_synced, 0);
	faults_release(FAULT_FDATASYNC);
	run_until_synced(&f, 5); /* the last by a job that nobody had to ask for */
	assert_int_equal(f.first_synced_seq, 2);
	assert_int_equal(faults_count(FAULT_FDATASYNC), 2);
	assert_int_equal(f.n_synced, 2);
	end(&f);
}

TEST(everysec_syncs_by_itself_and_lets_no_answer_wait)
{
	struct fixture f;

	begin(&f, &everysec);
	run_jobs(&f);
	assert_false(journal_must_sync(f.journal));
	append_n(&f, 10);
	run_until_synced(&f, 10);
	assert_int_equal(faults_count(FAULT_FDATASYNC), 1);
	assert_int_equal(f.n_synced, 1);
	end(&f);
}

TEST(without_fsync_nothing_is_synced_before_the_close)
{
	struct fixture f;

	begin(&f, &unsynced);
	assert_false(journal_must_sync(f.journal));
	append_n(&f, 10);
	run_jobs(&f);
	assert_int_equal(faults_count(FAULT_FDATASYNC), 0);
	assert_int_equal(f.n_synced, 0);
	assert_int_equal(stats_of(&f).synced_seq, 0);
	close_journal(&f);
	assert_int_equal(faults_count(FAULT_FDATASYNC), 1);
	(void)expect_on_disk(&f, 0);
	end(&f);
}

TEST(with_always_answers_wait)
{
	struct fixture f;

	begin(&f, &always);
	assert_true(journal_must_sync(f.journal));
	end(&f);
}

static bool is_syncing(const void *arg)
{
	(void)arg;
	return faults_count(FAULT_FDATASYNC) > 0;
}

/* A sync of one record begins, and stands still. */
static void begin_sync(struct fixture *f)
{
	faults_hold(FAULT_FDATASYNC);
	append_n(f, 1);
	assert_true(loop_run_until(&f->loop, is_syncing, f, DEADLINE_MS));
}

static void pass_ms(uint64_t ms)
{
	clock_freeze_for_test(clock_ms() + ms);
}

static off_t bytes_on_disk(const struct fixture *f)
{
	char name[SEGMENT_NAME_BYTES];
	struct stat st;

	assert_int_equal(fstatat(f->dir.fd, segment_name(1, name), &st, 0), 0);
	return st.st_size;
}

TEST(a_record_is_refused_before_it_is_written_while_a_sync_is_overdue)
{
	struct fixture f;
	off_t bytes;

	begin(&f, &always);
	run_jobs(&f);
	pass_ms(0);
	begin_sync(&f);
	pass_ms(JOURNAL_MAX_SYNC_MS);
	append_n(&f, 1); /* just in time */
	assert_int_equal(stats_of(&f).refusal, 0);
	pass_ms(1);
	bytes = bytes_on_disk(&f);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(append(&f, 1), ERR_SYNC_LATE);
		assert_int_equal(stats_of(&f).refusal, ERR_SYNC_LATE);
	}
	assert_int_equal(bytes_on_disk(&f), bytes);
	assert_int_equal(stats_of(&f).seq, 2);
	faults_release(FAULT_FDATASYNC);
	run_until_synced(&f, 2); /* who was accepted is answered; the second was quick */
	append_n(&f, 1);
	(void)expect_on_disk(&f, 0);
	clock_freeze_for_test(0);
	end(&f);
}

/* The last sync took so long; how far the one that is running is; -1: none is. */
TEST(on_a_slow_disk_only_that_is_accepted_which_can_be_answered_in_time)
{
	static const struct {
		uint64_t last_ms;
		int at_ms;
		bool is_accepted;
	} rows[] = {
		{0, -1, true},
		{0, 0, true},
		{400, -1, true},
		{400, 0, true},
		{400, 399, true},
		{500, 0, true},
		{501, 0, false},
		{700, 0, false},
		{700, 399, false},
		{700, 400, true},
		{700, 700, true},
		{700, 1001, false},
		{1000, -1, true},
		{1000, 999, false},
		{1001, -1, false},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct fixture f;

		begin(&f, &always);
		run_jobs(&f);
		pass_ms(0);
		begin_sync(&f);
		pass_ms(rows[i].last_ms);
		faults_reset();
		run_until_synced(&f, 1);
		if (rows[i].at_ms >= 0) {
			begin_sync(&f);
			pass_ms((uint64_t)rows[i].at_ms);
		}
		AT_ROW(i, append(&f, 1) == (rows[i].is_accepted ? 0 : ERR_SYNC_LATE));
		faults_reset();
		clock_freeze_for_test(0);
		end(&f);
	}
}

static bool is_accepting(const void *arg)
{
	return stats_of(arg).refusal == 0;
}

TEST(a_disk_that_was_too_slow_is_tried_again_although_nothing_is_written)
{
	struct journal_config config = always;
	struct fixture f;

	config.tick_ms = 5;
	begin(&f, &config);
	run_jobs(&f);
	pass_ms(0);
	begin_sync(&f);
	pass_ms(JOURNAL_MAX_SYNC_MS + 1);
	faults_hold(FAULT_FSYNC);
	faults_release(FAULT_FDATASYNC);
	run_until_synced(&f, 1);
	loop_run_for(&f.loop, 30);
	assert_int_equal(append(&f, 1), ERR_SYNC_LATE); /* as long as that takes */
	faults_release(FAULT_FSYNC);
	assert_true(loop_run_until(&f.loop, is_accepting, &f, DEADLINE_MS));
	append_n(&f, 1);
	(void)expect_on_disk(&f, 0);
	clock_freeze_for_test(0);
	end(&f);
}

TEST(where_no_answer_waits_for_a_sync_no_record_is_refused_for_it)
{
	struct journal_config config = everysec;
	struct fixture f;

	config.tick_ms = 5;
	begin(&f, &config);
	run_jobs(&f);
	pass_ms(0);
	begin_sync(&f);
	pass_ms(10 * JOURNAL_MAX_SYNC_MS);
	append_n(&f, 1);
	assert_int_equal(stats_of(&f).refusal, 0);
	faults_release(FAULT_FDATASYNC);
	run_until_synced(&f, 2);
	append_n(&f, 1);
	clock_freeze_for_test(0);
	end(&f);
}

/* Whatever of making the next segment and removing old ones stands still. */
TEST(who_waits_for_a_sync_waits_for_no_other_segment)
{
	static const enum fault_kind kinds[] = {
		FAULT_OPENAT, FAULT_FSYNC, FAULT_UNLINKAT};

	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		struct fixture f;

		begin(&f, &always);
		append_n(&f, 2);
		rotate(&f);
		append_n(&f, 1);
		run_jobs(&f);
		faults_hold(kinds[i]);
		journal_rotate(f.journal);
		journal_drop(f.journal, 2, true);
		for (unsigned n = 0; n < 5; n++) {
			append_n(&f, 1);
			run_until_synced(&f, f.seq);
		}
		AT_ROW(i, has_segment(&f, 4) == (kinds[i] == FAULT_FSYNC));
		AT_ROW(i, has_segment(&f, 1) == (kinds[i] == FAULT_UNLINKAT));
		faults_release(kinds[i]);
		run_jobs(&f);
		AT_ROW(i, has_segment(&f, 4) && !has_segment(&f, 1));
		(void)expect_on_disk(&f, 2);
		end(&f);
	}
}

TEST(closing_waits_for_the_next_segment_that_is_being_made)
{
	struct fixture f;

	begin(&f, &unsynced);
	faults_hold(FAULT_FSYNC);
	(void)uv_run(&f.loop, UV_RUN_NOWAIT);
	journal_close(f.journal, on_closed, &f);
	loop_run_for(&f.loop, 30);
	assert_false(f.is_closed);
	faults_release(FAULT_FSYNC);
	assert_true(loop_run_until_set(&f.loop, &f.is_closed, DEADLINE_MS));
	journal_free(f.journal);
	f.journal = NULL;
	end(&f);
}

/* A write that fails behind its first `torn` bytes. */
static void fail_to_append(
	struct fixture *f, const char *client, size_t torn, int error, bool can_truncate)
{
	struct journal_stats before = stats_of(f), after;

	faults_fail_nth(FAULT_PWRITE, torn > 0 ? 2 : 1, error);
	if (torn > 0)
		faults_shorten_nth(1, torn);
	if (!can_truncate)
		faults_fail_from(FAULT_FTRUNCATE, 1, EIO);
	assert_int_equal(append_by(f, client, 99), ERR_JOURNAL_WRITE);
	assert_true(faults_fired(FAULT_PWRITE));
	assert_int_equal(faults_fired(FAULT_FTRUNCATE), !can_truncate);
	faults_reset();
	after = stats_of(f);
	assert_int_equal(after.refusal, ERR_JOURNAL_WRITE);
	assert_int_equal(after.bytes, before.bytes);
	assert_int_equal(after.records, before.records);
	assert_int_equal(after.seq, before.seq);
}

TEST(a_failed_write_changes_nothing_wherever_it_is_torn)
{
	static const int errors[] = {ENOSPC, EIO};

	for (size_t i = 0; i < COUNT_OF(errors); i++) {
		struct fixture f;

		begin(&f, &unsynced);
		append_n(&f, 1);
		for (size_t torn = 0; torn < sample_record_size(); torn++) {
			fail_to_append(&f, "u", torn, errors[i], true);
			AT_ROW(torn, !expect_on_disk(&f, 0).is_cut);
			append_n(&f, 1);
			AT_ROW(torn, stats_of(&f).refusal == 0);
		}
		AT_ROW(i, !expect_on_disk(&f, 0).is_cut);
		end(&f);
	}
}

TEST(torn_bytes_that_cannot_be_cut_off_are_written_over)
{
	static const char large[] = "a-client-whose-torn-record-reaches-far-behind-the-"
				    "small-one-that-is-written-over-it";
	struct fixture f;

	begin(&f, &unsynced);
	append_n(&f, 1);
	for (size_t torn = 1; torn < sample_record_size() + sizeof(large) - 2; torn++) {
		fail_to_append(&f, large, torn, ENOSPC, false);
		AT_ROW(torn, expect_on_disk(&f, 0).is_cut);
		append_n(&f, 1);
		(void)expect_on_disk(&f, 0);
	}
	end(&f);
}

TEST(failing_again_and_again_leaves_the_next_write_where_it_was)
{
	struct fixture f;

	begin(&f, &unsynced);
	append_n(&f, 1);
	for (size_t torn = 0; torn < 10; torn++)
		fail_to_append(&f, "u", torn, ENOSPC, torn % 2 == 0);
	append_n(&f, 1);
	assert_int_equal(
		stats_of(&f).bytes, SEGMENT_HEAD_BYTES + 2 * sample_record_size());
	assert_int_equal(expect_on_disk(&f, 0).n_records, 2);
	end(&f);
}

TEST(torn_bytes_at_the_end_of_a_segment_do_not_hide_the_next_one)
{
	struct fixture f;

	begin(&f, &always);
	append_n(&f, 2);
	run_until_synced(&f, 2);
	fail_to_append(&f, "a-longer-client", sample_record_size(), ENOSPC, false);
	rotate(&f);
	append_n(&f, 2);
	run_until_synced(&f, 4);
	append_n(&f, 1);
	(void)expect_on_disk(&f, 0);
	end(&f);
}

TEST(a_short_or_interrupted_write_is_continued)
{
	struct fixture f;

	begin(&f, &unsynced);
	for (size_t len = 1; len < sample_record_size(); len++) {
		faults_reset();
		faults_shorten_nth(1, len);
		append_n(&f, 1);
		AT_ROW(len, faults_count(FAULT_PWRITE) == 2);
	}
	faults_fail_nth(FAULT_PWRITE, 1, EINTR);
	append_n(&f, 1);
	assert_true(faults_fired(FAULT_PWRITE));
	assert_false(expect_on_disk(&f, 0).is_cut);
	end(&f);
}

TEST(a_record_that_finds_no_memory_changes_nothing)
{
	struct fixture f;

	begin(&f, &unsynced);
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	assert_int_equal(append(&f, 1), ERR_NOMEM);
	assert_true(faults_fired(FAULT_MEMORY));
	faults_reset();
	assert_int_equal(stats_of(&f).seq, 0);
	append_n(&f, 3);
	assert_int_equal(expect_on_disk(&f, 0).n_records, 3);
	end(&f);
}

static struct journal_config with_room_for(size_t n_records)
{
	struct journal_config config = unsynced;

	config.max_bytes = SEGMENT_HEAD_BYTES + n_records * sample_record_size();
	return config;
}

TEST(a_full_journal_refuses_until_a_drop_gives_room)
{
	struct journal_config config = with_room_for(3);
	struct fixture f;

	begin(&f, &config);
	run_jobs(&f);
	append_n(&f, 3);
	assert_int_equal(stats_of(&f).refusal, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(append(&f, 99), ERR_JOURNAL_FULL);
		assert_int_equal(stats_of(&f).refusal, ERR_JOURNAL_FULL);
		assert_int_equal(stats_of(&f).records, 3);
	}
	assert_int_equal(expect_on_disk(&f, 0).n_records, 3);
	journal_drop(f.journal, 3, true);
	assert_int_equal(stats_of(&f).refusal, 0);
	assert_int_equal(stats_of(&f).records, 0);
	assert_int_equal(stats_of(&f).bytes, SEGMENT_HEAD_BYTES);
	append_n(&f, 3);
	assert_int_equal(append(&f, 99), ERR_JOURNAL_FULL);
	run_jobs(&f);
	assert_false(has_segment(&f, 1));
	(void)expect_on_disk(&f, 3);
	end(&f);
}

static bool has_room(const void *arg)
{
	return stats_of(arg).refusal == 0;
}

TEST(a_drop_that_finds_no_segment_prepared_is_done_as_soon_as_one_is)
{
	struct journal_config config = with_room_for(3);
	struct fixture f;

	begin(&f, &config);
	append_n(&f, 3);
	assert_int_equal(append(&f, 99), ERR_JOURNAL_FULL);
	journal_drop(f.journal, 3, true); /* the loop has not run: nothing is prepared */
	assert_int_equal(append(&f, 99), ERR_JOURNAL_FULL);
	assert_true(loop_run_until(&f.loop, has_room, &f, DEADLINE_MS));
	append_n(&f, 1);
	run_jobs(&f);
	assert_false(has_segment(&f, 1));
	(void)expect_on_disk(&f, 3);
	end(&f);
}

TEST(a_checkpoint_is_wanted_above_half_of_max_bytes)
{
	struct journal_config config = unsynced;
	struct fixture f;

	config.max_bytes = 2 * (SEGMENT_HEAD_BYTES + 2 * sample_record_size());
	begin(&f, &config);
	assert_false(journal_wants_checkpoint(f.journal));
	append_n(&f, 2); /* half of it, exactly */
	assert_false(journal_wants_checkpoint(f.journal));
	append_n(&f, 1);
	assert_true(journal_wants_checkpoint(f.journal));
	run_jobs(&f);
	journal_drop(f.journal, 3, true);
	assert_false(journal_wants_checkpoint(f.journal));
	end(&f);
}

TEST(with_less_than_min_free_bytes_every_append_is_refused)
{
	struct journal_config config = unsynced;
	struct fixture f;

	config.min_free_bytes = UINT64_MAX - 1;
	begin(&f, &config);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(append(&f, 99), ERR_DISK_LOW);
		assert_int_equal(stats_of(&f).refusal, ERR_DISK_LOW);
		run_jobs(&f);
	}
	assert_int_equal(stats_of(&f).seq, 0);
	assert_int_equal(expect_on_disk(&f, 0).n_records, 0);
	end(&f);
}

TEST(min_free_bytes_left_to_tallyd_asks_for_no_more_than_16_mib)
{
	struct journal_config config = unsynced;
	struct fixture f;

	config.min_free_bytes = UINT64_MAX;
	begin(&f, &config);
	run_jobs(&f);
	append_n(&f, 1); /* whoever runs tests has that much */
	end(&f);
}

TEST(a_rotation_begins_a_new_segment_and_keeps_the_order)
{
	struct fixture f;
	struct fold_result result;

	begin(&f, &always);
	for (unsigned i = 1; i <= 5; i++) {
		append_n(&f, i);
		rotate(&f);
		assert_true(has_segment(&f, i + 1));
	}
	append_n(&f, 1);
	run_until_synced(&f, f.seq);
	assert_int_equal(stats_of(&f).records, 16);
	result = expect_on_disk(&f, 0);
	assert_int_equal(result.n_records, 16);
	assert_false(result.is_cut);
	end(&f);
}

TEST(a_rotation_is_not_done_where_nothing_was_written_or_prepared)
{
	struct fixture f;

	begin(&f, &unsynced);
	append_n(&f, 1);
	journal_rotate(f.journal); /* nothing is prepared before the loop runs */
	assert_int_equal(stats_of(&f).bytes, SEGMENT_HEAD_BYTES + sample_record_size());
	rotate(&f);
	run_jobs(&f);
	journal_rotate(f.journal); /* the current one is empty */
	assert_int_equal(
		stats_of(&f).bytes, 2 * SEGMENT_HEAD_BYTES + sample_record_size());
	append_n(&f, 1);
	(void)expect_on_disk(&f, 0);
	end(&f);
}

TEST(a_rotation_that_fails_is_as_if_nobody_had_asked)
{
	struct fixture f;
	uint64_t bytes;

	begin(&f, &unsynced);
	append_n(&f, 1);
	run_jobs(&f);
	bytes = stats_of(&f).bytes;
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	journal_rotate(f.journal);
	for (size_t torn = 0; torn < SEGMENT_HEAD_BYTES; torn++) {
		faults_reset();
		faults_fail_nth(FAULT_PWRITE, torn > 0 ? 2 : 1, ENOSPC);
		if (torn > 0)
			faults_shorten_nth(1, torn);
		journal_rotate(f.journal);
		AT_ROW(torn, faults_fired(FAULT_PWRITE));
		AT_ROW(torn, stats_of(&f).bytes == bytes);
		(void)expect_on_disk(&f, 0);
	}
	faults_reset();
	append_n(&f, 1);
	journal_rotate(f.journal);
	append_n(&f, 1);
	assert_int_equal(
		stats_of(&f).bytes, 2 * SEGMENT_HEAD_BYTES + 3 * sample_record_size());
	assert_false(expect_on_disk(&f, 0).is_cut);
	end(&f);
}

TEST(a_next_segment_that_cannot_be_prepared_is_tried_with_the_next_job)
{
	struct fixture f;

	begin(&f, &always);
	faults_fail_from(FAULT_OPENAT, 1, EMFILE);
	append_n(&f, 1);
	run_jobs(&f);
	assert_true(faults_fired(FAULT_OPENAT));
	faults_reset();
	journal_rotate(f.journal);
	append_n(&f, 1);
	assert_int_equal(
		stats_of(&f).bytes, SEGMENT_HEAD_BYTES + 2 * sample_record_size());
	run_jobs(&f);
	journal_rotate(f.journal);
	append_n(&f, 1);
	assert_int_equal(
		stats_of(&f).bytes, 2 * SEGMENT_HEAD_BYTES + 3 * sample_record_size());
	(void)expect_on_disk(&f, 0);
	end(&f);
}

TEST(a_next_segment_whose_name_is_not_known_to_be_on_disk_is_not_written_to)
{
	struct fixture f;

	begin(&f, &always);
	faults_fail_nth(FAULT_FSYNC, 1, EIO);
	append_n(&f, 1);
	run_jobs(&f);
	assert_true(faults_fired(FAULT_FSYNC));
	assert_false(has_segment(&f, 2));
	journal_rotate(f.journal);
	append_n(&f, 1);
	assert_int_equal(
		stats_of(&f).bytes, SEGMENT_HEAD_BYTES + 2 * sample_record_size());
	run_jobs(&f);
	assert_true(has_segment(&f, 2)); /* made anew, and synced */
	journal_rotate(f.journal);
	append_n(&f, 1);
	assert_int_equal(
		stats_of(&f).bytes, 2 * SEGMENT_HEAD_BYTES + 3 * sample_record_size());
	(void)expect_on_disk(&f, 0);
	end(&f);
}

/* What may lie where the next segment is to be; NULL: a folder. */
static void put_in_the_way(const struct fixture *f, const char *bytes)
{
	const char *path = tempdir_path(&f->dir, "0000000003.seg");

	if (bytes == NULL)
		assert_int_equal(mkdir(path, 0700), 0);
	else if (strcmp(bytes, "link") == 0)
		assert_int_equal(symlink("nowhere", path), 0);
	else if (strcmp(bytes, "fifo") == 0)
		assert_int_equal(mkfifo(path, 0600), 0);
	else
		tempdir_write(&f->dir, "0000000003.seg", bytes, strlen(bytes));
}

static unsigned n_kept(const struct fixture *f)
{
	DIR *dir = opendir(tempdir_path(&f->dir, "."));
	const struct dirent *entry;
	unsigned n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		n += strncmp(entry->d_name, "kept-", 5) == 0;
	assert_int_equal(closedir(dir), 0);
	return n;
}

TEST(whatever_lies_in_the_next_segments_place_makes_way_and_the_journal_never_stays_full)
{
	static const char *const rows[] = {
		"", "garbage", "TALLYJ2\nbut no more", "link", "fifo", NULL};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct journal_config config = with_room_for(3);
		struct fixture f;

		config.fsync = FSYNC_ALWAYS;
		begin(&f, &config);
		run_jobs(&f); /* 2 is prepared */
		put_in_the_way(&f, rows[i]);
		for (unsigned round = 0; round < 4; round++) {
			append_n(&f, 1);
			run_until_synced(&f, f.seq);
			journal_drop(f.journal, f.seq, true);
			run_jobs(&f);
		}
		AT_ROW(i, stats_of(&f).records == 0);
		AT_ROW(i, has_segment(&f, 5) && !has_segment(&f, 3));
		AT_ROW(i, n_kept(&f) == (i == 0 ? 0 : 1)); /* nothing of it is lost */
		end(&f);
	}
}

TEST(a_next_segment_that_can_neither_be_synced_nor_removed_is_made_all_the_same)
{
	struct fixture f;

	begin(&f, &always);
	faults_fail_nth(FAULT_FSYNC, 1, EIO);
	faults_fail_nth(FAULT_UNLINKAT, 1, EIO);
	append_n(&f, 1);
	run_jobs(&f);
	assert_true(faults_fired(FAULT_FSYNC) && faults_fired(FAULT_UNLINKAT));
	append_n(&f, 1);
	run_jobs(&f);
	journal_rotate(f.journal);
	append_n(&f, 1);
	assert_int_equal(
		stats_of(&f).bytes, 2 * SEGMENT_HEAD_BYTES + 3 * sample_record_size());
	(void)expect_on_disk(&f, 0);
	end(&f);
}

/* Segment i holds records 2i-1 and 2i; there are three. */
static void write_three_segments(struct fixture *f)
{
	append_n(f, 2);
	rotate(f);
	append_n(f, 2);
	rotate(f);
	append_n(f, 2);
	run_jobs(f);
}

static bool has_one_segment_in_use(const void *arg)
{
	return n_segments(arg) <= 2; /* the other one is prepared */
}

TEST(a_drop_removes_the_segments_whose_every_record_is_covered_and_no_other)
{
	static const struct {
		uint64_t seq;
		uint64_t first_left; /* the lowest number that stays */
		uint64_t records;
	} rows[] = {{0, 1, 6}, {1, 1, 6}, {2, 2, 4}, {3, 2, 4}, {4, 3, 2}, {5, 3, 2},
		{6, 4, 0}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct fixture f;

		begin(&f, &always);
		write_three_segments(&f);
		run_until_synced(&f, 6);
		journal_drop(f.journal, rows[i].seq, true);
		run_jobs(&f);
		for (uint64_t number = 1; number <= 3; number++)
			AT_ROW(i,
				has_segment(&f, number) ==
					(number >= rows[i].first_left));
		AT_ROW(i, stats_of(&f).records == rows[i].records);
		(void)expect_on_disk(&f, rows[i].seq);
		append_n(&f, 2);
		(void)expect_on_disk(&f, rows[i].seq);
		journal_drop(f.journal, f.seq, true);
		AT_ROW(i,
			loop_run_until(&f.loop, has_one_segment_in_use, &f, DEADLINE_MS));
		end(&f);
	}
}

TEST(more_segments_than_a_job_removes_are_all_dropped)
{
	struct fixture f;

	begin(&f, &unsynced);
	for (unsigned i = 0; i < 150; i++) {
		append_n(&f, 1);
		rotate(&f);
	}
	assert_true(n_segments(&f) > 150);
	journal_drop(f.journal, f.seq, true);
	assert_true(loop_run_until(&f.loop, has_one_segment_in_use, &f, DEADLINE_MS));
	assert_int_equal(stats_of(&f).bytes, SEGMENT_HEAD_BYTES);
	assert_int_equal(stats_of(&f).records, 0);
	append_n(&f, 1);
	(void)expect_on_disk(&f, f.seq - 1);
	end(&f);
}

static bool is_without_records(const void *arg)
{
	return stats_of(arg).records == 0;
}

TEST(what_is_in_sqlites_log_alone_is_kept_as_long_as_there_is_room)
{
	struct journal_config half = unsynced;
	struct fixture f;

	half.max_bytes = 8192;
	begin(&f, &half);
	append_n(&f, 2);
	journal_drop(f.journal, 2, false);
	run_jobs(&f);
	assert_int_equal(stats_of(&f).records, 2);
	while (!journal_wants_checkpoint(f.journal))
		append_n(&f, 1);
	journal_drop(f.journal, f.seq, false);
	assert_true(loop_run_until(&f.loop, is_without_records, &f, DEADLINE_MS));
	append_n(&f, 1);
	journal_drop(f.journal, f.seq, true);
	assert_true(loop_run_until(&f.loop, is_without_records, &f, DEADLINE_MS));
	end(&f);
}

TEST(a_segment_that_cannot_be_removed_is_tried_with_the_next_job)
{
	struct fixture f;

	begin(&f, &always);
	append_n(&f, 2);
	rotate(&f);
	append_n(&f, 1);
	run_until_synced(&f, 3);
	assert_int_equal(renameat(f.dir.fd, "0000000001.seg", f.dir.fd, "aside"), 0);
	assert_int_equal(mkdirat(f.dir.fd, "0000000001.seg", 0700), 0);
	journal_drop(f.journal, 2, true);
	run_jobs(&f);
	assert_true(has_segment(&f, 1));
	assert_int_equal(unlinkat(f.dir.fd, "0000000001.seg", AT_REMOVEDIR), 0);
	assert_int_equal(renameat(f.dir.fd, "aside", f.dir.fd, "0000000001.seg"), 0);
	append_n(&f, 1);
	run_jobs(&f);
	assert_false(has_segment(&f, 1));
	(void)expect_on_disk(&f, 2);
	end(&f);
}

/* Rotations and a drop with the nth call of the kind failing; true if that has fired. */
static bool rotate_with_fault(enum fault_kind kind, unsigned n)
{
	struct fixture f;
	bool has_fired;

	begin(&f, &always);
	faults_fail_nth(kind, n, EIO);
	for (unsigned i = 0; i < 4; i++) {
		append_n(&f, 2);
		run_jobs(&f);
		journal_rotate(f.journal);
	}
	append_n(&f, 1);
	journal_drop(f.journal, 6, true);
	run_jobs(&f);
	has_fired = faults_fired(kind);
	faults_reset();
	append_n(&f, 1);
	(void)expect_on_disk(&f, 6);
	journal_drop(f.journal, f.seq, true);
	assert_true(loop_run_until(&f.loop, has_one_segment_in_use, &f, DEADLINE_MS));
	end(&f);
	return has_fired;
}

TEST(whichever_call_about_the_folder_fails_no_record_is_lost_and_every_segment_goes)
{
	static const struct {
		enum fault_kind kind;
		unsigned n_calls;
	} rows[] = {{FAULT_OPENAT, 4}, {FAULT_FSYNC, 4}, {FAULT_UNLINKAT, 3}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		unsigned n = 1;

		while (rotate_with_fault(rows[i].kind, n))
			n++;
		AT_ROW(i, n > rows[i].n_calls);
	}
}

TEST(closing_syncs_everything_whatever_the_mode)
{
	static const struct journal_config *const configs[] = {
		&always, &everysec, &unsynced};

	for (size_t i = 0; i < COUNT_OF(configs); i++) {
		struct fixture f;

		begin(&f, configs[i]);
		run_jobs(&f);
		append_n(&f, 3);
		journal_rotate(f.journal);
		append_n(&f, 2);
		close_journal(&f); /* on_closed() looks at what was synced */
		AT_ROW(i, faults_count(FAULT_FDATASYNC) == 2);
		AT_ROW(i, expect_on_disk(&f, 0).n_records == 5);
		end(&f);
	}
}

TEST(closing_syncs_a_segment_too_that_was_left_unsynced_long_ago)
{
	struct fixture f;

	begin(&f, &unsynced);
	append_n(&f, 1);
	rotate(&f);
	append_n(&f, 1);
	run_jobs(&f);
	close_journal(&f);
	assert_int_equal(faults_count(FAULT_FDATASYNC), 2); /* one for each file */
	end(&f);
}

TEST(closing_waits_for_the_running_job_and_syncs_what_came_after_it)
{
	struct fixture f;

	begin(&f, &always);
	faults_hold(FAULT_FDATASYNC);
	append_n(&f, 2);
	(void)uv_run(&f.loop, UV_RUN_NOWAIT);
	append_n(&f, 2);
	journal_close(f.journal, on_closed, &f);
	(void)uv_run(&f.loop, UV_RUN_NOWAIT);
	assert_false(f.is_closed);
	faults_release(FAULT_FDATASYNC);
	assert_true(loop_run_until_set(&f.loop, &f.is_closed, DEADLINE_MS));
	journal_free(f.journal);
	f.journal = NULL;
	assert_int_equal(faults_count(FAULT_FDATASYNC), 2);
	(void)expect_on_disk(&f, 0);
	end(&f);
}

TEST(closing_right_after_opening_leaves_an_empty_journal)
{
	struct fixture f;

	begin(&f, &always);
	close_journal(&f);
	assert_int_equal(expect_on_disk(&f, 0).n_records, 0);
	end(&f);
	journal_free(NULL);
}

static void on_synced_in_child(void *arg, uint64_t synced_seq)
{
	(void)arg;
	(void)synced_seq;
	_exit(1);
}

static void append_in_child(struct journal *journal)
{
	struct booking booking = sample_traffic("s", "u", 1, 0);
	struct record record = {.node = "n", .bookings = {&booking, 1, 1}};

	if (journal_append(journal, &record) != 0)
		_exit(2);
}

/* Its fdatasync number `n` fails while two segments wait for theirs. Never returns. */
static void sync_in_child(int dir_fd, const struct journal_config *config, unsigned n)
{
	struct journal *journal;
	uv_loop_t loop;
	struct errmsg msg;

	(void)alarm(DEADLINE_MS / 1000);
	if (uv_loop_init(&loop) != 0 ||
		journal_open(&loop, dir_fd, config, 0, 0, on_synced_in_child, NULL,
			&journal, &msg) != 0 ||
		!loop_run_jobs(&loop, DEADLINE_MS))
		_exit(3);
	append_in_child(journal);
	journal_rotate(journal);
	append_in_child(journal);
	faults_fail_nth(FAULT_FDATASYNC, n, EIO);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	_exit(4);
}

/* Which takes threads that live at an _exit() for leaks, and changes the code. */
static bool is_under_valgrind(void)
{
	const char *preloaded = getenv("LD_PRELOAD");

	return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

TEST(a_failed_fdatasync_ends_the_process_with_74_and_tells_nobody_it_was_synced)
{
	static const struct {
		const struct journal_config *config;
		unsigned n;
	} rows[] = {{&always, 1}, {&always, 2}, {&everysec, 1}, {&everysec, 2}};

	if (is_under_valgrind())
		skip();
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct tempdir dir;
		int status;
		pid_t pid;

		tempdir_make(&dir);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			sync_in_child(dir.fd, rows[i].config, rows[i].n);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		AT_ROW(i, WIFEXITED(status));
		AT_ROW(i, WEXITSTATUS(status) == EXIT_STORAGE);
		tempdir_remove(&dir);
	}
}

static size_t n_open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	assert_int_equal(closedir(dir), 0);
	return n;
}

TEST(a_journal_that_cannot_be_opened_says_why_and_leaks_nothing)
{
	static const struct {
		enum fault_kind kind;
		int error;
	} rows[] = {{FAULT_MEMORY, ENOMEM}, {FAULT_PWRITE, ENOSPC},
		{FAULT_FDATASYNC, EIO}, {FAULT_FSYNC, EIO}, {FAULT_OPENAT, EMFILE}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct fixture f;
		unsigned n = 1;

		begin(&f, &always);
		for (;; n++) {
			size_t n_files = n_open_files();
			struct journal *journal = NULL;
			struct errmsg msg = {""};
			uint64_t last_number = 100 * (uint64_t)n;
			int code;
			bool has_fired;

			faults_fail_nth(rows[i].kind, n, rows[i].error);
			code = journal_open(&f.loop, f.dir.fd, &always, 0, last_number,
				on_synced, &f, &journal, &msg);
			has_fired = faults_fired(rows[i].kind);
			faults_reset();
			if (!has_fired) {
				AT_ROW(i, code == 0);
				close_journal(&f);
				f.journal = journal;
				f.is_closed = false;
				break;
			}
			AT_ROW(i,
				code == ERR_JOURNAL_IO ||
					(code == ERR_NOMEM &&
						rows[i].kind == FAULT_MEMORY));
			AT_ROW(i, journal == NULL);
			AT_ROW(i, msg.text[0] != '\0');
			AT_ROW(i, n_open_files() == n_files);
		}
		AT_ROW(i, n > 1);
		end(&f);
	}
}

TEST(a_segment_that_exists_is_never_written_to_again)
{
	struct fixture f;
	struct journal *journal = NULL;
	struct errmsg msg = {""};

	begin(&f, &always);
	append_n(&f, 2);
	assert_int_equal(journal_open(&f.loop, f.dir.fd, &always, 0, 0, on_synced, &f,
				 &journal, &msg),
		ERR_JOURNAL_IO);
	assert_null(journal);
	assert_non_null(strstr(msg.text, strerror(EEXIST)));
	(void)expect_on_disk(&f, 0);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			records_get_sequences_without_gaps_and_are_read_back_in_order),
		cmocka_unit_test(
			a_second_process_goes_on_behind_the_first_in_a_file_of_its_own),
		cmocka_unit_test(always_syncs_all_records_of_a_turn_with_one_fdatasync),
		cmocka_unit_test(
			a_sync_covers_what_was_written_before_it_began_and_no_more),
		cmocka_unit_test(everysec_syncs_by_itself_and_lets_no_answer_wait),
		cmocka_unit_test(without_fsync_nothing_is_synced_before_the_close),
		cmocka_unit_test(with_always_answers_wait),
		cmocka_unit_test(
			a_record_is_refused_before_it_is_written_while_a_sync_is_overdue),
		cmocka_unit_test(
			on_a_slow_disk_only_that_is_accepted_which_can_be_answered_in_time),
		cmocka_unit_test(
			a_disk_that_was_too_slow_is_tried_again_although_nothing_is_written),
		cmocka_unit_test(
			where_no_answer_waits_for_a_sync_no_record_is_refused_for_it),
		cmocka_unit_test(who_waits_for_a_sync_waits_for_no_other_segment),
		cmocka_unit_test(closing_waits_for_the_next_segment_that_is_being_made),
		cmocka_unit_test(a_failed_write_changes_nothing_wherever_it_is_torn),
		cmocka_unit_test(torn_bytes_that_cannot_be_cut_off_are_written_over),
		cmocka_unit_test(
			failing_again_and_again_leaves_the_next_write_where_it_was),
		cmocka_unit_test(
			torn_bytes_at_the_end_of_a_segment_do_not_hide_the_next_one),
		cmocka_unit_test(a_short_or_interrupted_write_is_continued),
		cmocka_unit_test(a_record_that_finds_no_memory_changes_nothing),
		cmocka_unit_test(a_full_journal_refuses_until_a_drop_gives_room),
		cmocka_unit_test(
			a_drop_that_finds_no_segment_prepared_is_done_as_soon_as_one_is),
		cmocka_unit_test(a_checkpoint_is_wanted_above_half_of_max_bytes),
		cmocka_unit_test(with_less_than_min_free_bytes_every_append_is_refused),
		cmocka_unit_test(
			min_free_bytes_left_to_tallyd_asks_for_no_more_than_16_mib),
		cmocka_unit_test(a_rotation_begins_a_new_segment_and_keeps_the_order),
		cmocka_unit_test(
			a_rotation_is_not_done_where_nothing_was_written_or_prepared),
		cmocka_unit_test(a_rotation_that_fails_is_as_if_nobody_had_asked),
		cmocka_unit_test(
			a_next_segment_that_cannot_be_prepared_is_tried_with_the_next_job),
		cmocka_unit_test(
			whatever_lies_in_the_next_segments_place_makes_way_and_the_journal_never_stays_full),
		cmocka_unit_test(
			a_next_segment_that_can_neither_be_synced_nor_removed_is_made_all_the_same),
		cmocka_unit_test(
			a_next_segment_whose_name_is_not_known_to_be_on_disk_is_not_written_to),
		cmocka_unit_test(
			a_drop_removes_the_segments_whose_every_record_is_covered_and_no_other),
		cmocka_unit_test(more_segments_than_a_job_removes_are_all_dropped),
		cmocka_unit_test(
			what_is_in_sqlites_log_alone_is_kept_as_long_as_there_is_room),
		cmocka_unit_test(
			a_segment_that_cannot_be_removed_is_tried_with_the_next_job),
		cmocka_unit_test(
			whichever_call_about_the_folder_fails_no_record_is_lost_and_every_segment_goes),
		cmocka_unit_test(closing_syncs_everything_whatever_the_mode),
		cmocka_unit_test(
			closing_syncs_a_segment_too_that_was_left_unsynced_long_ago),
		cmocka_unit_test(
			closing_waits_for_the_running_job_and_syncs_what_came_after_it),
		cmocka_unit_test(closing_right_after_opening_leaves_an_empty_journal),
		cmocka_unit_test(
			a_failed_fdatasync_ends_the_process_with_74_and_tells_nobody_it_was_synced),
		cmocka_unit_test(
			a_journal_that_cannot_be_opened_says_why_and_leaks_nothing),
		cmocka_unit_test(a_segment_that_exists_is_never_written_to_again),
	};

	return RUN_TESTS(tests);
}
