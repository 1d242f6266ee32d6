#include "http/route.h"
#include "http/path.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX "/api/gost"

/* Where `path` goes on behind `literal`, or NULL. A slash stands for one or more. */
static const char *behind(const char *path, const char *literal, size_t len)
{
	for (const char *end = literal + len; literal < end; literal++) {
		if (*path++ != *literal)
			return NULL;
		while (*literal == '/' && *path == '/')
			path++;
	}
	return path;
}

/* Where what stands before `literal` ends, if path..end ends with that; else NULL. */
static const char *before(const char *path, const char *end, const char *literal)
{
	for (const char *at = literal + strlen(literal); at > literal;) {
		if (end == path || *--end != *--at)
			return NULL;
		while (*at == '/' && end > path && end[-1] == '/')
			end--;
	}
	return end;
}

static const char *without_prefix(const char *path)
{
	const char *rest = behind(path, PREFIX, strlen(PREFIX));

	return rest != NULL && *rest == '/' ? rest : path;
}

/* Without slashes at the end, but the first. */
static const char *end_of(const char *path)
{
	const char *end = path + strlen(path);

	while (end > path + 1 && end[-1] == '/')
		end--;
	return end;
}

/* Whether path..end has the pattern's shape; then where its value lies. */
static bool matches(const char *pattern, const char *path, const char *end,
	const char **ret_value, size_t *ret_len)
{
	const char *hole = strstr(pattern, "{}"), *value_end;

	*ret_value = path;
	*ret_len = 0;
	if (hole == NULL) {
		path = behind(path, pattern, strlen(pattern));
		return path != NULL && path >= end;
	}
	path = behind(path, pattern, (size_t)(hole - pattern));
	value_end = path != NULL ? before(path, end, hole + 2) : NULL;
	if (value_end == NULL || value_end <= path)
		return false;
	*ret_value = path;
	*ret_len = (size_t)(value_end - path);
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
	const char *value, *end;
	size_t len;

	ret_allow[0] = '\0';
	path = without_prefix(path);
	end = end_of(path);
	for (const struct http_route *route = routes; route->path != NULL; route++) {
		if (!matches(route->path, path, end, &value, &len))
			continue;
		if (allows(route, method)) {
			*ret_value = strndup(value, len);
			if (*ret_value != NULL)
				path_restore(*ret_value);
			return route;
		}
		add_allowed(ret_allow, route->method);
	}
	return NULL;
}
