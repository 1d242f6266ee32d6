#include "lib/test.h"
#include "account/report.h"
#include "base/json.h"
#include "lib/faults.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATS(stats) "{\"events\":[{\"type\":\"stats\",\"stats\":" stats "}]}"

/* An exact copy on the heap, so that a sanitizer sees each step beyond its end. */
static int parse_bytes(const char *body, size_t len, struct report *report)
{
	char *copy = malloc(len > 0 ? len : 1);
	int code;

	assert_non_null(copy);
	memcpy(copy, body, len);
	code = report_parse(copy, len, report);
	free(copy);
	return code;
}

static int parse(const char *body, struct report *report)
{
	return parse_bytes(body, strlen(body), report);
}

TEST(a_report_as_gost_sends_it_is_read)
{
	struct report report;
	const struct event *event;

	assert_int_equal(
		parse("{\"events\":[{\"kind\":\"handler\",\"service\":\"service-0\","
		      "\"client\":\"user1\",\"type\":\"stats\",\"stats\":{\"totalConns\":"
		      "1,"
		      "\"currentConns\":0,\"inputBytes\":78,\"outputBytes\":574,"
		      "\"totalErrs\":3}},{\"kind\":\"service\",\"service\":\"service-0\","
		      "\"type\":\"status\",\"status\":{\"state\":\"running\","
		      "\"msg\":\"service service-0 is running\"}}]}",
			&report),
		0);
	assert_int_equal(report.n_events, 2);
	assert_int_equal(report.n_rejected, 0);
	event = &report.events[0];
	assert_int_equal(event->type, EVENT_STATS);
	assert_int_equal(event->kind, KIND_HANDLER);
	assert_string_equal(event->service, "service-0");
	assert_string_equal(event->client, "user1");
	assert_int_equal(event->counters.input_bytes, 78);
	assert_int_equal(event->counters.output_bytes, 574);
	assert_int_equal(event->counters.total_conns, 1);
	assert_int_equal(event->counters.current_conns, 0);
	assert_int_equal(event->counters.total_errs, 3);
	assert_string_equal(event->state, "");
	event = &report.events[1];
	assert_int_equal(event->type, EVENT_STATUS);
	assert_int_equal(event->kind, KIND_SERVICE);
	assert_string_equal(event->client, "");
	assert_string_equal(event->state, "running");
	report_done(&report);
}

TEST(what_may_be_absent_reads_as_empty_or_zero)
{
	static const char *const bodies[] = {
		STATS("{}"),
		"{\"events\":[{\"kind\":null,\"service\":null,\"client\":null,\"type\":"
		"\"stats\","
		"\"stats\":{\"inputBytes\":null,\"outputBytes\":null,\"totalConns\":null,"
		"\"currentConns\":null,\"totalErrs\":null}}]}",
		"{\"events\":[{\"kind\":\"\",\"service\":\"\",\"client\":\"\",\"type\":"
		"\"stats\","
		"\"stats\":{},\"more\":[1]}],\"more\":{}}",
	};

	for (size_t i = 0; i < COUNT_OF(bodies); i++) {
		static const struct counters zero;
		struct report report;

		AT_ROW(i, parse(bodies[i], &report) == 0);
		AT_ROW(i, report.n_events == 1 && report.n_rejected == 0);
		AT_ROW(i, report.events[0].kind == KIND_HANDLER);
		AT_ROW(i, report.events[0].service[0] == '\0');
		AT_ROW(i, report.events[0].client[0] == '\0');
		AT_ROW(i, memcmp(&report.events[0].counters, &zero, sizeof(zero)) == 0);
		report_done(&report);
	}
}

TEST(a_body_that_is_no_report_is_refused_and_the_result_untouched)
{
	static const struct {
		const char *body;
		int code;
	} rows[] = {
		{"", ERR_JSON},
		{" ", ERR_JSON},
		{"{", ERR_JSON},
		{"{\"events\":[}", ERR_JSON},
		{"{\"events\":[]} x", ERR_JSON},
		{"{\"events\":[]}{}", ERR_JSON},
		{"{\"events\":[]},", ERR_JSON},
		{"not json", ERR_JSON},
		{"\\u0000", ERR_JSON},
		{"{\"events\":[\"\\u00\"]}", ERR_JSON},
		{"{\"events\":[\"\\", ERR_JSON},
		{"{}", ERR_NO_EVENTS},
		{"[]", ERR_NO_EVENTS},
		{"[{\"events\":[]}]", ERR_NO_EVENTS},
		{"null", ERR_NO_EVENTS},
		{"1", ERR_NO_EVENTS},
		{"\"events\"", ERR_NO_EVENTS},
		{"{\"events\":null}", ERR_NO_EVENTS},
		{"{\"events\":{}}", ERR_NO_EVENTS},
		{"{\"events\":\"[]\"}", ERR_NO_EVENTS},
		{"{\"Events\":[]}", ERR_NO_EVENTS},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct report report, before;

		memset(&report, 0x5a, sizeof(report));
		before = report;
		AT_ROW(i, parse(rows[i].body, &report) == rows[i].code);
		AT_ROW(i, memcmp(&report, &before, sizeof(report)) == 0);
	}
}

TEST(blanks_around_the_document_and_an_empty_list_are_fine)
{
	static const char *const bodies[] = {
		"{\"events\":[]}", " \t\r\n{ \"events\" : [ ] } \r\n\t "};

	for (size_t i = 0; i < COUNT_OF(bodies); i++) {
		struct report report;

		AT_ROW(i, parse(bodies[i], &report) == 0);
		AT_ROW(i, report.n_events == 0 && report.n_rejected == 0);
		report_done(&report);
	}
}

TEST(a_nul_byte_anywhere_is_no_json)
{
	static const char body[] = STATS("{\"inputBytes\":1}");
	char bytes[sizeof(body)];
	struct report report;

	for (size_t i = 0; i < sizeof(body); i++) {
		memcpy(bytes, body, sizeof(body));
		bytes[i] = '\0';
		assert_int_equal(parse_bytes(bytes, sizeof(body), &report), ERR_JSON);
	}
}

TEST(deep_nesting_is_refused_and_never_overflows_the_stack)
{
	static const unsigned depths[] = {2000, 100000};
	struct report report;

	for (size_t i = 0; i < COUNT_OF(depths); i++) {
		char *body = malloc(depths[i] + 1);

		memset(body, '[', depths[i]);
		assert_int_equal(parse_bytes(body, depths[i], &report), ERR_JSON);
		free(body);
	}
}

/* Each as the only event of a report: NULL, or why it has to be set aside. */
TEST(bad_events_are_set_aside_with_their_reason)
{
#define BYTES(name)                                                                      \
	name " is no whole number from 0 to 2^53-1, or its name has other capitals: "    \
	     "mend the"                                                                  \
	     " program that sends it"
#define INPUT BYTES("inputBytes")
#define OUTPUT BYTES("outputBytes")
#define KIND                                                                             \
	"kind is neither handler nor service: the sender has to write one of the two, "  \
	"or leave it out"
#define CLIENT "client is not a name: up to 255 bytes of UTF-8 without control characters"
#define SERVICE                                                                          \
	"service is not a name: up to 255 bytes of UTF-8 without control characters"
#define OBJECT "not an object: each element of `events` has to be one"
#define TYPE "no type: an event has to have the type stats or status"
#define NO_STATS "no stats object: an event of type stats has to have one"
#define NO_STATUS "no status object: an event of type status has to have one"
#define STATE                                                                            \
	"state is not a short name: it has 1 to 31 bytes of UTF-8 without control "      \
	"characters"
#define UNKNOWN                                                                          \
	"its type is unknown, but it carries bytes: they count only as stats of an "     \
	"event whose type is stats"
#define EVENT(stats) "{\"type\":\"stats\",\"stats\":{" stats "}}"
#define NAMED(name, value) "{\"type\":\"stats\",\"" name "\":" value ",\"stats\":{}}"
	static const struct {
		const char *event, *reason;
	} rows[] = {
		{EVENT("\"inputBytes\":9007199254740991"), NULL},
		{EVENT("\"inputBytes\":9007199254740992"), INPUT},
		{EVENT("\"inputBytes\":9007199254740993"), INPUT},
		{EVENT("\"inputBytes\":9007199254740994"), INPUT},
		{EVENT("\"inputBytes\":18446744073709551615"), INPUT},
		{EVENT("\"inputBytes\":-1"), INPUT},
		{EVENT("\"inputBytes\":-0.5"), INPUT},
		{EVENT("\"inputBytes\":1.5"), INPUT},
		{EVENT("\"inputBytes\":1e400"), INPUT},
		{EVENT("\"inputBytes\":-1e400"), INPUT},
		{EVENT("\"inputBytes\":\"1\""), INPUT},
		{EVENT("\"inputBytes\":true"), INPUT},
		{EVENT("\"inputBytes\":[1]"), INPUT},
		{EVENT("\"inputBytes\":{}"), INPUT},
		{EVENT("\"inputBytes\":-0"), NULL},
		{EVENT("\"inputBytes\":1.0"), NULL},
		{EVENT("\"inputBytes\":1e3"), NULL},
		{EVENT("\"outputBytes\":9007199254740991"), NULL},
		{EVENT("\"outputBytes\":9007199254740992"), OUTPUT},
		{EVENT("\"outputBytes\":9007199254740993"), OUTPUT},
		{EVENT("\"outputBytes\":9007199254740994"), OUTPUT},
		{EVENT("\"outputBytes\":-1"), OUTPUT},
		{EVENT("\"outputBytes\":0.1"), OUTPUT},
		{EVENT("\"outputBytes\":\"0\""), OUTPUT},
		{EVENT("\"totalConns\":-1"), NULL},
		{EVENT("\"totalConns\":18446744073709551615"), NULL},
		{EVENT("\"totalConns\":false"), NULL},
		{EVENT("\"totalErrs\":1e17"), NULL},
		{EVENT("\"totalErrs\":[]"), NULL},
		{EVENT("\"currentConns\":18446744073709551615"), NULL},
		{EVENT("\"currentConns\":-1"), NULL},
		{EVENT("\"currentConns\":1e400"), NULL},
		{EVENT("\"currentConns\":\"1\""), NULL},
		{EVENT("\"currentConns\":{}"), NULL},
		{EVENT("\"InputBytes\":1"), INPUT},
		{EVENT("\"OUTPUTBYTES\":1"), OUTPUT},
		{EVENT("\"InputBytes\":null"), NULL},
		{EVENT("\"inputBytes\":1,\"InputBytes\":1"), NULL}, /* another member */
		{"{\"type\":\"stats\\u0000\",\"stats\":{}}", UNKNOWN},
		{"1", OBJECT},
		{"null", OBJECT},
		{"[]", OBJECT},
		{"\"stats\"", OBJECT},
		{"{}", TYPE},
		{"{\"type\":1,\"stats\":{}}", TYPE},
		{"{\"type\":null,\"stats\":{}}", TYPE},
		{"{\"type\":\"stats\"}", NO_STATS},
		{"{\"type\":\"stats\",\"stats\":null}", NO_STATS},
		{"{\"type\":\"stats\",\"stats\":[]}", NO_STATS},
		{"{\"type\":\"stats\",\"stats\":7}", NO_STATS},
		{"{\"type\":\"stats\",\"status\":{\"state\":\"ready\"}}", NO_STATS},
		{NAMED("kind", "\"router\""), KIND},
		{NAMED("kind", "\"Handler\""), KIND},
		{NAMED("kind", "1"), KIND},
		{NAMED("kind", "\"a\\u0000\""), KIND},
		{NAMED("kind", "\"service\""), NULL},
		{NAMED("client", "\"\xc3\xa9\xe2\x82\xac\""), NULL},
		{NAMED("client", "\"\\ud83d\\ude00\""), NULL},
		{NAMED("client", "1"), CLIENT},
		{NAMED("client", "[]"), CLIENT},
		{NAMED("client", "\"a\\nb\""), CLIENT},
		{NAMED("client", "\"\\u007f\""), CLIENT},
		{NAMED("client", "\"\\u0085\""), CLIENT},
		{NAMED("client", "\"\xff\""), CLIENT},
		{NAMED("client", "\"\xed\xa0\x80\""), CLIENT},
		{NAMED("client", "\"a\\u0000b\""), CLIENT},
		{NAMED("client", "\"\\u0000\""), CLIENT},
		{NAMED("client", "\"\\\\\\u0000\""), CLIENT},
		{NAMED("client", "\"\\\\u0000\""), NULL},
		{NAMED("service", "true"), SERVICE},
		{NAMED("service", "\"\\t\""), SERVICE},
		{"{\"type\":\"status\"}", NO_STATUS},
		{"{\"type\":\"status\",\"status\":\"ready\"}", NO_STATUS},
		{"{\"type\":\"status\",\"status\":{}}", STATE},
		{"{\"type\":\"status\",\"status\":{\"state\":\"\"}}", STATE},
		{"{\"type\":\"status\",\"status\":{\"state\":7}}", STATE},
		{"{\"type\":\"status\",\"status\":{\"state\":"
		 "\"1234567890123456789012345678901\"}}",
			NULL},
		{"{\"type\":\"status\",\"status\":{\"state\":"
		 "\"12345678901234567890123456789012\"}}",
			STATE},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct report report;
		char body[512];

		(void)snprintf(body, sizeof(body), "{\"events\":[%s]}", rows[i].event);
		AT_ROW(i, parse(body, &report) == 0);
		AT_ROW(i, report.n_events == (rows[i].reason == NULL));
		AT_ROW(i, report.n_rejected == (rows[i].reason != NULL));
		AT_ROW(i, report.n_rejects_kept == report.n_rejected);
		if (rows[i].reason != NULL)
			AT_ROW(i, strcmp(report.rejects[0].reason, rows[i].reason) == 0);
		report_done(&report);
	}
}

/* Read as a double, 2^53+1 is 2^53: so neither counts, or a byte would be missing. */
TEST(a_counter_that_may_have_lost_a_byte_is_a_reject_and_the_one_below_is_exact)
{
	static const struct {
		const char *number;
		bool is_exact;
	} rows[] = {
		{"9007199254740990", true},
		{"9007199254740991", true},
		{"9007199254740992", false},
		{"9007199254740993", false},
		{"9007199254740994", false},
		{"9223372036854775808", false},
		{"18446744073709551615", false},
		{"18446744073709551616", false},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct report report;
		char body[256];

		(void)snprintf(body, sizeof(body),
			STATS("{\"inputBytes\":%s,\"outputBytes\":1}"), rows[i].number);
		AT_ROW(i, parse(body, &report) == 0);
		AT_ROW(i, report.n_events == rows[i].is_exact);
		AT_ROW(i, report.n_rejected == !rows[i].is_exact);
		if (rows[i].is_exact)
			AT_ROW(i,
				report.events[0].counters.input_bytes ==
					strtoull(rows[i].number, NULL, 10));
		report_done(&report);
	}
}

TEST(an_impossible_number_of_connections_or_errors_reads_as_zero_and_costs_no_byte)
{
	static const char *const names[] = {"currentConns", "totalConns", "totalErrs"};
	static const char *const values[] = {"18446744073709551615", "-1", "1e400", "1.5",
		"9007199254740992", "\"1\"", "true", "[]", "{}", "null"};

	for (size_t i = 0; i < COUNT_OF(names) * COUNT_OF(values); i++) {
		const char *name = names[i % COUNT_OF(names)];
		const struct counters *counters;
		struct report report;
		char body[256];

		(void)snprintf(body, sizeof(body),
			STATS("{\"inputBytes\":5,\"%s\":%s,\"outputBytes\":6}"), name,
			values[i / COUNT_OF(names)]);
		AT_ROW(i, parse(body, &report) == 0);
		AT_ROW(i, report.n_events == 1 && report.n_rejected == 0);
		counters = &report.events[0].counters;
		AT_ROW(i, counters->current_conns == 0 && counters->total_conns == 0);
		AT_ROW(i, counters->total_errs == 0);
		AT_ROW(i, counters->input_bytes == 5 && counters->output_bytes == 6);
		AT_ROW(i, report.events[0].lacks_conns);
		report_done(&report);
	}
}

TEST(connections_are_known_if_they_can_be_right)
{
	struct report report;

	assert_int_equal(parse(STATS("{\"totalConns\":0}"), &report), 0);
	assert_false(report.events[0].lacks_conns);
	report_done(&report);
	assert_int_equal(parse(STATS("{\"totalConns\":9007199254740991}"), &report), 0);
	assert_false(report.events[0].lacks_conns);
	assert_int_equal(report.events[0].counters.total_conns, COUNTER_MAX);
	report_done(&report);
}

TEST(one_bad_event_costs_the_others_nothing)
{
	struct report report;

	assert_int_equal(parse("{\"events\":["
			       "{\"type\":\"stats\",\"client\":\"a\",\"stats\":{"
			       "\"inputBytes\":1}},"
			       "{\"type\":\"stats\",\"client\":\"b\\u0000\",\"stats\":{"
			       "\"inputBytes\":2}},"
			       "7,"
			       "{\"type\":\"heartbeat\",\"client\":\"c\"},"
			       "{\"type\":\"stats\",\"client\":\"d\",\"stats\":{"
			       "\"inputBytes\":4}}]}",
				 &report),
		0);
	assert_int_equal(report.n_events, 2);
	assert_string_equal(report.events[0].client, "a");
	assert_string_equal(report.events[1].client, "d");
	assert_int_equal(report.events[1].counters.input_bytes, 4);
	assert_int_equal(report.n_rejected, 2);
	assert_string_equal(report.rejects[1].event, "7");
	report_done(&report);
}

TEST(an_unknown_type_without_bytes_is_left_out_silently_whatever_else_it_holds)
{
	struct report report;

	assert_int_equal(
		parse("{\"events\":[{\"type\":\"\"},{\"type\":\"STATS\",\"stats\":null},"
		      "{\"type\":\"new\",\"kind\":7,\"client\":[],\"stats\":1},"
		      "{\"type\":\"new\",\"more\":{\"inputBytes\":1},\"inputBytes\":null}"
		      "]}",
			&report),
		0);
	assert_int_equal(report.n_events, 0);
	assert_int_equal(report.n_rejected, 0);
	report_done(&report);
}

TEST(an_event_of_unknown_type_that_carries_bytes_is_a_reject)
{
	static const char *const events[] = {
		"{\"type\":\"traffic\",\"client\":\"a\",\"stats\":{\"inputBytes\":5}}",
		"{\"type\":\"STATS\",\"stats\":{}}",
		"{\"type\":\"Stats\",\"Stats\":{\"inputBytes\":5}}",
		"{\"type\":\"\",\"stats\":{}}",
		"{\"type\":\" stats\",\"stats\":{}}",
		"{\"type\":\"traffic\",\"inputBytes\":5}",
		"{\"type\":\"traffic\",\"OutputBytes\":5}",
	};

	for (size_t i = 0; i < COUNT_OF(events); i++) {
		struct report report;
		char body[256];

		(void)snprintf(body, sizeof(body), "{\"events\":[%s]}", events[i]);
		AT_ROW(i, parse(body, &report) == 0);
		AT_ROW(i, report.n_events == 0);
		AT_ROW(i, report.n_rejected == 1 && report.n_rejects_kept == 1);
		AT_ROW(i, strcmp(report.rejects[0].reason, UNKNOWN) == 0);
		AT_ROW(i, strcmp(report.rejects[0].event, events[i]) == 0);
		report_done(&report);
	}
}

TEST(a_status_that_carries_bytes_keeps_its_state_and_its_bytes_are_a_reject)
{
	struct report report;

	assert_int_equal(parse("{\"events\":[{\"type\":\"status\",\"status\":{\"state\":"
			       "\"ready\"},\"stats\":{\"inputBytes\":5}},"
			       "{\"type\":\"status\",\"status\":{\"state\":\"closed\"},"
			       "\"stats\":null}]}",
				 &report),
		0);
	assert_int_equal(report.n_events, 2);
	assert_string_equal(report.events[0].state, "ready");
	assert_int_equal(report.n_rejected, 1);
	assert_non_null(strstr(report.rejects[0].reason, "its bytes are not"));
	assert_non_null(strstr(report.rejects[0].event, "\"inputBytes\":5"));
	report_done(&report);
}

/* Each as the only event; `shown`: what is kept of it. */
TEST(a_nul_in_a_name_is_a_reject_that_shows_it)
{
#define CLIENT_EVENT(name) "{\"type\":\"stats\",\"client\":\"" name "\",\"stats\":{}}"
	static const char *const events[] = {
		CLIENT_EVENT("a\\u0000"),
		CLIENT_EVENT("\\u0000"),
		CLIENT_EVENT("a\\u0000b\\u0000"),
		CLIENT_EVENT("a\\u0001\\u0000\\u0002"),
		CLIENT_EVENT("\\\\u0001\\u0000\\\\u0000"),
		CLIENT_EVENT("\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\u0010"
			     "\\u0000"),
		"{\"type\":\"stats\",\"service\":\"s\\u0000\",\"stats\":{}}",
		"{\"type\":\"stats\",\"kind\":\"service\\u0000\",\"stats\":{}}",
		"{\"type\":\"stats\\u0000\",\"stats\":{\"inputBytes\":5}}",
		"{\"type\":\"status\",\"status\":{\"state\":\"ready\\u0000\"}}",
	};

	for (size_t i = 0; i < COUNT_OF(events); i++) {
		struct report report;
		char body[256];

		(void)snprintf(body, sizeof(body),
			"{\"events\":[%s," CLIENT_EVENT("good") "]}", events[i]);
		AT_ROW(i, parse(body, &report) == 0);
		AT_ROW(i, report.n_events == 1);
		AT_ROW(i, strcmp(report.events[0].client, "good") == 0);
		AT_ROW(i, report.n_rejects_kept == 1);
		AT_ROW(i, strcmp(report.rejects[0].event, events[i]) == 0);
		report_done(&report);
	}
}

/* A control character that is there already is never shown as a NUL. */
TEST(a_nul_and_a_raw_control_character_are_told_apart)
{
	struct report report;

	assert_int_equal(
		parse("{\"events\":[" CLIENT_EVENT("a\x01z\\u0000") "]}", &report), 0);
	assert_string_equal(report.rejects[0].event, CLIENT_EVENT("a\\u0001z\\u0000"));
	report_done(&report);
}

TEST(an_escaped_backslash_before_u0000_is_text)
{
	struct report report;

	assert_int_equal(parse("{\"events\":[{\"type\":\"stats\",\"client\":"
			       "\"\\\\u0000\",\"stats\":{}},"
			       "{\"type\":\"stats\",\"client\":\"x\\\\\\\\u0000y\","
			       "\"stats\":{}}]}",
				 &report),
		0);
	assert_int_equal(report.n_events, 2);
	assert_string_equal(report.events[0].client, "\\u0000");
	assert_string_equal(report.events[1].client, "x\\\\u0000y");
	report_done(&report);
}

TEST(of_equal_names_the_first_counts)
{
	struct report report;

	assert_int_equal(
		parse("{\"events\":[{\"type\":\"stats\",\"client\":\"a\",\"client\":"
		      "\"b\","
		      "\"stats\":{\"inputBytes\":1,\"inputBytes\":2}}],\"events\":[]}",
			&report),
		0);
	assert_int_equal(report.n_events, 1);
	assert_string_equal(report.events[0].client, "a");
	assert_int_equal(report.events[0].counters.input_bytes, 1);
	report_done(&report);
}

TEST(names_of_255_bytes_are_taken_and_of_256_not)
{
	for (size_t len = 255; len <= 256; len++) {
		struct report report;
		char name[300], body[400];

		memset(name, 'n', len);
		name[len] = '\0';
		(void)snprintf(body, sizeof(body),
			"{\"events\":[{\"type\":\"stats\",\"client\":\"%s\",\"stats\":{}}"
			"]}",
			name);
		assert_int_equal(parse(body, &report), 0);
		assert_int_equal(report.n_events, len == 255);
		assert_int_equal(report.n_rejected, len == 256);
		report_done(&report);
	}
}

TEST(rejects_are_bounded_in_number_and_size_and_always_clean)
{
	struct report report;
	char body[64 * 1024] = "{\"events\":[";
	size_t at = strlen(body);

	for (int i = 0; i < 40; i++) {
		at += (size_t)snprintf(body + at, sizeof(body) - at,
			"%s{\"type\":\"stats\",\"client\":\"", i > 0 ? "," : "");
		for (int j = 0; j < 300; j++) {
			memcpy(body + at, "\xe2\x82\xac", 3);
			at += 3;
		}
		at += (size_t)snprintf(body + at, sizeof(body) - at, "\"}");
	}
	(void)snprintf(body + at, sizeof(body) - at, "]}");
	assert_int_equal(parse(body, &report), 0);
	assert_int_equal(report.n_rejected, 40);
	assert_int_equal(report.n_rejects_kept, REPORT_REJECTS_KEPT);
	for (size_t i = 0; i < report.n_rejects_kept; i++) {
		const char *text = report.rejects[i].event;

		assert_true(strlen(text) <= REJECT_MAX_BYTES);
		assert_memory_equal(text, "{\"type\":\"stats\"", 15);
	}
	report_done(&report);
	assert_int_equal(parse("{\"events\":[\"\xff\xfe\"]}", &report), 0);
	assert_string_equal(report.rejects[0].event, "\"??\"");
	report_done(&report);
}

TEST(a_reject_of_another_stage_stands_beside_the_first)
{
	struct report report;

	assert_int_equal(parse("{\"events\":[1]}", &report), 0);
	report_reject(&report, "max_users is reached", "name");
	assert_int_equal(report.n_rejected, 2);
	assert_string_equal(report.rejects[1].reason, "max_users is reached");
	assert_string_equal(report.rejects[1].event, "name");
	report_done(&report);
	assert_int_equal(report.n_rejected, 0);
	report_done(&report); /* again is fine */
}

/* Every allocation, cJSON's too. */
TEST(short_memory_is_never_taken_for_bad_json_and_costs_at_most_a_rejects_text)
{
	static const char body[] =
		"{\"events\":[{\"type\":\"stats\",\"client\":\"a\\u0000\",\"stats\":{}},"
		"{\"type\":\"stats\",\"client\":\"b\",\"stats\":{\"inputBytes\":1}}]}";
	unsigned n = 1, n_short = 0;

	json_init();
	for (;; n++) {
		struct report report, before;
		bool has_fired;
		int code;

		memset(&report, 0x5a, sizeof(report));
		before = report;
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = report_parse(body, strlen(body), &report);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		if (code != 0) {
			AT_ROW(n, has_fired && code == ERR_NOMEM);
			AT_ROW(n, memcmp(&report, &before, sizeof(report)) == 0);
			n_short++;
			continue;
		}
		AT_ROW(n, report.n_events == 1 && report.n_rejected == 1);
		AT_ROW(n, strcmp(report.events[0].client, "b") == 0);
		AT_ROW(n, report.events[0].counters.input_bytes == 1);
		report_done(&report);
		if (!has_fired)
			break;
	}
	assert_true(n_short > 20);
	cJSON_InitHooks(NULL);
}

/* An escape, so that it is cJSON's; names that are absent, and a bad event. */
TEST(what_is_made_compact_says_the_same_without_cjsons_document)
{
	static const char body[] =
		"{\"events\":[{\"type\":\"stats\",\"service\":\"s\",\"client\":"
		"\"\\u0061lice\","
		"\"stats\":{\"inputBytes\":5}},{\"type\":\"stats\",\"stats\":{}},{},"
		"{\"type\":\"status\",\"service\":\"t\",\"status\":{\"state\":\"ready\"}}"
		"]}";

	for (unsigned n_faults = 0; n_faults < 2; n_faults++) {
		struct report report;

		assert_int_equal(parse(body, &report), 0);
		assert_non_null(report.document);
		if (n_faults > 0)
			faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
		report_compact(&report);
		faults_reset();
		AT_ROW(n_faults, (report.document != NULL) == (n_faults > 0));
		report_compact(&report);
		AT_ROW(n_faults, report.document == NULL);
		report_compact(&report);
		assert_int_equal(report.n_events, 3);
		assert_int_equal(report.n_rejected, 1);
		assert_string_equal(report.events[0].service, "s");
		assert_string_equal(report.events[0].client, "alice");
		assert_string_equal(report.events[0].state, "");
		assert_int_equal(report.events[0].counters.input_bytes, 5);
		assert_string_equal(report.events[1].service, "");
		assert_string_equal(report.events[1].client, "");
		assert_string_equal(report.events[2].service, "t");
		assert_string_equal(report.events[2].state, "ready");
		assert_string_equal(report.rejects[0].event, "{}");
		report_done(&report);
	}
}

TEST(bad_json_is_bad_json_whatever_was_short_before)
{
	struct report report;

	json_init();
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	assert_null(cJSON_CreateObject());
	faults_reset();
	assert_int_equal(parse("{\"events\":[}", &report), ERR_JSON);
	assert_false(json_was_short());
	cJSON_InitHooks(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_report_as_gost_sends_it_is_read),
		cmocka_unit_test(what_may_be_absent_reads_as_empty_or_zero),
		cmocka_unit_test(
			a_body_that_is_no_report_is_refused_and_the_result_untouched),
		cmocka_unit_test(blanks_around_the_document_and_an_empty_list_are_fine),
		cmocka_unit_test(a_nul_byte_anywhere_is_no_json),
		cmocka_unit_test(deep_nesting_is_refused_and_never_overflows_the_stack),
		cmocka_unit_test(bad_events_are_set_aside_with_their_reason),
		cmocka_unit_test(
			a_counter_that_may_have_lost_a_byte_is_a_reject_and_the_one_below_is_exact),
		cmocka_unit_test(
			an_impossible_number_of_connections_or_errors_reads_as_zero_and_costs_no_byte),
		cmocka_unit_test(connections_are_known_if_they_can_be_right),
		cmocka_unit_test(one_bad_event_costs_the_others_nothing),
		cmocka_unit_test(
			an_unknown_type_without_bytes_is_left_out_silently_whatever_else_it_holds),
		cmocka_unit_test(an_event_of_unknown_type_that_carries_bytes_is_a_reject),
		cmocka_unit_test(
			a_status_that_carries_bytes_keeps_its_state_and_its_bytes_are_a_reject),
		cmocka_unit_test(a_nul_in_a_name_is_a_reject_that_shows_it),
		cmocka_unit_test(a_nul_and_a_raw_control_character_are_told_apart),
		cmocka_unit_test(an_escaped_backslash_before_u0000_is_text),
		cmocka_unit_test(of_equal_names_the_first_counts),
		cmocka_unit_test(names_of_255_bytes_are_taken_and_of_256_not),
		cmocka_unit_test(rejects_are_bounded_in_number_and_size_and_always_clean),
		cmocka_unit_test(a_reject_of_another_stage_stands_beside_the_first),
		cmocka_unit_test(
			short_memory_is_never_taken_for_bad_json_and_costs_at_most_a_rejects_text),
		cmocka_unit_test(
			what_is_made_compact_says_the_same_without_cjsons_document),
		cmocka_unit_test(bad_json_is_bad_json_whatever_was_short_before),
	};

	return RUN_TESTS(tests);
}
