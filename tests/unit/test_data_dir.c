/* Each call about the folder failing in turn; the rest is seen from outside. */
#include "lib/test.h"
#include "app/data_dir.h"
#include "lib/faults.h"
#include "lib/tempdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens with the nth call failing; true if that has fired. */
static bool open_with_fault(
	const struct tempdir *dir, enum fault_kind kind, unsigned n, int *ret_code)
{
	struct data_dir data_dir = DATA_DIR_CLOSED;
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

/* An open data_dir in `dir`/data. */
static void open_in(const struct tempdir *dir, struct data_dir *ret_dir)
{
	struct errmsg msg = {""};

	if (data_dir_open(tempdir_path(dir, "data"), DATA_DIR_MAKE, ret_dir, &msg) != 0)
		fail_msg("%s", msg.text);
}

static void assert_seen(struct data_dir *data_dir, int code, const char *sentence)
{
	struct errmsg msg = {""};

	assert_int_equal(data_dir_look(data_dir, &msg), code);
	assert_non_null(strstr(msg.text, sentence));
}

static void assert_held(const struct tempdir *dir)
{
	struct data_dir second = DATA_DIR_CLOSED;
	struct errmsg msg = {""};

	assert_int_equal(
		data_dir_open(tempdir_path(dir, "data"), DATA_DIR_MAKE, &second, &msg),
		ERR_LOCKED);
	assert_non_null(strstr(msg.text, "is in use by"));
}

TEST(a_lock_that_was_deleted_or_replaced_is_made_again_and_nobody_else_gets_in_meanwhile)
{
	for (int is_replaced = 0; is_replaced < 2; is_replaced++) {
		struct data_dir data_dir;
		struct tempdir dir;
		struct stat st;

		faults_reset();
		tempdir_make(&dir);
		open_in(&dir, &data_dir);
		assert_seen(&data_dir, 0, "");
		assert_held(&dir);
		assert_int_equal(unlink(tempdir_path(&dir, "data/lock")), 0);
		if (is_replaced)
			tempdir_write(&dir, "data/lock", "", 0);
		assert_held(&dir); /* by the lock of the folder */
		assert_int_equal(unlink(tempdir_path(&dir, "data/lock")), 0);
		assert_seen(&data_dir, 0, "");
		assert_int_equal(fstat(data_dir.lock_fd, &st), 0);
		assert_int_equal(st.st_nlink, 1);
		assert_held(&dir);
		data_dir_close(&data_dir);
		tempdir_remove(&dir);
	}
}

TEST(a_lock_that_another_program_has_taken_is_said_until_it_gives_it_back)
{
	struct data_dir data_dir;
	struct tempdir dir;
	int fd;

	faults_reset();
	tempdir_make(&dir);
	open_in(&dir, &data_dir);
	assert_int_equal(unlink(tempdir_path(&dir, "data/lock")), 0);
	fd = open(tempdir_path(&dir, "data/lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_seen(&data_dir, ERR_LOCKED, "in use");
	assert_int_equal(close(fd), 0);
	assert_seen(&data_dir, 0, "");
	assert_int_equal(unlink(tempdir_path(&dir, "data/lock")), 0);
	assert_int_equal(symlink("key", tempdir_path(&dir, "data/lock")), 0);
	assert_seen(&data_dir, ERR_DATA_DIR, "symbolic link");
	data_dir_close(&data_dir);
	tempdir_remove(&dir);
}

TEST(a_data_dir_that_was_moved_or_replaced_is_said_until_it_is_back)
{
	struct data_dir data_dir;
	struct tempdir dir;
	const char *path, *other;

	faults_reset();
	tempdir_make(&dir);
	path = tempdir_path(&dir, "data");
	other = tempdir_path(&dir, "other");
	open_in(&dir, &data_dir);
	assert_int_equal(rename(path, other), 0);
	assert_seen(&data_dir, ERR_DATA_DIR, "data is gone");
	assert_int_equal(mkdir(path, 0750), 0);
	assert_seen(&data_dir, ERR_DATA_DIR, "data is another folder");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rename(other, path), 0);
	assert_seen(&data_dir, 0, "");
	data_dir_close(&data_dir);
	tempdir_remove(&dir);
}

TEST(only_data_dir_itself_may_be_a_symbolic_link)
{
	static const char *const names[] = {
		"lock", "key", "key.new", "journal", "tally.db", "tally.db-wal"};

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct data_dir data_dir = DATA_DIR_CLOSED;
		struct errmsg msg = {""};
		struct tempdir dir;
		char *bytes, name[64];
		size_t len;

		faults_reset();
		tempdir_make(&dir);
		tempdir_write(&dir, "target", "12345678901234567890123456789012", 32);
		assert_int_equal(mkdir(tempdir_path(&dir, "real"), 0750), 0);
		assert_int_equal(symlink("real", tempdir_path(&dir, "data")), 0);
		(void)snprintf(name, sizeof(name), "real/%s", names[i]);
		assert_int_equal(symlink("../target", tempdir_path(&dir, name)), 0);
		AT_ROW(i,
			data_dir_open(tempdir_path(&dir, "data"), DATA_DIR_MAKE,
				&data_dir, &msg) == ERR_DATA_DIR);
		AT_ROW(i, strstr(msg.text, names[i]) != NULL || i == 2);
		AT_ROW(i, strstr(msg.text, "symbolic link") != NULL || i == 2);
		bytes = tempdir_read(&dir, "target", &len);
		AT_ROW(i, len == 32 && bytes[0] == '1');
		free(bytes);
		assert_int_equal(unlink(tempdir_path(&dir, name)), 0);
		open_in(&dir, &data_dir); /* over the link of data_dir itself */
		data_dir_close(&data_dir);
		tempdir_remove(&dir);
	}
}

TEST(a_fifo_or_a_folder_where_a_file_is_to_be_is_refused_in_a_sentence_and_not_waited_for)
{
	static const char *const names[] = {"lock", "key", "key.new", "tally.db",
		"tally.db-wal", "tally.db-shm", "tally.db-journal", "journal"};

	for (size_t i = 0; i < 2 * COUNT_OF(names); i++) {
		struct data_dir data_dir = DATA_DIR_CLOSED;
		const char *name = names[i / 2];
		bool is_folder = i % 2 == 1, is_journal = strcmp(name, "journal") == 0;
		struct errmsg msg = {""};
		struct tempdir dir;
		char path[64];

		if (is_folder && is_journal)
			continue;
		tempdir_make(&dir);
		(void)snprintf(path, sizeof(path), "data/%s", name);
		assert_int_equal(mkdir(tempdir_path(&dir, "data"), 0750), 0);
		if (is_folder)
			assert_int_equal(mkdir(tempdir_path(&dir, path), 0750), 0);
		else
			assert_int_equal(mkfifo(tempdir_path(&dir, path), 0640), 0);
		AT_ROW(i,
			data_dir_open(tempdir_path(&dir, "data"), DATA_DIR_HOLD,
				&data_dir, &msg) == ERR_DATA_DIR);
		AT_ROW(i, strstr(msg.text, path) != NULL);
		AT_ROW(i,
			strstr(msg.text,
				is_folder || is_journal ? "folder" : "is a FIFO") !=
				NULL);
		AT_ROW(i, strstr(msg.text, "move it away") != NULL);
		data_dir_close(&data_dir);
		tempdir_remove(&dir);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_fifo_or_a_folder_where_a_file_is_to_be_is_refused_in_a_sentence_and_not_waited_for),
		cmocka_unit_test(
			a_folder_that_cannot_be_opened_or_synced_is_refused_and_not_held),
		cmocka_unit_test(
			a_key_is_made_once_for_the_owner_alone_and_again_where_it_is_torn),
		cmocka_unit_test(a_lock_that_cannot_tell_who_holds_it_holds_all_the_same),
		cmocka_unit_test(
			a_lock_that_was_deleted_or_replaced_is_made_again_and_nobody_else_gets_in_meanwhile),
		cmocka_unit_test(
			a_lock_that_another_program_has_taken_is_said_until_it_gives_it_back),
		cmocka_unit_test(
			a_data_dir_that_was_moved_or_replaced_is_said_until_it_is_back),
		cmocka_unit_test(only_data_dir_itself_may_be_a_symbolic_link),
	};

	return RUN_TESTS(tests);
}
