/* Of --check-setup: how findings are printed, and the clock; the rest is looked at from
 * outside, test_doctor.py. */
#include "lib/test.h"
#include "app/data_dir.h"
#include "app/setup.h"
#include "base/clock.h"
#include "lib/tempdir.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DAY_MS UINT64_C(86400000)

struct world {
	struct config config;
	struct setup setup;
	char *text;
	size_t len;
};

static void begin(struct world *world, bool is_json)
{
	memset(world, 0, sizeof(*world));
	world->config.is_json = is_json;
	world->config.data_dir = (char *)"/data";
	world->setup.config = &world->config;
	world->setup.out = open_memstream(&world->text, &world->len);
	assert_non_null(world->setup.out);
}

/* What was printed. */
static const char *end(struct world *world)
{
	setup_end(&world->setup);
	assert_int_equal(fclose(world->setup.out), 0);
	return world->text;
}

static void print_some(struct world *world, bool is_json)
{
	begin(world, is_json);
	setup_find(&world->setup, SETUP_OK, "a", "%s", "all is \"well\"");
	setup_find(&world->setup, SETUP_PROBLEM, "b", "bad\x1b[2J");
	setup_change(&world->setup, "x = %d", 1);
	setup_change(&world->setup, "y \\ z");
	setup_find(&world->setup, SETUP_WARNING, "c", "\xe6\x9d\xb1");
}

TEST(people_get_text_that_moves_no_cursor)
{
	struct world world;

	print_some(&world, false);
	assert_string_equal(end(&world),
		"ok       all is \"well\"\n"
		"problem  bad?[2J\n"
		"             x = 1\n"
		"             y \\ z\n"
		"warning  \xe6\x9d\xb1\n");
	assert_int_equal(world.setup.n_problems, 1);
	free(world.text);
}

TEST(programs_get_an_object_a_line)
{
	struct world world;

	print_some(&world, true);
	assert_string_equal(end(&world),
		"{\"level\":\"ok\",\"code\":\"a\",\"sentence\":\"all is "
		"\\\"well\\\"\",\"change\":[]}\n"
		"{\"level\":\"problem\",\"code\":\"b\",\"sentence\":\"bad?[2J\","
		"\"change\":[\"x = 1\",\"y \\\\ z\"]}\n"
		"{\"level\":\"warning\",\"code\":\"c\",\"sentence\":\"\xe6\x9d\xb1\","
		"\"change\":[]}\n");
	free(world.text);
}

TEST(a_clock_is_wrong_before_this_was_made_and_behind_what_is_there)
{
	uint64_t now = clock_wall_ms();
	const struct {
		uint64_t now_ms, newest_ms;
		bool is_wrong;
	} rows[] = {
		{now, 0, false},
		{now, now, false},
		{now, now + 4000, false}, /* NTP may step it back a little */
		{now, now + 6000, true},
		{now, now - DAY_MS, false},
		{DAY_MS, 0, true},
		{UINT64_C(1700000000000), 0, true}, /* of 2023 */
		{now + 10000 * DAY_MS, now, false},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct world world;

		clock_freeze_for_test(rows[i].now_ms);
		begin(&world, true);
		world.setup.newest_ms = rows[i].newest_ms;
		setup_check_clock(&world.setup);
		AT_ROW(i, (world.setup.n_problems == 1) == rows[i].is_wrong);
		AT_ROW(i, (strstr(end(&world), "problem") != NULL) == rows[i].is_wrong);
		free(world.text);
	}
	clock_freeze_for_test(0);
	assert_false(setup_is_before_build(now));
	assert_true(setup_is_before_build(0));
}

/* The lock as a process of its own holds it, until its end of the pipe is closed. */
static pid_t hold(const char *path, int *ret_fd)
{
	int ready[2], stop[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(stop), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct data_dir dir;
		struct errmsg msg;
		int code = data_dir_open(path, DATA_DIR_MAKE, &dir, &msg);

		(void)close(stop[1]);
		_exit(code != 0 || write(ready[1], "x", 1) != 1 ||
			read(stop[0], &byte, 1) != 0);
	}
	(void)close(stop[0]);
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	*ret_fd = stop[1];
	return pid;
}

TEST(who_holds_a_data_dir_is_told_and_nothing_is_held_or_made)
{
	struct data_dir mine;
	struct tempdir dir;
	struct errmsg msg;
	const char *path;
	long pid = 7;
	int fd, status;
	pid_t child;

	tempdir_make(&dir);
	path = tempdir_path(&dir, "data");
	assert_int_equal(data_dir_holder(path, &pid), 0);
	assert_int_equal(pid, 0); /* there is none */
	assert_int_equal(access(path, F_OK), -1);
	child = hold(path, &fd);
	assert_int_equal(data_dir_holder(path, &pid), 0);
	assert_int_equal(pid, child);
	(void)close(fd);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(data_dir_holder(path, &pid), 0);
	assert_int_equal(pid, 0);
	assert_int_equal(data_dir_open(path, DATA_DIR_HOLD, &mine, &msg), 0);
	data_dir_close(&mine);
	assert_int_equal(unlink(tempdir_path(&dir, "data/lock")), 0);
	assert_int_equal(symlink("key", tempdir_path(&dir, "data/lock")), 0);
	assert_int_equal(data_dir_holder(path, &pid), 0);
	assert_int_equal(pid, 0);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0); /* as a daemon has it */
	assert_int_equal(data_dir_holder(path, &pid), 0);
	assert_int_equal(pid, -1);
	(void)close(fd);
	assert_int_equal(data_dir_holder("/dev/null", &pid), ERR_DATA_DIR);
	tempdir_remove(&dir);
}

TEST(who_looks_for_the_holder_again_and_again_keeps_no_tallyd_from_starting)
{
	struct data_dir mine = DATA_DIR_CLOSED;
	struct tempdir dir;
	struct errmsg msg = {""};
	const char *path;
	int status, code = 0;
	long pid;
	pid_t child;

	tempdir_make(&dir);
	path = tempdir_path(&dir, "data");
	assert_int_equal(data_dir_open(path, DATA_DIR_MAKE, &mine, &msg), 0);
	data_dir_close(&mine);
	child = fork();
	assert_true(child >= 0);
	while (child == 0)
		if (data_dir_holder(path, &pid) != 0)
			_exit(1);
	for (size_t i = 0; i < 300 && code == 0; i++) {
		code = data_dir_open(path, DATA_DIR_HOLD, &mine, &msg);
		data_dir_close(&mine);
	}
	assert_int_equal(kill(child, SIGKILL), 0); /* before anything can fail */
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	if (code != 0)
		fail_msg("%s", msg.text);
	tempdir_remove(&dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			who_looks_for_the_holder_again_and_again_keeps_no_tallyd_from_starting),
		cmocka_unit_test(people_get_text_that_moves_no_cursor),
		cmocka_unit_test(programs_get_an_object_a_line),
		cmocka_unit_test(
			a_clock_is_wrong_before_this_was_made_and_behind_what_is_there),
		cmocka_unit_test(
			who_holds_a_data_dir_is_told_and_nothing_is_held_or_made),
	};

	return RUN_TESTS(tests);
}
