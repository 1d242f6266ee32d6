/* Each call about the folder failing in turn; the rest is seen from outside. */
#include "lib/test.h"
#include "app/data_dir.h"
#include "lib/faults.h"
#include "lib/tempdir.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens with the nth call failing; true if that has fired. */
static bool open_with_fault(
	const struct tempdir *dir, enum fault_kind kind, unsigned n, int *ret_code)
{
	struct data_dir data_dir = {.lock_fd = -1, .journal_fd = -1};
	struct errmsg msg = {""};
	bool has_fired;

	faults_fail_nth(kind, n, EIO);
	*ret_code =
		data_dir_open(tempdir_path(dir, "data"), DATA_DIR_MAKE, &data_dir, &msg);
	has_fired = faults_fired(kind);
	faults_reset();
	assert_int_equal(data_dir.lock_fd >= 0, *ret_code == 0);
	assert_int_equal(data_dir.journal_fd >= 0, *ret_code == 0);
	assert_int_equal(strstr(msg.text, strerror(EIO)) != NULL, *ret_code != 0);
	data_dir_close(&data_dir);
	return has_fired;
}

TEST(a_folder_that_cannot_be_opened_or_synced_is_refused_and_not_held)
{
	static const struct {
		enum fault_kind kind;
		unsigned n_calls;
	} rows[] = {{FAULT_OPENAT, 4}, {FAULT_FSYNC, 2}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct tempdir dir;
		unsigned n = 1;
		int code;

		faults_reset();
		tempdir_make(&dir);
		for (; open_with_fault(&dir, rows[i].kind, n, &code); n++)
			AT_ROW(i, code == ERR_DATA_DIR);
		AT_ROW(i, code == 0 && n == rows[i].n_calls + 1);
		tempdir_remove(&dir);
	}
}

TEST(a_key_is_made_once_for_the_owner_alone_and_again_where_it_is_torn)
{
	struct data_dir first, second;
	struct errmsg msg;
	struct tempdir dir;
	struct stat st;
	const char *path;

	faults_reset();
	tempdir_make(&dir);
	path = tempdir_path(&dir, "data");
	assert_int_equal(data_dir_open(path, DATA_DIR_MAKE, &first, &msg), 0);
	data_dir_close(&first);
	assert_int_equal(data_dir_open(path, DATA_DIR_MAKE, &first, &msg), 0);
	assert_int_equal(stat(tempdir_path(&dir, "data/key"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	memcpy(second.key, first.key, DATA_DIR_KEY_BYTES);
	data_dir_close(&first);
	assert_int_equal(data_dir_open(path, DATA_DIR_HOLD, &first, &msg), 0);
	assert_memory_equal(first.key, second.key, DATA_DIR_KEY_BYTES);
	data_dir_close(&first);
	assert_int_equal(truncate(tempdir_path(&dir, "data/key"), 31), 0);
	assert_int_equal(data_dir_open(path, DATA_DIR_HOLD, &first, &msg), 0);
	assert_memory_not_equal(first.key, second.key, DATA_DIR_KEY_BYTES);
	data_dir_close(&first);
	tempdir_remove(&dir);
}

TEST(a_lock_that_cannot_tell_who_holds_it_holds_all_the_same)
{
	static const enum fault_kind kinds[] = {FAULT_FTRUNCATE, FAULT_PWRITE};

	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		struct tempdir dir;
		int code;

		faults_reset();
		tempdir_make(&dir);
		AT_ROW(i, open_with_fault(&dir, kinds[i], 1, &code));
		AT_ROW(i, code == 0);
		tempdir_remove(&dir);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_folder_that_cannot_be_opened_or_synced_is_refused_and_not_held),
		cmocka_unit_test(
			a_key_is_made_once_for_the_owner_alone_and_again_where_it_is_torn),
		cmocka_unit_test(a_lock_that_cannot_tell_who_holds_it_holds_all_the_same),
	};

	return RUN_TESTS(tests);
}
