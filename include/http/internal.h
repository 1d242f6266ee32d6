/*
 * The server itself, as the files of src/http share it. Nobody else includes this, nor
 * the three headers of its parts.
 */
#ifndef TALLYD_HTTP_INTERNAL_H
#define TALLYD_HTTP_INTERNAL_H

#include "http/connection.h"
#include "http/listen.h"
#include "http/request.h"
#include "http/server.h"

/* Connections without a byte. */
struct lobby {
	int epoll_fd;
	uv_poll_t poll;
	TAILQ_HEAD(guests, guest) guests; /* the longest here first */
	unsigned n;
	bool is_open;
};

/* See turn.c. */
struct turns {
	uint64_t number;   /* of the loop's turn */
	uint64_t began_us; /* when libmicrohttpd first ran in it; 0: not yet */
	bool has_woken[PLACES];
	uint64_t n_came;                   /* to sleep, ever */
	struct connections asleep[PLACES]; /* in the order in which they came */
	unsigned n_newcomers; /* of them: they have not shown yet what they are */
};

struct http_server {
	uv_loop_t *loop;
	struct http_config config;
	const struct http_route *routes;
	void *arg;
	struct MHD_Daemon *daemon;
	struct MHD_Response *ok; /* {"ok":true}, shared by all answers */
	struct listener listeners[MAX_LISTENERS + MAX_EXTRA_LISTENERS];
	size_t n_listeners;
	struct lobby lobby;
	/* Idle, the longest first: those that have shown what they are, and strangers. */
	struct connections idle, strangers, busy;
	unsigned n_strangers; /* also those that are sending a request */
	struct connections watched;
	TAILQ_HEAD(delays, delay) delays;
	unsigned n_delays;
	struct connection *by_id;
	TAILQ_HEAD(leaving_list, leaving) leaving;
	size_t n_leaving;
	struct http_stats stats;
	struct refusals refusals;
	uint64_t next_id;
	uint64_t body_memory; /* of all requests under way */
	int overheard; /* the last refusal of libmicrohttpd's that is not noted yet */

	uv_poll_t poll;     /* of MHD's epoll descriptor */
	uv_check_t turn;    /* MHD runs here, if is_due */
	uv_idle_t awake;    /* keeps the loop from waiting */
	uv_timer_t tick;    /* deadlines */
	uint64_t ticked_ms; /* when it last ran */
	uint64_t n_ticks;
	unsigned most_connections; /* since memory was given back */
	bool is_due, is_running;
	uint64_t n_runs;
	struct turns turns;
	uint64_t now_ms; /* clock_ms() as of the run, for deadlines of connections */
	unsigned n_open_handles;
	bool is_draining;
	uint64_t drain_by_ms;
	void (*on_drained)(void *arg);
	void *on_drained_arg;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

/* lobby.c */
int lobby_init(struct http_server *server) MUST_CHECK; /* 0 or ERR_NOMEM */
void lobby_done(struct http_server *server);
void lobby_open(struct http_server *server); /* opens one handle */
void lobby_close(struct http_server *server, uv_close_cb on_closed);
/* Takes the descriptor. */
void lobby_receive(
	struct http_server *server, int fd, const struct sockaddr *peer, socklen_t len);
/* The longest goes, if it is here for so long. */
bool lobby_make_room(struct http_server *server, uint64_t min_ms);
void lobby_expire(struct http_server *server, uint64_t now);

/* turn.c */
void turns_init(struct http_server *server);
/* Whether a request may begin. False: its connection sleeps, and it comes again. */
bool turn_takes_request(struct connection *connection, const char *url) MUST_CHECK;
void turn_took_bytes(struct connection *connection); /* of a body; it may sleep, too */
void turn_leave(struct connection *connection);      /* wakes it, if it sleeps */
bool turn_is_newcomer(const struct connection *connection); /* its first has not begun */
void turn_begin(struct http_server *server);                /* if it has not */
/* Some of those that slept before this turn. False: none, or its time is used up. */
bool turn_wake(struct http_server *server, enum turn_place place);
bool turn_end(struct http_server *server);    /* true: somebody sleeps */
void turns_close(struct http_server *server); /* who sleeps is woken, and cut */

/* server.c */
void server_run(struct http_server *server);      /* at once */
void server_run_soon(struct http_server *server); /* at the end of the loop turn */

#endif
