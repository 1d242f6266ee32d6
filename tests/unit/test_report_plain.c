#include "lib/test.h"
#include "fuzz/fuzz_report.c"
#include "lib/faults.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#define CORPUS "tests/fuzz/corpus/report"
#define MAX_BODY_BYTES 4096
#define MAX_BODIES 256

static unsigned long random_state;

static unsigned next_random(unsigned below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(random_state >> 33) % below;
}

struct body {
	char bytes[MAX_BODY_BYTES];
	size_t len;
};

static struct body bodies[MAX_BODIES];
static unsigned n_bodies;

static int load_corpus(void **state)
{
	DIR *folder = opendir(CORPUS);
	const struct dirent *entry;

	(void)state;
	assert_non_null(folder);
	while ((entry = readdir(folder)) != NULL) {
		struct body *body = &bodies[n_bodies];
		char path[512];
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		assert_true(n_bodies < MAX_BODIES);
		(void)snprintf(path, sizeof(path), "%s/%s", CORPUS, entry->d_name);
		file = fopen(path, "rb");
		assert_non_null(file);
		body->len = fread(body->bytes, 1, sizeof(body->bytes), file);
		(void)fclose(file);
		n_bodies++;
	}
	(void)closedir(folder);
	return 0;
}

static void read_both_ways(const char *bytes, size_t len)
{
	(void)LLVMFuzzerTestOneInput((const uint8_t *)bytes, len);
}

TEST(each_body_of_the_corpus_comes_to_the_same_both_ways)
{
	for (unsigned i = 0; i < n_bodies; i++)
		read_both_ways(bodies[i].bytes, bodies[i].len);
	assert_true(n_plain > 5 && n_json > n_plain); /* else nothing was tried */
}

static size_t mutate(char *bytes, size_t len, size_t room)
{
	static const char *const words[] = {"\\u0000", "\\", "\"", "{", "}", "[", "]",
		"1e400", "-1", "null", "18446744073709551615", ",", ":", "\xff", "\xc3",
		"stats", "\\ud800", " ", "0", "00", "9007199254740991",
		"9007199254740992", "\"msg\":\"\",", "\"type\":\"stats\",",
		"{\"stats\":null,"};
	const char *word = words[next_random(COUNT_OF(words))];
	size_t at = next_random((unsigned)len), n = strlen(word);

	switch (next_random(7)) {
	case 0:
		bytes[at] = (char)next_random(256);
		return len;
	case 1:
		memmove(bytes + at, bytes + at + 1, len - at - 1);
		return len - 1;
	case 2:
		if (len + n > room)
			return len;
		memmove(bytes + at + n, bytes + at, len - at);
		memcpy(bytes + at, word, n);
		return len + n;
	case 3:
		return at > 0 ? at : len;
	default: /* what stays plain */
		if (bytes[at] >= '0' && bytes[at] <= '9')
			bytes[at] = (char)('0' + next_random(10));
		return len;
	}
}

TEST(mutated_reports_come_to_the_same_both_ways_and_never_to_what_cannot_be)
{
	unsigned n_plain_before = n_plain, n_json_before = n_json;

	random_state = 42;
	for (unsigned round = 0; round < 60000; round++) {
		const struct body *body = &bodies[round % n_bodies];
		char bytes[MAX_BODY_BYTES];
		size_t len = body->len;

		memcpy(bytes, body->bytes, len);
		for (unsigned n = 1 + next_random(3); n > 0 && len > 1; n--)
			len = mutate(bytes, len, sizeof(bytes));
		read_both_ways(bytes, len);
	}
	assert_true(n_plain - n_plain_before > 1000);
	assert_true(n_json - n_json_before > n_plain - n_plain_before + 1000);
}

static bool is_plain(const char *body)
{
	struct report report;

	if (!report_read_plain(body, strlen(body), &report))
		return false;
	report_done(&report);
	return true;
}

/* Else every report of GOST would be read by cJSON, and no test would tell. */
TEST(what_gost_writes_is_plain_and_what_it_does_not_is_not)
{
#define STATS_OF(members) "{\"events\":[{\"type\":\"stats\",\"stats\":{" members "}}]}"
#define EVENT_OF(members)                                                                \
	"{\"events\":[{" members ",\"type\":\"stats\",\"stats\":{\"inputBytes\":1}}]}"
#define STATUS_OF(members) "{\"events\":[{\"type\":\"status\",\"status\":{" members "}}]}"
	static const struct {
		bool is_plain;
		const char *body;
	} rows[] = {
		{true, "{\"events\":[]}"},
		{true, " {\n\"events\" :\t[ ] } \r\n"},
		{true, STATS_OF("")},
		{true,
			STATS_OF("\"totalConns\":1,\"currentConns\":0,\"inputBytes\":78,"
				 "\"outputBytes\":574,\"totalErrs\":0")},
		{true, STATS_OF("\"totalErrs\":0 , \"inputBytes\" : 78")},
		{true, STATS_OF("\"currentConns\":18446744073709551615")},
		{true, STATS_OF("\"inputBytes\":9007199254740991")},
		{true, STATS_OF("\"inputBytes\":null")},
		{true,
			EVENT_OF("\"kind\":\"handler\",\"service\":\"s\",\"client\":"
				 "\"\"")},
		{true, EVENT_OF("\"client\":\"\xc3\xa9\",\"kind\":\"service\"")},
		{true, EVENT_OF("\"client\":null")},
		{true, STATUS_OF("\"state\":\"ready\",\"msg\":\"service s is ready\"")},
		{false, ""},
		{false, "{}"},
		{false, "[]"},
		{false, "{\"events\":[]}x"},
		{false, "{\"events\":[],\"events\":[]}"},
		{false, "{\"events\":[],\"more\":1}"},
		{false, "{\"events\":[{}]}"},
		{false, "{\"events\":[],}"},
		{false, "{\"events\":{}}"},
		{false, STATS_OF("\"inputBytes\":9007199254740992")},
		{false, STATS_OF("\"inputBytes\":-1")},
		{false, STATS_OF("\"inputBytes\":1.0")},
		{false, STATS_OF("\"inputBytes\":01")},
		{false, STATS_OF("\"inputBytes\":")},
		{false, STATS_OF("\"inputBytes\":1,\"inputBytes\":1")},
		{false, STATS_OF("\"InputBytes\":1")},
		{false, STATS_OF("\"totalErrs\":184467440737095516150")},
		{false, EVENT_OF("\"client\":\"a\\u0062\"")},
		{false, EVENT_OF("\"client\":\"\x7f\"")},
		{false, EVENT_OF("\"client\":\"\xc2\x85\"")},
		{false, EVENT_OF("\"client\":\"\xff\"")},
		{false, EVENT_OF("\"client\":\"a\tb\"")},
		{false, EVENT_OF("\"client\":1")},
		{false, EVENT_OF("\"kind\":\"router\"")},
		{false, EVENT_OF("\"status\":1")},
		{false, STATUS_OF("")},
		{false, STATUS_OF("\"state\":\"12345678901234567890123456789012\"")},
		{false, STATUS_OF("\"state\":\"ready\"},\"stats\":{")},
		{false, "{\"events\":[{\"type\":\"stats\"}]}"},
		{false, "{\"events\":[{\"type\":\"new\",\"stats\":{}}]}"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		AT_ROW(i, is_plain(rows[i].body) == rows[i].is_plain);
		read_both_ways(rows[i].body, strlen(rows[i].body));
	}
}

/* Then cJSON says what is wrong, if it is. */
TEST(short_memory_makes_a_report_that_is_not_plain)
{
	static const char body[] = STATS_OF("\"inputBytes\":1");

	for (unsigned n = 1; n <= 2; n++) {
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		AT_ROW(n, !is_plain(body));
		AT_ROW(n, faults_fired(FAULT_MEMORY));
		faults_reset();
	}
	assert_true(is_plain(body));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_body_of_the_corpus_comes_to_the_same_both_ways),
		cmocka_unit_test(
			mutated_reports_come_to_the_same_both_ways_and_never_to_what_cannot_be),
		cmocka_unit_test(what_gost_writes_is_plain_and_what_it_does_not_is_not),
		cmocka_unit_test(short_memory_makes_a_report_that_is_not_plain),
	};

	return cmocka_run_group_tests(tests, load_corpus, NULL);
}
