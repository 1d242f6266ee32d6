/* Answers: made by whoever handles the request, queued when libmicrohttpd asks for them.
 */
#include "base/text.h"
#include "http/internal.h"

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
	if (!request->is_suspended)
		return;
	request->is_suspended = false;
	MHD_resume_connection(connection->mhd);
	server_run_soon(connection->server);
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

void request_note_refusal(const struct http_request *request, int code,
	const char *sentence, const char *node)
{
	struct connection *connection = request->connection;
	struct refused refused = {.code = code,
		.peer = connection->peer,
		.node = node,
		.method = request->method,
		.path = request->path,
		.reason = sentence,
		.is_report = is_report(request)};

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
		request_note_refusal(request, code, sentence,
			is_report(request) ? request->identity.name : NULL);
}

void http_answer_error(struct http_request *request, int code, const char *sentence)
{
	char escaped[sizeof(struct errmsg) + 128], body[sizeof(escaped) + 64];
	int status = err_http_status(code);
	bool is_empty = is_report(request) &&
		(status == MHD_HTTP_UNAUTHORIZED ||
			status == MHD_HTTP_SERVICE_UNAVAILABLE);

	maybe_note(request, code, sentence);
	(void)text_to_json(
		escaped, sizeof(escaped), sentence != NULL ? sentence : err_text(code));
	(void)snprintf(body, sizeof(body),
		"{\"ok\":false,\"code\":\"%s\",\"error\":\"%s\"}", err_word(code),
		escaped);
	http_answer_json(request, status, is_empty ? "" : body);
	if (status == MHD_HTTP_UNAUTHORIZED)
		add_challenge(request);
}

void request_abandon(struct http_request *request)
{
	if (request->answer == NULL)
		http_answer_empty(request, MHD_HTTP_SERVICE_UNAVAILABLE);
}
