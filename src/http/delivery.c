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
 * A unix socket tells by what the peer has not read, which is better: nothing unread is
 * proof. A peer that closes with something unread leaves an error in the socket; but
 * libmicrohttpd's next read takes that away, so it is looked at before, and the answer
 * ends the connection, behind which nothing is read.
 */
#include "http/internal.h"
#include "base/clock.h"
#include "http/tcp.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* What the peer has not acknowledged, or read from a unix socket, for so long, it did not
 * get. */
#define PATIENCE_MS 500

/* How long the peer's end may take after ours. Most come at once, so only the newest are
 * looked at in each turn: those that nobody reads cost nothing but their place. */
#define LEAVING_MS 2000
#define YOUNG_MS 20
#define LOOKS_PER_TURN 8

/* A connection that we have closed, while the peer's end is still to come. */
struct leaving {
	uint64_t id;
	int fd;
	uint64_t since_ms;
	struct answer answer;
	TAILQ_ENTRY(leaving) link;
};

static bool has_hung_up(int fd)
{
	struct pollfd poll_fd = {fd, POLLRDHUP, 0};

	return poll(&poll_fd, 1, 0) != 0;
}

/*
 * Within one run of libmicrohttpd a request's connection is looked at once, up to its
 * answer: what has come from a peer since was sent before anybody could know of what the
 * run has done. False if it is not TCP.
 */
static bool look_once(struct connection *connection, struct tcp_view *ret_view)
{
	const struct http_server *server = connection->server;

	if (connection->is_unix)
		return false;
	if (!server->is_running || connection->viewed_run != server->n_runs) {
		if (!tcp_look(connection->fd, &connection->view))
			return false;
		connection->viewed_run = server->is_running ? server->n_runs : 0;
	}
	*ret_view = connection->view;
	return true;
}

bool peer_has_gone(int fd)
{
	struct tcp_view view;

	return tcp_look(fd, &view) ? !view.is_open : has_hung_up(fd);
}

static bool has_socket_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0;
}

static int unread_bytes(int fd)
{
	int unread = 0;

	(void)ioctl(fd, SIOCOUTQ, &unread); /* cannot fail on a socket */
	return unread;
}

static enum delivery wait_or_lose(const struct answer *answer)
{
	return clock_ms() - answer->written_ms < PATIENCE_MS ? DELIVERY_UNDECIDED
							     : DELIVERY_LOST;
}

/* Bytes first: a peer that closes sets the error before it throws away what is unread.
 * The error is told once, so it is kept. While an answer is being sent, a peer that has
 * read all and closed looks like one that closed before. */
static enum delivery look_unix(struct answer *answer, int fd)
{
	int unread = unread_bytes(fd);

	if (has_socket_error(fd)) {
		answer->step = ANSWER_LOST;
		return DELIVERY_LOST;
	}
	if (answer->step == ANSWER_NONE)
		return has_hung_up(fd) ? DELIVERY_LOST : DELIVERY_UNDECIDED;
	if (answer->step == ANSWER_QUEUED)
		return DELIVERY_UNDECIDED;
	return unread == 0 ? DELIVERY_ARRIVED : wait_or_lose(answer);
}

static enum delivery look_tcp(const struct answer *answer, const struct tcp_view *view)
{
	if (answer->step == ANSWER_NONE)
		return view->is_open ? DELIVERY_UNDECIDED : DELIVERY_LOST;
	/* A FIN counts as one byte. More have come: a later request, if only its
	 * beginning. None: a reset. */
	if (answer->step == ANSWER_WRITTEN && view->received > answer->received + 1)
		return DELIVERY_ARRIVED;
	if (view->is_over && view->received != answer->received + 1)
		return DELIVERY_LOST;
	if (answer->step == ANSWER_QUEUED)
		return view->is_open || view->written > answer->written
			? DELIVERY_UNDECIDED
			: DELIVERY_LOST;
	/* Nothing was written behind it. What is acknowledged may still be unread while
	 * the connection is open: its end will tell. */
	if (view->acked >= view->written)
		return view->has_peer_ended ? DELIVERY_ARRIVED : DELIVERY_UNDECIDED;
	return view->is_over ? DELIVERY_LOST : wait_or_lose(answer);
}

static enum delivery look(struct answer *answer, int fd)
{
	struct tcp_view view;

	if (answer->step == ANSWER_LOST)
		return DELIVERY_LOST;
	return tcp_look(fd, &view) ? look_tcp(answer, &view) : look_unix(answer, fd);
}

static enum delivery look_at_open(struct connection *connection)
{
	struct tcp_view view;

	if (connection->answer.step == ANSWER_LOST)
		return DELIVERY_LOST;
	return look_once(connection, &view)
		? look_tcp(&connection->answer, &view)
		: look_unix(&connection->answer, connection->fd);
}

static void tell_arrived(struct http_server *server, uint64_t id)
{
	server->config.on_delivered(server->arg, id);
}

static void watch(struct connection *connection)
{
	if (!connection->is_watched)
		TAILQ_INSERT_TAIL(&connection->server->watched, connection, watched_link);
	connection->is_watched = true;
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
	connection->answer.step = ANSWER_NONE;
}

void answer_queued(struct connection *connection)
{
	struct answer *answer = &connection->answer;
	struct tcp_view view = {0};
	bool is_tcp = look_once(connection, &view);
	bool is_open = is_tcp ? view.is_open : !has_hung_up(connection->fd);

	/* A send() would still succeed. */
	answer->step = is_open ? ANSWER_QUEUED : ANSWER_LOST;
	answer->received = view.received;
	answer->written = view.written;
	connection->viewed_run = 0; /* soon more will have been written */
	if (!is_tcp)
		watch(connection);
}

static void look_at_watched(struct connection *connection)
{
	if (look(&connection->answer, connection->fd) == DELIVERY_ARRIVED) {
		tell_arrived(connection->server, connection->id);
		unwatch(connection);
	} else if (connection->answer.step == ANSWER_LOST) {
		unwatch(connection);
	}
}

void answer_written(struct connection *connection)
{
	struct answer *answer = &connection->answer;

	if (answer->step != ANSWER_QUEUED)
		return;
	answer->step = ANSWER_WRITTEN;
	answer->written_ms = clock_ms();
	if (connection->is_watched)
		look_at_watched(connection);
}

void answer_proved_by_request(struct connection *connection)
{
	if (connection->answer.step != ANSWER_NONE)
		tell_arrived(connection->server, connection->id);
	forget(connection);
	connection->viewed_run = 0; /* that was before this request had come */
}

void delivery_look_at_watched(struct http_server *server)
{
	struct connection *connection, *next;

	for (connection = TAILQ_FIRST(&server->watched); connection != NULL;
		connection = next) {
		next = TAILQ_NEXT(connection, watched_link);
		look_at_watched(connection);
	}
}

/* Nothing more is to come that would tell. */
static bool is_decided(int fd)
{
	struct tcp_view view;

	return tcp_look(fd, &view) ? view.has_peer_ended : unread_bytes(fd) == 0;
}

static void drop_leaving(struct http_server *server, struct leaving *leaving)
{
	TAILQ_REMOVE(&server->leaving, leaving, link);
	server->n_leaving--;
	(void)close(leaving->fd); /* nothing is written on it any more */
	free(leaving);
}

/* Nobody reads from it any more, so the error of a reset is still there; nobody waits for
 * the peer's end any more, so acknowledged and not reset is enough. */
static void judge(struct http_server *server, uint64_t id, struct answer *answer, int fd)
{
	if (!has_socket_error(fd) && look(answer, fd) != DELIVERY_LOST)
		tell_arrived(server, id);
}

static void judge_leaving(struct http_server *server, struct leaving *leaving)
{
	judge(server, leaving->id, &leaving->answer, leaving->fd);
	drop_leaving(server, leaving);
}

static void keep_leaving(struct connection *connection)
{
	struct http_server *server = connection->server;
	struct leaving *leaving = calloc(1, sizeof(*leaving));

	if (leaving != NULL)
		leaving->fd = fcntl(connection->fd, F_DUPFD_CLOEXEC, 0);
	if (leaving == NULL || leaving->fd < 0) { /* then by what is known now */
		judge(server, connection->id, &connection->answer, connection->fd);
		free(leaving);
		return;
	}
	leaving->id = connection->id;
	leaving->since_ms = clock_ms();
	leaving->answer = connection->answer;
	TAILQ_INSERT_TAIL(&server->leaving, leaving, link);
	server->n_leaving++;
	if (server->n_leaving > HTTP_MAX_LEAVING)
		judge_leaving(server, TAILQ_FIRST(&server->leaving));
}

void delivery_on_close(struct connection *connection)
{
	struct answer *answer = &connection->answer;

	if (answer->step == ANSWER_WRITTEN) {
		if (!is_decided(connection->fd))
			keep_leaving(connection);
		else if (look(answer, connection->fd) == DELIVERY_ARRIVED)
			tell_arrived(connection->server, connection->id);
	}
	forget(connection);
}

void delivery_look_at_leaving(struct http_server *server, bool looks_at_all)
{
	struct leaving *leaving = TAILQ_LAST(&server->leaving, leaving_list), *older;
	uint64_t now = leaving != NULL ? clock_ms() : 0;
	unsigned n = 0;

	for (; leaving != NULL; leaving = older) {
		uint64_t age = now - leaving->since_ms;

		older = TAILQ_PREV(leaving, leaving_list, link);
		if (!looks_at_all && (age > YOUNG_MS || n++ == LOOKS_PER_TURN))
			return;
		if (is_decided(leaving->fd) || age >= LEAVING_MS)
			judge_leaving(server, leaving);
	}
}

bool delivery_make_room(struct http_server *server)
{
	if (TAILQ_EMPTY(&server->leaving))
		return false;
	judge_leaving(server, TAILQ_FIRST(&server->leaving));
	return true;
}

bool delivery_has_settled(struct http_server *server)
{
	const struct leaving *last = TAILQ_LAST(&server->leaving, leaving_list);

	if (last != NULL && clock_ms() - last->since_ms < PATIENCE_MS)
		return false;
	while (!TAILQ_EMPTY(&server->leaving))
		judge_leaving(server, TAILQ_FIRST(&server->leaving));
	return true;
}

void delivery_done(struct http_server *server)
{
	while (!TAILQ_EMPTY(&server->leaving))
		drop_leaving(server, TAILQ_FIRST(&server->leaving));
}

enum delivery http_delivery_of(const struct http_server *server, uint64_t id)
{
	struct connection *connection;
	struct leaving *leaving;

	HASH_FIND(hh, server->by_id, &id, sizeof(id), connection);
	if (connection != NULL)
		return look_at_open(connection);
	TAILQ_FOREACH (leaving, &server->leaving, link)
		if (leaving->id == id)
			return look(&leaving->answer, leaving->fd);
	return DELIVERY_LOST;
}
