/* Segments that are set aside, and how long their folders stay. */
#include "lib/test.h"
#include "base/clock.h"
#include "journal/kept.h"
#include "journal/segment.h"
#include "lib/faults.h"
#include "lib/tempdir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_MS KEPT_YOUNG_MS
#define NOW_MS (100 * DAY_MS)
#define MIB (UINT64_C(1) << 20)

static bool is_odd(void *arg, uint64_t number)
{
	(void)arg;
	return number % 2 != 0;
}

TEST(what_is_to_be_kept_is_moved_and_the_rest_removed)
{
	struct tempdir dir;
	struct errmsg msg;
	struct stat st;

	faults_reset();
	tempdir_make(&dir);
	tempdir_write(&dir, "0000000001.seg", "1", 1);
	tempdir_write(&dir, "0000000002.seg", "2", 1);
	tempdir_write(&dir, "0000000003.seg", "3", 1);
	tempdir_write(&dir, "notes", "n", 1);
	clock_freeze_for_test(NOW_MS);
	assert_int_equal(kept_clear(dir.fd, is_odd, NULL, &msg), 0);
	clock_freeze_for_test(0);
	assert_int_equal(tempdir_count(&dir, "0", ".seg"), 0);
	assert_int_equal(tempdir_count(&dir, "notes", ""), 1);
	assert_int_equal(stat(tempdir_path(&dir, "kept-8640000000"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0750);
	assert_int_equal(
		access(tempdir_path(&dir, "kept-8640000000/0000000001.seg"), F_OK), 0);
	assert_int_equal(
		access(tempdir_path(&dir, "kept-8640000000/0000000003.seg"), F_OK), 0);
	assert_int_equal(
		access(tempdir_path(&dir, "kept-8640000000/0000000002.seg"), F_OK), -1);
	tempdir_remove(&dir);
}

TEST(where_nothing_is_to_be_kept_no_folder_is_made)
{
	struct tempdir dir;
	struct errmsg msg;

	tempdir_make(&dir);
	tempdir_write(&dir, "0000000002.seg", "2", 1);
	assert_int_equal(kept_clear(dir.fd, is_odd, NULL, &msg), 0);
	assert_int_equal(tempdir_count(&dir, "", ""), 0);
	tempdir_remove(&dir);
}

static const char *folder_at(uint64_t at_ms, char buf[64])
{
	(void)snprintf(buf, 64, "kept-%" PRIu64, at_ms);
	return buf;
}

static void make_folder(const struct tempdir *dir, uint64_t at_ms, uint64_t bytes)
{
	char name[64], path[128];
	int fd;

	assert_int_equal(mkdirat(dir->fd, folder_at(at_ms, name), 0750), 0);
	(void)snprintf(path, sizeof(path), "%s/0000000001.seg", name);
	fd = openat(dir->fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0); /* a hole takes no room */
	assert_int_equal(close(fd), 0);
}

static bool has_folder(const struct tempdir *dir, uint64_t at_ms)
{
	char name[64];
	struct stat st;

	return fstatat(dir->fd, folder_at(at_ms, name), &st, 0) == 0;
}

TEST(the_newest_stay_and_those_of_the_last_day_within_the_bounds)
{
	static const struct {
		unsigned n;
		uint64_t newest_ms, apart_ms; /* folders, each so much older */
		uint64_t bytes;               /* of each */
		unsigned n_left;
	} rows[] = {
		{0, 0, 0, 0, 0}, {16, NOW_MS - DAY_MS, 1000, 1, 16},
		{17, NOW_MS - DAY_MS, 1000, 1, 16}, {40, NOW_MS - DAY_MS, 1000, 1, 16},
		{40, NOW_MS - 1000, 1000, 1, 40}, /* all of today */
		{40, NOW_MS - 1000, DAY_MS / 20, 1, 20}, {1003, NOW_MS, 1, 1, 1000},
		{5, NOW_MS, 1000, 300 * MIB, 3},
		{3, NOW_MS, 1000, 2000 * MIB, 1}, /* the newest in any case */
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct tempdir dir;
		unsigned n_left = 0;

		tempdir_make(&dir);
		for (unsigned j = 0; j < rows[i].n; j++)
			make_folder(&dir, rows[i].newest_ms - j * rows[i].apart_ms,
				rows[i].bytes);
		kept_prune(dir.fd, NOW_MS);
		for (unsigned j = 0; j < rows[i].n; j++) {
			bool is_there = has_folder(
				&dir, rows[i].newest_ms - j * rows[i].apart_ms);

			AT_ROW(i, is_there == (j < rows[i].n_left));
			n_left += is_there;
		}
		AT_ROW(i, n_left == rows[i].n_left);
		tempdir_remove(&dir);
	}
}

TEST(only_segments_in_folders_of_that_name_are_deleted)
{
	static const char *const others[] = {
		"kept-", "kept-1x", "kept-01", "kept-1-mine", "kept", "1"};
	struct tempdir dir;

	tempdir_make(&dir);
	for (size_t i = 0; i < COUNT_OF(others); i++)
		assert_int_equal(mkdirat(dir.fd, others[i], 0750), 0);
	assert_int_equal(symlinkat("kept-1-mine", dir.fd, "kept-7"), 0);
	make_folder(&dir, 8, 1);
	tempdir_write(&dir, "kept-8/notes", "mine", 4);
	for (unsigned j = 0; j < KEPT_FOLDERS; j++)
		make_folder(&dir, 1000 + j, 1);
	kept_prune(dir.fd, NOW_MS);
	for (size_t i = 0; i < COUNT_OF(others); i++)
		AT_ROW(i, tempdir_count(&dir, others[i], "") > 0);
	assert_true(has_folder(&dir, 1000));
	assert_int_equal(access(tempdir_path(&dir, "kept-8/notes"), F_OK), 0);
	tempdir_remove(&dir);
}

TEST(what_cannot_be_read_or_deleted_now_stays_for_the_next_start)
{
	static const enum fault_kind kinds[] = {
		FAULT_OPENAT, FAULT_READDIR, FAULT_UNLINKAT, FAULT_MEMORY};

	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		struct tempdir dir;

		tempdir_make(&dir);
		for (unsigned j = 0; j < KEPT_FOLDERS + 1; j++)
			make_folder(&dir, 1000 + j, 1);
		faults_fail_from(kinds[i], 1, EIO);
		kept_prune(dir.fd, NOW_MS);
		AT_ROW(i, faults_fired(kinds[i]));
		faults_reset();
		AT_ROW(i, tempdir_count(&dir, "kept-", "") == KEPT_FOLDERS + 1);
		kept_prune(dir.fd, NOW_MS);
		AT_ROW(i, !has_folder(&dir, 1000));
		AT_ROW(i, tempdir_count(&dir, "kept-", "") == KEPT_FOLDERS);
		tempdir_remove(&dir);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_to_be_kept_is_moved_and_the_rest_removed),
		cmocka_unit_test(where_nothing_is_to_be_kept_no_folder_is_made),
		cmocka_unit_test(
			the_newest_stay_and_those_of_the_last_day_within_the_bounds),
		cmocka_unit_test(only_segments_in_folders_of_that_name_are_deleted),
		cmocka_unit_test(
			what_cannot_be_read_or_deleted_now_stays_for_the_next_start),
	};

	return RUN_TESTS(tests);
}
