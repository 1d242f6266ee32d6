#include "lib/test.h"
#include "app/secret.h"
#include "lib/faults.h"
#include "lib/tempdir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN "0123456789abcdef"

/* Strings that may be written to, as argv and environ are. */
static char **writable(const char *const *list, size_t n)
{
	char **copy = calloc(n + 1, sizeof(*copy));

	assert_non_null(copy);
	for (size_t i = 0; i < n; i++) {
		copy[i] = strdup(list[i]);
		assert_non_null(copy[i]);
	}
	return copy;
}

static void free_all(char **list)
{
	for (size_t i = 0; list[i] != NULL; i++)
		free(list[i]);
	free(list);
}

TEST(secrets_are_wiped_where_others_read_and_kept_where_we_do)
{
	static const char *const arguments[][2] = {
		{"tallyd", "tallyd"},
		{"--redis-url=redis://:pw@h", "--redis-url=*************"},
		{"--redis-url", "--redis-url"},
		{"redis://u:pw@h", "**************"},
		{"--redis-url=redis://h/1", "--redis-url=redis://h/1"},
		{"--api-token=" TOKEN, "--api-token=****************"},
		{"--read-token", "--read-token"},
		{TOKEN, "****************"},
		{"--read-token-file=/a@b", "--read-token-file=/a@b"},
		{"--listen=127.0.0.1:1", "--listen=127.0.0.1:1"},
		{"--redis-url", "--redis-url"},
	};
	static const char *const variables[][2] = {
		{"REDIS_URL=redis://:pw@h", "REDIS_URL=*************"},
		{"TALLYD_REDIS_URL=redis://:pw@h", "TALLYD_REDIS_URL=*************"},
		{"TALLYD_API_TOKEN=" TOKEN, "TALLYD_API_TOKEN=****************"},
		{"TALLYD_API_TOKEN_FILE=/x", "TALLYD_API_TOKEN_FILE=/x"},
		{"API_TOKEN=" TOKEN, "API_TOKEN=" TOKEN},
		{"REDIS_URL_=redis://:pw@h", "REDIS_URL_=redis://:pw@h"},
		{"HOME=/root", "HOME=/root"},
		{"odd", "odd"},
	};
	const char *args[COUNT_OF(arguments)], *vars[COUNT_OF(variables)];
	struct invocation invocation;
	char **argv, **environment;

	for (size_t i = 0; i < COUNT_OF(args); i++)
		args[i] = arguments[i][0];
	for (size_t i = 0; i < COUNT_OF(vars); i++)
		vars[i] = variables[i][0];
	argv = writable(args, COUNT_OF(args));
	environment = writable(vars, COUNT_OF(vars));
	assert_int_equal(
		invocation_take(&invocation, COUNT_OF(args), argv, environment), 0);
	for (size_t i = 0; i < COUNT_OF(args); i++) {
		AT_ROW(i, strcmp(argv[i], arguments[i][1]) == 0);
		AT_ROW(i, strcmp(invocation.argv[i], arguments[i][0]) == 0);
	}
	assert_null(invocation.argv[COUNT_OF(args)]);
	for (size_t i = 0; i < COUNT_OF(vars); i++) {
		AT_ROW(i, strcmp(environment[i], variables[i][1]) == 0);
		AT_ROW(i, strcmp(invocation.environment[i], variables[i][0]) == 0);
	}
	assert_null(invocation.environment[COUNT_OF(vars)]);
	invocation_done(&invocation);
	free_all(argv);
	free_all(environment);
}

TEST(short_memory_wipes_nothing_and_leaks_nothing)
{
	static const char *const args[] = {"tallyd", "--api-token=" TOKEN};
	static const char *const vars[] = {"TALLYD_API_TOKEN=" TOKEN, "A=b"};
	char **argv = writable(args, COUNT_OF(args));
	char **environment = writable(vars, COUNT_OF(vars));
	struct invocation invocation;
	unsigned n = 1;
	int code;

	for (;; n++) {
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = invocation_take(&invocation, COUNT_OF(args), argv, environment);
		if (!faults_fired(FAULT_MEMORY))
			break;
		faults_reset();
		assert_int_equal(code, ERR_NOMEM);
		assert_string_equal(argv[1], args[1]);
		assert_string_equal(environment[0], vars[0]);
		invocation_done(&invocation);
	}
	faults_reset();
	assert_int_equal(code, 0);
	assert_int_equal(n, 7);
	invocation_done(&invocation);
	free_all(argv);
	free_all(environment);
}

TEST(a_token_is_long_enough_and_visible)
{
	static const struct {
		const char *token;
		bool is_good;
	} rows[] = {
		{TOKEN, true},
		{"!~!~!~!~!~!~!~!~", true},
		{"0123456789abcde", false},
		{"", false},
		{"0123456789 abcdef", false},
		{"0123456789abcdef\n", false},
		{"0123456789abcdef\x7f", false},
		{"0123456789abcd\xc3\xbc", false},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct errmsg msg = {""};

		AT_ROW(i, (token_check(rows[i].token, &msg) == 0) == rows[i].is_good);
		AT_ROW(i, rows[i].is_good == (msg.text[0] == '\0'));
		AT_ROW(i, strstr(msg.text, "0123") == NULL);
	}
}

/* What token_find() makes of a file with `text`, or none if NULL. */
static int find(const char *option, const char *file, const char *text, char **ret_token,
	struct errmsg *msg)
{
	struct tempdir dir;
	char path[300];
	int code;

	tempdir_make(&dir);
	if (text != NULL)
		tempdir_write(&dir, "token", text, strlen(text));
	(void)snprintf(path, sizeof(path), "%s", tempdir_path(&dir, "token"));
	code = token_find(
		option, strcmp(file, "FILE") == 0 ? path : file, path, ret_token, msg);
	tempdir_remove(&dir);
	return code;
}

TEST(a_token_is_found_in_its_option_or_its_file)
{
	static const struct {
		const char *option, *file, *text, *token; /* token: "" none, NULL wrong */
	} rows[] = {
		{"", "auto", NULL, ""},
		{"", "none", TOKEN, ""},
		{"", "auto", TOKEN, TOKEN},
		{"", "FILE", " \t" TOKEN " \r\nmore", TOKEN},
		{TOKEN, "auto", "the file beside it is not looked at", TOKEN},
		{TOKEN, "none", NULL, TOKEN},
		{TOKEN, "FILE", TOKEN, NULL},
		{"", "FILE", NULL, NULL},
		{"", "FILE", "", NULL},
		{"", "auto", "\n" TOKEN, NULL},
		{"", "auto", "short", NULL},
		{"", "auto", "a token with blanks in it", NULL},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char *token = NULL;
		struct errmsg msg = {""};
		int code = find(rows[i].option, rows[i].file, rows[i].text, &token, &msg);

		AT_ROW(i, (code == 0) == (rows[i].token != NULL));
		AT_ROW(i, (code == 0) == (msg.text[0] == '\0'));
		AT_ROW(i,
			token == NULL ? rows[i].token == NULL || rows[i].token[0] == '\0'
				      : strcmp(token, rows[i].token) == 0);
		AT_ROW(i, strstr(msg.text, TOKEN) == NULL);
		free(token);
	}
}

TEST(a_token_without_end_is_refused)
{
	char *text = malloc(100001), *token = NULL;
	struct errmsg msg = {""};

	assert_non_null(text);
	memset(text, 'x', 100000);
	text[100000] = '\0';
	assert_int_equal(find("", "auto", text, &token, &msg), ERR_CONFIG);
	assert_null(token);
	assert_non_null(strstr(msg.text, "16 to 512"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			secrets_are_wiped_where_others_read_and_kept_where_we_do),
		cmocka_unit_test(short_memory_wipes_nothing_and_leaks_nothing),
		cmocka_unit_test(a_token_is_long_enough_and_visible),
		cmocka_unit_test(a_token_is_found_in_its_option_or_its_file),
		cmocka_unit_test(a_token_without_end_is_refused),
	};

	return RUN_TESTS(tests);
}
