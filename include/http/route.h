/* What is served: a table of paths, each with the right that it asks for. */
#ifndef TALLYD_HTTP_ROUTE_H
#define TALLYD_HTTP_ROUTE_H

#include "http/facts.h"

struct http_request;
typedef void (*http_handler)(void *arg, struct http_request *request);

enum http_route_flags {
	HTTP_MAY_WAIT = 1,     /* the answer may take longer than HTTP_ANSWER_MS */
	HTTP_ANSWERS_LESS = 2, /* on loopback it answers less to who has no right */
	HTTP_LIKE_READ = 4,    /* while reading needs no right, this needs none either */
};

/* Only reports have larger bodies. */
#define HTTP_SMALL_BODY_BYTES (64u << 10)

/* Every complete request is answered within this time, or its connection closed. */
#define HTTP_ANSWER_MS 2000

/* `path` may hold one `{}`, which stands for one or more characters. A table ends with
 * path NULL. `params`: those of the query that it takes, comma between; NULL: none.
 * `data` is the handler's own. */
struct http_route {
	const char *method, *path;
	http_handler handler;
	enum http_right right;
	unsigned flags;
	const char *params;
	const void *data;
};

/* The route of a path, or NULL; *ret_allow: a comma list of methods if only the method is
 * wrong. *ret_value, owned, is what `{}` stands for; NULL if memory is short. */
const struct http_route *route_find(const struct http_route *routes, const char *method,
	const char *path, char **ret_value, char ret_allow[64]);

#endif
