/* err, crc32c, buf, text, clock, log. */
#include "lib/test.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/redis_error.h"
#include "base/text.h"
#include "lib/faults.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* err */

TEST(every_error_has_its_own_text_and_both_statuses)
{
	for (int code = ERR_NOMEM; code >= ERR_LAST; code--) {
		int http = err_http_status(code), exit_code = err_exit_code(code);

		assert_string_not_equal(err_text(code), "unknown error");
		for (int other = ERR_NOMEM; other > code; other--)
			assert_string_not_equal(err_text(code), err_text(other));
		assert_true((http >= 400 && http <= 431) || (http >= 500 && http <= 505));
		assert_true(strspn(err_word(code), "abcdefghijklmnopqrstuvwxyz_2") ==
				strlen(err_word(code)) &&
			strlen(err_word(code)) > 0);
		assert_true(exit_code == EXIT_USAGE || exit_code == EXIT_SOFTWARE ||
			exit_code == EXIT_STORAGE || exit_code == EXIT_HELD ||
			exit_code == EXIT_CONFIG);
		assert_int_not_equal(err_text(code)[strlen(err_text(code)) - 1], '.');
	}
}

TEST(codes_outside_the_list_are_unknown_and_zero_is_no_error)
{
	static const int codes[] = {1, 42, ERR_LAST - 1, -1000, INT32_MAX, -INT32_MAX};

	for (size_t i = 0; i < COUNT_OF(codes); i++) {
		assert_string_equal(err_text(codes[i]), "unknown error");
		assert_int_equal(err_http_status(codes[i]), 500);
		assert_int_equal(err_exit_code(codes[i]), EXIT_SOFTWARE);
	}
	assert_string_equal(err_text(0), "no error");
	assert_int_equal(err_exit_code(0), 0);
}

TEST(exit_codes_are_those_of_the_manual)
{
	static const struct {
		int code, exit_code;
	} rows[] = {
		{ERR_PARAM, 64},
		{ERR_NOMEM, 70},
		{ERR_JOURNAL_CORRUPT, 74},
		{ERR_JOURNAL_IO, 74},
		{ERR_STORE_BUSY, 74},
		{ERR_STORE_FULL, 74},
		{ERR_STORE_NEWER, 74},
		{ERR_STORE_FOREIGN, 74},
		{ERR_DATA_DIR, 74},
		{ERR_LOCKED, 75},
		{ERR_CONFIG, 78},
		{ERR_LISTEN, 78},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		AT_ROW(i, err_exit_code(rows[i].code) == rows[i].exit_code);
}

TEST(only_what_heals_is_answered_with_503)
{
	static const int refusals[] = {ERR_STOPPING, ERR_JOURNAL_WRITE, ERR_JOURNAL_FULL,
		ERR_DISK_LOW, ERR_NOMEM};

	for (size_t i = 0; i < COUNT_OF(refusals); i++)
		AT_ROW(i, err_http_status(refusals[i]) == 503);
	assert_int_equal(err_http_status(ERR_JSON), 400);
	assert_int_equal(err_http_status(ERR_NO_EVENTS), 400);
	assert_int_equal(err_http_status(ERR_TOO_LARGE), 413);
}

TEST(programs_are_told_by_a_word_and_a_status)
{
	static const struct {
		int code, status;
		const char *word;
	} rows[] = {
		{ERR_PARAM, 400, "bad_request"},
		{ERR_JSON, 400, "bad_request"},
		{ERR_UNAUTHORIZED, 401, "unauthorized"},
		{ERR_NO_CREDENTIAL, 401, "no_credential"},
		{ERR_FORBIDDEN, 403, "forbidden"},
		{ERR_NOT_FOUND, 404, "not_found"},
		{ERR_METHOD, 405, "method_not_allowed"},
		{ERR_CONFLICT, 409, "conflict"},
		{ERR_TOO_LARGE, 413, "too_large"},
		{ERR_KEY_REUSED, 422, "key_reused"},
		{ERR_STOPPING, 503, "unavailable"},
		{ERR_NODE_DISABLED, 503, "node_disabled"},
		{ERR_JOURNAL_NEWER, 500, "internal"},
		{-1000, 500, "internal"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		AT_ROW(i, err_http_status(rows[i].code) == rows[i].status);
		AT_ROW(i, strcmp(err_word(rows[i].code), rows[i].word) == 0);
	}
}

TEST(err_set_returns_its_code_and_cuts_what_is_too_long)
{
	struct errmsg msg;
	char text[2 * sizeof(msg.text)];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(err_set(&msg, ERR_CONFIG, "%s %d", "a", 7), ERR_CONFIG);
	assert_string_equal(msg.text, "a 7");
	assert_int_equal(err_set(&msg, 0, "%s", text), 0);
	assert_int_equal(strlen(msg.text), sizeof(msg.text) - 1);
	assert_int_equal(err_set(NULL, ERR_LISTEN, "%s", text), ERR_LISTEN);
}

/* crc32c */

TEST(crc32c_gives_the_vectors_of_rfc_3720)
{
	uint8_t bytes[32];
	static const uint8_t read_command[48] = {[0] = 0x01,
		[1] = 0xc0,
		[16] = 0x14,
		[22] = 0x04,
		[27] = 0x14,
		[31] = 0x18,
		[32] = 0x28,
		[40] = 0x02};

	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, "", 0), 0);
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
	for (size_t i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
	for (size_t i = 0; i < 32; i++)
		bytes[i] = (uint8_t)(31 - i);
	assert_int_equal(crc32c(0, bytes, 32), 0x113fdb5c);
	assert_int_equal(crc32c(0, read_command, 48), 0xd9963a56);
}

/* The definition, bit by bit. */
static uint32_t slow_crc32c(uint32_t crc, const uint8_t *at, size_t len)
{
	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc ^= at[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

TEST(crc32c_chains_and_equals_its_definition_at_every_length_and_alignment)
{
	uint8_t bytes[80];

	srand(1);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)rand();
	for (size_t start = 0; start < 8; start++) {
		for (size_t len = 0; start + len <= sizeof(bytes); len++) {
			const uint8_t *at = bytes + start;
			uint32_t whole = crc32c(0, at, len);

			assert_int_equal(whole, slow_crc32c(0, at, len));
			for (size_t cut = 0; cut <= len; cut += 5)
				assert_int_equal(
					crc32c(crc32c(0, at, cut), at + cut, len - cut),
					whole);
		}
	}
}

/* buf */

TEST(integers_are_little_endian)
{
	struct buf buf = {0};
	static const uint8_t expected[] = {0xab, 0x04, 0x03, 0x02, 0x01, 0x08, 0x07, 0x06,
		0x05, 0x04, 0x03, 0x02, 0x01};

	buf_put_u8(&buf, 0xab);
	buf_put_u32(&buf, 0x01020304);
	buf_put_u64(&buf, UINT64_C(0x0102030405060708));
	assert_true(buf_ok(&buf));
	assert_int_equal(buf.len, sizeof(expected));
	assert_memory_equal(buf.data, expected, sizeof(expected));
	buf_set_u32(&buf, 1, 0xdeadbeef);
	assert_memory_equal(buf.data + 1, "\xef\xbe\xad\xde", 4);
	assert_int_equal(buf.data[5], 0x08);
	buf_done(&buf);
	assert_null(buf.data);
}

TEST(varints_keep_every_edge_and_take_as_many_bytes_as_they_need)
{
	static const struct {
		uint64_t value;
		size_t len;
	} rows[] = {{0, 1}, {1, 1}, {127, 1}, {128, 2}, {16383, 2}, {16384, 3},
		{UINT32_MAX, 5}, {(UINT64_C(1) << 53), 8}, {INT64_MAX, 9},
		{UINT64_C(1) << 63, 10}, {UINT64_MAX, 10}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf buf = {0};
		struct reader r;

		buf_put_varint(&buf, rows[i].value);
		AT_ROW(i, buf.len == rows[i].len);
		r = (struct reader){buf.data, buf.data + buf.len, true};
		AT_ROW(i, reader_varint(&r) == rows[i].value);
		AT_ROW(i, r.ok && r.at == r.end);
		for (size_t len = 0; len < buf.len; len++) {
			r = (struct reader){buf.data, buf.data + len, true};
			AT_ROW(i, reader_varint(&r) == 0 && !r.ok);
		}
		buf_done(&buf);
	}
}

TEST(a_varint_that_never_ends_is_refused)
{
	uint8_t bytes[12];
	struct reader r = {bytes, bytes + sizeof(bytes), true};

	memset(bytes, 0x80, sizeof(bytes));
	assert_int_equal(reader_varint(&r), 0);
	assert_false(r.ok);
}

TEST(a_buffer_grows_over_any_size_and_keeps_what_was_written)
{
	struct buf buf = {0};
	char block[1000];

	memset(block, 'a', sizeof(block));
	for (size_t i = 0; i < 3000; i++) {
		block[0] = (char)i;
		buf_put(&buf, block, i % sizeof(block));
	}
	assert_true(buf_ok(&buf));
	for (size_t i = 0, at = 0; i < 3000; at += i % sizeof(block), i++)
		if (i % sizeof(block) > 0)
			assert_int_equal(buf.data[at], (uint8_t)i);
	buf_reset(&buf, buf.cap);
	assert_int_equal(buf.len, 0);
	assert_non_null(buf.data);
	buf_reset(&buf, buf.cap - 1);
	assert_null(buf.data);
	assert_int_equal(buf.cap, 0);
	buf_done(&buf);
}

TEST(a_failed_allocation_is_remembered_until_reset_and_loses_nothing_before_it)
{
	struct buf buf = {0};

	buf_put_str(&buf, "kept");
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	for (unsigned i = 0; i < 1000; i++)
		buf_put_u64(&buf, i);
	assert_true(faults_fired(FAULT_MEMORY));
	faults_reset();
	assert_false(buf_ok(&buf));
	buf_put_u8(&buf, 1);
	buf_set_u32(&buf, 0, 1);
	assert_false(buf_ok(&buf));
	assert_memory_equal(buf.data, "\004kept", 6);
	buf_reset(&buf, 4096);
	assert_true(buf_ok(&buf));
	buf_put_u8(&buf, 7);
	assert_true(buf_ok(&buf));
	assert_int_equal(buf.data[0], 7);
	buf_done(&buf);
}

TEST(a_reader_never_leaves_its_bytes_and_stays_failed)
{
	static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8};

	for (size_t len = 0; len < 8; len++) {
		struct reader r = {bytes, bytes + len, true};

		assert_int_equal(reader_u64(&r), 0);
		assert_false(r.ok);
		assert_ptr_equal(r.at, bytes);
		assert_int_equal(reader_u8(&r), 0);
		assert_null(reader_bytes(&r, 0));
		assert_string_equal(reader_str(&r), "");
		r = (struct reader){bytes, bytes + len, true};
		assert_int_equal(reader_u32(&r), len < 4 ? 0 : 0x04030201);
		assert_int_equal(r.ok, len >= 4);
	}
}

TEST(a_string_is_taken_only_if_its_length_and_nul_agree)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *text; /* NULL: refused */
	} rows[] = {
		{"\003abc", 5, "abc"},
		{"\000", 2, ""},
		{"\003abc", 4, NULL},
		{"\003abcd", 6, NULL},
		{"\003a\0c", 5, NULL},
		{"\004abc", 5, NULL},
		{"\000", 1, NULL},
		{"", 0, NULL},
		{"\377\377\377\377\377\377\377\377\377\001x", 12, NULL},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const uint8_t *bytes = (const uint8_t *)rows[i].bytes;
		struct reader r = {bytes, bytes + rows[i].len, true};
		const char *text = reader_str(&r);

		AT_ROW(i, r.ok == (rows[i].text != NULL));
		AT_ROW(i, strcmp(text, rows[i].text != NULL ? rows[i].text : "") == 0);
	}
}

/* text */

TEST(text_is_clean_only_if_it_is_utf8_without_controls)
{
	static const struct {
		const char *text;
		bool is_clean;
	} rows[] = {
		{"", true},
		{"user1", true},
		{" ~", true},
		{"\x1f", false},
		{"\x7f", false},
		{"a\tb", false},
		{"a\nb", false},
		{"\xc2\x80", false}, /* U+0080 */
		{"\xc2\x85", false}, /* NEL */
		{"\xc2\x9f", false},
		{"\xc2\xa0", true},
		{"\xd7\xa9", true},
		{"\xdf\xbf", true},
		{"\xe0\xa0\x80", true}, /* U+0800 */
		{"\xe2\x82\xac", true},
		{"\xed\x9f\xbf", true}, /* U+D7FF */
		{"\xee\x80\x80", true}, /* U+E000 */
		{"\xef\xbf\xbf", true},
		{"\xf0\x90\x80\x80", true}, /* U+10000 */
		{"\xf0\x9f\x98\x80", true},
		{"\xf4\x8f\xbf\xbf", true},  /* U+10FFFF */
		{"\xf4\x90\x80\x80", false}, /* U+110000 */
		{"\xf5\x80\x80\x80", false},
		{"\xf8\x88\x80\x80\x80", false},
		{"\xff", false},
		{"\xfe", false},
		{"\x80", false},
		{"\xbf", false},
		{"\xc0\x80", false}, /* overlong NUL */
		{"\xc0\xaf", false},
		{"\xc1\xbf", false},
		{"\xe0\x80\xaf", false},
		{"\xe0\x9f\xbf", false},
		{"\xf0\x80\x80\xaf", false},
		{"\xf0\x8f\xbf\xbf", false},
		{"\xed\xa0\x80", false}, /* U+D800 */
		{"\xed\xbf\xbf", false}, /* U+DFFF */
		{"\xc3", false},
		{"\xe2\x82", false},
		{"\xf0\x9f\x98", false},
		{"\xc3(", false},
		{"\xe2(\xa1", false},
		{"\xe2\x82(", false},
		{"\xf0\x9f(\x80", false},
		{"\xf0\x9f\x98(", false},
		{"ok\xe2\x82\xac\xc3", false},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		AT_ROW(i,
			text_is_clean(rows[i].text, strlen(rows[i].text)) ==
				rows[i].is_clean);
	assert_false(text_is_clean("a\0b", 3));
	assert_true(text_is_clean("\xe2\x82\xac", 0));
	assert_false(text_is_clean("\xe2\x82\xac", 2));
}

TEST(every_control_character_and_no_other_ascii_is_refused)
{
	for (int c = 0; c < 0x80; c++) {
		char text[1] = {(char)c};

		assert_int_equal(text_is_clean(text, 1), c >= 0x20 && c != 0x7f);
	}
}

TEST(a_name_has_at_most_255_bytes)
{
	char text[400];

	memset(text, 'n', sizeof(text));
	text[255] = '\0';
	assert_true(text_is_name(text));
	text[255] = 'n';
	text[256] = '\0';
	assert_false(text_is_name(text));
	text[256] = 'n';
	text[399] = '\0';
	assert_false(text_is_name(text));
	assert_true(text_is_name(""));
	assert_false(text_is_name("a\nb"));
	memset(text, 'n', 254);
	memcpy(text + 254, "\xc3\xa9", 3); /* 256 bytes, 255 characters */
	assert_false(text_is_name(text));
}

/* clock */

TEST(the_clock_can_be_frozen_and_runs_again)
{
	uint64_t before;

	clock_freeze_for_test(123456);
	assert_int_equal(clock_ms(), 123456);
	assert_int_equal(clock_us(), 123456000);
	assert_int_equal(clock_wall_ms(), 123456);
	clock_freeze_for_test(0);
	assert_true(clock_wall_ms() > UINT64_C(1700000000000));
	before = clock_us();
	assert_true(clock_us() >= before);
	assert_true(clock_us() - before < 60000000);
}

/* log */

TEST(quoting_escapes_what_would_break_a_line)
{
	static const struct {
		const char *text, *quoted;
	} rows[] = {
		{"", "\"\""},
		{"plain text", "\"plain text\""},
		{"a\"b\\c", "\"a\\\"b\\\\c\""},
		{"line\nline\r\ttab", "\"line\\x0aline\\x0d\\x09tab\""},
		{"\x01\x7f\x1b[0m", "\"\\x01\\x7f\\x1b[0m\""},
		{"\xe2\x82\xac", "\"\xe2\x82\xac\""},
		{"\xff\xe2\x82", "\"\\xff\\xe2\\x82\""},
		{"\xc2\x9b!", "\"\\xc2\\x9b!\""},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		AT_ROW(i, strcmp(LOG_QUOTE(rows[i].text), rows[i].quoted) == 0);
}

TEST(quoting_cuts_long_text_visibly_and_never_overflows)
{
	static const char fill[] = {'a', '\n', '"', '\\', '\x7f', '\xc3'};
	struct {
		char text[LOG_QUOTED_BYTES];
		char guard[16];
	} out;
	char text[1000];

	for (size_t f = 0; f < sizeof(fill); f++) {
		for (size_t len = 0; len < 400; len++) {
			size_t n;

			memset(text, fill[f], len);
			text[len] = '\0';
			memset(&out, '#', sizeof(out));
			assert_ptr_equal(log_quote(out.text, text), out.text);
			n = strnlen(out.text, sizeof(out.text));
			assert_true(n < sizeof(out.text));
			assert_int_equal(out.text[0], '"');
			assert_int_equal(out.text[n - 1], '"');
			assert_int_equal(out.guard[0], '#');
			if (len > LOG_QUOTED_BYTES)
				assert_memory_equal(out.text + n - 4, "...\"", 5);
		}
	}
}

TEST(a_log_limit_lets_five_lines_through_in_ten_seconds_and_counts_the_rest)
{
	struct log_limit limit = {0};
	unsigned suppressed = 99;

	clock_freeze_for_test(50000);
	for (int i = 0; i < 5; i++) {
		assert_true(log_limit_allows(&limit, &suppressed));
		assert_int_equal(suppressed, 0);
	}
	for (int i = 0; i < 7; i++)
		assert_false(log_limit_allows(&limit, &suppressed));
	clock_freeze_for_test(59999);
	assert_false(log_limit_allows(&limit, &suppressed));
	clock_freeze_for_test(60000);
	assert_true(log_limit_allows(&limit, &suppressed));
	assert_int_equal(suppressed, 8);
	assert_true(log_limit_allows(&limit, &suppressed));
	assert_int_equal(suppressed, 0);
	clock_freeze_for_test(0);
}

/* What log_line() writes to stderr, read back through a pipe. */
static void log_to(char *text, size_t size, enum log_level level, const char *value)
{
	int ends[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	log_line(level, "something happened", "value=%s", value);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(saved);
	(void)close(ends[1]);
	n = read(ends[0], text, size - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	(void)close(ends[0]);
}

TEST(a_log_line_has_time_level_and_event_and_ends_even_when_it_is_cut)
{
	char text[4096], value[5000];

	clock_freeze_for_test(UINT64_C(1700000000123));
	log_to(text, sizeof(text), LOG_WARN, "1");
	assert_string_equal(
		text, "2023-11-14T22:13:20.123Z warn  something happened: value=1\n");
	log_to(text, sizeof(text), LOG_DEBUG, "1");
	assert_string_equal(text, "");
	log_set_level(LOG_DEBUG);
	log_to(text, sizeof(text), LOG_DEBUG, "1");
	assert_non_null(strstr(text, " debug something"));
	log_set_level(LOG_ERROR);
	log_to(text, sizeof(text), LOG_WARN, "1");
	assert_string_equal(text, "");
	log_set_level(LOG_INFO);
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	log_to(text, sizeof(text), LOG_INFO, value);
	assert_true(strlen(text) > 1000);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	clock_freeze_for_test(0);
}

TEST(under_systemd_a_line_begins_with_its_priority)
{
	char text[256], stream[64];
	int ends[2], saved = dup(STDERR_FILENO);
	struct stat st;
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	(void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	log_init();
	log_error("it broke", "%s", "");
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	log_init(); /* now it is not the stream that the variable names */
	n = read(ends[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	assert_memory_equal(text, "<3>error it broke", 17);
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
	(void)close(ends[0]);
	(void)close(ends[1]);
	(void)close(saved);
}

TEST(percent_signs_are_decoded_and_what_is_no_triple_stays)
{
	static const struct {
		const char *text, *expected;
	} rows[] = {
		{"", ""},
		{"plain", "plain"},
		{"a%20b", "a b"},
		{"%2F%2f%C3%a9", "//\xc3\xa9"},
		{"%", "%"},
		{"%4", "%4"},
		{"%4g%zz", "%4g%zz"},
		{"%00x%0", "%00x%0"},
		{"%2541", "%41"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char text[32];

		(void)strcpy(text, rows[i].text);
		AT_ROW(i, text_unescape(text) == strlen(rows[i].expected));
		AT_ROW(i, strcmp(text, rows[i].expected) == 0);
	}
}

/* uthash's own function knows no key: whoever reads it can choose names like these. */
TEST(names_that_were_chosen_to_collide_do_not)
{
	enum { N_NAMES = 64, MASK = 0x3fff };
	unsigned seen[MASK + 1] = {0};
	unsigned n = 0;

	for (unsigned i = 0; n < N_NAMES; i++) {
		char name[16];
		unsigned hash;
		size_t len = (size_t)snprintf(name, sizeof(name), "u%u", i);

		HASH_JEN(name, len, hash);
		if ((hash & MASK) != 7)
			continue;
		n++;
		seen[hash_bytes(name, len) & MASK]++;
	}
	for (size_t i = 0; i <= MASK; i++)
		assert_true(seen[i] < 8);
	assert_int_equal(hash_bytes("same", 4), hash_bytes("same", 4));
}

TEST(what_is_made_clean_keeps_each_clean_character)
{
	static const struct {
		const char *text, *clean;
	} rows[] = {{"", ""}, {"plain", "plain"}, {"\xe2\x82\xac\xff", "\xe2\x82\xac?"},
		{"a\x01\x7f\n", "a???"}, {"\xc2\x9b", "??"}, {"\xe2\x82", "??"},
		{"\xed\xa0\x80z", "???z"}};
	char text[32];

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		(void)strcpy(text, rows[i].text);
		text_make_clean(text, strlen(text));
		AT_ROW(i, strcmp(text, rows[i].clean) == 0);
		text_copy_clean(text, sizeof(text), rows[i].text, strlen(rows[i].text));
		AT_ROW(i, strcmp(text, rows[i].clean) == 0);
	}
	text_copy_clean(text, sizeof(text), "a\0b", 3);
	assert_string_equal(text, "a?b");
	text_copy_clean(text, 4, "ab\xe2\x82\xac", 5);
	assert_string_equal(text, "ab");
	text_copy_clean(text, 1, "ab", 2);
	assert_string_equal(text, "");
}

TEST(any_text_can_stand_in_a_json_string)
{
	static const struct {
		const char *text, *expected;
	} rows[] = {
		{"", ""},
		{"plain", "plain"},
		{"a \"b\" \\c", "a \\\"b\\\" \\\\c"},
		{"a\nb\x01\x7f", "a\\u000ab\\u0001\\u007f"},
		{"h\xc3\xbc \xf0\x9f\x98\x80", "h\xc3\xbc \xf0\x9f\x98\x80"},
		{"\xc2\x85", "\\u0085"},
		{"\xff\xc3", "??"},
		{"a\xc3(", "a?("},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char buf[64];

		AT_ROW(i,
			text_to_json(buf, sizeof(buf), rows[i].text) ==
				strlen(rows[i].expected));
		AT_ROW(i, strcmp(buf, rows[i].expected) == 0);
	}
}

static cJSON *build_answer(void)
{
	cJSON *root = cJSON_CreateObject(), *list;

	(void)cJSON_AddStringToObject(root, "name", "hk1");
	(void)cJSON_AddBoolToObject(root, "open", false);
	(void)json_add_u64(root, "bytes", UINT64_MAX);
	json_add_decimal(root, "ms", 1.5);
	list = cJSON_AddArrayToObject(root, "warnings");
	json_add_to_array(list, cJSON_CreateString("one"));
	(void)cJSON_AddNullToObject(cJSON_AddObjectToObject(root, "last"), "error");
	return root;
}

/* Whoever builds an answer looks at no step: printing it does. */
TEST(json_that_memory_was_too_short_for_is_not_printed_and_never_lacks_a_member)
{
	static const char whole[] = "{\"name\":\"hk1\",\"open\":false,"
				    "\"bytes\":18446744073709551615,\"ms\":1.5,"
				    "\"warnings\":[\"one\"],\"last\":{\"error\":null}}";
	bool has_fired = true;
	unsigned n = 0;

	json_init();
	while (has_fired) {
		cJSON *json;
		char *text;

		faults_fail_nth(FAULT_MEMORY, ++n, ENOMEM);
		json = build_answer();
		text = json_print(json);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		AT_ROW(n, (text == NULL) == has_fired);
		if (text != NULL)
			assert_string_equal(text, whole);
		assert_false(json_was_short());
		free(text);
		cJSON_Delete(json);
	}
	assert_true(n > 20);
	cJSON_InitHooks(NULL);
}

/* Behind each allocation that fails, another text is read. */
TEST(short_memory_is_told_from_bad_json)
{
	static const char good[] = "{\"a\":[1,\"\\u0000\",null]}";
	bool has_fired = true;
	unsigned n = 0;

	json_init();
	while (has_fired) {
		cJSON *json = NULL;
		int code;

		faults_fail_nth(FAULT_MEMORY, ++n, ENOMEM);
		code = json_parse(good, strlen(good), &json);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		AT_ROW(n, code == (has_fired ? ERR_NOMEM : 0));
		AT_ROW(n, (json == NULL) == has_fired);
		cJSON_Delete(json);
		AT_ROW(n, json_parse("{\"a\":}", 6, &json) == ERR_JSON);
	}
	assert_true(n > 5);
	cJSON_InitHooks(NULL);
}

/* `head`, then as many of `item` as make it 1 MB, then "]}". */
static char *make_document(const char *head, const char *item)
{
	size_t len = strlen(head), step = strlen(item), n = ((1 << 20) - len) / step;
	char *text = malloc(len + n * step + 3), *at = text + len;

	assert_non_null(text);
	memcpy(text, head, len);
	for (; n > 0; n--, at += step)
		memcpy(at, item, step);
	(void)strcpy(at - 1, "]}"); /* over the last comma */
	return text;
}

TEST(a_body_of_tiny_values_takes_no_memory_that_a_report_of_its_length_does_not)
{
	static const struct {
		const char *item;
		int code;
	} rows[] = {{"1,", ERR_JSON_DENSE}, {"[],", ERR_JSON_DENSE},
		{"{\"\":1},", ERR_JSON_DENSE}, {"\"\",", ERR_JSON_DENSE},
		/* The shortest event that anybody sends, and one of GOST. */
		{"{\"client\":\"u\",\"type\":\"stats\",\"stats\":{\"inputBytes\":1}},",
			0},
		{"{\"kind\":\"handler\",\"service\":\"s\",\"client\":\"u\",\"type\":"
		 "\"stats\",\"stats\":{\"totalConns\":1,\"currentConns\":0,"
		 "\"inputBytes\":7,\"outputBytes\":5,\"totalErrs\":0}},",
			0}};

	json_init();
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char *text = make_document("{\"events\":[", rows[i].item);
		cJSON *json = NULL;

		AT_ROW(i, json_parse(text, strlen(text), &json) == rows[i].code);
		AT_ROW(i, (json != NULL) == (rows[i].code == 0));
		cJSON_Delete(json);
		/* What is small may be anything. */
		AT_ROW(i, json_parse("[1,1,1,1]", 9, &json) == 0);
		AT_ROW(i, !json_was_short());
		cJSON_Delete(json);
		free(text);
	}
	cJSON_InitHooks(NULL);
}

TEST(what_does_not_fit_a_json_string_is_left_out_whole)
{
	char buf[8];

	assert_int_equal(text_to_json(buf, 1, "abc"), 0);
	assert_string_equal(buf, "");
	assert_int_equal(text_to_json(buf, 4, "abcd"), 3);
	assert_int_equal(text_to_json(buf, 4, "ab\xc3\xbc"), 2);
	assert_int_equal(text_to_json(buf, 8, "ab\n"), 2);
	assert_string_equal(buf, "ab");
}

TEST(errors_of_redis_about_a_password_are_told_from_all_others)
{
	static const struct {
		const char *error;
		enum redis_error kind;
	} rows[] = {
		{"NOAUTH Authentication required.", REDIS_ERROR_PASSWORD_WANTED},
		{"WRONGPASS invalid username-password pair or user is disabled.",
			REDIS_ERROR_PASSWORD_WANTED},
		{"ERR invalid password", REDIS_ERROR_PASSWORD_WANTED},
		{"ERR AUTH <password> called without any password configured for the "
		 "default user. Are you sure your configuration is correct?",
			REDIS_ERROR_PASSWORD_UNKNOWN},
		{"ERR Client sent AUTH, but no password is set",
			REDIS_ERROR_PASSWORD_UNKNOWN},
		{"ERR DB index is out of range", REDIS_ERROR_DATABASE},
		{"ERR invalid DB index", REDIS_ERROR_DATABASE},
		{"ERR SELECT is not allowed in cluster mode", REDIS_ERROR_DATABASE},
		{"ERR unknown command `AUTH`", REDIS_ERROR_OTHER},
		{"Connection refused", REDIS_ERROR_OTHER},
		{"NOPERM no permission: NOAUTH", REDIS_ERROR_OTHER},
		{"", REDIS_ERROR_OTHER},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		AT_ROW(i, redis_error_kind(rows[i].error) == rows[i].kind);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_error_has_its_own_text_and_both_statuses),
		cmocka_unit_test(codes_outside_the_list_are_unknown_and_zero_is_no_error),
		cmocka_unit_test(exit_codes_are_those_of_the_manual),
		cmocka_unit_test(only_what_heals_is_answered_with_503),
		cmocka_unit_test(programs_are_told_by_a_word_and_a_status),
		cmocka_unit_test(err_set_returns_its_code_and_cuts_what_is_too_long),
		cmocka_unit_test(crc32c_gives_the_vectors_of_rfc_3720),
		cmocka_unit_test(
			crc32c_chains_and_equals_its_definition_at_every_length_and_alignment),
		cmocka_unit_test(integers_are_little_endian),
		cmocka_unit_test(
			varints_keep_every_edge_and_take_as_many_bytes_as_they_need),
		cmocka_unit_test(a_varint_that_never_ends_is_refused),
		cmocka_unit_test(a_buffer_grows_over_any_size_and_keeps_what_was_written),
		cmocka_unit_test(
			a_failed_allocation_is_remembered_until_reset_and_loses_nothing_before_it),
		cmocka_unit_test(a_reader_never_leaves_its_bytes_and_stays_failed),
		cmocka_unit_test(a_string_is_taken_only_if_its_length_and_nul_agree),
		cmocka_unit_test(text_is_clean_only_if_it_is_utf8_without_controls),
		cmocka_unit_test(every_control_character_and_no_other_ascii_is_refused),
		cmocka_unit_test(a_name_has_at_most_255_bytes),
		cmocka_unit_test(the_clock_can_be_frozen_and_runs_again),
		cmocka_unit_test(quoting_escapes_what_would_break_a_line),
		cmocka_unit_test(quoting_cuts_long_text_visibly_and_never_overflows),
		cmocka_unit_test(
			a_log_limit_lets_five_lines_through_in_ten_seconds_and_counts_the_rest),
		cmocka_unit_test(
			a_log_line_has_time_level_and_event_and_ends_even_when_it_is_cut),
		cmocka_unit_test(under_systemd_a_line_begins_with_its_priority),
		cmocka_unit_test(percent_signs_are_decoded_and_what_is_no_triple_stays),
		cmocka_unit_test(what_is_made_clean_keeps_each_clean_character),
		cmocka_unit_test(any_text_can_stand_in_a_json_string),
		cmocka_unit_test(
			json_that_memory_was_too_short_for_is_not_printed_and_never_lacks_a_member),
		cmocka_unit_test(short_memory_is_told_from_bad_json),
		cmocka_unit_test(
			a_body_of_tiny_values_takes_no_memory_that_a_report_of_its_length_does_not),
		cmocka_unit_test(what_does_not_fit_a_json_string_is_left_out_whole),
		cmocka_unit_test(
			errors_of_redis_about_a_password_are_told_from_all_others),
		cmocka_unit_test(names_that_were_chosen_to_collide_do_not),
	};

	return RUN_TESTS(tests);
}
