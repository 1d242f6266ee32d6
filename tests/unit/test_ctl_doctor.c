/* Of tallyctl: findings, symptoms, refusals, run. */
#include "lib/test.h"
#include "base/clock.h"
#include "ctl/findings.h"
#include "ctl/mem.h"
#include "ctl/member.h"
#include "ctl/run.h"
#include "ctl/symptoms.h"

#include <stdlib.h>
#include <string.h>

#define NOW_MS UINT64_C(1700000000000)
#define MIN_MS UINT64_C(60000)
#define DAY_MS UINT64_C(86400000)

static cJSON *parse(const char *text)
{
	cJSON *json = cJSON_Parse(text);

	assert_non_null(json);
	return json;
}

/* The nth finding. */
static const cJSON *nth(const cJSON *findings, int n)
{
	const cJSON *finding = cJSON_GetArrayItem(findings, n);

	assert_non_null(finding);
	return finding;
}

static bool is(const cJSON *object, const char *member, const char *text)
{
	const char *value = member_text(object, member);

	return value != NULL && strcmp(value, text) == 0;
}

static bool has_line(const cJSON *finding, const char *begin)
{
	const cJSON *line;

	cJSON_ArrayForEach (line, cJSON_GetObjectItemCaseSensitive(finding, "change")) {
		if (strncmp(line->valuestring, begin, strlen(begin)) == 0)
			return true;
	}
	return false;
}

static char *printed(const cJSON *findings, enum level level)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	findings_print(findings, level, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* findings */

TEST(the_same_sentence_is_said_once_and_levels_are_kept_apart)
{
	cJSON *findings = cJSON_CreateArray();
	cJSON *first = finding_add(findings, LEVEL_PROBLEM, "a", mem_copy("One."));
	char *text;

	assert_null(finding_add(findings, LEVEL_WARNING, "b", mem_copy("One.")));
	finding_change(NULL, "of nothing");
	finding_change(first, "x = %d", 1);
	(void)finding_add(findings, LEVEL_WARNING, "b", mem_copy("Two\x1b."));
	assert_int_equal(findings_count(findings, LEVEL_PROBLEM), 1);
	assert_int_equal(findings_count(findings, LEVEL_WARNING), 1);
	assert_int_equal(findings_count(findings, LEVEL_OK), 0);
	assert_true(findings_has(findings, "b") && !findings_has(findings, "c"));
	text = printed(findings, LEVEL_PROBLEM);
	assert_string_equal(text, "problem: One.\n    x = 1\n\n");
	free(text);
	text = printed(findings, LEVEL_WARNING);
	assert_string_equal(text, "warning: Two\\x1b.\n\n");
	free(text);
	cJSON_Delete(findings);
}

TEST(what_is_no_finding_is_passed_over)
{
	static const struct {
		const char *text;
		bool is_one;
	} rows[] = {
		{"{\"level\":\"ok\",\"code\":\"a\",\"sentence\":\"b\",\"change\":[]}",
			true},
		{"{\"level\":\"ok\",\"code\":\"a\",\"sentence\":\"b\"}", true},
		{"{\"level\":\"odd\",\"code\":\"a\",\"sentence\":\"b\"}", false},
		{"{\"level\":1,\"code\":\"a\",\"sentence\":\"b\"}", false},
		{"{\"code\":\"a\",\"sentence\":\"b\"}", false},
		{"{\"level\":\"ok\",\"sentence\":\"b\"}", false},
		{"{\"level\":\"ok\",\"code\":\"a\"}", false},
		{"[]", false},
		{"5", false},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		cJSON *findings = cJSON_CreateArray();

		finding_take(findings, parse(rows[i].text));
		AT_ROW(i, cJSON_GetArraySize(findings) == rows[i].is_one);
		cJSON_Delete(findings);
	}
	finding_take(NULL, NULL);
}

TEST(a_name_in_a_line_says_no_more_than_it_shows)
{
	static const struct {
		const char *name, *command, *addr;
	} rows[] = {
		{"hk1", "tallyctl node set hk1 --enable",
			"addr: http://hk1:SECRET@HOST:PORT/observer"},
		{"hk 1", "tallyctl node set 'hk 1' --enable",
			"addr: http://hk%201:SECRET@HOST:PORT/observer"},
		{"x; rm -rf /", "tallyctl node set 'x; rm -rf /' --enable",
			"addr: http://x%3B%20rm%20-rf%20%2F:SECRET@HOST:PORT/observer"},
		{"it's", "tallyctl node set 'it'\\''s' --enable",
			"addr: http://it%27s:SECRET@HOST:PORT/observer"},
		{"--fresh", "tallyctl node set '--fresh' --enable",
			"addr: http://--fresh:SECRET@HOST:PORT/observer"},
		{"", "tallyctl node set '' --enable",
			"addr: http://:SECRET@HOST:PORT/observer"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		cJSON *findings = cJSON_CreateArray();
		cJSON *finding = finding_add(findings, LEVEL_OK, "a", mem_copy("A."));

		finding_change_command(
			finding, "tallyctl node set NODE --enable", rows[i].name);
		finding_change_addr(finding, rows[i].name);
		AT_ROW(i, has_line(finding, rows[i].command));
		AT_ROW(i, has_line(finding, rows[i].addr));
		cJSON_Delete(findings);
	}
}

/* symptoms */

TEST(a_suspicion_is_said_in_the_daemons_words_and_wrong_numbers_are_problems)
{
	static const struct {
		const char *code, *level;
	} rows[] = {
		{"looks-cumulative", "problem"},
		{"looks-delta", "problem"},
		{"two-senders", "problem"},
		{"no-states", "warning"},
		{"service-only", "warning"},
		{"no-client", "warning"},
		{"states-only", "warning"},
		{"of-the-future", "warning"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		cJSON *findings = cJSON_CreateArray();
		char *text = mem_format(
			"[{\"code\":\"%s\",\"node\":\"hk1\",\"sentence\":\"So it is "
			"with hk1.\",\"change\":[\"a: b\",7,\"c\"]},{\"code\":1},5]",
			rows[i].code);
		cJSON *list = parse(text);

		symptoms_of_suspicions(findings, list);
		AT_ROW(i, cJSON_GetArraySize(findings) == 1);
		AT_ROW(i, is(nth(findings, 0), "level", rows[i].level));
		AT_ROW(i, is(nth(findings, 0), "code", rows[i].code));
		AT_ROW(i, is(nth(findings, 0), "sentence", "So it is with hk1."));
		AT_ROW(i, has_line(nth(findings, 0), "a: b"));
		AT_ROW(i, has_line(nth(findings, 0), "c"));
		AT_ROW(i,
			symptoms_has_wrong_numbers(findings) ==
				(strcmp(rows[i].level, "problem") == 0));
		free(text);
		cJSON_Delete(list);
		cJSON_Delete(findings);
	}
}

TEST(a_warnings_commands_are_its_lines)
{
	cJSON *findings = cJSON_CreateArray();
	cJSON *list = parse("[\"First `a b`, then `c = d`, see `e`.\",\"No end `d\",5]");

	symptoms_of_warnings(findings, list);
	assert_int_equal(cJSON_GetArraySize(findings), 2);
	assert_true(has_line(nth(findings, 0), "a b"));
	assert_true(has_line(nth(findings, 0), "c = d"));
	assert_false(has_line(nth(findings, 0), "e"));
	assert_false(has_line(nth(findings, 1), "d"));
	cJSON_Delete(list);
	cJSON_Delete(findings);
}

TEST(a_node_is_named_when_it_is_silent_disabled_or_has_never_come)
{
	static const struct {
		const char *members;
		uint64_t ago_ms; /* of its last report; 0: none */
		const char *code;
	} rows[] = {
		{"\"hasSecret\":true", MIN_MS, NULL},
		{"\"hasSecret\":true", 9 * MIN_MS, NULL},
		{"\"hasSecret\":true", 11 * MIN_MS, "node-silent"},
		{"\"hasSecret\":true", 100 * DAY_MS, "node-silent"},
		{"\"hasSecret\":false", 29 * DAY_MS, "node-silent"},
		{"\"hasSecret\":false", 31 * DAY_MS, NULL},
		{"\"hasSecret\":true", 0, "node-never"},
		{"\"hasSecret\":true,\"rejectedEvents\":1", 0, NULL},
		{"\"enabled\":false", MIN_MS, "node-disabled"},
		{"\"enabled\":true", MIN_MS, NULL},
		{"\"deletedAt\":5", 0, NULL},
	};

	clock_freeze_for_test(NOW_MS);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		cJSON *findings = cJSON_CreateArray();
		char *text = mem_format("{\"name\":\"hk1\",%s}", rows[i].members);
		cJSON *node = parse(text), *nodes;

		if (rows[i].ago_ms != 0)
			cJSON_AddNumberToObject(
				node, "lastReportAt", (double)(NOW_MS - rows[i].ago_ms));
		nodes = cJSON_CreateArray();
		cJSON_AddItemToArray(nodes, node);
		symptoms_of_nodes(findings, nodes, NULL);
		AT_ROW(i, cJSON_GetArraySize(findings) == (rows[i].code != NULL));
		AT_ROW(i, rows[i].code == NULL || findings_has(findings, rows[i].code));
		free(text);
		cJSON_Delete(nodes);
		cJSON_Delete(findings);
	}
	clock_freeze_for_test(0);
}

/* refusals */

/* {"last":[...]} of `n` equal ones that were `ago_ms` ago. */
static cJSON *refusals(const char *members, uint64_t ago_ms, int n)
{
	cJSON *object = cJSON_CreateObject();
	cJSON *last = cJSON_AddArrayToObject(object, "last");

	for (int i = 0; i < n; i++) {
		cJSON *one = parse(members);

		cJSON_AddNumberToObject(one, "at", (double)(NOW_MS - ago_ms));
		cJSON_AddItemToArray(last, one);
	}
	return object;
}

#define POSTED "\"method\":\"POST\",\"path\":\"/observer\",\"peer\":\"1.2.3.4\","
#define GOT "\"method\":\"GET\",\"path\":\"/x\",\"peer\":\"1.2.3.4\","
#define COMMANDED "\"method\":\"POST\",\"path\":\"/force-sync\",\"peer\":\"1.2.3.4\","
#define ADDR "addr: http://"

TEST(each_refusal_has_its_level_and_its_remedy)
{
	static const struct {
		const char *members;
		uint64_t ago_ms;
		const char *level, *line; /* NULL: it is no finding */
	} rows[] = {
		{"{" POSTED "\"code\":\"unauthorized\",\"node\":\"hk1\"}", 0, "problem",
			"tallyctl node secret hk1 --secret-stdin"},
		{"{" POSTED "\"code\":\"unauthorized\",\"node\":null}", 0, "problem",
			"tallyctl node add NODE --secret-stdin"},
		{"{" POSTED "\"code\":\"no_credential\",\"node\":null}", 0, "problem",
			"addr: http://NODE:SECRET@HOST"},
		{"{" POSTED "\"code\":\"no_credential\",\"node\":\"hk1\"}", 0, "problem",
			"addr: http://hk1:SECRET@HOST"},
		{"{" GOT "\"code\":\"unauthorized\"}", 0, "warning",
			"Authorization: Bearer"},
		{"{" COMMANDED "\"code\":\"unauthorized\"}", 0, "warning",
			"Authorization: Bearer"},
		{"{" COMMANDED "\"code\":\"bad_request\"}", 0, NULL, NULL},
		{"{" COMMANDED "\"code\":\"unavailable\"}", 0, NULL, NULL},
		{"{" GOT "\"code\":\"forbidden\"}", 0, "warning", "hostnames = "},
		{"{\"code\":\"http2\",\"peer\":\"::1\"}", 0, "problem", "type: http"},
		{"{\"code\":\"tls\",\"peer\":\"::1\"}", 0, "problem", ADDR},
		{"{" POSTED "\"code\":\"bad_request\"}", 0, "problem", ADDR},
		{"{\"method\":\"POST\",\"path\":\"/\",\"code\":\"not_found\"}", 0,
			"problem", ADDR},
		{"{\"method\":\"PUT\",\"path\":\"/observer\","
		 "\"code\":\"method_not_allowed\"}",
			0, "problem", ADDR},
		{"{" POSTED "\"code\":\"too_large\"}", 0, "problem", "max_body_bytes"},
		{"{" POSTED "\"code\":\"node_disabled\",\"node\":\"hk1\"}", 0, "warning",
			"tallyctl node set hk1 --enable"},
		{"{" POSTED "\"code\":\"malformed\"}", 0, "warning", "type: http"},
		{"{" POSTED "\"code\":\"hung_up\"}", 0, "warning", "timeout: "},
		{"{" POSTED "\"code\":\"timeout\"}", 0, "warning", "request_timeout"},
		{"{\"code\":\"all_busy\"}", 0, "warning", "max_connections"},
		{"{" POSTED "\"code\":\"of-the-future\"}", 0, "warning", "journalctl"},
		{"{" GOT "\"code\":\"not_found\"}", 0, NULL, NULL},
		{"{" POSTED "\"code\":\"unavailable\"}", 0, "warning", "journalctl"},
		{"{" GOT "\"code\":\"unavailable\"}", 0, NULL, NULL},
		{"{" GOT "\"code\":\"bad_request\"}", 0, NULL, NULL},
		{"{" GOT "\"code\":\"method_not_allowed\"}", 0, NULL, NULL},
		{"{" POSTED "\"node\":\"hk1\"}", 0, NULL, NULL},
		{"{\"code\":\"http2\"}", 9 * MIN_MS, "problem", "type: http"},
		{"{\"code\":\"http2\"}", 11 * MIN_MS, "warning", "type: http"},
		{"{\"code\":\"http2\"}", DAY_MS + MIN_MS, NULL, NULL},
	};

	clock_freeze_for_test(NOW_MS);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		cJSON *findings = cJSON_CreateArray();
		cJSON *object = refusals(rows[i].members, rows[i].ago_ms, 1);

		symptoms_of_refusals(findings, object, NULL, NULL);
		AT_ROW(i, cJSON_GetArraySize(findings) == (rows[i].level != NULL));
		if (rows[i].level != NULL) {
			AT_ROW(i, is(nth(findings, 0), "level", rows[i].level));
			AT_ROW(i, has_line(nth(findings, 0), rows[i].line));
		}
		cJSON_Delete(object);
		cJSON_Delete(findings);
	}
	clock_freeze_for_test(0);
}

TEST(equal_refusals_are_one_finding_and_others_are_others)
{
	cJSON *findings = cJSON_CreateArray();
	cJSON *object = refusals("{" POSTED "\"code\":\"unauthorized\",\"node\":\"hk1\","
				 "\"reason\":\"its secret is wrong\"}",
		3000, 7);
	cJSON *last = cJSON_GetObjectItemCaseSensitive(object, "last");
	cJSON *other = parse("{" POSTED "\"code\":\"unauthorized\",\"node\":\"hk2\"}");

	clock_freeze_for_test(NOW_MS);
	cJSON_AddNumberToObject(other, "at", (double)NOW_MS);
	cJSON_AddItemToArray(last, other);
	symptoms_of_refusals(findings, object, NULL, NULL);
	assert_int_equal(cJSON_GetArraySize(findings), 2);
	assert_string_equal(member_text(nth(findings, 0), "sentence"),
		"node hk1 at 1.2.3.4 was refused 7 times, the last time 3 s ago (POST "
		"/observer): its secret is wrong");
	cJSON_Delete(findings);
	findings = cJSON_CreateArray();
	symptoms_of_refusals(findings, object, NULL, "hk2");
	assert_int_equal(cJSON_GetArraySize(findings), 1);
	cJSON_Delete(findings);
	cJSON_Delete(object);
	clock_freeze_for_test(0);
}

TEST(a_refusal_whose_node_has_reported_since_is_over)
{
#define SINCE "{\"name\":\"hk1\",\"lastReportAt\":1699999990000"
	static const struct {
		const char *nodes;
		bool is_over;
		uint64_t ago_ms; /* 0: 15 s */
	} rows[] = {
		{"[]", false, 0},
		{"[" SINCE "}]", true, 0},
		{"[{\"name\":\"hk1\",\"lastReportAt\":1699999980000}]", false, 0},
		{"[{\"name\":\"hk1\"}]", false, 0},
		{"[{\"name\":\"hk2\",\"lastReportAt\":1699999990000}]", false, 0},
		{"[5,{\"name\":6}]", false, 0},
		/* A second GOST of that name does not hide it, while it goes on. */
		{"[" SINCE ",\"peers\":[\"5.6.7.8\"]}]", false, 0},
		{"[" SINCE ",\"peers\":[\"5.6.7.8\"]}]", true, 11 * MIN_MS},
		{"[" SINCE ",\"peers\":[\"5.6.7.8\",\"1.2.3.4\"]}]", true, 0},
		{"[" SINCE ",\"peers\":[]}]", true, 0},
	};

	clock_freeze_for_test(NOW_MS);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		cJSON *findings = cJSON_CreateArray(), *nodes = parse(rows[i].nodes);
		cJSON *object =
			refusals("{" POSTED "\"code\":\"unauthorized\",\"node\":\"hk1\"}",
				rows[i].ago_ms != 0 ? rows[i].ago_ms : 15000, 1);

		symptoms_of_refusals(findings, object, nodes, NULL);
		AT_ROW(i, (cJSON_GetArraySize(findings) == 0) == rows[i].is_over);
		cJSON_Delete(object);
		cJSON_Delete(nodes);
		cJSON_Delete(findings);
	}
	clock_freeze_for_test(0);
}

/* The list holds the last 20: whoever was refused before stands in the counts alone. */
TEST(a_count_of_refusals_says_at_least_where_the_list_is_too_short)
{
	static const struct {
		const char *counts, *times;
	} rows[] = {
		{"{\"unauthorized\":3}", "refused 3 times,"},
		{"{\"unauthorized\":4}", "refused at least 3 times,"},
		{"{\"unauthorized\":3,\"tls\":9}", "refused at least 3 times,"},
		{"{}", "refused 3 times,"},
		{"{\"unauthorized\":null}", "refused 3 times,"},
	};

	clock_freeze_for_test(NOW_MS);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		cJSON *findings = cJSON_CreateArray();
		cJSON *object = refusals("{" POSTED "\"code\":\"unauthorized\"}", 0, 3);

		cJSON_AddItemToObject(object, "counts", parse(rows[i].counts));
		symptoms_of_refusals(findings, object, NULL, NULL);
		AT_ROW(i,
			strstr(member_text(nth(findings, 0), "sentence"),
				rows[i].times) != NULL);
		cJSON_Delete(object);
		cJSON_Delete(findings);
	}
	clock_freeze_for_test(0);
}

TEST(what_was_pushed_out_of_the_list_by_others_is_told_by_its_count)
{
	static const struct {
		const char *counts;
		uint64_t ago_ms;
		const char *line; /* NULL: it is not told */
	} rows[] = {
		{"{\"unauthorized\":30,\"http2\":6}", 0, "type: http"},
		{"{\"unauthorized\":30,\"tls\":6}", 0, ADDR},
		{"{\"unauthorized\":30,\"http2\":6}", 11 * MIN_MS, NULL},
		{"{\"unauthorized\":30,\"not_found\":6}", 0, NULL},
		{"{\"unauthorized\":30,\"of-the-future\":6}", 0, NULL},
		{"{\"unauthorized\":30}", 0, NULL},
	};

	clock_freeze_for_test(NOW_MS);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		cJSON *findings = cJSON_CreateArray();
		cJSON *object = refusals(
			"{" POSTED "\"code\":\"unauthorized\"}", rows[i].ago_ms, 20);

		cJSON_AddItemToObject(object, "counts", parse(rows[i].counts));
		symptoms_of_refusals(findings, object, NULL, NULL);
		AT_ROW(i, cJSON_GetArraySize(findings) == 1 + (rows[i].line != NULL));
		if (rows[i].line != NULL) {
			AT_ROW(i, has_line(nth(findings, 1), rows[i].line));
			AT_ROW(i,
				strstr(member_text(nth(findings, 1), "sentence"),
					"refused 6 times since the start") != NULL);
		}
		cJSON_Delete(object);
		cJSON_Delete(findings);
	}
	clock_freeze_for_test(0);
}

TEST(what_is_used_up_of_max_memory_is_a_problem_of_its_node)
{
	static const struct {
		const char *memory, *only, *line; /* NULL: it is no finding */
	} rows[] = {
		{"{\"bytes\":67000000,\"maxBytes\":67108864}", NULL,
			"max_memory = 128MiB"},
		{"{\"bytes\":65536,\"maxBytes\":65536}", NULL, "max_memory = 1MiB"},
		{"{\"bytes\":67000000,\"maxBytes\":67108864}", "hk1", NULL},
		{"{\"bytes\":60000000,\"maxBytes\":67108864}", NULL, NULL},
		{"{\"nodes\":[{\"node\":\"hk1\",\"bytes\":99,\"maxBytes\":100}]}", NULL,
			"max_memory = "},
		{"{\"nodes\":[{\"node\":\"hk1\",\"bytes\":99,\"maxBytes\":100}]}", "hk1",
			"max_memory = "},
		{"{\"nodes\":[{\"node\":\"hk1\",\"bytes\":99,\"maxBytes\":100}]}", "hk2",
			NULL},
		{"{\"nodes\":[{\"node\":\"hk1\",\"bytes\":80,\"maxBytes\":100},5]}", NULL,
			NULL},
		{"{}", NULL, NULL},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		cJSON *findings = cJSON_CreateArray(), *memory = parse(rows[i].memory);

		symptoms_of_memory(findings, memory, rows[i].only);
		AT_ROW(i, cJSON_GetArraySize(findings) == (rows[i].line != NULL));
		AT_ROW(i,
			rows[i].line == NULL ||
				(is(nth(findings, 0), "level", "problem") &&
					has_line(nth(findings, 0), rows[i].line)));
		cJSON_Delete(memory);
		cJSON_Delete(findings);
	}
}

TEST(names_that_have_no_room_are_a_problem_said_once_for_all_or_of_their_node)
{
	static const char node[] = "[{\"name\":\"hk1\",\"memory\":{\"full\":\"%s\"}},"
				   "{\"name\":\"hk2\",\"memory\":{\"full\":\"%s\"}},"
				   "{\"name\":\"hk3\",\"memory\":{}},{\"name\":5}]";
	static const struct {
		const char *full, *code, *begin, *line;
		int n;
	} rows[] = {
		{"max_users is reached", "users-full",
			"max_users is reached: ", "max_users = 14 ", 1},
		{"this node has used its share of max_users", "users-full",
			"node hk1 has used its share of max_users: ", "max_users = 14 ",
			2},
		{"there are too many services", "services-full",
			"there are too many services: ", "tallyctl node list ", 1},
		{"this node has too many services", "services-full",
			"node hk1 has too many services: ", "tallyctl node list ", 2},
		{"max_memory is reached", NULL, NULL, NULL, 0},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		cJSON *findings = cJSON_CreateArray(), *nodes, *warnings;
		char *text = mem_format(node, rows[i].full, rows[i].full);

		nodes = parse(text);
		warnings = parse("[\"four fifths of max_users are used\"]");
		symptoms_of_names(findings, nodes, 7);
		AT_ROW(i, cJSON_GetArraySize(findings) == rows[i].n);
		AT_ROW(i,
			rows[i].n == 0 ||
				(is(nth(findings, 0), "level", "problem") &&
					is(nth(findings, 0), "code", rows[i].code) &&
					strncmp(member_text(nth(findings, 0), "sentence"),
						rows[i].begin,
						strlen(rows[i].begin)) == 0 &&
					has_line(nth(findings, 0), rows[i].line)));
		symptoms_of_warnings(findings, warnings);
		AT_ROW(i,
			findings_has(findings, "rights") !=
				findings_has(findings, "users-full"));
		free(text);
		cJSON_Delete(warnings);
		cJSON_Delete(nodes);
		cJSON_Delete(findings);
	}
}

/* run */

TEST(a_program_is_run_to_its_end_and_what_it_wrote_is_read)
{
	const char *const echo[] = {
		"sh", "-c", "cat; echo one; echo two >&2; exit 3", NULL};
	const char *const much[] = {"sh", "-c", "yes | head -c 3000000", NULL};
	const char *const killed[] = {"sh", "-c", "kill -9 $$", NULL};
	const char *const none[] = {"/nowhere/program", NULL};
	int code = 0;
	char *text = run_program(echo, true, &code);

	assert_string_equal(text, "one\n");
	assert_int_equal(code, 3);
	free(text);
	text = run_program(much, true, &code);
	assert_int_equal(code, 0);
	assert_in_range(strlen(text), 1 << 20, 3000000);
	free(text);
	text = run_program(killed, true, &code);
	assert_int_equal(code, -1);
	free(text);
	assert_null(run_program(none, true, &code));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			the_same_sentence_is_said_once_and_levels_are_kept_apart),
		cmocka_unit_test(what_is_no_finding_is_passed_over),
		cmocka_unit_test(a_name_in_a_line_says_no_more_than_it_shows),
		cmocka_unit_test(
			a_suspicion_is_said_in_the_daemons_words_and_wrong_numbers_are_problems),
		cmocka_unit_test(a_warnings_commands_are_its_lines),
		cmocka_unit_test(
			a_node_is_named_when_it_is_silent_disabled_or_has_never_come),
		cmocka_unit_test(each_refusal_has_its_level_and_its_remedy),
		cmocka_unit_test(equal_refusals_are_one_finding_and_others_are_others),
		cmocka_unit_test(a_refusal_whose_node_has_reported_since_is_over),
		cmocka_unit_test(
			a_count_of_refusals_says_at_least_where_the_list_is_too_short),
		cmocka_unit_test(
			what_was_pushed_out_of_the_list_by_others_is_told_by_its_count),
		cmocka_unit_test(what_is_used_up_of_max_memory_is_a_problem_of_its_node),
		cmocka_unit_test(
			names_that_have_no_room_are_a_problem_said_once_for_all_or_of_their_node),
		cmocka_unit_test(a_program_is_run_to_its_end_and_what_it_wrote_is_read),
	};

	mem_init_json();
	return RUN_TESTS(tests);
}
