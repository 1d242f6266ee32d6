/*
 * One life with Redis, and each of its replies going wrong in turn: the first linking,
 * with totals that somebody else has left, increments, an edit, and a Redis that comes
 * back as it was before. Whatever happens, the ledger has counted everything once, and in
 * the end Redis shows it.
 *
 * Who lost a connection waits, and a user that was refused waits longer. So that they do
 * it together, each life is a process of its own.
 */
#include "lib/test.h"
#include "lib/live_rig.h"
#include "live/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_LIVES 100

/* How a life has ended, if well; anything else is the number of failed tests. */
enum { NOTHING_FAILED = 77, WENT_ON = 78 };

static struct live_rig rig;

static bool is_saved(const void *arg)
{
	return ((const struct live_rig *)arg)->n_saved > 0;
}

static void link_with_foreign_totals(void)
{
	rig_hash(&rig, "ann", "500");
	rig_hash(&rig, "bob", "70");
	peer_set_page(rig.peer, 1);
	rig_book(&rig, "ann", 1, 2);
	rig_start(&rig);
	rig_until(&rig, is_saved);
	rig_until_shown(&rig);
}

static void count_steadily(void)
{
	for (unsigned i = 0; i < 2; i++) {
		rig_book(&rig, "ann", 10, 0);
		rig_book(&rig, "bob", 20, 30);
		rig_until_shown(&rig);
	}
}

static void edit(void)
{
	rig_hash(&rig, "ann", "9");
	rig_book(&rig, "ann", 4, 0);
	rig_until_shown(&rig);
}

/* As from a snapshot of before we met. */
static void come_back_old(void)
{
	peer_wipe(rig.peer);
	peer_drop(rig.peer);
	rig_hash(&rig, "ann", "500");
	rig_book(&rig, "bob", 5, 0);
	rig_until_shown(&rig);
}

static void expect_counted_once(void)
{
	assert_int_equal(rig_total(&rig, "ann").used, 500 + 3 + 20 + 4);
	assert_int_equal(rig_total(&rig, "ann").input, 1 + 20 + 4);
	assert_int_equal(rig_total(&rig, "ann").output, 2);
	assert_int_equal(rig_total(&rig, "bob").used, 70 + 100 + 5);
	assert_int_equal(rig_total(&rig, "bob").input, 40 + 5);
	assert_string_equal(peer_get(rig.peer, INSTANCE_KEY), RIG_OWN_ID);
	assert_string_equal(ledger_link(rig.ledger)->claim, "");
}

/* The replies that it took, with the nth of them going wrong; 0: none. */
static unsigned live(unsigned n, enum reply_fault fault)
{
	unsigned n_replies;

	rig_begin(&rig);
	peer_fail_reply(rig.peer, n, fault);
	link_with_foreign_totals();
	count_steadily();
	edit();
	come_back_old();
	expect_counted_once();
	n_replies = peer_count_replies(rig.peer);
	rig_end(&rig);
	return n_replies;
}

/* An assertion that fails in a life goes on with the next test, here. */
static bool is_a_life;

static pid_t begin_life(unsigned n, enum reply_fault fault)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	is_a_life = true;
	exit(live(n, fault) >= n ? WENT_ON : NOTHING_FAILED);
}

/* True if its fault has fired. */
static bool end_life(unsigned n, pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	AT_ROW(n, WIFEXITED(status));
	AT_ROW(n,
		WEXITSTATUS(status) == WENT_ON || WEXITSTATUS(status) == NOTHING_FAILED);
	return WEXITSTATUS(status) == WENT_ON;
}

/* A life takes a reply more or less, as the timers fall: so a few lives more. */
static void walk(enum reply_fault fault)
{
	pid_t lives[MAX_LIVES];
	bool has_fired = true;
	unsigned n_lives;

	if (is_a_life)
		_exit(EXIT_FAILURE);
	n_lives = live(0, fault) + 5;
	assert_in_range(n_lives, 30, MAX_LIVES);
	for (unsigned n = 1; n <= n_lives; n++)
		lives[n - 1] = begin_life(n, fault);
	for (unsigned n = 1; n <= n_lives; n++)
		has_fired = end_life(n, lives[n - 1]);
	assert_false(has_fired); /* the last one */
}

TEST(whichever_reply_is_lost_with_the_connection_all_is_counted_once_and_shown)
{
	walk(REPLY_LOST);
}

TEST(whichever_reply_is_cut_in_its_middle_all_is_counted_once_and_shown)
{
	walk(REPLY_CUT);
}

TEST(whichever_reply_is_an_error_all_is_counted_once_and_shown)
{
	walk(REPLY_ERROR);
}

TEST(whichever_reply_is_garbage_all_is_counted_once_and_shown)
{
	walk(REPLY_GARBAGE);
}

TEST(whichever_reply_is_one_to_something_else_all_is_counted_once_and_shown)
{
	walk(REPLY_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			whichever_reply_is_lost_with_the_connection_all_is_counted_once_and_shown),
		cmocka_unit_test(
			whichever_reply_is_cut_in_its_middle_all_is_counted_once_and_shown),
		cmocka_unit_test(
			whichever_reply_is_an_error_all_is_counted_once_and_shown),
		cmocka_unit_test(
			whichever_reply_is_garbage_all_is_counted_once_and_shown),
		cmocka_unit_test(
			whichever_reply_is_one_to_something_else_all_is_counted_once_and_shown),
	};

	return RUN_TESTS(tests);
}
