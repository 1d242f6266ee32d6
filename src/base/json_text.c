/*
 * All that is needed of JSON here is what a string is, and which brackets are open. cJSON
 * has read the text, or will; where it takes what is no JSON, so does this.
 */
#include "base/json_text.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define BYTES_PER_VALUE 6
#define VALUES 4096    /* and that, for the short ones */
#define MAX_DEPTH 1000 /* where cJSON stops, which has built no more by then */

static bool is_open(char c)
{
	return c == '{' || c == '[';
}

static bool is_close(char c)
{
	return c == '}' || c == ']';
}

/* Behind the string that begins at `at`. */
static const char *skip_string(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++)
		if (*at == '\\' && end - at > 1)
			at++;
	return at < end ? at + 1 : end;
}

/* The first of ',' and ':' and the closing bracket that is outside of strings and of
 * brackets that open behind `at`; or `end`. */
static const char *skip_part(const char *at, const char *end)
{
	unsigned depth = 0;

	while (at < end) {
		if (depth == 0 && (*at == ',' || *at == ':' || is_close(*at)))
			return at;
		if (*at == '"') {
			at = skip_string(at, end);
			continue;
		}
		depth += is_open(*at);
		depth -= is_close(*at);
		at++;
	}
	return end;
}

bool json_text_is_dense(const char *text, size_t len)
{
	const char *at = text, *end = text + len;
	size_t room = len / BYTES_PER_VALUE + VALUES, depth = 0;

	while (at < end && depth <= MAX_DEPTH) {
		if (*at == '"') {
			at = skip_string(at, end);
			continue;
		}
		depth += is_open(*at);
		depth -= is_close(*at) && depth > 0;
		if ((is_open(*at) || *at == ',') && room-- == 0)
			return true;
		at++;
	}
	return false;
}

const char *json_text_first(const char *text, const char *end)
{
	while (text < end && !is_open(*text))
		text++; /* blanks, and a byte order mark */
	return text < end ? text + 1 : end;
}

const char *json_text_next(const char *text, const char *end)
{
	for (text = skip_part(text, end); text < end && *text == ':';)
		text = skip_part(text + 1, end);
	return text < end && *text == ',' ? text + 1 : end;
}

const char *json_text_value(const char *member, const char *end)
{
	member = skip_part(member, end);
	return member < end ? member + 1 : end;
}

/* One character of a string, which may be an escape; how much of `at` that was. */
static size_t show_character(const char *at, const char *end, char ret_shown[8])
{
	size_t n = text_clean_length(at, (size_t)(end - at));

	if (*at == '\\' && end - at > 1)
		n = 1 + text_clean_length(at + 1, (size_t)(end - at - 1));
	if (n > 0)
		(void)snprintf(ret_shown, 8, "%.*s", (int)n, at);
	else if ((unsigned char)*at < 0x20)
		(void)snprintf(ret_shown, 8, "\\u%04x", (unsigned)*at);
	else
		(void)strcpy(ret_shown, "?");
	return n > 0 ? n : 1;
}

void json_text_show(const char *text, const char *end, char *to, size_t size)
{
	bool is_in_string = false;

	end = skip_part(text, end);
	while (text < end) {
		char shown[8];
		size_t n, took;

		if (!is_in_string && (unsigned char)*text <= ' ') {
			text++;
			continue;
		}
		is_in_string ^= *text == '"';
		took = show_character(text, end, shown);
		n = strlen(shown);
		if (n >= size)
			break;
		memcpy(to, shown, n);
		to += n;
		size -= n;
		text += took;
	}
	*to = '\0';
}
