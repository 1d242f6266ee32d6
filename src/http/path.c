#include "http/path.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NO_UTF8 '\xfe'

const char *path_in_target(
	const char *target, const char **ret_authority, size_t *ret_authority_len)
{
	static const char *const schemes[] = {"http://", "https://"};

	*ret_authority = NULL;
	*ret_authority_len = 0;
	for (size_t i = 0; target[0] != '/' && i < 2; i++) {
		size_t len = strlen(schemes[i]);

		if (strncasecmp(target, schemes[i], len) != 0)
			continue;
		*ret_authority = target + len;
		*ret_authority_len = strcspn(target + len, "/?");
		target += len + *ret_authority_len;
		return *target == '/' ? target : "/";
	}
	return target;
}

void path_of_target(const char *target, char *ret_path, size_t size)
{
	const char *authority;
	size_t len;
	const char *path = path_in_target(target, &authority, &len);

	(void)snprintf(ret_path, size, "%.*s", (int)strcspn(path, "?"), path);
}

/* The one byte that a `%` or a PATH_SLASH stands for, if it needs care; else 0. */
static char special(const char *at, size_t *ret_len)
{
	*ret_len = at[0] == '%' ? 3 : 1;
	if (at[0] == PATH_SLASH || strncasecmp(at, "%ff", 3) == 0)
		return NO_UTF8;
	return strncasecmp(at, "%2f", 3) == 0 ? PATH_SLASH : '\0';
}

/* What text_unescape() would make a PATH_SLASH, or a slash, of. */
static void mark(char *path)
{
	char *out = path;
	size_t len;

	for (const char *at = path; *at != '\0';) {
		char c = *at == '%' || *at == PATH_SLASH ? special(at, &len) : '\0';

		*out++ = c != '\0' ? c : *at;
		at += c != '\0' ? len : 1;
	}
	*out = '\0';
}

size_t path_unescape(char *path)
{
	static const char cared_for[] = {'%', PATH_SLASH, '\0'};
	size_t len = strcspn(path, cared_for);

	if (path[len] == '\0')
		return len;
	mark(path);
	return text_unescape(path);
}

void path_restore(char *value)
{
	for (char *at = value; *at != '\0'; at++)
		if (*at == PATH_SLASH)
			*at = '/';
}
