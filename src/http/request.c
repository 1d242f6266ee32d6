/*
 * The happy path: begin() finds the route, receive() gathers the body, hand_over() calls
 * the handler; the answer is queued at once, or, if the handler answers later, the
 * connection sleeps (MHD_suspend_connection) until http_answer_*() wakes it and finish()
 * queues it.
 *
 * What must not be read (too long, malformed headers) is answered in begin(), where
 * libmicrohttpd lets an answer overtake the body; that closes the connection.
 */
#include "http/internal.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OK_BODY "{\"ok\":true}"
/* Bodies of all connections together, in max_body_bytes; beyond it whoever sends much is
 * asked to come again. Small ones are always taken: large ones must not crowd them out.
 */
#define TOTAL_BODIES_FACTOR 8
#define SMALL_BODY_BYTES (64u << 10)

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

/* Gives up our reference to the answer; a connection that sends it has its own. */
static void drop_answer(struct http_request *request, const struct http_server *server)
{
	if (request->answer != NULL && request->answer != server->ok)
		MHD_destroy_response(request->answer);
	request->answer = NULL;
}

/* Queues the answer. MHD_NO closes the connection. */
static enum MHD_Result finish(struct http_request *request)
{
	struct connection *connection = request->connection;
	enum MHD_Result result = MHD_queue_response(
		connection->mhd, (unsigned)request->status, request->answer);

	drop_answer(request, connection->server);
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

void http_answer_error(struct http_request *request, int status, const char *sentence)
{
	char body[512];

	(void)snprintf(
		body, sizeof(body), "{\"ok\":false,\"error\":\"%.400s\"}", sentence);
	http_answer_json(
		request, status, status == MHD_HTTP_SERVICE_UNAVAILABLE ? "" : body);
}

void request_abandon(struct http_request *request)
{
	if (request->answer == NULL)
		http_answer_empty(request, MHD_HTTP_SERVICE_UNAVAILABLE);
}

/* Headers that libmicrohttpd 0.9.75 takes as they come. */
struct headers {
	unsigned hosts, lengths, encodings;
	bool is_forwarded;
};

static enum MHD_Result look_at_header(
	void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	static const char *const forwarding[] = {
		"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"};
	struct headers *headers = arg;

	(void)kind;
	(void)value;
	headers->hosts += strcasecmp(name, "Host") == 0;
	headers->lengths += strcasecmp(name, "Content-Length") == 0;
	headers->encodings += strcasecmp(name, "Transfer-Encoding") == 0;
	for (size_t i = 0; i < sizeof(forwarding) / sizeof(forwarding[0]); i++)
		headers->is_forwarded |= strcasecmp(name, forwarding[i]) == 0;
	return MHD_YES;
}

static const char *header_mistake(const struct headers *headers, const char *version)
{
	if (headers->hosts > 1 ||
		(headers->hosts == 0 && strcmp(version, "HTTP/1.0") != 0))
		return "exactly one Host header is expected";
	if (headers->lengths > 1)
		return "there is more than one Content-Length";
	if (headers->encodings > 1 || (headers->encodings == 1 && headers->lengths == 1))
		return "Content-Length and Transfer-Encoding exclude each other";
	return NULL;
}

static bool announces_too_much(const struct http_request *request)
{
	struct connection *connection = request->connection;
	const char *length = MHD_lookup_connection_value(
		connection->mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return length != NULL &&
		strtoull(length, NULL, 10) > connection->server->config.max_body_bytes;
}

static void forget_body(struct http_request *request, struct http_server *server)
{
	server->body_bytes -= request->counted_bytes;
	request->counted_bytes = 0;
	buf_done(&request->body);
}

/* GOST repeats what is refused here for ever: its operator has to hear of it. */
static void log_refusal(int status, const char *sentence)
{
	log_limited(LOG_WARN, "request refused", "status=%d reason=%s", status,
		LOG_QUOTE(sentence));
}

/* The request is answered without a handler once it is whole; its body is thrown away. */
static void refuse(struct http_request *request, int status, const char *sentence)
{
	log_refusal(status, sentence);
	request->refusal = status;
	request->sentence = sentence;
	forget_body(request, request->connection->server);
}

/* Refuses what is no good; else request->route is set. */
static void check(struct http_request *request, const char *url, const char *method,
	bool is_forwarded)
{
	struct connection *connection = request->connection;

	request->route = route_find(connection->server->routes, method, url,
		&request->path_value, request->allow);
	if (request->route == NULL && request->allow[0] != '\0')
		refuse(request, MHD_HTTP_METHOD_NOT_ALLOWED,
			"this path does not answer this method");
	else if (request->route == NULL)
		refuse(request, MHD_HTTP_NOT_FOUND, "there is nothing at this path");
	else if ((request->route->flags & HTTP_LOCAL_ONLY) != 0 &&
		(!connection->is_local || is_forwarded))
		refuse(request, MHD_HTTP_FORBIDDEN,
			"this path answers only to clients of this machine, without a "
			"proxy");
}

/* Answers before the body, and closes: what follows may be no body at all, or too much of
 * it. */
static enum MHD_Result refuse_at_once(
	struct http_request *request, int status, const char *sentence)
{
	request->is_handed = true;
	log_refusal(status, sentence);
	http_answer_error(request, status, sentence);
	close_after(request->answer);
	return finish(request);
}

static enum MHD_Result begin(struct connection *connection, const char *url,
	const char *method, const char *version, void **context)
{
	struct http_request *request = calloc(1, sizeof(*request));
	struct headers headers = {0};
	const char *mistake;

	if (request == NULL)
		return MHD_NO;
	*context = request;
	request->connection = connection;
	connection->request = request;
	connection->server->stats.requests++;
	answer_proved_by_request(connection);
	if (connection->state == CONN_IDLE)
		connection_enter(connection, CONN_READING);
	(void)MHD_get_connection_values(
		connection->mhd, MHD_HEADER_KIND, look_at_header, &headers);

	mistake = header_mistake(&headers, version);
	if (mistake != NULL)
		return refuse_at_once(request, MHD_HTTP_BAD_REQUEST, mistake);
	if (announces_too_much(request))
		return refuse_at_once(
			request, MHD_HTTP_CONTENT_TOO_LARGE, err_text(ERR_TOO_LARGE));
	check(request, url, method, headers.is_forwarded);
	return MHD_YES;
}

static void receive(struct http_request *request, const char *data, size_t len)
{
	struct http_server *server = request->connection->server;

	if (request->refusal != 0)
		return;
	if (request->body.len + len > server->config.max_body_bytes) {
		refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, err_text(ERR_TOO_LARGE));
		return;
	}
	server->body_bytes += len;
	request->counted_bytes += len;
	buf_put(&request->body, data, len);
	if (!buf_ok(&request->body) ||
		(request->body.len > SMALL_BODY_BYTES &&
			server->body_bytes >
				TOTAL_BODIES_FACTOR * server->config.max_body_bytes))
		refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, err_text(ERR_NOMEM));
}

static void call_handler(struct http_request *request)
{
	if (request->refusal == 0) {
		request->route->handler(request->connection->server->arg, request);
		return;
	}
	http_answer_error(request, request->refusal, request->sentence);
	if (request->allow[0] != '\0' && request->refusal == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(/* short of memory: without it, still right
					       */
			request->answer, MHD_HTTP_HEADER_ALLOW, request->allow);
}

static enum MHD_Result hand_over(struct http_request *request)
{
	struct connection *connection = request->connection;

	if (connection->is_cut)
		return MHD_NO;
	request->is_handed = true;
	connection_enter(connection, CONN_ANSWERING);
	call_handler(request);
	if (request->answer != NULL)
		return finish(request);
	request->is_suspended = true;
	MHD_suspend_connection(connection->mhd);
	return MHD_YES;
}

enum MHD_Result request_on_access(void *server, struct MHD_Connection *mhd,
	const char *url, const char *method, const char *version, const char *data,
	size_t *data_len, void **context)
{
	struct http_request *request = *context;
	struct connection *connection = connection_of(mhd);

	(void)server;
	if (connection == NULL)
		return MHD_NO;
	if (request == NULL)
		return connection->is_cut
			? MHD_NO
			: begin(connection, url, method, version, context);
	if (*data_len > 0) {
		receive(request, data, *data_len);
		*data_len = 0;
		return MHD_YES;
	}
	if (!request->is_handed)
		return hand_over(request);
	/* Woken up: the answer is there. Refused at once: it is queued, and this is not
	 * called. */
	return request->answer != NULL ? finish(request) : MHD_YES;
}

void request_on_completed(void *server, struct MHD_Connection *mhd, void **context,
	enum MHD_RequestTerminationCode code)
{
	struct http_request *request = *context;
	struct connection *connection = connection_of(mhd);

	if (connection != NULL) {
		connection->request = NULL;
		if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
			answer_written(connection);
		if (connection->state != CONN_IDLE)
			connection_enter(connection, CONN_IDLE);
	}
	*context = NULL;
	if (request == NULL)
		return;
	/* The connection may have ended between the answer and its turn to be queued. */
	drop_answer(request, server);
	forget_body(request, server);
	free(request->path_value);
	free(request);
}

const char *http_body(const struct http_request *request, size_t *ret_len)
{
	*ret_len = request->body.len;
	return request->body.data != NULL ? (const char *)request->body.data : "";
}

const char *http_param(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(
		request->connection->mhd, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_path_value(const struct http_request *request)
{
	return request->path_value;
}

uint64_t http_connection_id(const struct http_request *request)
{
	return request->connection->id;
}
