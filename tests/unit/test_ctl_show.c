/* Of tallyctl: term, table, show, path, member. */
#include "lib/test.h"
#include "base/clock.h"
#include "ctl/member.h"
#include "ctl/path.h"
#include "ctl/show.h"
#include "ctl/table.h"
#include "ctl/term.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOW_MS UINT64_C(1700000000000)
#define MIN_MS UINT64_C(60000)
#define HOUR_MS (60 * MIN_MS)
#define DAY_MS (24 * HOUR_MS)

/* term */

TEST(what_a_terminal_would_obey_is_shown_instead)
{
	static const struct {
		const char *text, *safe, *lines;
	} rows[] = {
		{"", "", ""},
		{"hk1 \xe6\x9d\xb1\xe4\xba\xac", "hk1 \xe6\x9d\xb1\xe4\xba\xac",
			"hk1 \xe6\x9d\xb1\xe4\xba\xac"},
		{"a\x1b[31m", "a\\x1b[31m", "a\\x1b[31m"},
		{"a\n\tb\r", "a\\x0a\\x09b\\x0d", "a\n\tb\\x0d"},
		{"\x7f\xc2\x9b", "\\x7f\\xc2\\x9b", "\\x7f\\xc2\\x9b"},
		{"\xff\xe6\x9d", "\\xff\\xe6\\x9d", "\\xff\\xe6\\x9d"},
		{"\xe2\x80\xae", "\\u202e", "\\u202e"},
		{"\xe2\x80\xa8\xe2\x81\xa6\xd8\x9c", "\\u2028\\u2066\\u061c",
			"\\u2028\\u2066\\u061c"},
		{"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char *safe = term_safe(rows[i].text);
		char *lines = term_safe_lines(rows[i].text);

		AT_ROW(i, strcmp(safe, rows[i].safe) == 0);
		AT_ROW(i, strcmp(lines, rows[i].lines) == 0);
		free(safe);
		free(lines);
	}
}

TEST(width_counts_columns_of_a_terminal)
{
	static const struct {
		const char *text;
		size_t width;
	} rows[] = {
		{"", 0},
		{"hk1", 3},
		{"\xc3\xa4", 1},                 /* a umlaut */
		{"a\xcc\x88", 1},                /* a, combining diaeresis */
		{"\xe6\x9d\xb1\xe4\xba\xac", 4}, /* Tokyo */
		{"\xd0\x9c\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2", 5}, /* Moskv */
		{"\xf0\x9f\x98\x80", 2},
	};

	term_init();
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		AT_ROW(i, term_width(rows[i].text) == rows[i].width);
}

/* table */

/* What is printed, owned. */
static char *printed(const struct table *table)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	table_print(table, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

TEST(columns_are_aligned_and_numbers_end_at_the_right)
{
	static const char *const titles[] = {"NAME", ">BYTES", "NOTE"};
	struct table *table = table_new(3, titles);
	char *text;

	term_init();
	table_cell(table, "a");
	table_cellf(table, "%d", 5);
	table_cell(table, "first");
	table_cell(table, "\xe6\x9d\xb1\xe4\xba\xac\xe6\x9d\xb1");
	table_cellf(table, "%d", 12345678);
	table_cell(table, "");
	table_cell(table, NULL);
	table_cell(table, "");
	table_cell(table, "x\ny");
	assert_int_equal(table_rows(table), 3);
	text = printed(table);
	assert_string_equal(text,
		"NAME       BYTES  NOTE\n"
		"a              5  first\n"
		"\xe6\x9d\xb1\xe4\xba\xac\xe6\x9d\xb1  12345678\n"
		"-                 x\\x0ay\n");
	free(text);
	table_free(table);
}

TEST(a_table_without_titles_has_no_line_for_them)
{
	static const char *const titles[] = {"", ""};
	struct table *table = table_new(2, titles);
	char *text = printed(table);

	assert_string_equal(text, "");
	free(text);
	for (int i = 0; i < 100; i++) {
		table_cell(table, i == 0 ? "longer" : "k");
		table_cell(table, "v");
	}
	text = printed(table);
	assert_memory_equal(text, "longer  v\nk       v\n", 20);
	free(text);
	table_free(table);
	table_free(NULL);
}

/* show */

TEST(durations_are_rounded_down)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} rows[] = {
		{0, "0 s"},
		{59999, "59 s"},
		{MIN_MS, "1 min"},
		{HOUR_MS - 1, "59 min"},
		{HOUR_MS, "1 h"},
		{2 * DAY_MS - 1, "47 h"},
		{2 * DAY_MS, "2 d"},
		{UINT64_MAX, "213503982334 d"},
	};
	char buf[SHOW_BYTES];

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		AT_ROW(i, strcmp(show_duration(rows[i].ms, buf), rows[i].text) == 0);
}

TEST(times_are_told_from_now)
{
	static const struct {
		uint64_t at_ms;
		const char *ago, *time;
	} rows[] = {
		{NOW_MS, "now", "2023-11-14 22:13:20 +0000 (now)"},
		{NOW_MS - 999, "now", "2023-11-14 22:13:19 +0000 (now)"},
		{NOW_MS - 12000, "12 s ago", "2023-11-14 22:13:08 +0000 (12 s ago)"},
		{NOW_MS + 10 * MIN_MS, "now", "2023-11-14 22:23:20 +0000 (in 10 min)"},
		{NOW_MS + 10 * MIN_MS - 999, "now",
			"2023-11-14 22:23:19 +0000 (in 10 min)"},
		{NOW_MS + 1, "now", "2023-11-14 22:13:20 +0000 (in 1 s)"},
		{0, "19675 d ago", "1970-01-01 00:00:00 +0000 (19675 d ago)"},
	};
	char buf[SHOW_BYTES];

	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	tzset();
	clock_freeze_for_test(NOW_MS);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		AT_ROW(i, strcmp(show_ago(rows[i].at_ms, buf), rows[i].ago) == 0);
		AT_ROW(i, strcmp(show_time(rows[i].at_ms, buf), rows[i].time) == 0);
	}
	assert_string_equal(show_ago(UINT64_MAX, buf), "now");
	assert_non_null(strstr(show_time(UINT64_MAX, buf), " (in "));
	clock_freeze_for_test(0);
}

TEST(bytes_have_a_unit_of_1000)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{0, "0 B"},
		{999, "999 B"},
		{1000, "1.00 kB"},
		{999999, "999.99 kB"},
		{1230000000, "1.23 GB"},
		{UINT64_C(1000000000000000000), "1.00 EB"},
		{UINT64_MAX, "18.44 EB"},
	};
	char buf[SHOW_BYTES];

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		AT_ROW(i, strcmp(show_bytes(rows[i].bytes, buf), rows[i].text) == 0);
}

/* path */

TEST(all_but_unreserved_bytes_of_a_name_are_encoded)
{
	char all[256], expected[3 * 256] = "/nodes/";
	char *path;

	for (int c = 1; c < 256; c++) {
		char one[4] = {(char)c, '\0'};

		all[c - 1] = (char)c;
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			   "0123456789-._~",
			    c) == NULL)
			(void)snprintf(one, sizeof(one), "%%%02X", (unsigned)c);
		(void)strcat(expected, one);
	}
	all[255] = '\0';
	path = path_make("/nodes/", all, "/secret");
	assert_string_equal(path, strcat(expected, "/secret"));
	free(path);
}

/* member */

TEST(members_of_another_kind_read_as_absent)
{
	cJSON *json =
		cJSON_Parse("{\"text\":\"t\",\"n\":7,\"minus\":-1,\"huge\":1e300,"
			    "\"yes\":true,\"no\":false,\"object\":{},\"null\":null}");
	uint64_t n = 99;
	bool is = true;

	assert_string_equal(member_text(json, "text"), "t");
	assert_null(member_text(json, "n"));
	assert_null(member_text(json, "absent"));
	assert_null(member_text(NULL, "text"));
	assert_true(member_u64(json, "n", &n));
	assert_int_equal(n, 7);
	assert_false(member_u64(json, "text", &n));
	assert_false(member_u64(json, "null", &n));
	assert_int_equal(n, 7);
	assert_int_equal(member_u64_or_0(json, "minus"), 0);
	assert_true(member_u64_or_0(json, "huge") == UINT64_MAX);
	assert_true(member_bool(json, "no", &is));
	assert_false(is);
	assert_false(member_bool(json, "n", &is));
	assert_true(member_is_true(json, "yes"));
	assert_false(member_is_true(json, "text"));
	assert_non_null(member_object(json, "object"));
	assert_null(member_object(json, "null"));
	cJSON_Delete(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_terminal_would_obey_is_shown_instead),
		cmocka_unit_test(width_counts_columns_of_a_terminal),
		cmocka_unit_test(columns_are_aligned_and_numbers_end_at_the_right),
		cmocka_unit_test(a_table_without_titles_has_no_line_for_them),
		cmocka_unit_test(durations_are_rounded_down),
		cmocka_unit_test(times_are_told_from_now),
		cmocka_unit_test(bytes_have_a_unit_of_1000),
		cmocka_unit_test(all_but_unreserved_bytes_of_a_name_are_encoded),
		cmocka_unit_test(members_of_another_kind_read_as_absent),
	};

	return RUN_TESTS(tests);
}
