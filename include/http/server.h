/*
 * The door: libmicrohttpd inside the loop, with our own listening sockets, limits and
 * deadlines.
 *
 * A request reaches its handler whole, body included, or not at all: what is too large,
 * malformed or unroutable is answered here. A handler answers at once or later; answers
 * of one connection keep their order. A client that is silent, slow, or does not read is
 * closed by deadline and holds nobody up. `MHD_*` is seen only in src/http.
 */
#ifndef TALLYD_HTTP_SERVER_H
#define TALLYD_HTTP_SERVER_H

#include "base/delivery.h"
#include "base/err.h"
#include "http/refusals.h"
#include "http/route.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct http_config {
	const char *listen; /* addresses, separated by commas; borrowed, as all text */
	const char *admin_socket, *read_socket; /* paths, or NULL */
	size_t max_body_bytes;
	/* For all large bodies that are under way, each of which counts four times: what
	 * is made of it takes as much as that. One is always taken. */
	uint64_t max_body_memory;
	unsigned max_connections; /* when full, the longest idle one gives way */
	uint64_t idle_timeout_ms;
	uint64_t request_timeout_ms;
	uint64_t first_connection; /* the id of the first one; they count up */
	http_authorize authorize;  /* gets the handlers' `arg`, as the next two do */
	/* Who sends what is refused before it has a route: its node, or NULL; for the
	 * log. The facts are without a route. */
	const char *(*sender)(void *arg, const struct http_facts *facts);
	/* Another number whenever that may decide otherwise than before: a request that
	 * was allowed by its headers is judged again, once its body is there. */
	uint64_t (*rights_version)(void *arg);
	/* The answer_ok to the last request of that connection has arrived. Gets the
	 * handlers' `arg`. */
	void (*on_delivered)(void *arg, uint64_t connection);
};

/* Sockets that may be open beside those of connections, to see their peers' end. */
#define HTTP_MAX_LEAVING 1024

struct http_server;

/* Checks `listen` alone: for --check-config. 0 or ERR_LISTEN, ERR_NOMEM. */
int http_check_listen(const char *listen, struct errmsg *ret_msg) MUST_CHECK;

/*
 * Binds every address and begins to serve `routes` with `arg`; all are borrowed until
 * http_free(). 0, or ERR_LISTEN, ERR_NOMEM, with the sentence in `ret_msg`.
 */
int http_open(uv_loop_t *loop, const struct http_config *config,
	const struct http_route *routes, void *arg, struct http_server **ret_server,
	struct errmsg *ret_msg) MUST_CHECK;

/* Two-phase stop: no new connections, requests under way are answered; then on_drained,
 * once. */
void http_drain(struct http_server *server, void (*on_drained)(void *arg), void *arg);
void http_close(struct http_server *server, void (*on_closed)(void *arg), void *arg);
void http_free(struct http_server *server);

/* What a handler may ask; all borrow from the request, which lives until it is answered.
 */
const char *http_body(const struct http_request *request, size_t *ret_len);
const char *http_param(
	const struct http_request *request, const char *name); /* NULL: absent */
const char *http_header(
	const struct http_request *request, const char *name); /* NULL: absent */
const char *http_path_value(
	const struct http_request *request); /* what `{}` stood for, or "" */
const struct http_identity *http_identity(const struct http_request *request);
const void *http_route_data(const struct http_request *request);
/* The address that it came from, without the port, or "unix". */
const char *http_peer(const struct http_request *request);
void *http_handlers_arg(const struct http_request *request);
/* Counts up from http_config.first_connection. */
uint64_t http_connection_id(const struct http_request *request);
/* Of the whole server. */
const struct refusals *http_refusals(const struct http_request *request);

/*
 * Answers, once; the request is gone afterwards. `body` is copied unless it is one of the
 * constant answers. The connection may have ended meanwhile: then the answer goes
 * nowhere, silently.
 */
void http_answer_json(struct http_request *request, int status, const char *body);
void http_answer_ok(struct http_request *request); /* 200 {"ok":true} */
void http_answer_empty(struct http_request *request, int status);

/* {"ok":false,"code":"<err_word()>","error":"<sentence>"} with err_http_status(); NULL:
 * err_text(). To a report 401 and 503 are empty, which keeps the connection of Go's
 * client. Noted as a refusal, but for what only tells how things stand (ERR_NOT_FOUND,
 * ERR_CONFLICT, ERR_KEY_REUSED of a handler). */
void http_answer_error(struct http_request *request, int code, const char *sentence);

/*
 * Looks at the last http_answer_ok() of a connection, which may be gone. LOST: its client
 * has gone before or without reading it, or has not acknowledged it for 500 ms, or
 * nothing is known of it. While a request is under way: UNDECIDED, or LOST if its client
 * has gone.
 */
enum delivery http_delivery_of(const struct http_server *server, uint64_t connection);

/*
 * The handler works on it for longer: until http_work_ended() its deadline is
 * request_timeout; HTTP_ANSWER_MS begins then. The body has been dealt with, and is gone;
 * the right to ask is judged again, if rights have changed. False: it has been taken
 * away, and the request is answered.
 */
void http_work_begins(struct http_request *request);
bool http_work_ended(struct http_request *request) MUST_CHECK;

struct http_stats {
	size_t connections;
	uint64_t requests, refused_connections;
};
void http_get_stats(const struct http_server *server, struct http_stats *ret_stats);

#endif
