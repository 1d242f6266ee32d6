/*
 * libmicrohttpd runs on its own epoll descriptor, which libuv polls. It runs once in a
 * turn of the loop, behind everything that was polled, so that new requests and answers
 * that have come are done in one go. We accept ourselves: with its own listener in this
 * mode, 0.9.75 stops for ever once the connection limit is reached.
 *
 * Two-phase stop: http_drain() closes the door and lets requests end, http_close() takes
 * down.
 */
#include "http/internal.h"
#include "http/path.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/timer.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The request's line and headers, and its answer's; half of it is read at a time. It is
 * cleared with each request, one and a half times. */
#define CONNECTION_MEMORY_BYTES (16u << 10)
#define SPARE_CONNECTIONS 64 /* cut ones that libmicrohttpd has not noticed yet */
#define ACCEPTS_PER_TURN 64
#define ACCEPTS_AT_FULL_DOOR 4
#define TICK_MS 250
#define QUIET_TICK_MS 1000 /* while nobody is there */
#define MANY_CLOSED 256
#define MANY_IDLE 256
#define TICKS_PER_LOOK 4
#define DRAIN_MS 3000
#define FAIR_MS 1000       /* a fair client takes less for its request */
#define STRANGERS_SHARE 16 /* of the places */

static void on_awake(uv_idle_t *awake)
{
	(void)awake; /* it is enough that the loop does not wait */
}

void server_run_soon(struct http_server *server)
{
	server->is_due = true;
	(void)uv_idle_start(&server->awake, on_awake); /* fails only without callback */
}

/* Lets libmicrohttpd do what is due, and finds out whether more is. */
void server_run(struct http_server *server)
{
	MHD_UNSIGNED_LONG_LONG timeout;

	server->is_due = false;
	server->is_running = true;
	server->n_runs++;
	server->now_ms = clock_ms();
	turn_begin(server);
	delivery_look_at_watched(server);
	(void)MHD_run(server->daemon); /* fails only in modes that we do not use */
	delivery_look_at_leaving(server, false);
	server->is_running = false;
	/* It has no deadlines of its own: now, or when its epoll descriptor says so. */
	if (MHD_get_timeout(server->daemon, &timeout) == MHD_YES)
		server_run_soon(server);
	else if (!server->is_due)
		(void)uv_idle_stop(&server->awake); /* always 0 */
}

static void run_sleepers(struct http_server *server, enum turn_place place)
{
	while (turn_wake(server, place))
		server_run(server);
}

static void on_turn(uv_check_t *turn)
{
	struct http_server *server = turn->data;

	run_sleepers(server, PLACE_FIRST);
	if (server->is_due)
		server_run(server);
	run_sleepers(server, PLACE_LAST);
	if (turn_end(server))
		server_run_soon(server);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)status; /* an epoll descriptor has no errors of its own */
	(void)events;
	((struct http_server *)poll->data)->is_due = true;
}

static void give_way(struct connection *connection)
{
	connection_cut(connection);
	server_run(connection->server);
}

static bool is_full(const struct http_server *server)
{
	return server->stats.connections + server->lobby.n >=
		server->config.max_connections;
}

/* Who sleeps has not been slow. Nor has it shown what it is, if its first request is to
 * come: see on_listener(). */
static bool may_give_way(const struct connection *connection, bool only_strangers)
{
	if (!only_strangers)
		return !connection->is_asleep;
	return !connection->is_proven &&
		!(connection->is_asleep && turn_is_newcomer(connection));
}

/* The longest in `list` that is in `state`, if for so long. */
static bool longest_gives_way(struct connections *list, enum connection_state state,
	bool only_strangers, uint64_t min_ms)
{
	uint64_t now = clock_ms();
	struct connection *connection;

	TAILQ_FOREACH (connection, list, link) {
		if (connection->is_cut || connection->state != state ||
			!may_give_way(connection, only_strangers) ||
			now - connection->since_ms < min_ms)
			continue;
		if (state == CONN_READING)
			overheard_note(connection, ERR_ALL_BUSY);
		give_way(connection);
		return true;
	}
	return false;
}

/* Then they give way to each other, however young, and take the place of nobody who is
 * proven. Fewer that come at once, as nodes do after an outage, have their fair time. */
static bool are_strangers_many(const struct http_server *server)
{
	return server->n_strangers + server->lobby.n >
		server->config.max_connections / STRANGERS_SHARE;
}

static bool stranger_gives_way(struct connections *busy)
{
	return longest_gives_way(busy, CONN_READING, true, 0) ||
		longest_gives_way(busy, CONN_WRITING, true, 0);
}

/*
 * Who gives way to a new connection: who has sent nothing, idle strangers and those that
 * have half a request lying here, who takes too long for a request or reads no answers,
 * and only then the longest idle one of those that have shown what they are: that is GOST
 * between two reports. False if all are busy.
 */
static bool make_one_give_way(struct http_server *server)
{
	struct connections *idle = &server->idle, *strangers = &server->strangers;
	bool are_too_many = are_strangers_many(server);
	uint64_t fair_ms = are_too_many ? 0 : FAIR_MS;

	return lobby_make_room(server, fair_ms) ||
		longest_gives_way(strangers, CONN_IDLE, true, fair_ms) ||
		longest_gives_way(&server->busy, CONN_READING, false, FAIR_MS) ||
		(are_too_many && stranger_gives_way(&server->busy)) ||
		longest_gives_way(idle, CONN_IDLE, false, 0) ||
		lobby_make_room(server, 0) ||
		longest_gives_way(strangers, CONN_IDLE, true, 0);
}

static bool make_room(struct http_server *server)
{
	server_run(server); /* who has brought a request along is served first */
	return !is_full(server) || make_one_give_way(server);
}

static void refuse(struct http_server *server, int fd, const struct sockaddr *peer)
{
	char text[INET6_ADDRSTRLEN];
	struct refused refused = {.code = ERR_ALL_BUSY, .peer = text};

	server->stats.refused_connections++;
	(void)peer_to_text(peer, text);
	refusals_note(&server->refusals, &refused);
	(void)close(fd); /* nothing was sent on it */
}

static void add(
	struct http_server *server, int fd, const struct sockaddr *peer, socklen_t len)
{
	if (is_full(server) && !make_room(server))
		refuse(server, fd, peer);
	else
		lobby_receive(server, fd, peer, len);
}

/* Out of descriptors, though there may be places: the listener would be ready for ever,
 * so somebody gives way, or it rests until the next tick. */
static void rest(struct listener *listener)
{
	log_limited(LOG_WARN, "connection cannot be accepted", "error=%s",
		LOG_QUOTE(strerror(errno)));
	server_run(listener->server);
	if (!delivery_make_room(listener->server) &&
		!make_one_give_way(listener->server)) {
		(void)uv_poll_stop(&listener->poll); /* always 0 */
		listener->is_paused = true;
	}
}

/* For each that comes to a full door libmicrohttpd runs once more, so that who has
 * brought a request along has shown what it is. It may have fallen asleep over it. */
static bool may_accept(const struct http_server *server, int n)
{
	return !is_full(server) ||
		(n < ACCEPTS_AT_FULL_DOOR && server->turns.n_newcomers == 0);
}

static void on_listener(uv_poll_t *poll, int status, int events)
{
	struct listener *listener = poll->data;

	(void)status; /* accept4() finds the error itself */
	(void)events;
	for (int n = 0; n < ACCEPTS_PER_TURN && may_accept(listener->server, n); n++) {
		struct sockaddr_storage peer = {0};
		socklen_t len = sizeof(peer);
		int fd = accept4(listener->fd, (struct sockaddr *)&peer, &len,
			SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
			rest(listener);
		if (fd < 0)
			break;
		if (len < sizeof(sa_family_t))
			peer.ss_family = AF_UNIX;
		add(listener->server, fd, (struct sockaddr *)&peer, len);
	}
	listener->server->is_due = true;
}

static void poll_listener(struct listener *listener)
{
	listener->is_paused = false;
	(void)uv_poll_start(
		&listener->poll, UV_READABLE, on_listener); /* open: cannot fail */
}

/* An idle one costs a system call: of many, each is looked at in one tick of four. */
static bool is_turn_of(const struct connection *connection)
{
	const struct http_server *server = connection->server;

	return connection->state != CONN_IDLE || server->stats.connections < MANY_IDLE ||
		(connection->id + server->n_ticks) % TICKS_PER_LOOK == 0;
}

static void cut_late(struct connections *list, uint64_t now)
{
	struct connection *connection, *next;

	for (connection = TAILQ_FIRST(list); connection != NULL; connection = next) {
		enum lateness lateness;

		next = TAILQ_NEXT(connection, link); /* it may change lists */
		lateness = !connection->is_cut && is_turn_of(connection)
			? connection_lateness(connection, now)
			: IN_TIME;
		if (lateness == IN_TIME)
			continue;
		log_debug("connection cut", "id=%" PRIu64 " state=%d", connection->id,
			connection->state);
		if (lateness == TOO_SLOW)
			overheard_answer(connection, ERR_TIMEOUT);
		else
			connection_cut(connection);
	}
}

/* What is left is only requests that may wait for something that ends by itself. */
static bool is_drained(struct http_server *server)
{
	const struct connection *connection;

	if (clock_ms() >= server->drain_by_ms)
		return true;
	TAILQ_FOREACH (connection, &server->busy, link)
		if (connection->request == NULL || connection->request->route == NULL ||
			(connection->request->route->flags & HTTP_MAY_WAIT) == 0)
			return false;
	return TAILQ_EMPTY(&server->idle) && TAILQ_EMPTY(&server->strangers) &&
		delivery_has_settled(server);
}

static void cut_all(struct connections *list)
{
	struct connection *connection;

	TAILQ_FOREACH (connection, list, link)
		if (!connection->is_cut)
			connection_cut(connection);
}

static void maybe_drained(struct http_server *server)
{
	void (*on_drained)(void *) = server->on_drained;

	if (on_drained == NULL)
		return;
	cut_all(&server->idle);
	cut_all(&server->strangers);
	if (!is_drained(server))
		return;
	server->on_drained = NULL;
	on_drained(server->on_drained_arg);
}

static bool is_quiet(const struct http_server *server)
{
	if (server->is_draining)
		return false;
	for (size_t i = 0; i < server->n_listeners; i++)
		if (server->listeners[i].is_paused)
			return false;
	return server->by_id == NULL && TAILQ_EMPTY(&server->leaving) &&
		TAILQ_EMPTY(&server->lobby.guests);
}

/* Each had its memory from libmicrohttpd, and what is used now lies in between. */
static void maybe_give_memory_back(struct http_server *server)
{
	if (server->most_connections < server->stats.connections + MANY_CLOSED)
		return;
	(void)malloc_trim(0); /* true if there was something */
	server->most_connections = (unsigned)server->stats.connections;
}

/* Deadlines, and a safety net: whatever libmicrohttpd may have missed is found within a
 * second. It does not run here: a turn's time would begin before the loop waits, and who
 * sleeps would be forgotten until then. */
static void on_tick(uv_timer_t *timer)
{
	struct http_server *server = timer->data;
	uint64_t now = clock_ms();
	/* Then it was us who stood still, and what is late can be answered now. */
	bool has_stalled = now - server->ticked_ms > QUIET_TICK_MS + TICK_MS;

	timer_start_aligned(timer, on_tick, is_quiet(server) ? QUIET_TICK_MS : TICK_MS);
	server->ticked_ms = now;
	server->n_ticks++;
	for (size_t i = 0; i < server->n_listeners && !server->is_draining; i++)
		if (server->listeners[i].is_paused)
			poll_listener(&server->listeners[i]);
	delay_wake_due(server, server->is_draining);
	if (!has_stalled) {
		lobby_expire(server, now);
		cut_late(&server->idle, now);
		cut_late(&server->strangers, now);
		cut_late(&server->busy, now);
	}
	server_run_soon(server);
	delivery_look_at_leaving(server, true);
	maybe_give_memory_back(server);
	maybe_drained(server);
}

/* The request line is read: from now on the whole request has its deadline. */
static void *on_request_line(void *arg, const char *uri, struct MHD_Connection *mhd)
{
	struct connection *connection = connection_of(mhd);

	(void)arg;
	if (connection == NULL || uri == NULL)
		return NULL;
	if (connection->state == CONN_IDLE)
		connection_enter(connection, CONN_READING);
	connection->target = uri;
	overheard_line(connection, uri);
	return NULL;
}

/* The parameters come first, the path last, and in place. */
static size_t unescape(void *arg, struct MHD_Connection *mhd, char *text)
{
	const struct connection *connection = connection_of(mhd);

	(void)arg;
	return connection != NULL && connection->target == text ? path_unescape(text)
								: text_unescape(text);
}

__attribute__((format(printf, 2, 0))) static void on_mhd_log(
	void *arg, const char *format, va_list args)
{
	char text[256];

	(void)vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	overheard_log(arg, text);
	log_debug("http", "message=%s", LOG_QUOTE(text));
}

static int start_daemon(struct http_server *server)
{
	static char ok_body[] = "{\"ok\":true}";
	unsigned limit = server->config.max_connections + SPARE_CONNECTIONS;

	server->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME |
			MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG,
		0, NULL, NULL, request_on_access, server, MHD_OPTION_EXTERNAL_LOGGER,
		on_mhd_log, server, MHD_OPTION_NOTIFY_COMPLETED, request_on_completed,
		server, MHD_OPTION_NOTIFY_CONNECTION, connection_on_notify, server,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
		MHD_OPTION_CONNECTION_LIMIT, limit, MHD_OPTION_URI_LOG_CALLBACK,
		on_request_line, NULL, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
		MHD_OPTION_END);
	server->ok = MHD_create_response_from_buffer(
		strlen(ok_body), ok_body, MHD_RESPMEM_PERSISTENT);
	if (server->daemon == NULL || server->ok == NULL)
		return ERR_NOMEM;
	return MHD_add_response_header(server->ok, MHD_HTTP_HEADER_CONTENT_TYPE,
		       "application/json") == MHD_YES
		? 0
		: ERR_NOMEM;
}

/* Handles are opened last: from here on only http_close() ends it. */
static int open_handles(struct http_server *server)
{
	int epoll_fd =
		MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;

	if (uv_poll_init(server->loop, &server->poll, epoll_fd) != 0)
		return ERR_NOMEM;
	(void)uv_check_init(server->loop, &server->turn); /* always 0 */
	(void)uv_idle_init(server->loop, &server->awake);
	(void)uv_timer_init(server->loop, &server->tick);
	server->poll.data = server->turn.data = server->awake.data = server;
	server->tick.data = server;
	lobby_open(server);
	server->n_open_handles = 5;
	for (size_t i = 0; i < server->n_listeners; i++) {
		struct listener *listener = &server->listeners[i];

		if (uv_poll_init(server->loop, &listener->poll, listener->fd) != 0)
			abort(); /* only for a descriptor that is none */
		listener->poll.data = listener;
		listener->is_open = true;
		server->n_open_handles++;
		poll_listener(listener);
	}
	(void)uv_poll_start(&server->poll, UV_READABLE, on_poll); /* open: cannot fail */
	(void)uv_check_start(&server->turn, on_turn);
	timer_start_aligned(&server->tick, on_tick, TICK_MS);
	return 0;
}

int http_open(uv_loop_t *loop, const struct http_config *config,
	const struct http_route *routes, void *arg, struct http_server **ret_server,
	struct errmsg *ret_msg)
{
	struct http_server *server = calloc(1, sizeof(*server));
	int code;

	if (server == NULL)
		return err_set(ret_msg, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	server->loop = loop;
	server->config = *config;
	server->routes = routes;
	server->arg = arg;
	server->next_id = config->first_connection;
	server->ticked_ms = server->now_ms = clock_ms();
	turns_init(server);
	TAILQ_INIT(&server->idle);
	TAILQ_INIT(&server->strangers);
	TAILQ_INIT(&server->busy);
	TAILQ_INIT(&server->watched);
	TAILQ_INIT(&server->leaving);
	TAILQ_INIT(&server->delays);
	code = lobby_init(server);
	if (code == 0)
		code = start_daemon(server);
	if (code != 0)
		(void)err_set(ret_msg, code, "libmicrohttpd cannot be started");
	else
		code = listen_open(server, ret_msg);
	if (code == 0 && open_handles(server) != 0)
		code = err_set(ret_msg, ERR_NOMEM, "the loop takes no more descriptors");
	if (code != 0) {
		listen_close(server);
		http_free(server);
		return code;
	}
	*ret_server = server;
	return 0;
}

static void finish_close(uv_handle_t *handle)
{
	struct http_server *server = handle->data;

	server->n_open_handles--;
	if (server->n_open_handles > 0 || server->on_closed == NULL)
		return;
	MHD_stop_daemon(server->daemon);
	server->daemon = NULL;
	delivery_done(server);
	server->on_closed(server->on_closed_arg);
}

static void finish_listener(uv_handle_t *handle)
{
	struct listener *listener = handle->data;

	handle->data = listener->server;
	finish_close(handle);
}

/* New clients are turned away by the kernel at once, not left to wait. */
static void close_door(struct http_server *server)
{
	lobby_close(server, finish_close);
	for (size_t i = 0; i < server->n_listeners; i++) {
		struct listener *listener = &server->listeners[i];

		if (listener->is_open)
			uv_close((uv_handle_t *)&listener->poll, finish_listener);
		listener->is_open = false;
	}
	listen_close(server);
}

void http_drain(struct http_server *server, void (*on_drained)(void *arg), void *arg)
{
	server->is_draining = true;
	server->drain_by_ms = clock_ms() + DRAIN_MS;
	server->on_drained = on_drained;
	server->on_drained_arg = arg;
	close_door(server);
	timer_start_aligned(&server->tick, on_tick, TICK_MS); /* it may be quiet */
}

void http_close(struct http_server *server, void (*on_closed)(void *arg), void *arg)
{
	struct connection *connection;

	server->on_drained = NULL;
	server->on_closed = on_closed;
	server->on_closed_arg = arg;
	close_door(server);
	/* libmicrohttpd aborts if it is stopped while a connection sleeps. */
	TAILQ_FOREACH (connection, &server->busy, link)
		if (connection->request != NULL && connection->request->is_suspended)
			answer_abandon(connection->request);
	turns_close(server);
	for (int i = 0; i < 3; i++)
		server_run(server); /* wake, queue, send */
	uv_close((uv_handle_t *)&server->poll, finish_close);
	uv_close((uv_handle_t *)&server->turn, finish_close);
	uv_close((uv_handle_t *)&server->awake, finish_close);
	uv_close((uv_handle_t *)&server->tick, finish_close);
}

void http_free(struct http_server *server)
{
	if (server == NULL)
		return;
	if (server->daemon != NULL)
		MHD_stop_daemon(server->daemon);
	if (server->ok != NULL)
		MHD_destroy_response(server->ok);
	delivery_done(server);
	lobby_done(server);
	free(server);
}

void http_get_stats(const struct http_server *server, struct http_stats *ret_stats)
{
	*ret_stats = server->stats;
}
