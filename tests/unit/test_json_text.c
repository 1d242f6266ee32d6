#include "lib/test.h"
#include "base/json_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An exact copy on the heap, so that a sanitizer sees each step beyond its end. */
static char *copy_of(const char *text, const char **ret_end)
{
	size_t len = strlen(text);
	char *copy = malloc(len > 0 ? len : 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	*ret_end = copy + len;
	return copy;
}

TEST(the_parts_of_an_array_or_object_are_found_in_the_text)
{
	static const struct {
		const char *text, *parts[4]; /* what each begins with */
	} rows[] = {
		{"[1,22,333]", {"1,", "22,", "333]"}},
		{" [ 1 , 2 ] ", {" 1 ,", " 2 ]"}},
		{"\xef\xbb\xbf[1]", {"1]"}},
		{"[[1,2],{\"a\":[3,4]},5]", {"[1,2],", "{\"a\":[3,4]},", "5]"}},
		{"[\"a,]\\\"b\",\"\\\\\",3]", {"\"a,]", "\"\\\\\"", "3]"}},
		{"{\"a\":1,\"b,:\":{\"c\":2},\"d\":[]}", {"\"a\"", "\"b,:\"", "\"d\""}},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *end, *at;
		char *text = copy_of(rows[i].text, &end);

		at = json_text_first(text, end);
		for (size_t n = 0; rows[i].parts[n] != NULL; n++) {
			const char *part = rows[i].parts[n];

			AT_ROW(i, (size_t)(end - at) >= strlen(part));
			AT_ROW(i, memcmp(at, part, strlen(part)) == 0);
			at = json_text_next(at, end);
		}
		AT_ROW(i, at == end);
		free(text);
	}
}

TEST(the_value_of_a_member_begins_behind_its_name)
{
	static const char *const rows[][2] = {
		{"\"a\":1}", "1}"},
		{"\"a:b\" : {\"c\":1}}", " {\"c\":1}}"},
		{"\"\\\":\":[1]}", "[1]}"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *end, *value;
		char *text = copy_of(rows[i][0], &end);

		value = json_text_value(text, end);
		AT_ROW(i, (size_t)(end - value) == strlen(rows[i][1]));
		AT_ROW(i, memcmp(value, rows[i][1], strlen(rows[i][1])) == 0);
		free(text);
	}
}

TEST(what_is_shown_is_one_value_on_one_line_and_clean)
{
	static const struct {
		const char *text;
		size_t size;
		const char *shown;
	} rows[] = {
		{"1,2", 8, "1"},
		{" { \"a b\" :\n[ 1 , 2 ] } ,3", 64, "{\"a b\":[1,2]}"},
		{"\"\x01\t\x7f\xc2\x85\xff\"", 64, "\"\\u0001\\u0009????\""},
		{"\"\\u0000\\\"\\\\\"]", 64, "\"\\u0000\\\"\\\\\""},
		{"\"\xe2\x82\xac\xe2\x82\xac\"", 8, "\"\xe2\x82\xac\xe2\x82\xac"},
		{"\"\xe2\x82\xac\xe2\x82\xac\"", 7, "\"\xe2\x82\xac"},
		{"\"a\\nb\"", 4, "\"a"},
		{"\"ab", 64, "\"ab"},
		{"\"ab\\", 64, "\"ab\\"},
		{"", 1, ""},
		{"123", 1, ""},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *end;
		char shown[64], *text = copy_of(rows[i].text, &end);

		json_text_show(text, end, shown, rows[i].size);
		AT_ROW(i, strcmp(shown, rows[i].shown) == 0);
		free(text);
	}
}

TEST(what_is_no_json_ends_the_search_at_its_end)
{
	static const char *const rows[] = {
		"", "\"", "\"\\", "[", "{\"a", "]]", "::", "x"};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *end;
		char *text = copy_of(rows[i], &end);

		AT_ROW(i, json_text_first(text, end) <= end);
		AT_ROW(i, json_text_next(text, end) <= end);
		AT_ROW(i, json_text_value(text, end) <= end);
		AT_ROW(i, !json_text_is_dense(text, (size_t)(end - text)));
		free(text);
	}
}

/* `head`, `n` times `item`, `tail`. */
static bool is_dense(const char *head, const char *item, size_t n, const char *tail)
{
	size_t step = strlen(item), len = strlen(head);
	char *text = malloc(len + n * step + strlen(tail) + 1);
	bool is_dense;

	assert_non_null(text);
	(void)strcpy(text, head);
	for (size_t i = 0; i < n; i++)
		memcpy(text + len + i * step, item, step);
	(void)strcpy(text + len + n * step, tail);
	is_dense = json_text_is_dense(text, strlen(text));
	free(text);
	return is_dense;
}

TEST(many_tiny_values_are_dense_and_what_has_text_between_is_not)
{
	assert_false(is_dense("[", "1,", 4000, "1]"));
	assert_true(is_dense("[", "1,", 100000, "1]"));
	assert_true(is_dense("[", "[],", 100000, "1]"));
	assert_true(is_dense("[", "{\"a\":\"\"},", 100000, "1]"));
	assert_false(is_dense("[", "12345,", 100000, "1]"));
	assert_false(is_dense("[\"", "[1,", 100000, "\"]"));
	assert_false(is_dense("[\"", "\\\"[1,", 100000, "\"]"));
	/* cJSON goes no deeper. */
	assert_false(is_dense("", "[", 100000, ""));
	assert_true(is_dense("[", "1,", 100000, "[[[["));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_parts_of_an_array_or_object_are_found_in_the_text),
		cmocka_unit_test(the_value_of_a_member_begins_behind_its_name),
		cmocka_unit_test(what_is_shown_is_one_value_on_one_line_and_clean),
		cmocka_unit_test(what_is_no_json_ends_the_search_at_its_end),
		cmocka_unit_test(
			many_tiny_values_are_dense_and_what_has_text_between_is_not),
	};

	return RUN_TESTS(tests);
}
