/* Single users read from Redis: what is answered is what it shows, in time, or nothing.
 */
#include "lib/test.h"
#include "lib/faults.h"
#include "lib/live_rig.h"
#include "lib/loop.h"

#include <errno.h>

#define SOON_MS 20

static struct live_rig rig;

struct answer {
	unsigned n;
	bool has_totals;
	struct totals totals;
};

static void on_read(void *arg, const struct totals *totals)
{
	struct answer *answer = arg;

	answer->n++;
	answer->has_totals = totals != NULL;
	if (totals != NULL)
		answer->totals = *totals;
}

static bool is_answered(const void *arg)
{
	return ((const struct answer *)arg)->n > 0;
}

static void begin(uint64_t read_timeout_ms)
{
	rig_begin_linked(&rig);
	rig.config.repair_rate = 0;
	rig.config.read_timeout_ms = read_timeout_ms;
	rig_book(&rig, "ann", 1, 2);
	rig_book(&rig, "bob", 3, 4);
	rig_start(&rig);
	rig_until_shown(&rig);
	peer_forget(rig.peer);
}

static bool ask(const char *id, struct answer *answer)
{
	bool is_asked;

	*answer = (struct answer){0};
	is_asked = live_read(rig.live, ledger_find_user(rig.ledger, id), on_read, answer);
	assert_int_equal(answer->n, 0); /* never inside */
	return is_asked;
}

static void until_answered(const struct answer *answer)
{
	assert_true(loop_run_until(&rig.loop, is_answered, answer, RIG_PATIENCE_MS));
}

TEST(a_read_answers_with_what_redis_shows)
{
	struct answer answer;

	begin(60000);
	assert_true(ask("bob", &answer));
	until_answered(&answer);
	assert_true(answer.has_totals);
	assert_int_equal(answer.totals.used, 7);
	assert_int_equal(answer.totals.input, 3);
	assert_int_equal(answer.totals.output, 4);
	assert_int_equal(peer_count(rig.peer, "HMGET user:bob"), 1);
	rig_end(&rig);
}

TEST(a_read_behind_an_increment_shows_it)
{
	struct answer answer;

	begin(60000);
	peer_hold(rig.peer, "HINCRBY");
	rig_book(&rig, "ann", 10, 0);
	rig_until_seen(&rig, "HINCRBY", 1);
	assert_true(ask("ann", &answer));
	rig_book(&rig, "ann", 100, 0); /* not in the answer */
	peer_release(rig.peer);
	until_answered(&answer);
	assert_true(answer.has_totals);
	assert_int_equal(answer.totals.used, 13);
	rig_until_shown(&rig);
	assert_int_equal(rig_stats(&rig).view.n_differences, 0);
	rig_end(&rig);
}

TEST(who_is_not_known_to_be_shown_is_not_asked_for)
{
	struct answer answer;

	rig_begin_linked(&rig);
	rig.config.repair_rate = 0;
	rig_load(&rig, "ann", (struct totals){3, 1, 2});
	rig_book(&rig, "bob", 3, 4);
	rig_build(&rig);
	assert_false(ask("bob", &answer));
	rig_start(&rig);
	assert_false(ask("bob", &answer));
	rig_until_seen(&rig, "HSET user:bob", 1);
	assert_false(ask("ann", &answer)); /* not written yet */
	assert_true(ask("bob", &answer));
	until_answered(&answer);
	rig_book(&rig, "bob", 1, 0);
	assert_false(ask("bob", &answer)); /* not sent yet */
	rig_until_seen(&rig, "HINCRBY user:bob", 1);
	assert_true(ask("bob", &answer));
	until_answered(&answer);
	peer_drop(rig.peer);
	rig_until_state(&rig, LIVE_DOWN);
	assert_false(ask("bob", &answer));
	rig_end(&rig);
}

TEST(a_read_that_is_late_is_answered_without_redis_and_the_connection_goes_on)
{
	struct answer first, second, third;

	begin(SOON_MS);
	peer_hold(rig.peer, "HMGET");
	assert_true(ask("ann", &first));
	assert_true(ask("bob", &second));
	until_answered(&first);
	until_answered(&second);
	assert_false(first.has_totals);
	assert_false(second.has_totals);
	assert_false(ask("bob", &third)); /* nobody else is made to wait */
	assert_int_equal(live_get_state(rig.live), LIVE_UP);
	peer_release(rig.peer);
	rig_book(&rig, "ann", 1, 0);
	rig_until_shown(&rig);
	assert_true(ask("ann", &third));
	until_answered(&third);
	assert_int_equal(first.n, 1);
	assert_int_equal(second.n, 1);
	assert_int_equal(peer_count(rig.peer, "(connection)"), 0);
	rig_end(&rig);
}

TEST(each_read_has_a_deadline_of_its_own)
{
	struct answer first, second;

	begin(10 * SOON_MS);
	peer_hold(rig.peer, "HMGET");
	assert_true(ask("ann", &first));
	loop_run_for(&rig.loop, SOON_MS);
	assert_true(ask("bob", &second));
	until_answered(&first);
	until_answered(&second);
	assert_false(second.has_totals);
	rig_end(&rig);
}

TEST(a_read_that_finds_an_edit_answers_nothing_and_every_user_is_written_anew)
{
	struct answer answer;

	begin(60000);
	rig_hash(&rig, "ann", "999");
	live_set_repair_rate(rig.live, 1000000);
	assert_true(ask("ann", &answer));
	until_answered(&answer);
	assert_false(answer.has_totals);
	rig_until_shown(&rig);
	assert_int_equal(rig_stats(&rig).view.n_differences, 1);
	assert_true(peer_saw_before(rig.peer, "GET", "HSET"));
	assert_int_equal(peer_count(rig.peer, "HSET user:bob"), 1);
	rig_end(&rig);
}

TEST(a_read_that_is_answered_with_no_totals_answers_nothing)
{
	static const char *const rows[] = {"-WRONGTYPE no hash\r\n", ":3\r\n", "$-1\r\n",
		"*0\r\n", "*-1\r\n", "*3\r\n$1\r\n3\r\n$-1\r\n$1\r\n2\r\n",
		"*3\r\n$1\r\n3\r\n$2\r\n-1\r\n$1\r\n2\r\n", "*3\r\n:3\r\n:1\r\n:2\r\n",
		"*3\r\n$2\r\n3 \r\n$1\r\n1\r\n$1\r\n2\r\n",
		"*4\r\n$1\r\n3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n9\r\n", "garbage\r\n",
		NULL};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct answer answer;

		begin(60000);
		live_set_repair_rate(rig.live, 1000000);
		peer_answer(rig.peer, "HMGET user:ann", 1, rows[i]);
		AT_ROW(i, ask("ann", &answer));
		until_answered(&answer);
		AT_ROW(i, !answer.has_totals && answer.n == 1);
		rig_until_seen(&rig, "HSET", 2); /* all are written anew */
		rig_until_shown(&rig);
		rig_end(&rig);
	}
}

TEST(a_lost_connection_answers_each_read_with_nothing)
{
	struct answer answers[3];

	begin(60000);
	peer_hold(rig.peer, "HMGET");
	for (size_t i = 0; i < COUNT_OF(answers); i++)
		assert_true(ask(i == 1 ? "bob" : "ann", &answers[i]));
	rig_until_seen(&rig, "HMGET", COUNT_OF(answers));
	peer_drop(rig.peer);
	rig_until_state(&rig, LIVE_DOWN);
	for (size_t i = 0; i < COUNT_OF(answers); i++)
		assert_true(answers[i].n == 1 && !answers[i].has_totals);
	rig_end(&rig);
}

TEST(a_close_answers_each_read_with_nothing)
{
	struct answer sent, unsent;

	begin(60000);
	peer_hold(rig.peer, "HMGET");
	assert_true(ask("ann", &sent));
	rig_until_seen(&rig, "HMGET", 1);
	assert_true(ask("bob", &unsent));
	rig_stop(&rig);
	assert_true(sent.n == 1 && !sent.has_totals);
	assert_true(unsent.n == 1 && !unsent.has_totals);
	rig_end(&rig);
}

TEST(a_late_reply_is_still_compared)
{
	struct answer answer;

	begin(SOON_MS);
	live_set_repair_rate(rig.live, 1000000);
	rig_hash(&rig, "ann", "999");
	peer_hold(rig.peer, "HMGET");
	assert_true(ask("ann", &answer));
	until_answered(&answer);
	peer_release(rig.peer);
	rig_until_shown(&rig);
	assert_int_equal(answer.n, 1);
	assert_int_equal(rig_stats(&rig).view.n_differences, 1);
	rig_end(&rig);
}

TEST(a_read_for_which_memory_is_short_is_not_asked)
{
	struct answer answer;

	begin(60000);
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	assert_false(ask("ann", &answer));
	assert_true(faults_fired(FAULT_MEMORY));
	faults_reset();
	assert_true(ask("ann", &answer));
	until_answered(&answer);
	assert_true(answer.has_totals);
	rig_end(&rig);
}

TEST(a_read_of_a_user_that_is_being_refused_concerns_that_user_alone)
{
	struct answer answer;

	begin(RIG_PATIENCE_MS);
	peer_set(rig.peer, "user:cid", "mine");
	peer_hold(rig.peer, "HSET");
	rig_book(&rig, "cid", 5, 0);
	rig_until_seen(&rig, "HSET user:cid", 1);
	assert_true(ask("cid", &answer));
	peer_release(rig.peer);
	until_answered(&answer);
	assert_int_equal(rig_stats(&rig).view.n_differences, 0);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_answers_with_what_redis_shows),
		cmocka_unit_test(a_read_behind_an_increment_shows_it),
		cmocka_unit_test(who_is_not_known_to_be_shown_is_not_asked_for),
		cmocka_unit_test(
			a_read_that_is_late_is_answered_without_redis_and_the_connection_goes_on),
		cmocka_unit_test(each_read_has_a_deadline_of_its_own),
		cmocka_unit_test(
			a_read_that_finds_an_edit_answers_nothing_and_every_user_is_written_anew),
		cmocka_unit_test(a_read_that_is_answered_with_no_totals_answers_nothing),
		cmocka_unit_test(a_lost_connection_answers_each_read_with_nothing),
		cmocka_unit_test(a_close_answers_each_read_with_nothing),
		cmocka_unit_test(a_late_reply_is_still_compared),
		cmocka_unit_test(a_read_for_which_memory_is_short_is_not_asked),
		cmocka_unit_test(
			a_read_of_a_user_that_is_being_refused_concerns_that_user_alone),
	};

	return RUN_TESTS(tests);
}
