/*
 * The lobby: connections that have not sent a byte yet. They wait on an epoll descriptor
 * of their own, in a poll of the loop, until their first bytes tell what they speak: HTTP
 * goes on to libmicrohttpd, what it would wait for in vain (HTTP/2, TLS) or refuse
 * without a word is answered and noted here. Who brings bytes along does not wait.
 *
 * They count among max_connections, and are the first to give way.
 */
#include "base/clock.h"
#include "base/log.h"
#include "http/internal.h"
#include "http/opening.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define GUESTS_PER_TURN 64

struct guest {
	int fd;
	uint64_t since_ms;
	struct sockaddr_storage peer;
	socklen_t len;
	TAILQ_ENTRY(guest) link;
};

static void turn_away(
	struct http_server *server, int fd, const struct sockaddr *peer, int code)
{
	char text[INET6_ADDRSTRLEN];
	struct refused refused = {.code = code, .peer = text};

	(void)peer_to_text(peer, text);
	refusals_note(&server->refusals, &refused);
	answer_raw(fd, code);
	(void)close(fd); /* nothing is written on it any more */
}

static void admit(
	struct http_server *server, int fd, const struct sockaddr *peer, socklen_t len)
{
	if (MHD_add_connection(server->daemon, fd, peer, len) != MHD_YES)
		server->stats.refused_connections++; /* it has closed the descriptor */
}

/* False if nothing has come yet; else the descriptor is in other hands, or closed. */
static bool look(
	struct http_server *server, int fd, const struct sockaddr *peer, socklen_t len)
{
	char bytes[OPENING_BYTES];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
	int code = n > 0 ? opening_judge(bytes, (size_t)n) : 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0)
		(void)close(fd); /* it has gone without a word */
	else if (code != 0)
		turn_away(server, fd, peer, code);
	else
		admit(server, fd, peer, len);
	return true;
}

static void forget(struct http_server *server, struct guest *guest)
{
	TAILQ_REMOVE(&server->lobby.guests, guest, link);
	server->lobby.n--;
	free(guest);
}

static void show_out(struct http_server *server, struct guest *guest)
{
	(void)close(guest->fd); /* nothing was sent on it */
	forget(server, guest);
}

static void look_at_guest(struct http_server *server, struct guest *guest)
{
	/* Not before it is off this descriptor: its next owner has another. */
	(void)epoll_ctl(server->lobby.epoll_fd, EPOLL_CTL_DEL, guest->fd, NULL);
	if (look(server, guest->fd, (struct sockaddr *)&guest->peer, guest->len))
		forget(server, guest);
	else
		show_out(server, guest); /* an error that recv() does not tell */
}

static void on_lobby(uv_poll_t *poll, int status, int events)
{
	struct http_server *server = poll->data;
	struct epoll_event ready[GUESTS_PER_TURN];
	int n = epoll_wait(server->lobby.epoll_fd, ready, GUESTS_PER_TURN, 0);

	(void)status; /* an epoll descriptor has no errors of its own */
	(void)events;
	for (int i = 0; i < n; i++)
		look_at_guest(server, ready[i].data.ptr);
	server->is_due = true;
}

static bool seat(
	struct http_server *server, int fd, const struct sockaddr *peer, socklen_t len)
{
	struct guest *guest = calloc(1, sizeof(*guest));
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = guest};

	if (guest == NULL ||
		epoll_ctl(server->lobby.epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
		free(guest);
		return false;
	}
	guest->fd = fd;
	guest->since_ms = clock_ms();
	memcpy(&guest->peer, peer, len);
	guest->len = len;
	TAILQ_INSERT_TAIL(&server->lobby.guests, guest, link);
	server->lobby.n++;
	return true;
}

void lobby_receive(
	struct http_server *server, int fd, const struct sockaddr *peer, socklen_t len)
{
	if (look(server, fd, peer, len) || seat(server, fd, peer, len))
		return;
	server->stats.refused_connections++;
	(void)close(fd); /* nothing was sent on it */
}

bool lobby_make_room(struct http_server *server, uint64_t min_ms)
{
	struct guest *longest = TAILQ_FIRST(&server->lobby.guests);

	if (longest == NULL || clock_ms() - longest->since_ms < min_ms)
		return false;
	show_out(server, longest);
	return true;
}

void lobby_expire(struct http_server *server, uint64_t now)
{
	struct guest *guest;

	while ((guest = TAILQ_FIRST(&server->lobby.guests)) != NULL &&
		now - guest->since_ms >= server->config.idle_timeout_ms)
		show_out(server, guest);
}

int lobby_init(struct http_server *server)
{
	TAILQ_INIT(&server->lobby.guests);
	server->lobby.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return server->lobby.epoll_fd >= 0 ? 0 : ERR_NOMEM;
}

void lobby_done(struct http_server *server)
{
	if (server->lobby.epoll_fd >= 0)
		(void)close(server->lobby.epoll_fd); /* holds no bytes */
}

void lobby_open(struct http_server *server)
{
	struct lobby *lobby = &server->lobby;

	if (uv_poll_init(server->loop, &lobby->poll, lobby->epoll_fd) != 0)
		abort(); /* only for a descriptor that is none */
	lobby->poll.data = server;
	lobby->is_open = true;
	(void)uv_poll_start(&lobby->poll, UV_READABLE, on_lobby); /* open: cannot fail */
}

/* Who has asked already is let in: what is under way is answered. */
void lobby_close(struct http_server *server, uv_close_cb on_closed)
{
	struct guest *guest, *next;

	if (!server->lobby.is_open)
		return;
	server->lobby.is_open = false;
	for (guest = TAILQ_FIRST(&server->lobby.guests); guest != NULL; guest = next) {
		next = TAILQ_NEXT(guest, link);
		look_at_guest(server, guest);
	}
	uv_close((uv_handle_t *)&server->lobby.poll, on_closed);
}
