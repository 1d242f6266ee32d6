#include "lib/test.h"
#include "api/json.h"
#include "http/refusals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct refusals refusals;

static void note(int code, const char *path)
{
	struct refused refused = {
		.code = code, .peer = "192.0.2.1", .method = "POST", .path = path};

	refusals_note(&refusals, &refused);
}

static int setup(void **state)
{
	(void)state;
	memset(&refusals, 0, sizeof(refusals));
	log_set_level(LOG_ERROR);
	return 0;
}

TEST(the_last_twenty_are_kept_newest_first)
{
	char path[16];

	assert_null(refusals_last(&refusals, 0));
	for (int i = 0; i < 50; i++) {
		(void)snprintf(path, sizeof(path), "/%d", i);
		note(ERR_NOT_FOUND, path);
		(void)snprintf(path, sizeof(path), "/%d", i < 19 ? 0 : i - 19);
		assert_string_equal(
			refusals_last(&refusals, i < 19 ? (unsigned)i : 19)->path, path);
	}
	assert_string_equal(refusals_last(&refusals, 0)->path, "/49");
	assert_null(refusals_last(&refusals, 20));
	assert_int_equal(refusals_count(&refusals, ERR_NOT_FOUND), 50);
}

TEST(codes_that_share_a_word_are_counted_as_one_and_once)
{
	note(ERR_JSON, "/observer");
	note(ERR_NO_EVENTS, "/observer");
	note(ERR_PARAM, "/observer");
	note(ERR_TLS, NULL);
	assert_int_equal(refusals_count(&refusals, ERR_JSON), 3);
	assert_int_equal(refusals_count(&refusals, ERR_NO_EVENTS), 0);
	assert_int_equal(refusals_count(&refusals, ERR_PARAM), 0);
	assert_int_equal(refusals_count(&refusals, ERR_TLS), 1);
	assert_int_equal(refusals_count(&refusals, ERR_NOMEM), 0);
}

TEST(what_is_kept_is_clean_and_cut_and_never_half_a_character)
{
	char path[REFUSAL_PATH_BYTES + 10];
	const struct refusal *kept;
	struct refused refused = {.code = ERR_HTTP2, .peer = "unix", .node = "a\nb\xff"};

	refusals_note(&refusals, &refused);
	kept = refusals_last(&refusals, 0);
	assert_string_equal(kept->node, "a?b?");
	assert_string_equal(kept->method, "");
	assert_string_equal(kept->path, "");
	assert_string_equal(kept->reason, err_text(ERR_HTTP2));
	memset(path, 'x', sizeof(path));
	memcpy(path + REFUSAL_PATH_BYTES - 2, "\xc3\xbc", 3);
	note(ERR_NOT_FOUND, path);
	assert_int_equal(
		strlen(refusals_last(&refusals, 0)->path), REFUSAL_PATH_BYTES - 2);
}

/* How many of `n`, a second apart, are written; the last one's count of those that were
 * not. */
static unsigned say(struct hush *hush, const char *node, uint64_t from_ms, unsigned n,
	unsigned *ret_suppressed)
{
	unsigned lines = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t now_ms = from_ms + i * UINT64_C(1000);
		struct hushed *kind =
			hush_find(hush, ERR_UNAUTHORIZED, "192.0.2.1", node, now_ms);

		if (!hush_is_due(kind, now_ms))
			continue;
		*ret_suppressed = hush_said(kind, now_ms);
		lines++;
	}
	return lines;
}

TEST(who_is_refused_each_second_is_said_once_a_minute_after_the_first_lines)
{
	static struct hush hush;
	unsigned suppressed = 0;

	memset(&hush, 0, sizeof(hush));
	assert_int_equal(say(&hush, "hk1", 1000, 3, &suppressed), 3);
	assert_int_equal(say(&hush, "hk1", 4000, 59, &suppressed), 0);
	assert_int_equal(say(&hush, "hk1", 63000, 1, &suppressed), 1);
	assert_int_equal(suppressed, 59);
	assert_int_equal(say(&hush, "hk1", 64000, 600, &suppressed), 10);
	assert_int_equal(say(&hush, "hk2", 70000, 10, &suppressed), 3);
	/* It was mended, and comes again. */
	assert_int_equal(say(&hush, "hk1", 664000 + HUSH_FORGET_MS, 10, &suppressed), 3);
}

TEST(of_many_kinds_the_one_not_seen_for_longest_is_forgotten)
{
	static struct hush hush;
	unsigned suppressed = 0;
	char node[16];

	memset(&hush, 0, sizeof(hush));
	assert_int_equal(say(&hush, "hk1", 1000, 5, &suppressed), 3);
	for (unsigned i = 0; i < HUSH_KINDS - 1; i++) {
		(void)snprintf(node, sizeof(node), "n%u", i);
		assert_int_equal(say(&hush, node, 10000 + i, 1, &suppressed), 1);
	}
	assert_int_equal(say(&hush, "hk1", 11000, 1, &suppressed), 0);
	assert_int_equal(say(&hush, "one more", 12000, 1, &suppressed), 1);
	assert_int_equal(say(&hush, "hk1", 13000, 1, &suppressed), 0);
	assert_int_equal(say(&hush, "n0", 14000, 4, &suppressed), 3);
}

/* What cJSON allocates, of which the nth fails. */
static unsigned n_allocated, n_until_short;

static void *allocate(size_t bytes)
{
	if (n_until_short > 0 && --n_until_short == 0)
		return NULL;
	n_allocated++;
	return malloc(bytes);
}

static void release(void *memory)
{
	n_allocated -= memory != NULL;
	free(memory);
}

TEST(an_answer_that_memory_is_too_short_for_leaves_nothing_behind)
{
	cJSON_Hooks hooks = {allocate, release};
	bool was_short = true;

	note(ERR_NOT_FOUND, "/1");
	note(ERR_JSON, "/observer");
	cJSON_InitHooks(&hooks);
	for (unsigned n = 1; was_short; n++) {
		cJSON *data;

		n_until_short = n;
		data = cJSON_CreateObject();
		refusals_add(cJSON_AddObjectToObject(data, "refusals"), &refusals);
		cJSON_Delete(data);
		assert_int_equal(n_allocated, 0);
		was_short = n_until_short == 0;
		assert_true(!was_short || n < 200);
	}
	cJSON_InitHooks(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_last_twenty_are_kept_newest_first, setup),
		cmocka_unit_test_setup(
			codes_that_share_a_word_are_counted_as_one_and_once, setup),
		cmocka_unit_test_setup(
			what_is_kept_is_clean_and_cut_and_never_half_a_character, setup),
		cmocka_unit_test(
			who_is_refused_each_second_is_said_once_a_minute_after_the_first_lines),
		cmocka_unit_test_setup(
			an_answer_that_memory_is_too_short_for_leaves_nothing_behind,
			setup),
		cmocka_unit_test(of_many_kinds_the_one_not_seen_for_longest_is_forgotten),
	};

	return RUN_TESTS(tests);
}
