/*
 * Whose Redis it is, what has to be known before anything is written there, and what
 * happens when the connection comes and goes. Each test has a peer, a ledger and a loop
 * of its own. What is written is in test_view.c.
 */
#include "lib/test.h"
#include "lib/faults.h"
#include "lib/live_rig.h"
#include "lib/loop.h"
#include "live/link.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLAIM_OWN "SET " INSTANCE_KEY " " RIG_OWN_ID " NX\n"
#define TAKE_OVER "SET " INSTANCE_KEY " " RIG_OWN_ID "\n"
#define UNFENCED_WAIT_MS 2000

static struct live_rig rig;

static bool has_link(const void *arg)
{
	return ((const struct live_rig *)arg)->n_links > 0;
}

static void load_link(const char *claim)
{
	struct link_record link = {.at_ms = 5};

	(void)snprintf(link.claim, sizeof(link.claim), "%s", claim);
	ledger_load_link(rig.ledger, &link);
}

static const char *claim(void)
{
	return ledger_link(rig.ledger)->claim;
}

static void expect_owner(const char *id)
{
	assert_string_equal(peer_get(rig.peer, INSTANCE_KEY), id);
}

/* A little later nothing was written, and it is not up. */
static void expect_no_write(void)
{
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	assert_true(rig_saw_no_write(&rig));
	assert_int_not_equal(live_get_state(rig.live), LIVE_UP);
}

/* Linking */

TEST(a_first_start_adds_what_stands_in_redis_and_writes_nothing_before_that_is_saved)
{
	rig_begin(&rig);
	rig.saves_links = false;
	rig_hash(&rig, "ann", "5");
	peer_hset(rig.peer, "user:bob", "inputBytes", "7");
	rig_book(&rig, "ann", 10, 20);
	rig_start(&rig);
	rig_until(&rig, has_link);
	assert_int_equal(live_get_state(rig.live), LIVE_LINKING);
	assert_int_equal(rig_total(&rig, "ann").used, 35);
	assert_int_equal(rig_total(&rig, "ann").input, 10);
	assert_int_equal(rig_total(&rig, "bob").input, 7);
	assert_false(ledger_is_link_saved(rig.ledger));
	assert_int_not_equal(ledger_link(rig.ledger)->at_ms, 0);
	live_link_saved(rig.live); /* something else was */
	expect_no_write();

	rig_save(&rig);
	rig_until_shown(&rig);
	assert_int_equal(rig.n_links, 2); /* the claim, and its end */
	assert_int_equal(peer_count(rig.peer, "SCAN"), 1);
	assert_int_equal(peer_count(rig.peer, CLAIM_OWN), 1);
	assert_true(peer_saw_before(rig.peer, CLAIM_OWN, "HSET"));
	assert_true(peer_saw_before(rig.peer, "SETRANGE", "HSET"));
	assert_string_equal(peer_hget(rig.peer, "user:ann", "usedTraffic"), "35");
	rig_end(&rig);
}

TEST(what_was_adopted_and_the_link_are_in_one_cut)
{
	struct cut *cut;

	rig_begin(&rig);
	rig.saves_links = false;
	rig_hash(&rig, "ann", "5");
	rig_start(&rig);
	rig_until(&rig, has_link);
	assert_true(ledger_is_dirty(rig.ledger));
	cut = ledger_cut(rig.ledger);
	assert_int_equal(cut->users.n, 1);
	assert_int_equal(cut_user(cut, 0)->increment.used, 5);
	assert_true(cut->has_link);
	assert_string_not_equal(cut->link.claim, "");
	ledger_cut_committed(rig.ledger, cut);
	rig_end(&rig);
}

TEST(an_empty_redis_is_linked_before_it_is_written_as_well)
{
	rig_begin(&rig);
	rig.saves_links = false;
	rig_book(&rig, "ann", 1, 2);
	rig_start(&rig);
	rig_until(&rig, has_link);
	expect_no_write();
	rig_save(&rig);
	rig_until_shown(&rig);
	rig_end(&rig);
}

TEST(a_start_that_was_linked_before_adds_nothing_again)
{
	static const struct {
		const char *claim, *owner;
	} rows[] = {{"", NULL}, {"", RIG_OWN_ID}, {"-", NULL}, {"-", RIG_OWN_ID},
		{"other", RIG_OWN_ID}, {"other", NULL}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		rig_begin(&rig);
		load_link(rows[i].claim);
		if (rows[i].owner != NULL)
			peer_set(rig.peer, INSTANCE_KEY, rows[i].owner);
		rig_hash(&rig, "ann", "5");
		rig_load(&rig, "ann", (struct totals){30, 10, 20});
		rig_start(&rig);
		rig_until_shown(&rig);
		AT_ROW(i, peer_count(rig.peer, "SCAN") == 0);
		AT_ROW(i, rig.n_links == (rows[i].claim[0] != '\0'));
		AT_ROW(i, rig_total(&rig, "ann").used == 30);
		AT_ROW(i, claim()[0] == '\0');
		AT_ROW(i,
			(ledger_link(rig.ledger)->at_ms == 5) ==
				(rows[i].claim[0] == '\0'));
		expect_owner(RIG_OWN_ID);
		rig_end(&rig);
	}
}

TEST(a_key_that_is_ours_already_is_linked_without_adding)
{
	rig_begin(&rig);
	peer_set(rig.peer, INSTANCE_KEY, RIG_OWN_ID);
	rig_hash(&rig, "ann", "5");
	rig_book(&rig, "ann", 1, 0);
	rig_start(&rig);
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, "SCAN"), 0);
	assert_int_equal(rig_total(&rig, "ann").used, 1);
	assert_int_not_equal(ledger_link(rig.ledger)->at_ms, 0);
	rig_end(&rig);
}

static void begin_and_lose_with_unsaved_link(void)
{
	rig_begin(&rig);
	rig.saves_links = false;
	rig_hash(&rig, "ann", "5");
	rig_start(&rig);
	rig_until(&rig, has_link);
	peer_drop(rig.peer);
	rig_until_state(&rig, LIVE_DOWN);
}

TEST(a_connection_lost_before_the_link_is_saved_adds_nothing_twice)
{
	begin_and_lose_with_unsaved_link();
	rig_until_state(&rig, LIVE_LINKING);
	expect_no_write();
	rig_save(&rig);
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, "SCAN"), 1);
	assert_int_equal(rig.n_links, 2);
	assert_int_equal(rig_total(&rig, "ann").used, 5);
	rig_end(&rig);
}

TEST(a_link_that_is_saved_while_redis_is_away_is_completed_when_it_is_back)
{
	begin_and_lose_with_unsaved_link();
	rig_save(&rig);
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, "SCAN"), 1);
	assert_int_equal(rig_total(&rig, "ann").used, 5);
	rig_end(&rig);
}

TEST(who_claims_it_while_the_link_is_being_saved_is_left_alone)
{
	rig_begin(&rig);
	rig.saves_links = false;
	rig_start(&rig);
	rig_until(&rig, has_link);
	peer_set(rig.peer, INSTANCE_KEY, "faster");
	rig_save(&rig);
	rig_until_state(&rig, LIVE_FOREIGN);
	expect_no_write();
	rig_end(&rig);
}

TEST(who_claims_it_between_our_question_and_our_claim_is_left_alone)
{
	rig_begin(&rig);
	load_link("");
	rig_load(&rig, "ann", (struct totals){1, 1, 0});
	peer_answer(rig.peer, "GET " INSTANCE_KEY, 1, "$-1\r\n");
	peer_set(rig.peer, INSTANCE_KEY, "faster");
	rig_start(&rig);
	rig_until_state(&rig, LIVE_FOREIGN);
	assert_int_equal(peer_count(rig.peer, CLAIM_OWN), 1);
	assert_int_equal(peer_count(rig.peer, "HSET"), 0);
	expect_owner("faster");
	rig_end(&rig);
}

TEST(who_renames_it_behind_our_claim_is_left_alone)
{
	rig_begin(&rig);
	load_link("");
	rig_load(&rig, "ann", (struct totals){1, 1, 0});
	peer_set(rig.peer, INSTANCE_KEY, "faster");
	peer_answer(rig.peer, "GET " INSTANCE_KEY, 1, "$2\r\n" RIG_OWN_ID "\r\n");
	rig_start(&rig);
	rig_until_state(&rig, LIVE_FOREIGN);
	assert_int_equal(peer_count(rig.peer, "SETRANGE"), 1);
	assert_int_equal(peer_count(rig.peer, "HSET"), 0);
	rig_end(&rig);
}

TEST(a_first_start_that_is_to_overwrite_adds_nothing)
{
	rig_begin(&rig);
	rig.config.take_over = TAKE_OVER_OVERWRITE;
	rig.saves_links = false;
	rig_hash(&rig, "ann", "5");
	rig_book(&rig, "ann", 1, 2);
	rig_start(&rig);
	rig_until(&rig, has_link);
	expect_no_write();
	rig_save(&rig);
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, "SCAN"), 0);
	assert_int_equal(rig_total(&rig, "ann").used, 3);
	rig_end(&rig);
}

TEST(a_redis_without_an_owner_is_added_by_who_was_linked_only_if_asked_for_and_once)
{
	static const struct {
		const char *claim;
		enum live_take_over take_over;
		uint64_t used;
	} rows[] = {{"", TAKE_OVER_ADOPT, 35}, {"-", TAKE_OVER_ADOPT, 30},
		{"other", TAKE_OVER_ADOPT, 30}, {"", TAKE_OVER_OVERWRITE, 30},
		{"", TAKE_OVER_NOT, 30}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		rig_begin(&rig);
		load_link(rows[i].claim);
		rig.config.take_over = rows[i].take_over;
		rig_hash(&rig, "ann", "5");
		rig_load(&rig, "ann", (struct totals){30, 10, 20});
		rig_start(&rig);
		rig_until_shown(&rig);
		AT_ROW(i, rig_total(&rig, "ann").used == rows[i].used);
		AT_ROW(i, peer_count(rig.peer, "SCAN") == (rows[i].used != 30));
		rig_end(&rig);
	}
}

/* Another's */

static void begin_at_others(enum live_take_over take_over)
{
	rig_begin_linked(&rig);
	peer_set(rig.peer, INSTANCE_KEY, "other");
	rig.config.take_over = take_over;
	rig.saves_links = false;
	rig_hash(&rig, "ann", "5");
	rig_load(&rig, "ann", (struct totals){30, 10, 20});
	rig_start(&rig);
}

TEST(in_a_redis_of_another_nothing_is_written)
{
	begin_at_others(TAKE_OVER_NOT);
	rig_until_state(&rig, LIVE_FOREIGN);
	rig_book(&rig, "ann", 1, 0);
	expect_no_write();
	assert_int_equal(rig.n_links, 0);
	assert_non_null(strstr(rig_stats(&rig).error, "other"));
	assert_true(live_is_settled(rig.live));
	assert_string_equal(peer_hget(rig.peer, "user:ann", "usedTraffic"), "5");
	rig_end(&rig);
}

TEST(a_first_start_leaves_another_alone_too)
{
	rig_begin(&rig);
	peer_set(rig.peer, INSTANCE_KEY, "");
	rig_hash(&rig, "ann", "5");
	rig_start(&rig);
	rig_until_state(&rig, LIVE_FOREIGN);
	expect_no_write();
	assert_int_equal(peer_count(rig.peer, "SCAN"), 0);
	assert_int_equal(ledger_link(rig.ledger)->at_ms, 0);
	rig_end(&rig);
}

/* A third has it now: what was asked for once is not done again. */
static void expect_no_second_take_over(void)
{
	size_t n_taken = peer_count(rig.peer, "SET "),
	       n_scans = peer_count(rig.peer, "SCAN");

	peer_set(rig.peer, INSTANCE_KEY, "third");
	peer_drop(rig.peer);
	rig_until_state(&rig, LIVE_FOREIGN);
	assert_int_equal(peer_count(rig.peer, "SET "), n_taken);
	assert_int_equal(peer_count(rig.peer, "SCAN"), n_scans);
	expect_owner("third");
}

TEST(adopting_another_adds_its_totals_once_and_then_takes_its_name)
{
	begin_at_others(TAKE_OVER_ADOPT);
	rig_until(&rig, has_link);
	assert_string_equal(claim(), "other");
	expect_no_write();
	expect_owner("other");
	rig_save(&rig);
	rig_until_shown(&rig);
	assert_int_equal(rig_total(&rig, "ann").used, 35);
	assert_int_equal(peer_count(rig.peer, TAKE_OVER), 1);
	assert_true(peer_saw_before(rig.peer, TAKE_OVER, "HSET"));
	assert_string_equal(claim(), "");
	expect_owner(RIG_OWN_ID);
	expect_no_second_take_over();
	rig_end(&rig);
}

TEST(who_came_while_a_take_over_was_being_saved_is_left_alone)
{
	begin_at_others(TAKE_OVER_ADOPT);
	rig_until(&rig, has_link);
	peer_set(rig.peer, INSTANCE_KEY, "third");
	rig_save(&rig);
	rig_until_state(&rig, LIVE_FOREIGN);
	expect_no_write();
	assert_int_equal(peer_count(rig.peer, "SCAN"), 1);
	assert_int_equal(rig_total(&rig, "ann").used, 35);
	expect_owner("third");
	rig_end(&rig);
}

TEST(overwriting_another_adds_nothing_and_is_done_once)
{
	begin_at_others(TAKE_OVER_OVERWRITE);
	rig_until(&rig, has_link);
	expect_no_write();
	rig_save(&rig);
	rig_until_shown(&rig);
	assert_int_equal(rig_total(&rig, "ann").used, 30);
	assert_int_equal(peer_count(rig.peer, "SCAN"), 0);
	assert_true(peer_saw_before(rig.peer, TAKE_OVER, "HSET"));
	expect_no_second_take_over();
	rig_end(&rig);
}

TEST(a_take_over_that_was_not_needed_is_not_done_later)
{
	rig_begin_linked(&rig);
	peer_set(rig.peer, INSTANCE_KEY, RIG_OWN_ID);
	rig.config.take_over = TAKE_OVER_ADOPT;
	rig_start(&rig);
	rig_until_state(&rig, LIVE_UP);
	expect_no_second_take_over();
	rig_end(&rig);
}

TEST(a_take_over_that_died_behind_its_record_is_completed_without_adding_again)
{
	static const enum live_take_over rows[] = {
		TAKE_OVER_NOT, TAKE_OVER_ADOPT, TAKE_OVER_OVERWRITE};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		rig_begin(&rig);
		load_link("other");
		rig.config.take_over = rows[i];
		peer_set(rig.peer, INSTANCE_KEY, "other");
		rig_hash(&rig, "ann", "5");
		rig_load(&rig, "ann", (struct totals){30, 10, 20});
		rig_start(&rig);
		rig_until_shown(&rig);
		AT_ROW(i, peer_count(rig.peer, "SCAN") == 0);
		AT_ROW(i, rig.n_links == 1);
		AT_ROW(i, rig_total(&rig, "ann").used == 30);
		AT_ROW(i, claim()[0] == '\0');
		expect_owner(RIG_OWN_ID);
		rig_end(&rig);
	}
}

TEST(a_claim_to_one_gives_no_right_to_a_third)
{
	rig_begin(&rig);
	load_link("other");
	peer_set(rig.peer, INSTANCE_KEY, "third");
	rig_load(&rig, "ann", (struct totals){30, 10, 20});
	rig_start(&rig);
	rig_until_state(&rig, LIVE_FOREIGN);
	expect_no_write();
	assert_string_equal(claim(), "other");
	rig_end(&rig);
}

/* While it is up */

TEST(a_redis_that_is_emptied_is_claimed_again_and_every_user_written_anew)
{
	rig_begin_quiet(&rig);
	live_set_repair_rate(rig.live, 1000000);
	peer_wipe(rig.peer);
	rig_book(&rig, "ann", 1, 0);
	rig_until_seen(&rig, CLAIM_OWN, 1);
	rig_until_shown(&rig);
	expect_owner(RIG_OWN_ID);
	assert_true(peer_saw_before(rig.peer, CLAIM_OWN, "SETRANGE"));
	assert_true(peer_saw_before(rig.peer, "SETRANGE", "HSET user:ann usedTraffic"));
	assert_int_equal(peer_count(rig.peer, "(connection)"), 0);
	rig_end(&rig);
}

TEST(a_redis_that_gets_another_owner_is_left_at_the_first_reply_that_shows_it)
{
	rig_begin_quiet(&rig);
	peer_set(rig.peer, INSTANCE_KEY, "other");
	rig_hash(&rig, "ann", "1000");
	rig_book(&rig, "ann", 1, 0);
	rig_until_state(&rig, LIVE_FOREIGN);
	rig_book(&rig, "bob", 1, 0);
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	assert_int_equal(peer_count(rig.peer, "HINCRBY user:ann"), 1);
	assert_int_equal(peer_count(rig.peer, "HINCRBY user:bob"), 0);
	assert_int_equal(rig_count_whole(&rig), 0);
	expect_owner("other");
	rig_end(&rig);
}

TEST(the_owner_is_asked_again_while_nothing_happens)
{
	rig_begin_quiet(&rig);
	peer_set(rig.peer, INSTANCE_KEY, "other");
	rig_until_state(&rig, LIVE_FOREIGN);
	assert_true(rig_saw_no_write(&rig));
	rig_end(&rig);
}

TEST(an_answer_about_the_owner_that_is_none_drops_the_connection)
{
	static const struct {
		const char *head, *reply;
	} rows[] = {{"GET", "-WRONGTYPE a hash\r\n"}, {"GET", "-NOAUTH no\r\n"},
		{"GET", ":1\r\n"}, {"GET", "*0\r\n"}, {"SET ", "-OOM full\r\n"},
		{"SETRANGE", "-READONLY a replica\r\n"}, {"SETRANGE", "-MISCONF no\r\n"},
		{"SETRANGE", "garbage\r\n"}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		rig_begin_linked(&rig);
		rig_load(&rig, "ann", (struct totals){30, 10, 20});
		peer_answer(rig.peer, rows[i].head, 1, rows[i].reply);
		rig_start(&rig);
		rig_until_state(&rig, LIVE_DOWN);
		rig_until_seen(&rig, "(connection)", 2);
		AT_ROW(i, peer_count(rig.peer, "HSET") == 0);
		AT_ROW(i, rig_stats(&rig).error[0] != '\0');
		rig_until_shown(&rig);
		AT_ROW(i, rig_stats(&rig).error[0] == '\0');
		rig_end(&rig);
	}
}

/* The fence */

static const char earlier_ones[] = "id=101 addr=10.0.0.1:1 name=tallyd:me age=7 idle=7\n"
				   "id=102 addr=10.0.0.1:2 name=tallyd:me2 age=7 idle=7\n"
				   "id=103 addr=10.0.0.1:3 name= age=7 idle=7\n"
				   "id=104 addr=10.0.0.1:4 name=tallyd:me age=9 idle=7\n"
				   "name=tallyd:me \n";

TEST(nothing_is_written_before_our_earlier_connections_are_killed)
{
	rig_begin_linked(&rig);
	rig_load(&rig, "ann", (struct totals){30, 10, 20});
	peer_set_clients(rig.peer, earlier_ones);
	peer_hold(rig.peer, "CLIENT KILL ID 104");
	rig_start(&rig);
	rig_until_seen(&rig, "CLIENT KILL ID 104", 1);
	expect_no_write();
	assert_non_null(
		strstr(peer_line(rig.peer, "CLIENT", 1), "CLIENT SETNAME tallyd:me:"));
	peer_release(rig.peer);
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, "CLIENT KILL ID 101\n"), 1);
	assert_int_equal(peer_count(rig.peer, "CLIENT KILL ID 102"), 0);
	assert_int_equal(peer_count(rig.peer, "CLIENT KILL ID 103"), 0);
	rig_end(&rig);
}

TEST(the_first_linking_waits_for_the_fence_as_well)
{
	rig_begin(&rig);
	rig_hash(&rig, "ann", "5");
	peer_hold(rig.peer, "CLIENT LIST");
	rig_start(&rig);
	rig_until_seen(&rig, "CLIENT LIST", 1);
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	assert_int_equal(peer_count(rig.peer, "SCAN"), 0);
	peer_release(rig.peer);
	rig_until_shown(&rig);
	rig_end(&rig);
}

static bool is_settled_unfenced(const void *arg)
{
	const struct live_rig *at = arg;

	return live_is_settled(at->live) && live_get_state(at->live) == LIVE_CHECKING;
}

TEST(a_redis_that_does_not_let_us_fence_is_not_written_at_once)
{
	static const char *const rows[] = {
		"CLIENT SETNAME", "CLIENT LIST", "CLIENT KILL ID 101"};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		rig_begin_linked(&rig);
		rig_load(&rig, "ann", (struct totals){30, 10, 20});
		peer_set_clients(rig.peer, earlier_ones);
		peer_answer(rig.peer, rows[i], 1, "-NOPERM no CLIENT\r\n");
		rig_start(&rig);
		rig_until(&rig, is_settled_unfenced);
		expect_no_write();
		rig_end(&rig);
	}
}

struct moments {
	uint64_t refused_ms, written_ms; /* by the loop's clock */
};

static void note_moment(void *arg, const char *command)
{
	struct moments *moments = arg;

	if (strncmp(command, "CLIENT LIST", 11) == 0)
		moments->refused_ms = uv_now(&rig.loop);
	else if (strncmp(command, "SET", 3) == 0 && moments->written_ms == 0)
		moments->written_ms = uv_now(&rig.loop);
}

TEST(a_redis_that_does_not_let_us_fence_is_written_after_a_while)
{
	struct moments moments = {0};

	rig_begin_linked(&rig);
	rig_load(&rig, "ann", (struct totals){30, 10, 20});
	peer_answer(rig.peer, "CLIENT LIST", 0, "-NOPERM no CLIENT\r\n");
	peer_watch(rig.peer, note_moment, &moments);
	rig_start(&rig);
	rig_until_shown(&rig);
	assert_true(moments.written_ms >= moments.refused_ms + UNFENCED_WAIT_MS);
	rig_end(&rig);
}

TEST(each_state_has_a_name)
{
	static const char *const names[] = {
		"none", "down", "checking", "linking", "foreign", "up"};

	for (size_t i = 0; i < COUNT_OF(names); i++)
		assert_string_equal(live_state_name((enum live_state)i), names[i]);
	assert_string_not_equal(live_library_version(), "");
}

TEST(a_key_that_cannot_be_had_is_tried_for_less_and_less)
{
	static const char *const heads[] = {CLAIM_OWN, "SETRANGE"};

	for (size_t i = 0; i < COUNT_OF(heads); i++) {
		rig_begin_linked(&rig);
		peer_answer(rig.peer, heads[i], 0, i == 0 ? "$-1\r\n" : ":2\r\n");
		if (i > 0)
			peer_answer(rig.peer, "GET", 0, "$-1\r\n");
		rig_start(&rig);
		loop_run_for(&rig.loop, 1000);
		AT_ROW(i, peer_count(rig.peer, "GET") < 20);
		AT_ROW(i, peer_count(rig.peer, "HSET") == 0);
		rig_end(&rig);
	}
}

/* Memory */

TEST(without_memory_for_all_its_parts_there_is_no_live)
{
	struct live_hooks hooks = {0};
	unsigned n = 0;
	struct live *live;

	rig_begin(&rig);
	do {
		faults_fail_nth(FAULT_MEMORY, ++n, ENOMEM);
		live = live_new(rig.ledger, &rig.config, &hooks);
		assert_true(faults_fired(FAULT_MEMORY) == (live == NULL));
	} while (live == NULL);
	assert_true(n > 5);
	live_free(live);
	rig_end(&rig);
}

enum { NOTHING_FAILED, WENT_ON = 77 };

/* uthash ends with -1. Before anybody, valgrind too, looks for leaks of what was under
 * way. */
static void on_exit_called(int status, void *arg)
{
	(void)arg;
	if (status == -1)
		(void)raise(SIGKILL);
}

static bool is_saved(const void *arg)
{
	return ((const struct live_rig *)arg)->n_saved > 0;
}

/* In a process of its own: uthash ends it if it cannot grow a table. */
_Noreturn static void link_with_fault(unsigned n)
{
	bool has_fired;

	(void)on_exit(on_exit_called, NULL);
	rig_begin(&rig);
	rig_hash(&rig, "ann", "5");
	rig_hash(&rig, "bob", "7");
	rig_build(&rig);
	faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
	rig_start(&rig);
	rig_until(&rig, is_saved);
	rig_until_shown(&rig);
	has_fired = faults_fired(FAULT_MEMORY);
	faults_reset();
	rig_book(&rig, "ann", 1, 2);
	rig_until_shown(&rig);
	assert_int_equal(rig_total(&rig, "ann").used, 8);
	assert_int_equal(rig_total(&rig, "bob").used, 7);
	assert_int_equal(rig.n_links, 2);
	rig_end(&rig);
	exit(has_fired ? WENT_ON : NOTHING_FAILED);
}

TEST(whichever_allocation_fails_totals_are_added_once_and_redis_shows_them)
{
	unsigned n_went_on = 0, n_ended = 0;
	int status = 1;

	for (unsigned n = 1; status != NOTHING_FAILED; n++) {
		pid_t pid = fork();

		assert_true(pid >= 0 && n < 100);
		if (pid == 0)
			link_with_fault(n);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFSIGNALED(status)) {
			AT_ROW(n, WTERMSIG(status) == SIGKILL);
			n_ended++;
		} else if (status != NOTHING_FAILED) {
			AT_ROW(n, WEXITSTATUS(status) == WENT_ON);
			n_went_on++;
		}
	}
	assert_true(n_went_on > 5);
	assert_true(n_ended < 5);
}

TEST(a_commit_while_redis_is_being_looked_through_begins_nothing_again)
{
	rig_begin(&rig);
	rig.saves_links = false;
	rig_hash(&rig, "ann", "5");
	peer_hold(rig.peer, "SCAN");
	rig_start(&rig);
	rig_until_seen(&rig, "SCAN", 1);
	rig_book(&rig, "bob", 1, 0);
	rig_save(&rig);
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	peer_release(rig.peer);
	rig_until(&rig, has_link);
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	assert_int_equal(rig_total(&rig, "ann").used, 5);
	assert_int_equal(rig.n_links, 1);
	assert_int_equal(peer_count(rig.peer, "SCAN"), 1);
	rig_end(&rig);
}

TEST(a_key_that_names_another_of_the_same_length_is_not_kept)
{
	rig_begin_linked(&rig);
	rig_load(&rig, "ann", (struct totals){1, 1, 0});
	peer_set(rig.peer, "tallyd:instance", "zz");
	peer_answer(rig.peer, "GET", 1, "$2\r\nme\r\n");
	rig_start(&rig);
	rig_until_seen(&rig, "SETRANGE", 1);
	loop_run_for(&rig.loop, 300);
	assert_int_equal(peer_count(rig.peer, "HSET"), 0);
	rig_end(&rig);
}

TEST(a_server_that_answers_errors_is_tried_less_and_less)
{
	rig_begin_linked(&rig);
	rig_load(&rig, "ann", (struct totals){3, 1, 2});
	peer_answer(rig.peer, "HSET", 0, "-NOPERM no HSET\r\n");
	rig_start(&rig);
	loop_run_for(&rig.loop, 3000);
	assert_true(peer_count(rig.peer, "(connection)") < 10); /* 0.1 0.2 0.4 .. */
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_first_start_adds_what_stands_in_redis_and_writes_nothing_before_that_is_saved),
		cmocka_unit_test(what_was_adopted_and_the_link_are_in_one_cut),
		cmocka_unit_test(an_empty_redis_is_linked_before_it_is_written_as_well),
		cmocka_unit_test(a_start_that_was_linked_before_adds_nothing_again),
		cmocka_unit_test(a_key_that_is_ours_already_is_linked_without_adding),
		cmocka_unit_test(
			a_connection_lost_before_the_link_is_saved_adds_nothing_twice),
		cmocka_unit_test(
			a_link_that_is_saved_while_redis_is_away_is_completed_when_it_is_back),
		cmocka_unit_test(
			who_claims_it_while_the_link_is_being_saved_is_left_alone),
		cmocka_unit_test(
			who_claims_it_between_our_question_and_our_claim_is_left_alone),
		cmocka_unit_test(who_renames_it_behind_our_claim_is_left_alone),
		cmocka_unit_test(a_first_start_that_is_to_overwrite_adds_nothing),
		cmocka_unit_test(
			a_redis_without_an_owner_is_added_by_who_was_linked_only_if_asked_for_and_once),
		cmocka_unit_test(in_a_redis_of_another_nothing_is_written),
		cmocka_unit_test(a_first_start_leaves_another_alone_too),
		cmocka_unit_test(
			adopting_another_adds_its_totals_once_and_then_takes_its_name),
		cmocka_unit_test(
			who_came_while_a_take_over_was_being_saved_is_left_alone),
		cmocka_unit_test(overwriting_another_adds_nothing_and_is_done_once),
		cmocka_unit_test(a_take_over_that_was_not_needed_is_not_done_later),
		cmocka_unit_test(
			a_take_over_that_died_behind_its_record_is_completed_without_adding_again),
		cmocka_unit_test(a_claim_to_one_gives_no_right_to_a_third),
		cmocka_unit_test(
			a_redis_that_is_emptied_is_claimed_again_and_every_user_written_anew),
		cmocka_unit_test(
			a_redis_that_gets_another_owner_is_left_at_the_first_reply_that_shows_it),
		cmocka_unit_test(the_owner_is_asked_again_while_nothing_happens),
		cmocka_unit_test(
			an_answer_about_the_owner_that_is_none_drops_the_connection),
		cmocka_unit_test(
			nothing_is_written_before_our_earlier_connections_are_killed),
		cmocka_unit_test(the_first_linking_waits_for_the_fence_as_well),
		cmocka_unit_test(
			a_redis_that_does_not_let_us_fence_is_not_written_at_once),
		cmocka_unit_test(
			a_redis_that_does_not_let_us_fence_is_written_after_a_while),
		cmocka_unit_test(each_state_has_a_name),
		cmocka_unit_test(a_key_that_cannot_be_had_is_tried_for_less_and_less),
		cmocka_unit_test(without_memory_for_all_its_parts_there_is_no_live),
		cmocka_unit_test(
			whichever_allocation_fails_totals_are_added_once_and_redis_shows_them),
		cmocka_unit_test(
			a_commit_while_redis_is_being_looked_through_begins_nothing_again),
		cmocka_unit_test(a_key_that_names_another_of_the_same_length_is_not_kept),
		cmocka_unit_test(a_server_that_answers_errors_is_tried_less_and_less),
	};

	return RUN_TESTS(tests);
}
