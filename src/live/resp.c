#include "live/resp.h"

#include <string.h>

#define NUMBER_DIGITS 20 /* of 2^64-1 */

/* The digits of it, at the end of the room; returns the first. */
static const char *digits_of(uint64_t number, char room[static NUMBER_DIGITS])
{
	char *at = room + NUMBER_DIGITS;

	do {
		*--at = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	return at;
}

char *resp_raw(char *at, const char *bytes, size_t len)
{
	memcpy(at, bytes, len);
	return at + len;
}

/* `*3\r\n` and `$7\r\n` */
static char *put_count(char *at, char type, uint64_t count)
{
	char room[NUMBER_DIGITS];
	const char *digits = digits_of(count, room);

	*at++ = type;
	at = resp_raw(at, digits, (size_t)(room + NUMBER_DIGITS - digits));
	return RESP_RAW(at, "\r\n");
}

char *resp_begin(char *at, unsigned n_words)
{
	return put_count(at, '*', n_words);
}

char *resp_word(char *at, const char *word, size_t len)
{
	at = put_count(at, '$', len);
	at = resp_raw(at, word, len);
	return RESP_RAW(at, "\r\n");
}

char *resp_number(char *at, uint64_t number)
{
	char room[NUMBER_DIGITS];
	const char *digits = digits_of(number, room);

	return resp_word(at, digits, (size_t)(room + NUMBER_DIGITS - digits));
}
