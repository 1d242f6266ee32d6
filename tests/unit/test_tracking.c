/*
 * Edits by others that Redis tells of: each is mended at once, and but for them nothing
 * is read. Each test has a peer, a ledger and a loop of its own.
 */
#include "lib/test.h"
#include "lib/faults.h"
#include "lib/live_rig.h"
#include "lib/loop.h"
#include "lib/sample.h"
#include "live/holder.h"
#include "live/link.h"
#include "live/walk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FAST 1000000
#define TICK_MS 100
/* Within that a look at all users would have begun. */
#define SOON_MS (3 * TICK_MS)

#define MESSAGE "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"

static struct live_rig rig;

static bool is_shown(const void *arg)
{
	const struct live_rig *at = arg;

	return rig_is_shown(at, "ann") && rig_is_shown(at, "bob") &&
		rig_stats(at).view.unverified_users == 0;
}

static size_t n_reads(void)
{
	return peer_count(rig.peer, "HMGET");
}

/* Each kind */

struct edit {
	const char *field, *value;
};

static void make_edit(const struct edit *edit)
{
	if (edit->field != NULL)
		peer_hset(rig.peer, "user:bob", edit->field, edit->value);
	else
		peer_delete(rig.peer, "user:bob");
}

static const struct edit edits[] = {{"usedTraffic", "2"}, {"usedTraffic", "-5"},
	{"usedTraffic", "x"}, {"usedTraffic", NULL}, {"inputBytes", "0"},
	{"inputBytes", NULL}, {"outputBytes", "03x"}, {"outputBytes", ""},
	{"outputBytes", NULL}, {NULL, NULL}};

TEST(each_kind_of_edit_of_an_idle_user_is_mended_and_nobody_else_is_read_or_written)
{
	for (size_t i = 0; i < COUNT_OF(edits); i++) {
		rig_begin_tracked(&rig);
		make_edit(&edits[i]);
		rig_until_seen(&rig, "HSET user:bob usedTraffic 7", 1);
		rig_until(&rig, is_shown);
		AT_ROW(i, n_reads() == 1 && peer_count(rig.peer, "HMGET user:bob") == 1);
		AT_ROW(i, rig_count_whole(&rig) == 1);
		AT_ROW(i, rig_stats(&rig).view.n_differences == 1);
		AT_ROW(i, peer_saw_before(rig.peer, "HMGET", "GET " INSTANCE_KEY));
		AT_ROW(i, peer_saw_before(rig.peer, "GET " INSTANCE_KEY, "HSET"));
		AT_ROW(i, peer_count(rig.peer, "(connection)") == 0);
		rig_end(&rig);
	}
}

TEST(each_kind_of_edit_of_a_user_with_traffic_is_mended)
{
	for (size_t i = 0; i < COUNT_OF(edits); i++) {
		rig_begin_tracked(&rig);
		make_edit(&edits[i]);
		rig_book(&rig, "bob", 10, 20);
		rig_until_shown(&rig);
		AT_ROW(i, peer_count(rig.peer, "HSET user:ann") == 0);
		rig_end(&rig);
	}
}

TEST(at_rest_nothing_is_read)
{
	rig_begin_tracked(&rig);
	loop_run_for(&rig.loop, SOON_MS);
	assert_int_equal(n_reads(), 0);
	assert_int_equal(rig_count_whole(&rig), 0);
	rig_end(&rig);
}

TEST(what_is_written_beside_our_fields_costs_one_read_and_no_write)
{
	rig_begin_tracked(&rig);
	peer_hset(rig.peer, "user:bob", "usedTraffic", "7");
	rig_until_seen(&rig, "HMGET user:bob", 1);
	rig_until(&rig, is_shown);
	loop_run_for(&rig.loop, SOON_MS);
	assert_int_equal(n_reads(), 1);
	assert_int_equal(rig_count_whole(&rig), 0);
	assert_int_equal(rig_stats(&rig).view.n_differences, 0);
	rig_end(&rig);
}

static bool is_bob_doubtful(const void *arg)
{
	return rig_stats(arg).view.unverified_users == 1;
}

TEST(a_user_that_was_told_of_is_not_asked_for_until_it_was_compared)
{
	const struct user *bob;

	rig_begin_tracked(&rig);
	bob = ledger_find_user(rig.ledger, "bob");
	live_set_repair_rate(rig.live, 0);
	peer_hset(rig.peer, "user:bob", "usedTraffic", "2");
	rig_until(&rig, is_bob_doubtful);
	assert_false(live_read(rig.live, bob, NULL, NULL));
	assert_int_equal(n_reads(), 0);
	live_set_repair_rate(rig.live, FAST);
	rig_until(&rig, is_shown);
	rig_end(&rig);
}

/* What is told */

TEST(keys_that_are_no_users_are_passed_over)
{
	static const char *const rows[] = {MESSAGE "*1\r\n$8\r\nuser:zoe\r\n",
		MESSAGE "*1\r\n$4\r\nuser\r\n", MESSAGE "*1\r\n$5\r\nuser:\r\n",
		MESSAGE "*2\r\n$3\r\nbob\r\n$9\r\nuserx:bob\r\n", MESSAGE "*0\r\n",
		MESSAGE "*1\r\n$0\r\n\r\n", MESSAGE "*1\r\n$9\r\nuser:bob \r\n",
		MESSAGE "$3\r\nbob\r\n",
		"*3\r\n$7\r\nmessage\r\n*1\r\n$1\r\nx\r\n$1\r\nx\r\n"};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		rig_begin_tracked(&rig);
		peer_tell(rig.peer, rows[i]);
		peer_hset(rig.peer, "user:ann", "usedTraffic", "3");
		rig_until_seen(&rig, "HMGET user:ann", 1);
		loop_run_for(&rig.loop, RIG_A_WHILE_MS);
		AT_ROW(i, n_reads() == 1);
		AT_ROW(i, peer_count(rig.peer, "(listener)") == 0);
		rig_end(&rig);
	}
}

TEST(a_name_with_a_nul_in_it_is_nobody)
{
	rig_begin_tracked(&rig);
	peer_hset_bytes(rig.peer, "user:bob\0x", 10, "usedTraffic", "9", 1);
	peer_hset(rig.peer, "user:ann", "usedTraffic", "3");
	rig_until_seen(&rig, "HMGET user:ann", 1);
	assert_int_equal(n_reads(), 1);
	rig_end(&rig);
}

TEST(nonsense_on_the_second_connection_ends_it_alone_and_all_are_read_when_it_is_back)
{
	static const char *const rows[] = {"garbage\r\n", ":1\r\n", "+OK\r\n", "*0\r\n",
		"-ERR no\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n",
		MESSAGE "*1\r\n:1\r\n", MESSAGE "*1\r\n*1\r\n$8\r\nuser:bob\r\n",
		MESSAGE "*2\r\n$8\r\nuser:bob\r\n$-1\r\n",
		"*2\r\n*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n*1\r\n:1\r\n$1\r\nx\r\n",
		"*70000\r\n"};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		rig_begin_tracked(&rig);
		peer_tell(rig.peer, rows[i]);
		rig_until_seen(&rig, "(listener)", 1);
		rig_until_seen(&rig, "HMGET user:ann", 1);
		rig_until_seen(&rig, "HMGET user:bob", 1);
		AT_ROW(i, peer_count(rig.peer, "(connection)") == 0);
		AT_ROW(i, rig_count_whole(&rig) == 0);
		rig_end(&rig);
	}
}

/* All of them */

TEST(an_emptied_redis_is_claimed_and_all_are_written)
{
	rig_begin_tracked(&rig);
	peer_wipe(rig.peer);
	rig_until_seen(&rig, "HSET user:ann usedTraffic", 1);
	rig_until_shown(&rig);
	assert_true(peer_saw_before(rig.peer, "GET " INSTANCE_KEY, "HSET"));
	assert_true(peer_saw_before(rig.peer, "SET " INSTANCE_KEY, "HSET"));
	assert_int_equal(rig_count_whole(&rig), 2);
	rig_end(&rig);
}

TEST(where_all_may_have_been_changed_and_the_owner_is_there_all_are_read_and_none_written)
{
	rig_begin_tracked(&rig);
	peer_hold(rig.peer, "GET");
	peer_tell(rig.peer, MESSAGE "*-1\r\n");
	rig_until_seen(&rig, "GET " INSTANCE_KEY, 1);
	loop_run_for(&rig.loop, SOON_MS);
	assert_int_equal(n_reads(), 0); /* the owner has to answer first */
	peer_release(rig.peer);
	rig_until_seen(&rig, "HMGET", 2);
	loop_run_for(&rig.loop, SOON_MS);
	assert_int_equal(peer_count(rig.peer, "HMGET user:ann"), 1);
	assert_int_equal(peer_count(rig.peer, "HMGET user:bob"), 1);
	assert_int_equal(rig_count_whole(&rig), 0);
	rig_end(&rig);
}

/* A lap of two: whoever is read first is where the next lap begins, and its last. */
TEST(the_user_at_which_a_lap_begins_is_read_at_its_end)
{
	char id[4];

	rig_begin_tracked(&rig);
	live_set_repair_rate(rig.live, 1); /* one, and then nobody for a while */
	peer_tell(rig.peer, MESSAGE "*-1\r\n");
	rig_until_seen(&rig, "HMGET", 1);
	(void)snprintf(id, sizeof(id), "%s",
		peer_line(rig.peer, "HMGET", 1) + strlen("HMGET user:"));
	peer_track(rig.peer, false);
	rig_hash(&rig, id, "1");
	peer_track(rig.peer, true);
	peer_tell(rig.peer, MESSAGE "*-1\r\n");
	rig_until_seen(&rig, "GET " INSTANCE_KEY, 2);
	live_set_repair_rate(rig.live, FAST);
	rig_until(&rig, is_shown);
	assert_int_equal(rig_stats(&rig).view.n_differences, 1);
	rig_end(&rig);
}

/* As SWAPDB may do it, which is told to nobody. */
TEST(a_redis_that_became_an_earlier_copy_of_itself_is_read)
{
	char value[192];

	rig_begin_tracked(&rig);
	(void)snprintf(value, sizeof(value), "%s", peer_get(rig.peer, HOLDER_KEY));
	rig_until_seen(&rig, "SET " HOLDER_KEY, 1);
	peer_track(rig.peer, false);
	peer_set(rig.peer, HOLDER_KEY, value);
	rig_hash(&rig, "bob", "1");
	peer_track(rig.peer, true);
	rig_until_seen(&rig, "HSET user:bob usedTraffic", 1);
	rig_until(&rig, is_shown);
	assert_int_equal(peer_count(rig.peer, "(connection)"), 0);
	rig_end(&rig);
}

/* Floods */

TEST(a_message_of_any_number_of_keys_is_taken_key_by_key)
{
	static char bytes[240000];
	char *end = bytes + sprintf(bytes, MESSAGE "*30000\r\n");

	for (unsigned i = 0; i < 29999; i++)
		end += sprintf(end, "$1\r\nx\r\n");
	(void)sprintf(end, "$8\r\nuser:bob\r\n");
	rig_begin_tracked(&rig);
	peer_tell(rig.peer, bytes);
	rig_until_seen(&rig, "HMGET user:bob", 1);
	assert_int_equal(n_reads(), 1);
	assert_int_equal(peer_count(rig.peer, "(listener)"), 0);
	rig_end(&rig);
}

#define N_MANY 2500

TEST(an_edit_of_thousands_of_users_is_mended_at_the_repair_rate)
{
	char key[32];

	rig_begin_tracked(&rig);
	for (unsigned i = 0; i < N_MANY; i++)
		rig_book(&rig, sample_name(i), 1, 2);
	rig_until_shown(&rig);
	peer_forget(rig.peer);
	for (unsigned i = 0; i < N_MANY; i++) {
		(void)snprintf(key, sizeof(key), "user:%s", sample_name(i));
		peer_hset(rig.peer, key, "inputBytes", "999");
	}
	rig_until_shown(&rig);
	assert_int_equal(rig_count_whole(&rig), N_MANY);
	assert_int_equal(n_reads(), N_MANY);
	assert_int_equal(peer_count(rig.peer, "(listener)"), 0);
	rig_end(&rig);
}

TEST(a_key_that_is_written_all_the_time_is_read_at_a_bounded_rate_and_holds_nobody_up)
{
	uint64_t began, before;
	unsigned n_booked = 0;

	rig_begin_tracked(&rig);
	before = rig_total(&rig, "ann").used;
	began = uv_now(&rig.loop);
	for (unsigned i = 0; i < 2000; i++) {
		peer_hset(rig.peer, "user:bob", "usedTraffic", "7");
		if (i % 100 == 0) {
			rig_book(&rig, "ann", 1, 0);
			n_booked++;
			while (!rig_is_shown(&rig, "ann"))
				(void)uv_run(&rig.loop, UV_RUN_ONCE);
		}
		(void)uv_run(&rig.loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(rig_total(&rig, "ann").used, before + n_booked);
	assert_true(n_reads() <= (uv_now(&rig.loop) - began) / TICK_MS + 2);
	rig_until(&rig, is_shown);
	assert_int_equal(peer_count(rig.peer, "HSET user:bob"), 0);
	assert_int_equal(peer_count(rig.peer, "(listener)"), 0);
	rig_end(&rig);
}

TEST(what_is_told_waits_while_nothing_may_be_read)
{
	rig_begin_tracked(&rig);
	live_set_repair_rate(rig.live, 0);
	peer_hset(rig.peer, "user:bob", "usedTraffic", "9");
	rig_until(&rig, is_bob_doubtful);
	peer_hset(rig.peer, "user:ann", "usedTraffic", "9");
	loop_run_for(&rig.loop, SOON_MS);
	assert_int_equal(
		rig_stats(&rig).view.unverified_users, 1); /* ann waits in Redis */
	live_set_repair_rate(rig.live, FAST);
	rig_until_seen(&rig, "HSET user:ann usedTraffic", 1);
	rig_until(&rig, is_shown);
	assert_int_equal(peer_count(rig.peer, "(listener)"), 0);
	rig_end(&rig);
}

/* Coming and going */

TEST(what_was_edited_while_the_second_connection_was_lost_is_found_when_it_is_back)
{
	rig_begin_tracked(&rig);
	peer_drop_listener(rig.peer);
	peer_hset(rig.peer, "user:bob", "inputBytes", "2");
	rig_until_seen(&rig, "(listener)", 1);
	rig_until_seen(&rig, "HSET user:bob usedTraffic", 1);
	rig_until(&rig, is_shown);
	rig_until_tracked(&rig);
	assert_int_equal(peer_count(rig.peer, "(connection)"), 0);
	assert_true(
		peer_saw_before(rig.peer, "CLIENT TRACKING OFF", "CLIENT TRACKING ON"));
	peer_forget(rig.peer);
	peer_hset(rig.peer, "user:ann", "inputBytes", "2");
	rig_until_seen(&rig, "HSET user:ann usedTraffic", 1);
	rig_end(&rig);
}

TEST(what_was_edited_before_redis_began_to_tell_is_found)
{
	rig_begin_linked(&rig);
	peer_track(rig.peer, true);
	rig_book(&rig, "ann", 1, 2);
	rig_book(&rig, "bob", 3, 4);
	rig.config.repair_rate = 0; /* so that nobody looks */
	peer_hold(rig.peer, "SUBSCRIBE");
	rig_start(&rig);
	rig_until_shown(&rig);
	assert_string_equal(rig_stats(&rig).edits, "");
	peer_forget(rig.peer);
	peer_hset(rig.peer, "user:bob", "inputBytes", "2");
	peer_release(rig.peer);
	rig_until_tracked(&rig);
	live_set_repair_rate(rig.live, FAST);
	rig_until_seen(&rig, "HSET user:bob usedTraffic", 1);
	rig_until(&rig, is_shown);
	rig_end(&rig);
}

TEST(a_new_connection_is_tracked_again)
{
	rig_begin_tracked(&rig);
	peer_drop(rig.peer);
	rig_until_seen(&rig, "(connection)", 1);
	rig_until_seen(&rig, "CLIENT TRACKING ON", 1);
	rig_until_shown(&rig);
	rig_until_tracked(&rig);
	peer_forget(rig.peer);
	peer_delete(rig.peer, "user:bob");
	rig_until_seen(&rig, "HSET user:bob usedTraffic", 1);
	rig_until(&rig, is_shown);
	rig_end(&rig);
}

/* Refusals */

static bool is_told(const struct live_rig *at)
{
	return strcmp(rig_stats(at).edits, "told") == 0;
}

static bool is_known_whether_told(const void *arg)
{
	return rig_stats(arg).edits[0] != '\0';
}

TEST(where_redis_does_not_tell_of_edits_they_are_looked_for)
{
	static const struct {
		const char *head, *reply;
	} rows[] = {{"CLIENT ID", "-NOPERM no\r\n"}, {"CLIENT ID", "$2\r\nab\r\n"},
		{"SUBSCRIBE", "-NOPERM no\r\n"}, {"SUBSCRIBE", "+OK\r\n"},
		{"CLIENT TRACKING ON", "-ERR unknown subcommand\r\n"},
		{"CLIENT TRACKING ON", ":1\r\n"}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		rig_begin_linked(&rig);
		peer_track(rig.peer, true);
		peer_answer(rig.peer, rows[i].head, 0, rows[i].reply);
		rig_book(&rig, "ann", 1, 2);
		rig_book(&rig, "bob", 3, 4);
		rig_start(&rig);
		rig_until_seen(&rig, rows[i].head, 1);
		rig_until_shown(&rig);
		rig_until_seen(&rig, "HMGET", 1);
		AT_ROW(i, strcmp(rig_stats(&rig).edits, "walked") == 0);
		AT_ROW(i, rig_stats(&rig).error[0] == '\0');
		AT_ROW(i, peer_count(rig.peer, "(connection)") == 1);
		AT_ROW(i, peer_count(rig.peer, "(listener)") == 1);
		peer_forget(rig.peer);
		peer_hset(rig.peer, "user:bob", "inputBytes", "2");
		rig_until_seen(&rig, "HSET user:bob usedTraffic", 1);
		rig_until(&rig, is_shown);
		rig_end(&rig);
	}
}

TEST(a_version_that_does_not_tell_of_all_edits_is_not_relied_on)
{
	static const struct {
		const char *info;
		bool is_told;
	} rows[] = {{"redis_version:6.0.14\r\n", false},
		{"redis_version:6.2.4\r\n", false}, {"redis_version:6.3.4\r\n", false},
		{"redis_version:6.0.15\r\n", true}, {"redis_version:6.2.5\r\n", true},
		{"redis_version:7.0.15\r\n", true}, {"redis_version:x\r\n", true},
		{"", true}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		rig_begin_linked(&rig);
		peer_track(rig.peer, true);
		peer_set_info(rig.peer, rows[i].info);
		rig_book(&rig, "ann", 1, 2);
		rig_start(&rig);
		rig_until_shown(&rig);
		rig_until(&rig, is_known_whether_told);
		AT_ROW(i, rows[i].is_told == is_told(&rig));
		rig_until_seen(&rig, "CLIENT TRACKING OFF", rows[i].is_told ? 1 : 2);
		AT_ROW(i, peer_count(rig.peer, "(connection)") == 1);
		rig_end(&rig);
	}
}

/* Edits that are not told of: ours has followed at once */

static void make_silent_edit(const struct edit *edit)
{
	peer_track(rig.peer, false);
	make_edit(edit);
	peer_track(rig.peer, true);
}

TEST(an_edit_that_is_not_told_of_is_written_over_by_one_command_of_all_three_fields)
{
	for (size_t i = 0; i < COUNT_OF(edits); i++) {
		bool is_removal = edits[i].value == NULL;

		rig_begin_tracked(&rig);
		make_silent_edit(&edits[i]);
		rig_book(&rig, "bob", 10, 20);
		rig_until_seen(&rig,
			"HSET user:bob usedTraffic 37 inputBytes 13 outputBytes 24\n", 1);
		rig_until_shown(&rig);
		AT_ROW(i, peer_count(rig.peer, "HINCRBY") == 0 && n_reads() == 0);
		AT_ROW(i, peer_count(rig.peer, "HSET user:ann") == 0);
		AT_ROW(i, rig_stats(&rig).view.n_differences == is_removal);
		rig_end(&rig);
	}
}

static const struct edit removal = {"inputBytes", NULL};

TEST(a_reply_that_differs_concerns_that_user_alone_and_shows_nobody)
{
	uint64_t before;

	rig_begin_tracked(&rig);
	before = live_shown_index(rig.live, SHOW_FIRST);
	make_silent_edit(&removal);
	peer_hold(rig.peer, "GET");
	rig_book(&rig, "ann", 1, 0);
	rig_book(&rig, "bob", 1, 0);
	rig_until_seen(&rig, "GET " INSTANCE_KEY, 1);
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	assert_int_equal(
		live_shown_index(rig.live, SHOW_FIRST), before); /* not even ann */
	peer_release(rig.peer);
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, "HSET user:ann"), 1);
	assert_int_equal(peer_count(rig.peer, "HSET user:bob"), 2);
	assert_int_equal(n_reads(), 0);
	assert_int_equal(rig_stats(&rig).view.n_differences, 1);
	rig_end(&rig);
}

/* The owner is being asked already when the first one differs: that answer comes before
 * the second one's reply. */
TEST(what_was_sent_before_a_difference_was_seen_is_no_second_one)
{
	rig_begin_tracked(&rig);
	make_silent_edit(&removal);
	peer_hold(rig.peer, "HSET");
	rig_book(&rig, "bob", 1, 0);
	rig_until_seen(&rig, "HSET", 1);
	rig_until_seen(&rig, "GET " INSTANCE_KEY, 1);
	make_silent_edit(&removal);
	rig_book(&rig, "bob", 1, 0);
	rig_until_seen(&rig, "HSET", 2);
	peer_release(rig.peer);
	rig_until_shown(&rig);
	assert_int_equal(rig_stats(&rig).view.n_differences, 1);
	assert_int_equal(peer_count(rig.peer, "HSET"), 3);
	rig_end(&rig);
}

/* Refused users */

static bool is_refused(const void *arg)
{
	return rig_stats(arg).view.refused_users == 1;
}

TEST(a_refused_user_is_shown_as_soon_as_its_key_is_free)
{
	rig_begin_tracked(&rig);
	peer_set(rig.peer, "user:cid", "mine");
	rig_book(&rig, "cid", 5, 0);
	rig_until(&rig, is_refused);
	rig_book(&rig, "cid", 6, 0);
	peer_set(rig.peer, "user:cid", "still mine");
	rig_until_seen(&rig, "HSET user:cid", 2);
	rig_until(&rig, is_refused);
	peer_delete(rig.peer, "user:cid");
	rig_until_shown(&rig);
	assert_string_equal(peer_hget(rig.peer, "user:cid", "usedTraffic"), "11");
	assert_int_equal(rig_stats(&rig).view.refused_users, 0);
	assert_int_equal(rig_stats(&rig).view.n_differences, 0);
	rig_end(&rig);
}

TEST(a_user_that_is_refused_for_no_reason_is_tried_again)
{
	rig_begin_tracked(&rig);
	peer_answer(rig.peer, "HSET user:cid", 1, "-ERR odd\r\n");
	rig_book(&rig, "cid", 5, 0);
	rig_until_seen(&rig, "HSET user:cid", 2);
	rig_until_shown(&rig);
	assert_int_equal(n_reads(), 0);
	rig_end(&rig);
}

TEST(a_user_whose_hash_becomes_something_else_and_a_hash_again_is_shown)
{
	rig_begin_tracked(&rig);
	peer_set(rig.peer, "user:bob", "mine");
	rig_until(&rig, is_refused);
	assert_string_equal(peer_get(rig.peer, "user:bob"), "mine");
	peer_delete(rig.peer, "user:bob");
	rig_until_shown(&rig);
	assert_int_equal(rig_stats(&rig).view.n_differences, 1);
	rig_end(&rig);
}

/* Ends */

TEST(a_close_ends_well_wherever_tracking_has_come_to)
{
	static const char *const heads[] = {"CLIENT ID", "SUBSCRIBE",
		"CLIENT TRACKING OFF", "CLIENT TRACKING ON", "HMGET", "HSET"};

	for (size_t i = 0; i < COUNT_OF(heads); i++) {
		rig_begin_linked(&rig);
		peer_track(rig.peer, true);
		rig_book(&rig, "ann", 1, 2);
		peer_hold(rig.peer, heads[i]);
		rig_start(&rig);
		if (strcmp(heads[i], "HMGET") == 0) {
			rig_until_tracked(&rig);
			peer_delete(rig.peer, "user:ann");
		}
		rig_until_seen(&rig, heads[i], 1);
		rig_end(&rig);
	}
}

TEST(whichever_allocation_fails_edits_are_mended_in_the_end)
{
	bool has_fired = true;

	for (unsigned n = 1; has_fired; n++) {
		rig_begin_linked(&rig);
		peer_track(rig.peer, true);
		rig_book(&rig, "ann", 1, 2);
		rig_build(&rig);
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		rig_start(&rig);
		rig_until_shown(&rig);
		rig_until_tracked(&rig);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		peer_delete(rig.peer, "user:ann");
		rig_until_shown(&rig);
		rig_end(&rig);
		assert_true(n < 100);
	}
}

/* The next thing that needs memory behind that fails. */
static void fail_behind_subscribe(void *arg, const char *command)
{
	(void)arg;
	if (strncmp(command, "SUBSCRIBE", 9) != 0)
		return;
	peer_watch(rig.peer, NULL, NULL);
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
}

/* With the two questions of each second one command more fits without growing. */
#define N_OUTSTANDING 61

TEST(memory_that_is_short_when_redis_is_asked_to_tell_is_no_reason_never_to_be_told)
{
	rig_begin_tracked(&rig);
	live_set_repair_rate(rig.live, 0);
	peer_hold(rig.peer, "GET");
	rig_until_seen(&rig, "GET", 2);
	for (unsigned i = 0; i < N_OUTSTANDING; i++)
		rig_book(&rig, sample_name(i), 1, 1);
	rig_until_seen(&rig, "HSET", N_OUTSTANDING);
	peer_watch(rig.peer, fail_behind_subscribe, NULL);
	peer_drop_listener(rig.peer);
	rig_until_seen(&rig, "(connection)", 1);
	assert_true(faults_fired(FAULT_MEMORY));
	live_set_repair_rate(rig.live, FAST);
	peer_release(rig.peer);
	rig_until_shown(&rig);
	rig_until_tracked(&rig);
	rig_end(&rig);
}

/* The walk itself */

/* In no particular order. */
static void load_three(struct walk *walk)
{
	*walk = (struct walk){.ledger = rig.ledger};
	rig_load(&rig, "a", (struct totals){1, 1, 0});
	rig_load(&rig, "b", (struct totals){1, 1, 0});
	rig_load(&rig, "c", (struct totals){1, 1, 0});
}

TEST(laps_that_are_begun_anew_all_the_time_leave_nobody_out)
{
	const struct user *met[6];
	struct walk walk;

	rig_begin(&rig);
	load_three(&walk);
	for (size_t i = 0; i < COUNT_OF(met); i++) {
		walk_begin_lap(&walk, LAP_READ);
		met[i] = walk_step(&walk);
		assert_non_null(met[i]);
	}
	for (size_t i = 0; i < 3; i++) {
		assert_ptr_not_equal(met[i], met[(i + 1) % 3]);
		assert_ptr_equal(met[i], met[i + 3]);
	}
	rig_end(&rig);
}

TEST(a_lap_sees_each_user_once_wherever_it_begins_and_whoever_comes)
{
	const struct user *user, *met[8];
	struct walk walk;
	size_t n;

	for (unsigned n_before = 0; n_before < 4; n_before++) {
		rig_begin(&rig);
		load_three(&walk);
		walk_begin_lap(&walk, LAP_WRITE);
		for (unsigned i = 0; i < n_before; i++)
			(void)walk_step(&walk);
		walk_begin_lap(&walk, LAP_WRITE);
		met[0] = walk_step(&walk);
		n = 1;
		rig_load(&rig, "d", (struct totals){1, 1, 0});
		while (walk.lap != LAP_NONE) {
			user = walk_step(&walk);
			for (size_t i = 0; i < n; i++)
				assert_ptr_not_equal(user, met[i]);
			if (user != NULL)
				met[n++] = user;
		}
		AT_ROW(n_before, n >= 3 && n <= 4);
		rig_end(&rig);
	}
}

TEST(a_lap_over_nobody_is_over)
{
	struct walk walk = {0};

	rig_begin(&rig);
	walk.ledger = rig.ledger;
	walk_begin_lap(&walk, LAP_WRITE);
	assert_null(walk_step(&walk));
	assert_int_equal(walk.lap, LAP_NONE);
	rig_end(&rig);
}

TEST(what_finds_no_room_among_those_that_were_told_of_says_so)
{
	struct walk walk = {0};
	struct user *user;

	rig_begin(&rig);
	rig_load(&rig, "a", (struct totals){1, 1, 0});
	user = ledger_next_user(rig.ledger, NULL);
	for (unsigned i = 0; i < WALK_MAX_TOLD; i++)
		assert_true(walk_tell(&walk, user));
	assert_false(walk_tell(&walk, user));
	for (unsigned i = 0; i < WALK_MAX_TOLD; i++)
		assert_ptr_equal(walk_take_told(&walk), user);
	assert_null(walk_take_told(&walk));
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			each_kind_of_edit_of_an_idle_user_is_mended_and_nobody_else_is_read_or_written),
		cmocka_unit_test(each_kind_of_edit_of_a_user_with_traffic_is_mended),
		cmocka_unit_test(at_rest_nothing_is_read),
		cmocka_unit_test(
			what_is_written_beside_our_fields_costs_one_read_and_no_write),
		cmocka_unit_test(
			a_user_that_was_told_of_is_not_asked_for_until_it_was_compared),
		cmocka_unit_test(keys_that_are_no_users_are_passed_over),
		cmocka_unit_test(a_name_with_a_nul_in_it_is_nobody),
		cmocka_unit_test(
			nonsense_on_the_second_connection_ends_it_alone_and_all_are_read_when_it_is_back),
		cmocka_unit_test(an_emptied_redis_is_claimed_and_all_are_written),
		cmocka_unit_test(
			where_all_may_have_been_changed_and_the_owner_is_there_all_are_read_and_none_written),
		cmocka_unit_test(the_user_at_which_a_lap_begins_is_read_at_its_end),
		cmocka_unit_test(a_redis_that_became_an_earlier_copy_of_itself_is_read),
		cmocka_unit_test(a_message_of_any_number_of_keys_is_taken_key_by_key),
		cmocka_unit_test(
			an_edit_of_thousands_of_users_is_mended_at_the_repair_rate),
		cmocka_unit_test(
			a_key_that_is_written_all_the_time_is_read_at_a_bounded_rate_and_holds_nobody_up),
		cmocka_unit_test(what_is_told_waits_while_nothing_may_be_read),
		cmocka_unit_test(
			what_was_edited_while_the_second_connection_was_lost_is_found_when_it_is_back),
		cmocka_unit_test(what_was_edited_before_redis_began_to_tell_is_found),
		cmocka_unit_test(a_new_connection_is_tracked_again),
		cmocka_unit_test(where_redis_does_not_tell_of_edits_they_are_looked_for),
		cmocka_unit_test(
			a_version_that_does_not_tell_of_all_edits_is_not_relied_on),
		cmocka_unit_test(
			an_edit_that_is_not_told_of_is_written_over_by_one_command_of_all_three_fields),
		cmocka_unit_test(
			a_reply_that_differs_concerns_that_user_alone_and_shows_nobody),
		cmocka_unit_test(
			what_was_sent_before_a_difference_was_seen_is_no_second_one),
		cmocka_unit_test(a_refused_user_is_shown_as_soon_as_its_key_is_free),
		cmocka_unit_test(a_user_that_is_refused_for_no_reason_is_tried_again),
		cmocka_unit_test(
			a_user_whose_hash_becomes_something_else_and_a_hash_again_is_shown),
		cmocka_unit_test(a_close_ends_well_wherever_tracking_has_come_to),
		cmocka_unit_test(whichever_allocation_fails_edits_are_mended_in_the_end),
		cmocka_unit_test(
			memory_that_is_short_when_redis_is_asked_to_tell_is_no_reason_never_to_be_told),
		cmocka_unit_test(laps_that_are_begun_anew_all_the_time_leave_nobody_out),
		cmocka_unit_test(
			a_lap_sees_each_user_once_wherever_it_begins_and_whoever_comes),
		cmocka_unit_test(a_lap_over_nobody_is_over),
		cmocka_unit_test(
			what_finds_no_room_among_those_that_were_told_of_says_so),
	};

	return RUN_TESTS(tests);
}
