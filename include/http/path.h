/* The target of a request line, taken apart and made even. */
#ifndef TALLYD_HTTP_PATH_H
#define TALLYD_HTTP_PATH_H

#include <stddef.h>

/* Stands in a decoded path for a slash that was sent as %2F: it belongs to a value and
 * separates nothing. No UTF-8 holds this byte. */
#define PATH_SLASH '\xff'

/*
 * The path of a target as it came, which may be absolute (`http://host:3000/observer`,
 * RFC 9112, 3.2.2), or NULL if it is none. *ret_authority is then where the host begins,
 * up to the path, else NULL.
 */
const char *path_in_target(
	const char *target, const char **ret_authority, size_t *ret_authority_len);

/* For a log: the path without authority and query, cut. */
void path_of_target(const char *target, char *ret_path, size_t size);

/* Decodes %XX in place, with PATH_SLASH. Returns the length. */
size_t path_unescape(char *path);

/* Puts the slashes of a value back, in place. */
void path_restore(char *value);

#endif
