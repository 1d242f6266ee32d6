/*
 * The connection itself: how it begins, what ends it, and what Redis says of itself on
 * it. Each test has a peer, a ledger and a loop of its own.
 */
#include "lib/test.h"
#include "base/text.h"
#include "lib/faults.h"
#include "lib/live_rig.h"
#include "lib/loop.h"
#include "lib/sample.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct live_rig rig;

static bool is_settled(const void *arg)
{
	return live_is_settled(((const struct live_rig *)arg)->live);
}

/* The survey */

TEST(what_redis_says_of_itself_is_told)
{
	static const struct {
		const char *info, *version, *policy, *append_only;
	} rows[] = {
		{"# Server\r\nredis_version:7.0.15\r\nredis_mode:x\r\n# Memory\r\n"
		 "maxmemory_policy:noeviction\r\naof_enabled:1\r\n",
			"7.0.15", "noeviction", "yes"},
		{"redis_version:6.2.1\naof_enabled:0\nmaxmemory_policy:allkeys-lru",
			"6.2.1", "allkeys-lru", "no"},
		{"x_redis_version:1\r\nredis_versions:2\r\n", "", "", ""},
		{"redis_version:0123456789012345678901234567890123456789\r\n",
			"0123456789012345678901234567890", "", ""},
		{"", "", "", ""},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct live_stats stats;

		rig_begin_linked(&rig);
		peer_set_info(rig.peer, rows[i].info);
		rig_start(&rig);
		rig_until_state(&rig, LIVE_UP);
		stats = rig_stats(&rig);
		AT_ROW(i, strcmp(stats.survey.version, rows[i].version) == 0);
		AT_ROW(i, strcmp(stats.survey.maxmemory_policy, rows[i].policy) == 0);
		AT_ROW(i, strcmp(stats.survey.append_only, rows[i].append_only) == 0);
		rig_end(&rig);
	}
}

TEST(a_redis_that_does_not_say_how_it_is_set_up_is_used_all_the_same)
{
	static const char *const rows[] = {
		"-NOPERM no INFO\r\n", "$-1\r\n", ":7\r\n", "*0\r\n"};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		rig_begin_linked(&rig);
		peer_answer(rig.peer, "INFO", 1, rows[i]);
		rig_start(&rig);
		rig_until_state(&rig, LIVE_UP);
		AT_ROW(i, rig_stats(&rig).survey.version[0] == '\0');
		AT_ROW(i, rig_stats(&rig).error[0] == '\0');
		AT_ROW(i, peer_count(rig.peer, "(connection)") == 1);
		rig_end(&rig);
	}
}

/* The connection */

TEST(a_connection_is_authenticated_and_selected_before_anything_else)
{
	rig_begin_linked(&rig);
	rig.address.user = strdup("tallyd");
	rig.address.password = strdup("secret");
	rig.address.db = 3;
	peer_hold(rig.peer, "SELECT");
	rig_start(&rig);
	rig_until_seen(&rig, "SELECT 3\n", 1);
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	assert_string_equal(
		peer_seen(rig.peer), "(connection)\nAUTH tallyd secret\nSELECT 3\n");
	peer_release(rig.peer);
	rig_until_state(&rig, LIVE_UP);
	rig_end(&rig);
}

TEST(a_password_that_is_refused_is_told_and_tried_again)
{
	rig_begin_linked(&rig);
	rig.address.password = strdup("secret");
	peer_answer(rig.peer, "AUTH secret\n", 1, "-WRONGPASS not that\r\n");
	rig_start(&rig);
	rig_until(&rig, is_settled);
	assert_int_equal(live_get_state(rig.live), LIVE_DOWN);
	assert_string_equal(rig_stats(&rig).error, "WRONGPASS not that");
	rig_until_state(&rig, LIVE_UP);
	rig_end(&rig);
}

TEST(where_nobody_listens_it_is_down_and_says_why)
{
	rig_begin_linked(&rig);
	(void)strcat(strcpy(rig.address.path, rig.dir.path), "/none");
	rig_start(&rig);
	assert_false(live_is_settled(rig.live));
	rig_until(&rig, is_settled);
	assert_int_equal(live_get_state(rig.live), LIVE_DOWN);
	assert_string_not_equal(rig_stats(&rig).error, "");
	rig_end(&rig);
}

/* Bound, so that nobody else listens there. */
static int bind_port(int *ret_port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

static int start_where_nobody_listens(void)
{
	int fd;

	rig_begin_linked(&rig);
	free(rig.address.path);
	rig.address.path = NULL;
	rig.address.host = strdup("127.0.0.1");
	fd = bind_port(&rig.address.port);
	rig_start(&rig);
	return fd;
}

TEST(a_host_where_nobody_listens_is_tried_again_and_again)
{
	int fd = start_where_nobody_listens();

	rig_until_state(&rig, LIVE_DOWN);
	rig_until(&rig, is_settled);
	loop_run_for(&rig.loop, 250); /* at least one more attempt */
	assert_int_equal(live_get_state(rig.live), LIVE_DOWN);
	assert_string_not_equal(rig_stats(&rig).error, "");
	rig_stop(&rig);
	rig_start(&rig); /* closed while it is resolved */
	rig_end(&rig);
	assert_int_equal(close(fd), 0);
}

TEST(a_redis_that_falls_silent_is_given_up_and_tried_again)
{
	static const char *const heads[] = {"GET", "CLIENT", "SCAN", "HMGET", "HSET"};

	for (size_t i = 0; i < COUNT_OF(heads); i++) {
		rig_begin(&rig);
		rig.config.timeout_ms = 100;
		rig_hash(&rig, "ann", "5");
		peer_hold(rig.peer, heads[i]);
		rig_start(&rig);
		rig_until_seen(&rig, "(connection)", 2);
		AT_ROW(i, strcmp(rig_stats(&rig).error, "timeout") == 0);
		peer_release(rig.peer);
		rig_until_shown(&rig);
		AT_ROW(i, rig_total(&rig, "ann").used == 5);
		rig_end(&rig);
	}
}

TEST(a_reply_that_nobody_asked_for_ends_the_connection_and_not_the_process)
{
	static const char *const rows[] = {":1\r\n", "+OK\r\n", "*0\r\n"};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		rig_begin_quiet(&rig);
		live_set_repair_rate(rig.live, 1000000);
		peer_say(rig.peer, rows[i]);
		rig_until_seen(&rig, "(connection)", 1);
		rig_until_shown(&rig);
		rig_end(&rig);
	}
}

TEST(a_reply_to_what_was_not_sent_yet_is_nobodys_answer)
{
	rig_begin_linked(&rig);
	rig.address.password = strdup("secret");
	peer_answer(rig.peer, "AUTH", 1, "+OK\r\n$19\r\nredis_version:9.9.9\r\n");
	rig_start(&rig);
	rig_until_seen(&rig, "(connection)", 2);
	rig_until_state(&rig, LIVE_UP);
	assert_string_equal(rig_stats(&rig).survey.version, "");
	assert_int_equal(peer_count(rig.peer, "INFO"), 1);
	rig_end(&rig);
}

TEST(what_does_not_fit_into_the_socket_is_sent_when_there_is_room)
{
	char id[NAME_MAX_BYTES + 1];

	rig_begin_linked(&rig);
	for (unsigned i = 0; i < 2000; i++) {
		(void)snprintf(id, sizeof(id), "%0*u", NAME_MAX_BYTES, i);
		rig_book(&rig, id, i, 1);
	}
	rig_start(&rig);
	rig_until_shown(&rig);
	assert_int_equal(peer_count(rig.peer, "(connection)"), 1);
	assert_int_equal(peer_count(rig.peer, "HSET"), 2000);
	rig_end(&rig);
}

/* Of a connection without anything behind it. */
static struct {
	struct redis *redis;
	uv_prepare_t prepare;
	bool is_told, is_ready, is_closed, is_lost;
	size_t n_replies, n_lost, n_turns, n_in_turn, most_in_turn;
} bare;

static void on_bare_ready(void *arg, const char *error)
{
	(void)arg;
	bare.is_told = true;
	bare.is_ready = error == NULL;
}

static void on_bare_lost(void *arg, const char *error)
{
	(void)arg;
	bare.is_lost = true;
	assert_string_not_equal(error, "");
}

static void on_bare_reply(void *arg, void *item, const redisReply *reply)
{
	(void)arg;
	(void)item;
	bare.n_replies++;
	bare.n_in_turn++;
	bare.n_lost += reply == NULL;
	if (bare.n_in_turn > bare.most_in_turn)
		bare.most_in_turn = bare.n_in_turn;
}

static void on_turn(uv_prepare_t *prepare)
{
	(void)prepare;
	bare.n_turns += bare.n_in_turn > 0;
	bare.n_in_turn = 0;
}

/* A slow machine may need more than one attempt. */
static void connect_bare(uint64_t timeout_ms)
{
	memset(&bare, 0, sizeof(bare));
	bare.redis =
		redis_new(&rig.address, timeout_ms, on_bare_ready, on_bare_lost, NULL);
	assert_non_null(bare.redis);
	redis_start(bare.redis, &rig.loop);
	(void)uv_prepare_init(&rig.loop, &bare.prepare);
	(void)uv_prepare_start(&bare.prepare, on_turn);
	while (!bare.is_ready) {
		bare.is_told = false;
		redis_connect(bare.redis);
		assert_true(
			loop_run_until_set(&rig.loop, &bare.is_told, RIG_PATIENCE_MS));
	}
}

static void begin_bare(void)
{
	rig_begin(&rig);
	connect_bare(60000);
}

static void on_bare_closed(void *arg)
{
	(void)arg;
	bare.is_closed = true;
}

static void end_bare(void)
{
	redis_close(bare.redis, on_bare_closed, NULL);
	uv_close((uv_handle_t *)&bare.prepare, NULL);
	assert_true(loop_run_until_set(&rig.loop, &bare.is_closed, RIG_PATIENCE_MS));
	redis_free(bare.redis);
	rig_end(&rig);
}

static void send_bare(size_t n)
{
	const char *argv[] = {"GET", "x"};

	for (size_t i = 0; i < n; i++)
		assert_int_equal(redis_send(bare.redis, on_bare_reply, NULL, 2, argv), 0);
}

#define N_FLOOD 20000

static bool is_flood_read(const void *arg)
{
	(void)arg;
	return bare.n_replies == N_FLOOD;
}

TEST(a_flood_of_replies_is_spread_over_turns)
{
	begin_bare();
	peer_hold(rig.peer, "GET");
	send_bare(N_FLOOD);
	rig_until_seen(&rig, "GET", N_FLOOD);
	peer_release(rig.peer);
	rig_until(&rig, is_flood_read);
	assert_in_range(bare.most_in_turn, 1, N_FLOOD / 2);
	assert_true(bare.n_turns >= 3);
	assert_int_equal(bare.n_lost, 0);
	end_bare();
}

static void on_unwanted(void *arg, void *item, const redisReply *reply)
{
	on_bare_reply(arg, item, reply);
	redis_disconnect(bare.redis, "enough");
	assert_int_not_equal(
		redis_send(bare.redis, on_bare_reply, NULL, 1, (const char *[]){"INFO"}),
		0);
	assert_null(redis_room(bare.redis, 1));
}

TEST(who_ends_the_connection_within_a_reply_ends_it_for_each_call_once)
{
	begin_bare();
	assert_int_equal(
		redis_send(bare.redis, on_unwanted, NULL, 1, (const char *[]){"INFO"}),
		0);
	send_bare(10);
	rig_until_seen(&rig, "GET", 10);
	loop_run_for(&rig.loop, RIG_A_WHILE_MS);
	assert_int_equal(bare.n_replies, 11);
	assert_int_equal(bare.n_lost, 10);
	end_bare();
	assert_int_equal(bare.n_replies, 11);
}

TEST(a_connection_that_waits_for_no_reply_is_not_lost)
{
	rig_begin(&rig);
	connect_bare(50);
	loop_run_for(&rig.loop, 200);
	assert_false(bare.is_lost);
	end_bare();
}

/* Commands of which a socket holds a few, and none of which is read before so many have
 * followed: something is left to write all the time. */
#define BIG_BYTES (64 << 10)
#define N_BEHIND 16
#define N_SLOW 320

static struct {
	int door, fd;
	size_t n_bytes; /* that were read */
} slow;

static void begin_slow(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path;

	rig_begin(&rig);
	path = tempdir_path(&rig.dir, "slow.sock");
	assert_true(strlen(path) < sizeof(address.sun_path));
	(void)strcpy(address.sun_path, path);
	free(rig.address.path);
	rig.address.path = strdup(path);
	slow.door = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
		bind(slow.door, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(slow.door, 1), 0);
	connect_bare(60000);
	slow.fd = accept4(slow.door, NULL, NULL, SOCK_CLOEXEC);
	assert_true(slow.fd >= 0);
}

static bool has_read_one(const void *arg)
{
	static char bytes[BIG_BYTES];
	ssize_t n = recv(slow.fd, bytes, sizeof(bytes) - slow.n_bytes, MSG_DONTWAIT);

	(void)arg;
	slow.n_bytes += n > 0 ? (size_t)n : 0;
	return slow.n_bytes == sizeof(bytes);
}

static void read_and_answer_one(void)
{
	slow.n_bytes = 0;
	(void)uv_run(&rig.loop, UV_RUN_NOWAIT); /* what there is room for is written */
	assert_true(loop_run_until(&rig.loop, has_read_one, NULL, RIG_PATIENCE_MS));
	assert_int_equal(send(slow.fd, "+OK\r\n", 5, 0), 5);
}

static bool is_slow_answered(const void *arg)
{
	(void)arg;
	return bare.n_replies == N_SLOW - N_BEHIND;
}

TEST(a_redis_that_is_never_done_reading_costs_no_memory_for_what_it_has_read)
{
	static char word[BIG_BYTES - 24 + 1]; /* a command has 24 bytes more */
	const char *argv[] = {"ECHO", word};

	memset(word, 'x', sizeof(word) - 1);
	begin_slow();
	for (unsigned i = 0; i < N_SLOW; i++) {
		if (i == N_SLOW / 2)
			faults_fail_from(FAULT_MEMORY, 1, ENOMEM);
		assert_int_equal(redis_send(bare.redis, on_bare_reply, NULL, 2, argv), 0);
		if (i >= N_BEHIND)
			read_and_answer_one();
	}
	assert_false(faults_fired(FAULT_MEMORY));
	rig_until(&rig, is_slow_answered);
	assert_int_equal(bare.n_lost, 0);
	end_bare();
	assert_int_equal(bare.n_lost, N_BEHIND);
	(void)close(slow.fd);
	(void)close(slow.door);
}

TEST(without_an_address_there_is_nothing_to_wait_for)
{
	const struct user *user;

	rig_begin(&rig);
	rig.config.address = NULL;
	rig_book(&rig, "ann", 1, 2);
	user = ledger_find_user(rig.ledger, "ann");
	rig_start(&rig);
	assert_int_equal(live_get_state(rig.live), LIVE_NONE);
	assert_true(live_is_settled(rig.live));
	live_poke(rig.live);
	live_set_repair_rate(rig.live, 1);
	live_link_saved(rig.live);
	assert_false(live_read(rig.live, user, NULL, NULL));
	assert_int_equal(live_shown_index(rig.live, SHOW_FIRST), 0);
	assert_string_equal(rig_stats(&rig).error, "");
	rig_end(&rig);
}

TEST(a_close_ends_well_whatever_is_under_way)
{
	static const char *const heads[] = {"INFO", "GET", "CLIENT SETNAME", "CLIENT ID",
		"CLIENT LIST", "CLIENT KILL", "SCAN", "HMGET", "SET ", "SETRANGE", "HSET",
		"AUTH", "GET tallyd:holder", "SET tallyd:holder"};

	for (size_t i = 0; i < COUNT_OF(heads); i++) {
		rig_begin(&rig);
		rig.address.password = strdup("secret");
		rig_hash(&rig, "ann", "5");
		rig_book(&rig, "bob", 1, 0);
		peer_set_clients(rig.peer, "id=101 addr=unix:0 name=tallyd:me db=0\n");
		peer_hold(rig.peer, heads[i]);
		rig_start(&rig);
		rig_until_seen(&rig, heads[i], 1);
		rig_end(&rig);
	}
	rig_begin(&rig);
	rig_start(&rig);
	rig_end(&rig);
}

static bool has_wrong_password(const void *arg)
{
	return strcmp(rig_stats(arg).error, "WRONGPASS no") == 0;
}

TEST(the_reason_of_one_loss_is_not_told_of_the_next)
{
	rig_begin_linked(&rig);
	rig.address.password = strdup("secret");
	rig.config.repair_rate = 0;
	for (unsigned i = 0; i < 60; i++)
		rig_book(&rig, sample_name(i), 1, 1);
	rig_start(&rig);
	rig_until_shown(&rig);
	peer_forget(rig.peer);
	peer_answer(rig.peer, "AUTH", 1, "-WRONGPASS no\r\n");
	for (unsigned i = 0; i < 60; i++)
		rig_book(&rig, sample_name(i), 1, 1);
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	rig_until_state(&rig, LIVE_DOWN);
	rig_until(&rig, has_wrong_password);
	rig_end(&rig);
}

TEST(a_host_where_nobody_listens_says_so)
{
	int fd = start_where_nobody_listens();

	rig_until(&rig, is_settled);
	assert_int_equal(live_get_state(rig.live), LIVE_DOWN);
	assert_string_equal(rig_stats(&rig).error, "Connection refused");
	rig_end(&rig);
	assert_int_equal(close(fd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_redis_says_of_itself_is_told),
		cmocka_unit_test(
			a_redis_that_does_not_say_how_it_is_set_up_is_used_all_the_same),
		cmocka_unit_test(
			a_connection_is_authenticated_and_selected_before_anything_else),
		cmocka_unit_test(a_password_that_is_refused_is_told_and_tried_again),
		cmocka_unit_test(where_nobody_listens_it_is_down_and_says_why),
		cmocka_unit_test(a_host_where_nobody_listens_is_tried_again_and_again),
		cmocka_unit_test(a_redis_that_falls_silent_is_given_up_and_tried_again),
		cmocka_unit_test(
			a_reply_that_nobody_asked_for_ends_the_connection_and_not_the_process),
		cmocka_unit_test(a_reply_to_what_was_not_sent_yet_is_nobodys_answer),
		cmocka_unit_test(
			what_does_not_fit_into_the_socket_is_sent_when_there_is_room),
		cmocka_unit_test(a_flood_of_replies_is_spread_over_turns),
		cmocka_unit_test(
			who_ends_the_connection_within_a_reply_ends_it_for_each_call_once),
		cmocka_unit_test(a_connection_that_waits_for_no_reply_is_not_lost),
		cmocka_unit_test(
			a_redis_that_is_never_done_reading_costs_no_memory_for_what_it_has_read),
		cmocka_unit_test(without_an_address_there_is_nothing_to_wait_for),
		cmocka_unit_test(a_close_ends_well_whatever_is_under_way),
		cmocka_unit_test(the_reason_of_one_loss_is_not_told_of_the_next),
		cmocka_unit_test(a_host_where_nobody_listens_says_so),
	};

	return RUN_TESTS(tests);
}
