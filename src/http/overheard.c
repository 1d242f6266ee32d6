/*
 * What libmicrohttpd 0.9.75 refuses by itself, before a request is handed over. It
 * answers with a page of HTML (431, 414, 400, 505) and tells nobody but its log, which
 * names no connection. So the end of a connection is looked at: a request that came to
 * nothing, and the status that was queued for it.
 *
 * Three of these it answers with two heads, one behind the other: a Content-Length that
 * is no number or too large, and too many cookies. There, all headers are read and
 * nothing is queued yet when it logs, which is true for one connection only; that one is
 * answered here, and cut. So it is where its arguments do not fit its memory: then it
 * forgets to answer.
 */
#include "http/internal.h"
#include "http/path.h"
#include "http/tcp.h"

#include <stdio.h>
#include <string.h>

#define MAX_PARAMS 100
#define MAX_QUERY_LINE_BYTES (4u << 10)

static int code_of_status(unsigned status)
{
	switch (status) {
	case MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE:
		return ERR_HEAD_TOO_LARGE;
	case MHD_HTTP_URI_TOO_LONG:
		return ERR_URI_TOO_LONG;
	case MHD_HTTP_HTTP_VERSION_NOT_SUPPORTED:
		return ERR_VERSION;
	case MHD_HTTP_CONTENT_TOO_LARGE:
		return ERR_TOO_LARGE;
	case MHD_HTTP_INTERNAL_SERVER_ERROR:
		return ERR_NOMEM;
	default:
		return ERR_MALFORMED;
	}
}

static void note_line(struct connection *connection, int code)
{
	char path[sizeof(connection->uri)];
	struct refused refused = {.code = code, .peer = connection->peer, .path = path};

	path_of_target(connection->uri, path, sizeof(path));
	refusals_note(&connection->server->refusals, &refused);
}

void overheard_note(struct connection *connection, int code)
{
	const struct http_request *request = connection->request;

	if (connection->is_told)
		return;
	connection->is_told = true;
	if (request == NULL)
		note_line(connection, code);
	else if (request->refusal == 0) /* else it is noted */
		request_note_refusal(request, code, NULL, request_node(request));
}

void overheard_answer(struct connection *connection, int code)
{
	overheard_note(connection, code);
	answer_raw(connection->fd, code);
	connection_cut(connection);
}

static bool has_many_params(const char *uri)
{
	const char *at = uri;
	unsigned n = 0;

	while ((at = strchr(at, '&')) != NULL && n <= MAX_PARAMS) {
		at++;
		n++;
	}
	return n >= MAX_PARAMS || (n > 0 && strlen(uri) > MAX_QUERY_LINE_BYTES);
}

void overheard_line(struct connection *connection, const char *uri)
{
	(void)memccpy(connection->uri, uri, '\0', sizeof(connection->uri) - 1);
	if (has_many_params(uri))
		overheard_answer(connection, ERR_HEAD_TOO_LARGE);
}

/* The one whose headers are all read, and nothing is queued for it. */
static struct connection *find_read_through(struct http_server *server)
{
	struct connection *connection;

	TAILQ_FOREACH (connection, &server->busy, link)
		if (connection->state == CONN_READING && connection->request == NULL &&
			!connection->is_told && !connection->is_asleep &&
			MHD_get_connection_info(connection->mhd,
				MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE) != NULL &&
			MHD_get_connection_info(
				connection->mhd, MHD_CONNECTION_INFO_HTTP_STATUS) == NULL)
			return connection;
	return NULL;
}

void overheard_log(struct http_server *server, const char *text)
{
	struct connection *connection;
	unsigned status;

	if (sscanf(text, "Error processing request (HTTP response code is %u", &status) !=
		1)
		return;
	connection = find_read_through(server);
	if (connection != NULL)
		overheard_answer(connection, code_of_status(status));
	else
		server->overheard = code_of_status(status);
}

void overheard_end(struct connection *connection, enum MHD_RequestTerminationCode code)
{
	const union MHD_ConnectionInfo *info = code == MHD_REQUEST_TERMINATED_WITH_ERROR
		? MHD_get_connection_info(
			  connection->mhd, MHD_CONNECTION_INFO_HTTP_STATUS)
		: NULL;

	if (info != NULL)
		overheard_note(connection, code_of_status(info->http_status));
	connection->is_told = true; /* or its client has gone */
	connection->server->overheard = 0;
}

/* More has come than a request that is answered, and the end. A unix socket does not
 * tell. */
static bool has_received(const struct connection *connection)
{
	struct tcp_view view;

	return tcp_look(connection->fd, &view) &&
		view.received >
		connection->received_bytes + (view.has_peer_ended ? 1 : 0);
}

static bool has_left(const struct connection *connection)
{
	struct tcp_view view;

	return tcp_look(connection->fd, &view) && view.has_peer_ended;
}

void overheard_close(struct connection *connection)
{
	struct http_server *server = connection->server;

	if (connection->is_told || connection->is_cut || connection->state != CONN_IDLE)
		return;
	connection->uri[0] = '\0'; /* of an earlier request */
	if (!connection->is_unix && !has_received(connection))
		return;
	if (server->overheard != 0)
		overheard_note(connection, server->overheard);
	else if (!connection->is_unix && !has_left(connection))
		overheard_note(connection, ERR_MALFORMED);
	server->overheard = 0;
}
