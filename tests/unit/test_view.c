/*
 * What is written into Redis, and what comes of a reply that is not the one expected.
 */
#include "lib/test.h"
#include "base/clock.h"
#include "base/text.h"
#include "lib/faults.h"
#include "lib/live_rig.h"
#include "lib/loop.h"
#include "lib/sample.h"
#include "live/link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FAST 1000000    /* users per second */
#define FIRST_USERS 750 /* of a batch */
#define BEHIND_USERS 250

static struct live_rig rig;

static void expect_line(const char *head, size_t n, const char *line)
{
	assert_string_equal(peer_line(rig.peer, head, n), line);
}

/* Increments */

TEST(a_user_is_written_absolutely_first_and_by_its_increments_from_then_on)
{
	rig_begin_linked(&rig);
	rig.config.repair_rate = 0;
	rig_load(&rig, "ann", (struct totals){30, 10, 20});
	rig_hash(&rig, "ann", "999");
	rig_start(&rig);
	rig_until_state(&rig, LIVE_UP);
	rig_book(&rig, "ann", 1, 2);
	rig_until_shown(&rig);
	expect_line(
		"HSET", 1, "HSET user:ann usedTraffic 33 inputBytes 11 outputBytes 22");
	assert_int_equal(peer_count(rig.peer, "HINCRBY"), 0);
	rig_book(&rig, "ann", 3, 4);
	rig_until_shown(&rig);
	assert_int_equal(rig_count_whole(&rig), 1);
	expect_line("HINCRBY", 1, "HINCRBY user:ann usedTraffic 7");
	expect_line("HSET", 2, "HSET user:ann inputBytes 14 outputBytes 26");
	rig_end(&rig);
}

TEST(increments_of_one_user_are_merged)
{
	rig_begin_quiet(&rig);
	rig_book(&rig, "ann", 1, 0);
	rig_book(&rig, "bob", 0, 8);
	rig_book(&rig, "ann", 2, 0);
	rig_book(&rig, "ann", 4, 0);
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, "HINCRBY"), 2);
	assert_int_equal(peer_count(rig.peer, "HSET"), 2);
	expect_line("HINCRBY user:ann", 1, "HINCRBY user:ann usedTraffic 7");
	expect_line("HSET user:ann", 1, "HSET user:ann inputBytes 8 outputBytes 2");
	expect_line("HSET user:bob", 1, "HSET user:bob inputBytes 3 outputBytes 12");
	rig_end(&rig);
}

TEST(a_report_of_nothing_is_shown_without_a_command)
{
	rig_begin_quiet(&rig);
	rig_book(&rig, "ann", 0, 0);
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, "H"), 0);
	rig_end(&rig);
}

TEST(at_most_two_batches_are_outstanding_and_the_rest_merges)
{
	rig_begin_quiet(&rig);
	peer_hold(rig.peer, "HINCRBY");
	rig_book(&rig, "ann", 1, 0);
	rig_until_seen(&rig, "HINCRBY", 1);
	rig_book(&rig, "ann", 2, 0);
	rig_until_seen(&rig, "HINCRBY", 2);
	for (unsigned i = 0; i < 5; i++) {
		rig_book(&rig, "ann", 10, 0);
		rig_book(&rig, "cid", 1, 0);
		loop_run_for(&rig.loop, 5);
	}
	assert_int_equal(peer_count(rig.peer, "HINCRBY"), 2);
	assert_int_equal(rig_count_whole(&rig), 0);
	peer_release(rig.peer);
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, "HINCRBY"), 3);
	expect_line("HINCRBY", 3, "HINCRBY user:ann usedTraffic 50");
	expect_line("HSET user:cid", 1,
		"HSET user:cid usedTraffic 5 inputBytes 5 outputBytes 0");
	rig_end(&rig);
}

TEST(what_is_shown_follows_the_replies_in_order)
{
	uint64_t before;

	rig_begin_quiet(&rig);
	before = live_shown_index(rig.live, SHOW_FIRST);
	peer_hold(rig.peer, "HINCRBY user:bob");
	rig_book(&rig, "ann", 1, 0);
	rig_until_seen(&rig, "HINCRBY user:ann", 1);
	rig_book(&rig, "bob", 1, 0);
	rig_until_seen(&rig, "HINCRBY user:bob", 1);
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	assert_int_equal(live_shown_index(rig.live, SHOW_FIRST), before + 1);
	peer_release(rig.peer);
	rig_until_shown(&rig);
	assert_int_equal(live_shown_index(rig.live, SHOW_FIRST), before + 2);
	rig_end(&rig);
}

TEST(a_batch_has_a_bounded_number_of_users)
{
	rig_begin_linked(&rig);
	rig.config.repair_rate = FAST;
	for (unsigned i = 0; i < 2 * BEHIND_USERS + 500; i++)
		rig_load(&rig, sample_name(i), (struct totals){i, i, 0});
	peer_hold(rig.peer, "HSET");
	rig_start(&rig);
	rig_until_seen(&rig, "HSET", BEHIND_USERS);
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	assert_int_equal(rig_count_whole(&rig), BEHIND_USERS);
	peer_release(rig.peer);
	rig_until_shown(&rig);
	assert_int_equal(rig_count_whole(&rig), 2 * BEHIND_USERS + 500);
	rig_end(&rig);
}

/* What came while there was no connection is such a crowd. */
TEST(behind_a_crowd_nobody_waits_for_more_than_the_batch_that_is_outstanding)
{
	uint64_t first;

	rig_begin_quiet(&rig);
	peer_drop(rig.peer);
	rig_until_state(&rig, LIVE_DOWN);
	for (unsigned i = 0; i < 10 * BEHIND_USERS; i++)
		rig_book(&rig, sample_name(i), 1, 0);
	first = ledger_unsent_index(rig.ledger, SHOW_FIRST);
	rig_until_seen(&rig, "HSET user:u", 1);
	rig_book(&rig, "ann", 0, 1);
	assert_int_equal(ledger_unsent_index(rig.ledger, SHOW_FIRST), first + 1);
	rig_until_seen(&rig, "HSET user:ann", 1);
	assert_in_range(peer_count(rig.peer, "HSET user:u"), 1, 3 * BEHIND_USERS);
	rig_book(&rig, "bob", 1, 0); /* nobody walks round */
	rig_until_shown(&rig);
	rig_end(&rig);
}

/* Each of them nothing but zeros: nothing is sent for them, and all are done. */
TEST(a_turn_of_the_loop_takes_a_bounded_number_of_users_that_need_nothing)
{
	rig_begin_quiet(&rig);
	for (unsigned i = 0; i < 3 * FIRST_USERS; i++)
		rig_book(&rig, sample_name(i), 1, 0);
	rig_until_shown(&rig);
	for (unsigned i = 0; i < 3 * FIRST_USERS; i++)
		rig_book(&rig, sample_name(i), 0, 0);
	(void)uv_run(&rig.loop, UV_RUN_NOWAIT);
	assert_int_equal(ledger_unsent_index(rig.ledger, SHOW_FIRST) -
			live_shown_index(rig.live, SHOW_FIRST),
		2 * FIRST_USERS);
	rig_until_shown(&rig);
	rig_end(&rig);
}

TEST(totals_stop_at_the_largest_number_that_redis_holds)
{
	rig_begin_linked(&rig);
	rig_load(&rig, "ann", (struct totals){TOTAL_MAX, TOTAL_MAX, 7});
	rig_load(&rig, "bob", (struct totals){TOTAL_MAX - 3, TOTAL_MAX - 1, 1});
	rig_start(&rig);
	rig_until_shown(&rig);
	rig_book(&rig, "ann", 5, 1);
	rig_book(&rig, "bob", 5, 0);
	rig_until_shown(&rig);
	assert_string_equal(
		peer_hget(rig.peer, "user:ann", "usedTraffic"), "9223372036854775807");
	assert_string_equal(
		peer_hget(rig.peer, "user:bob", "inputBytes"), "9223372036854775807");
	expect_line("HINCRBY user:ann", 1, "HINCRBY user:ann usedTraffic 0");
	assert_string_equal(peer_hget(rig.peer, "user:ann", "outputBytes"), "8");
	expect_line("HINCRBY user:bob", 1, "HINCRBY user:bob usedTraffic 3");
	assert_int_equal(rig_stats(&rig).view.n_differences, 0);
	rig_end(&rig);
}

/* Differences */

TEST(a_reply_that_differs_asks_for_the_owner_and_then_every_user_is_written_anew)
{
	rig_begin_quiet(&rig);
	rig_hash(&rig, "ann", "999");
	peer_hold(rig.peer, "GET " INSTANCE_KEY);
	rig_book(&rig, "ann", 1, 0);
	rig_until_seen(&rig, "GET " INSTANCE_KEY, 1);
	assert_int_equal(peer_count(rig.peer, "HINCRBY"), 1);
	live_set_repair_rate(rig.live, FAST);
	rig_book(&rig, "ann", 1, 0);
	rig_book(&rig, "bob", 1, 0);
	rig_book(&rig, "cid", 1, 0);
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	assert_int_equal(peer_count(rig.peer, "HINCRBY"), 1);
	assert_int_equal(rig_count_whole(&rig), 0);
	peer_release(rig.peer);
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, "HINCRBY"), 1);
	assert_int_equal(rig_count_whole(&rig), 3);
	assert_int_equal(rig_stats(&rig).view.n_differences, 1);
	rig_end(&rig);
}

TEST(one_edit_of_many_users_is_one_difference)
{
	rig_begin_quiet(&rig);
	live_set_repair_rate(rig.live, FAST);
	rig_hash(&rig, "ann", "999");
	rig_hash(&rig, "bob", "999");
	rig_book(&rig, "ann", 1, 0);
	rig_book(&rig, "bob", 1, 0);
	rig_until_shown(&rig);
	assert_int_equal(rig_stats(&rig).view.n_differences, 1);
	assert_int_equal(peer_count(rig.peer, "HSET user:ann usedTraffic"), 1);
	assert_int_equal(peer_count(rig.peer, "HSET user:bob usedTraffic"), 1);
	rig_end(&rig);
}

/* What of the two other fields was only changed is written over, and nobody else is
 * doubted for it. */
TEST(each_kind_of_edit_is_mended_by_the_next_increment)
{
	static const struct {
		const char *field, *value;
		unsigned n_differences;
	} rows[] = {{"usedTraffic", "2", 1}, {"usedTraffic", "-5", 1},
		{"usedTraffic", "4", 1}, {"usedTraffic", "9223372036854775807", 1},
		{"usedTraffic", "x", 1}, {"usedTraffic", NULL, 1}, {"inputBytes", "0", 0},
		{"inputBytes", "", 0}, {"inputBytes", NULL, 1}, {"outputBytes", "1", 0},
		{"outputBytes", "abc", 0}, {"outputBytes", NULL, 1}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		rig_begin_quiet(&rig);
		live_set_repair_rate(rig.live, FAST);
		peer_hset(rig.peer, "user:ann", rows[i].field, rows[i].value);
		rig_book(&rig, "ann", 1, 1);
		rig_until_seen(&rig, "HINCRBY user:ann", 1);
		rig_until_shown(&rig);
		AT_ROW(i, rig_stats(&rig).view.n_differences == rows[i].n_differences);
		AT_ROW(i, peer_count(rig.peer, "(connection)") == 0);
		AT_ROW(i, rig_stats(&rig).error[0] == '\0');
		rig_end(&rig);
	}
}

TEST(a_user_that_was_deleted_is_mended_by_its_next_increment_even_if_that_is_all_it_has)
{
	rig_begin_quiet(&rig);
	rig_load(&rig, "zoe", (struct totals){0, 0, 0});
	rig_book(&rig, "zoe", 0, 0);
	rig_until_shown(&rig);
	live_set_repair_rate(rig.live, FAST);
	peer_delete(rig.peer, "user:zoe");
	rig_book(&rig, "zoe", 1, 0);
	rig_until_shown(&rig);
	assert_int_equal(rig_stats(&rig).view.n_differences, 1);
	rig_end(&rig);
}

TEST(an_edit_of_an_idle_user_is_found_by_the_walk)
{
	static const char *const values[] = {
		"2", "abc", "-1", "03x", "99999999999999999999"};

	for (size_t i = 0; i <= COUNT_OF(values); i++) {
		rig_begin_quiet(&rig);
		if (i < COUNT_OF(values))
			rig_hash(&rig, "bob", values[i]);
		else
			peer_delete(rig.peer, "user:bob");
		live_set_repair_rate(rig.live, FAST);
		rig_until_shown(&rig);
		AT_ROW(i, rig_stats(&rig).view.n_differences == 1);
		AT_ROW(i, peer_count(rig.peer, "HSET user:ann usedTraffic") == 1);
		rig_end(&rig);
	}
}

TEST(what_was_sent_before_a_difference_says_nothing_about_what_was_written_after_it)
{
	rig_begin_quiet(&rig);
	live_set_repair_rate(rig.live, FAST);
	peer_hold(rig.peer, "HINCRBY");
	rig_hash(&rig, "ann", "999");
	rig_hash(&rig, "bob", "999");
	rig_book(&rig, "ann", 1, 0);
	rig_until_seen(&rig, "HINCRBY user:ann", 1);
	rig_book(&rig, "bob", 1, 0);
	rig_until_seen(&rig, "HINCRBY user:bob", 1);
	peer_release(rig.peer);
	rig_until_shown(&rig);
	assert_int_equal(rig_stats(&rig).view.n_differences, 1);
	assert_int_equal(rig_count_whole(&rig), 2);
	rig_end(&rig);
}

/* Errors of one key */

static bool is_refused(const void *arg)
{
	return rig_stats(arg).view.refused_users == 1;
}

TEST(a_key_that_is_no_hash_concerns_that_user_alone)
{
	struct live_stats stats;

	rig_begin_quiet(&rig);
	peer_set(rig.peer, "user:cid", "mine");
	rig_book(&rig, "cid", 5, 0);
	rig_book(&rig, "ann", 1, 0);
	rig_until(&rig, is_refused);
	rig_book(&rig, "cid", 6, 0);
	rig_book(&rig, "bob", 1, 0);
	rig_until_seen(&rig, "HINCRBY user:bob", 1);
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	stats = rig_stats(&rig);
	assert_int_equal(stats.state, LIVE_UP);
	assert_int_equal(stats.view.n_refused, 1);
	assert_int_equal(stats.view.n_differences, 0);
	assert_non_null(strstr(stats.error, "WRONGTYPE"));
	assert_int_equal(live_shown_index(rig.live, SHOW_FIRST),
		ledger_unsent_index(rig.ledger, SHOW_FIRST));
	assert_true(rig_is_shown(&rig, "ann") && rig_is_shown(&rig, "bob"));
	assert_int_equal(rig_count_whole(&rig), 1);
	assert_int_equal(peer_count(rig.peer, "HINCRBY user:cid"), 0);
	assert_string_equal(peer_get(rig.peer, "user:cid"), "mine");
	assert_int_equal(peer_count(rig.peer, "(connection)"), 0);
	rig_end(&rig);
}

TEST(the_error_of_a_user_with_a_long_name_is_whole_text_and_tells_the_reason)
{
	char id[NAME_MAX_BYTES + 1] = "a", key[sizeof(id) + 8];
	struct live_stats stats;

	while (strlen(id) + 2 <= NAME_MAX_BYTES)
		(void)strcat(id, "é");
	(void)snprintf(key, sizeof(key), "user:%s", id);
	rig_begin_quiet(&rig);
	peer_set(rig.peer, key, "mine");
	rig_book(&rig, id, 5, 0);
	rig_until(&rig, is_refused);
	stats = rig_stats(&rig);
	assert_true(text_is_clean(stats.error, strlen(stats.error)));
	assert_non_null(strstr(stats.error, "WRONGTYPE"));
	rig_end(&rig);
}

TEST(a_refused_user_is_tried_again_and_then_shows_all_that_was_counted)
{
	rig_begin_quiet(&rig);
	peer_set(rig.peer, "user:cid", "mine");
	rig_book(&rig, "cid", 5, 0);
	rig_until(&rig, is_refused);
	rig_book(&rig, "cid", 6, 0);
	live_set_repair_rate(rig.live, FAST);
	rig_until_seen(&rig, "HSET user:cid usedTraffic", 2);
	assert_true(is_refused(&rig));
	peer_delete(rig.peer, "user:cid");
	rig_until_shown(&rig);
	assert_string_equal(peer_hget(rig.peer, "user:cid", "usedTraffic"), "11");
	assert_int_equal(rig_stats(&rig).view.refused_users, 0);
	assert_string_equal(rig_stats(&rig).error, "");
	rig_end(&rig);
}

static bool is_bob_shown(const void *arg)
{
	return rig_is_shown(arg, "bob");
}

TEST(a_user_whose_hash_becomes_something_else_is_refused_and_the_others_are_shown)
{
	rig_begin_quiet(&rig);
	live_set_repair_rate(rig.live, FAST);
	peer_set(rig.peer, "user:ann", "mine");
	rig_book(&rig, "ann", 1, 0);
	rig_until(&rig, is_refused);
	rig_book(&rig, "bob", 1, 0);
	rig_until(&rig, is_bob_shown);
	assert_int_equal(live_get_state(rig.live), LIVE_UP);
	assert_string_equal(peer_get(rig.peer, "user:ann"), "mine");
	rig_end(&rig);
}

/* Errors of the server, and nonsense */

TEST(a_reply_that_is_about_more_than_one_key_drops_the_connection_and_all_is_written_anew)
{
	static const struct {
		const char *head, *reply;
	} rows[] = {{"HINCRBY", "-OOM command not allowed\r\n"},
		{"HINCRBY", "-READONLY a replica\r\n"}, {"HINCRBY", "-NOAUTH no\r\n"},
		{"HINCRBY", "-NOPERM no\r\n"}, {"HINCRBY", "-LOADING wait\r\n"},
		{"HINCRBY", "-ERR unknown command 'HINCRBY'\r\n"},
		{"HINCRBY", "-ERR wrong number of arguments for it\r\n"},
		{"HINCRBY", "-ERR\r\n"}, {"HINCRBY", "-\r\n"}, {"HINCRBY", "+OK\r\n"},
		{"HINCRBY", "$1\r\n2\r\n"}, {"HINCRBY", "$-1\r\n"},
		{"HINCRBY", "*1\r\n:2\r\n"}, {"HINCRBY", "garbage\r\n"},
		{"HINCRBY", "*70000\r\n"}, {"HSET user:ann", ":0\r\n:0\r\n"},
		{"HSET user:ann", "-OOM full\r\n"}, {"HSET user:ann", "+OK\r\n"},
		{"HSET user:ann", NULL}, {"HINCRBY", NULL},
		{"HSET user:cid", "-OOM full\r\n"}, {"HSET user:cid", "+OK\r\n"},
		{"HSET user:cid", "*0\r\n"}, {"HSET user:cid", NULL}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		rig_begin_quiet(&rig);
		live_set_repair_rate(rig.live, FAST);
		peer_answer(rig.peer, rows[i].head, 1, rows[i].reply);
		rig_book(&rig, "ann", 1, 0);
		rig_book(&rig, "cid", 1, 0);
		rig_until_state(&rig, LIVE_DOWN);
		AT_ROW(i, rig_stats(&rig).error[0] != '\0');
		rig_until_shown(&rig);
		AT_ROW(i, peer_count(rig.peer, "(connection)") == 1);
		AT_ROW(i, peer_count(rig.peer, "HSET user:bob usedTraffic") == 1);
		AT_ROW(i, rig_stats(&rig).view.n_differences == 0);
		rig_end(&rig);
	}
}

TEST(a_number_where_totals_were_asked_for_drops_the_connection)
{
	rig_begin_quiet(&rig);
	peer_answer(rig.peer, "HMGET", 1, ":1\r\n");
	live_set_repair_rate(rig.live, FAST);
	rig_until_seen(&rig, "(connection)", 1);
	rig_until_shown(&rig);
	assert_int_equal(rig_stats(&rig).view.n_differences, 0);
	rig_end(&rig);
}

TEST(totals_that_are_too_few_are_a_difference)
{
	rig_begin_quiet(&rig);
	peer_answer(rig.peer, "HMGET user:bob", 1, "*2\r\n$1\r\n7\r\n$1\r\n3\r\n");
	live_set_repair_rate(rig.live, FAST);
	rig_until_seen(&rig, "HSET user:bob usedTraffic", 1);
	rig_until_shown(&rig);
	assert_int_equal(rig_stats(&rig).view.n_differences, 1);
	rig_end(&rig);
}

/* Loss */

/* On the new connection, each user is written absolutely before it is incremented. */
static void expect_anew(void)
{
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, "(connection)"), 1);
	assert_int_equal(peer_count(rig.peer, "HSET user:ann usedTraffic"), 1);
	assert_int_equal(peer_count(rig.peer, "HSET user:bob usedTraffic"), 1);
	assert_true(
		peer_saw_before(rig.peer, "(connection)", "HSET user:ann usedTraffic"));
	assert_true(rig_is_shown(&rig, "ann") && rig_is_shown(&rig, "bob"));
}

TEST(increments_that_were_executed_and_not_answered_do_not_count_twice)
{
	rig_begin_quiet(&rig);
	live_set_repair_rate(rig.live, FAST);
	peer_hold(rig.peer, "H");
	rig_book(&rig, "ann", 1, 0);
	rig_until_seen(&rig, "HINCRBY user:ann", 1);
	rig_book(&rig, "bob", 1, 0);
	rig_until_seen(&rig, "HINCRBY user:bob", 1);
	rig_book(&rig, "ann", 1, 0);
	peer_drop(rig.peer);
	peer_release(rig.peer);
	rig_book(&rig, "bob", 2, 0);
	expect_anew();
	assert_int_equal(peer_count(rig.peer, "HINCRBY"), 2);
	rig_end(&rig);
}

TEST(increments_that_were_not_executed_are_not_lost)
{
	rig_begin_quiet(&rig);
	live_set_repair_rate(rig.live, FAST);
	peer_answer(rig.peer, "HSET user:ann inputBytes", 1, NULL);
	rig_book(&rig, "ann", 1, 5);
	rig_book(&rig, "bob", 1, 0);
	rig_until_state(&rig, LIVE_DOWN);
	rig_book(&rig, "bob", 1, 0);
	rig_book(&rig, "cid", 1, 0);
	expect_anew();
	assert_true(rig_is_shown(&rig, "cid"));
	rig_end(&rig);
}

TEST(a_redis_that_came_back_with_older_totals_shows_the_ledger)
{
	rig_begin_quiet(&rig);
	live_set_repair_rate(rig.live, FAST);
	peer_drop(rig.peer);
	rig_until_state(&rig, LIVE_DOWN);
	rig_hash(&rig, "ann", "1");
	peer_delete(rig.peer, "user:bob");
	expect_anew();
	rig_end(&rig);
}

TEST(a_connection_that_is_lost_while_it_is_repaired_is_repaired_by_the_next)
{
	rig_begin_quiet(&rig);
	live_set_repair_rate(rig.live, FAST);
	peer_answer(rig.peer, "HSET user:bob", 1, NULL);
	peer_drop(rig.peer);
	rig_until_seen(&rig, "HSET user:bob usedTraffic", 1);
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, "(connection)"), 2);
	rig_end(&rig);
}

TEST(commands_for_which_memory_is_short_are_made_good_on_the_next_connection)
{
	unsigned n_users = 60; /* more commands than fit without growing */

	rig_begin_linked(&rig);
	for (unsigned i = 0; i < n_users; i++)
		rig_book(&rig, sample_name(i), 1, 1);
	rig_start(&rig);
	rig_until_shown(&rig);
	peer_forget(rig.peer);
	for (unsigned i = 0; i < n_users; i++)
		rig_book(&rig, sample_name(i), 1, 1);
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	rig_until_state(&rig, LIVE_DOWN);
	assert_true(faults_fired(FAULT_MEMORY));
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, "(connection)"), 1);
	assert_int_equal(rig_count_whole(&rig), n_users);
	rig_end(&rig);
}

/* The walk's pace */

TEST(a_repair_writes_no_more_users_than_its_rate_allows)
{
	uint64_t before;

	rig_begin_linked(&rig);
	rig.config.repair_rate = 50; /* five at once, then one in 20 ms */
	for (unsigned i = 0; i < 100; i++)
		rig_load(&rig, sample_name(i), (struct totals){i, i, 0});
	before = clock_ms();
	rig_start(&rig);
	rig_until_seen(&rig, "HSET", 15);
	assert_true(clock_ms() - before >= 150);
	assert_true(rig_stats(&rig).view.unverified_users <= 85);
	live_set_repair_rate(rig.live, FAST);
	rig_until_shown(&rig);
	assert_int_equal(rig_stats(&rig).view.n_absolute, 100);
	rig_end(&rig);
}

TEST(who_has_traffic_does_not_wait_for_the_walk)
{
	rig_begin_linked(&rig);
	rig.config.repair_rate = 0;
	rig_load(&rig, "ann", (struct totals){3, 1, 2});
	rig_load(&rig, "bob", (struct totals){3, 1, 2});
	rig_start(&rig);
	rig_until_state(&rig, LIVE_UP);
	rig_book(&rig, "bob", 1, 0);
	rig_until_seen(&rig, "HSET", 1);
	expect_line("HSET", 1, "HSET user:bob usedTraffic 4 inputBytes 2 outputBytes 2");
	assert_int_equal(rig_stats(&rig).view.unverified_users, 1);
	rig_end(&rig);
}

TEST(the_longest_name_is_written_whole)
{
	char id[256], key[300];

	memset(id, 'x', 255);
	id[255] = '\0';
	(void)snprintf(key, sizeof(key), "user:%s", id);
	rig_begin_linked(&rig);
	rig_book(&rig, id, 1, 2);
	rig_start(&rig);
	rig_until_shown(&rig);
	assert_string_equal(peer_hget(rig.peer, key, "usedTraffic"), "3");
	rig_end(&rig);
}

TEST(traffic_of_a_user_that_is_being_refused_concerns_that_user_alone)
{
	rig_begin_quiet(&rig);
	live_set_repair_rate(rig.live, 0);
	peer_set(rig.peer, "user:cid", "mine");
	peer_hold(rig.peer, "HSET");
	rig_book(&rig, "cid", 5, 0);
	rig_until_seen(&rig, "HSET user:cid usedTraffic", 1);
	rig_book(&rig, "cid", 5, 0);
	rig_until_seen(&rig, "HINCRBY user:cid", 1);
	peer_release(rig.peer);
	rig_until(&rig, is_refused);
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	assert_int_equal(rig_stats(&rig).view.n_differences, 0);
	assert_int_equal(rig_stats(&rig).view.unverified_users, 0);
	rig_end(&rig);
}

TEST(a_busy_user_that_is_refused_is_no_reason_to_write_the_others)
{
	rig_begin_quiet(&rig);
	live_set_repair_rate(rig.live, FAST);
	peer_set(rig.peer, "user:cid", "mine");
	peer_hold(rig.peer, "HSET");
	for (unsigned i = 0; i < 100; i++) {
		rig_book(&rig, "cid", 5, 0);
		loop_run_for(&rig.loop, 4);
		peer_release(rig.peer);
		peer_hold(rig.peer, "HSET");
	}
	assert_int_equal(rig_stats(&rig).view.n_differences, 0);
	peer_release(rig.peer);
	rig_end(&rig);
}

TEST(what_the_server_refused_is_not_shown)
{
	uint64_t before;

	rig_begin_quiet(&rig);
	before = live_shown_index(rig.live, SHOW_FIRST);
	peer_answer(rig.peer, "HSET user:cid", 1, "-OOM full\r\n");
	rig_book(&rig, "cid", 5, 0);
	rig_until_state(&rig, LIVE_DOWN);
	assert_int_equal(live_shown_index(rig.live, SHOW_FIRST), before);
	rig_end(&rig);
}

TEST(a_reply_that_differs_shows_nothing)
{
	uint64_t before;

	rig_begin_quiet(&rig);
	before = live_shown_index(rig.live, SHOW_FIRST);
	rig_hash(&rig, "ann", "999");
	peer_hold(rig.peer, "GET");
	rig_book(&rig, "ann", 5, 0);
	rig_until_seen(&rig, "GET", 1);
	assert_int_equal(live_shown_index(rig.live, SHOW_FIRST), before);
	rig_end(&rig);
}

/* The walk writes nobody here. */
static bool are_ann_and_bob_shown(const void *arg)
{
	return rig_is_shown(arg, "ann") && rig_is_shown(arg, "bob");
}

TEST(who_was_found_to_differ_is_written_first)
{
	rig_begin_quiet(&rig);
	rig_load(&rig, "zoe", (struct totals){3, 1, 2});
	rig_hash(&rig, "ann", "999");
	rig_hash(&rig, "bob", "999");
	rig_book(&rig, "ann", 5, 0);
	rig_book(&rig, "bob", 5, 0);
	rig_until_seen(&rig, "HSET user:ann usedTraffic", 1);
	rig_until_seen(&rig, "HSET user:bob usedTraffic", 1);
	rig_until(&rig, are_ann_and_bob_shown);
	assert_int_equal(rig_stats(&rig).view.n_differences, 1);
	assert_int_equal(peer_count(rig.peer, "HSET user:zoe usedTraffic"), 0);
	rig_end(&rig);
}

static bool is_known_to_be_shown(const void *arg)
{
	const struct live_rig *at = arg;

	return live_shown_index(at->live, SHOW_FIRST) ==
		ledger_unsent_index(at->ledger, SHOW_FIRST);
}

TEST(a_report_of_nothing_behind_a_batch_is_shown_with_it)
{
	rig_begin_quiet(&rig);
	peer_hold(rig.peer, "HINCRBY");
	rig_book(&rig, "ann", 1, 0);
	rig_until_seen(&rig, "HINCRBY", 1);
	rig_book(&rig, "bob", 0, 0);
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	peer_release(rig.peer);
	rig_until(&rig, is_known_to_be_shown);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_user_is_written_absolutely_first_and_by_its_increments_from_then_on),
		cmocka_unit_test(increments_of_one_user_are_merged),
		cmocka_unit_test(a_report_of_nothing_is_shown_without_a_command),
		cmocka_unit_test(at_most_two_batches_are_outstanding_and_the_rest_merges),
		cmocka_unit_test(what_is_shown_follows_the_replies_in_order),
		cmocka_unit_test(a_batch_has_a_bounded_number_of_users),
		cmocka_unit_test(
			behind_a_crowd_nobody_waits_for_more_than_the_batch_that_is_outstanding),
		cmocka_unit_test(
			a_turn_of_the_loop_takes_a_bounded_number_of_users_that_need_nothing),
		cmocka_unit_test(totals_stop_at_the_largest_number_that_redis_holds),
		cmocka_unit_test(
			a_reply_that_differs_asks_for_the_owner_and_then_every_user_is_written_anew),
		cmocka_unit_test(one_edit_of_many_users_is_one_difference),
		cmocka_unit_test(each_kind_of_edit_is_mended_by_the_next_increment),
		cmocka_unit_test(
			a_user_that_was_deleted_is_mended_by_its_next_increment_even_if_that_is_all_it_has),
		cmocka_unit_test(an_edit_of_an_idle_user_is_found_by_the_walk),
		cmocka_unit_test(
			what_was_sent_before_a_difference_says_nothing_about_what_was_written_after_it),
		cmocka_unit_test(a_key_that_is_no_hash_concerns_that_user_alone),
		cmocka_unit_test(
			the_error_of_a_user_with_a_long_name_is_whole_text_and_tells_the_reason),
		cmocka_unit_test(
			a_refused_user_is_tried_again_and_then_shows_all_that_was_counted),
		cmocka_unit_test(
			a_user_whose_hash_becomes_something_else_is_refused_and_the_others_are_shown),
		cmocka_unit_test(
			a_reply_that_is_about_more_than_one_key_drops_the_connection_and_all_is_written_anew),
		cmocka_unit_test(
			a_number_where_totals_were_asked_for_drops_the_connection),
		cmocka_unit_test(totals_that_are_too_few_are_a_difference),
		cmocka_unit_test(
			increments_that_were_executed_and_not_answered_do_not_count_twice),
		cmocka_unit_test(increments_that_were_not_executed_are_not_lost),
		cmocka_unit_test(
			a_redis_that_came_back_with_older_totals_shows_the_ledger),
		cmocka_unit_test(
			a_connection_that_is_lost_while_it_is_repaired_is_repaired_by_the_next),
		cmocka_unit_test(
			commands_for_which_memory_is_short_are_made_good_on_the_next_connection),
		cmocka_unit_test(a_repair_writes_no_more_users_than_its_rate_allows),
		cmocka_unit_test(who_has_traffic_does_not_wait_for_the_walk),
		cmocka_unit_test(the_longest_name_is_written_whole),
		cmocka_unit_test(
			traffic_of_a_user_that_is_being_refused_concerns_that_user_alone),
		cmocka_unit_test(
			a_busy_user_that_is_refused_is_no_reason_to_write_the_others),
		cmocka_unit_test(what_the_server_refused_is_not_shown),
		cmocka_unit_test(a_reply_that_differs_shows_nothing),
		cmocka_unit_test(who_was_found_to_differ_is_written_first),
		cmocka_unit_test(a_report_of_nothing_behind_a_batch_is_shown_with_it),
	};

	return RUN_TESTS(tests);
}
