/* GOST's observer plugin: success is 200 with {"ok":true}, anything else is repeated for
 * ever. */
#include "api/api.h"
#include "base/log.h"

#include <string.h>

static void on_accepted(void *arg)
{
	http_answer_ok(arg);
}

/* `word` is the query's, or NULL; then *ret_mode stays. */
static bool read_counters(const char *word, enum counter_mode *ret_mode)
{
	if (word == NULL)
		return true;
	if (strcmp(word, "delta") == 0)
		*ret_mode = COUNTERS_DELTA;
	else if (strcmp(word, "cumulative") == 0)
		*ret_mode = COUNTERS_CUMULATIVE;
	else
		return false;
	return true;
}

/* A node's own counters win: they were set by who may, once it was known what its GOST
 * sends. An address that says otherwise was forgotten. */
static void prefer_own_counters(
	struct node *node, bool does_query_say, enum counter_mode *mode)
{
	enum counter_mode own = node_mode(node->kept.counters, *mode);

	if (does_query_say && own != *mode && !node->has_told_counters) {
		node->has_told_counters = true;
		log_warn("the node's own counters win over its address",
			"node=%s counters=%s", LOG_QUOTE(node->name),
			node_counters_name(node->kept.counters));
	}
	*mode = own;
}

/* 413 never heals: GOST would send the same for ever. */
static void maybe_warn_of_size(const struct api *api, const char *node, size_t len)
{
	if (len >= api->max_body_bytes / 2)
		log_limited(LOG_WARN,
			"a report is more than half of max_body_bytes: raise it, a "
			"larger "
			"one is refused for ever",
			"node=%s bytes=%zu max_body_bytes=%zu", LOG_QUOTE(node), len,
			api->max_body_bytes);
}

void api_delivered(void *arg, uint64_t connection)
{
	accept_delivered(((struct api *)arg)->accept, connection);
}

/* As things stand now. False: it is answered. */
static bool describe(
	struct api *api, struct http_request *request, struct incoming *ret_incoming)
{
	const char *name = http_identity(request)->name;
	const char *counters = http_param(request, "counters");
	struct node *node = ledger_find_node(api->ledger, name);

	*ret_incoming = (struct incoming){.node = name,
		.connection = http_connection_id(request),
		.peer = http_peer(request),
		.counters = api->counters};
	if (!read_counters(counters, &ret_incoming->counters)) {
		accept_note_refused(api->accept);
		http_answer_error(
			request, ERR_PARAM, "counters is neither delta nor cumulative");
		return false;
	}
	if (node != NULL)
		prefer_own_counters(node, counters != NULL, &ret_incoming->counters);
	return true;
}

static void take(
	struct api *api, struct http_request *request, const struct incoming *incoming)
{
	int code = accept_report(api->accept, incoming, on_accepted, request);

	if (code == 0)
		http_answer_ok(request);
	else if (code != ACCEPT_WAITS)
		http_answer_error(request, code, NULL);
}

static void refuse(struct api *api, struct http_request *request, int code)
{
	accept_note_refused(api->accept);
	http_answer_error(request, code, NULL);
}

/* Meanwhile its right may have been taken away, or its counters been set. */
static void on_read(void *arg, int code, struct reading *reading)
{
	struct http_request *request = arg;
	struct api *api = http_handlers_arg(request);
	struct incoming incoming;

	if (!http_work_ended(request))
		return;
	if (code != 0)
		refuse(api, request, code);
	else if (describe(api, request, &incoming)) {
		incoming.reading = reading;
		take(api, request, &incoming);
	}
}

void api_observer(void *arg, struct http_request *request)
{
	struct api *api = arg;
	struct incoming incoming;
	int code;

	if (!describe(api, request, &incoming))
		return;
	incoming.body = http_body(request, &incoming.len);
	maybe_warn_of_size(api, incoming.node, incoming.len);
	if (incoming.len <= LARGE_REPORT_BYTES) {
		take(api, request, &incoming);
		return;
	}
	code = large_submit(api->large, &incoming, on_read, request);
	if (code == 0)
		http_work_begins(request);
	else
		refuse(api, request, code);
}
