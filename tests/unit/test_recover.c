/*
 * Each test lays a journal out in a folder of its own, with tally.db beside it, and
 * starts as often as it likes. Record n of the samples brings user "u" n bytes, so the
 * records 1 to 5 come to 15.
 */
#include "lib/test.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/text.h"
#include "journal/segment.h"
#include "lib/faults.h"
#include "lib/sample.h"
#include "pipeline/recover.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATABASE "tally.db"
#define SEGMENT_1 "0000000001.seg"
#define SEGMENT_2 "0000000002.seg"
#define SEGMENT_3 "0000000003.seg"

static struct store *open_store(const struct tempdir *dir)
{
	struct store_config config = {tempdir_path(dir, DATABASE), 0, 50, false};
	struct store *store = NULL;
	struct errmsg msg = {""};

	if (store_open(&config, &store, &msg) != 0)
		fail_msg("%s", msg.text);
	return store;
}

static void make_place(struct tempdir *dir)
{
	faults_reset();
	faults_watch_sqlite();
	tempdir_make(dir);
	store_close(open_store(dir));
}

/* What one start has found. */
struct start {
	int code;
	struct recovered recovered;
	uint64_t used; /* of user "u", in the ledger */
	bool is_dirty;
	struct errmsg msg;
};

static uint64_t used_in(const struct ledger *ledger)
{
	const struct user *user = ledger_find_user(ledger, "u");

	return user != NULL ? user->total.used : 0;
}

static struct start start_with(
	const struct tempdir *dir, const struct recover_options *options)
{
	struct store *store = open_store(dir);
	struct ledger *ledger = ledger_new(1000, false);
	struct start start = {.code = 0};

	assert_non_null(ledger);
	start.code =
		recover(dir->fd, store, ledger, options, &start.recovered, &start.msg);
	start.used = used_in(ledger);
	start.is_dirty = ledger_is_dirty(ledger);
	assert_int_equal(start.msg.text[0] != '\0', start.code != 0);
	ledger_free(ledger);
	store_close(store);
	return start;
}

static struct start start(const struct tempdir *dir)
{
	return start_with(dir, &(struct recover_options){.max_retries = 0});
}

static struct start salvage(const struct tempdir *dir)
{
	return start_with(dir, &(struct recover_options){.does_salvage = true});
}

/* What another program reads in the database: user "u", service "s", applied_seq. */
static void assert_database(const struct tempdir *dir, int64_t used, int64_t applied_seq)
{
	const char *path = tempdir_path(dir, DATABASE);

	assert_int_equal(
		sample_number(path, "SELECT total(used_traffic) FROM users"), used);
	assert_int_equal(
		sample_number(path, "SELECT total(input_bytes) FROM services"), used);
	assert_int_equal(
		sample_number(path, "SELECT value FROM meta WHERE key='applied_seq'"),
		applied_seq);
}

static void add_records(struct sample_segment *segment, uint64_t first, uint64_t last,
	uint64_t synced_seq)
{
	for (uint64_t seq = first; seq <= last; seq++)
		sample_add(segment, seq, synced_seq);
}

/* Records first to last, and then the first half of another, or nothing. */
static void write_segment(const struct tempdir *dir, uint64_t number, uint64_t first,
	uint64_t last, bool is_torn)
{
	struct sample_segment segment;

	sample_begin(&segment, first, first - 1);
	add_records(&segment, first, last, first - 1);
	if (is_torn) {
		sample_add(&segment, last + 1, first - 1);
		segment.buf.len -= sample_record_size() / 2;
	}
	sample_write(&segment, dir, number);
}

/* Records 1 to 5, of which the second cannot be read although it was synced. */
static void write_corrupt(const struct tempdir *dir)
{
	struct sample_segment segment;

	sample_begin(&segment, 1, 0);
	add_records(&segment, 1, 2, 0);
	segment.buf.data[segment.buf.len - 4] ^= 0x10;
	add_records(&segment, 3, 3, 2);
	sample_write(&segment, dir, 1);
	write_segment(dir, 2, 4, 5, false);
}

/* A copy of a file, to be put back or compared later. */
struct copy {
	const char *name;
	char *bytes;
	size_t len;
};

static struct copy copy_of(const struct tempdir *dir, const char *name)
{
	struct copy copy = {.name = name};

	copy.bytes = tempdir_read(dir, name, &copy.len);
	return copy;
}

static void put_back(const struct tempdir *dir, const struct copy *copy)
{
	tempdir_write(dir, copy->name, copy->bytes, copy->len);
}

/* That `folder` (with a slash, or "") holds the file as it was. */
static void assert_holds(
	const struct tempdir *dir, const char *folder, const struct copy *copy)
{
	char name[300];
	char *bytes;
	size_t len;

	(void)snprintf(name, sizeof(name), "%s%s", folder, copy->name);
	bytes = tempdir_read(dir, name, &len);
	assert_int_equal(len, copy->len);
	assert_memory_equal(bytes, copy->bytes, len);
	free(bytes);
}

static size_t n_segments(const struct tempdir *dir)
{
	return tempdir_count(dir, "", ".seg");
}

static size_t n_kept(const struct tempdir *dir)
{
	return tempdir_count(dir, "kept-", "");
}

static void assert_start(const struct start *start, uint64_t used, uint64_t seq,
	uint64_t last_number, size_t n_records)
{
	if (start->code != 0)
		fail_msg("%s", start->msg.text);
	assert_int_equal(start->used, used);
	assert_int_equal(start->recovered.seq, seq);
	assert_int_equal(start->recovered.last_number, last_number);
	assert_int_equal(start->recovered.n_records, n_records);
	assert_false(start->is_dirty);
}

TEST(the_journal_is_folded_into_the_database_and_its_segments_are_gone)
{
	struct tempdir dir;
	struct start first;

	make_place(&dir);
	write_segment(&dir, 1, 1, 3, false);
	write_segment(&dir, 2, 4, 5, false);
	first = start(&dir);
	assert_start(&first, 15, 5, 2, 5);
	assert_database(&dir, 15, 5);
	assert_int_equal(n_segments(&dir), 0);
	assert_int_equal(n_kept(&dir), 0);
	tempdir_remove(&dir);
}

TEST(a_start_without_a_journal_is_empty_and_leaves_other_files_alone)
{
	struct tempdir dir;
	struct start first;

	make_place(&dir);
	tempdir_write(&dir, "1.seg", "not ours", 8);
	first = start(&dir);
	assert_start(&first, 0, 0, 0, 0);
	assert_database(&dir, 0, 0);
	assert_int_equal(n_segments(&dir), 1);
	tempdir_remove(&dir);
}

TEST(a_prepared_segment_is_removed_and_its_number_not_used_again)
{
	struct tempdir dir;
	struct start first;

	make_place(&dir);
	write_segment(&dir, 6, 1, 2, false);
	tempdir_write(&dir, "0000000007.seg", "", 0);
	first = start(&dir);
	assert_start(&first, 3, 2, 7, 2);
	assert_int_equal(n_segments(&dir), 0);
	assert_int_equal(n_kept(&dir), 0);
	tempdir_remove(&dir);
}

TEST(a_stray_segment_with_a_number_that_no_tallyd_makes_ends_the_start_and_costs_no_record)
{
	static const char *const names[] = {"18446744073709551615.seg",
		"18446744073709551616.seg", "4611686018427387904.seg"};

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct copy copies[2];
		struct tempdir dir;
		struct start first;

		make_place(&dir);
		write_segment(&dir, 1, 1, 3, false);
		write_segment(&dir, 2, 4, 5, false);
		copies[0] = copy_of(&dir, SEGMENT_1);
		copies[1] = copy_of(&dir, SEGMENT_2);
		tempdir_write(&dir, names[i], "", 0);
		first = start(&dir);
		AT_ROW(i, first.code == ERR_JOURNAL_CORRUPT);
		AT_ROW(i, strstr(first.msg.text, names[i]) != NULL);
		AT_ROW(i, salvage(&dir).code == ERR_JOURNAL_CORRUPT);
		assert_database(&dir, 0, 0);
		for (size_t j = 0; j < COUNT_OF(copies); j++) {
			assert_holds(&dir, "", &copies[j]);
			free(copies[j].bytes);
		}
		assert_int_equal(unlinkat(dir.fd, names[i], 0), 0);
		first = start(&dir);
		assert_start(&first, 15, 5, 2, 5);
		assert_database(&dir, 15, 5);
		tempdir_remove(&dir);
	}
}

/* As a tallyd has made it that came to it behind such a stray file. */
TEST(a_segment_of_number_0_is_counted_and_its_number_not_used_again)
{
	struct tempdir dir;
	struct start first;

	make_place(&dir);
	write_segment(&dir, 0, 1, 3, false);
	tempdir_write(&dir, SEGMENT_1, "", 0);
	first = start(&dir);
	assert_start(&first, 6, 3, 1, 3);
	assert_int_equal(n_segments(&dir), 0);
	write_segment(&dir, 0, 4, 5, false);
	first = start(&dir);
	assert_start(&first, 15, 5, 0, 2);
	assert_int_equal(n_segments(&dir), 0);
	tempdir_remove(&dir);
}

TEST(the_numbers_of_segments_begin_anew_long_before_one_would_be_refused)
{
	static const struct {
		uint64_t number, last_number;
	} rows[] = {{UINT64_C(1) << 40, UINT64_C(1) << 40},
		{NUMBER_MAX / 2, NUMBER_MAX / 2}, {NUMBER_MAX / 2 + 1, 0},
		{NUMBER_MAX, 0}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct tempdir dir;
		struct start first;

		make_place(&dir);
		write_segment(&dir, rows[i].number, 1, 5, false);
		first = start(&dir);
		assert_start(&first, 15, 5, rows[i].last_number, 5);
		assert_int_equal(n_segments(&dir), 0);
		write_segment(&dir, rows[i].last_number + 1, 6, 6, false);
		first = start(&dir);
		assert_int_equal(first.code, 0);
		assert_database(&dir, 21, 6);
		tempdir_remove(&dir);
	}
}

/* Records 1 to 3 and, whole and with its checksum, one that no tallyd has written. */
static void write_forged(const struct tempdir *dir, const struct origin *origin)
{
	struct booking booking = sample_traffic("s", "u", 4, 0);
	struct record record = {
		.origin = *origin, .node = "n", .bookings = {&booking, 1, 1}};
	struct sample_segment segment;

	sample_begin(&segment, 1, 0);
	add_records(&segment, 1, 3, 0);
	record_encode(&record, &segment.buf);
	sample_write(&segment, dir, 1);
}

TEST(a_record_with_a_number_that_no_tallyd_writes_is_refused_with_its_place)
{
	static const uint64_t proved[] = {UINT64_MAX};
	static const struct origin forged[] = {
		{.seq = 4, .conn = NUMBER_MAX + 1},
		{.seq = 4, .conn = UINT64_MAX},
		{.seq = 4, .time_ms = TIME_MAX_MS + 1},
		{.seq = 4, .time_ms = UINT64_MAX},
		{.seq = 4, .proved = proved, .n_proved = 1},
	};

	for (size_t i = 0; i < COUNT_OF(forged); i++) {
		struct tempdir dir;
		struct copy before;
		struct start first;

		make_place(&dir);
		write_forged(&dir, &forged[i]);
		before = copy_of(&dir, SEGMENT_1);
		first = start(&dir);
		AT_ROW(i, first.code == ERR_JOURNAL_CORRUPT);
		AT_ROW(i, strstr(first.msg.text, SEGMENT_1) != NULL);
		AT_ROW(i, strstr(first.msg.text, "offset") != NULL);
		AT_ROW(i, strstr(first.msg.text, "record 4") != NULL);
		assert_holds(&dir, "", &before);
		assert_database(&dir, 0, 0);
		first = salvage(&dir);
		assert_start(&first, 6, 3, 1, 3);
		assert_int_equal(n_kept(&dir), 1);
		free(before.bytes);
		tempdir_remove(&dir);
	}
}

/* It cannot be told from what a crash leaves; nothing goes without a word. */
TEST(a_record_with_a_sequence_that_no_tallyd_writes_is_kept_aside)
{
	static const uint64_t seqs[] = {0, (UINT64_C(1) << 40) + 5, NUMBER_MAX + 1,
		(uint64_t)INT64_MAX, UINT64_MAX};

	for (size_t i = 0; i < COUNT_OF(seqs); i++) {
		struct tempdir dir;
		struct start first;

		make_place(&dir);
		write_forged(&dir, &(struct origin){.seq = seqs[i], .time_ms = 1});
		first = start(&dir);
		assert_start(&first, 6, 3, 1, 3);
		AT_ROW(i, n_kept(&dir) == 1);
		write_segment(&dir, 2, 4, 5, false);
		first = start(&dir);
		assert_start(&first, 15, 5, 2, 2);
		tempdir_remove(&dir);
	}
}

TEST(a_head_with_a_number_that_no_tallyd_writes_costs_no_record)
{
	static const struct segment_head heads[] = {
		{UINT64_MAX, 0, 0}, {4, UINT64_MAX, 0}, {0, 0, 0}, {4, 3, UINT64_MAX}};

	for (size_t i = 0; i < COUNT_OF(heads); i++) {
		struct sample_segment segment = {{0}};
		uint8_t bytes[SEGMENT_HEAD_BYTES];
		struct tempdir dir;
		struct start first;

		make_place(&dir);
		write_segment(&dir, 1, 1, 3, false);
		segment_encode_head(&heads[i], bytes);
		sample_add_bytes(&segment, bytes, sizeof(bytes));
		add_records(&segment, 4, 5, 3);
		sample_write(&segment, &dir, 2);
		first = start(&dir);
		assert_start(&first, 15, 5, 2, 5);
		tempdir_remove(&dir);
	}
}

/* The clock was set to 2099 for a while, and back. */
TEST(records_of_a_clock_that_was_wrong_for_a_while_are_folded)
{
	static const uint64_t times[] = {UINT64_C(1700000000000), UINT64_C(4070908800000),
		UINT64_C(1700000001000)};
	struct sample_segment segment;
	struct tempdir dir;
	struct start first;

	make_place(&dir);
	sample_begin(&segment, 1, 0);
	for (size_t i = 0; i < COUNT_OF(times); i++) {
		struct booking booking = sample_traffic("s", "u", i + 1, 0);
		struct record record = {.origin = {.seq = i + 1,
						.conn = times[i] * 1000,
						.time_ms = times[i]},
			.node = "n",
			.bookings = {&booking, 1, 1}};

		record_encode(&record, &segment.buf);
	}
	sample_write(&segment, &dir, 1);
	for (unsigned again = 0; again < 2; again++) {
		first = start(&dir);
		assert_start(&first, 6, 3, again == 0 ? 1 : 0, again == 0 ? 3 : 0);
		assert_database(&dir, 6, 3);
	}
	tempdir_remove(&dir);
}

TEST(a_second_start_changes_nothing)
{
	struct tempdir dir;
	struct start again;

	make_place(&dir);
	write_segment(&dir, 1, 1, 5, false);
	(void)start(&dir);
	for (int i = 0; i < 2; i++) {
		again = start(&dir);
		assert_start(&again, 15, 5, 0, 0);
		assert_database(&dir, 15, 5);
	}
	tempdir_remove(&dir);
}

TEST(later_records_are_added_to_what_the_database_holds)
{
	struct tempdir dir;
	struct start second;

	make_place(&dir);
	write_segment(&dir, 1, 1, 5, false);
	(void)start(&dir);
	write_segment(&dir, 2, 6, 7, false);
	second = start(&dir);
	assert_start(&second, 28, 7, 2, 2);
	assert_database(&dir, 28, 7);
	tempdir_remove(&dir);
}

TEST(an_operators_edit_of_a_row_is_added_to_and_never_overwritten)
{
	struct tempdir dir;
	struct start second;

	make_place(&dir);
	write_segment(&dir, 1, 1, 5, false);
	(void)start(&dir);
	sample_sql(tempdir_path(&dir, DATABASE), "UPDATE users SET used_traffic=1000");
	write_segment(&dir, 2, 6, 6, false);
	second = start(&dir);
	assert_start(&second, 1006, 6, 2, 1);
	assert_int_equal(sample_number(tempdir_path(&dir, DATABASE),
				 "SELECT used_traffic FROM users"),
		1006);
	tempdir_remove(&dir);
}

TEST(a_crash_between_commit_and_removal_counts_nothing_twice)
{
	struct tempdir dir;
	struct copy copies[2];
	struct start again;

	make_place(&dir);
	write_segment(&dir, 1, 1, 3, false);
	write_segment(&dir, 2, 4, 5, false);
	copies[0] = copy_of(&dir, SEGMENT_1);
	copies[1] = copy_of(&dir, SEGMENT_2);
	(void)start(&dir);
	put_back(&dir, &copies[0]);
	put_back(&dir, &copies[1]);
	again = start(&dir);
	assert_start(&again, 15, 5, 2, 0);
	assert_database(&dir, 15, 5);
	assert_int_equal(n_segments(&dir), 0);
	/* Or the first was removed already, */
	put_back(&dir, &copies[1]);
	again = start(&dir);
	assert_start(&again, 15, 5, 2, 0);
	assert_int_equal(n_segments(&dir), 0);
	/* or removed segments come back beside newer ones. */
	put_back(&dir, &copies[0]);
	put_back(&dir, &copies[1]);
	write_segment(&dir, 3, 6, 7, false);
	again = start(&dir);
	assert_start(&again, 28, 7, 3, 2);
	assert_database(&dir, 28, 7);
	assert_int_equal(n_kept(&dir), 0);
	for (size_t i = 0; i < COUNT_OF(copies); i++)
		free(copies[i].bytes);
	tempdir_remove(&dir);
}

TEST(a_broken_tail_is_kept_aside_with_all_segments_and_whole_records_count)
{
	struct tempdir dir;
	struct copy copies[2];
	struct start first;

	make_place(&dir);
	write_segment(&dir, 1, 1, 3, false);
	write_segment(&dir, 2, 4, 5, true);
	copies[0] = copy_of(&dir, SEGMENT_1);
	copies[1] = copy_of(&dir, SEGMENT_2);
	clock_freeze_for_test(1234);
	first = start(&dir);
	assert_start(&first, 15, 5, 2, 5);
	assert_database(&dir, 15, 5);
	assert_int_equal(n_segments(&dir), 0);
	assert_int_equal(n_kept(&dir), 1);
	for (size_t i = 0; i < COUNT_OF(copies); i++) {
		assert_holds(&dir, "kept-1234/", &copies[i]);
		free(copies[i].bytes);
	}
	first = start(&dir);
	assert_start(&first, 15, 5, 0, 0);
	assert_int_equal(n_kept(&dir), 1);
	/* The next segment takes the sequence of the record that was never whole. */
	write_segment(&dir, 3, 6, 6, false);
	first = start(&dir);
	assert_start(&first, 21, 6, 3, 1);
	clock_freeze_for_test(0);
	tempdir_remove(&dir);
}

TEST(a_crash_while_a_broken_tail_is_moved_counts_nothing_twice)
{
	struct tempdir dir;
	struct copy copies[2];
	struct start again;

	make_place(&dir);
	write_segment(&dir, 1, 1, 3, false);
	write_segment(&dir, 2, 4, 5, true);
	copies[0] = copy_of(&dir, SEGMENT_1);
	copies[1] = copy_of(&dir, SEGMENT_2);
	clock_freeze_for_test(1000);
	(void)start(&dir);
	put_back(&dir, &copies[0]);
	put_back(&dir, &copies[1]);
	clock_freeze_for_test(2000);
	again = start(&dir);
	assert_start(&again, 15, 5, 2, 0);
	assert_holds(&dir, "kept-2000/", &copies[1]);
	put_back(&dir, &copies[1]);
	clock_freeze_for_test(3000);
	again = start(&dir);
	assert_start(&again, 15, 5, 2, 0);
	assert_holds(&dir, "kept-3000/", &copies[1]);
	assert_database(&dir, 15, 5);
	assert_int_equal(n_segments(&dir), 0);
	assert_int_equal(n_kept(&dir), 3);
	clock_freeze_for_test(0);
	for (size_t i = 0; i < COUNT_OF(copies); i++)
		free(copies[i].bytes);
	tempdir_remove(&dir);
}

/* As a power loss leaves it: the end of one segment is gone, the next was begun behind
 * it. */
static void make_torn_between(struct tempdir *dir)
{
	struct sample_segment segment;

	make_place(dir);
	write_segment(dir, 1, 1, 3, false);
	write_segment(dir, 2, 4, 5, true);
	sample_begin(&segment, 7, 3);
	add_records(&segment, 7, 7, 3);
	sample_write(&segment, dir, 3);
}

TEST(a_start_that_dies_at_any_move_of_a_broken_journal_is_followed_by_a_good_one)
{
	bool has_fired = true;

	for (unsigned n = 1; has_fired; n++) {
		struct tempdir dir;
		struct start again;

		make_torn_between(&dir);
		clock_freeze_for_test(1000);
		faults_fail_nth(FAULT_RENAMEAT, n, EIO);
		(void)start(&dir);
		has_fired = faults_fired(FAULT_RENAMEAT);
		faults_reset();
		assert_int_equal(has_fired, n <= 3);
		clock_freeze_for_test(2000);
		again = start(&dir);
		assert_int_equal(again.code, 0);
		assert_database(&dir, 15, 5);
		assert_int_equal(n_segments(&dir), 0);
		clock_freeze_for_test(0);
		tempdir_remove(&dir);
	}
}

/* In place, or in a folder of either start. */
static void assert_kept(const struct tempdir *dir, const struct copy *copy)
{
	static const char *const folders[] = {"", "kept-1000/", "kept-2000/"};
	char name[64];
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(folders); i++) {
		(void)snprintf(name, sizeof(name), "%s%s", folders[i], copy->name);
		if (faccessat(dir->fd, name, F_OK, 0) != 0)
			continue;
		assert_holds(dir, folders[i], copy);
		n++;
	}
	assert_int_equal(n, 1);
}

static const enum fault_kind folder_kinds[] = {
	FAULT_FSYNC, FAULT_OPENAT, FAULT_READDIR, FAULT_RENAMEAT, FAULT_UNLINKAT};

/* A start whose nth call of the kind fails, and another; true if that has fired. */
static bool start_twice(const struct tempdir *dir, enum fault_kind kind, unsigned n)
{
	struct start first, again;
	bool has_fired;

	clock_freeze_for_test(1000);
	faults_fail_nth(kind, n, EIO);
	first = start(dir);
	has_fired = faults_fired(kind);
	faults_reset();
	assert_int_equal(first.code, has_fired ? ERR_JOURNAL_IO : 0);
	if (has_fired)
		assert_non_null(strstr(first.msg.text, strerror(EIO)));
	clock_freeze_for_test(2000);
	again = start(dir);
	assert_int_equal(again.code, 0);
	assert_int_equal(again.used, 15);
	clock_freeze_for_test(0);
	assert_database(dir, 15, 5);
	assert_int_equal(n_segments(dir), 0);
	return has_fired;
}

TEST(a_start_that_fails_at_any_call_about_a_folder_says_so_and_the_next_counts_once)
{
	static const unsigned n_calls[] = {1, 4, 10, 0, 2};

	for (size_t i = 0; i < COUNT_OF(folder_kinds); i++) {
		bool has_fired = true;
		unsigned n = 0;

		while (has_fired) {
			struct tempdir dir;

			make_place(&dir);
			write_segment(&dir, 1, 1, 3, false);
			write_segment(&dir, 2, 4, 5, false);
			has_fired = start_twice(&dir, folder_kinds[i], ++n);
			tempdir_remove(&dir);
		}
		AT_ROW(i, n - 1 >= n_calls[i]);
	}
}

/* A whole segment in front of it may be gone: it is in the database. */
TEST(a_broken_journal_that_cannot_be_moved_at_any_call_is_kept_by_the_next_start)
{
	static const unsigned n_calls[] = {2, 6, 12, 3, 0};

	for (size_t i = 0; i < COUNT_OF(folder_kinds); i++) {
		bool has_fired = true;
		unsigned n = 0;

		while (has_fired) {
			struct tempdir dir;
			struct copy copies[2];

			make_torn_between(&dir);
			copies[0] = copy_of(&dir, SEGMENT_2);
			copies[1] = copy_of(&dir, SEGMENT_3);
			has_fired = start_twice(&dir, folder_kinds[i], ++n);
			for (size_t j = 0; j < COUNT_OF(copies); j++) {
				assert_kept(&dir, &copies[j]);
				free(copies[j].bytes);
			}
			tempdir_remove(&dir);
		}
		AT_ROW(i, n - 1 >= n_calls[i]);
	}
}

TEST(what_cannot_be_kept_aside_is_not_removed)
{
	struct tempdir dir;
	struct copy copy;
	struct start first;

	make_place(&dir);
	write_segment(&dir, 1, 1, 2, true);
	copy = copy_of(&dir, SEGMENT_1);
	clock_freeze_for_test(1000);
	tempdir_write(&dir, "kept-1000", "in the way", 10);
	first = start(&dir);
	assert_int_equal(first.code, ERR_JOURNAL_IO);
	assert_non_null(strstr(first.msg.text, strerror(EEXIST)));
	assert_holds(&dir, "", &copy);
	clock_freeze_for_test(2000);
	first = start(&dir);
	assert_start(&first, 3, 2, 1, 0);
	assert_database(&dir, 3, 2);
	assert_holds(&dir, "kept-2000/", &copy);
	clock_freeze_for_test(0);
	free(copy.bytes);
	tempdir_remove(&dir);
}

TEST(corruption_is_refused_and_changes_neither_database_nor_journal)
{
	struct tempdir dir;
	struct copy copies[2];
	struct start first;

	make_place(&dir);
	write_corrupt(&dir);
	copies[0] = copy_of(&dir, SEGMENT_1);
	copies[1] = copy_of(&dir, SEGMENT_2);
	for (int i = 0; i < 2; i++) {
		first = start(&dir);
		assert_int_equal(first.code, ERR_JOURNAL_CORRUPT);
		assert_non_null(strstr(first.msg.text, "journal/" SEGMENT_1));
		assert_non_null(strstr(first.msg.text, "--salvage"));
		assert_database(&dir, 0, 0);
		assert_holds(&dir, "", &copies[0]);
		assert_holds(&dir, "", &copies[1]);
		assert_int_equal(n_kept(&dir), 0);
	}
	for (size_t i = 0; i < COUNT_OF(copies); i++)
		free(copies[i].bytes);
	tempdir_remove(&dir);
}

TEST(a_database_older_than_the_journal_is_refused_and_can_be_salvaged)
{
	struct tempdir dir;
	struct start first;

	make_place(&dir);
	write_segment(&dir, 5, 7, 8, false);
	first = start(&dir);
	assert_int_equal(first.code, ERR_JOURNAL_CORRUPT);
	assert_database(&dir, 0, 0);
	first = salvage(&dir);
	assert_start(&first, 15, 8, 5, 2);
	assert_database(&dir, 15, 8);
	tempdir_remove(&dir);
}

TEST(salvage_takes_what_can_be_read_and_keeps_the_files)
{
	struct tempdir dir;
	struct copy copies[2];
	struct start first;

	make_place(&dir);
	write_corrupt(&dir);
	copies[0] = copy_of(&dir, SEGMENT_1);
	copies[1] = copy_of(&dir, SEGMENT_2);
	clock_freeze_for_test(1000);
	first = salvage(&dir);
	assert_start(&first, 13, 5, 2, 4);
	assert_database(&dir, 13, 5);
	assert_int_equal(n_segments(&dir), 0);
	assert_holds(&dir, "kept-1000/", &copies[0]);
	assert_holds(&dir, "kept-1000/", &copies[1]);
	/* If that was cut short before the files were moved, nothing more is needed. */
	put_back(&dir, &copies[0]);
	put_back(&dir, &copies[1]);
	first = start(&dir);
	assert_start(&first, 13, 5, 2, 0);
	assert_database(&dir, 13, 5);
	assert_int_equal(n_segments(&dir), 0);
	clock_freeze_for_test(0);
	for (size_t i = 0; i < COUNT_OF(copies); i++)
		free(copies[i].bytes);
	tempdir_remove(&dir);
}

TEST(salvage_of_a_whole_journal_is_a_start_like_any_other)
{
	struct tempdir dir;
	struct start first;

	make_place(&dir);
	write_segment(&dir, 1, 1, 5, false);
	first = salvage(&dir);
	assert_start(&first, 15, 5, 1, 5);
	assert_int_equal(n_kept(&dir), 0);
	assert_int_equal(n_segments(&dir), 0);
	first = salvage(&dir);
	assert_start(&first, 15, 5, 0, 0);
	tempdir_remove(&dir);
}

TEST(what_is_in_the_database_need_not_be_readable)
{
	struct tempdir dir;
	struct start again;

	make_place(&dir);
	write_segment(&dir, 1, 1, 5, false);
	(void)start(&dir);
	write_corrupt(&dir);
	write_segment(&dir, 3, 6, 6, false);
	again = start(&dir);
	assert_start(&again, 21, 6, 3, 1);
	assert_int_equal(n_segments(&dir), 0);
	tempdir_remove(&dir);
}

TEST(a_database_that_is_held_ends_the_start_and_leaves_the_journal)
{
	struct recover_options options = {.max_retries = 2, .retry_delay_ms = 1};
	struct tempdir dir;
	struct copy copy;
	struct start first;
	sqlite3 *other;

	make_place(&dir);
	write_segment(&dir, 1, 1, 5, false);
	copy = copy_of(&dir, SEGMENT_1);
	assert_int_equal(sqlite3_open(tempdir_path(&dir, DATABASE), &other), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	first = start_with(&dir, &options);
	assert_int_equal(first.code, ERR_STORE_BUSY);
	assert_holds(&dir, "", &copy);
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	first = start_with(&dir, &options);
	assert_start(&first, 15, 5, 1, 5);
	assert_database(&dir, 15, 5);
	free(copy.bytes);
	tempdir_remove(&dir);
}

TEST(a_database_that_fails_once_is_tried_again_and_counts_once)
{
	static const struct {
		enum fault_kind kind;
		int error;
	} rows[] = {{FAULT_SQLITE_WRITE, SQLITE_FULL}, {FAULT_SQLITE_SYNC, SQLITE_IOERR}};
	struct recover_options options = {.max_retries = 3, .retry_delay_ms = 1};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		bool has_fired = true;
		unsigned n = 1;

		for (; has_fired; n++) {
			struct tempdir dir;
			struct start first;
			struct store *store;
			struct ledger *ledger = ledger_new(10, false);

			make_place(&dir);
			write_segment(&dir, 1, 1, 5, false);
			store = open_store(&dir);
			faults_fail_nth(rows[i].kind, n, rows[i].error);
			AT_ROW(i,
				recover(dir.fd, store, ledger, &options, &first.recovered,
					&first.msg) == 0);
			has_fired = faults_fired(rows[i].kind);
			faults_reset();
			AT_ROW(i, used_in(ledger) == 15);
			store_close(store);
			ledger_free(ledger);
			assert_database(&dir, 15, 5);
			AT_ROW(i, n_segments(&dir) == 0);
			first = start(&dir);
			assert_start(&first, 15, 5, 0, 0);
			tempdir_remove(&dir);
		}
		AT_ROW(i, n > 2);
	}
}

TEST(a_database_that_fails_for_good_leaves_the_journal_for_the_next_start)
{
	static const enum fault_kind kinds[] = {FAULT_SQLITE_WRITE, FAULT_SQLITE_SYNC};
	struct recover_options options = {.max_retries = 1, .retry_delay_ms = 1};

	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		bool has_fired = true;

		for (unsigned n = 1; has_fired; n++) {
			struct tempdir dir;
			struct start last;
			struct recovered recovered;
			struct errmsg msg = {""};
			struct store *store;
			struct ledger *ledger = ledger_new(10, false);
			int code;

			make_place(&dir);
			write_segment(&dir, 1, 1, 5, false);
			store = open_store(&dir);
			faults_fail_from(kinds[i], n, SQLITE_IOERR);
			code = recover(dir.fd, store, ledger, &options, &recovered, &msg);
			has_fired = faults_fired(kinds[i]);
			AT_ROW(i, code == 0 || has_fired);
			AT_ROW(i, n_segments(&dir) == (code == 0 ? 0 : 1));
			store_close(store);
			faults_reset();
			ledger_free(ledger);
			last = start(&dir);
			AT_ROW(i, last.code == 0 && last.used == 15);
			assert_database(&dir, 15, 5);
			tempdir_remove(&dir);
		}
	}
}

/* A start whose nth step of SQLite fails, or all from there; true if that has fired. */
static bool start_with_step(const struct tempdir *dir, enum fault_kind kind,
	bool is_for_good, unsigned n, int *ret_code)
{
	struct recover_options options = {.max_retries = 1, .retry_delay_ms = 1};
	struct store *store = open_store(dir);
	struct ledger *ledger = ledger_new(10, false);
	struct recovered recovered;
	struct errmsg msg = {""};
	bool has_fired;
	int code;

	if (is_for_good)
		faults_fail_from(kind, n, SQLITE_IOERR);
	else
		faults_fail_nth(kind, n, SQLITE_IOERR);
	code = recover(dir->fd, store, ledger, &options, &recovered, &msg);
	has_fired = faults_fired(kind);
	faults_reset();
	assert_true(code == 0 || has_fired);
	assert_int_equal(msg.text[0] != '\0', code != 0);
	assert_int_equal(n_segments(dir), code == 0 ? 0 : 2);
	if (code == 0)
		assert_database(dir, 15, 5);
	store_close(store);
	ledger_free(ledger);
	*ret_code = code;
	return has_fired;
}

TEST(a_start_that_fails_at_any_step_of_the_database_is_made_good_and_counts_once)
{
	static const struct {
		enum fault_kind kind;
		bool is_for_good;
	} rows[] = {{FAULT_SQLITE_STEP, false}, {FAULT_SQLITE_STEP, true},
		{FAULT_SQLITE_STEPPED, false}, {FAULT_SQLITE_STEPPED, true}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		bool has_fired = true;
		unsigned n = 0;

		while (has_fired) {
			struct tempdir dir;
			struct start next;
			int code;

			make_place(&dir);
			write_segment(&dir, 1, 1, 3, false);
			write_segment(&dir, 2, 4, 5, false);
			has_fired = start_with_step(
				&dir, rows[i].kind, rows[i].is_for_good, ++n, &code);
			next = start(&dir);
			AT_ROW(i, next.code == 0 && next.used == 15);
			assert_database(&dir, 15, 5);
			AT_ROW(i, n_segments(&dir) == 0);
			tempdir_remove(&dir);
		}
		AT_ROW(i, n > 15);
	}
}

TEST(a_checkpoint_that_was_made_although_its_commit_failed_is_found_to_be_made)
{
	struct tempdir dir;
	int code;

	make_place(&dir);
	write_segment(&dir, 1, 1, 3, false);
	write_segment(&dir, 2, 4, 5, false);
	assert_true(start_with_step(&dir, FAULT_SQLITE_COMMITTED, false, 1, &code));
	assert_int_equal(code, 0);
	tempdir_remove(&dir);
}

TEST(a_folder_that_cannot_be_read_is_an_io_error_with_a_sentence)
{
	struct recover_options options = {.max_retries = 0};
	struct tempdir dir;
	struct store *store;
	struct ledger *ledger = ledger_new(10, false);
	struct recovered recovered = {.seq = 77};
	struct errmsg msg = {""};

	make_place(&dir);
	store = open_store(&dir);
	assert_int_equal(
		recover(-1, store, ledger, &options, &recovered, &msg), ERR_JOURNAL_IO);
	assert_string_not_equal(msg.text, "");
	assert_int_equal(recovered.seq, 77);
	msg.text[0] = '\0';
	assert_int_equal(recover_dump(-1, stderr, &msg), ERR_JOURNAL_IO);
	assert_string_not_equal(msg.text, "");
	store_close(store);
	ledger_free(ledger);
	tempdir_remove(&dir);
}

/* How a child of the test below has ended; by a signal if it called exit(). */
enum ending { NOTHING_FAILED, SUCCEEDED, FAILED, FAILED_SILENTLY, ENDINGS };

static void on_exit_called(void)
{
	(void)raise(SIGKILL); /* before anybody looks for leaks of what was under way */
}

/* In a process of its own: uthash ends it if it cannot grow a table. */
static void start_with_fault(const struct tempdir *dir, unsigned n)
{
	struct recover_options options = {.max_retries = 0};
	struct store *store = open_store(dir);
	struct ledger *ledger = ledger_new(10, false);
	struct recovered recovered;
	struct errmsg msg = {""};
	bool has_fired;
	int code;

	(void)atexit(on_exit_called);
	faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
	code = recover(dir->fd, store, ledger, &options, &recovered, &msg);
	has_fired = faults_fired(FAULT_MEMORY);
	faults_reset();
	store_close(store);
	ledger_free(ledger);
	if (code == 0)
		_exit(has_fired ? SUCCEEDED : NOTHING_FAILED);
	_exit(!has_fired ? ENDINGS : msg.text[0] != '\0' ? FAILED : FAILED_SILENTLY);
}

/* Records 1 and 2 in the database, 3 to 5 in two segments, and half a sixth. */
static void make_busy_place(struct tempdir *dir)
{
	make_place(dir);
	write_segment(dir, 1, 1, 2, false);
	(void)start(dir);
	write_segment(dir, 2, 3, 4, false);
	write_segment(dir, 3, 5, 5, true);
}

/* Lets each allocation of a start fail in turn, and starts once more; counts how the
 * first of the two has ended. */
static void walk_memory(unsigned ret_n_of[ENDINGS])
{
	memset(ret_n_of, 0, ENDINGS * sizeof(*ret_n_of));
	for (unsigned n = 1; ret_n_of[NOTHING_FAILED] == 0; n++) {
		struct tempdir dir;
		struct start next;
		int status = 0;
		pid_t pid;

		assert_true(n < 200);
		make_busy_place(&dir);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			start_with_fault(&dir, n);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_in_range(WEXITSTATUS(status), 0, ENDINGS - 1);
			ret_n_of[WEXITSTATUS(status)]++;
		} else {
			assert_int_equal(WTERMSIG(status), SIGKILL);
		}
		next = start(&dir);
		assert_int_equal(next.code, 0);
		assert_int_equal(next.used, 15);
		assert_database(&dir, 15, 5);
		tempdir_remove(&dir);
	}
}

TEST(short_memory_ends_a_start_and_the_next_one_counts_everything_once)
{
	unsigned n_of[ENDINGS];

	walk_memory(n_of);
	assert_true(n_of[FAILED] + n_of[FAILED_SILENTLY] > 5);
}

TEST(a_start_that_ends_for_short_memory_says_so)
{
	unsigned n_of[ENDINGS];

	walk_memory(n_of);
	assert_int_equal(n_of[FAILED_SILENTLY], 0);
}

/* Everything that recover_dump() prints. */
static char *dump(const struct tempdir *dir, int expected_code)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct errmsg msg = {""};

	assert_non_null(out);
	assert_int_equal(recover_dump(dir->fd, out, &msg), expected_code);
	assert_int_equal(msg.text[0] != '\0', expected_code != 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

#define ZEROS "00000000000000000000000000000000"
#define LINE(seq, synced)                                                                \
	"{\"seq\":" seq ",\"syncedSeq\":" synced ",\"time\":100" seq                     \
	",\"connection\":7,\"fingerprint\":\"" ZEROS                                     \
	"\",\"node\":\"n\",\"bookings\":[{\"kind\":\"handler\",\"service\":\"s\","       \
	"\"client\":\"u\",\"inputBytes\":" seq                                           \
	",\"outputBytes\":0,\"totalConns\":0,\"currentConns\":0,\"totalErrs\":0}]}\n"

TEST(a_dump_is_one_line_of_json_for_each_record_and_changes_nothing)
{
	struct tempdir dir;
	struct copy copies[2];
	char *text;

	make_place(&dir);
	text = dump(&dir, 0);
	assert_string_equal(text, "");
	free(text);
	write_segment(&dir, 1, 1, 2, false);
	write_segment(&dir, 2, 3, 3, false);
	copies[0] = copy_of(&dir, SEGMENT_1);
	copies[1] = copy_of(&dir, SEGMENT_2);
	text = dump(&dir, 0);
	assert_string_equal(text, LINE("1", "0") LINE("2", "0") LINE("3", "2"));
	free(text);
	for (size_t i = 0; i < COUNT_OF(copies); i++) {
		assert_holds(&dir, "", &copies[i]);
		free(copies[i].bytes);
	}
	assert_int_equal(n_segments(&dir), 2);
	tempdir_remove(&dir);
}

TEST(a_dump_shows_every_readable_record_whatever_is_broken)
{
	struct tempdir dir;
	char *text;

	make_place(&dir);
	write_corrupt(&dir);
	text = dump(&dir, 0);
	assert_string_equal(
		text, LINE("1", "0") LINE("3", "2") LINE("4", "3") LINE("5", "3"));
	free(text);
	write_segment(&dir, 1, 1, 2, true);
	write_segment(&dir, 2, 9, 9, false);
	text = dump(&dir, 0);
	assert_string_equal(text, LINE("1", "0") LINE("2", "0") LINE("9", "8"));
	free(text);
	assert_int_equal(n_kept(&dir), 0);
	tempdir_remove(&dir);
}

static const cJSON *member(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

TEST(a_dump_tells_kinds_states_and_numbers_apart_and_escapes_names)
{
	struct booking list[] = {
		sample_traffic("a \"b\"\\", "ü", COUNTER_MAX, COUNTER_MAX - 1),
		{.kind = KIND_SERVICE, .service = "s", .client = "", .state = "running"},
		{.kind = KIND_SERVICE,
			.service = "s",
			.client = "",
			.state = "",
			.counters = {1, 2, 3, 4, 5}},
	};
	struct record record = {.origin.seq = 1,
		.origin.conn = NUMBER_MAX,
		.origin.time_ms = TIME_MAX_MS - 1,
		.origin.fingerprint = {0x01, 0xab, [15] = 0xff},
		.node = "n\"1",
		.bookings = {list, COUNT_OF(list), 2}};
	struct sample_segment segment;
	struct tempdir dir;
	const cJSON *bookings, *item;
	cJSON *line;
	char *text;

	make_place(&dir);
	sample_begin(&segment, 1, 0);
	record_encode(&record, &segment.buf);
	sample_write(&segment, &dir, 1);
	text = dump(&dir, 0);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_non_null(strstr(text, "\"connection\":4611686018427387903,"));
	assert_non_null(strstr(text, "\"time\":32503679999999,"));
	assert_non_null(strstr(text, "\"01ab00000000000000000000000000ff\""));
	assert_non_null(strstr(text, "\"inputBytes\":9007199254740991,"));
	assert_non_null(strstr(text, "\"outputBytes\":9007199254740990,"));
	line = cJSON_Parse(text);
	assert_non_null(line);
	assert_string_equal(member(line, "node")->valuestring, "n\"1");
	bookings = member(line, "bookings");
	assert_int_equal(cJSON_GetArraySize(bookings), 3);
	item = cJSON_GetArrayItem(bookings, 0);
	assert_string_equal(member(item, "kind")->valuestring, "handler");
	assert_string_equal(member(item, "service")->valuestring, "a \"b\"\\");
	assert_string_equal(member(item, "client")->valuestring, "ü");
	assert_null(member(item, "state"));
	item = cJSON_GetArrayItem(bookings, 1);
	assert_string_equal(member(item, "kind")->valuestring, "service");
	assert_string_equal(member(item, "state")->valuestring, "running");
	assert_null(member(item, "client"));
	assert_null(member(item, "inputBytes"));
	item = cJSON_GetArrayItem(bookings, 2);
	assert_int_equal(member(item, "totalConns")->valueint, 3);
	assert_int_equal(member(item, "currentConns")->valueint, 4);
	assert_int_equal(member(item, "totalErrs")->valueint, 5);
	cJSON_Delete(line);
	free(text);
	tempdir_remove(&dir);
}

/* What of it no tallyd writes, but a record may hold. */
TEST(a_dump_is_json_of_clean_text_whatever_the_record_holds)
{
	static const struct {
		const char *text, *shown; /* NULL: as it is, as JSON */
	} rows[] = {
		{"{\"a\":[1,null,\"\xc3\xbc\"]}", NULL},
		{"{\"a\":\"\xff\x7f[31m\"}", "{\"a\":\"??[31m\"}"},
		{"{\"a\":", "{\"a\":"},
		{"{}\n{}", "{}\n{}"},
		{"[1,\n2]", "[1,\n2]"},
		{"01", "01"},
		{"},\"seq\":9,{", "},\"seq\":9,{"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct command command = {.key = "",
			.actor = "a",
			.verb = "v",
			.subject = "s",
			.arguments = rows[i].text,
			.before = "",
			.after = "",
			.reason = "",
			.answer = rows[i].text};
		struct record record = {.origin.seq = 1, .command = &command};
		struct sample_segment segment;
		struct tempdir dir;
		cJSON *line;
		char *text;

		make_place(&dir);
		sample_begin(&segment, 1, 0);
		record_encode(&record, &segment.buf);
		sample_write(&segment, &dir, 1);
		text = dump(&dir, 0);
		AT_ROW(i, strchr(text, '\n') == text + strlen(text) - 1);
		AT_ROW(i, text_is_clean(text, strlen(text) - 1));
		line = cJSON_Parse(text);
		AT_ROW(i, line != NULL);
		AT_ROW(i, rows[i].shown != NULL || strstr(text, rows[i].text) != NULL);
		AT_ROW(i,
			rows[i].shown == NULL ||
				strcmp(cJSON_GetStringValue(member(line, "answer")),
					rows[i].shown) == 0);
		cJSON_Delete(line);
		free(text);
		tempdir_remove(&dir);
	}
}

TEST(names_that_are_no_text_are_refused_with_their_place_and_neither_counted_nor_shown)
{
	static const char *const names[] = {"al\xff\x1b\x65", "ali\n\x01", "de\x1b[31m"};

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct booking booking = sample_traffic("s", names[i], 4, 0);
		struct record record = {
			.origin.seq = 1, .node = "n", .bookings = {&booking, 1, 1}};
		struct sample_segment segment;
		struct tempdir dir;
		struct start first;
		char *text;

		make_place(&dir);
		sample_begin(&segment, 1, 0);
		record_encode(&record, &segment.buf);
		sample_write(&segment, &dir, 1);
		first = start(&dir);
		AT_ROW(i, first.code == ERR_JOURNAL_CORRUPT);
		AT_ROW(i, strstr(first.msg.text, SEGMENT_1) != NULL);
		assert_database(&dir, 0, 0);
		text = dump(&dir, 0);
		AT_ROW(i, strcmp(text, "") == 0);
		free(text);
		tempdir_remove(&dir);
	}
}

TEST(a_dump_that_cannot_be_written_says_so)
{
	struct tempdir dir;
	struct errmsg msg = {""};
	FILE *full = fopen("/dev/full", "we");

	assert_non_null(full);
	make_place(&dir);
	write_segment(&dir, 1, 1, 2, false);
	assert_int_equal(recover_dump(dir.fd, full, &msg), ERR_JOURNAL_IO);
	assert_non_null(strstr(msg.text, strerror(ENOSPC)));
	(void)fclose(full); /* what it holds cannot be written either */
	tempdir_remove(&dir);
}

TEST(short_memory_ends_a_dump_with_a_sentence_and_no_leak)
{
	struct tempdir dir;
	bool has_fired = true;
	unsigned n = 0;

	json_init(); /* what cJSON lacks memory for is missing in no line */
	make_place(&dir);
	write_segment(&dir, 1, 1, 2, false);
	while (has_fired) {
		char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);
		struct errmsg msg = {""};
		int code;

		faults_fail_nth(FAULT_MEMORY, ++n, ENOMEM);
		code = recover_dump(dir.fd, out, &msg);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		assert_int_equal(code, has_fired ? ERR_NOMEM : 0);
		assert_int_equal(msg.text[0] != '\0', has_fired);
		assert_int_equal(fclose(out), 0);
		free(text);
	}
	assert_true(n > 40);
	cJSON_InitHooks(NULL);
	tempdir_remove(&dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			the_journal_is_folded_into_the_database_and_its_segments_are_gone),
		cmocka_unit_test(
			a_start_without_a_journal_is_empty_and_leaves_other_files_alone),
		cmocka_unit_test(
			a_prepared_segment_is_removed_and_its_number_not_used_again),
		cmocka_unit_test(
			a_stray_segment_with_a_number_that_no_tallyd_makes_ends_the_start_and_costs_no_record),
		cmocka_unit_test(
			a_segment_of_number_0_is_counted_and_its_number_not_used_again),
		cmocka_unit_test(
			the_numbers_of_segments_begin_anew_long_before_one_would_be_refused),
		cmocka_unit_test(
			a_record_with_a_number_that_no_tallyd_writes_is_refused_with_its_place),
		cmocka_unit_test(
			a_record_with_a_sequence_that_no_tallyd_writes_is_kept_aside),
		cmocka_unit_test(
			a_head_with_a_number_that_no_tallyd_writes_costs_no_record),
		cmocka_unit_test(
			records_of_a_clock_that_was_wrong_for_a_while_are_folded),
		cmocka_unit_test(a_second_start_changes_nothing),
		cmocka_unit_test(later_records_are_added_to_what_the_database_holds),
		cmocka_unit_test(
			an_operators_edit_of_a_row_is_added_to_and_never_overwritten),
		cmocka_unit_test(a_crash_between_commit_and_removal_counts_nothing_twice),
		cmocka_unit_test(
			a_broken_tail_is_kept_aside_with_all_segments_and_whole_records_count),
		cmocka_unit_test(
			a_crash_while_a_broken_tail_is_moved_counts_nothing_twice),
		cmocka_unit_test(
			a_start_that_dies_at_any_move_of_a_broken_journal_is_followed_by_a_good_one),
		cmocka_unit_test(
			a_start_that_fails_at_any_call_about_a_folder_says_so_and_the_next_counts_once),
		cmocka_unit_test(
			a_broken_journal_that_cannot_be_moved_at_any_call_is_kept_by_the_next_start),
		cmocka_unit_test(what_cannot_be_kept_aside_is_not_removed),
		cmocka_unit_test(
			corruption_is_refused_and_changes_neither_database_nor_journal),
		cmocka_unit_test(
			a_database_older_than_the_journal_is_refused_and_can_be_salvaged),
		cmocka_unit_test(salvage_takes_what_can_be_read_and_keeps_the_files),
		cmocka_unit_test(salvage_of_a_whole_journal_is_a_start_like_any_other),
		cmocka_unit_test(what_is_in_the_database_need_not_be_readable),
		cmocka_unit_test(
			a_database_that_is_held_ends_the_start_and_leaves_the_journal),
		cmocka_unit_test(
			a_database_that_fails_once_is_tried_again_and_counts_once),
		cmocka_unit_test(
			a_database_that_fails_for_good_leaves_the_journal_for_the_next_start),
		cmocka_unit_test(
			a_start_that_fails_at_any_step_of_the_database_is_made_good_and_counts_once),
		cmocka_unit_test(
			a_checkpoint_that_was_made_although_its_commit_failed_is_found_to_be_made),
		cmocka_unit_test(
			a_folder_that_cannot_be_read_is_an_io_error_with_a_sentence),
		cmocka_unit_test(
			short_memory_ends_a_start_and_the_next_one_counts_everything_once),
		cmocka_unit_test(a_start_that_ends_for_short_memory_says_so),
		cmocka_unit_test(
			a_dump_is_one_line_of_json_for_each_record_and_changes_nothing),
		cmocka_unit_test(a_dump_shows_every_readable_record_whatever_is_broken),
		cmocka_unit_test(
			a_dump_tells_kinds_states_and_numbers_apart_and_escapes_names),
		cmocka_unit_test(a_dump_is_json_of_clean_text_whatever_the_record_holds),
		cmocka_unit_test(
			names_that_are_no_text_are_refused_with_their_place_and_neither_counted_nor_shown),
		cmocka_unit_test(a_dump_that_cannot_be_written_says_so),
		cmocka_unit_test(short_memory_ends_a_dump_with_a_sentence_and_no_leak),
	};

	log_set_level(LOG_ERROR);
	return RUN_TESTS(tests);
}
