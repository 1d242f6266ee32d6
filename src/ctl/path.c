#include "ctl/path.h"
#include "ctl/mem.h"

#include <stdbool.h>
#include <string.h>

static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') || (c != '\0' && strchr("-._~", c) != NULL);
}

char *path_make(const char *before, const char *name, const char *after)
{
	static const char digits[] = "0123456789ABCDEF";
	char *path = mem_alloc(strlen(before) + 3 * strlen(name) + strlen(after) + 1);
	char *out = stpcpy(path, before);

	for (const char *at = name; *at != '\0'; at++) {
		unsigned char byte = (unsigned char)*at;

		if (is_unreserved(*at)) {
			*out++ = *at;
			continue;
		}
		*out++ = '%';
		*out++ = digits[byte >> 4];
		*out++ = digits[byte & 15];
	}
	(void)strcpy(out, after); /* fits: see above */
	return path;
}
