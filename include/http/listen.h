/*
 * The sockets that are listened on: `listen`, admin_socket and read_socket. Inside
 * src/http only.
 */
#ifndef TALLYD_HTTP_LISTEN_H
#define TALLYD_HTTP_LISTEN_H

#include "base/err.h"
#include "http/facts.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

struct http_server;

#define MAX_LISTENERS 8       /* of config.listen */
#define MAX_EXTRA_LISTENERS 2 /* admin_socket and read_socket */

struct listener {
	struct http_server *server;
	uv_poll_t poll;
	int fd;
	char *unlink_path; /* of a unix socket */
	enum http_entrance entrance;
	bool is_open, is_paused;
};

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

/* One address of `listen`. 0 or ERR_LISTEN. */
int listen_parse(const char *text, union address *ret_address, socklen_t *ret_len,
	struct errmsg *msg) MUST_CHECK;

/* Calls `use` for each address of the list, until one is not 0. */
int listen_for_each(const char *list,
	int (*use)(void *arg, const char *text, struct errmsg *msg), void *arg,
	struct errmsg *msg) MUST_CHECK;

/* Binds all of config.listen, and the two sockets. 0, ERR_LISTEN or ERR_NOMEM. */
int listen_open(struct http_server *server, struct errmsg *msg) MUST_CHECK;
void listen_close(struct http_server *server); /* descriptors and socket files */

#endif
