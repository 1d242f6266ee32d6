/*
 * A connection as the door sees it: its state and deadlines (connection.c), what is known
 * of its last answer's arrival (delivery.c), and what libmicrohttpd refuses on it by
 * itself (overheard.c). Inside src/http only.
 */
#ifndef TALLYD_HTTP_CONNECTION_H
#define TALLYD_HTTP_CONNECTION_H

#include "base/err.h"
#include "base/hash.h"
#include "http/facts.h"
#include "http/tcp.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

struct http_server;
struct http_request;

/*
 *     IDLE ──its line──► READING ──whole──► ANSWERING ──answered──► WRITING ──► IDLE
 *
 * Each state has its deadline; a connection past it is cut.
 */
enum connection_state { CONN_IDLE, CONN_READING, CONN_ANSWERING, CONN_WRITING };

/* Of the last http_answer_ok(). LOST: it cannot arrive any more. */
enum answer_step { ANSWER_NONE, ANSWER_QUEUED, ANSWER_WRITTEN, ANSWER_LOST };

struct answer {
	enum answer_step step;
	uint64_t received, written; /* TCP, when it was queued: before it */
	uint64_t written_ms;        /* when the kernel had all of it */
};

struct connection {
	struct http_server *server;
	struct MHD_Connection *mhd;
	struct http_request *request; /* the one under way, or NULL */
	int fd;
	uint64_t id;
	UT_hash_handle hh; /* by id */
	struct answer answer;
	struct tcp_view view; /* as of the run `viewed_run` */
	uint64_t viewed_run;
	bool is_watched; /* a unix socket whose peer may read the answer any time */
	TAILQ_ENTRY(connection) watched_link;
	enum connection_state state;
	uint64_t since_ms;         /* when the state began */
	uint64_t partial_since_ms; /* IDLE: when the first bytes of a request were seen,
				      or 0 */
	uint64_t received_bytes; /* IDLE: what TCP had received when it began; 0: unix */
	bool is_loopback, is_unix; /* a unix socket is loopback, too */
	enum http_entrance entrance;
	uint32_t peer_uid;
	char peer[INET6_ADDRSTRLEN], own_ip[INET6_ADDRSTRLEN];
	struct http_memo memo;
	bool is_cut; /* shut down by us: what still arrives is not accepted */
	/* It has had a request answered that not everybody may make, which did not come
	 * together with others, and has no half one lying here. */
	bool is_proven;
	/* See turn.c. */
	enum turn_place { PLACE_FIRST, PLACE_LAST, PLACES } place;
	bool is_asleep, is_hasty, was_woken, is_first;
	uint64_t came, slept_turn, begun_turn;
	uint64_t ended_run; /* of libmicrohttpd, in which its last request ended; or 0 */
	TAILQ_ENTRY(connection) turn_link;
	bool is_told; /* why its last request came to nothing, or that it had none */
	char uri[64]; /* of the request whose headers are coming; cut */
	const char *target; /* where libmicrohttpd has it; only to be compared */
	TAILQ_ENTRY(connection) link;
};

TAILQ_HEAD(connections, connection);

/* connection.c */
/* The address alone; "" for a family that is none of ours. True if it is loopback. */
bool peer_to_text(const struct sockaddr *address, char ret_text[INET6_ADDRSTRLEN]);
void connection_set_proven(struct connection *connection, bool is_proven);
void connection_enter(struct connection *connection, enum connection_state state);
void connection_cut(struct connection *connection);
void connection_on_notify(void *server, struct MHD_Connection *mhd, void **context,
	enum MHD_ConnectionNotificationCode code);
struct connection *connection_of(struct MHD_Connection *mhd); /* NULL: memory was short */
/* TOO_SLOW: in the middle of a request. */
enum lateness { IN_TIME, TOO_SLOW, TOO_LATE };
enum lateness connection_lateness(struct connection *connection, uint64_t now);

/* delivery.c */
void answer_queued(struct connection *connection);
void answer_written(struct connection *connection);
void answer_proved_by_request(struct connection *connection);
void delivery_on_close(struct connection *connection);
void delivery_look_at_watched(struct http_server *server); /* before MHD_run() */
void delivery_look_at_leaving(struct http_server *server, bool looks_at_all);
bool delivery_make_room(struct http_server *server);   /* gives up a descriptor */
bool delivery_has_settled(struct http_server *server); /* no new answer is asked for */
void delivery_done(struct http_server *server);
bool peer_has_gone(int fd); /* it has closed or reset the connection */

/* overheard.c: what libmicrohttpd refuses by itself. */
void overheard_line(struct connection *connection, const char *uri);
void overheard_log(struct http_server *server, const char *text);
/* A request has ended that was never handed over; `code` as libmicrohttpd has it. */
void overheard_end(struct connection *connection, enum MHD_RequestTerminationCode code);
void overheard_close(struct connection *connection);
/* A request under way that ends here, with what is known of it. */
void overheard_note(struct connection *connection, int code);
/* The same, answered past libmicrohttpd, and the connection is cut. */
void overheard_answer(struct connection *connection, int code);

#endif
