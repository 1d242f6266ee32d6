/*
 * Answers that wait: whoever guesses credentials is told late that they were wrong. The
 * connection sleeps between its headers and its body; libmicrohttpd then asks for the
 * same step again. The server's tick wakes it, so a delay is exact to a tick.
 *
 * There are never many: a guess that finds all places taken is answered at once, and its
 * connection closed, which costs the guesser more than the wait.
 */
#include "base/clock.h"
#include "http/internal.h"

#include <stdlib.h>

#define MAX_DELAYS 64

/* Most connections stay for those who are right. */
static size_t max_delays(const struct http_server *server)
{
	size_t quarter = server->config.max_connections / 4;

	return quarter < MAX_DELAYS ? quarter : MAX_DELAYS;
}

struct delay {
	struct http_request *request;
	uint64_t until_ms;
	TAILQ_ENTRY(delay) link;
};

bool delay_begin(struct http_request *request, unsigned delay_ms)
{
	struct http_server *server = request->connection->server;
	struct delay *delay =
		server->n_delays < max_delays(server) ? malloc(sizeof(*delay)) : NULL;

	if (delay == NULL)
		return false;
	delay->request = request;
	delay->until_ms = clock_ms() + delay_ms;
	TAILQ_INSERT_TAIL(&server->delays, delay, link);
	server->n_delays++;
	request->delay = delay;
	connection_enter(request->connection, CONN_ANSWERING);
	request_sleep(request);
	return true;
}

void delay_wake_due(struct http_server *server, bool all)
{
	uint64_t now = clock_ms();
	struct delay *delay;

	TAILQ_FOREACH (delay, &server->delays, link) {
		struct http_request *request = delay->request;

		if (request->is_suspended && (all || now >= delay->until_ms))
			request_wake(request);
	}
}

void delay_end(struct http_request *request)
{
	struct http_server *server = request->connection->server;

	if (request->delay == NULL)
		return;
	TAILQ_REMOVE(&server->delays, request->delay, link);
	server->n_delays--;
	free(request->delay);
	request->delay = NULL;
}
