#include "live/resp.h"

#include <string.h>

#define NUMBER_DIGITS 20 /* of 2^64-1 */

/* Writes the digits to the end of the room; returns where the first one stands. */
static size_t put_digits(uint64_t number, char room[static NUMBER_DIGITS])
{
	size_t at = NUMBER_DIGITS;

	do {
		room[--at] = (char)('0' + number % 10);
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
	size_t first = put_digits(count, room);

	*at++ = type;
	at = resp_raw(at, room + first, NUMBER_DIGITS - first);
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
	size_t first = put_digits(number, room);

	return resp_word(at, room + first, NUMBER_DIGITS - first);
}
