/*
 * Who asks: what a request's headers and its connection tell, and the right that somebody
 * else (src/api/rights.c) makes of it. http gathers the facts before a byte of the body
 * is kept, and does as it is told; it judges nothing itself.
 */
#ifndef TALLYD_HTTP_FACTS_H
#define TALLYD_HTTP_FACTS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a route asks for, and what somebody has. ADMIN may read; neither may report. */
enum http_right { RIGHT_ANYBODY, RIGHT_REPORT, RIGHT_READ, RIGHT_ADMIN };

/* Where the connection came in. */
enum http_entrance { ENTRANCE_LISTEN, ENTRANCE_ADMIN, ENTRANCE_READ };

struct http_route;

/*
 * What whoever judges has made of the last Authorization header of a connection, so that
 * the next request with the same one need not be taken apart again. Only http_authorize
 * writes it; it is wiped when the connection ends.
 */
#define HTTP_MEMO_BYTES 256
struct http_memo {
	size_t len; /* of the header; 0: nothing is kept */
	char authorization[HTTP_MEMO_BYTES];
	const void *who;
	uint8_t hash[32];
};

/* Everything is borrowed, and lives as long as the request. */
struct http_facts {
	const struct http_route *route;
	enum http_entrance entrance;
	bool is_unix;
	bool is_local;      /* loopback or a unix socket, and forwarded by nobody */
	uint32_t peer_uid;  /* of a unix socket; UINT32_MAX: the kernel does not tell */
	const char *peer;   /* its address without the port; "unix" */
	const char *own_ip; /* the address of ours that it has reached, or "" */

	unsigned n_authorizations, n_origins;
	const char *authorization, *host, *origin, *fetch_site; /* NULL: absent */
	const char *target_host; /* of `POST http://host/observer`; NULL: only a path */

	const char *strange_param;  /* one that the route does not take, or NULL */
	const char *repeated_param; /* one that is there twice, or NULL */
	const char *(*param)(const struct http_facts *facts, const char *name);
	const void *request;    /* for `param` */
	struct http_memo *memo; /* of the connection */
};

#define HTTP_NAME_BYTES 256

/* `name`: the node of a report, else for the books: uid:1000, api_token, read_token or
 * "". */
struct http_identity {
	enum http_right right;
	char name[HTTP_NAME_BYTES];
};

/* `delay_ms`: the answer is to wait so long; well below HTTP_ANSWER_MS. */
struct http_ruling {
	struct http_identity *identity;
	struct errmsg msg; /* of a refusal; plain text, which may hold quotes */
	const char *node;  /* of a refusal: whose report it was, or NULL; borrowed, for as
			      long as the facts */
	unsigned delay_ms;
};

/*
 * Called once per request that has a route. 0, or why it is refused: ERR_UNAUTHORIZED,
 * ERR_FORBIDDEN, ERR_PARAM, ERR_NODE_DISABLED..., with its sentence. *ruling is without
 * right, sentence, node and delay before. http notes and logs the refusal.
 */
typedef int (*http_authorize)(
	void *arg, const struct http_facts *facts, struct http_ruling *ruling);

#endif
