/* Commands as Redis reads them, to the byte. */
#include "lib/test.h"
#include "live/fields.h"
#include "live/resp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char room[2048];

TEST(a_number_is_a_word_of_its_decimal_digits)
{
	static const struct {
		uint64_t number;
		const char *word;
	} rows[] = {{0, "$1\r\n0\r\n"}, {9, "$1\r\n9\r\n"}, {10, "$2\r\n10\r\n"},
		{1000000000, "$10\r\n1000000000\r\n"},
		{INT64_MAX, "$19\r\n9223372036854775807\r\n"},
		{UINT64_MAX, "$20\r\n18446744073709551615\r\n"}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *end = resp_number(room, rows[i].number);

		AT_ROW(i, (size_t)(end - room) == strlen(rows[i].word));
		AT_ROW(i, memcmp(room, rows[i].word, strlen(rows[i].word)) == 0);
		AT_ROW(i, end - room <= RESP_NUMBER_BYTES);
	}
}

TEST(each_length_has_as_many_digits_as_it_needs)
{
	static char word[1000], head[16];
	static const size_t lengths[] = {0, 1, 9, 10, 99, 100, 255, 999};

	memset(word, 'x', sizeof(word));
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		const char *end = resp_word(room, word, lengths[i]);

		(void)snprintf(head, sizeof(head), "$%zu\r\n", lengths[i]);
		AT_ROW(i, (size_t)(end - room) == strlen(head) + lengths[i] + 2);
		AT_ROW(i, memcmp(room, head, strlen(head)) == 0);
		AT_ROW(i, memcmp(end - 2, "\r\n", 2) == 0);
	}
}

TEST(a_command_is_the_count_of_its_words_and_the_words)
{
	static const char expected[] = "*3\r\n$3\r\nSET\r\n$3\r\na\0b\r\n$2\r\n42\r\n";
	char *at = resp_begin(room, 3);

	at = RESP_RAW(at, "$3\r\nSET\r\n");
	at = resp_word(at, "a\0b", 3);
	at = resp_number(at, 42);
	assert_int_equal(at - room, sizeof(expected) - 1);
	assert_memory_equal(room, expected, sizeof(expected) - 1);
}

/* No other is longer than that of the longest prefix, name and totals. */
TEST(the_longest_command_about_a_user_has_room)
{
	static const struct totals most = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
	struct user *user = calloc(1, sizeof(*user) + NAME_MAX_BYTES + 1);
	char prefix[NAME_MAX_BYTES];
	struct fields_key key;

	assert_non_null(user);
	memset(prefix, 'p', sizeof(prefix));
	memset(user->id, 'i', NAME_MAX_BYTES);
	fields_make_key(&key, prefix, sizeof(prefix), user);
	assert_in_range(key.len, 2 * NAME_MAX_BYTES, sizeof(key.word));
	assert_in_range(
		fields_put_set(room, &key, &most) - room, key.len, FIELDS_COMMAND_BYTES);
	assert_in_range(fields_put_increment(room, &key, most.used) - room, key.len,
		FIELDS_COMMAND_BYTES);
	assert_in_range(
		fields_put_rest(room, &key, &most) - room, key.len, FIELDS_COMMAND_BYTES);
	assert_in_range(
		fields_put_read(room, &key) - room, key.len, FIELDS_COMMAND_BYTES);
	free(user);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_is_a_word_of_its_decimal_digits),
		cmocka_unit_test(each_length_has_as_many_digits_as_it_needs),
		cmocka_unit_test(a_command_is_the_count_of_its_words_and_the_words),
		cmocka_unit_test(the_longest_command_about_a_user_has_room),
	};

	return RUN_TESTS(tests);
}
