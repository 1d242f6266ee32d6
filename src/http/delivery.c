/*
 * What is known of an answer's arrival. The happy path: answer_queued(),
 * answer_written(), and the next request of the connection, which proves that it was
 * read.
 *
 * Otherwise TCP is asked: all bytes acknowledged and no reset is as good, if the peer was
 * still there when the answer was queued. A close by the peer decides at once. Where we
 * close first, its FIN or reset is still to come, so the socket is kept open beside
 * libmicrohttpd's for a while: a struct leaving.
 *
 * A unix socket tells by what the peer has not read. Once it has closed, only the
 * socket's error does, which libmicrohttpd's next read would take away: so those are
 * looked at before it runs. It does not read behind an answer that closes.
 */
#include "http/internal.h"
#include "base/clock.h"
#include "http/tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* What the peer has not acknowledged for so long, it did not get. */
#define PATIENCE_MS 500

/* A connection that we have closed, while the peer's end is still to come. */
struct leaving {
	uint64_t id;
	int fd;
	struct delivery delivery;
	TAILQ_ENTRY(leaving) link;
};

/* More of them, and the oldest is judged by what is known. */
#define MAX_LEAVING 64

struct unix_view {
	int unread; /* bytes that the peer has not read */
	bool is_open;
};

static struct unix_view unix_look(int fd)
{
	struct pollfd poll_fd = {fd, POLLRDHUP, 0};
	struct unix_view view = {0};

	view.is_open = poll(&poll_fd, 1, 0) == 0;
	(void)ioctl(fd, SIOCOUTQ, &view.unread); /* cannot fail on a socket */
	return view;
}

bool peer_has_gone(int fd)
{
	struct tcp_view view;

	return tcp_look(fd, &view) ? !view.is_open : !unix_look(fd).is_open;
}

static bool has_socket_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0;
}

static enum http_delivery wait_or_lose(const struct delivery *delivery)
{
	return clock_ms() - delivery->written_ms < PATIENCE_MS ? HTTP_UNDECIDED
							       : HTTP_LOST;
}

static enum http_delivery look_unix(const struct delivery *delivery, int fd)
{
	struct unix_view view = unix_look(fd);

	if (delivery->step != ANSWER_WRITTEN)
		return view.is_open ? HTTP_UNDECIDED : HTTP_LOST;
	if (!view.is_open)
		return has_socket_error(fd) ? HTTP_LOST : HTTP_ARRIVED;
	return view.unread == 0 ? HTTP_ARRIVED : wait_or_lose(delivery);
}

static enum http_delivery look_tcp(
	const struct delivery *delivery, const struct tcp_view *view)
{
	if (delivery->step != ANSWER_WRITTEN)
		return view->is_open ? HTTP_UNDECIDED : HTTP_LOST;
	if (view->is_over && view->received != delivery->received + 1)
		return HTTP_LOST; /* a reset: it did not read to the end */
	if (view->acked >= delivery->goal)
		return HTTP_ARRIVED;
	return view->is_over ? HTTP_LOST : wait_or_lose(delivery);
}

/* What is lost stays so: a second look at a unix socket's error would find none. */
static enum http_delivery look(struct delivery *delivery, int fd)
{
	enum http_delivery found;
	struct tcp_view view;

	if (delivery->step == ANSWER_LOST)
		return HTTP_LOST;
	found = tcp_look(fd, &view) ? look_tcp(delivery, &view) : look_unix(delivery, fd);
	if (delivery->step == ANSWER_WRITTEN && found == HTTP_LOST)
		delivery->step = ANSWER_LOST;
	return found;
}

static void tell_arrived(struct http_server *server, uint64_t id)
{
	server->config.on_delivered(server->arg, id);
}

static void unwatch(struct connection *connection)
{
	if (connection->is_watched)
		TAILQ_REMOVE(&connection->server->watched, connection, watched_link);
	connection->is_watched = false;
}

static void forget(struct connection *connection)
{
	unwatch(connection);
	connection->delivery.step = ANSWER_NONE;
}

void answer_queued(struct connection *connection, bool closes)
{
	struct delivery *delivery = &connection->delivery;
	struct tcp_view view;

	/* A send() would still succeed. */
	delivery->step = peer_has_gone(connection->fd) ? ANSWER_LOST : ANSWER_QUEUED;
	delivery->received = tcp_look(connection->fd, &view) ? view.received : 0;
	delivery->closes = closes;
}

void answer_written(struct connection *connection)
{
	struct delivery *delivery = &connection->delivery;
	struct tcp_view view;

	if (delivery->step != ANSWER_QUEUED)
		return;
	delivery->step = ANSWER_WRITTEN;
	delivery->written_ms = clock_ms();
	if (tcp_look(connection->fd, &view)) {
		delivery->goal = view.written;
	} else {
		connection->is_watched = true;
		TAILQ_INSERT_TAIL(&connection->server->watched, connection, watched_link);
	}
}

void answer_proved_by_request(struct connection *connection)
{
	if (connection->delivery.step != ANSWER_NONE)
		tell_arrived(connection->server, connection->id);
	forget(connection);
}

void delivery_look_at_watched(struct http_server *server)
{
	struct connection *connection, *next;

	for (connection = TAILQ_FIRST(&server->watched); connection != NULL;
		connection = next) {
		enum http_delivery now = look(&connection->delivery, connection->fd);

		next = TAILQ_NEXT(connection, watched_link);
		if (now == HTTP_UNDECIDED)
			continue;
		if (now == HTTP_ARRIVED)
			tell_arrived(server, connection->id);
		unwatch(connection);
	}
}

/* Whether the peer has ended it: nothing more is to come. */
static bool has_peer_ended(const struct delivery *delivery, int fd)
{
	struct tcp_view view;

	if (!tcp_look(fd, &view))
		return !unix_look(fd).is_open;
	return view.is_over || view.received > delivery->received;
}

static void drop_leaving(struct http_server *server, struct leaving *leaving)
{
	TAILQ_REMOVE(&server->leaving, leaving, link);
	server->n_leaving--;
	(void)close(leaving->fd); /* nothing is written on it any more */
	free(leaving);
}

static void judge_leaving(struct http_server *server, struct leaving *leaving)
{
	if (look(&leaving->delivery, leaving->fd) == HTTP_ARRIVED)
		tell_arrived(server, leaving->id);
	drop_leaving(server, leaving);
}

static void keep_leaving(struct connection *connection)
{
	struct http_server *server = connection->server;
	struct leaving *leaving = calloc(1, sizeof(*leaving));

	if (leaving == NULL)
		return;
	leaving->fd = fcntl(connection->fd, F_DUPFD_CLOEXEC, 0);
	if (leaving->fd < 0) {
		free(leaving);
		return;
	}
	leaving->id = connection->id;
	leaving->delivery = connection->delivery;
	TAILQ_INSERT_TAIL(&server->leaving, leaving, link);
	server->n_leaving++;
	if (server->n_leaving > MAX_LEAVING)
		judge_leaving(server, TAILQ_FIRST(&server->leaving));
}

void delivery_on_close(struct connection *connection)
{
	struct delivery *delivery = &connection->delivery;
	struct tcp_view view;
	/* Else libmicrohttpd may have read, and with that taken the error. */
	bool is_sound = delivery->closes || tcp_look(connection->fd, &view);

	if (delivery->step == ANSWER_WRITTEN) {
		if (!has_peer_ended(delivery, connection->fd))
			keep_leaving(connection);
		else if (is_sound && look(delivery, connection->fd) == HTTP_ARRIVED)
			tell_arrived(connection->server, connection->id);
	}
	forget(connection);
}

void delivery_look_at_leaving(struct http_server *server)
{
	struct leaving *leaving, *next;

	for (leaving = TAILQ_FIRST(&server->leaving); leaving != NULL; leaving = next) {
		const struct delivery *delivery = &leaving->delivery;

		next = TAILQ_NEXT(leaving, link);
		if (has_peer_ended(delivery, leaving->fd) ||
			clock_ms() - delivery->written_ms >= PATIENCE_MS)
			judge_leaving(server, leaving);
	}
}

void delivery_done(struct http_server *server)
{
	while (!TAILQ_EMPTY(&server->leaving))
		drop_leaving(server, TAILQ_FIRST(&server->leaving));
}

enum http_delivery http_delivery_of(const struct http_server *server, uint64_t id)
{
	struct connection *connection;
	struct leaving *leaving;

	HASH_FIND(hh, server->by_id, &id, sizeof(id), connection);
	if (connection != NULL)
		return look(&connection->delivery, connection->fd);
	TAILQ_FOREACH (leaving, &server->leaving, link)
		if (leaving->id == id)
			return look(&leaving->delivery, leaving->fd);
	return HTTP_LOST;
}
