#include "ctl/term.h"
#include "base/text.h"
#include "ctl/mem.h"

#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

#define ESCAPED_BYTES sizeof("\\uNNNN")

void term_init(void)
{
	/* Whatever the user's locale is, names are UTF-8. Without it every character
	 * counts one. */
	(void)setlocale(LC_CTYPE, "C.UTF-8");
}

/* The length of the clean character at `at`, which is not the end; 0 if there is none. */
static size_t char_length(const char *at)
{
	size_t left = strnlen(at, 4);

	for (size_t n = 1; n <= left; n++)
		if (text_is_clean(at, n))
			return n;
	return 0;
}

static uint32_t decode(const char *at, size_t n)
{
	static const uint8_t first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t c = (uint8_t)at[0] & first_bits[n];

	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((uint8_t)at[i] & 0x3f);
	return c;
}

/* What turns the direction of writing, or breaks lines. */
static bool is_misleading(uint32_t c)
{
	return c == 0x61c || (c >= 0x200e && c <= 0x200f) ||
		(c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static char *make_safe(const char *text, const char *allowed)
{
	char *safe = mem_alloc(strlen(text) * (ESCAPED_BYTES - 1) + 1);
	char *out = safe;

	for (const char *at = text; *at != '\0';) {
		size_t n = char_length(at);
		uint32_t c = n > 0 ? decode(at, n) : (uint8_t)*at;

		if (n > 0 && is_misleading(c)) {
			out += sprintf(out, "\\u%04x", (unsigned)c);
		} else if (n > 0 || strchr(allowed, *at) != NULL) {
			n = n > 0 ? n : 1;
			out = (char *)mempcpy(out, at, n);
		} else {
			out += sprintf(out, "\\x%02x", (unsigned)c);
			n = 1;
		}
		at += n;
	}
	*out = '\0';
	return safe;
}

char *term_safe(const char *text)
{
	return make_safe(text, "");
}

char *term_safe_lines(const char *text)
{
	return make_safe(text, "\n\t");
}

size_t term_width(const char *text)
{
	size_t width = 0;

	for (const char *at = text; *at != '\0';) {
		size_t n = char_length(at);
		int columns = n > 0 ? wcwidth((wchar_t)decode(at, n)) : 1;

		width += columns >= 0 ? (size_t)columns : 1;
		at += n > 0 ? n : 1;
	}
	return width;
}
