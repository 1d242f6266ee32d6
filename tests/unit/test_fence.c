/*
 * Who else writes under our name: what was left of a dead process, and a tallyd with a
 * copy of our data directory. The other one is told by the list of connections and by
 * what stands in tallyd:holder; it counts there whenever we look, if it lives.
 */
#include "lib/test.h"
#include "base/clock.h"
#include "base/text.h"
#include "lib/live_rig.h"
#include "lib/loop.h"
#include "live/fence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OTHER_RUN "0123456789abcdef"
#define OTHER_LINE "id=101 addr=10.0.0.7:41 name=tallyd:me:" OTHER_RUN " age=7 db=0\n"
#define LOOK "GET " HOLDER_KEY "\n"
#define LIST "CLIENT LIST\n"
#define SECOND_MS 1000

static struct live_rig rig;

/* What the other one does each time that somebody looks. */
static struct other {
	unsigned n_counts; /* that are to come */
	unsigned count;
} other;

static void set_other(unsigned count)
{
	char value[HOLDER_BYTES];

	(void)snprintf(value, sizeof(value), "run=%s count=%u id=101 where=web1/77",
		OTHER_RUN, count);
	peer_set(rig.peer, HOLDER_KEY, value);
}

/* A second goes by with each look. */
static void on_command(void *arg, const char *command)
{
	(void)arg;
	if (strcmp(command, LOOK) != 0)
		return;
	clock_freeze_for_test(clock_ms() + SECOND_MS);
	if (other.n_counts == 0)
		return;
	other.n_counts--;
	set_other(++other.count);
}

static void begin(const char *clients, unsigned n_counts)
{
	rig_begin_linked(&rig);
	rig_load(&rig, "ann", (struct totals){30, 10, 20});
	peer_set(rig.peer, "tallyd:instance", RIG_OWN_ID);
	other = (struct other){.n_counts = n_counts};
	clock_freeze_for_test(1000000);
	peer_set_clients(rig.peer, clients);
	peer_watch(rig.peer, on_command, NULL);
}

static void end(void)
{
	rig_end(&rig);
	clock_freeze_for_test(0);
}

static const char *holder(void)
{
	return peer_get(rig.peer, HOLDER_KEY);
}

static void expect_left_alone(void)
{
	assert_true(rig_saw_no_write(&rig));
	assert_int_equal(peer_count(rig.peer, "CLIENT KILL"), 0);
}

TEST(a_copy_that_lives_is_left_alone_and_told_of_with_its_address)
{
	begin(OTHER_LINE, 1000);
	set_other(0);
	rig_start(&rig);
	rig_until_state(&rig, LIVE_FOREIGN);
	expect_left_alone();
	assert_non_null(strstr(rig_stats(&rig).error, "10.0.0.7:41"));
	assert_non_null(strstr(rig_stats(&rig).error, "web1/77"));
	assert_non_null(strstr(rig_stats(&rig).error, "copy of this data directory"));
	assert_true(live_is_settled(rig.live));
	end();
}

TEST(a_copy_whose_key_was_wiped_a_moment_ago_is_waited_for)
{
	begin(OTHER_LINE, 0);
	peer_hold(rig.peer, LIST);
	rig_start(&rig);
	rig_until_seen(&rig, LIST, 1);
	other.n_counts = 1000;
	peer_release(rig.peer);
	rig_until_state(&rig, LIVE_FOREIGN);
	expect_left_alone();
	end();
}

TEST(a_process_without_a_connection_is_dead_and_followed_at_once)
{
	static const char *const lists[] = {"",
		"id=7 addr=10.0.0.7:41 name= age=7 db=0\n",
		"id=7 addr=10.0.0.7:41 name=tallyd:me2:" OTHER_RUN " age=7 db=0\n",
		"id=7 addr=10.0.0.7:41 name=tallyd:me:" OTHER_RUN " age=7 db=1\n",
		"id=7 addr=10.0.0.7:41 name=tallyd:me:" OTHER_RUN "0 age=7 db=0\n"};

	for (size_t i = 0; i < COUNT_OF(lists); i++) {
		begin(lists[i], 0);
		set_other(5);
		rig_start(&rig);
		rig_until_shown(&rig);
		AT_ROW(i, peer_count(rig.peer, "CLIENT LIST") == 1);
		AT_ROW(i, peer_count(rig.peer, "CLIENT KILL ID 7\n") == 0);
		AT_ROW(i, strncmp(holder(), "run=", 4) == 0);
		AT_ROW(i, strstr(holder(), OTHER_RUN) == NULL);
		end();
	}
}

TEST(what_a_dead_process_has_left_is_killed_and_a_last_count_of_it_is_no_life)
{
	for (unsigned n_counts = 0; n_counts < 2; n_counts++) {
		begin(OTHER_LINE, n_counts);
		set_other(0);
		rig_start(&rig);
		rig_until_shown(&rig);
		AT_ROW(n_counts, peer_count(rig.peer, "CLIENT KILL ID 101\n") == 1);
		AT_ROW(n_counts, peer_saw_before(rig.peer, "CLIENT KILL", "HSET"));
		AT_ROW(n_counts,
			peer_saw_before(rig.peer, "CLIENT KILL", "SET " HOLDER_KEY));
		AT_ROW(n_counts, strstr(holder(), OTHER_RUN) == NULL);
		end();
	}
}

TEST(our_own_earlier_connection_is_killed_without_a_look_more)
{
	char line[128];

	begin("", 0);
	rig_start(&rig);
	rig_until_shown(&rig);
	(void)snprintf(line, sizeof(line),
		"id=101 addr=10.0.0.7:41 name=tallyd:me:%.16s age=7 db=0\n",
		holder() + strlen("run="));
	peer_set_clients(rig.peer, line);
	peer_forget(rig.peer);
	peer_drop(rig.peer);
	rig_until_seen(&rig, "(connection)", 1);
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, LIST), 1);
	assert_int_equal(peer_count(rig.peer, "CLIENT KILL ID 101\n"), 1);
	end();
}

TEST(who_finds_anothers_name_in_the_key_writes_nothing_more)
{
	begin("", 0);
	rig_start(&rig);
	rig_until_shown(&rig);
	peer_set_clients(rig.peer, OTHER_LINE);
	peer_forget(rig.peer);
	other.n_counts = 1000;
	set_other(0);
	rig_until_state(&rig, LIVE_FOREIGN);
	rig_book(&rig, "ann", 1, 0);
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	expect_left_alone();
	end();
}

TEST(a_machine_that_was_copied_while_it_ran_is_a_copy_too)
{
	char value[HOLDER_BYTES], run[RUN_BYTES];

	begin("", 0);
	rig_start(&rig);
	rig_until_shown(&rig);
	(void)snprintf(run, sizeof(run), "%.16s", holder() + strlen("run="));
	(void)snprintf(value, sizeof(value), "run=%s count=9 id=7777 where=web1/77", run);
	peer_set(rig.peer, HOLDER_KEY, value);
	peer_forget(rig.peer);
	rig_until_seen(&rig, "CLIENT SETNAME", 1);
	assert_null(strstr(peer_line(rig.peer, "CLIENT SETNAME", 1), run));
	rig_until_shown(&rig); /* nobody counts there */
	assert_null(strstr(holder(), run));
	end();
}

TEST(who_comes_between_our_look_and_our_claim_is_not_written_over)
{
	begin("", 0);
	peer_answer(rig.peer, "SET " HOLDER_KEY, 1, "$-1\r\n");
	rig_start(&rig);
	rig_until_seen(&rig, "(connection)", 2);
	assert_int_equal(peer_count(rig.peer, "HSET"), 0);
	rig_until_shown(&rig);
	end();
}

/* The key may be forbidden by an ACL that was made for an earlier tallyd. */
TEST(without_the_key_one_that_comes_back_after_it_was_killed_lives)
{
	begin(OTHER_LINE, 0);
	peer_answer(rig.peer, "GET " HOLDER_KEY, 0, "-NOPERM no\r\n");
	rig_start(&rig);
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, "CLIENT KILL ID 101\n"), 1);
	assert_int_equal(peer_count(rig.peer, "SET " HOLDER_KEY), 0);
	peer_forget(rig.peer);
	peer_drop(rig.peer); /* it kills us, too */
	rig_until_state(&rig, LIVE_FOREIGN);
	expect_left_alone();
	end();
}

TEST(an_older_tallyd_is_killed_at_once_and_left_alone_when_it_comes_back)
{
	begin("id=101 addr=10.0.0.7:41 name=tallyd:me age=7 db=0\n", 0);
	rig_start(&rig);
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, LIST), 1);
	assert_int_equal(peer_count(rig.peer, "CLIENT KILL ID 101\n"), 1);
	peer_forget(rig.peer);
	peer_drop(rig.peer);
	rig_until_state(&rig, LIVE_FOREIGN);
	expect_left_alone();
	assert_non_null(strstr(rig_stats(&rig).error, "10.0.0.7:41"));
	end();
}

TEST(without_a_list_who_is_silent_for_long_is_followed_and_who_counts_is_not)
{
	for (unsigned counts = 0; counts < 2; counts++) {
		begin("", counts * 1000);
		set_other(0);
		peer_answer(rig.peer, "CLIENT LIST", 0, "-NOPERM no CLIENT\r\n");
		rig_start(&rig);
		if (counts > 0)
			rig_until_state(&rig, LIVE_FOREIGN);
		else
			rig_until_shown(&rig);
		AT_ROW(counts, (strstr(holder(), OTHER_RUN) != NULL) == (counts > 0));
		AT_ROW(counts, peer_count(rig.peer, "CLIENT LIST") > 1);
		end();
	}
}

/* Many connections */

TEST(a_redis_with_150000_connections_is_asked_for_one_and_not_for_a_list)
{
	char reply[128];

	(void)snprintf(
		reply, sizeof(reply), "$%zu\r\n" OTHER_LINE "\r\n", strlen(OTHER_LINE));
	begin("", 0);
	peer_set_info(rig.peer, "# Clients\r\nconnected_clients:150000\r\n");
	peer_answer(rig.peer, "CLIENT LIST ID 101", 0, reply);
	set_other(0);
	rig_start(&rig);
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, LIST), 0);
	assert_int_equal(peer_count(rig.peer, "CLIENT KILL ID 101\n"), 1);
	end();
}

TEST(a_list_that_costs_the_connection_twice_is_not_asked_for_again)
{
	begin("", 0);
	peer_answer(rig.peer, LIST, 0, "$5000000\r\nid=1 ");
	peer_watch(rig.peer, NULL, NULL); /* a connection is given up by the clock */
	clock_freeze_for_test(0);
	rig.config.timeout_ms = 100;
	rig_start(&rig);
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, LIST), 2);
	end();
}

TEST(more_connections_of_ours_than_are_ended_at_once_are_not_passed_over)
{
	static char lines[4000];
	size_t len = 0;

	for (unsigned i = 0; i < FENCE_MAX_FOUND + 10; i++)
		len += (size_t)snprintf(lines + len, sizeof(lines) - len,
			"id=%u addr=x:1 name=tallyd:me db=0\n", 200 + i);
	begin(lines, 0);
	rig_start(&rig);
	rig_until_seen(&rig, "CLIENT KILL", FENCE_MAX_FOUND - 1);
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	assert_true(rig_saw_no_write(&rig));
	rig_until_shown(&rig);
	end();
}

/* What is no text */

static bool says_something(const void *arg)
{
	struct live_stats stats = rig_stats(arg);

	return stats.error[0] != '\0' || stats.survey.version[0] != '\0';
}

TEST(whatever_bytes_redis_says_the_status_holds_text)
{
	static const struct {
		const char *head, *reply;
	} rows[] = {
		{"GET tallyd:instance", "-ERR \xff\xc3(\x01\x1b[2J\xc2\x9b end\r\n"},
		{"GET tallyd:instance", "$6\r\n\xff\x01\xc3(\n\t\r\n"},
		{"GET tallyd:holder", "-ERR \xe2\x82\r\n"},
		{"GET tallyd:holder", "$4\r\n\xff\x01\xc3(\r\n"},
		{"SETRANGE", "-LOADING \xf0\x9f\x98\r\n"},
		{"HSET", "-WRONGTYPE \xed\xa0\x80\r\n"},
		{"SET tallyd:holder", "-OOM \xfe\r\n"},
		{"INFO", "$28\r\nredis_version:\xff\xff\x01\x02\xc3 7.0.1\r\n\r\n"},
		{"HSET", "?\xff\xfe what\r\n"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct live_stats stats;

		begin("", 0);
		peer_answer(rig.peer, rows[i].head, 0, rows[i].reply);
		rig_start(&rig);
		rig_until(&rig, says_something);
		loop_run_for(&rig.loop, RIG_A_WHILE_MS);
		stats = rig_stats(&rig);
		AT_ROW(i, text_is_clean(stats.error, strlen(stats.error)));
		AT_ROW(i,
			text_is_clean(
				stats.survey.version, strlen(stats.survey.version)));
		end();
	}
}

TEST(a_long_error_is_never_cut_within_a_character)
{
	static char reply[700] = "-ERR ";

	for (size_t shift = 0; shift < 3; shift++) {
		struct live_stats stats;

		memset(reply + 5, 'x', shift);
		reply[5 + shift] = '\0';
		for (size_t i = 0; i < 200; i++)
			(void)strcat(reply, "\xe2\x82\xac");
		(void)strcat(reply, "\r\n");
		begin("", 0);
		peer_answer(rig.peer, "SETRANGE", 0, reply);
		rig_start(&rig);
		rig_until_state(&rig, LIVE_DOWN);
		rig_until_seen(&rig, "SETRANGE", 1);
		stats = rig_stats(&rig);
		AT_ROW(shift, strlen(stats.error) > 200);
		AT_ROW(shift, text_is_clean(stats.error, strlen(stats.error)));
		end();
	}
}

TEST(an_owner_that_only_begins_as_we_do_is_another)
{
	begin("", 0);
	peer_answer(rig.peer, "GET tallyd:instance", 0, "$4\r\nme\0x\r\n");
	rig_start(&rig);
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	assert_true(rig_saw_no_write(&rig));
	end();
}

static bool is_refused(const void *arg)
{
	return rig_stats(arg).view.refused_users == 1;
}

TEST(no_user_is_written_over_the_holders_key)
{
	rig_begin_linked(&rig);
	rig.config.key_prefix = "tallyd:";
	rig_load(&rig, "holder", (struct totals){30, 10, 20});
	rig_start(&rig);
	rig_until_state(&rig, LIVE_UP);
	rig_until(&rig, is_refused);
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	assert_int_equal(peer_count(rig.peer, "HSET"), 0);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_copy_that_lives_is_left_alone_and_told_of_with_its_address),
		cmocka_unit_test(a_copy_whose_key_was_wiped_a_moment_ago_is_waited_for),
		cmocka_unit_test(
			a_process_without_a_connection_is_dead_and_followed_at_once),
		cmocka_unit_test(
			what_a_dead_process_has_left_is_killed_and_a_last_count_of_it_is_no_life),
		cmocka_unit_test(
			our_own_earlier_connection_is_killed_without_a_look_more),
		cmocka_unit_test(who_finds_anothers_name_in_the_key_writes_nothing_more),
		cmocka_unit_test(a_machine_that_was_copied_while_it_ran_is_a_copy_too),
		cmocka_unit_test(
			who_comes_between_our_look_and_our_claim_is_not_written_over),
		cmocka_unit_test(
			without_the_key_one_that_comes_back_after_it_was_killed_lives),
		cmocka_unit_test(
			an_older_tallyd_is_killed_at_once_and_left_alone_when_it_comes_back),
		cmocka_unit_test(
			without_a_list_who_is_silent_for_long_is_followed_and_who_counts_is_not),
		cmocka_unit_test(
			a_redis_with_150000_connections_is_asked_for_one_and_not_for_a_list),
		cmocka_unit_test(
			a_list_that_costs_the_connection_twice_is_not_asked_for_again),
		cmocka_unit_test(
			more_connections_of_ours_than_are_ended_at_once_are_not_passed_over),
		cmocka_unit_test(whatever_bytes_redis_says_the_status_holds_text),
		cmocka_unit_test(a_long_error_is_never_cut_within_a_character),
		cmocka_unit_test(an_owner_that_only_begins_as_we_do_is_another),
		cmocka_unit_test(no_user_is_written_over_the_holders_key),
	};

	return RUN_TESTS(tests);
}
