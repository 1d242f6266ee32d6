#include "lib/test.h"
#include "base/buf.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "journal/segment.h"
#include "lib/faults.h"
#include "lib/tempdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TEST(a_head_survives_its_bytes)
{
	static const struct segment_head heads[] = {
		{1, 0, 0},
		{2, 1, UINT64_C(1700000000000)},
		{NUMBER_MAX, NUMBER_MAX, TIME_MAX_MS},
	};

	for (size_t i = 0; i < COUNT_OF(heads); i++) {
		uint8_t bytes[SEGMENT_HEAD_BYTES];
		struct segment_head back;

		segment_encode_head(&heads[i], bytes);
		AT_ROW(i, memcmp(bytes, "TALLYJ2\n", 8) == 0);
		AT_ROW(i, segment_decode_head(bytes, sizeof(bytes), &back) == 0);
		AT_ROW(i, memcmp(&back, &heads[i], sizeof(back)) == 0);
	}
}

TEST(a_head_with_a_number_that_no_tallyd_writes_is_corrupt)
{
	static const struct segment_head heads[] = {
		{0, 0, 0},
		{NUMBER_MAX + 1, 0, 0},
		{UINT64_MAX, UINT64_MAX - 1, 0},
		{1, NUMBER_MAX + 1, 0},
		{1, UINT64_MAX, 0},
		{1, 0, TIME_MAX_MS + 1},
		{1, 0, UINT64_MAX},
	};

	for (size_t i = 0; i < COUNT_OF(heads); i++) {
		uint8_t bytes[SEGMENT_HEAD_BYTES];
		struct segment_head back;

		segment_encode_head(&heads[i], bytes);
		AT_ROW(i,
			segment_decode_head(bytes, sizeof(bytes), &back) ==
				ERR_JOURNAL_CORRUPT);
	}
}

TEST(every_flipped_bit_up_to_the_checksum_and_every_truncation_is_noticed)
{
	struct segment_head head = {17, 16, 1234}, back;
	uint8_t bytes[SEGMENT_HEAD_BYTES];

	segment_encode_head(&head, bytes);
	for (size_t i = 0; i < 36 * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1u << (i % 8));
		assert_int_equal(segment_decode_head(bytes, sizeof(bytes), &back),
			ERR_JOURNAL_CORRUPT);
		bytes[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
	for (size_t len = 0; len < sizeof(bytes); len++)
		assert_int_equal(
			segment_decode_head(bytes, len, &back), ERR_JOURNAL_CORRUPT);
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(
		segment_decode_head(bytes, sizeof(bytes), &back), ERR_JOURNAL_CORRUPT);
}

/* The head of a segment as version `digit` would have written it. */
static void encode_as(char digit, uint8_t bytes[SEGMENT_HEAD_BYTES])
{
	struct segment_head head = {17, 16, 1234};
	uint32_t crc;

	segment_encode_head(&head, bytes);
	bytes[6] = (uint8_t)digit;
	crc = crc32c(0, bytes, 32);
	buf_store(bytes + 32, crc, 4);
}

TEST(the_first_version_is_read_a_later_one_is_newer_and_anything_else_is_corrupt)
{
	static const struct {
		char digit;
		int code;
	} rows[] = {{'1', 0}, {'2', 0}, {'3', ERR_JOURNAL_NEWER},
		{'9', ERR_JOURNAL_NEWER}, {'0', ERR_JOURNAL_CORRUPT},
		{':', ERR_JOURNAL_CORRUPT}, {'\0', ERR_JOURNAL_CORRUPT},
		{'a', ERR_JOURNAL_CORRUPT}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		uint8_t bytes[SEGMENT_HEAD_BYTES];
		struct segment_head back = {77, 0, 0};

		encode_as(rows[i].digit, bytes);
		AT_ROW(i,
			segment_decode_head(bytes, sizeof(bytes), &back) == rows[i].code);
		AT_ROW(i, back.first_seq == (rows[i].code == 0 ? 17 : 77));
	}
}

/* Only a whole head can be believed to be of a later version. */
TEST(a_flipped_bit_in_the_head_of_a_later_version_is_corrupt_not_newer)
{
	uint8_t bytes[SEGMENT_HEAD_BYTES];
	struct segment_head back;

	encode_as('3', bytes);
	bytes[12] ^= 1;
	assert_int_equal(
		segment_decode_head(bytes, sizeof(bytes), &back), ERR_JOURNAL_CORRUPT);
}

TEST(names_are_numbers_of_ten_digits_or_more)
{
	char name[SEGMENT_NAME_BYTES];

	assert_string_equal(segment_name(1, name), "0000000001.seg");
	assert_string_equal(segment_name(9999999999, name), "9999999999.seg");
	assert_string_equal(segment_name(10000000000, name), "10000000000.seg");
	assert_string_equal(segment_name(UINT64_MAX, name), "18446744073709551615.seg");
}

TEST(a_file_is_made_once_and_removed_as_often_as_one_likes)
{
	struct tempdir dir;
	struct stat st;
	int fd;

	tempdir_make(&dir);
	fd = segment_create(dir.fd, 7);
	assert_true(fd >= 0);
	assert_int_equal(fstatat(dir.fd, "0000000007.seg", &st, 0), 0);
	assert_int_equal(st.st_mode & 07 /* others */, 0);
	assert_int_equal(segment_create(dir.fd, 7), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(close(fd), 0);
	assert_int_equal(segment_remove(dir.fd, 7), 0);
	assert_int_equal(segment_remove(dir.fd, 7), 0);
	assert_int_equal(segment_remove(-1, 7), ERR_JOURNAL_IO);
	tempdir_remove(&dir);
}

TEST(only_our_files_are_listed_and_in_the_order_of_their_numbers)
{
	static const char *const others[] = {"1.seg", "00000000001.seg",
		"0000000001.seg~", "x0000000001.seg", "0000000001", ".seg", "lock",
		"-000000001.seg", "+000000001.seg", "99999999999999999999999",
		"99999999999999999999999.segment", "x18446744073709551615.seg",
		"18446744073709551615.seg~"};
	static const uint64_t numbers[] = {
		10, 9, 2, 10000000000, 1, NUMBER_MAX, 9999999999, 0};
	static const uint64_t sorted[] = {
		0, 1, 2, 9, 10, 9999999999, 10000000000, NUMBER_MAX};
	struct tempdir dir;
	uint64_t *found = NULL;
	size_t n = 99;

	tempdir_make(&dir);
	assert_int_equal(segment_list(dir.fd, &found, &n, NULL), 0);
	assert_int_equal(n, 0);
	free(found);
	for (size_t i = 0; i < COUNT_OF(others); i++)
		tempdir_write(&dir, others[i], "", 0);
	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		int fd = segment_create(dir.fd, numbers[i]);

		assert_true(fd >= 0);
		assert_int_equal(close(fd), 0);
	}
	for (int again = 0; again < 2; again++) {
		assert_int_equal(segment_list(dir.fd, &found, &n, NULL), 0);
		assert_int_equal(n, COUNT_OF(sorted));
		assert_memory_equal(found, sorted, sizeof(sorted));
		free(found);
	}
	tempdir_remove(&dir);
}

TEST(a_segment_with_a_number_that_no_tallyd_makes_is_refused_by_name)
{
	static const char *const names[] = {"4611686018427387904.seg",
		"9223372036854775808.seg", "18446744073709551614.seg",
		"18446744073709551615.seg", "18446744073709551616.seg",
		"99999999999999999999999.seg", "018446744073709551615.seg"};

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct errmsg msg = {""};
		uint64_t *found = NULL;
		struct tempdir dir;
		size_t n = 77;

		tempdir_make(&dir);
		tempdir_write(&dir, "0000000001.seg", "", 0);
		tempdir_write(&dir, names[i], "", 0);
		AT_ROW(i, segment_list(dir.fd, &found, &n, &msg) == ERR_JOURNAL_CORRUPT);
		AT_ROW(i, strstr(msg.text, names[i]) != NULL);
		AT_ROW(i, strstr(msg.text, "move that file out of the folder") != NULL);
		AT_ROW(i, found == NULL && n == 77);
		tempdir_remove(&dir);
	}
}

TEST(a_list_that_finds_no_memory_or_no_folder_says_so_and_touches_nothing)
{
	struct tempdir dir;
	unsigned n = 1;

	tempdir_make(&dir);
	tempdir_write(&dir, "0000000001.seg", "", 0);
	tempdir_write(&dir, "0000000002.seg", "", 0);
	for (;; n++) {
		uint64_t *found = NULL;
		size_t n_found = 77;
		int code;

		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = segment_list(dir.fd, &found, &n_found, NULL);
		if (!faults_fired(FAULT_MEMORY)) {
			assert_int_equal(code, 0);
			free(found);
			break;
		}
		assert_int_equal(code, ERR_NOMEM);
		assert_null(found);
		assert_int_equal(n_found, 77);
	}
	faults_reset();
	assert_int_equal(n, 3);
	assert_int_equal(segment_list(-1, &(uint64_t *){NULL}, &(size_t){0}, NULL),
		ERR_JOURNAL_IO);
	tempdir_remove(&dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_survives_its_bytes),
		cmocka_unit_test(a_head_with_a_number_that_no_tallyd_writes_is_corrupt),
		cmocka_unit_test(
			a_segment_with_a_number_that_no_tallyd_makes_is_refused_by_name),
		cmocka_unit_test(
			every_flipped_bit_up_to_the_checksum_and_every_truncation_is_noticed),
		cmocka_unit_test(
			the_first_version_is_read_a_later_one_is_newer_and_anything_else_is_corrupt),
		cmocka_unit_test(
			a_flipped_bit_in_the_head_of_a_later_version_is_corrupt_not_newer),
		cmocka_unit_test(names_are_numbers_of_ten_digits_or_more),
		cmocka_unit_test(a_file_is_made_once_and_removed_as_often_as_one_likes),
		cmocka_unit_test(
			only_our_files_are_listed_and_in_the_order_of_their_numbers),
		cmocka_unit_test(
			a_list_that_finds_no_memory_or_no_folder_says_so_and_touches_nothing),
	};

	return RUN_TESTS(tests);
}
