/*
 * A struct sources says what stands where; read_all() gathers it and keeps every line
 * that was written about mistakes. The file is always there, so the machine's own
 * /etc/tallyd is never looked at.
 */
#include "lib/test.h"
#include "app/option.h"
#include "lib/faults.h"
#include "lib/tempdir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 12
#define FILE_NAME "tallyd.conf"

struct sources {
	const char *file; /* its text; NULL: it is empty */
	const char *environment[MAX_WORDS];
	const char *arguments[MAX_WORDS];
};

/* Rows of tables name only the sources that they have. */
#define TEXT(text) .file = (text)
#define ENV(...) .environment = {__VA_ARGS__}
#define ARGS(...) .arguments = {__VA_ARGS__}

struct outcome {
	struct config config;
	enum config_command command;
	int code;
	char *said; /* all lines; the file is called FILE in them */
};

/* Every occurrence of the file's path becomes FILE. */
static char *shorten(char *said, const char *path)
{
	char *at;

	while ((at = strstr(said, path)) != NULL) {
		memcpy(at, "FILE", 4);
		memmove(at + 4, at + strlen(path), strlen(at + strlen(path)) + 1);
	}
	return said;
}

static void run(const struct tempdir *dir, const struct sources *sources,
	struct outcome *ret_outcome)
{
	char *argv[MAX_WORDS + 4], *environment[MAX_WORDS + 1] = {NULL};
	char config[300], program[] = "tallyd";
	size_t size;
	int argc = 0;
	FILE *errors = open_memstream(&ret_outcome->said, &size);

	assert_non_null(errors);
	(void)snprintf(
		config, sizeof(config), "--config=%s", tempdir_path(dir, FILE_NAME));
	argv[argc++] = program;
	argv[argc++] = config;
	for (size_t i = 0; i < MAX_WORDS && sources->arguments[i] != NULL; i++)
		argv[argc++] = (char *)sources->arguments[i];
	argv[argc] = NULL;
	for (size_t i = 0; i < MAX_WORDS; i++)
		environment[i] = (char *)sources->environment[i];
	ret_outcome->code = config_load(&ret_outcome->config, argc, argv, environment,
		&ret_outcome->command, errors);
	assert_int_equal(fclose(errors), 0);
	(void)shorten(ret_outcome->said, tempdir_path(dir, FILE_NAME));
}

static void read_bytes(const struct sources *sources, const void *file, size_t len,
	struct outcome *ret_outcome)
{
	struct tempdir dir;

	tempdir_make(&dir);
	tempdir_write(&dir, FILE_NAME, file, len);
	run(&dir, sources, ret_outcome);
	tempdir_remove(&dir);
}

static void read_all(const struct sources *sources, struct outcome *ret_outcome)
{
	const char *file = sources->file != NULL ? sources->file : "";

	read_bytes(sources, file, strlen(file), ret_outcome);
}

static void done(struct outcome *outcome)
{
	config_done(&outcome->config);
	free(outcome->said);
}

/* Sources and every line that is to be said about them. */
struct mistaken {
	struct sources sources;
	const char *said;
	int code;
};

static void check(const struct mistaken *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct outcome outcome;

		read_all(&rows[i].sources, &outcome);
		if (strcmp(outcome.said, rows[i].said) != 0)
			print_error("said: %s", outcome.said);
		AT_ROW(i, strcmp(outcome.said, rows[i].said) == 0);
		AT_ROW(i, outcome.code == rows[i].code);
		done(&outcome);
	}
}

TEST(each_source_wins_over_the_one_before)
{
	static const struct {
		struct sources sources;
		uint64_t interval;
	} rows[] = {
		{{NULL}, 45000},
		{{TEXT("sync_interval = 1s")}, 1000},
		{{TEXT("sync_interval = 1s"), ENV("DB_SYNC_INTERVAL=2000")}, 2000},
		{{TEXT("sync_interval = 1s"),
			 ENV("DB_SYNC_INTERVAL=2s", "TALLYD_SYNC_INTERVAL=3s")},
			3000},
		{{TEXT("sync_interval = 1s"),
			 ENV("TALLYD_SYNC_INTERVAL=3s", "DB_SYNC_INTERVAL=2s")},
			3000},
		{{TEXT("sync_interval = 1s"),
			 ENV("DB_SYNC_INTERVAL=2s", "TALLYD_SYNC_INTERVAL=3s"),
			 ARGS("--sync-interval=4s")},
			4000},
		{{TEXT("sync_interval = 1s"), ARGS("--sync-interval", "4s")}, 4000},
		{{ENV("DB_SYNC_INTERVAL=2s"), ARGS("--sync-interval=4s")}, 4000},
		{{ARGS("--sync-interval=4s", "--sync-interval=5s")}, 5000},
		{{ENV("TALLYD_SYNC_INTERVAL=3s", "TALLYD_SYNC_INTERVAL=9s")}, 3000},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct outcome outcome;

		read_all(&rows[i].sources, &outcome);
		AT_ROW(i, outcome.code == 0 && outcome.said[0] == '\0');
		AT_ROW(i, outcome.command == COMMAND_RUN);
		AT_ROW(i, outcome.config.sync_interval == rows[i].interval);
		AT_ROW(i, outcome.config.max_retries == 3);
		done(&outcome);
	}
}

/* Another value than the default, as text. */
static const char *other_value(const struct option_row *row, char buf[64])
{
	if (row->type == TYPE_TEXT)
		return row->secret == SECRET_IN_URL          ? "none"
			: row->secret == SECRET_WHOLE        ? "a-token-of-some-length"
			: strcmp(row->name, "listen") == 0   ? "unix:/other"
			: strstr(row->name, "_file") != NULL ? "none"
							     : "/other";
	if (row->type == TYPE_WORD)
		return option_format(row, 0, buf)[0] == row->fallback[0]
			? option_format(row, 1, buf)
			: option_format(row, 0, buf);
	return option_format(row, row->min + 1, buf);
}

static bool has_value(
	const struct config *config, const struct option_row *row, const char *text)
{
	char buf[64];

	if (row->type == TYPE_TEXT)
		return strcmp(*option_text(config, row), text) == 0;
	return strcmp(option_format(row, *option_number(config, row), buf), text) == 0;
}

TEST(every_option_can_be_set_from_every_source)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows()[i];
		char value[64], line[128], upper[128], original[128], dashed[128];
		char name[OPTION_DASHED_BYTES];
		const char *text = other_value(row, value);
		struct sources sources[4] = {{.file = line}, {.environment = {upper}},
			{.arguments = {dashed}}, {.environment = {original}}};

		option_dashed(row, name);
		(void)snprintf(line, sizeof(line), "%s = %s\n", row->name, text);
		(void)snprintf(upper, sizeof(upper), "TALLYD_%s=%s", row->name, text);
		for (char *at = upper; *at != '='; at++)
			*at = (char)(*at >= 'a' && *at <= 'z' ? *at - 32 : *at);
		(void)snprintf(dashed, sizeof(dashed), "--%s=%s", name, text);
		(void)snprintf(original, sizeof(original), "%s=%s",
			row->also != NULL ? row->also : "NONE", text);
		for (size_t j = 0; j < (row->also != NULL ? 4u : 3u); j++) {
			struct outcome outcome;

			if (j == 2 && row->secret == SECRET_WHOLE)
				continue; /* everybody could read it there */
			read_all(&sources[j], &outcome);
			AT_ROW(i, outcome.code == 0);
			AT_ROW(i, has_value(&outcome.config, row, text));
			done(&outcome);
		}
	}
}

TEST(comments_blanks_and_indentation_mean_nothing)
{
	static const char file[] = "# a comment\n"
				   "; another\n"
				   "\n"
				   "   \t\n"
				   "max_retries=7\n"
				   "\t retry_delay  =   2s   ; said beside it\n"
				   "   # an indented comment\n"
				   "   max_users : 9\n"
				   "redis_key_prefix = a#b;c\n"
				   "  sync_batch_size = 8";
	struct outcome outcome;

	read_all(&(struct sources){.file = file}, &outcome);
	assert_string_equal(outcome.said, "");
	assert_int_equal(outcome.code, 0);
	assert_int_equal(outcome.config.max_retries, 7);
	assert_int_equal(outcome.config.retry_delay, 2000);
	assert_int_equal(outcome.config.max_users, 9);
	assert_string_equal(outcome.config.redis_key_prefix, "a#b;c");
	assert_int_equal(outcome.config.sync_batch_size, 8);
	done(&outcome);
}

TEST(a_byte_order_mark_and_carriage_returns_do_no_harm)
{
	static const char *const files[] = {
		"\xef\xbb\xbfmax_retries = 7\nmax_users = 8\n",
		"max_retries = 7\r\nmax_users = 8\r\n",
		"\xef\xbb\xbfmax_retries = 7\r\n\r\n# a comment\r\nmax_users = 8",
	};

	for (size_t i = 0; i < COUNT_OF(files); i++) {
		struct outcome outcome;

		read_all(&(struct sources){.file = files[i]}, &outcome);
		AT_ROW(i, outcome.code == 0);
		AT_ROW(i, outcome.config.max_retries == 7);
		AT_ROW(i, outcome.config.max_users == 8);
		done(&outcome);
	}
}

TEST(every_mistake_of_every_source_is_said_at_once)
{
	static const struct sources sources = {TEXT("# a comment\n"
						    "sync_intervall = 5s\n"
						    "max_retries = many\n"
						    "log_level = info\n"
						    "journal_fsync = sometimes\n"
						    "listen = nowhere\n"
						    "[node hk1]\n"
						    "secret = x\n"),
		ENV("DB_SYNC_INTERVAL=soon", "TALLYD_MAX_USERS=-3", "HOME=/root",
			"TALLYD_RETRY_DELEY=1s"),
		ARGS("--stop-timeout=5parsecs", "stray", "--nonsense=1")};
	struct outcome outcome;

	read_all(&sources, &outcome);
	assert_string_equal(outcome.said,
		"command line: stray: only options are expected\n"
		"command line: --nonsense: only options are expected\n"
		"FILE:2: sync_intervall: there is no such option; did you mean "
		"sync_interval?\n"
		"FILE:3: max_retries: `many`: a whole number is expected\n"
		"FILE:5: journal_fsync: `sometimes` is none of always|everysec|no\n"
		"FILE:6: listen: `nowhere` is none of ADDRESS:PORT, [ADDRESS]:PORT and "
		"unix:/PATH\n"
		"FILE:8: secret: there is no section [node hk1]\n"
		"environment DB_SYNC_INTERVAL: sync_interval: `soon`: a time is "
		"expected, such as 500ms, 45s, 2m; without a unit it is ms\n"
		"environment TALLYD_MAX_USERS: max_users: `-3`: a whole number is "
		"expected\n"
		"environment TALLYD_RETRY_DELEY: retry_deley: there is no such option; "
		"did you mean retry_delay?\n"
		"command line: stop_timeout: `5parsecs`: a time is expected, such as "
		"500ms, 45s, 2m; without a unit it is ms\n");
	assert_int_equal(outcome.code, ERR_PARAM);
	assert_int_equal(outcome.config.log_level, LOG_INFO);
	assert_int_equal(outcome.config.max_retries, 3);
	done(&outcome);
}

TEST(every_line_that_is_no_setting_is_a_mistake_of_its_own)
{
	static const struct mistaken rows[] = {
		{{TEXT("just words\n")}, "FILE:1: `name = value` is expected\n",
			ERR_CONFIG},
		{{TEXT("max_retries = 1\n\n[section\n")},
			"FILE:3: `name = value` is expected\n", ERR_CONFIG},
		{{TEXT("just words\nmax_users = 1\nothers\n")},
			"FILE:1: `name = value` is expected\n"
			"FILE:3: `name = value` is expected\n",
			ERR_CONFIG},
	};

	check(rows, COUNT_OF(rows));
}

TEST(an_unknown_section_is_a_mistake_with_each_of_its_lines)
{
	static const struct mistaken rows[] = {
		{{TEXT("[nod hk1]\nsecret = x\nmax_users = 1\n")},
			"FILE:2: secret: there is no section [nod hk1]\n"
			"FILE:3: max_users: there is no section [nod hk1]\n",
			ERR_CONFIG},
		{{TEXT("max_users = 1\n[tallyd]\nmax_users = 2\n")},
			"FILE:3: max_users: there is no section [tallyd]\n", ERR_CONFIG},
	};

	check(rows, COUNT_OF(rows));
}

TEST(a_key_that_stands_twice_is_a_mistake_and_the_first_one_counts)
{
	static const struct sources sources = {
		TEXT("max_users = 7\nmax_retries = 5\n\nmax_users = 8\nmax_users = 9\n")};
	struct outcome outcome;

	read_all(&sources, &outcome);
	assert_string_equal(outcome.said,
		"FILE:4: max_users: it was set in line 1 already\n"
		"FILE:5: max_users: it was set in line 1 already\n");
	assert_int_equal(outcome.code, ERR_CONFIG);
	assert_int_equal(outcome.config.max_users, 7);
	done(&outcome);
}

TEST(a_value_that_is_wrong_twice_is_said_once_per_place)
{
	static const struct mistaken rows[] = {
		{{TEXT("max_users = x\n"), ENV("TALLYD_MAX_USERS=y"),
			 ARGS("--max-users=z")},
			"FILE:1: max_users: `x`: a whole number is expected\n"
			"environment TALLYD_MAX_USERS: max_users: `y`: a whole number is "
			"expected\n"
			"command line: max_users: `z`: a whole number is expected\n",
			ERR_PARAM},
		{{TEXT("max_users =\n")},
			"FILE:1: max_users: ``: a whole number is expected\n",
			ERR_CONFIG},
	};

	check(rows, COUNT_OF(rows));
}

/* A line that sets the prefix, `len` bytes long without its end. */
static const char *long_line(size_t len, const char *end)
{
	static char line[1000];
	const char head[] = "redis_key_prefix = ";

	memset(line, 'p', sizeof(line));
	memcpy(line, head, strlen(head));
	(void)snprintf(line + len, sizeof(line) - len, "%s", end);
	return line;
}

TEST(a_line_is_taken_whole_or_refused_and_never_cut)
{
	static const struct {
		size_t len;
		const char *end;
		bool is_taken;
	} rows[] = {
		{198, "\n", true},
		{198, "", true},
		{197, "\r\n", true},
		{199, "\n", false},
		{199, "", false},
		{198, "\r\n", false},
		{200, "\nmax_users = 5\n", false},
		{198, "\nmax_users = 5\n", true},
		{400, "\nmax_users = 5\n", false},
		{900, "", false},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		bool has_more = strstr(rows[i].end, "max_users") != NULL;
		struct outcome outcome;

		read_all(&(struct sources){.file = long_line(rows[i].len, rows[i].end)},
			&outcome);
		AT_ROW(i, outcome.code == (rows[i].is_taken ? 0 : ERR_CONFIG));
		AT_ROW(i,
			strcmp(outcome.said,
				rows[i].is_taken ? ""
						 : "FILE:1: the line is longer than 198 "
						   "characters\n") == 0);
		AT_ROW(i,
			strlen(outcome.config.redis_key_prefix) ==
				(rows[i].is_taken ? rows[i].len - 19 : 5));
		AT_ROW(i, !has_more || outcome.config.max_users == 5);
		done(&outcome);
	}
}

TEST(the_line_behind_a_long_one_keeps_its_number)
{
	static const struct mistaken rows[] = {
		{{NULL},
			"FILE:1: the line is longer than 198 characters\n"
			"FILE:3: max_users: `x`: a whole number is expected\n",
			ERR_CONFIG},
	};
	struct mistaken row = rows[0];

	row.sources.file = long_line(700, "\n\nmax_users = x\n");
	check(&row, 1);
}

TEST(a_nul_byte_ends_its_line_and_no_other)
{
	static const char file[] = "\0\0\nmax_users = 7\0 8\nmax_retries = 5\n";
	struct outcome outcome;

	read_bytes(&(struct sources){NULL}, file, sizeof(file) - 1, &outcome);
	assert_string_equal(outcome.said, "");
	assert_int_equal(outcome.config.max_users, 7);
	assert_int_equal(outcome.config.max_retries, 5);
	done(&outcome);
}

TEST(bytes_that_are_no_text_are_refused)
{
	static const struct mistaken rows[] = {
		{{TEXT("redis_key_prefix = \xff\xfe\n")},
			"FILE:1: redis_key_prefix: it is not UTF-8, or holds control "
			"characters\n",
			ERR_CONFIG},
		{{TEXT("redis_key_prefix = a\tb\n")},
			"FILE:1: redis_key_prefix: it is not UTF-8, or holds control "
			"characters\n",
			ERR_CONFIG},
		{{TEXT("max_users = \xd9\xa7\n")},
			"FILE:1: max_users: `\xd9\xa7`: a whole number is expected\n",
			ERR_CONFIG},
	};

	check(rows, COUNT_OF(rows));
}

TEST(a_file_that_is_named_has_to_be_there_and_readable)
{
	struct tempdir dir;
	struct outcome outcome;

	tempdir_make(&dir);
	run(&dir, &(struct sources){NULL}, &outcome);
	assert_string_equal(outcome.said, "FILE: No such file or directory\n");
	assert_int_equal(outcome.code, ERR_CONFIG);
	done(&outcome);
	run(&dir, &(struct sources){.arguments = {"--config=/"}}, &outcome);
	assert_string_equal(outcome.said, "/: it cannot be read\n");
	assert_int_equal(outcome.code, ERR_CONFIG);
	done(&outcome);
	tempdir_remove(&dir);
}

TEST(an_empty_variable_is_as_if_it_were_not_there)
{
	static const struct sources sources = {
		TEXT("max_retries = 7\nredis_key_prefix = x:\n"),
		ENV("MAX_RETRIES=", "TALLYD_MAX_RETRIES=", "TALLYD_LOG_LEVEL=")};
	struct outcome outcome;

	read_all(&sources, &outcome);
	assert_string_equal(outcome.said, "");
	assert_int_equal(outcome.config.max_retries, 7);
	done(&outcome);
	/* But an empty prefix is a prefix. */
	read_all(&(struct sources){.file = sources.file,
			 .environment = {"TALLYD_REDIS_KEY_PREFIX="}},
		&outcome);
	assert_int_equal(outcome.code, 0);
	assert_string_equal(outcome.config.redis_key_prefix, "");
	done(&outcome);
}

TEST(variables_of_others_are_left_alone)
{
	static const struct sources sources = {
		ENV("HOME=/root", "TALLYD_BIN=/usr/bin/tallyd", "TALLYD_VALGRIND=1",
			"SYNC_INTERVAL=5", "tallyd_max_users=5", "MAX_USERS=5",
			"XTALLYD_MAX_USERS=5", "TALLYD_=1", "TALLYD", "MAX_RETRIES2=9")};
	struct outcome outcome;

	read_all(&sources, &outcome);
	assert_string_equal(outcome.said, "");
	assert_int_equal(outcome.code, 0);
	assert_int_equal(outcome.config.max_users, 5000000);
	assert_int_equal(outcome.config.max_retries, 3);
	done(&outcome);
}

TEST(a_command_line_that_is_wrong_is_a_usage_error)
{
	static const struct mistaken rows[] = {
		{{ARGS("--sync-intervall=5")},
			"command line: sync_intervall: there is no such option; did you "
			"mean sync_interval?\n",
			ERR_PARAM},
		{{ARGS("--nonsense")},
			"command line: nonsense: there is no such option\n", ERR_PARAM},
		{{ARGS("--sync-interval")},
			"command line: --sync-interval: a value is missing\n", ERR_PARAM},
		{{ARGS("--sync-interval=0")},
			"command line: sync_interval: `0` is not from 100ms to 86400s\n",
			ERR_PARAM},
		{{ARGS("stray", "more")},
			"command line: stray: only options are expected\n"
			"command line: more: only options are expected\n",
			ERR_PARAM},
		{{ARGS("--", "--max-users=5")},
			"command line: --max-users: only options are expected\n",
			ERR_PARAM},
		{{ARGS("--max-users=x", "--max-retries=y", "--nonsense")},
			"command line: nonsense: there is no such option\n"
			"command line: max_retries: `y`: a whole number is expected\n"
			"command line: max_users: `x`: a whole number is expected\n",
			ERR_PARAM},
		{{TEXT("max_users = x\n"), ARGS("--max-retries=4")},
			"FILE:1: max_users: `x`: a whole number is expected\n",
			ERR_CONFIG},
		{{ARGS("--max-users=")},
			"command line: max_users: ``: a whole number is expected\n",
			ERR_PARAM},
	};

	check(rows, COUNT_OF(rows));
}

TEST(an_abbreviation_is_refused_even_if_it_is_unique_today)
{
	static const char *const arguments[] = {"--sync-i=5s", "--sync-interva=5s",
		"--listen-=x", "--log=info", "--check", "--print", "--salv", "--hel",
		"--vers", "--conf=/etc/x", "--max-u=5", "--max=5"};

	for (size_t i = 0; i < COUNT_OF(arguments); i++) {
		struct outcome outcome;

		read_all(&(struct sources){.arguments = {arguments[i]}}, &outcome);
		AT_ROW(i, outcome.code == ERR_PARAM);
		AT_ROW(i, outcome.command == COMMAND_RUN);
		AT_ROW(i, strncmp(outcome.said, "command line: ", 14) == 0);
		AT_ROW(i, strstr(outcome.said, "there is no such option") != NULL);
		AT_ROW(i, strchr(outcome.said, '\n')[1] == '\0');
		AT_ROW(i, outcome.config.sync_interval == 45000);
		done(&outcome);
	}
}

TEST(a_value_behind_a_blank_is_not_taken_for_an_abbreviation)
{
	struct outcome outcome;

	read_all(&(struct sources){.arguments = {"--redis-key-prefix", "--max",
					   "--max-users", "5", "--max-retries=4"}},
		&outcome);
	assert_string_equal(outcome.said, "");
	assert_string_equal(outcome.config.redis_key_prefix, "--max");
	assert_int_equal(outcome.config.max_users, 5);
	assert_int_equal(outcome.config.max_retries, 4);
	done(&outcome);
}

TEST(a_mistake_among_short_options_names_what_was_written)
{
	static const struct mistaken rows[] = {
		{{ARGS("-x")}, "command line: -x: there is no such option\n", ERR_PARAM},
		{{ARGS("-Vx")}, "command line: -Vx: there is no such option\n",
			ERR_PARAM},
		{{ARGS("-xV")}, "command line: -xV: there is no such option\n",
			ERR_PARAM},
	};

	check(rows, COUNT_OF(rows));
}

TEST(a_command_that_takes_no_value_says_so)
{
	struct outcome outcome;

	read_all(&(struct sources){.arguments = {"--salvage=yes"}}, &outcome);
	assert_int_equal(outcome.code, ERR_PARAM);
	assert_non_null(strstr(outcome.said, "salvage"));
	assert_null(strstr(outcome.said, "there is no such option"));
	done(&outcome);
}

TEST(each_command_is_told)
{
	static const struct {
		const char *argument;
		enum config_command command;
	} rows[] = {
		{"--max-users=1", COMMAND_RUN},
		{"--help", COMMAND_HELP},
		{"-h", COMMAND_HELP},
		{"--version", COMMAND_VERSION},
		{"-V", COMMAND_VERSION},
		{"--check-config", COMMAND_CHECK_CONFIG},
		{"--print-config", COMMAND_PRINT_CONFIG},
		{"--dump-journal", COMMAND_DUMP_JOURNAL},
		{"--salvage", COMMAND_SALVAGE},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct outcome outcome;

		read_all(&(struct sources){.arguments = {rows[i].argument}}, &outcome);
		AT_ROW(i, outcome.code == 0 && outcome.said[0] == '\0');
		AT_ROW(i, outcome.command == rows[i].command);
		done(&outcome);
	}
}

TEST(help_and_version_answer_whatever_the_file_says)
{
	static const char *const arguments[] = {"--help", "--version"};

	for (size_t i = 0; i < COUNT_OF(arguments); i++) {
		struct outcome outcome;

		read_all(&(struct sources){"nonsense = 1\n", {"TALLYD_MAX_USERS=x"},
				 {arguments[i]}},
			&outcome);
		AT_ROW(i, outcome.code == 0 && outcome.said[0] == '\0');
		done(&outcome);
	}
}

/* Whether whoever is there may report is decided by secrets, not by the address. */
TEST(addresses_that_others_can_reach_may_be_listened_on)
{
	static const struct mistaken rows[] = {
		{{TEXT("listen = 0.0.0.0:3000\n")}, "", 0},
		{{TEXT("listen = 127.0.0.1:3000,[::1]:3000,unix:/tmp/x,localhost:1\n")},
			"", 0},
		{{TEXT("listen = 127.0.0.1:1, 192.0.2.1:1\n")}, "", 0},
	};

	check(rows, COUNT_OF(rows));
}

TEST(the_same_arguments_can_be_read_again)
{
	static const struct sources sources = {
		ARGS("--max-users", "5", "--max-retries=4")};

	for (int i = 0; i < 3; i++) {
		struct outcome outcome;

		read_all(&sources, &outcome);
		assert_string_equal(outcome.said, "");
		assert_int_equal(outcome.config.max_users, 5);
		assert_int_equal(outcome.config.max_retries, 4);
		done(&outcome);
	}
}

TEST(short_memory_is_a_mistake_like_others_and_leaks_nothing)
{
	static const struct sources sources = {
		TEXT("data_dir = /x\nredis_url = redis://u:p@h\n"),
		ENV("REDIS_URL=redis://q@h"), ARGS("--listen=127.0.0.1:1")};
	struct tempdir dir;
	unsigned n = 1;

	tempdir_make(&dir);
	tempdir_write(&dir, FILE_NAME, sources.file, strlen(sources.file));
	for (;; n++) {
		struct outcome outcome;
		bool has_fired;

		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		run(&dir, &sources, &outcome);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		assert_int_equal(outcome.code != 0, has_fired);
		assert_int_equal(outcome.said[0] != '\0', has_fired);
		done(&outcome);
		if (!has_fired)
			break;
	}
	assert_true(n > 10);
	tempdir_remove(&dir);
}

/* What --print-config would show. */
static char *print(const struct config *config)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	config_print(config, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static bool is_same(const struct config *a, const struct config *b)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows()[i];

		if (row->secret != SECRET_NOT)
			continue;
		if (row->type == TYPE_TEXT
				? strcmp(*option_text(a, row), *option_text(b, row)) != 0
				: *option_number(a, row) != *option_number(b, row)) {
			print_error("%s differs\n", row->name);
			return false;
		}
	}
	return true;
}

/* Whether these arguments, printed and read again, are the same values. What was refused
 * is `is_fine_if_refused`. */
static bool reads_back(const struct sources *sources, bool is_fine_if_refused)
{
	struct outcome first, second = {.said = NULL};
	bool result;

	read_all(sources, &first);
	if (first.code != 0) {
		result = is_fine_if_refused;
	} else {
		char *text = print(&first.config);

		read_all(&(struct sources){.file = text}, &second);
		result = second.code == 0 && is_same(&first.config, &second.config);
		free(text);
	}
	if (!result)
		print_error("%s%s", first.said, second.said != NULL ? second.said : "");
	done(&first);
	if (second.said != NULL)
		done(&second);
	return result;
}

TEST(what_is_printed_reads_back_as_the_same_values)
{
	static const struct sources rows[] = {
		{NULL},
		{ARGS("--sync-interval=90s", "--journal-max-bytes=3GiB",
			"--min-free-bytes=5MiB", "--idle-timeout=2m",
			"--retry-delay=1500", "--redis-key-prefix=a:b:",
			"--allow-anonymous=yes", "--emergency-flush-size=7",
			"--listen=127.0.0.1:1,[::1]:2,unix:/tmp/x", "--journal-fsync=no",
			"--stop-timeout=0")},
		{ARGS("--redis-key-prefix=")},
		{ARGS("--redis-key-prefix=a = b#c;d")},
		{ARGS("--redis-key-prefix=[x]")},
		{ARGS("--redis-key-prefix=\"quoted\"")},
		{ARGS("--data-dir=/srv/a b/täl")},
		{ARGS("--min-free-bytes=0", "--busy-timeout=0", "--max-retries=0")},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		AT_ROW(i, reads_back(&rows[i], false));
}

TEST(a_text_that_would_read_back_as_another_is_refused_or_printed_so_that_it_does_not)
{
	static const struct sources rows[] = {
		{ARGS("--redis-key-prefix=a ;b")},
		{ARGS("--redis-key-prefix=;b")},
		{ARGS("--redis-key-prefix=a: ")},
		{ARGS("--redis-key-prefix= a:")},
		{ARGS("--data-dir=/srv/a ;b")},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		AT_ROW(i, reads_back(&rows[i], true));
}

TEST(a_text_that_is_longer_than_a_line_is_refused_or_printed_so_that_it_reads_back)
{
	char prefix[300] = "--redis-key-prefix=", data_dir[300] = "--data-dir=/";
	char listen[400] = "--listen=unix:/0";
	struct sources sources = {ARGS(data_dir)};

	memset(data_dir + strlen(data_dir), 'd', 179);
	assert_true(reads_back(&sources, false));
	for (int i = 1; i < 8; i++)
		(void)snprintf(listen + strlen(listen), sizeof(listen) - strlen(listen),
			",unix:/run/tallyd/a/listener/%d", i);
	sources.arguments[0] = listen;
	assert_true(reads_back(&sources, true));
	memset(prefix + strlen(prefix), 'p', 255);
	sources.arguments[0] = prefix;
	assert_true(reads_back(&sources, true));
}

TEST(the_password_of_a_url_is_never_printed)
{
	static const struct {
		const char *url, *shown;
	} rows[] = {
		{"none", "none"},
		{"redis://h:1/2", "redis://h:1/2"},
		{"redis://[::1]:7000/4", "redis://[::1]:7000/4"},
		{"unix:///run/redis.sock?db=3", "unix:///run/redis.sock?db=3"},
		{"unix:///run/a@b", "unix:///run/a@b"},
		{"unix:///run/a:b@c?db=3", "unix:///run/a:b@c?db=3"},
		{"redis://u:hunter2@h:1/2", "redis://u:***@h:1/2"},
		{"redis://:hunter2@h", "redis://:***@h"},
		{"redis://hunter2@h/1", "redis://***@h/1"},
		{"redis://u:hunter2:hunter3@h", "redis://u:***@h"},
		{"redis://u:hunter2@hunter3@h", "redis://u:***@h"},
		{"redis://hunter2@hunter3@h", "redis://***@h"},
		{"redis://u:hunter2@[::1]:7000", "redis://u:***@[::1]:7000"},
		{"redis://u:%68unter2%40hunter%3a@h", "redis://u:***@h"},
		{"redis://u:hunter?2#hunter@h", "redis://u:***@h"},
		{"redis://u:hunter://2@h", NULL},
		{"redis://u:@h", "redis://u:***@h"},
		{"unix://u:hunter2@/run/s?db=3", "unix://u:***@/run/s?db=3"},
		{"unix://:hunter2@/run/s", "unix://:***@/run/s"},
		{"unix://hunter2@/run/s", "unix://***@/run/s"},
		{"unix://hunter2@hunter3@/run/s", "unix://***@/run/s"},
		{"unix://u:hunter2@/run/a@b", "unix://u:***@/run/a@b"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char argument[128], line[128];
		struct outcome outcome;
		char *text;

		(void)snprintf(argument, sizeof(argument), "--redis-url=%s", rows[i].url);
		(void)snprintf(line, sizeof(line), "redis_url = %s\n",
			rows[i].shown != NULL ? rows[i].shown : "");
		read_all(&(struct sources){.arguments = {argument}}, &outcome);
		text = print(&outcome.config);
		AT_ROW(i, outcome.code == (rows[i].shown != NULL ? 0 : ERR_PARAM));
		AT_ROW(i,
			strstr(text, "hunter") == NULL &&
				strstr(text, "68unter") == NULL);
		AT_ROW(i,
			strstr(outcome.said, "hunter") == NULL &&
				strstr(outcome.said, "68unter") == NULL);
		AT_ROW(i, rows[i].shown == NULL || strstr(text, line) != NULL);
		free(text);
		done(&outcome);
	}
}

TEST(a_mistake_about_a_url_never_shows_its_password)
{
	static const struct sources rows[] = {
		{TEXT("redis_url = redis://:hunter2@h:port\n")},
		{ENV("REDIS_URL=http://:hunter2@h")},
		{ENV("TALLYD_REDIS_URI=redis://:hunter2@h")},
		{ARGS("--redis-url=redis://:hunter2@h/x")},
		{ARGS("--redis-uri=redis://:hunter2@h")},
		{ARGS("--redis-u=redis://:hunter2@h")},
		{ARGS("-redis-url=redis://:hunter2@h")},
		{TEXT("redis_uri = redis://:hunter2@h\n")},
		{TEXT("redis_url = redis://h\nredis_url = redis://:hunter2@h\n")},
		{TEXT("[redis]\nurl = redis://:hunter2@h\n")},
		{TEXT("redis://:hunter2@h\n")},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct outcome outcome;

		read_all(&rows[i], &outcome);
		AT_ROW(i, outcome.code != 0);
		AT_ROW(i, outcome.said[0] != '\0');
		AT_ROW(i,
			strstr(outcome.said, "hunter") == NULL &&
				strstr(outcome.said, "68unter") == NULL);
		done(&outcome);
	}
}

TEST(a_flush_starts_at_four_fifths_of_what_may_be_pending)
{
	static const struct {
		uint64_t emergency, pending, size;
	} rows[] = {
		{OPTION_AUTO, 1000, 800},
		{OPTION_AUTO, 500, 400},
		{OPTION_AUTO, 100, 80},
		{OPTION_AUTO, 1, 1},
		{OPTION_AUTO, 2, 2},
		{OPTION_AUTO, 3, 3},
		{OPTION_AUTO, 5, 4},
		{OPTION_AUTO, 100000000, 80000000},
		{7, 1000, 7},
		{1000, 1000, 1000},
		{1001, 1000, 1000},
		{100000000, 1, 1},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct config config = {.max_pending_users = rows[i].pending,
			.emergency_flush_size = rows[i].emergency};
		struct flush_config flush;

		config_to_flush(&config, &flush);
		AT_ROW(i, flush.emergency_flush_size == rows[i].size);
		AT_ROW(i, flush.max_pending_users == rows[i].pending);
	}
}

TEST(flush_and_journal_get_their_own_options)
{
	struct config config = {.sync_interval = 1,
		.max_pending_users = 10,
		.emergency_flush_size = 2,
		.max_retries = 3,
		.retry_delay = 4,
		.journal_fsync = FSYNC_NO,
		.journal_max_bytes = 5,
		.min_free_bytes = 6};
	struct flush_config flush;
	struct journal_config journal;

	config_to_flush(&config, &flush);
	assert_int_equal(flush.interval_ms, 1);
	assert_int_equal(flush.max_pending_users, 10);
	assert_int_equal(flush.emergency_flush_size, 2);
	assert_int_equal(flush.max_retries, 3);
	assert_int_equal(flush.retry_delay_ms, 4);
	config_to_journal(&config, &journal);
	assert_int_equal(journal.fsync, FSYNC_NO);
	assert_int_equal(journal.max_bytes, 5);
	assert_int_equal(journal.min_free_bytes, 6);
	config.min_free_bytes = OPTION_AUTO;
	config_to_journal(&config, &journal);
	assert_true(journal.min_free_bytes == UINT64_MAX);
}

TEST(the_help_names_every_option_with_its_default_and_every_other_name)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	config_print_help(out);
	assert_int_equal(fclose(out), 0);
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows()[i];
		char name[OPTION_DASHED_BYTES], line[80];

		option_dashed(row, name);
		(void)snprintf(line, sizeof(line), "\n  --%s ", name);
		AT_ROW(i, strstr(text, line) != NULL);
		AT_ROW(i, strstr(text, row->help) != NULL);
		(void)snprintf(line, sizeof(line), "default: %s", row->fallback);
		AT_ROW(i, strstr(text, line) != NULL);
		AT_ROW(i, row->also == NULL || strstr(text, row->also) != NULL);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_source_wins_over_the_one_before),
		cmocka_unit_test(every_option_can_be_set_from_every_source),
		cmocka_unit_test(comments_blanks_and_indentation_mean_nothing),
		cmocka_unit_test(a_byte_order_mark_and_carriage_returns_do_no_harm),
		cmocka_unit_test(every_mistake_of_every_source_is_said_at_once),
		cmocka_unit_test(every_line_that_is_no_setting_is_a_mistake_of_its_own),
		cmocka_unit_test(an_unknown_section_is_a_mistake_with_each_of_its_lines),
		cmocka_unit_test(
			a_key_that_stands_twice_is_a_mistake_and_the_first_one_counts),
		cmocka_unit_test(a_value_that_is_wrong_twice_is_said_once_per_place),
		cmocka_unit_test(a_line_is_taken_whole_or_refused_and_never_cut),
		cmocka_unit_test(the_line_behind_a_long_one_keeps_its_number),
		cmocka_unit_test(a_nul_byte_ends_its_line_and_no_other),
		cmocka_unit_test(bytes_that_are_no_text_are_refused),
		cmocka_unit_test(a_file_that_is_named_has_to_be_there_and_readable),
		cmocka_unit_test(an_empty_variable_is_as_if_it_were_not_there),
		cmocka_unit_test(variables_of_others_are_left_alone),
		cmocka_unit_test(a_command_line_that_is_wrong_is_a_usage_error),
		cmocka_unit_test(an_abbreviation_is_refused_even_if_it_is_unique_today),
		cmocka_unit_test(a_value_behind_a_blank_is_not_taken_for_an_abbreviation),
		cmocka_unit_test(a_mistake_among_short_options_names_what_was_written),
		cmocka_unit_test(a_command_that_takes_no_value_says_so),
		cmocka_unit_test(each_command_is_told),
		cmocka_unit_test(help_and_version_answer_whatever_the_file_says),
		cmocka_unit_test(addresses_that_others_can_reach_may_be_listened_on),
		cmocka_unit_test(the_same_arguments_can_be_read_again),
		cmocka_unit_test(short_memory_is_a_mistake_like_others_and_leaks_nothing),
		cmocka_unit_test(what_is_printed_reads_back_as_the_same_values),
		cmocka_unit_test(
			a_text_that_would_read_back_as_another_is_refused_or_printed_so_that_it_does_not),
		cmocka_unit_test(
			a_text_that_is_longer_than_a_line_is_refused_or_printed_so_that_it_reads_back),
		cmocka_unit_test(the_password_of_a_url_is_never_printed),
		cmocka_unit_test(a_mistake_about_a_url_never_shows_its_password),
		cmocka_unit_test(a_flush_starts_at_four_fifths_of_what_may_be_pending),
		cmocka_unit_test(flush_and_journal_get_their_own_options),
		cmocka_unit_test(
			the_help_names_every_option_with_its_default_and_every_other_name),
	};

	return RUN_TESTS(tests);
}
