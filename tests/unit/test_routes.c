#include "lib/test.h"
#include "api/api.h"
#include "http/path.h"
#include "http/route.h"
#include "lib/faults.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void handler(void *arg, struct http_request *request)
{
	(void)arg;
	(void)request;
}

static const struct http_route routes[] = {
	{"POST", "/observer", handler, RIGHT_READ, 0, NULL, NULL},
	{"GET", "/status", handler, RIGHT_READ, 0, NULL, NULL},
	{"GET", "/users", handler, RIGHT_READ, 0, NULL, NULL},
	{"GET", "/users/{}", handler, RIGHT_READ, 0, NULL, NULL},
	{"DELETE", "/users/{}", handler, RIGHT_READ, 0, NULL, NULL},
	{"GET", "/users/{}/traffic", handler, RIGHT_READ, 0, NULL, NULL},
	{"POST", "/users/{}/adjust", handler, RIGHT_READ, 0, NULL, NULL},
	{"GET", "/", handler, RIGHT_READ, 0, NULL, NULL},
	{NULL, NULL, NULL, RIGHT_ANYBODY, 0, NULL, NULL},
};

/* What is found for a request: a row of the table, or -1 and the methods allowed. */
struct reply {
	const char *method, *path;
	int row;
	const char *value, *allow;
};

static void check(const struct reply *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char allow[64] = "left from before", *value = NULL;
		const struct http_route *route =
			route_find(routes, rows[i].method, rows[i].path, &value, allow);

		AT_ROW(i, route == (rows[i].row < 0 ? NULL : &routes[rows[i].row]));
		if (route != NULL)
			AT_ROW(i, strcmp(value, rows[i].value) == 0);
		else
			AT_ROW(i, strcmp(allow, rows[i].allow) == 0);
		free(value);
	}
}

TEST(a_path_is_found_whole_and_with_its_method)
{
	static const struct reply rows[] = {
		{"POST", "/observer", 0, "", NULL},
		{"GET", "/status", 1, "", NULL},
		{"GET", "/", 7, "", NULL},
		{"POST", "/observe", -1, NULL, ""},
		{"POST", "/observers", -1, NULL, ""},
		{"POST", "/Observer", -1, NULL, ""},
		{"POST", "observer", -1, NULL, ""},
		{"POST", "", -1, NULL, ""},
		{"GET", "/nothing", -1, NULL, ""},
		{"POST", "*", -1, NULL, ""},
	};

	check(rows, COUNT_OF(rows));
}

TEST(the_prefix_may_stand_before_every_path_once)
{
	static const struct reply rows[] = {
		{"POST", "/api/gost/observer", 0, "", NULL},
		{"GET", "/api/gost/users/bob", 3, "bob", NULL},
		{"GET", "/api/gost/", 7, "", NULL},
		{"GET", "/api/gost/status", 1, "", NULL},
		{"POST", "/api/gost/status", -1, NULL, "GET, HEAD"},
		{"GET", "/api/gost", -1, NULL, ""},
		{"POST", "/api/gostobserver", -1, NULL, ""},
		{"POST", "/api/observer", -1, NULL, ""},
		{"POST", "/API/gost/observer", -1, NULL, ""},
		{"POST", "/api/gost/api/gost/observer", -1, NULL, ""},
		{"GET", "/users/api/gost", 3, "api/gost", NULL},
	};

	check(rows, COUNT_OF(rows));
}

TEST(a_hole_stands_for_one_or_more_characters)
{
	static const struct reply rows[] = {
		{"GET", "/users/b", 3, "b", NULL},
		{"GET", "/users/bob", 3, "bob", NULL},
		{"GET", "/users/b%20b", 3, "b%20b", NULL},
		{"GET", "/users/{}", 3, "{}", NULL},
		{"GET", "/users/b\xc3\xb6", 3, "b\xc3\xb6", NULL},
		{"POST", "/users/bob/adjust", 6, "bob", NULL},
		{"POST", "/users/a/b/adjust", 6, "a/b", NULL},
		{"POST", "/users/adjust/adjust", 6, "adjust", NULL},
		{"POST", "/users/a//b/adjust", 6, "a//b", NULL},
		{"GET", "/users", 2, "", NULL},
		{"POST", "/users//adjust", -1, NULL, "GET, HEAD, DELETE"},
		{"POST", "/users/adjust", -1, NULL, "GET, HEAD, DELETE"},
		{"POST", "/users/bob/adjusted", -1, NULL, "GET, HEAD, DELETE"},
		{"GET", "/user/bob", -1, NULL, ""},
	};

	check(rows, COUNT_OF(rows));
}

TEST(slashes_that_are_doubled_or_at_the_end_do_not_count)
{
	static const struct reply rows[] = {
		{"POST", "/observer/", 0, "", NULL},
		{"POST", "//observer", 0, "", NULL},
		{"POST", "///observer///", 0, "", NULL},
		{"POST", "/api/gost//observer/", 0, "", NULL},
		{"POST", "//api//gost/observer", 0, "", NULL},
		{"GET", "//", 7, "", NULL},
		{"GET", "/users/", 2, "", NULL},
		{"GET", "/users/bob/", 3, "bob", NULL},
		{"DELETE", "//users//bob//", 4, "bob", NULL},
		{"POST", "/users//bob//adjust/", 6, "bob", NULL},
		{"POST", "/users//adjust", -1, NULL, "GET, HEAD, DELETE"},
		{"POST", "/users///adjust", -1, NULL, "GET, HEAD, DELETE"},
		{"GET", "/observer/", -1, NULL, "POST"},
		{"POST", "/observer/x", -1, NULL, ""},
		{"POST", "/obs//erver", -1, NULL, ""},
		{"POST", "/api//gostobserver", -1, NULL, ""},
		{"POST", "observer/", -1, NULL, ""},
	};

	check(rows, COUNT_OF(rows));
}

TEST(a_slash_that_was_sent_encoded_belongs_to_the_value)
{
	static const struct {
		const char *raw;
		int row;
		const char *value;
	} rows[] = {
		{"/users/%2F", 3, "/"},
		{"/users/a%2fb", 3, "a/b"},
		{"/users/%2Fa%2F/", 3, "/a/"},
		{"/users/http://x", 3, "http://x"},
		{"/users/a%2520b", 3, "a%20b"},
		{"/users/%c3%bc", 3, "\xc3\xbc"},
		{"/users%2Fbob", -1, NULL},
		{"/%2Fusers/bob", -1, NULL},
		/* The byte that stands for it cannot be sent. */
		{"/users/a%ffb", 3,
			"a\xfe"
			"b"},
		{"/users/a\xff"
		 "b",
			3,
			"a\xfe"
			"b"},
		{"/users\xff"
		 "bob",
			-1, NULL},
		{"/%75sers/bob", 3, "bob"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char path[64], allow[64], *value = NULL;
		const struct http_route *route;

		(void)strcpy(path, rows[i].raw);
		AT_ROW(i, path_unescape(path) == strlen(path));
		route = route_find(routes, "GET", path, &value, allow);
		AT_ROW(i, route == (rows[i].row < 0 ? NULL : &routes[rows[i].row]));
		AT_ROW(i, route == NULL || strcmp(value, rows[i].value) == 0);
		free(value);
	}
}

TEST(the_path_of_an_absolute_target_is_behind_its_host)
{
	static const struct {
		const char *target, *path, *authority, *logged;
	} rows[] = {
		{"/observer", "/observer", NULL, "/observer"},
		{"/observer?node=x", "/observer?node=x", NULL, "/observer"},
		{"http://host:3000/observer", "/observer", "host:3000", "/observer"},
		{"HTTPS://[::1]:3000//observer/", "//observer/", "[::1]:3000",
			"//observer/"},
		{"http://host", "/", "host", "/"},
		{"http://host?node=x", "/", "host", "/"},
		{"http:///observer", "/observer", "", "/observer"},
		{"http://hk1:secret@host/observer?s=secret", "/observer?s=secret",
			"hk1:secret@host", "/observer"},
		{"/http://host/observer", "/http://host/observer", NULL,
			"/http://host/observer"},
		{"ftp://host/observer", "ftp://host/observer", NULL,
			"ftp://host/observer"},
		{"*", "*", NULL, "*"},
		{"", "", NULL, ""},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *authority;
		char logged[64];
		size_t len;

		AT_ROW(i,
			strcmp(path_in_target(rows[i].target, &authority, &len),
				rows[i].path) == 0);
		AT_ROW(i, (authority == NULL) == (rows[i].authority == NULL));
		AT_ROW(i,
			authority == NULL ||
				(len == strlen(rows[i].authority) &&
					strncmp(authority, rows[i].authority, len) == 0));
		path_of_target(rows[i].target, logged, sizeof(logged));
		AT_ROW(i, strcmp(logged, rows[i].logged) == 0);
	}
}

TEST(a_wrong_method_is_told_which_ones_are_right)
{
	static const struct reply rows[] = {
		{"GET", "/observer", -1, NULL, "POST"},
		{"PUT", "/observer", -1, NULL, "POST"},
		{"OPTIONS", "/observer", -1, NULL, "POST"},
		{"post", "/observer", -1, NULL, "POST"},
		{"", "/observer", -1, NULL, "POST"},
		{"POST", "/status", -1, NULL, "GET, HEAD"},
		{"POST", "/users/bob", -1, NULL, "GET, HEAD, DELETE"},
		{"DELETE", "/users/bob", 4, "bob", NULL},
	};

	check(rows, COUNT_OF(rows));
}

TEST(head_is_found_where_get_is)
{
	static const struct reply rows[] = {
		{"HEAD", "/status", 1, "", NULL},
		{"HEAD", "/users/bob", 3, "bob", NULL},
		{"HEAD", "/api/gost/status", 1, "", NULL},
		{"HEAD", "/observer", -1, NULL, "POST"},
		{"HEAD", "/nothing", -1, NULL, ""},
	};

	check(rows, COUNT_OF(rows));
}

TEST(of_two_that_match_the_first_is_found)
{
	static const struct http_route both[] = {
		{"GET", "/users/{}", handler, RIGHT_READ, 0, NULL, NULL},
		{"GET", "/users/{}/traffic", handler, RIGHT_READ, 0, NULL, NULL},
		{NULL, NULL, NULL, RIGHT_ANYBODY, 0, NULL, NULL},
	};
	char allow[64], *value;

	assert_ptr_equal(
		route_find(both, "GET", "/users/bob/traffic", &value, allow), &both[0]);
	assert_string_equal(value, "bob/traffic");
	free(value);
}

TEST(a_path_that_memory_is_too_short_for_is_not_one_that_is_missing)
{
	static const struct http_route one[] = {
		{"POST", "/observer", handler, RIGHT_REPORT, 0, NULL, NULL}, {0}};
	char allow[64], left[] = "left from before", *value = left;

	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	assert_ptr_equal(route_find(one, "POST", "/observer", &value, allow), &one[0]);
	faults_reset();
	assert_null(value);
	assert_string_equal(allow, "");
}

TEST(more_methods_than_fit_are_left_out_and_never_cut)
{
	static const struct http_route many[] = {
		{"GET", "/x", handler, RIGHT_READ, 0, NULL, NULL},
		{"VERSION-CONTROL", "/x", handler, RIGHT_READ, 0, NULL, NULL},
		{"BASELINE-CONTROL", "/x", handler, RIGHT_READ, 0, NULL, NULL},
		{"UPDATEREDIRECTREF", "/x", handler, RIGHT_READ, 0, NULL, NULL},
		{"PUT", "/x", handler, RIGHT_READ, 0, NULL, NULL},
		{NULL, NULL, NULL, RIGHT_ANYBODY, 0, NULL, NULL},
	};
	char allow[65], *value = NULL;

	memset(allow, '!', sizeof(allow));
	assert_null(route_find(many, "POST", "/x", &value, allow));
	assert_null(value);
	assert_string_equal(allow, "GET, HEAD, VERSION-CONTROL, BASELINE-CONTROL, PUT");
	assert_int_equal(allow[64], '!');
}

TEST(a_table_may_be_empty)
{
	static const struct http_route none[] = {
		{NULL, NULL, NULL, RIGHT_ANYBODY, 0, NULL, NULL}};
	char allow[64] = "x", *value = NULL;

	assert_null(route_find(none, "GET", "/", &value, allow));
	assert_string_equal(allow, "");
}

TEST(each_of_our_own_paths_is_found_with_and_without_the_prefix)
{
	static const struct {
		const char *method, *plain, *prefixed, *value;
	} rows[] = {
		{"POST", "/observer", "/api/gost/observer", ""},
		{"GET", "/throttle-sync-status", "/api/gost/throttle-sync-status", ""},
		{"POST", "/force-sync", "/api/gost/force-sync", ""},
		{"GET", "/users/a@b.c/traffic", "/api/gost/users/a@b.c/traffic", "a@b.c"},
		{"GET", "/livez", "/api/gost/livez", ""},
		{"GET", "/healthz", "/api/gost/healthz", ""},
		{"GET", "/readyz", "/api/gost/readyz", ""},
		{"GET", "/version", "/api/gost/version", ""},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char allow[64], *value = NULL, *again = NULL;
		const struct http_route *route = route_find(
			api_routes(), rows[i].method, rows[i].plain, &value, allow);

		AT_ROW(i, route != NULL && route->handler != NULL);
		AT_ROW(i,
			route ==
				route_find(api_routes(), rows[i].method, rows[i].prefixed,
					&again, allow));
		AT_ROW(i, strcmp(value, rows[i].value) == 0);
		AT_ROW(i, strcmp(again, rows[i].value) == 0);
		free(value);
		free(again);
	}
}

TEST(each_of_our_own_paths_asks_for_its_right)
{
	static const struct {
		const char *path;
		enum http_right right;
		unsigned flags;
	} rows[] = {
		{"/observer", RIGHT_REPORT, 0},
		{"/throttle-sync-status", RIGHT_READ, HTTP_ANSWERS_LESS},
		{"/force-sync", RIGHT_ADMIN, HTTP_LIKE_READ | HTTP_MAY_WAIT},
		{"/users/{}/traffic", RIGHT_READ, 0},
		{"/livez", RIGHT_ANYBODY, 0},
		{"/healthz", RIGHT_ANYBODY, 0},
		{"/readyz", RIGHT_ANYBODY, HTTP_ANSWERS_LESS},
		{"/version", RIGHT_READ, 0},
	};

	for (const struct http_route *route = api_routes(); route->path != NULL;
		route++) {
		size_t i = 0;

		while (i < COUNT_OF(rows) && strcmp(rows[i].path, route->path) != 0)
			i++;
		if (i ==
			COUNT_OF(rows)) /* a command, or what came later: never for all */
			assert_true(route->right >= RIGHT_READ);
		else
			AT_ROW(i,
				route->right == rows[i].right &&
					route->flags == rows[i].flags);
	}
}

TEST(patch_and_delete_are_found_as_other_methods_are)
{
	static const struct http_route nodes[] = {
		{"POST", "/nodes/close", handler, RIGHT_ADMIN, 0, NULL, NULL},
		{"PATCH", "/nodes/{}", handler, RIGHT_ADMIN, 0, NULL, NULL},
		{"DELETE", "/nodes/{}", handler, RIGHT_ADMIN, 0, NULL, NULL},
		{"POST", "/nodes/{}/secret", handler, RIGHT_ADMIN, 0, NULL, "data"},
		{NULL, NULL, NULL, RIGHT_ANYBODY, 0, NULL, NULL},
	};
	static const struct {
		const char *method, *path;
		int row;
		const char *value;
	} rows[] = {
		{"POST", "/nodes/close", 0, ""},
		{"PATCH", "/nodes/hk1", 1, "hk1"},
		{"DELETE", "/api/gost/nodes/close", 2, "close"},
		{"POST", "/nodes/hk1/secret", 3, "hk1"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char allow[64], *value = NULL;

		AT_ROW(i,
			route_find(nodes, rows[i].method, rows[i].path, &value, allow) ==
				&nodes[rows[i].row]);
		AT_ROW(i, strcmp(value, rows[i].value) == 0);
		free(value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_is_found_whole_and_with_its_method),
		cmocka_unit_test(the_prefix_may_stand_before_every_path_once),
		cmocka_unit_test(a_hole_stands_for_one_or_more_characters),
		cmocka_unit_test(slashes_that_are_doubled_or_at_the_end_do_not_count),
		cmocka_unit_test(a_slash_that_was_sent_encoded_belongs_to_the_value),
		cmocka_unit_test(the_path_of_an_absolute_target_is_behind_its_host),
		cmocka_unit_test(a_wrong_method_is_told_which_ones_are_right),
		cmocka_unit_test(head_is_found_where_get_is),
		cmocka_unit_test(of_two_that_match_the_first_is_found),
		cmocka_unit_test(
			a_path_that_memory_is_too_short_for_is_not_one_that_is_missing),
		cmocka_unit_test(more_methods_than_fit_are_left_out_and_never_cut),
		cmocka_unit_test(a_table_may_be_empty),
		cmocka_unit_test(
			each_of_our_own_paths_is_found_with_and_without_the_prefix),
		cmocka_unit_test(each_of_our_own_paths_asks_for_its_right),
		cmocka_unit_test(patch_and_delete_are_found_as_other_methods_are),
	};

	return RUN_TESTS(tests);
}
