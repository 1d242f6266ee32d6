/*
 * Journals written in words: "1: H1/0 r1/0 t2" is file 1, a head (first sequence 1, 0
 * synced), record 1 (which knows that 0 is synced), and the first half of record 2.
 *
 *     H first/synced   head           r seq/synced   record
 *     B                damaged head   c seq/synced   record with a flipped bit
 *     s                half a head    t seq          half a record
 *     z                100 zero bytes g              100 bytes of garbage
 */
#include "lib/test.h"
#include "base/crc32c.h"
#include "journal/fold.h"
#include "journal/segment.h"
#include "lib/faults.h"
#include "lib/sample.h"
#include "lib/tempdir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void add_token(struct sample_segment *segment, const char *token)
{
	uint8_t filling[100];
	uint64_t a = 0, b = 0;

	(void)sscanf(token + 1, "%" SCNu64 "/%" SCNu64, &a, &b);
	memset(filling, token[0] == 'z' ? 0 : 0xa5, sizeof(filling));
	switch (token[0]) {
	case 'H':
		sample_begin(segment, a, b);
		break;
	case 'B':
		sample_begin(segment, 1, 0);
		segment->buf.data[9] ^= 1;
		break;
	case 's':
		sample_begin(segment, 1, 0);
		segment->buf.len = SEGMENT_HEAD_BYTES - 1;
		break;
	case 'r':
		sample_add(segment, a, b);
		break;
	case 'c':
		sample_add(segment, a, b);
		segment->buf.data[segment->buf.len - 4] ^= 0x10;
		break;
	case 't':
		sample_add(segment, a, b);
		segment->buf.len -= sample_record_size() / 2;
		break;
	case 'z':
	case 'g':
		sample_add_bytes(segment, filling, sizeof(filling));
		break;
	default:
		fail_msg("no such token: %s", token);
	}
}

static void write_file(const struct tempdir *dir, const char *words)
{
	struct sample_segment segment = {{0}};
	char copy[256], *rest = copy, *token;
	uint64_t number;

	(void)snprintf(copy, sizeof(copy), "%s", words);
	token = strsep(&rest, " ");
	number = strtoull(token, NULL, 10);
	while ((token = strsep(&rest, " ")) != NULL)
		if (*token != '\0')
			add_token(&segment, token);
	sample_write(&segment, dir, number);
}

/* The sequences that were given out, as "1 2 3". */
struct seen {
	char text[4096];
	size_t len;
	int code; /* what the callback returns */
};

static int on_record(void *arg, struct record *record)
{
	struct seen *seen = arg;

	assert_int_equal(record->bookings.n, 1);
	assert_int_equal(
		record->bookings.list[0].counters.input_bytes, record->origin.seq);
	assert_string_equal(record->node, "n");
	seen->len +=
		(size_t)snprintf(seen->text + seen->len, sizeof(seen->text) - seen->len,
			"%s%" PRIu64, seen->len > 0 ? " " : "", record->origin.seq);
	return seen->code;
}

#define CORRUPT ERR_JOURNAL_CORRUPT

struct scenario {
	const char *files[4];
	uint64_t after_seq;
	const char *seen;
	int code;
	bool is_cut;
	uint64_t n_lost;
};

static void check(const struct scenario *rows, size_t n, struct fold_options options)
{
	for (size_t i = 0; i < n; i++) {
		struct tempdir dir;
		struct seen seen = {.code = 0};
		struct fold_result result;
		struct errmsg msg = {""};
		const char *last;
		uint64_t last_number = 0;

		tempdir_make(&dir);
		for (size_t j = 0; j < COUNT_OF(rows[i].files) && rows[i].files[j]; j++) {
			write_file(&dir, rows[i].files[j]);
			last_number = strtoull(rows[i].files[j], NULL, 10);
		}
		options.after_seq = rows[i].after_seq;
		AT_ROW(i,
			journal_fold(dir.fd, &options, on_record, &seen, &result, &msg) ==
				rows[i].code);
		if (strcmp(seen.text, rows[i].seen) != 0)
			print_error("given out: %s\n", seen.text);
		AT_ROW(i, strcmp(seen.text, rows[i].seen) == 0);
		AT_ROW(i, result.is_cut == rows[i].is_cut);
		AT_ROW(i, result.n_lost == rows[i].n_lost);
		AT_ROW(i, result.last_number == last_number);
		AT_ROW(i, (msg.text[0] != '\0') == (rows[i].code != 0));
		AT_ROW(i,
			(result.remark.text[0] != '\0') ==
				(rows[i].code != 0 || rows[i].is_cut ||
					rows[i].n_lost > 0));
		last = strrchr(seen.text, ' ');
		AT_ROW(i,
			result.last_seq ==
				(seen.len == 0 ? rows[i].after_seq
					       : strtoull(last != NULL ? last : seen.text,
							 NULL, 10)));
		tempdir_remove(&dir);
	}
}

TEST(whole_records_above_the_checkpoint_are_given_out_in_order)
{
	static const struct scenario rows[] = {
		{{NULL}, 0, "", 0, false, 0},
		{{NULL}, 9, "", 0, false, 0},
		{{"1: H1/0"}, 0, "", 0, false, 0},
		{{"1: H1/0 r1/0 r2/0 r3/2"}, 0, "1 2 3", 0, false, 0},
		{{"1: H1/0 r1/0 r2/0 r3/2"}, 2, "3", 0, false, 0},
		{{"1: H1/0 r1/0 r2/0 r3/2"}, 3, "", 0, false, 0},
		{{"1: H1/0 r1/0 r2/0 r3/2"}, 7, "", 0, false, 0},
		{{"5: H8/7 r8/7 r9/7"}, 7, "8 9", 0, false, 0},
		{{"1: H1/0 r1/0 r2/0", "2: H3/2 r3/2", "3: H4/3 r4/3 r5/3"}, 0,
			"1 2 3 4 5", 0, false, 0},
		{{"1: H1/0 r1/0 r2/0", "2: H3/2", "3: H3/2 r3/2"}, 0, "1 2 3", 0, false,
			0},
		{{"1: H1/0 r1/0 r2/0", "2: H2/0 r2/0 r3/0"}, 0, "1 2 3", 0, false, 0},
	};

	check(rows, COUNT_OF(rows), (struct fold_options){0});
}

TEST(a_prepared_file_counts_only_with_its_number)
{
	static const struct scenario rows[] = {
		{{"7:"}, 0, "", 0, false, 0},
		{{"7: s"}, 0, "", 0, false, 0},
		{{"1: H1/0 r1/0", "2:"}, 0, "1", 0, false, 0},
		{{"1: H1/0 r1/0", "2: s"}, 0, "1", 0, false, 0},
		{{"1:", "2: H1/0 r1/0"}, 0, "1", 0, false, 0},
	};

	check(rows, COUNT_OF(rows), (struct fold_options){0});
}

TEST(a_torn_tail_is_cut_and_whole_records_are_kept)
{
	static const struct scenario rows[] = {
		{{"1: H1/0 t1"}, 0, "", 0, true, 0},
		{{"1: H1/0 z"}, 0, "", 0, true, 0},
		{{"1: H1/0 r1/0 t2"}, 0, "1", 0, true, 0},
		{{"1: H1/0 r1/0 c2"}, 0, "1", 0, true, 0},
		{{"1: H1/0 r1/0 g"}, 0, "1", 0, true, 0},
		{{"1: H1/0 r1/0 z"}, 0, "1", 0, true, 0},
		{{"1: H1/0 r1/0 r2/1 t3"}, 0, "1 2", 0, true, 0},
		{{"1: H1/0 r1/0 r2/1 t3"}, 2, "", 0, true, 0},
		{{"1: H1/0 r1/0 c2/0 r3/1"}, 0, "1", 0, true, 0}, /* page 2 came late */
		{{"1: H1/0 r1/0 z r3/1 r4/1"}, 0, "1", 0, true, 0},
		{{"1: H1/0 r1/0 t2", "2:"}, 0, "1", 0, true, 0},
	};

	check(rows, COUNT_OF(rows), (struct fold_options){0});
}

TEST(a_lost_tail_before_the_next_segment_is_a_crash_if_it_was_not_synced)
{
	static const struct scenario rows[] = {
		{{"1: H1/0 r1/0", "2: H3/0 r3/0"}, 0, "1", 0, true, 0},
		{{"1: H1/0 r1/0 t2", "2: H3/1 r3/1"}, 0, "1", 0, true, 0},
		{{"1: H1/0 r1/0 z", "2: H3/1 r3/1"}, 0, "1", 0, true, 0},
		{{"1: H1/0 r1/0 z", "2: H3/1"}, 0, "1", 0, true, 0},
		{{"1: H1/0 r1/0", "2: H3/1"}, 0, "1", 0, true, 0},
		{{"1: H1/0 r1/0", "2: B c2/0 r3/1"}, 0, "1", 0, true, 0},
		{{"1: H1/0", "2: H3/0 r3/0"}, 0, "", 0, true, 0},
		/* ... and corruption if it was. */
		{{"1: H1/0 r1/0", "2: H3/2 r3/2"}, 0, "1", CORRUPT, false, 0},
		{{"1: H1/0 r1/0 t2", "2: H3/2"}, 0, "1", CORRUPT, false, 0},
		{{"1: H1/0 r1/0 t2", "2: H3/1 r3/1 r4/2"}, 0, "1", CORRUPT, false, 0},
		{{"1: H1/0 r1/0 z", "2: H3/1 r3/1", "3: H4/3"}, 0, "1", CORRUPT, false,
			0},
	};

	check(rows, COUNT_OF(rows), (struct fold_options){0});
}

TEST(a_bad_record_at_or_below_the_highest_synced_one_is_refused)
{
	static const struct scenario rows[] = {
		{{"1: H1/0 c1/0 r2/1"}, 0, "", CORRUPT, false, 0},
		{{"1: H1/0 r1/0 c2/0 r3/2"}, 0, "1", CORRUPT, false, 0},
		{{"1: H1/0 r1/0 c2/0 r3/1 r4/2"}, 0, "1", CORRUPT, false, 0},
		{{"1: H1/0 r1/0 c2/0 c3/0 r4/3"}, 0, "1", CORRUPT, false, 0},
		{{"1: H1/0 r1/0 c2/0", "2: H3/2"}, 0, "1", CORRUPT, false, 0},
		{{"1: H1/0 r1/0", "2: B c2/0 r3/2"}, 0, "1", CORRUPT, false, 0},
		{{"1: H1/0 r1/0 r2/1 c3/2", "2: H4/3 r4/3"}, 1, "2", CORRUPT, false, 0},
	};

	check(rows, COUNT_OF(rows), (struct fold_options){0});
}

TEST(a_missing_segment_or_record_is_refused_even_if_nothing_was_synced)
{
	static const struct scenario rows[] = {
		{{"2: H3/0 r3/0"}, 0, "", CORRUPT, false, 0},
		{{"2: H3/0 r3/0"}, 1, "", CORRUPT, false, 0},
		{{"2: H3/0 r3/0"}, 2, "3", 0, false, 0},
		{{"2: H3/0"}, 0, "", CORRUPT, false, 0},
		{{"1: H1/0 r1/0", "3: H3/0 r3/0"}, 0, "1", CORRUPT, false, 0},
		{{"1: H1/0 r1/0 t2", "3: H3/0 r3/0"}, 0, "1", CORRUPT, false, 0},
		{{"1: H1/0 r1/0", "3: H3/0"}, 0, "1", CORRUPT, false, 0},
		{{"1: H1/0 r1/0", "3: H3/0 r3/0"}, 2, "3", 0, false, 0},
		{{"1: H1/0 r1/0 r3/0"}, 0, "1", CORRUPT, false, 0},
		{{"1: H1/0 r2/0"}, 0, "", CORRUPT, false, 0},
		{{"1: H1/0 r1/0 r3/0"}, 2, "3", 0, false, 0},
	};

	check(rows, COUNT_OF(rows), (struct fold_options){0});
}

TEST(what_is_in_sqlite_is_skipped_even_if_it_cannot_be_read)
{
	static const struct scenario rows[] = {
		{{"1: H1/0 r1/0 c2/1 r3/2 r4/3"}, 2, "3 4", 0, false, 0},
		{{"1: H1/0 r1/0 c2/1 r3/2 r4/3"}, 3, "4", 0, false, 0},
		{{"1: H1/0 g r3/2 r4/3"}, 3, "4", 0, false, 0},
		{{"1: H1/0 c1/0 c2/0 c3/0", "2: H4/3 r4/3"}, 3, "4", 0, false, 0},
		{{"1: B r1/0 c2/0", "2: B r3/0 r4/3"}, 3, "4", 0, false, 0},
		{{"1: B r1/0"}, 0, "1", 0, false, 0},
		{{"1: g", "2: H4/3 r4/3"}, 3, "4", 0, false, 0},
		{{"1: H1/0 r1/0 z", "2: H2/1 r2/1"}, 0, "1 2", 0, false, 0},
	};

	check(rows, COUNT_OF(rows), (struct fold_options){0});
}

TEST(salvage_goes_on_behind_what_is_broken_and_counts_the_places)
{
	static const struct scenario rows[] = {
		{{"1: H1/0 r1/0 r2/0"}, 0, "1 2", 0, false, 0},
		{{"1: H1/0 r1/0 t2"}, 0, "1", 0, false, 1},
		{{"1: H1/0 r1/0 c2/0 r3/2"}, 0, "1 3", 0, false, 1},
		{{"1: H1/0 r1/0 c2/0 r3/2 c4/2 r5/4"}, 0, "1 3 5", 0, false, 2},
		{{"2: H3/0 r3/0 r4/0"}, 0, "3 4", 0, false, 1},
		{{"1: H1/0 r1/0", "3: H3/2 r3/2"}, 0, "1 3", 0, false, 1},
		{{"1: H1/0 r1/0 t2", "2: H3/2 r3/2"}, 0, "1 3", 0, false, 1},
		{{"1: H1/0 r1/0 r3/0"}, 0, "1 3", 0, false, 1},
		{{"1: B c1/0 r2/1", "2: g", "3: H4/3 r4/3"}, 0, "2 4", 0, false, 2},
		{{"1: H1/0 r1/0 c2/1 r3/2 r4/3"}, 2, "3 4", 0, false, 0},
		{{"1: g"}, 0, "", 0, false, 1},
	};

	check(rows, COUNT_OF(rows), (struct fold_options){.does_salvage = true});
}

TEST(shows_all_gives_out_every_readable_record)
{
	static const struct scenario rows[] = {
		{{"1: H1/0 r1/0 r2/0"}, 0, "1 2", 0, false, 0},
		{{"2: H5/4 r5/4 r6/4"}, 0, "5 6", 0, false, 0},
		{{"1: H1/0 r1/0 r2/0", "2: H2/0 r2/0 r3/0"}, 0, "1 2 2 3", 0, false, 0},
		{{"1: H1/0 r1/0", "3: H7/6 r7/6"}, 0, "1 7", 0, false, 0},
		{{"1: H1/0 r1/0 c2/0 r3/2"}, 0, "1 3", 0, false, 1},
		{{"1: H1/0 r1/0 t2"}, 0, "1", 0, false, 1},
	};

	check(rows, COUNT_OF(rows), (struct fold_options){.shows_all = true});
}

static int fold(const struct tempdir *dir, struct seen *seen, struct fold_result *result,
	struct errmsg *msg)
{
	struct fold_options options = {0};

	return journal_fold(dir->fd, &options, on_record, seen, result, msg);
}

TEST(a_damaged_first_record_is_damage_and_not_a_database_of_another_time)
{
	static const struct {
		const char *file;
		bool is_damage;
	} rows[] = {{"1: H1/0 c1/0 r2/1", true}, {"1: H1/0 c1/0 c2/1 r3/2", true},
		{"1: B c1/0 r2/1", true}, {"2: H3/2 r3/2", false},
		{"2: H3/2 c3/2 r4/3", false}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct tempdir dir;
		struct seen seen = {.code = 0};
		struct fold_result result;
		struct errmsg msg;

		tempdir_make(&dir);
		write_file(&dir, rows[i].file);
		AT_ROW(i, fold(&dir, &seen, &result, &msg) == ERR_JOURNAL_CORRUPT);
		AT_ROW(i, strstr(msg.text, "offset ") != NULL);
		AT_ROW(i, strstr(msg.text, "--salvage") != NULL);
		AT_ROW(i,
			(strstr(msg.text, "the journal is corrupt") != NULL) ==
				rows[i].is_damage);
		AT_ROW(i, (strstr(msg.text, "tally.db") == NULL) == rows[i].is_damage);
		tempdir_remove(&dir);
	}
}

TEST(the_sentence_names_file_offset_and_records)
{
	struct tempdir dir;
	struct seen seen = {.code = 0};
	struct fold_result result;
	struct errmsg msg;
	char expected[256];

	tempdir_make(&dir);
	write_file(&dir, "1: H1/0 r1/0 r2/1");
	write_file(&dir, "2: H3/2 r3/2 c4/3 c5/4 r6/5");
	assert_int_equal(fold(&dir, &seen, &result, &msg), ERR_JOURNAL_CORRUPT);
	(void)snprintf(expected, sizeof(expected),
		"the journal is corrupt: journal/0000000002.seg, offset %zu: records 4 "
		"to 5 cannot be read; `tallyd --salvage` takes over all that can be",
		SEGMENT_HEAD_BYTES + sample_record_size());
	assert_string_equal(msg.text, expected);
	write_file(&dir, "1: H1/0 r1/0 t2");
	write_file(&dir, "2:");
	seen = (struct seen){.code = 0};
	assert_int_equal(fold(&dir, &seen, &result, &msg), 0);
	(void)snprintf(expected, sizeof(expected),
		"journal/0000000001.seg, offset %zu: records 2 on cannot be read",
		SEGMENT_HEAD_BYTES + sample_record_size());
	assert_string_equal(result.remark.text, expected);
	tempdir_remove(&dir);
}

/* What each of ten records knew to be synced when it was written. */
static const uint64_t synced_seqs[] = {0, 0, 0, 2, 2, 4, 4, 4, 4, 8};
#define N_RECORDS COUNT_OF(synced_seqs)

static void write_ten(struct sample_segment *segment)
{
	sample_begin(segment, 1, 0);
	for (size_t i = 0; i < N_RECORDS; i++)
		sample_add(segment, i + 1, synced_seqs[i]);
}

static void expect_records(const struct seen *seen, size_t n)
{
	struct seen expected = {.code = 0};

	for (size_t i = 1; i <= n; i++)
		expected.len += (size_t)snprintf(expected.text + expected.len,
			sizeof(expected.text) - expected.len, "%s%zu", i > 1 ? " " : "",
			i);
	assert_string_equal(seen->text, expected.text);
}

TEST(a_file_cut_at_any_byte_gives_its_whole_records)
{
	struct sample_segment whole;
	struct tempdir dir;

	tempdir_make(&dir);
	write_ten(&whole);
	for (size_t len = 0; len <= whole.buf.len; len++) {
		size_t body = len > SEGMENT_HEAD_BYTES ? len - SEGMENT_HEAD_BYTES : 0;
		struct seen seen = {.code = 0};
		struct fold_result result;
		struct errmsg msg;

		tempdir_write(&dir, "0000000001.seg", whole.buf.data, len);
		assert_int_equal(fold(&dir, &seen, &result, &msg), 0);
		expect_records(&seen, body / sample_record_size());
		assert_int_equal(result.is_cut, body % sample_record_size() != 0);
		assert_int_equal(result.n_records, body / sample_record_size());
	}
	buf_done(&whole.buf);
	tempdir_remove(&dir);
}

TEST(a_flipped_byte_anywhere_is_a_cut_or_refused_as_the_others_know)
{
	struct sample_segment whole;
	struct tempdir dir;

	tempdir_make(&dir);
	write_ten(&whole);
	for (size_t at = SEGMENT_HEAD_BYTES; at < whole.buf.len; at++) {
		size_t bad = (at - SEGMENT_HEAD_BYTES) / sample_record_size();
		uint64_t known = 0;
		struct seen seen = {.code = 0};
		struct fold_result result;
		struct errmsg msg;

		for (size_t i = 0; i < N_RECORDS; i++)
			if (i != bad && synced_seqs[i] > known)
				known = synced_seqs[i];
		whole.buf.data[at] ^= (uint8_t)(1u << (at % 8));
		tempdir_write(&dir, "0000000001.seg", whole.buf.data, whole.buf.len);
		whole.buf.data[at] ^= (uint8_t)(1u << (at % 8));
		assert_int_equal(fold(&dir, &seen, &result, &msg),
			known >= bad + 1 ? ERR_JOURNAL_CORRUPT : 0);
		assert_int_equal(result.is_cut, known < bad + 1);
		expect_records(&seen, bad);
	}
	buf_done(&whole.buf);
	tempdir_remove(&dir);
}

TEST(the_callback_ends_the_fold_with_its_code)
{
	struct tempdir dir;
	struct seen seen = {.code = ERR_STOPPING};
	struct fold_result result;
	struct errmsg msg;

	tempdir_make(&dir);
	write_file(&dir, "1: H1/0 r1/0 r2/0");
	assert_int_equal(fold(&dir, &seen, &result, &msg), ERR_STOPPING);
	assert_string_equal(seen.text, "1");
	tempdir_remove(&dir);
}

TEST(what_cannot_be_opened_is_an_io_error_with_a_sentence)
{
	struct tempdir dir, none = {.fd = -1};
	struct seen seen = {.code = 0};
	struct fold_result result;
	struct errmsg msg = {""};

	assert_int_equal(fold(&none, &seen, &result, &msg), ERR_JOURNAL_IO);
	assert_string_not_equal(msg.text, "");
	tempdir_make(&dir);
	assert_int_equal(mkdirat(dir.fd, "0000000001.seg", 0700), 0);
	tempdir_write(&dir, "0000000001.seg/x", "", 0); /* so that it is not empty */
	assert_int_equal(fold(&dir, &seen, &result, &msg), ERR_JOURNAL_IO);
	assert_non_null(strstr(msg.text, "0000000001.seg"));
	tempdir_remove(&dir);
}

TEST(a_segment_that_is_no_file_is_refused_in_a_sentence_and_not_waited_for)
{
	static const char *const kinds[] = {"a folder", "a FIFO", "a symbolic link"};

	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		struct seen seen = {.code = 0};
		struct fold_result result;
		struct errmsg msg = {""};
		struct tempdir dir;
		const char *path;

		tempdir_make(&dir);
		write_file(&dir, "1: H1/0 r1/0");
		path = tempdir_path(&dir, "0000000002.seg");
		assert_int_equal(i == 0  ? mkdir(path, 0700)
				: i == 1 ? mkfifo(path, 0600)
					 : symlink("0000000001.seg", path),
			0);
		AT_ROW(i, fold(&dir, &seen, &result, &msg) == ERR_JOURNAL_IO);
		AT_ROW(i, strstr(msg.text, "journal/0000000002.seg is ") == msg.text);
		AT_ROW(i, strstr(msg.text, kinds[i]) != NULL);
		tempdir_remove(&dir);
	}
}

TEST(short_memory_ends_the_fold_with_a_sentence_and_no_leak)
{
	struct tempdir dir;
	unsigned n = 1;

	tempdir_make(&dir);
	write_file(&dir, "1: H1/0 r1/0 r2/0");
	for (;; n++) {
		struct seen seen = {.code = 0};
		struct fold_result result;
		struct errmsg msg = {""};
		int code;
		bool has_fired;

		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = fold(&dir, &seen, &result, &msg);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		assert_int_equal(code, has_fired ? ERR_NOMEM : 0);
		if (!has_fired)
			break;
		assert_string_not_equal(msg.text, "");
	}
	assert_true(n > 3);
	tempdir_remove(&dir);
}

/* A whole record, checksum and all, whose payload says nothing that can be understood. */
static void add_undecodable(
	struct sample_segment *segment, uint64_t seq, uint64_t synced_seq)
{
	size_t start = segment->buf.len, size = sample_record_size();
	uint8_t *record;

	sample_add(segment, seq, synced_seq);
	record = segment->buf.data + start;
	record[RECORD_HEAD_BYTES] = 0xff;
	buf_set_u32(&segment->buf, start + 4,
		crc32c(crc32c(0, record, 4), record + 8, size - 8));
}

TEST(a_whole_record_that_says_nonsense_is_refused_by_name)
{
	struct sample_segment segment;
	struct tempdir dir;
	struct seen seen = {.code = 0};
	struct fold_result result;
	struct errmsg msg = {""};

	tempdir_make(&dir);
	sample_begin(&segment, 1, 0);
	sample_add(&segment, 1, 0);
	add_undecodable(&segment, 2, 1);
	sample_write(&segment, &dir, 1);
	assert_int_equal(fold(&dir, &seen, &result, &msg), ERR_JOURNAL_CORRUPT);
	assert_non_null(strstr(msg.text, "journal/0000000001.seg, offset "));
	assert_string_equal(seen.text, "1");
	tempdir_remove(&dir);
}

TEST(salvage_and_dump_pass_over_a_record_that_says_nonsense)
{
	struct sample_segment segment;
	struct tempdir dir;

	tempdir_make(&dir);
	sample_begin(&segment, 1, 0);
	sample_add(&segment, 1, 0);
	add_undecodable(&segment, 2, 1);
	sample_add(&segment, 3, 2);
	sample_write(&segment, &dir, 1);
	for (int all = 0; all < 2; all++) {
		struct fold_options options = {.does_salvage = !all, .shows_all = all};
		struct seen seen = {.code = 0};
		struct fold_result result;
		struct errmsg msg = {""};

		assert_int_equal(
			journal_fold(dir.fd, &options, on_record, &seen, &result, &msg),
			0);
		assert_string_equal(seen.text, "1 3");
		assert_int_equal(result.n_lost, 1);
	}
	tempdir_remove(&dir);
}

static void add_bookings(struct sample_segment *segment, uint64_t seq, size_t n)
{
	struct booking list[2 * FOLD_AHEAD];
	struct record record = {.node = "n", .bookings = {list, n, n}, .origin.seq = seq};

	assert_true(n <= COUNT_OF(list));
	for (size_t i = 0; i < n; i++)
		list[i] = sample_traffic("s", "u", seq, 0);
	record_encode(&record, &segment->buf);
}

struct ahead {
	uint64_t told, given; /* the last sequence */
	size_t n_calls;
};

static void on_ahead(void *arg, const struct record *records, size_t n)
{
	struct ahead *ahead = arg;
	size_t n_bookings = 0;

	assert_true(n > 0 && n <= FOLD_AHEAD);
	assert_int_equal(ahead->given, ahead->told);
	for (size_t i = 0; i < n; i++) {
		assert_true(n_bookings < FOLD_AHEAD); /* none behind a large one */
		assert_int_equal(records[i].origin.seq, ++ahead->told);
		n_bookings += records[i].bookings.n;
	}
	ahead->n_calls++;
}

static int on_told(void *arg, struct record *record)
{
	struct ahead *ahead = arg;

	assert_int_equal(record->origin.seq, ++ahead->given);
	assert_true(ahead->given <= ahead->told);
	return 0;
}

TEST(each_record_is_told_of_once_before_it_is_given_out_and_a_large_one_is_the_last)
{
	struct fold_options options = {.on_ahead = on_ahead};
	struct sample_segment segment = {{0}};
	struct ahead ahead = {0};
	struct fold_result result;
	struct tempdir dir;
	struct errmsg msg;

	tempdir_make(&dir);
	sample_begin(&segment, 1, 0);
	for (uint64_t seq = 1; seq <= 2 * FOLD_AHEAD + 5; seq++)
		add_bookings(&segment, seq, 1);
	add_bookings(&segment, 2 * FOLD_AHEAD + 6, 2 * FOLD_AHEAD);
	add_bookings(&segment, 2 * FOLD_AHEAD + 7, 1);
	sample_write(&segment, &dir, 1);
	assert_int_equal(
		journal_fold(dir.fd, &options, on_told, &ahead, &result, &msg), 0);
	assert_int_equal(ahead.given, 2 * FOLD_AHEAD + 7);
	assert_int_equal(ahead.told, ahead.given);
	assert_int_equal(ahead.n_calls, 4);
	assert_int_equal(result.n_records, ahead.given);
	tempdir_remove(&dir);
}

TEST(what_was_read_before_a_refusal_is_given_out)
{
	struct seen seen = {.code = 0};
	struct fold_result result;
	struct errmsg msg = {""};
	struct tempdir dir;

	tempdir_make(&dir);
	write_file(&dir, "1: H1/0 r1/0 r2/0 c3/0 r4/3");
	assert_int_equal(fold(&dir, &seen, &result, &msg), ERR_JOURNAL_CORRUPT);
	assert_string_equal(seen.text, "1 2");
	assert_non_null(strstr(msg.text, "record"));
	tempdir_remove(&dir);
}

/* In a child, since what must not happen is that it never ends. */
static int fold_in_child(const struct tempdir *dir, struct fold_options options)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct seen seen = {.code = 0};
		struct fold_result result;
		struct errmsg msg;

		(void)alarm(5);
		(void)!journal_fold(dir->fd, &options, on_record, &seen, &result, &msg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

TEST(a_file_without_a_head_never_hangs_the_fold)
{
	struct tempdir dir;

	tempdir_make(&dir);
	write_file(&dir, "1: r1/0 r2/1");
	assert_int_equal(fold_in_child(&dir, (struct fold_options){0}), 0);
	assert_int_equal(fold_in_child(&dir, (struct fold_options){.after_seq = 1}), 0);
	assert_int_equal(
		fold_in_child(&dir, (struct fold_options){.does_salvage = true}), 0);
	assert_int_equal(
		fold_in_child(&dir, (struct fold_options){.shows_all = true}), 0);
	tempdir_remove(&dir);
}

/* The head of file 1, as another version would have written it. */
static void make_version(struct sample_segment *segment, char digit)
{
	segment->buf.data[6] = (uint8_t)digit;
	buf_set_u32(&segment->buf, 32, crc32c(0, segment->buf.data, 32));
}

TEST(a_journal_of_the_first_version_is_read_and_goes_on_in_this_one)
{
	struct sample_segment segment;
	struct tempdir dir;
	struct seen seen = {.code = 0};
	struct fold_result result;
	struct errmsg msg = {""};

	tempdir_make(&dir);
	sample_begin(&segment, 1, 0);
	make_version(&segment, '1');
	sample_add(&segment, 1, 0);
	sample_add(&segment, 2, 1);
	sample_write(&segment, &dir, 1);
	sample_begin(&segment, 3, 2);
	sample_add(&segment, 3, 2);
	sample_write(&segment, &dir, 2);
	assert_int_equal(fold(&dir, &seen, &result, &msg), 0);
	assert_string_equal(seen.text, "1 2 3");
	tempdir_remove(&dir);
}

TEST(a_journal_of_a_later_version_is_refused_in_a_sentence_even_by_salvage)
{
	for (int does_salvage = 0; does_salvage < 2; does_salvage++) {
		struct fold_options options = {.does_salvage = does_salvage};
		struct sample_segment segment;
		struct tempdir dir;
		struct seen seen = {.code = 0};
		struct fold_result result;
		struct errmsg msg = {""};

		tempdir_make(&dir);
		sample_begin(&segment, 1, 0);
		make_version(&segment, '3');
		sample_add(&segment, 1, 0);
		sample_write(&segment, &dir, 1);
		assert_int_equal(
			journal_fold(dir.fd, &options, on_record, &seen, &result, &msg),
			ERR_JOURNAL_NEWER);
		assert_string_equal(seen.text, "");
		assert_non_null(strstr(msg.text, "journal/0000000001.seg"));
		assert_non_null(strstr(msg.text, "newer tallyd"));
		tempdir_remove(&dir);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			whole_records_above_the_checkpoint_are_given_out_in_order),
		cmocka_unit_test(a_prepared_file_counts_only_with_its_number),
		cmocka_unit_test(a_torn_tail_is_cut_and_whole_records_are_kept),
		cmocka_unit_test(
			a_lost_tail_before_the_next_segment_is_a_crash_if_it_was_not_synced),
		cmocka_unit_test(
			a_bad_record_at_or_below_the_highest_synced_one_is_refused),
		cmocka_unit_test(
			a_missing_segment_or_record_is_refused_even_if_nothing_was_synced),
		cmocka_unit_test(what_is_in_sqlite_is_skipped_even_if_it_cannot_be_read),
		cmocka_unit_test(
			salvage_goes_on_behind_what_is_broken_and_counts_the_places),
		cmocka_unit_test(shows_all_gives_out_every_readable_record),
		cmocka_unit_test(
			a_damaged_first_record_is_damage_and_not_a_database_of_another_time),
		cmocka_unit_test(the_sentence_names_file_offset_and_records),
		cmocka_unit_test(a_file_cut_at_any_byte_gives_its_whole_records),
		cmocka_unit_test(
			a_flipped_byte_anywhere_is_a_cut_or_refused_as_the_others_know),
		cmocka_unit_test(the_callback_ends_the_fold_with_its_code),
		cmocka_unit_test(
			a_segment_that_is_no_file_is_refused_in_a_sentence_and_not_waited_for),
		cmocka_unit_test(what_cannot_be_opened_is_an_io_error_with_a_sentence),
		cmocka_unit_test(short_memory_ends_the_fold_with_a_sentence_and_no_leak),
		cmocka_unit_test(a_whole_record_that_says_nonsense_is_refused_by_name),
		cmocka_unit_test(salvage_and_dump_pass_over_a_record_that_says_nonsense),
		cmocka_unit_test(
			each_record_is_told_of_once_before_it_is_given_out_and_a_large_one_is_the_last),
		cmocka_unit_test(what_was_read_before_a_refusal_is_given_out),
		cmocka_unit_test(a_file_without_a_head_never_hangs_the_fold),
		cmocka_unit_test(
			a_journal_of_the_first_version_is_read_and_goes_on_in_this_one),
		cmocka_unit_test(
			a_journal_of_a_later_version_is_refused_in_a_sentence_even_by_salvage),
	};

	return RUN_TESTS(tests);
}
