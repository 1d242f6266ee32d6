#include "lib/test.h"
#include "lib/faults.h"
#include "live/redis.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

TEST(a_good_url_is_taken_apart)
{
	static const struct {
		const char *url, *host;
		int port, db;
		const char *user, *password;
	} rows[] = {
		{"redis://h", "h", 6379, 0, NULL, NULL},
		{"redis://127.0.0.1:6379/0", "127.0.0.1", 6379, 0, NULL, NULL},
		{"redis://h/", "h", 6379, 0, NULL, NULL},
		{"redis://h:1", "h", 1, 0, NULL, NULL},
		{"redis://h:65535/15", "h", 65535, 15, NULL, NULL},
		{"redis://h/1048576", "h", 6379, 1048576, NULL, NULL},
		{"redis://cache.example.org/3", "cache.example.org", 6379, 3, NULL, NULL},
		{"redis://u:p@h:7/3", "h", 7, 3, "u", "p"},
		{"redis://:p@h", "h", 6379, 0, NULL, "p"},
		{"redis://p@h", "h", 6379, 0, NULL, "p"},
		{"redis://u:p:q@h", "h", 6379, 0, "u", "p:q"},
		{"redis://u:p@q@h", "h", 6379, 0, "u", "p@q"},
		{"redis://u:p?q#r@h/1", "h", 6379, 1, "u", "p?q#r"},
		{"redis://[::1]", "::1", 6379, 0, NULL, NULL},
		{"redis://[::1]/4", "::1", 6379, 4, NULL, NULL},
		{"redis://[2001:db8::7]:7000/4", "2001:db8::7", 7000, 4, NULL, NULL},
		{"redis://u:p@[fe80::1]:7000", "fe80::1", 7000, 0, "u", "p"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct redis_address address;
		struct errmsg msg = {""};

		AT_ROW(i, redis_address_parse(rows[i].url, &address, &msg) == 0);
		AT_ROW(i, is_same(address.host, rows[i].host));
		AT_ROW(i, address.path == NULL);
		AT_ROW(i, address.port == rows[i].port);
		AT_ROW(i, address.db == rows[i].db);
		AT_ROW(i, is_same(address.user, rows[i].user));
		AT_ROW(i, is_same(address.password, rows[i].password));
		AT_ROW(i, msg.text[0] == '\0');
		redis_address_done(&address);
	}
}

TEST(a_socket_is_an_absolute_path_with_a_database_behind_it)
{
	static const struct {
		const char *url, *path;
		int db;
		const char *user, *password;
	} rows[] = {
		{"unix:///run/redis.sock", "/run/redis.sock", 0, NULL, NULL},
		{"unix:///run/redis.sock?db=0", "/run/redis.sock", 0, NULL, NULL},
		{"unix:///run/redis.sock?db=12", "/run/redis.sock", 12, NULL, NULL},
		{"unix:///a%20b", "/a b", 0, NULL, NULL},
		{"unix:///a%3fdb=3?db=4", "/a?db=3", 4, NULL, NULL},
		{"unix:///a@b", "/a@b", 0, NULL, NULL},
		{"unix:///a:b", "/a:b", 0, NULL, NULL},
		{"unix://u:p@/run/redis.sock?db=1", "/run/redis.sock", 1, "u", "p"},
		{"unix://:p@/s", "/s", 0, NULL, "p"},
		{"unix://p@/s", "/s", 0, NULL, "p"},
		{"unix://u:p@q@/s", "/s", 0, "u", "p@q"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct redis_address address;
		struct errmsg msg = {""};

		AT_ROW(i, redis_address_parse(rows[i].url, &address, &msg) == 0);
		AT_ROW(i, address.host == NULL);
		AT_ROW(i, is_same(address.path, rows[i].path));
		AT_ROW(i, address.db == rows[i].db);
		AT_ROW(i, is_same(address.user, rows[i].user));
		AT_ROW(i, is_same(address.password, rows[i].password));
		redis_address_done(&address);
	}
}

TEST(percent_signs_are_decoded_where_two_hex_digits_follow)
{
	static const struct {
		const char *written, *meant;
	} rows[] = {
		{"p%40q", "p@q"},
		{"p%2Fq", "p/q"},
		{"p%2fq", "p/q"},
		{"p%3aq", "p:q"},
		{"%c3%A4", "\xc3\xa4"},
		{"%25%34%30", "%40"},
		{"100%", "100%"},
		{"%4", "%4"},
		{"%4g", "%4g"},
		{"%%40", "%@"},
		{"a+b", "a+b"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct redis_address address;
		struct errmsg msg = {""};
		char url[128];

		(void)snprintf(url, sizeof(url), "redis://%s:%s@h", rows[i].written,
			rows[i].written);
		AT_ROW(i, redis_address_parse(url, &address, &msg) == 0);
		AT_ROW(i, is_same(address.user, rows[i].meant));
		AT_ROW(i, is_same(address.password, rows[i].meant));
		redis_address_done(&address);
	}
}

static const char *const bad_urls[] = {
	"",
	"none",
	"http://h",
	"rediss://h",
	"REDIS://h",
	"redis:/h",
	"redis:h",
	"127.0.0.1:6379",
	/* host */
	"redis://",
	"redis:///0",
	"redis://:6379",
	"redis://hunter2@",
	"redis://u:hunter2@/0",
	"redis://u:hunter2@:6379",
	"redis://[]",
	"redis://[]:1",
	"redis://u:hunter2@[::1",
	"redis://[::1]x",
	"redis://[::1]6379",
	"redis://::1",
	"redis://::1:6379/0",
	/* port */
	"redis://h:",
	"redis://h:/0",
	"redis://h:0",
	"redis://h:-1",
	"redis://h:65536",
	"redis://h:99999999999999999999",
	"redis://h:6379x/0",
	"redis://h:0x10",
	"redis://u:hunter2@h:port/0",
	"redis://[::1]:",
	"redis://[::1]:x",
	"redis://h:6379?db=1",
	/* database */
	"redis://h/x",
	"redis://h/-1",
	"redis://h/1048577",
	"redis://h/1x",
	"redis://h/0/1",
	"redis://h/0?x=1",
	"redis://u:hunter2@h/no",
	"redis://u:hunter/2@h",
	/* sockets */
	"unix:",
	"unix://",
	"unix:/run/redis.sock",
	"unix://run",
	"unix://run/redis.sock",
	"unix://h:6379/run/redis.sock",
	"unix://u:hunter2@",
	"unix://?db=0",
	"unix:///s?",
	"unix:///s?db=",
	"unix:///s?db=x",
	"unix:///s?db=-1",
	"unix:///s?db=1&x=2",
	"unix:///s?DB=1",
	"unix://u:hunter2@/s?password=hunter2",
};

TEST(a_bad_url_is_refused_with_a_reason_that_never_shows_it)
{
	for (size_t i = 0; i < COUNT_OF(bad_urls); i++) {
		struct redis_address address, before;
		struct errmsg msg = {""};

		memset(&address, 0x5e, sizeof(address));
		memset(&before, 0x5e, sizeof(before));
		AT_ROW(i, redis_address_parse(bad_urls[i], &address, &msg) == ERR_CONFIG);
		AT_ROW(i, msg.text[0] != '\0');
		AT_ROW(i, strstr(msg.text, "hunter") == NULL);
		AT_ROW(i, memcmp(&address, &before, sizeof(address)) == 0);
		AT_ROW(i, redis_address_parse(bad_urls[i], &address, NULL) == ERR_CONFIG);
	}
}

TEST(a_number_in_a_url_is_digits_only)
{
	static const char *const urls[] = {"redis://h:+6379", "redis://h: 6379",
		"redis://h:\t6379", "redis://h/+1", "redis://h/ 1", "redis://h/-0",
		"unix:///s?db= 1", "unix:///s?db=+1"};

	for (size_t i = 0; i < COUNT_OF(urls); i++) {
		struct redis_address address = {0};
		struct errmsg msg = {""};
		int code = redis_address_parse(urls[i], &address, &msg);

		redis_address_done(&address);
		AT_ROW(i, code == ERR_CONFIG);
	}
}

TEST(short_memory_is_said_and_leaks_nothing)
{
	static const struct {
		const char *url;
		unsigned n_copies;
	} rows[] = {
		{"redis://h", 1},
		{"redis://:p@h/1", 2},
		{"redis://u:p@[::1]:7/1", 3},
		{"unix:///s", 1},
		{"unix://u:p@/s?db=1", 3},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		for (unsigned n = 1; n <= rows[i].n_copies + 1; n++) {
			struct redis_address address = {.port = 77};
			struct errmsg msg = {""};
			int code;
			bool has_fired;

			faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
			code = redis_address_parse(rows[i].url, &address, &msg);
			has_fired = faults_fired(FAULT_MEMORY);
			faults_reset();
			AT_ROW(i, has_fired == (n <= rows[i].n_copies));
			AT_ROW(i, code == (has_fired ? ERR_NOMEM : 0));
			AT_ROW(i, !has_fired || address.port == 77);
			AT_ROW(i, !has_fired || address.host == NULL);
			redis_address_done(&address);
		}
	}
}

TEST(an_address_can_be_freed_twice_and_is_empty_then)
{
	struct redis_address address, empty = {0};
	struct errmsg msg = {""};

	assert_int_equal(redis_address_parse("redis://u:p@h:7/3", &address, &msg), 0);
	redis_address_done(&address);
	assert_memory_equal(&address, &empty, sizeof(address));
	redis_address_done(&address);
}

TEST(the_text_of_an_address_is_clean_whatever_was_percent_encoded)
{
	struct redis_address address;
	char text[REDIS_ADDRESS_BYTES];
	struct errmsg msg;

	assert_int_equal(redis_address_parse("unix:///a%ffb%0a", &address, &msg), 0);
	redis_address_text(&address, text);
	assert_string_equal(text, "unix:/a?b??db=0");
	redis_address_done(&address);
}

TEST(the_url_to_set_is_one_that_leads_there_and_holds_no_secret)
{
	static const char *const urls[][2] = {
		{"redis://127.0.0.1:6379/0", "redis://default:PASSWORD@127.0.0.1:6379/0"},
		{"redis://tally:secret@h/3", "redis://tally:PASSWORD@h:6379/3"},
		{"redis://:secret@[::1]:7/2", "redis://default:PASSWORD@[::1]:7/2"},
		{"unix:///run/redis.sock",
			"unix://default:PASSWORD@/run/redis.sock?db=0"},
		{"unix://u:secret@/s?db=4", "unix://u:PASSWORD@/s?db=4"},
	};

	for (size_t i = 0; i < COUNT_OF(urls); i++) {
		struct redis_address before, after;
		char url[REDIS_URL_BYTES];
		struct errmsg msg;

		AT_ROW(i, redis_address_parse(urls[i][0], &before, &msg) == 0);
		redis_address_url(&before, true, url);
		AT_ROW(i, strcmp(url, urls[i][1]) == 0);
		AT_ROW(i, redis_address_parse(url, &after, &msg) == 0);
		AT_ROW(i, is_same(after.host, before.host));
		AT_ROW(i, is_same(after.path, before.path));
		AT_ROW(i, after.port == before.port && after.db == before.db);
		redis_address_done(&after);
		redis_address_url(&before, false, url);
		AT_ROW(i, redis_address_parse(url, &after, &msg) == 0);
		AT_ROW(i, after.password == NULL && after.user == NULL);
		AT_ROW(i, is_same(after.host, before.host) && after.db == before.db);
		redis_address_done(&before);
		redis_address_done(&after);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_url_is_taken_apart),
		cmocka_unit_test(a_socket_is_an_absolute_path_with_a_database_behind_it),
		cmocka_unit_test(percent_signs_are_decoded_where_two_hex_digits_follow),
		cmocka_unit_test(a_bad_url_is_refused_with_a_reason_that_never_shows_it),
		cmocka_unit_test(a_number_in_a_url_is_digits_only),
		cmocka_unit_test(short_memory_is_said_and_leaks_nothing),
		cmocka_unit_test(
			the_text_of_an_address_is_clean_whatever_was_percent_encoded),
		cmocka_unit_test(
			the_url_to_set_is_one_that_leads_there_and_holds_no_secret),
		cmocka_unit_test(an_address_can_be_freed_twice_and_is_empty_then),
	};

	return RUN_TESTS(tests);
}
