/*
 * A connection and its deadlines. libmicrohttpd's own timeout does not see a client that
 * sends a byte now and then, and never sees a suspended one; so each state is timed here.
 */
#define HASH_NONFATAL_OOM 1
#include "base/clock.h"
#include "http/internal.h"
#include "http/tcp.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

/* Answering is cut a little early, so that with the tick's grain HTTP_ANSWER_MS is kept.
 */
#define ANSWER_CUT_MS (HTTP_ANSWER_MS - 500)

/* What lies behind a request is read by then, though its client has closed its side. */
#define GONE_IDLE_MS 250

bool peer_to_text(const struct sockaddr *address, char ret_text[INET6_ADDRSTRLEN])
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
	const struct sockaddr_in6 *in6 =
		(const struct sockaddr_in6 *)(const void *)address;

	ret_text[0] = '\0';
	if (address->sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &in->sin_addr, ret_text, INET6_ADDRSTRLEN);
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	}
	if (address->sa_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &in6->sin6_addr, ret_text, INET6_ADDRSTRLEN);
		return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	}
	if (address->sa_family == AF_UNIX)
		(void)strcpy(ret_text, "unix");
	return address->sa_family == AF_UNIX;
}

/* A unix socket tells its path, and who is on the other side. */
static void read_unix(struct connection *connection, const struct sockaddr_un *own)
{
	const struct http_server *server = connection->server;
	struct ucred peer;
	socklen_t len = sizeof(peer);

	connection->peer_uid =
		getsockopt(connection->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0
		? peer.uid
		: UINT32_MAX;
	for (size_t i = 0; i < server->n_listeners; i++)
		if (server->listeners[i].unlink_path != NULL &&
			strcmp(server->listeners[i].unlink_path, own->sun_path) == 0)
			connection->entrance = server->listeners[i].entrance;
}

static void read_addresses(struct connection *connection, const struct sockaddr *peer)
{
	union {
		struct sockaddr any;
		struct sockaddr_un un;
		struct sockaddr_storage storage;
	} own = {.storage = {0}};
	socklen_t len = sizeof(own) - 1; /* a path is terminated, whatever its length */

	connection->is_unix = peer->sa_family == AF_UNIX;
	connection->is_loopback = peer_to_text(peer, connection->peer);
	if (getsockname(connection->fd, &own.any, &len) != 0)
		return;
	if (connection->is_unix)
		read_unix(connection, &own.un);
	else
		(void)peer_to_text(&own.any, connection->own_ip);
}

/* Bytes that TCP has received; 0 on a unix socket. */
static uint64_t received_bytes(const struct connection *connection)
{
	struct tcp_view view;

	return !connection->is_unix && tcp_look(connection->fd, &view) ? view.received
								       : 0;
}

/* Nothing has come since its last answer was queued, or that is of the next request. */
static bool knows_received(const struct connection *connection)
{
	return connection->answer.step == ANSWER_WRITTEN && !connection->is_watched;
}

static struct connections *list_of(const struct connection *connection)
{
	struct http_server *server = connection->server;

	if (connection->state != CONN_IDLE)
		return &server->busy;
	return connection->is_proven ? &server->idle : &server->strangers;
}

/* One that may be sending a request, or reading its answer, for ever. */
static bool is_waiting_stranger(const struct connection *connection)
{
	return !connection->is_proven && connection->state != CONN_ANSWERING;
}

static void leave_list(struct connection *connection)
{
	TAILQ_REMOVE(list_of(connection), connection, link);
	connection->server->n_strangers -= is_waiting_stranger(connection) ? 1 : 0;
}

static void enter_list(struct connection *connection)
{
	TAILQ_INSERT_TAIL(list_of(connection), connection, link);
	connection->server->n_strangers += is_waiting_stranger(connection) ? 1 : 0;
}

/* Among the idle it goes to the end of its new list. */
void connection_set_proven(struct connection *connection, bool is_proven)
{
	if (connection->is_proven == is_proven)
		return;
	leave_list(connection);
	connection->is_proven = is_proven;
	enter_list(connection);
}

void connection_enter(struct connection *connection, enum connection_state state)
{
	leave_list(connection);
	connection->state = state;
	connection->since_ms = connection->server->now_ms;
	if (state == CONN_IDLE) {
		connection->partial_since_ms = 0;
		connection->received_bytes = knows_received(connection)
			? connection->answer.received
			: received_bytes(connection);
	}
	enter_list(connection);
}

void connection_cut(struct connection *connection)
{
	connection->is_cut = true;
	(void)shutdown(connection->fd, SHUT_RDWR); /* if it fails, it is gone already */
	turn_leave(connection); /* libmicrohttpd does not see it while it sleeps */
}

static void started(
	struct http_server *server, struct MHD_Connection *mhd, void **context)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	const struct sockaddr *peer;

	*context = NULL;
	if (connection == NULL)
		return;
	connection->id = server->next_id++;
	HASH_ADD(hh, server->by_id, id, sizeof(connection->id), connection);
	if (!HASH_IS_ADDED(connection)) {
		free(connection);
		return;
	}
	*context = connection;
	connection->server = server;
	connection->mhd = mhd;
	connection->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)
				 ->connect_fd;
	peer = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)
		       ->client_addr;
	read_addresses(connection, peer);
	connection->since_ms = clock_ms();
	connection->partial_since_ms = connection->since_ms; /* see lobby.c */
	enter_list(connection);
	server->stats.connections++;
	if (server->stats.connections > server->most_connections)
		server->most_connections = (unsigned)server->stats.connections;
}

void connection_on_notify(void *server, struct MHD_Connection *mhd, void **context,
	enum MHD_ConnectionNotificationCode code)
{
	struct http_server *self = server;
	struct connection *connection = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		started(self, mhd, context);
	} else if (connection != NULL) {
		delivery_on_close(connection);
		overheard_close(connection);
		HASH_DEL(self->by_id, connection);
		leave_list(connection);
		self->stats.connections--;
		explicit_bzero(&connection->memo, sizeof(connection->memo));
		free(connection);
		*context = NULL;
	}
}

struct connection *connection_of(struct MHD_Connection *mhd)
{
	return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
		->socket_context;
}

/*
 * Idle for us may be in mid-header for the client: bytes have come, but no request yet.
 * On a unix socket nothing tells of a second request, and only the idle timeout ends it.
 */
static enum lateness lateness_of_idle(struct connection *connection, uint64_t now)
{
	const struct http_config *config = &connection->server->config;
	uint64_t age = now - connection->since_ms;
	struct tcp_view view = {0};
	bool is_tcp = !connection->is_unix && tcp_look(connection->fd, &view);

	if (connection->partial_since_ms == 0 &&
		view.received > connection->received_bytes) {
		connection->partial_since_ms = now;
		connection_set_proven(connection, false);
	}
	/* libmicrohttpd 0.9.75 waits on for the rest of a request, and does not see a
	 * FIN that came together with a whole one. */
	if ((connection->partial_since_ms != 0 || age >= GONE_IDLE_MS) &&
		(is_tcp ? !view.is_open : peer_has_gone(connection->fd)))
		return TOO_LATE;
	if (connection->partial_since_ms != 0 &&
		now - connection->partial_since_ms >= config->request_timeout_ms)
		return TOO_SLOW;
	return age >= config->idle_timeout_ms ? TOO_LATE : IN_TIME;
}

enum lateness connection_lateness(struct connection *connection, uint64_t now)
{
	const struct http_request *request = connection->request;
	uint64_t age = now - connection->since_ms;
	bool is_over = age >= connection->server->config.request_timeout_ms;

	if (connection->is_asleep)
		return IN_TIME; /* it is us who are late */
	switch (connection->state) {
	case CONN_IDLE:
		return lateness_of_idle(connection, now);
	case CONN_ANSWERING:
		if (request->is_worked_on)
			break;
		/* A delay has an end of its own, and the answer comes behind it. */
		return age >= ANSWER_CUT_MS && request->delay == NULL &&
				(request->route->flags & HTTP_MAY_WAIT) == 0
			? TOO_LATE
			: IN_TIME;
	case CONN_READING:
		/* libmicrohttpd 0.9.75 waits on for the rest of a request. */
		if (peer_has_gone(connection->fd))
			return TOO_LATE;
		return is_over ? TOO_SLOW : IN_TIME;
	case CONN_WRITING:
		break;
	}
	return is_over ? TOO_LATE : IN_TIME;
}
