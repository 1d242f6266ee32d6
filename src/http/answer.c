/* Answers: made by whoever handles the request, queued when libmicrohttpd asks for them.
 */
#include "base/text.h"
#include "http/internal.h"
#include "http/path.h"

#include <stdio.h>
#include <string.h>

#define OK_BODY "{\"ok\":true}"
#define REALM " realm=\"tallyd\""

static struct MHD_Response *make_response(const char *body, size_t len)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(len, (void *)body, MHD_RESPMEM_MUST_COPY);

	if (response != NULL && len > 0)
		(void)MHD_add_response_header(/* short of memory: without it, still right
					       */
			response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	return response;
}

static void close_after(struct MHD_Response *response)
{
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
}

void answer_close_after(struct http_request *request)
{
	/* What still comes is the rest of its body, and no request that is malformed. */
	request->connection->is_told = true;
	close_after(request->answer);
}

void answer_add_header(struct http_request *request, const char *name, const char *value)
{
	/* Short of memory: without it, still right. */
	(void)MHD_add_response_header(request->answer, name, value);
}

/* Gives up our reference to the answer; a connection that sends it has its own. */
void answer_drop(struct http_request *request)
{
	if (request->answer != NULL && request->answer != request->connection->server->ok)
		MHD_destroy_response(request->answer);
	request->answer = NULL;
}

enum MHD_Result answer_queue(struct http_request *request)
{
	struct connection *connection = request->connection;
	enum MHD_Result result = MHD_queue_response(
		connection->mhd, (unsigned)request->status, request->answer);

	answer_drop(request);
	connection_enter(connection, CONN_WRITING);
	if (request->is_ok)
		answer_queued(connection);
	return result;
}

/* Sets the answer; whoever answers from outside the handler wakes the connection. */
static void answer_with(
	struct http_request *request, int status, struct MHD_Response *response)
{
	struct connection *connection = request->connection;

	if (response == NULL) {
		connection_cut(connection);
		response =
			MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	}
	request->answer = response;
	request->status = status;
	if (request->is_suspended)
		request_wake(request);
}

/* A stop ends it; and on a unix socket each report's answer does: what becomes of it can
 * only be seen where libmicrohttpd does not read on, see delivery.c. */
static bool ends_connection(const struct http_request *request)
{
	const struct connection *connection = request->connection;

	return connection->server->is_draining || (connection->is_unix && request->is_ok);
}

static void answer_copy(struct http_request *request, int status, const char *body)
{
	struct MHD_Response *response = make_response(body, strlen(body));

	if (response != NULL && ends_connection(request))
		close_after(response);
	answer_with(request, status, response);
}

void http_answer_json(struct http_request *request, int status, const char *body)
{
	answer_copy(request, status, body);
}

void http_answer_empty(struct http_request *request, int status)
{
	answer_copy(request, status, "");
}

/* One response serves them all; it is never changed. */
void http_answer_ok(struct http_request *request)
{
	request->is_ok = true;
	if (ends_connection(request))
		answer_copy(request, MHD_HTTP_OK, OK_BODY);
	else
		answer_with(request, MHD_HTTP_OK, request->connection->server->ok);
}

static bool is_report(const struct http_request *request)
{
	return request->route != NULL && request->route->right == RIGHT_REPORT;
}

static void add_challenge(struct http_request *request)
{
	if (is_report(request))
		answer_add_header(request, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
			"Basic" REALM ", Bearer" REALM);
	else
		answer_add_header(
			request, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer" REALM);
}

const char *request_node(const struct http_request *request)
{
	return is_report(request) ? request->identity.name : NULL;
}

void request_note_refusal(const struct http_request *request, int code,
	const char *sentence, const char *node)
{
	struct connection *connection = request->connection;
	char path[REFUSAL_PATH_BYTES + 8];
	struct refused refused = {.code = code,
		.peer = connection->peer,
		.node = node,
		.method = request->method,
		.path = path,
		.reason = sentence,
		.is_report = is_report(request)};

	(void)snprintf(path, sizeof(path), "%s", request->path);
	path_restore(path);
	refusals_note(&connection->server->refusals, &refused);
}

/* That there is no such user, or a node already, is an answer to what was asked. */
static bool is_answer(const struct http_request *request, int code)
{
	return request->route != NULL &&
		(code == ERR_NOT_FOUND || code == ERR_CONFLICT || code == ERR_KEY_REUSED);
}

/* A handler's; all others were noted when they were decided. */
static void maybe_note(const struct http_request *request, int code, const char *sentence)
{
	if (request->refusal == 0 && !is_answer(request, code))
		request_note_refusal(request, code, sentence, request_node(request));
}

#define ERROR_BYTES (sizeof(struct errmsg) + 256)

static void put_error(char body[ERROR_BYTES], int code, const char *sentence)
{
	char escaped[sizeof(struct errmsg) + 128];

	(void)text_to_json(
		escaped, sizeof(escaped), sentence != NULL ? sentence : err_text(code));
	(void)snprintf(body, ERROR_BYTES,
		"{\"ok\":false,\"code\":\"%s\",\"error\":\"%s\"}", err_word(code),
		escaped);
}

/* What a report is not told keeps the connection of Go's client; who has hung up has
 * none to keep. */
static bool is_told_nothing(const struct http_request *request, int code)
{
	int status = err_http_status(code);

	return is_report(request) && code != ERR_HUNG_UP &&
		(status == MHD_HTTP_UNAUTHORIZED ||
			status == MHD_HTTP_SERVICE_UNAVAILABLE);
}

void http_answer_error(struct http_request *request, int code, const char *sentence)
{
	char body[ERROR_BYTES];
	int status = err_http_status(code);
	bool is_empty = is_told_nothing(request, code);

	maybe_note(request, code, sentence);
	put_error(body, code, sentence);
	http_answer_json(request, status, is_empty ? "" : body);
	if (status == MHD_HTTP_UNAUTHORIZED)
		add_challenge(request);
	if (code == ERR_HUNG_UP) /* so it ends here, too: libmicrohttpd does not see it */
		answer_close_after(request);
}

/* What has come and nobody reads would make the end a reset, which may overtake the
 * answer. */
static void read_away(int fd)
{
	char bytes[4096];

	for (int i = 0; i < 64 && recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0; i++)
		;
}

void answer_raw(int fd, int code)
{
	unsigned status = (unsigned)err_http_status(code);
	char body[ERROR_BYTES], text[ERROR_BYTES + 256];
	int len;

	put_error(body, code, NULL);
	len = snprintf(text, sizeof(text),
		"HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: "
		"application/json\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		status, MHD_get_reason_phrase_for(status), strlen(body), body);
	read_away(fd);
	/* Who does not take it has the line in the log. */
	(void)send(fd, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)shutdown(fd, SHUT_WR);
}

void answer_abandon(struct http_request *request)
{
	if (request->answer == NULL)
		http_answer_empty(request, MHD_HTTP_SERVICE_UNAVAILABLE);
}
