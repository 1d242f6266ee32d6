#include "base/text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The length of the well-formed sequence at `at`, or 0; table 3-7 of the Unicode
 * standard. */
static size_t sequence_length(const uint8_t *at, size_t len)
{
	uint8_t first = at[0];
	uint8_t low = 0x80, high = 0xbf;
	size_t n;

	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		n = 2;
	else if ((first & 0xf0) == 0xe0)
		n = 3;
	else if (first >= 0xf0 && first <= 0xf4)
		n = 4;
	else
		return 0;
	if (len < n)
		return 0;
	if (first == 0xe0)
		low = 0xa0; /* overlong */
	else if (first == 0xed)
		high = 0x9f; /* surrogates */
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f; /* above U+10FFFF */
	if (at[1] < low || at[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static bool is_control(const uint8_t *at, size_t n)
{
	return (n == 1 && (at[0] < 0x20 || at[0] == 0x7f)) ||
		(n == 2 && at[0] == 0xc2 && at[1] < 0xa0);
}

size_t text_clean_length(const char *text, size_t len)
{
	const uint8_t *at = (const uint8_t *)text;
	size_t n = sequence_length(at, len);

	return n > 0 && is_control(at, n) ? 0 : n;
}

bool text_is_clean(const char *text, size_t len)
{
	const char *end = text + len;

	while (text < end) {
		size_t n = text_clean_length(text, (size_t)(end - text));

		if (n == 0)
			return false;
		text += n;
	}
	return true;
}

void text_make_clean(char *text, size_t len)
{
	const char *end = text + len;

	while (text < end) {
		size_t n = text_clean_length(text, (size_t)(end - text));

		if (n == 0)
			*text = '?';
		text += n > 0 ? n : 1;
	}
}

void text_copy_clean(char *to, size_t size, const char *text, size_t len)
{
	const char *end = text + len;

	while (text < end) {
		size_t n = text_clean_length(text, (size_t)(end - text));
		size_t took = n > 0 ? n : 1;

		if (took >= size)
			break;
		memcpy(to, n > 0 ? text : "?", took);
		to += took;
		size -= took;
		text += took;
	}
	*to = '\0';
}

bool text_is_name(const char *text)
{
	size_t len = strnlen(text, NAME_MAX_BYTES + 1);

	return len <= NAME_MAX_BYTES && text_is_clean(text, len);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t text_unescape(char *text)
{
	char *out = text;

	for (const char *at = text; *at != '\0';) {
		int high = at[0] == '%' ? hex_digit(at[1]) : -1;
		int low = high >= 0 ? hex_digit(at[2]) : -1;

		if (low >= 0 && high * 16 + low != 0) {
			*out++ = (char)(high * 16 + low);
			at += 3;
		} else {
			*out++ = *at++;
		}
	}
	*out = '\0';
	return (size_t)(out - text);
}

/* One character of `at`, `n` bytes long, as JSON has it; the length. */
static size_t json_character(char to[8], const uint8_t *at, size_t n)
{
	if (n == 0) {
		(void)strcpy(to, "?");
	} else if (is_control(at, n)) {
		(void)snprintf(to, 8, "\\u%04x", (unsigned)at[n - 1]);
	} else if (at[0] == '"' || at[0] == '\\') {
		(void)snprintf(to, 8, "\\%c", at[0]);
	} else {
		memcpy(to, at, n);
		to[n] = '\0';
	}
	return strlen(to);
}

size_t text_to_json(char *to, size_t size, const char *text)
{
	const uint8_t *at = (const uint8_t *)text, *end = at + strlen(text);
	size_t len = 0;

	while (at < end) {
		char character[8];
		size_t n = sequence_length(at, (size_t)(end - at));
		size_t took = json_character(character, at, n);

		if (len + took >= size)
			break;
		memcpy(to + len, character, took);
		len += took;
		at += n > 0 ? n : 1;
	}
	to[len] = '\0';
	return len;
}

int text_index_in(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (int i = 0; list != NULL && *list != '\0'; i++) {
		size_t n = strcspn(list, ",");

		if (n == len && strncmp(list, name, n) == 0)
			return i;
		list += list[n] == ',' ? n + 1 : n;
	}
	return -1;
}
