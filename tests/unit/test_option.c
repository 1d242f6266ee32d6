#include "lib/test.h"
#include "app/option.h"
#include "lib/faults.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTHING UINT64_C(0x5eed) /* what no option_set() has touched */

static const struct option_row *row_of(const char *name)
{
	const struct option_row *row = option_find(name);

	if (row == NULL)
		fail_msg("there is no option %s", name);
	return row;
}

/* What the text means for that option; NOTHING if it was refused, with a reason. */
static uint64_t number_of(const char *name, const char *text)
{
	const struct option_row *row = row_of(name);
	struct config config = {0};
	struct errmsg msg = {""};
	int code;

	*option_number(&config, row) = NOTHING;
	code = option_set(&config, row, text, &msg);
	if (code != 0) {
		assert_int_equal(code, ERR_CONFIG);
		assert_string_not_equal(msg.text, "");
		assert_true(*option_number(&config, row) == NOTHING);
	}
	return *option_number(&config, row);
}

static void set(struct config *config, const char *name, const char *text)
{
	struct errmsg msg = {""};

	if (option_set(config, row_of(name), text, &msg) != 0)
		fail_msg("%s = %s: %s", name, text, msg.text);
}

static void set_defaults(struct config *config)
{
	*config = (struct config){0};
	for (size_t i = 0; i < OPTION_COUNT; i++)
		set(config, option_rows()[i].name, option_rows()[i].fallback);
}

TEST(every_row_has_a_place_of_its_own_and_lies_within_the_config)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows()[i];

		AT_ROW(i, row->offset + sizeof(uint64_t) <= sizeof(struct config));
		AT_ROW(i, row->help != NULL && row->help[0] != '\0');
		AT_ROW(i, (row->type == TYPE_WORD) == (row->words != NULL));
		AT_ROW(i, row->type == TYPE_TEXT || row->check == NULL);
		AT_ROW(i, row->type != TYPE_TEXT || !row->has_auto);
		AT_ROW(i, row->type == TYPE_TEXT || row->secret == SECRET_NOT);
		for (size_t j = 0; j < i; j++) {
			AT_ROW(i, option_rows()[j].offset != row->offset);
			AT_ROW(i, strcmp(option_rows()[j].name, row->name) != 0);
		}
	}
}

TEST(every_field_of_the_config_has_its_row)
{
	bool has_row[sizeof(struct config) / sizeof(uint64_t)] = {false};

	for (size_t i = 0; i < OPTION_COUNT; i++)
		has_row[option_rows()[i].offset / sizeof(uint64_t)] = true;
	/* No options: where they were read from, and what is done once. */
	has_row[offsetof(struct config, file) / sizeof(uint64_t)] = true;
	has_row[offsetof(struct config, is_json) / sizeof(uint64_t)] = true;
	has_row[offsetof(struct config, take_over) / sizeof(uint64_t)] = true;
	has_row[offsetof(struct config, forgotten_node) / sizeof(uint64_t)] = true;
	has_row[offsetof(struct config, is_redis_url_argument) / sizeof(uint64_t)] = true;
	/* Made of options. */
	for (size_t i = 0; i < sizeof(struct resolved) / sizeof(uint64_t); i++)
		has_row[offsetof(struct config, resolved) / sizeof(uint64_t) + i] = true;
	for (size_t i = 0; i < COUNT_OF(has_row); i++)
		AT_ROW(i, has_row[i]);
}

TEST(the_defaults_are_those_of_the_design)
{
	static const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{"sync_interval", 45000},
		{"sync_batch_size", 50},
		{"max_pending_users", 1000},
		{"emergency_flush_size", OPTION_AUTO},
		{"max_retries", 3},
		{"retry_delay", 1000},
		{"journal_fsync", FSYNC_EVERYSEC},
		{"journal_max_bytes", UINT64_C(1) << 30},
		{"counters", COUNTERS_DELTA},
		{"redis_timeout", 500},
		{"redis_repair_rate", 20000},
		{"min_free_bytes", OPTION_AUTO},
		{"max_users", 5000000},
		{"max_memory", OPTION_AUTO},
		{"busy_timeout", 1000},
		{"log_level", LOG_INFO},
		{"stop_timeout", 20000},
		{"max_body_bytes", UINT64_C(32) << 20},
		{"max_body_memory", OPTION_AUTO},
		{"max_connections", 1024},
		{"idle_timeout", 120000},
		{"request_timeout", 10000},
		{"allow_anonymous", 0},
		{"node_secret_grace", 600000},
	};
	struct config config;

	set_defaults(&config);
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		AT_ROW(i, *option_number(&config, row_of(rows[i].name)) == rows[i].value);
	assert_int_equal(COUNT_OF(rows) + 12, OPTION_COUNT);
	assert_string_equal(config.listen, "127.0.0.1:3000");
	assert_string_equal(config.data_dir, "/var/lib/tallyd");
	assert_string_equal(config.redis_url, "redis://127.0.0.1:6379/0");
	assert_string_equal(config.redis_key_prefix, "user:");
	assert_string_equal(config.admin_socket, "auto");
	assert_string_equal(config.read_socket, "auto");
	assert_string_equal(config.api_token, "");
	assert_string_equal(config.api_token_file, "auto");
	assert_string_equal(config.read_token, "");
	assert_string_equal(config.read_token_file, "auto");
	assert_string_equal(config.hostnames, "");
	assert_string_equal(config.first_node_file, "auto");
	config_done(&config);
}

TEST(the_originals_environment_names_belong_to_their_options)
{
	static const struct {
		const char *name, *also;
	} rows[] = {
		{"redis_url", "REDIS_URL"},
		{"sync_interval", "DB_SYNC_INTERVAL"},
		{"sync_batch_size", "SYNC_BATCH_SIZE"},
		{"max_pending_users", "MAX_PENDING_SYNC_USERS"},
		{"emergency_flush_size", "EMERGENCY_FLUSH_SIZE"},
		{"max_retries", "MAX_RETRIES"},
		{"retry_delay", "RETRY_DELAY"},
	};
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		AT_ROW(i, strcmp(row_of(rows[i].name)->also, rows[i].also) == 0);
	for (size_t i = 0; i < OPTION_COUNT; i++)
		n += option_rows()[i].also != NULL;
	assert_int_equal(n, COUNT_OF(rows));
}

TEST(an_option_is_found_by_its_whole_name_only)
{
	static const char *const strangers[] = {"", "sync", "sync_interva",
		"sync_interval ", "sync-interval", "SYNC_INTERVAL", "sync_interval2"};

	for (size_t i = 0; i < OPTION_COUNT; i++)
		AT_ROW(i, option_find(option_rows()[i].name) == &option_rows()[i]);
	for (size_t i = 0; i < COUNT_OF(strangers); i++)
		AT_ROW(i, option_find(strangers[i]) == NULL);
}

TEST(a_near_miss_is_guessed_and_a_stranger_is_not)
{
	static const struct {
		const char *name, *meant;
	} rows[] = {
		{"sync_intervall", "sync_interval"},
		{"sync_interva", "sync_interval"},
		{"sync-interval", "sync_interval"},
		{"syncinterval", "sync_interval"},
		{"sinc_interwal", "sync_interval"},
		{"max_user", "max_users"},
		{"max_conections", "max_connections"},
		{"listn", "listen"},
		{"lisetn", "listen"},
		{"log_levle", "log_level"},
		{"redis_uri", "redis_url"},
		{"max_users", "max_users"},
		{"", NULL},
		{"x", NULL},
		{"port", NULL},
		{"home", NULL},
		{"nonsense", NULL},
		{"password", NULL},
		{"bin", NULL},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *near = option_near_miss(rows[i].name);

		if (rows[i].meant == NULL)
			AT_ROW(i, near == NULL);
		else
			AT_ROW(i, near != NULL && strcmp(near, rows[i].meant) == 0);
	}
}

TEST(a_name_of_any_length_may_be_asked_for)
{
	char name[300];

	for (size_t len = 0; len < sizeof(name); len++) {
		memset(name, 'a', len);
		name[len] = '\0';
		AT_ROW(len, option_near_miss(name) == NULL);
		AT_ROW(len, option_find(name) == NULL);
	}
}

TEST(a_time_is_milliseconds_or_has_a_unit)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} rows[] = {
		{"100", 100},
		{"45000", 45000},
		{"500ms", 500},
		{"45s", 45000},
		{"45 s", 45000},
		{"2m", 120000},
		{"24h", 86400000},
		{"000100", 100},
		{"", NOTHING},
		{"s", NOTHING},
		{"45S", NOTHING},
		{"45sec", NOTHING},
		{"2min", NOTHING},
		{"1d", NOTHING},
		{"1.5s", NOTHING},
		{"1e3", NOTHING},
		{"0x100", NOTHING},
		{"+500", NOTHING},
		{"-500", NOTHING},
		{" 500", NOTHING},
		{"1s500ms", NOTHING},
		{"45KiB", NOTHING},
		{"soon", NOTHING},
		{"auto", NOTHING},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		AT_ROW(i, number_of("sync_interval", rows[i].text) == rows[i].ms);
}

TEST(a_size_is_bytes_or_has_a_binary_unit)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} rows[] = {
		{"65536", 65536},
		{"65537B", 65537},
		{"64KiB", 65536},
		{"16MiB", UINT64_C(16) << 20},
		{"1GiB", UINT64_C(1) << 30},
		{"3 TiB", UINT64_C(3) << 40},
		{"1024TiB", UINT64_C(1) << 50},
		{"1KB", NOTHING},
		{"64K", NOTHING},
		{"64kib", NOTHING},
		{"1MB", NOTHING},
		{"1PiB", NOTHING},
		{"64s", NOTHING},
		{"0.5GiB", NOTHING},
		{"KiB", NOTHING},
		{"auto", NOTHING},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		AT_ROW(i, number_of("journal_max_bytes", rows[i].text) == rows[i].bytes);
}

TEST(a_count_has_no_unit)
{
	assert_int_equal(number_of("sync_batch_size", "50"), 50);
	assert_int_equal(number_of("sync_batch_size", "050"), 50);
	assert_int_equal(number_of("sync_batch_size", "50s"), NOTHING);
	assert_int_equal(number_of("sync_batch_size", "50B"), NOTHING);
	assert_int_equal(number_of("sync_batch_size", "5,000"), NOTHING);
	assert_int_equal(number_of("sync_batch_size", "many"), NOTHING);
}

TEST(a_number_that_fits_nowhere_is_refused_and_never_wraps)
{
	static const char *const texts[] = {"18446744073709551615",
		"18446744073709551616", "99999999999999999999999",
		"18446744073709551615h", "5124095576031h", "18446744073709551615TiB",
		"16777216TiB"};

	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		AT_ROW(i, number_of("sync_interval", texts[i]) == NOTHING);
		AT_ROW(i, number_of("journal_max_bytes", texts[i]) == NOTHING);
		AT_ROW(i, number_of("max_users", texts[i]) == NOTHING);
		AT_ROW(i, number_of("emergency_flush_size", texts[i]) == NOTHING);
		AT_ROW(i, number_of("min_free_bytes", texts[i]) == NOTHING);
	}
}

TEST(the_bounds_themselves_are_taken_and_what_is_beyond_is_not)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows()[i];
		char text[32];

		if (row->type == TYPE_TEXT || row->type == TYPE_WORD)
			continue;
		(void)snprintf(text, sizeof(text), "%" PRIu64, row->min);
		AT_ROW(i, number_of(row->name, text) == row->min);
		(void)snprintf(text, sizeof(text), "%" PRIu64, row->max);
		AT_ROW(i, number_of(row->name, text) == row->max);
		(void)snprintf(text, sizeof(text), "%" PRIu64, row->max + 1);
		AT_ROW(i, number_of(row->name, text) == NOTHING);
		if (row->min == 0)
			continue;
		(void)snprintf(text, sizeof(text), "%" PRIu64, row->min - 1);
		AT_ROW(i, number_of(row->name, text) == NOTHING);
	}
}

TEST(the_sentence_about_a_bound_names_the_value_and_both_ends)
{
	struct config config = {0};
	struct errmsg msg = {""};

	assert_int_equal(
		option_set(&config, row_of("sync_interval"), "99", &msg), ERR_CONFIG);
	assert_string_equal(msg.text, "`99` is not from 100ms to 86400s");
	assert_int_equal(
		option_set(&config, row_of("max_body_bytes"), "5GiB", &msg), ERR_CONFIG);
	assert_string_equal(msg.text, "`5GiB` is not from 1KiB to 64MiB");
	assert_int_equal(
		option_set(&config, row_of("max_users"), "few", &msg), ERR_CONFIG);
	assert_string_equal(msg.text, "`few`: a whole number is expected");
}

TEST(auto_is_a_word_only_of_those_that_have_it)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows()[i];

		if (row->type == TYPE_TEXT)
			continue;
		AT_ROW(i,
			number_of(row->name, "auto") ==
				(row->has_auto ? OPTION_AUTO : NOTHING));
		AT_ROW(i, number_of(row->name, "Auto") == NOTHING);
	}
	assert_true(row_of("emergency_flush_size")->has_auto);
	assert_true(row_of("min_free_bytes")->has_auto);
}

TEST(a_word_is_one_of_its_words_exactly)
{
	static const struct {
		const char *name, *text;
		uint64_t value;
	} rows[] = {
		{"journal_fsync", "always", FSYNC_ALWAYS},
		{"journal_fsync", "everysec", FSYNC_EVERYSEC},
		{"journal_fsync", "no", FSYNC_NO},
		{"log_level", "error", LOG_ERROR},
		{"log_level", "warn", LOG_WARN},
		{"log_level", "info", LOG_INFO},
		{"log_level", "debug", LOG_DEBUG},
		{"allow_anonymous", "no", 0},
		{"allow_anonymous", "yes", 1},
		{"journal_fsync", "", NOTHING},
		{"journal_fsync", "alway", NOTHING},
		{"journal_fsync", "alwayss", NOTHING},
		{"journal_fsync", "Always", NOTHING},
		{"journal_fsync", "always|everysec", NOTHING},
		{"journal_fsync", "|", NOTHING},
		{"journal_fsync", "0", NOTHING},
		{"log_level", "warning", NOTHING},
		{"allow_anonymous", "true", NOTHING},
		{"allow_anonymous", "1", NOTHING},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		AT_ROW(i, number_of(rows[i].name, rows[i].text) == rows[i].value);
}

static int set_text(struct config *config, const char *name, const char *text)
{
	struct errmsg msg = {""};
	int code = option_set(config, row_of(name), text, &msg);

	assert_int_equal(msg.text[0] != '\0', code != 0);
	return code;
}

TEST(a_text_has_its_length)
{
	static const char *const names[] = {"redis_key_prefix", "data_dir"};

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const struct option_row *row = row_of(names[i]);
		struct config config = {0};
		char text[300];

		AT_ROW(i, row->max + 1 < sizeof(text));
		memset(text, 'a', sizeof(text));
		text[row->max] = '\0';
		AT_ROW(i, set_text(&config, names[i], text) == 0);
		AT_ROW(i, strcmp(*option_text(&config, row), text) == 0);
		text[row->max] = 'a';
		text[row->max + 1] = '\0';
		AT_ROW(i, set_text(&config, names[i], text) == ERR_CONFIG);
		AT_ROW(i, strlen(*option_text(&config, row)) == row->max);
		AT_ROW(i,
			set_text(&config, names[i], "") ==
				(row->min == 0 ? 0 : ERR_CONFIG));
		config_done(&config);
	}
}

TEST(a_text_is_clean)
{
	static const char *const dirty[] = {"a\nb", "a\tb", "a\x7f", "\xff", "\xc3"};
	struct config config = {0};

	assert_int_equal(set_text(&config, "redis_key_prefix", "g\xc3\xa4ste:"), 0);
	for (size_t i = 0; i < COUNT_OF(dirty); i++)
		AT_ROW(i, set_text(&config, "redis_key_prefix", dirty[i]) == ERR_CONFIG);
	assert_string_equal(config.redis_key_prefix, "g\xc3\xa4ste:");
	config_done(&config);
}

TEST(a_text_that_is_refused_leaves_the_one_before)
{
	struct config config;

	set_defaults(&config);
	assert_int_equal(set_text(&config, "listen", "nowhere"), ERR_CONFIG);
	assert_int_equal(set_text(&config, "listen", ""), ERR_CONFIG);
	assert_int_equal(set_text(&config, "redis_url", "http://x"), ERR_CONFIG);
	assert_string_equal(config.listen, "127.0.0.1:3000");
	assert_string_equal(config.redis_url, "redis://127.0.0.1:6379/0");
	assert_int_equal(set_text(&config, "redis_url", "none"), 0);
	assert_string_equal(config.redis_url, "none");
	assert_int_equal(set_text(&config, "listen", "[::1]:1,unix:/tmp/x"), 0);
	assert_string_equal(config.listen, "[::1]:1,unix:/tmp/x");
	config_done(&config);
}

TEST(short_memory_refuses_a_text_with_a_reason_and_keeps_the_one_before)
{
	static const struct {
		const char *name, *text;
	} rows[] = {
		{"data_dir", "/elsewhere"},
		{"listen", "127.0.0.1:1,[::1]:2"},
		{"redis_url", "redis://u:p@h:1/2"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const struct option_row *row = row_of(rows[i].name);
		struct config config;
		bool has_fired = true;

		set_defaults(&config);
		for (unsigned n = 1; has_fired; n++) {
			struct errmsg msg = {""};
			int code;

			faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
			code = option_set(&config, row, rows[i].text, &msg);
			has_fired = faults_fired(FAULT_MEMORY);
			faults_reset();
			AT_ROW(i, code == (has_fired ? ERR_CONFIG : 0));
			AT_ROW(i, (msg.text[0] != '\0') == has_fired);
			AT_ROW(i,
				strcmp(*option_text(&config, row),
					has_fired ? row->fallback : rows[i].text) == 0);
		}
		config_done(&config);
	}
}

TEST(a_number_is_written_as_it_reads_best)
{
	static const struct {
		const char *name;
		uint64_t value;
		const char *text;
	} rows[] = {
		{"sync_interval", 100, "100ms"},
		{"sync_interval", 1500, "1500ms"},
		{"sync_interval", 45000, "45s"},
		{"idle_timeout", 120000, "120s"},
		{"stop_timeout", 3600000, "3600s"},
		{"stop_timeout", 0, "0"},
		{"min_free_bytes", 0, "0"},
		{"min_free_bytes", OPTION_AUTO, "auto"},
		{"min_free_bytes", 1500, "1500B"},
		{"min_free_bytes", 1024, "1KiB"},
		{"min_free_bytes", 1536, "1536B"},
		{"min_free_bytes", UINT64_C(5) << 20, "5MiB"},
		{"min_free_bytes", UINT64_C(1536) << 20, "1536MiB"},
		{"journal_max_bytes", UINT64_C(1) << 50, "1024TiB"},
		{"max_users", 5000000, "5000000"},
		{"emergency_flush_size", OPTION_AUTO, "auto"},
		{"journal_fsync", FSYNC_NO, "no"},
		{"log_level", LOG_DEBUG, "debug"},
		{"allow_anonymous", 1, "yes"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char buf[64];

		AT_ROW(i,
			strcmp(option_format(row_of(rows[i].name), rows[i].value, buf),
				rows[i].text) == 0);
	}
}

TEST(what_is_written_reads_back_as_the_same_number)
{
	static const uint64_t values[] = {0, 1, 2, 10, 99, 100, 999, 1000, 1001, 1023,
		1024, 1025, 60000, 60001, 90000, 65536, 3600000, 5400000, 7200000,
		86400000, UINT64_C(1) << 20, (UINT64_C(1) << 20) + 1, UINT64_C(3) << 30,
		UINT64_C(1) << 40, (UINT64_C(1) << 50) - 1, UINT64_C(1) << 50};

	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows()[i];
		char buf[64];

		if (row->type == TYPE_TEXT || row->type == TYPE_WORD)
			continue;
		for (size_t j = 0; j < COUNT_OF(values); j++) {
			bool is_within = values[j] >= row->min && values[j] <= row->max;
			const char *text = option_format(row, values[j], buf);

			if (is_within)
				AT_ROW(i, number_of(row->name, text) == values[j]);
		}
		if (row->has_auto)
			AT_ROW(i,
				number_of(row->name,
					option_format(row, OPTION_AUTO, buf)) ==
					OPTION_AUTO);
	}
}

TEST(every_default_is_written_as_the_help_shows_it)
{
	struct config config;

	set_defaults(&config);
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows()[i];
		char buf[64];

		if (row->type != TYPE_TEXT)
			AT_ROW(i,
				strcmp(option_format(
					       row, *option_number(&config, row), buf),
					row->fallback) == 0);
	}
	config_done(&config);
}

TEST(a_dashed_name_has_dashes_and_fits)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		char name[OPTION_DASHED_BYTES];

		option_dashed(&option_rows()[i], name);
		AT_ROW(i, strlen(name) == strlen(option_rows()[i].name));
		AT_ROW(i, strchr(name, '_') == NULL);
	}
}

TEST(a_reload_takes_over_what_can_change_and_names_the_rest)
{
	static const char *const changed[][2] = {{"sync_interval", "200"},
		{"max_pending_users", "77"}, {"emergency_flush_size", "66"},
		{"max_retries", "9"}, {"retry_delay", "5s"}, {"log_level", "debug"},
		{"stop_timeout", "1s"}};
	struct config config, fresh;
	struct errmsg restart = {"left from before"};

	set_defaults(&config);
	set_defaults(&fresh);
	config_reload(&config, &fresh, &restart);
	assert_string_equal(restart.text, "");
	for (size_t i = 0; i < COUNT_OF(changed); i++)
		set(&fresh, changed[i][0], changed[i][1]);
	config_reload(&config, &fresh, &restart);
	assert_string_equal(restart.text, "");
	assert_int_equal(config.sync_interval, 200);
	assert_int_equal(config.max_pending_users, 77);
	assert_int_equal(config.emergency_flush_size, 66);
	assert_int_equal(config.max_retries, 9);
	assert_int_equal(config.retry_delay, 5000);
	assert_int_equal(config.log_level, LOG_DEBUG);
	assert_int_equal(config.stop_timeout, 1000);
	set(&fresh, "max_users", "7");
	set(&fresh, "listen", "127.0.0.1:3001");
	set(&fresh, "redis_url", "redis://:hunter2@127.0.0.1");
	set(&fresh, "max_retries", "8");
	config_reload(&config, &fresh, &restart);
	assert_string_equal(restart.text, "listen,redis_url,max_users");
	assert_int_equal(config.max_retries, 8);
	assert_int_equal(config.max_users, 5000000);
	assert_string_equal(config.listen, "127.0.0.1:3000");
	assert_string_equal(config.redis_url, "redis://127.0.0.1:6379/0");
	config_done(&config);
	config_done(&fresh);
}

TEST(a_reload_takes_over_texts_and_what_files_say)
{
	struct config config, fresh;
	struct errmsg restart;

	set_defaults(&config);
	set_defaults(&fresh);
	set(&fresh, "hostnames", "tally.example.com");
	set(&fresh, "api_token", "0123456789abcdef");
	set(&fresh, "admin_socket", "/run/other.sock");
	fresh.resolved.api_token = strdup("0123456789abcdef");
	config.resolved.read_token = strdup("what was there before");
	config_reload(&config, &fresh, &restart);
	assert_string_equal(restart.text, "admin_socket");
	assert_string_equal(config.hostnames, "tally.example.com");
	assert_string_equal(config.api_token, "0123456789abcdef");
	assert_string_equal(config.resolved.api_token, "0123456789abcdef");
	assert_null(config.resolved.read_token);
	config_done(&config);
	config_done(&fresh);
}

/* A value other than the one it has. */
static void change(struct config *config, const struct option_row *row)
{
	if (row->type == TYPE_TEXT)
		set(config, row->name,
			row->check == NULL                     ? "/other"
				: row->secret == SECRET_IN_URL ? "none"
				: row->secret == SECRET_WHOLE
				? "another-token-that-is-long-enough"
				: strcmp(row->name, "listen") == 0 ? "unix:/other"
								   : "/other");
	else
		*option_number(config, row) += 1;
}

TEST(a_reload_that_changes_everything_names_all_that_needs_a_restart)
{
	struct config config, fresh;
	struct errmsg restart;
	size_t n_named = 1, n_fixed = 0;

	set_defaults(&config);
	set_defaults(&fresh);
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		change(&fresh, &option_rows()[i]);
		n_fixed += !option_rows()[i].can_reload;
	}
	config_reload(&config, &fresh, &restart);
	for (const char *at = restart.text; *at != '\0'; at++)
		n_named += *at == ',';
	assert_int_equal(n_named, n_fixed);
	assert_non_null(strstr(restart.text, "allow_anonymous"));
	config_done(&config);
	config_done(&fresh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			every_row_has_a_place_of_its_own_and_lies_within_the_config),
		cmocka_unit_test(every_field_of_the_config_has_its_row),
		cmocka_unit_test(the_defaults_are_those_of_the_design),
		cmocka_unit_test(the_originals_environment_names_belong_to_their_options),
		cmocka_unit_test(an_option_is_found_by_its_whole_name_only),
		cmocka_unit_test(a_near_miss_is_guessed_and_a_stranger_is_not),
		cmocka_unit_test(a_name_of_any_length_may_be_asked_for),
		cmocka_unit_test(a_time_is_milliseconds_or_has_a_unit),
		cmocka_unit_test(a_size_is_bytes_or_has_a_binary_unit),
		cmocka_unit_test(a_count_has_no_unit),
		cmocka_unit_test(a_number_that_fits_nowhere_is_refused_and_never_wraps),
		cmocka_unit_test(
			the_bounds_themselves_are_taken_and_what_is_beyond_is_not),
		cmocka_unit_test(
			the_sentence_about_a_bound_names_the_value_and_both_ends),
		cmocka_unit_test(auto_is_a_word_only_of_those_that_have_it),
		cmocka_unit_test(a_word_is_one_of_its_words_exactly),
		cmocka_unit_test(a_text_has_its_length),
		cmocka_unit_test(a_text_is_clean),
		cmocka_unit_test(a_text_that_is_refused_leaves_the_one_before),
		cmocka_unit_test(
			short_memory_refuses_a_text_with_a_reason_and_keeps_the_one_before),
		cmocka_unit_test(a_number_is_written_as_it_reads_best),
		cmocka_unit_test(what_is_written_reads_back_as_the_same_number),
		cmocka_unit_test(every_default_is_written_as_the_help_shows_it),
		cmocka_unit_test(a_dashed_name_has_dashes_and_fits),
		cmocka_unit_test(a_reload_takes_over_what_can_change_and_names_the_rest),
		cmocka_unit_test(a_reload_takes_over_texts_and_what_files_say),
		cmocka_unit_test(
			a_reload_that_changes_everything_names_all_that_needs_a_restart),
	};

	return RUN_TESTS(tests);
}
