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
#include "base/text.h"
#include "lib/live_rig.h"
#include "lib/loop.h"
#include "live/link.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_LIVES 100
#define N_STORMS 100
#define STORM_MS 300

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
static unsigned live(unsigned n, enum reply_fault fault, bool is_tracked)
{
	unsigned n_replies;

	rig_begin(&rig);
	peer_track(rig.peer, is_tracked);
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

static pid_t begin_life(unsigned n, enum reply_fault fault, bool is_tracked)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	is_a_life = true;
	exit(live(n, fault, is_tracked) >= n ? WENT_ON : NOTHING_FAILED);
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
static void walk_through(enum reply_fault fault, bool is_tracked)
{
	pid_t lives[MAX_LIVES];
	bool has_fired = true;
	unsigned n_lives;

	if (is_a_life)
		_exit(EXIT_FAILURE);
	n_lives = live(0, fault, is_tracked) + 5;
	assert_in_range(n_lives, 30, MAX_LIVES);
	for (unsigned n = 1; n <= n_lives; n++)
		lives[n - 1] = begin_life(n, fault, is_tracked);
	for (unsigned n = 1; n <= n_lives; n++)
		has_fired = end_life(n, lives[n - 1]);
	assert_false(has_fired); /* the last one */
}

/* Whether Redis tells of edits or not. */
static void walk(enum reply_fault fault)
{
	walk_through(fault, false);
	walk_through(fault, true);
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

/* In a storm nobody knows what is right, nor how far a life comes: whatever is said,
 * nothing falls, and what is shown is text. */
static bool is_over(const void *arg)
{
	return peer_count_replies(((const struct live_rig *)arg)->peer) >= 100;
}

static void expect_text(const char *text)
{
	assert_true(text_is_clean(text, strlen(text)));
}

_Noreturn static void live_in_a_storm(unsigned seed)
{
	struct live_stats stats;

	is_a_life = true;
	rig_begin(&rig);
	rig.config.timeout_ms = 200;
	peer_track(rig.peer, seed % 2 > 0);
	rig_hash(&rig, "ann", "500");
	peer_set_page(rig.peer, 1);
	rig_book(&rig, "bob", 1, 2);
	peer_storm(rig.peer, seed, 100);
	rig_start(&rig);
	for (unsigned i = 0; i < 5; i++) {
		(void)loop_run_until(&rig.loop, is_over, &rig, STORM_MS);
		rig_book(&rig, "ann", 1, 2);
		stats = rig_stats(&rig);
		expect_text(stats.error);
		expect_text(stats.survey.version);
		expect_text(stats.survey.maxmemory_policy);
	}
	rig_end(&rig);
	exit(NOTHING_FAILED);
}

TEST(whatever_redis_answers_nothing_falls_and_what_is_shown_is_text)
{
	pid_t lives[N_STORMS];
	int status;

	if (is_a_life)
		_exit(EXIT_FAILURE);
	for (unsigned i = 0; i < N_STORMS; i++) {
		lives[i] = fork();
		assert_true(lives[i] >= 0);
		if (lives[i] == 0)
			live_in_a_storm(i + 1);
	}
	for (unsigned i = 0; i < N_STORMS; i++) {
		assert_int_equal(waitpid(lives[i], &status, 0), lives[i]);
		AT_ROW(i, WIFEXITED(status) && WEXITSTATUS(status) == NOTHING_FAILED);
	}
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
		cmocka_unit_test(
			whatever_redis_answers_nothing_falls_and_what_is_shown_is_text),
	};

	return RUN_TESTS(tests);
}
