#include "live/fields.h"

#include <stdlib.h>
#include <string.h>

#define TOTAL_DIGITS 19 /* of 2^63-1 */

#define WORD_USED "$11\r\n" FIELD_USED "\r\n"
#define WORD_INPUT "$10\r\n" FIELD_INPUT "\r\n"
#define WORD_OUTPUT "$11\r\n" FIELD_OUTPUT "\r\n"

void fields_make_key(struct fields_key *key, const char *prefix, size_t prefix_len,
	const struct user *user)
{
	char text[2 * NAME_MAX_BYTES];
	const char *end =
		resp_raw(resp_raw(text, prefix, prefix_len), user->id, strlen(user->id));

	end = resp_word(key->word, text, (size_t)(end - text));
	key->len = (size_t)(end - key->word);
}

bool fields_is_key(const struct fields_key *key, const char *text)
{
	char word[sizeof(key->word)];
	const char *end = resp_word(word, text, strlen(text));

	return (size_t)(end - word) == key->len && memcmp(key->word, word, key->len) == 0;
}

static char *put_key(char *at, const struct fields_key *key)
{
	return resp_raw(at, key->word, key->len);
}

static char *put_input_and_output(char *at, const struct totals *total)
{
	at = resp_number(RESP_RAW(at, WORD_INPUT), total->input);
	return resp_number(RESP_RAW(at, WORD_OUTPUT), total->output);
}

char *fields_put_set(char *at, const struct fields_key *key, const struct totals *total)
{
	at = put_key(RESP_RAW(at, "*8\r\n$4\r\nHSET\r\n"), key);
	at = resp_number(RESP_RAW(at, WORD_USED), total->used);
	return put_input_and_output(at, total);
}

char *fields_put_increment(char *at, const struct fields_key *key, uint64_t by)
{
	at = put_key(RESP_RAW(at, "*4\r\n$7\r\nHINCRBY\r\n"), key);
	return resp_number(RESP_RAW(at, WORD_USED), by);
}

char *fields_put_rest(char *at, const struct fields_key *key, const struct totals *total)
{
	at = put_key(RESP_RAW(at, "*6\r\n$4\r\nHSET\r\n"), key);
	return put_input_and_output(at, total);
}

char *fields_put_read(char *at, const struct fields_key *key)
{
	at = put_key(RESP_RAW(at, "*5\r\n$5\r\nHMGET\r\n"), key);
	return RESP_RAW(at, WORD_USED WORD_INPUT WORD_OUTPUT);
}

bool fields_parse(const redisReply *reply, uint64_t *ret_total)
{
	size_t len = reply->type == REDIS_REPLY_STRING ? (size_t)reply->len : 0;
	uint64_t value;

	if (len == 0 || len > TOTAL_DIGITS || strspn(reply->str, "0123456789") != len)
		return false;
	value = strtoull(reply->str, NULL, 10); /* 19 digits fit */
	if (value > TOTAL_MAX)
		return false;
	*ret_total = value;
	return true;
}

/* As we write it, without a zero in front, which Redis could not add to. */
static bool is_written(const redisReply *reply, uint64_t total)
{
	uint64_t shown;

	return fields_parse(reply, &shown) && shown == total &&
		(reply->str[0] != '0' || reply->len == 1);
}

bool fields_are(const redisReply *reply, const struct totals *expected)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
		is_written(reply->element[0], expected->used) &&
		is_written(reply->element[1], expected->input) &&
		is_written(reply->element[2], expected->output);
}
