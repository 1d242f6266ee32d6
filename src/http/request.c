/*
 * The happy path: begin() finds the route and asks whether it is allowed, receive()
 * gathers the body, hand_over() calls the handler; the answer is queued at once, or, if
 * the handler answers later, the connection sleeps (MHD_suspend_connection) until
 * http_answer_*() wakes it and it is queued.
 *
 * What must not be read (too long, malformed headers, not allowed) is answered in
 * begin(), where libmicrohttpd lets an answer overtake the body; that closes the
 * connection. A refusal may have to wait, see delay.c; then go_on() gives it. Where the
 * body is small, it is read and thrown away first.
 */
#include "base/clock.h"
#include "http/internal.h"
#include "http/path.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TOO_LARGE_BUT_FOR_A_REPORT "only a report may have a body of more than 64 KiB"

/* What a large body counts of max_body_memory, with all that is made of it: events,
 * bookings, a record. */
#define TIMES_ITS_LENGTH 4

/* 0 if it is not known, or more than there can be. */
static unsigned long long announced_bytes(const struct headers *headers)
{
	return headers->length != NULL ? strtoull(headers->length, NULL, 10) : 0;
}

static bool announces_too_much(
	const struct http_request *request, const struct headers *headers)
{
	return announced_bytes(headers) >
		request->connection->server->config.max_body_bytes;
}

/* Whatever is no report is answered by the loop itself. */
static bool may_be_large(const struct http_request *request)
{
	return request->route == NULL || request->route->right == RIGHT_REPORT;
}

/*
 * Whether there is memory for a body of `len` bytes, which then counts. Small ones never
 * do, so that large ones cannot crowd them out: each connection may have one.
 */
static bool has_memory(struct http_request *request, size_t len)
{
	struct http_server *server = request->connection->server;
	uint64_t wanted = len > HTTP_SMALL_BODY_BYTES ? TIMES_ITS_LENGTH * len : 0;
	uint64_t others = server->body_memory - request->counted;

	if (wanted <= request->counted)
		return true;
	if (others > 0 && others + wanted > server->config.max_body_memory)
		return false;
	server->body_memory = others + wanted;
	request->counted = wanted;
	return true;
}

static bool has_odd_encoding(const struct headers *headers)
{
	return headers->n_encodings > 0 && strcasecmp(headers->encoding, "chunked") != 0;
}

static void forget_body(struct http_request *request, struct http_server *server)
{
	server->body_memory -= request->counted;
	request->counted = 0;
	buf_done(&request->body);
}

/* The request is answered without a handler once it is whole; its body is thrown away. */
static void refuse(struct http_request *request, int code, const char *node)
{
	request_note_refusal(request, code, NULL, node);
	request->refusal = code;
	forget_body(request, request->connection->server);
}

/* Answers before the body, and closes: what follows may be no body at all, or too much of
 * it, or a stranger's. */
static enum MHD_Result refuse_at_once(
	struct http_request *request, int code, const char *sentence)
{
	request->is_handed = true;
	http_answer_error(request, code, sentence);
	answer_close_after(request);
	return answer_queue(request);
}

/* Of what comes to no judgement. A wrong path in GOST is known by its node. */
static const char *find_sender(
	const struct http_request *request, const struct headers *headers)
{
	const struct http_server *server = request->connection->server;
	struct http_facts facts;

	if (headers->n_authorizations == 0)
		return NULL;
	facts_gather(request, headers, &facts);
	/* What it returns lives as long as the connection. */
	/* cppcheck-suppress returnDanglingLifetime */
	return server->config.sender(server->arg, &facts);
}

static bool find_route(struct http_request *request, const struct headers *headers)
{
	request->route = route_find(request->connection->server->routes, request->method,
		request->path, &request->path_value, request->allow);
	if (request->route == NULL)
		refuse(request, request->allow[0] != '\0' ? ERR_METHOD : ERR_NOT_FOUND,
			find_sender(request, headers));
	else if (request->path_value == NULL)
		refuse(request, ERR_NOMEM, find_sender(request, headers));
	return request->refusal == 0;
}

/* A refusal from the headers. A small body that is on its way is thrown away first: a
 * client that is answered and cut off in the middle of sending may never read why. */
static enum MHD_Result refuse_stranger(struct http_request *request)
{
	return request->can_wait
		? MHD_YES
		: refuse_at_once(request, request->refusal, request->sentence);
}

static bool has_small_body(const struct headers *headers)
{
	return !headers->does_expect && headers->n_encodings == 0 &&
		announced_bytes(headers) <= HTTP_SMALL_BODY_BYTES;
}

/* Asks whoever judges. What is refused has its sentence and is noted, before a delay in
 * which its client may go. Returns the delay. */
static unsigned authorize(struct http_request *request, const struct headers *headers)
{
	struct http_server *server = request->connection->server;
	struct http_ruling ruling;
	struct http_facts facts;

	request->identity.right = RIGHT_ANYBODY;
	request->identity.name[0] = '\0';
	ruling.identity = &request->identity;
	ruling.msg.text[0] = '\0';
	ruling.node = NULL;
	ruling.delay_ms = 0;
	facts_gather(request, headers, &facts);
	request->rights_version = server->config.rights_version(server->arg);
	request->refusal = server->config.authorize(server->arg, &facts, &ruling);
	if (request->refusal != 0) {
		request->sentence = strdup(ruling.msg.text);
		request_note_refusal(
			request, request->refusal, ruling.msg.text, ruling.node);
	}
	return ruling.delay_ms;
}

static void refuse_body(struct http_request *request, int code, const char *sentence)
{
	request->refusal = code;
	request->sentence = sentence != NULL ? strdup(sentence) : NULL;
	request_note_refusal(request, code, sentence, request_node(request));
}

/* Before it is read. */
static void judge_body(struct http_request *request, const struct headers *headers)
{
	unsigned long long len = announced_bytes(headers);

	if (len > HTTP_SMALL_BODY_BYTES && !may_be_large(request))
		refuse_body(request, ERR_TOO_LARGE, TOO_LARGE_BUT_FOR_A_REPORT);
	else if (!has_memory(request, (size_t)len))
		refuse_body(request, ERR_BODY_MEMORY, NULL);
	else
		(void)buf_room(&request->body, (size_t)len); /* or it is short later */
}

/* Whether it may go on. */
static enum MHD_Result judge(struct http_request *request, const struct headers *headers)
{
	unsigned delay_ms = authorize(request, headers);

	if (request->refusal == 0)
		judge_body(request, headers);
	request->can_wait = has_small_body(headers);
	if (delay_ms > 0) {
		if (delay_begin(request, delay_ms))
			return MHD_YES;
		request->can_wait = false;
	}
	return request->refusal != 0 ? refuse_stranger(request) : MHD_YES;
}

/* The delay is over: the refusal, or on with the body. */
static enum MHD_Result go_on(struct http_request *request)
{
	delay_end(request);
	connection_enter(request->connection, CONN_READING);
	return request->refusal != 0 ? refuse_stranger(request) : MHD_YES;
}

/* Path, and host if it is absolute. False: short of memory. */
static bool take_target(struct http_request *request, const char *target)
{
	const char *authority;
	size_t len;

	request->path = path_in_target(target, &authority, &len);
	if (authority != NULL)
		request->target_host = strndup(authority, len);
	return authority == NULL || request->target_host != NULL;
}

/* What makes it ambiguous, or NULL. */
static const char *mistake_of(const struct http_request *request,
	const struct headers *headers, const char *version)
{
	if (request->target_host != NULL && strchr(request->target_host, '@') != NULL)
		return "the address in the request line holds a name or a secret: they "
		       "belong into the header Authorization";
	return headers_mistake(headers, version);
}

static enum MHD_Result begin(struct connection *connection, const char *url,
	const char *method, const char *version, void **context)
{
	struct http_request *request = calloc(1, sizeof(*request));
	struct headers headers;
	const char *mistake;

	if (request == NULL)
		return MHD_NO;
	if (!take_target(request, url)) {
		free(request);
		return MHD_NO;
	}
	*context = request;
	request->connection = connection;
	request->method = method;
	connection->request = request;
	connection->server->stats.requests++;
	answer_proved_by_request(connection);
	if (connection->state == CONN_IDLE)
		connection_enter(connection, CONN_READING);
	headers_gather(connection->mhd, &headers);

	mistake = mistake_of(request, &headers, version);
	if (mistake != NULL || has_odd_encoding(&headers) ||
		announces_too_much(request, &headers)) {
		int code = mistake != NULL ? ERR_PARAM : ERR_TOO_LARGE;

		if (mistake == NULL && has_odd_encoding(&headers))
			code = ERR_ENCODING;

		request->refusal = code;
		request_note_refusal(
			request, code, mistake, find_sender(request, &headers));
		return refuse_at_once(request, code, mistake);
	}
	return find_route(request, &headers) ? judge(request, &headers) : MHD_YES;
}

static void receive(struct http_request *request, const char *data, size_t len)
{
	const struct http_config *config = &request->connection->server->config;
	size_t total = request->body.len + len;

	if (request->refusal != 0)
		return;
	if (total > config->max_body_bytes ||
		(total > HTTP_SMALL_BODY_BYTES && !may_be_large(request))) {
		refuse(request, ERR_TOO_LARGE, request_node(request));
		return;
	}
	if (!has_memory(request, total)) {
		refuse(request, ERR_BODY_MEMORY, request_node(request));
		return;
	}
	buf_put(&request->body, data, len);
	if (!buf_ok(&request->body))
		refuse(request, ERR_NOMEM, request_node(request));
}

/* A right may have been taken away while the body came. */
static void maybe_judge_again(struct http_request *request)
{
	struct http_server *server = request->connection->server;
	struct headers headers;

	if (request->refusal != 0 ||
		request->rights_version == server->config.rights_version(server->arg))
		return;
	headers_gather(request->connection->mhd, &headers);
	(void)authorize(request, &headers); /* a guess would have been one before */
}

static bool is_still_allowed(struct http_request *request)
{
	maybe_judge_again(request);
	return request->refusal == 0;
}

void http_work_begins(struct http_request *request)
{
	request->is_worked_on = true;
}

bool http_work_ended(struct http_request *request)
{
	struct http_server *server = request->connection->server;

	request->is_worked_on = false;
	forget_body(request, server);
	server->now_ms = clock_ms();
	connection_enter(request->connection, CONN_ANSWERING);
	if (is_still_allowed(request))
		return true;
	http_answer_error(request, request->refusal, request->sentence);
	return false;
}

static void call_handler(struct http_request *request)
{
	if (is_still_allowed(request)) {
		request->route->handler(request->connection->server->arg, request);
		return;
	}
	http_answer_error(request, request->refusal, request->sentence);
	if (request->refusal == ERR_METHOD)
		answer_add_header(request, MHD_HTTP_HEADER_ALLOW, request->allow);
}

void request_sleep(struct http_request *request)
{
	request->is_suspended = true;
	MHD_suspend_connection(request->connection->mhd);
}

void request_wake(struct http_request *request)
{
	request->is_suspended = false;
	MHD_resume_connection(request->connection->mhd);
	server_run_soon(request->connection->server);
}

/*
 * On a unix socket, a peer that has read the answer and gone is seen as an error before
 * libmicrohttpd has taken note that all was sent, and then nobody knows that it was. Who
 * was asleep is not polled before that.
 */
static bool has_to_sleep(const struct http_request *request)
{
	return request->answer == NULL ||
		(request->connection->is_unix && request->is_ok);
}

static enum MHD_Result hand_over(struct http_request *request)
{
	request->is_handed = true;
	connection_enter(request->connection, CONN_ANSWERING);
	call_handler(request);
	if (!has_to_sleep(request))
		return answer_queue(request);
	request_sleep(request);
	if (request->answer != NULL)
		request_wake(request);
	return MHD_YES;
}

/* Shut down, or the whole door is: then nobody may fall asleep any more. */
static bool is_over(const struct connection *connection)
{
	return connection->is_cut || connection->server->on_closed != NULL;
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
	if (is_over(connection) && (request == NULL || request->answer == NULL))
		return MHD_NO;
	if (request == NULL)
		return turn_takes_request(connection, url)
			? begin(connection, url, method, version, context)
			: MHD_YES;
	if (*data_len > 0) {
		receive(request, data, *data_len);
		*data_len = 0;
		turn_took_bytes(connection);
		return MHD_YES;
	}
	if (request->delay != NULL && request->answer == NULL)
		return go_on(request);
	if (!request->is_handed && request->answer == NULL)
		return hand_over(request);
	/* Woken up: the answer is there. Refused at once: it is queued, and this is not
	 * called. */
	return request->answer != NULL ? answer_queue(request) : MHD_YES;
}

/* Of who is no stranger: it was allowed what not everybody is. */
static bool is_proof(const struct http_request *request)
{
	return request->refusal == 0 && request->is_handed &&
		request->status < MHD_HTTP_BAD_REQUEST && request->route != NULL &&
		request->route->right > RIGHT_ANYBODY;
}

void request_on_completed(void *server, struct MHD_Connection *mhd, void **context,
	enum MHD_RequestTerminationCode code)
{
	struct http_request *request = *context;
	struct connection *connection = connection_of(mhd);

	if (connection != NULL) {
		if (request == NULL || !request->is_handed)
			overheard_end(connection, code);
		connection->request = NULL;
		connection->ended_run = connection->server->n_runs;
		if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
			answer_written(connection);
		if (request != NULL && is_proof(request) && !connection->is_hasty)
			connection_set_proven(connection, true);
		if (connection->state != CONN_IDLE)
			connection_enter(connection, CONN_IDLE);
	}
	*context = NULL;
	if (request == NULL)
		return;
	/* The connection may have ended between the answer and its turn to be queued. */
	delay_end(request);
	answer_drop(request);
	forget_body(request, server);
	free(request->path_value);
	free(request->target_host);
	free(request->sentence);
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

const char *http_header(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(
		request->connection->mhd, MHD_HEADER_KIND, name);
}

const char *http_path_value(const struct http_request *request)
{
	return request->path_value;
}

const struct http_identity *http_identity(const struct http_request *request)
{
	return &request->identity;
}

void *http_handlers_arg(const struct http_request *request)
{
	return request->connection->server->arg;
}

const void *http_route_data(const struct http_request *request)
{
	return request->route->data;
}

const char *http_peer(const struct http_request *request)
{
	return request->connection->peer;
}

const struct refusals *http_refusals(const struct http_request *request)
{
	return &request->connection->server->refusals;
}

uint64_t http_connection_id(const struct http_request *request)
{
	return request->connection->id;
}
