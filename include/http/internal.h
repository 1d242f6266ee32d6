/*
 * What the files of src/http share: connections and requests as the door sees them.
 * Nobody else includes this.
 */
#ifndef TALLYD_HTTP_INTERNAL_H
#define TALLYD_HTTP_INTERNAL_H

#include "base/buf.h"
#include "base/hash.h"
#include "http/server.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>

/*
 *     IDLE ──request line──► READING ──whole──► ANSWERING ──answered──► WRITING ──sent──►
 * IDLE
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
	/* It has had a request answered that not everybody may make, and has no half one
	 * lying here. */
	bool is_proven;
	bool is_told; /* why its last request came to nothing, or that it had none */
	char uri[64]; /* of the request whose headers are coming; cut */
	const char *target; /* where libmicrohttpd has it; only to be compared */
	TAILQ_ENTRY(connection) link;
};

TAILQ_HEAD(connections, connection);

struct http_request {
	struct connection *connection;
	const struct http_route *route;
	char *path_value;
	const char *method, *path; /* libmicrohttpd's; they live as long as it */
	char *target_host;         /* of an absolute request line, or NULL; owned */
	struct buf body;
	size_t counted_bytes; /* of the server's body_bytes */
	int refusal;          /* why it is answered without a handler, or 0 */
	char *sentence;       /* of the refusal; owned; NULL: err_text() */
	char allow[64];       /* of a 405 */
	bool is_suspended, is_handed;
	bool can_wait; /* a refusal: for its body, which is small and on its way */
	struct http_identity identity;
	uint64_t rights_version; /* when it was judged */
	struct delay *delay;     /* between its headers and what becomes of it, or NULL */
	bool is_ok;              /* its answer is http_answer_ok() */

	struct MHD_Response *answer; /* between being given and being queued */
	int status;
};

/* What of the headers matters here or tells who asks. */
struct headers {
	unsigned n_hosts, n_lengths, n_encodings, n_authorizations, n_origins;
	const char *host, *length, *encoding, *authorization, *origin, *fetch_site;
	bool has_odd_name;              /* one that is read in more than one way */
	bool is_forwarded, does_expect; /* 100-continue */
};

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

/* Connections without a byte. */
struct lobby {
	int epoll_fd;
	uv_poll_t poll;
	TAILQ_HEAD(guests, guest) guests; /* the longest here first */
	unsigned n;
	bool is_open;
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
	size_t body_bytes; /* of all requests under way */
	int overheard;     /* the last refusal of libmicrohttpd's that is not noted yet */

	uv_poll_t poll;     /* of MHD's epoll descriptor */
	uv_timer_t timer;   /* when MHD wants to run next */
	uv_timer_t tick;    /* deadlines */
	uint64_t ticked_ms; /* when it last ran */
	unsigned n_open_handles;
	bool is_draining;
	uint64_t drain_by_ms;
	void (*on_drained)(void *arg);
	void *on_drained_arg;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

/* answer.c */

/* A whole answer past libmicrohttpd, as far as the socket takes it, which then ends. */
void answer_raw(int fd, int code, const char *sentence);

/* Notes it with what is known of the request. NULL: err_text(); no node. */
void request_note_refusal(const struct http_request *request, int code,
	const char *sentence, const char *node);

/* Whose report it is, once that is judged, or NULL. */
const char *request_node(const struct http_request *request);

/* Queues the answer that was set. MHD_NO closes the connection. */
enum MHD_Result answer_queue(struct http_request *request) MUST_CHECK;
void answer_close_after(struct http_request *request); /* it ends the connection */
void answer_add_header(struct http_request *request, const char *name, const char *value);
void answer_drop(struct http_request *request); /* if it was never queued */

/* facts.c */
void headers_gather(struct MHD_Connection *mhd, struct headers *ret_headers);
/* What makes the request ambiguous, or NULL. */
const char *headers_mistake(const struct headers *headers, const char *version);
/* Without a route, no parameter is looked at. */
void facts_gather(const struct http_request *request, const struct headers *headers,
	struct http_facts *ret_facts);

/* delay.c */

/* Puts the connection to sleep, before its body; false if there are too many already. */
bool delay_begin(struct http_request *request, unsigned delay_ms) MUST_CHECK;
/* Wakes whose time has come, or all; their requests go on in request_on_access(). */
void delay_wake_due(struct http_server *server, bool all);
void delay_end(struct http_request *request); /* if there is one */

/* listen.c */

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

/* routes.c */

/* The route of a path, or NULL; *ret_allow: a comma list of methods if only the method is
 * wrong. */
const struct http_route *route_find(const struct http_route *routes, const char *method,
	const char *path, char **ret_value, char ret_allow[64]);

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

/* connection.c */
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
bool delivery_make_room(struct http_server *server); /* gives up a descriptor */
bool delivery_has_settled(struct http_server *server); /* no new answer is asked for */
void delivery_done(struct http_server *server);
bool peer_has_gone(int fd); /* it has closed or reset the connection */

/* request.c */
enum MHD_Result request_on_access(void *server, struct MHD_Connection *mhd,
	const char *url, const char *method, const char *version, const char *data,
	size_t *data_len, void **context);
void request_on_completed(void *server, struct MHD_Connection *mhd, void **context,
	enum MHD_RequestTerminationCode code);
void request_abandon(
	struct http_request *request); /* answers it with 503, whoever had it */

/* server.c */
void server_run(struct http_server *server);
void server_run_soon(struct http_server *server);

#endif
