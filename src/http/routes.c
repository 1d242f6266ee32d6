#include "http/internal.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX "/api/gost"

static const char *without_prefix(const char *path)
{
	size_t len = strlen(PREFIX);

	return strncmp(path, PREFIX "/", len + 1) == 0 ? path + len : path;
}

/* Whether the path has the pattern's shape; then where its value lies. */
static bool matches(
	const char *pattern, const char *path, const char **ret_value, size_t *ret_len)
{
	const char *hole = strstr(pattern, "{}");
	size_t head, tail, len = strlen(path);

	*ret_value = path;
	*ret_len = 0;
	if (hole == NULL)
		return strcmp(pattern, path) == 0;
	head = (size_t)(hole - pattern);
	tail = strlen(hole + 2);
	if (len <= head + tail || strncmp(pattern, path, head) != 0 ||
		strcmp(hole + 2, path + len - tail) != 0)
		return false;
	*ret_value = path + head;
	*ret_len = len - head - tail;
	return true;
}

/* HEAD is GET whose body libmicrohttpd leaves out. */
static bool allows(const struct http_route *route, const char *method)
{
	return strcmp(route->method, method) == 0 ||
		(strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static void add_allowed(char allow[64], const char *method)
{
	size_t len = strlen(allow);

	if (len + strlen(method) + 8 < 64) {
		(void)strcpy(allow + len, len > 0 ? ", " : "");
		(void)strcat(allow, method);
		if (strcmp(method, "GET") == 0)
			(void)strcat(allow, ", HEAD");
	}
}

const struct http_route *route_find(const struct http_route *routes, const char *method,
	const char *path, char **ret_value, char ret_allow[64])
{
	const char *value;
	size_t len;

	ret_allow[0] = '\0';
	path = without_prefix(path);
	for (const struct http_route *route = routes; route->path != NULL; route++) {
		if (!matches(route->path, path, &value, &len))
			continue;
		if (allows(route, method)) {
			*ret_value = strndup(value, len);
			return *ret_value != NULL ? route : NULL;
		}
		add_allowed(ret_allow, route->method);
	}
	return NULL;
}
