/*
 * What a first start takes from a Redis in which somebody else has counted, and what it
 * leaves and keeps as a reject. The cut that would go to SQLite is looked into.
 */
#include "lib/test.h"
#include "lib/live_rig.h"

#include <stdio.h>
#include <string.h>

static struct live_rig rig;
static struct cut *cut; /* of the link */

static void begin(void)
{
	rig_begin(&rig);
	rig.saves_links = false;
}

static bool has_link(const void *arg)
{
	return ((const struct live_rig *)arg)->n_links > 0;
}

static void until_adopted(void)
{
	rig_until(&rig, has_link);
	cut = ledger_cut(rig.ledger);
	assert_non_null(cut);
	assert_true(cut->has_link);
	assert_true(rig_saw_no_write(&rig));
}

static void adopt(void)
{
	rig_start(&rig);
	until_adopted();
}

static void end(void)
{
	ledger_cut_committed(rig.ledger, cut);
	rig_end(&rig);
}

static size_t n_users(void)
{
	struct ledger_stats stats;

	ledger_get_stats(rig.ledger, &stats);
	return stats.users;
}

static uint64_t used(const char *id)
{
	return rig_total(&rig, id).used;
}

/* How many rejects hold that text. */
static size_t n_rejects_of(const char *text)
{
	size_t n = 0;

	for (size_t i = 0; i < cut->n_rejects; i++)
		n += strstr(cut->rejects[i].event, text) != NULL;
	return n;
}

TEST(whole_numbers_up_to_the_largest_are_added_and_all_else_is_a_reject)
{
	static const struct {
		const char *value;
		bool is_total;
		uint64_t total;
	} rows[] = {{"0", true, 0}, {"1", true, 1}, {"007", true, 7},
		{"9223372036854775807", true, TOTAL_MAX},
		{"9223372036854775808", false, 0}, {"9999999999999999999", false, 0},
		{"18446744073709551616", false, 0}, {"00000000000000000001", false, 0},
		{"-1", false, 0}, {"+1", false, 0}, {"", false, 0}, {" 1", false, 0},
		{"1 ", false, 0}, {"1.5", false, 0}, {"1e3", false, 0},
		{"0x10", false, 0}, {"abc", false, 0}, {"\x01\xff", false, 0}};
	size_t n_wrong = 0;
	char id[8];

	begin();
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		(void)snprintf(id, sizeof(id), "u%02zu", i);
		rig_hash(&rig, id, rows[i].value);
	}
	adopt();
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		(void)snprintf(id, sizeof(id), "u%02zu", i);
		AT_ROW(i, (ledger_find_user(rig.ledger, id) != NULL) == rows[i].is_total);
		AT_ROW(i, used(id) == rows[i].total);
		AT_ROW(i, n_rejects_of(id) == !rows[i].is_total);
		n_wrong += !rows[i].is_total;
	}
	assert_int_equal(cut->n_rejects, n_wrong);
	assert_int_equal(n_rejects_of("user:u15 usedTraffic=0x10"), 1);
	assert_int_equal(n_rejects_of("user:u17 usedTraffic=??"), 1);
	assert_string_equal(cut->rejects[0].node, "redis");
	end();
}

TEST(a_number_with_a_nul_in_it_is_none)
{
	begin();
	peer_hset_bytes(rig.peer, "user:ann", 8, "usedTraffic", "12\0", 3);
	peer_hset_bytes(rig.peer, "user:bob", 8, "usedTraffic", "\0", 1);
	adopt();
	assert_int_equal(n_users(), 0);
	assert_int_equal(cut->n_rejects, 2);
	end();
}

TEST(the_good_fields_of_a_hash_are_added_whatever_the_others_are)
{
	begin();
	peer_hset(rig.peer, "user:ann", "usedTraffic", "many");
	peer_hset(rig.peer, "user:ann", "inputBytes", "5");
	peer_hset(rig.peer, "user:bob", "outputBytes", "6");
	adopt();
	assert_int_equal(used("ann"), 0);
	assert_int_equal(rig_total(&rig, "ann").input, 5);
	assert_int_equal(rig_total(&rig, "bob").output, 6);
	assert_int_equal(rig_total(&rig, "bob").input, 0);
	assert_int_equal(cut->n_rejects, 1);
	end();
}

TEST(a_key_that_can_be_no_users_is_left)
{
	char too_long[300], longest[300];

	memset(too_long, 'x', sizeof(too_long));
	memcpy(too_long, "user:", 5);
	too_long[5 + 256] = '\0';
	(void)snprintf(longest, sizeof(longest), "%.260s", too_long);
	begin();
	peer_hset(rig.peer, "user:", "usedTraffic", "1");
	peer_hset(rig.peer, too_long, "usedTraffic", "2");
	peer_hset(rig.peer, "user:a\nb", "usedTraffic", "3");
	peer_hset(rig.peer, "user:\xff", "usedTraffic", "4");
	peer_hset(rig.peer, longest, "usedTraffic", "5");
	peer_hset(rig.peer, "user:\xc3\xa4", "usedTraffic", "6");
	adopt();
	assert_int_equal(n_users(), 2);
	assert_int_equal(used(longest + 5), 5);
	assert_int_equal(used("\xc3\xa4"), 6);
	assert_int_equal(cut->n_rejects, 4);
	assert_int_equal(n_rejects_of("user: usedTraffic=1"), 1);
	assert_int_equal(n_rejects_of("user:a?b usedTraffic=3"), 1);
	end();
}

TEST(a_key_with_a_nul_in_it_gives_nothing_to_whom_it_seems_to_name)
{
	begin();
	peer_hset_bytes(rig.peer, "user:ann\0bob", 12, "usedTraffic", "9", 1);
	adopt();
	assert_int_equal(n_users(), 0);
	assert_int_equal(peer_count(rig.peer, "HMGET"), 0);
	end();
}

TEST(what_is_no_hash_or_has_none_of_our_fields_is_nothing_to_us)
{
	begin();
	peer_set(rig.peer, "user:ann", "5");
	peer_set(rig.peer, "usedTraffic", "5");
	peer_hset(rig.peer, "users:bob", "usedTraffic", "5");
	peer_answer(rig.peer, "HMGET user:cid", 1, "*3\r\n$-1\r\n$-1\r\n$-1\r\n");
	rig_hash(&rig, "cid", "7");
	adopt();
	assert_int_equal(n_users(), 0);
	assert_int_equal(cut->n_rejects, 0);
	assert_int_equal(peer_count(rig.peer, "HMGET"), 2);
	end();
}

TEST(glob_characters_of_the_prefix_mean_themselves)
{
	begin();
	rig.config.key_prefix = "u*[r]?\\:";
	peer_hset(rig.peer, "u*[r]?\\:ann", "usedTraffic", "5");
	peer_hset(rig.peer, "uxr?\\:bob", "usedTraffic", "6");
	peer_hset(rig.peer, "u*[r]x\\:bob", "usedTraffic", "6");
	adopt();
	assert_int_equal(n_users(), 1);
	assert_int_equal(used("ann"), 5);
	assert_string_equal(peer_line(rig.peer, "SCAN", 1),
		"SCAN 0 MATCH u\\*\\[r\\]\\?\\\\:* COUNT 1000");
	end();
}

TEST(what_was_adopted_is_added_to_what_was_counted)
{
	begin();
	rig_load(&rig, "ann", (struct totals){30, 10, 20});
	rig_load(&rig, "bob", (struct totals){TOTAL_MAX - 3, 0, 0});
	rig_hash(&rig, "ann", "5");
	rig_hash(&rig, "bob", "5");
	adopt();
	assert_int_equal(used("ann"), 35);
	assert_true(used("bob") == TOTAL_MAX);
	assert_int_equal(cut->users.n, 2);
	end();
}

/* Pages */

#define PAGE(cursor, n, keys) "*2\r\n$1\r\n" cursor "\r\n*" n "\r\n" keys
#define KEY(id) "$8\r\nuser:" id "\r\n"

TEST(a_key_that_scan_names_more_than_once_is_added_once)
{
	begin();
	rig_hash(&rig, "ann", "5");
	rig_hash(&rig, "bob", "7");
	peer_answer(
		rig.peer, "SCAN 0", 1, PAGE("7", "3", KEY("ann") KEY("ann") KEY("bob")));
	peer_answer(rig.peer, "SCAN 7", 1, PAGE("9", "0", ""));
	peer_answer(rig.peer, "SCAN 9", 1, PAGE("0", "1", KEY("ann")));
	adopt();
	assert_int_equal(used("ann"), 5);
	assert_int_equal(used("bob"), 7);
	end();
}

TEST(of_a_key_that_changes_while_scan_names_it_twice_the_last_is_added)
{
	begin();
	rig_hash(&rig, "ann", "5");
	peer_answer(rig.peer, "SCAN 0", 1, PAGE("0", "2", KEY("ann") KEY("ann")));
	peer_answer(rig.peer, "HMGET", 1, "*3\r\n$1\r\n4\r\n$-1\r\n$-1\r\n");
	adopt();
	assert_int_equal(used("ann"), 5);
	end();
}

TEST(all_pages_are_read)
{
	char id[8];

	begin();
	peer_set_page(rig.peer, 3);
	for (unsigned i = 0; i < 10; i++) {
		(void)snprintf(id, sizeof(id), "u%u", i);
		rig_hash(&rig, id, "5");
	}
	adopt();
	assert_int_equal(n_users(), 10);
	assert_int_equal(used("u9"), 5);
	assert_int_equal(peer_count(rig.peer, "SCAN"), 4);
	end();
}

TEST(a_connection_lost_in_the_middle_is_begun_again_and_adds_once)
{
	static const struct {
		const char *head;
		unsigned n;
		const char *reply;
	} rows[] = {{"SCAN", 1, NULL}, {"SCAN", 2, NULL}, {"HMGET", 1, NULL},
		{"HMGET", 2, NULL}, {"HMGET", 4, NULL}, {"SCAN", 1, "-NOPERM no\r\n"},
		{"SCAN", 2, "*0\r\n"}, {"SCAN", 2, ":1\r\n"},
		{"SCAN", 1, "*2\r\n:0\r\n*0\r\n"},
		{"SCAN", 1, "*2\r\n$1\r\n0\r\n$-1\r\n"},
		{"SCAN", 1, "*2\r\n$24\r\n000000000000000000000000\r\n*0\r\n"},
		{"SCAN", 2, "*70000\r\n"}, {"HMGET", 3, "garbage\r\n"},
		{"HMGET", 2, "-NOPERM no\r\n"}, {"HMGET", 2, ":1\r\n"},
		{"HMGET", 2, "*2\r\n$1\r\n7\r\n$1\r\n7\r\n"}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		begin();
		peer_set_page(rig.peer, 2);
		rig_hash(&rig, "ann", "5");
		rig_hash(&rig, "bad", "x");
		rig_hash(&rig, "bob", "6");
		rig_hash(&rig, "cid", "7");
		peer_answer(rig.peer, rows[i].head, rows[i].n, rows[i].reply);
		adopt();
		AT_ROW(i, peer_count(rig.peer, "(connection)") == 2);
		AT_ROW(i, n_users() == 3 && used("ann") == 5 && used("cid") == 7);
		AT_ROW(i, cut->n_rejects == 1);
		AT_ROW(i, rig.n_links == 1);
		end();
	}
}

TEST(keys_that_are_no_text_or_too_short_are_passed_over)
{
	begin();
	rig_hash(&rig, "ann", "5");
	peer_answer(rig.peer, "SCAN 0", 1,
		PAGE("0", "5", "$2\r\nus\r\n:7\r\n$-1\r\n*0\r\n" KEY("ann")));
	adopt();
	assert_int_equal(n_users(), 1);
	assert_int_equal(used("ann"), 5);
	end();
}

/* Bounds */

TEST(users_beyond_the_bound_are_rejects_and_those_that_are_known_are_not)
{
	begin();
	ledger_free(rig.ledger);
	rig.ledger = ledger_new(3, true);
	rig_load(&rig, "dan", (struct totals){1, 1, 0});
	for (const char *const *id =
			(const char *const[]){"ann", "bob", "cid", "dan", NULL};
		*id != NULL; id++)
		rig_hash(&rig, *id, "5");
	adopt();
	assert_int_equal(n_users(), 3);
	assert_int_equal(used("dan"), 6);
	assert_int_equal(cut->n_rejects, 1);
	assert_int_equal(n_rejects_of("user:cid usedTraffic=5"), 1);
	end();
}

TEST(no_more_rejects_are_kept_than_the_table_holds)
{
	char id[16];

	begin();
	for (unsigned i = 0; i < LEDGER_MAX_REJECTS + 50; i++) {
		(void)snprintf(id, sizeof(id), "u%u", i);
		rig_hash(&rig, id, "x");
	}
	rig_hash(&rig, "ann", "5");
	adopt();
	assert_int_equal(used("ann"), 5);
	assert_int_equal(cut->n_rejects, LEDGER_MAX_REJECTS);
	end();
}

/* A SCAN that never ends */

static struct {
	unsigned n_before, circle; /* pages; 0: none */
	unsigned long long n_pages;
	char reply[64];
} endless;

/* Each page is empty, and names a cursor that goes round in the end, or never. */
static void on_scan(void *arg, const char *command)
{
	unsigned long long n, cursor;
	char text[24];

	(void)arg;
	if (strncmp(command, "SCAN", 4) != 0)
		return;
	n = cursor = ++endless.n_pages;
	if (endless.circle > 0 && n > endless.n_before)
		cursor = endless.n_before + 1 +
			(n - endless.n_before - 1) % endless.circle;
	(void)snprintf(text, sizeof(text), "%llu", cursor * 1000);
	(void)snprintf(endless.reply, sizeof(endless.reply), "*2\r\n$%zu\r\n%s\r\n*0\r\n",
		strlen(text), text);
	peer_answer(rig.peer, "SCAN", 1, endless.reply);
}

static bool is_given_up(const void *arg)
{
	(void)arg;
	return strstr(rig_stats(&rig).error, "cannot be looked through") != NULL;
}

TEST(a_scan_that_goes_round_in_a_circle_is_given_up_with_a_sentence)
{
	static const struct {
		unsigned n_before, circle;
	} rows[] = {{0, 1}, {0, 2}, {1, 1}, {7, 3}, {100, 50}, {0, 1000}, {1000, 1}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		rig_begin(&rig);
		rig_book(&rig, "ann", 1, 2);
		memset(&endless, 0, sizeof(endless));
		endless.n_before = rows[i].n_before;
		endless.circle = rows[i].circle;
		peer_watch(rig.peer, on_scan, NULL);
		rig_start(&rig);
		rig_until(&rig, is_given_up);
		AT_ROW(i, strstr(rig_stats(&rig).error, "same cursor") != NULL);
		AT_ROW(i, endless.n_pages < 4 * (rows[i].n_before + rows[i].circle) + 20);
		AT_ROW(i, rig.n_links == 0);
		rig_end(&rig);
	}
}

TEST(a_scan_of_far_more_pages_than_there_are_keys_is_given_up_with_a_sentence)
{
	rig_begin(&rig);
	peer_set_info(rig.peer, "# Keyspace\r\ndb0:keys=70000,expires=0,avg_ttl=0\r\n");
	memset(&endless, 0, sizeof(endless));
	peer_watch(rig.peer, on_scan, NULL);
	rig_start(&rig);
	rig_until(&rig, is_given_up);
	assert_non_null(strstr(rig_stats(&rig).error, "far more pages"));
	assert_true(endless.n_pages > 10700);
	assert_int_equal(rig.n_links, 0);
	rig_end(&rig);
}

TEST(a_cursor_that_is_no_number_is_no_page)
{
	static const char *const rows[] = {"*2\r\n$2\r\n0x\r\n*0\r\n",
		"*2\r\n$0\r\n\r\n*0\r\n", "*2\r\n$2\r\n\xff\x01\r\n*0\r\n",
		"*2\r\n:0\r\n*0\r\n", "*2\r\n$1\r\n0\r\n$-1\r\n"};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		rig_begin(&rig);
		peer_answer(rig.peer, "SCAN", 0, rows[i]);
		rig_start(&rig);
		rig_until_state(&rig, LIVE_DOWN);
		rig_until_seen(&rig, "SCAN", 1);
		AT_ROW(i, rig.n_links == 0);
		rig_end(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			whole_numbers_up_to_the_largest_are_added_and_all_else_is_a_reject),
		cmocka_unit_test(a_number_with_a_nul_in_it_is_none),
		cmocka_unit_test(
			the_good_fields_of_a_hash_are_added_whatever_the_others_are),
		cmocka_unit_test(a_key_that_can_be_no_users_is_left),
		cmocka_unit_test(
			a_key_with_a_nul_in_it_gives_nothing_to_whom_it_seems_to_name),
		cmocka_unit_test(
			what_is_no_hash_or_has_none_of_our_fields_is_nothing_to_us),
		cmocka_unit_test(glob_characters_of_the_prefix_mean_themselves),
		cmocka_unit_test(what_was_adopted_is_added_to_what_was_counted),
		cmocka_unit_test(a_key_that_scan_names_more_than_once_is_added_once),
		cmocka_unit_test(
			of_a_key_that_changes_while_scan_names_it_twice_the_last_is_added),
		cmocka_unit_test(all_pages_are_read),
		cmocka_unit_test(
			a_connection_lost_in_the_middle_is_begun_again_and_adds_once),
		cmocka_unit_test(keys_that_are_no_text_or_too_short_are_passed_over),
		cmocka_unit_test(
			users_beyond_the_bound_are_rejects_and_those_that_are_known_are_not),
		cmocka_unit_test(no_more_rejects_are_kept_than_the_table_holds),
		cmocka_unit_test(
			a_scan_that_goes_round_in_a_circle_is_given_up_with_a_sentence),
		cmocka_unit_test(
			a_scan_of_far_more_pages_than_there_are_keys_is_given_up_with_a_sentence),
		cmocka_unit_test(a_cursor_that_is_no_number_is_no_page),
	};

	return RUN_TESTS(tests);
}
