/*
 * Files of the journal that are taken away while it is written. Each test has a data_dir
 * of its own with the folder in it; what is on disk is said by journal_fold(), and the
 * database is a number: up to which record it has all.
 */
#include "lib/test.h"
#include "journal/fold.h"
#include "journal/journal.h"
#include "lib/faults.h"
#include "lib/loop.h"
#include "lib/sample.h"
#include "lib/tempdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEADLINE_MS 10000
#define SEGMENT_1 "journal/0000000001.seg"
#define SEGMENT_2 "journal/0000000002.seg"

struct fixture {
	struct tempdir data; /* data_dir */
	int dir_fd;          /* its journal/, as it was opened */
	uv_loop_t loop;
	struct journal_home home;
	struct journal *journal;
	uint64_t seq, synced_seq;
	unsigned n_asked; /* for a checkpoint */
	bool does_answer; /* with one, at once */
	int around_code;  /* what look_around() finds */
	bool is_closed;
};

static void on_synced(void *arg, uint64_t synced_seq)
{
	struct fixture *f = arg;

	assert_true(synced_seq >= f->synced_seq && synced_seq <= f->seq);
	f->synced_seq = synced_seq;
}

static void on_closed(void *arg)
{
	((struct fixture *)arg)->is_closed = true;
}

static int look_around(void *arg, struct errmsg *ret_msg)
{
	int code = ((struct fixture *)arg)->around_code;

	return code == 0 ? 0 : err_set(ret_msg, code, "the lock is gone");
}

static void on_gone(void *arg)
{
	struct fixture *f = arg;

	f->n_asked++;
	if (f->does_answer)
		journal_drop(f->journal, f->seq, true);
}

static int append(struct fixture *f)
{
	struct booking booking = sample_traffic("s", "u", 1, 0);
	struct record record = {.origin = {.conn = 7, .time_ms = 1000},
		.node = "n",
		.bookings = {&booking, 1, 1}};
	int code = journal_append(f->journal, &record);

	f->seq += code == 0;
	return code;
}

static struct journal_stats stats_of(const struct fixture *f)
{
	struct journal_stats stats;

	journal_get_stats(f->journal, &stats);
	return stats;
}

static bool is_gone(const void *arg)
{
	return stats_of(arg).refusal == ERR_JOURNAL_GONE;
}

static bool is_well(const void *arg)
{
	return stats_of(arg).refusal == 0;
}

static bool is_synced(const void *arg)
{
	const struct fixture *f = arg;

	return f->synced_seq == f->seq;
}

static void run_until(struct fixture *f, bool (*is_reached)(const void *arg))
{
	assert_true(loop_run_until(&f->loop, is_reached, f, DEADLINE_MS));
}

static void run_jobs(struct fixture *f)
{
	assert_true(loop_run_jobs(&f->loop, DEADLINE_MS));
}

/* With one record, on disk, and a next segment prepared. */
static void begin(struct fixture *f, enum journal_fsync fsync)
{
	struct journal_config config = {.fsync = fsync,
		.max_bytes = UINT64_C(1) << 30,
		.home = &f->home,
		.tick_ms = 3};
	struct errmsg msg;

	memset(f, 0, sizeof(*f));
	faults_reset();
	tempdir_make(&f->data);
	assert_int_equal(mkdirat(f->data.fd, HOME_NAME, 0750), 0);
	f->dir_fd = openat(f->data.fd, HOME_NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->dir_fd >= 0);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	f->home = (struct journal_home){f->data.fd, look_around, on_gone, f};
	assert_int_equal(journal_open(&f->loop, f->dir_fd, &config, 0, 0, on_synced, f,
				 &f->journal, &msg),
		0);
	assert_int_equal(append(f), 0);
	run_jobs(f);
	faults_reset();
}

static void end(struct fixture *f)
{
	journal_close(f->journal, on_closed, f);
	assert_true(loop_run_until_set(&f->loop, &f->is_closed, DEADLINE_MS));
	journal_free(f->journal);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_int_equal(close(f->dir_fd), 0);
	tempdir_remove(&f->data);
	faults_reset();
}

static void rename_in(const struct fixture *f, const char *from, const char *to)
{
	assert_int_equal(renameat(f->data.fd, from, f->data.fd, to), 0);
}

static int on_record(void *arg, struct record *record)
{
	*(uint64_t *)arg = record->origin.seq;
	return 0;
}

/* A start on this folder finds all that came after the database's last, and no gap. */
static void expect_on_disk(const struct fixture *f, uint64_t after_seq)
{
	struct fold_options options = {.after_seq = after_seq};
	int fd = openat(f->data.fd, HOME_NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t last = after_seq;
	struct fold_result result;
	struct errmsg msg = {""};

	assert_true(fd >= 0);
	if (journal_fold(fd, &options, on_record, &last, &result, &msg) != 0)
		fail_msg("%s", msg.text);
	assert_int_equal(last, f->seq);
	assert_int_equal(result.n_records, f->seq - after_seq);
	assert_false(result.is_cut);
	assert_int_equal(close(fd), 0);
}

/* Ways of taking something away. */

static void delete_all(struct fixture *f)
{
	assert_int_equal(unlinkat(f->data.fd, SEGMENT_1, 0), 0);
	assert_int_equal(unlinkat(f->data.fd, SEGMENT_2, 0), 0);
}

static void delete_current(struct fixture *f)
{
	assert_int_equal(unlinkat(f->data.fd, SEGMENT_1, 0), 0);
}

static void delete_prepared(struct fixture *f)
{
	assert_int_equal(unlinkat(f->data.fd, SEGMENT_2, 0), 0);
}

static void delete_older(struct fixture *f)
{
	journal_rotate(f->journal);
	assert_int_equal(append(f), 0);
	run_jobs(f);
	delete_current(f); /* the first, which is not the current one any more */
}

static void delete_folder(struct fixture *f)
{
	delete_all(f);
	assert_int_equal(unlinkat(f->data.fd, HOME_NAME, AT_REMOVEDIR), 0);
}

static void move_folder(struct fixture *f)
{
	rename_in(f, HOME_NAME, "elsewhere");
}

static void replace_folder(struct fixture *f)
{
	move_folder(f);
	assert_int_equal(mkdirat(f->data.fd, HOME_NAME, 0750), 0);
}

/* By one with segments of its own, with the same and with higher numbers. */
static void replace_by_another_journal(struct fixture *f)
{
	static const char *const names[] = {
		SEGMENT_1, SEGMENT_2, "journal/0000000003.seg", "journal/0000000004.seg"};

	replace_folder(f);
	for (size_t i = 0; i < COUNT_OF(names); i++)
		tempdir_write(&f->data, names[i], "strange", 7);
}

static void replace_current(struct fixture *f)
{
	size_t len;
	char *bytes = tempdir_read(&f->data, SEGMENT_1, &len);

	tempdir_write(&f->data, "copy", bytes, len);
	rename_in(f, "copy", SEGMENT_1);
	free(bytes);
}

static void cut_off(struct fixture *f)
{
	assert_int_equal(truncate(tempdir_path(&f->data, SEGMENT_1), 50), 0);
}

static void take_lock_away(struct fixture *f)
{
	f->around_code = ERR_DATA_DIR;
}

static const struct {
	void (*take)(struct fixture *f);
	const char *missing; /* what is said */
} ways[] = {
	{delete_all, SEGMENT_1 " is gone"},
	{delete_current, SEGMENT_1 " is gone"},
	{delete_prepared, SEGMENT_2 " is gone"},
	{delete_older, SEGMENT_1 " is gone"},
	{delete_folder, "journal is gone"},
	{move_folder, "journal is gone"},
	{replace_folder, "journal is another folder"},
	{replace_by_another_journal, "journal is another folder"},
	{replace_current, SEGMENT_1 " is another file"},
	{cut_off, SEGMENT_1 " was cut off"},
	{take_lock_away, "the lock is gone"},
};

TEST(what_is_taken_away_is_noticed_and_nothing_appended_until_all_is_in_the_database)
{
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		struct fixture f;
		uint64_t seq;

		begin(&f, FSYNC_EVERYSEC);
		ways[i].take(&f);
		run_until(&f, is_gone);
		AT_ROW(i, strcmp(stats_of(&f).missing, ways[i].missing) == 0);
		AT_ROW(i, f.n_asked > 0);
		seq = f.seq;
		AT_ROW(i, append(&f) == ERR_JOURNAL_GONE);
		journal_drop(f.journal, seq - 1, true); /* not all of it */
		run_jobs(&f);
		AT_ROW(i, append(&f) == ERR_JOURNAL_GONE);
		f.around_code = 0;
		journal_drop(f.journal, seq, true);
		run_until(&f, is_well);
		AT_ROW(i, stats_of(&f).missing[0] == '\0');
		AT_ROW(i, stats_of(&f).records == 0 && stats_of(&f).seq == seq);
		for (unsigned n = 0; n < 3; n++)
			AT_ROW(i, append(&f) == 0);
		run_until(&f, is_synced);
		journal_rotate(f.journal); /* into the segment that was prepared anew */
		AT_ROW(i, append(&f) == 0);
		expect_on_disk(&f, seq);
		end(&f);
	}
}

TEST(nothing_is_written_into_a_file_that_was_deleted_or_cut_just_now)
{
	static void (*const takes[])(struct fixture * f) = {delete_current, cut_off};

	for (size_t i = 0; i < COUNT_OF(takes); i++) {
		struct fixture f;

		begin(&f, FSYNC_EVERYSEC);
		takes[i](&f);
		AT_ROW(i, append(&f) == ERR_JOURNAL_GONE); /* the loop has not run */
		AT_ROW(i, f.n_asked == 1);
		journal_drop(f.journal, f.seq, true);
		run_until(&f, is_well);
		AT_ROW(i, append(&f) == 0);
		expect_on_disk(&f, f.seq - 1);
		end(&f);
	}
}

TEST(the_folder_is_made_again_with_its_rights_and_what_is_not_ours_is_kept)
{
	struct fixture f;
	struct stat st;

	begin(&f, FSYNC_EVERYSEC);
	f.does_answer = true;
	delete_folder(&f);
	run_until(&f, is_gone);
	run_until(&f, is_well);
	assert_int_equal(fstatat(f.data.fd, HOME_NAME, &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0750);
	replace_by_another_journal(&f);
	run_until(&f, is_gone);
	run_until(&f, is_well);
	assert_int_equal(append(&f), 0);
	expect_on_disk(&f, f.seq - 1);
	end(&f);
}

TEST(who_finds_nothing_new_to_write_begins_anew_at_once)
{
	struct fixture f;

	begin(&f, FSYNC_EVERYSEC);
	journal_drop(f.journal, f.seq, true);
	run_jobs(&f);
	move_folder(&f);
	run_until(&f, is_gone);
	run_until(&f, is_well);
	assert_int_equal(f.n_asked, 0);
	end(&f);
}

TEST(a_sync_into_a_file_that_is_gone_is_no_sync_and_the_checkpoint_stands_for_it)
{
	struct fixture f;

	begin(&f, FSYNC_ALWAYS);
	run_until(&f, is_synced);
	move_folder(&f);
	assert_int_equal(append(&f), 0); /* nobody has looked yet */
	run_until(&f, is_gone);
	run_jobs(&f);
	assert_int_equal(f.synced_seq, f.seq - 1);
	journal_drop(f.journal, f.seq, true);
	assert_int_equal(f.synced_seq, f.seq);
	run_until(&f, is_well);
	end(&f);
}

/* A look that was under way may have found it before the sync. */
static bool fail_sync_while_gone(void)
{
	struct fixture f;
	bool has_fired;

	begin(&f, FSYNC_ALWAYS);
	run_until(&f, is_synced);
	move_folder(&f);
	assert_int_equal(append(&f), 0);
	faults_fail_nth(FAULT_FDATASYNC, 1, EIO);
	run_until(&f, is_gone);
	has_fired = faults_fired(FAULT_FDATASYNC);
	faults_reset();
	end(&f);
	return has_fired;
}

TEST(a_disk_that_fails_under_files_that_are_gone_ends_nothing)
{
	bool has_fired = false;

	for (unsigned i = 0; i < 100 && !has_fired; i++)
		has_fired = fail_sync_while_gone();
	assert_true(has_fired);
}

/* True if the nth call of the kind was made, and failed. */
static bool begin_anew_with_fault(enum fault_kind kind, unsigned n, size_t way)
{
	struct fixture f;
	bool has_fired;

	begin(&f, FSYNC_EVERYSEC);
	run_until(&f, is_synced);
	ways[way].take(&f);
	run_until(&f, is_gone);
	f.around_code = 0;
	faults_fail_nth(kind, n, kind == FAULT_MEMORY ? ENOMEM : EIO);
	journal_drop(f.journal, f.seq, true);
	run_until(&f, is_well);
	has_fired = faults_fired(kind);
	faults_reset();
	assert_int_equal(append(&f), 0);
	expect_on_disk(&f, f.seq - 1);
	end(&f);
	return has_fired;
}

TEST(whichever_call_of_a_new_beginning_fails_it_is_made_in_the_end)
{
	static const struct {
		enum fault_kind kind;
		unsigned n_calls;
	} rows[] = {{FAULT_MEMORY, 1}, {FAULT_PWRITE, 1}, {FAULT_FDATASYNC, 1},
		{FAULT_FSYNC, 4}, {FAULT_OPENAT, 4}, {FAULT_READDIR, 3},
		{FAULT_RENAMEAT, 4}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		size_t way = 0;
		unsigned n = 0;

		while (ways[way].take != replace_by_another_journal)
			way++;
		while (begin_anew_with_fault(rows[i].kind, n + 1, way))
			n++;
		AT_ROW(i, n >= rows[i].n_calls);
	}
}

TEST(ours_that_cannot_be_removed_are_tried_again)
{
	unsigned n = 0;

	while (begin_anew_with_fault(FAULT_UNLINKAT, n + 1, 2)) /* delete_prepared() */
		n++;
	assert_true(n >= 1);
}

TEST(a_look_that_finds_no_memory_is_made_the_next_time)
{
	struct fixture f;

	begin(&f, FSYNC_EVERYSEC);
	run_until(&f, is_synced);
	delete_current(&f);
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	run_until(&f, is_gone);
	assert_true(faults_fired(FAULT_MEMORY));
	end(&f);
}

TEST(closing_while_something_is_missing_ends)
{
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		struct fixture f;

		begin(&f, i % 2 == 0 ? FSYNC_ALWAYS : FSYNC_EVERYSEC);
		ways[i].take(&f);
		run_until(&f, is_gone);
		end(&f);
	}
}

TEST(something_in_the_folders_place_is_said_and_left_as_it_is)
{
	struct fixture f;

	begin(&f, FSYNC_EVERYSEC);
	f.does_answer = true;
	move_folder(&f);
	tempdir_write(&f.data, HOME_NAME, "in the way", 10);
	run_until(&f, is_gone);
	run_jobs(&f);
	assert_true(is_gone(&f));
	assert_int_equal(unlinkat(f.data.fd, HOME_NAME, 0), 0);
	assert_int_equal(symlinkat("elsewhere", f.data.fd, HOME_NAME), 0);
	loop_run_for(&f.loop, 1);
	run_jobs(&f);
	assert_true(is_gone(&f));
	assert_int_equal(unlinkat(f.data.fd, HOME_NAME, 0), 0);
	run_until(&f, is_well);
	assert_int_equal(append(&f), 0);
	expect_on_disk(&f, f.seq - 1);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			what_is_taken_away_is_noticed_and_nothing_appended_until_all_is_in_the_database),
		cmocka_unit_test(
			nothing_is_written_into_a_file_that_was_deleted_or_cut_just_now),
		cmocka_unit_test(
			the_folder_is_made_again_with_its_rights_and_what_is_not_ours_is_kept),
		cmocka_unit_test(who_finds_nothing_new_to_write_begins_anew_at_once),
		cmocka_unit_test(
			a_sync_into_a_file_that_is_gone_is_no_sync_and_the_checkpoint_stands_for_it),
		cmocka_unit_test(
			a_disk_that_fails_under_files_that_are_gone_ends_nothing),
		cmocka_unit_test(
			whichever_call_of_a_new_beginning_fails_it_is_made_in_the_end),
		cmocka_unit_test(ours_that_cannot_be_removed_are_tried_again),
		cmocka_unit_test(a_look_that_finds_no_memory_is_made_the_next_time),
		cmocka_unit_test(closing_while_something_is_missing_ends),
		cmocka_unit_test(
			something_in_the_folders_place_is_said_and_left_as_it_is),
	};

	return RUN_TESTS(tests);
}
