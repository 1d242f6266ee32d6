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
			"a report is half as large as max_body_bytes: raise it, a larger "
			"one is refused for ever",
			"node=%s bytes=%zu max_body_bytes=%zu", LOG_QUOTE(node), len,
			api->max_body_bytes);
}

void api_delivered(void *arg, uint64_t connection)
{
	accept_delivered(((struct api *)arg)->accept, connection);
}

void api_observer(void *arg, struct http_request *request)
{
	struct api *api = arg;
	const char *name = http_identity(request)->name;
	const char *counters = http_param(request, "counters");
	struct node *node = ledger_find_node(api->ledger, name);
	struct incoming incoming = {.node = name,
		.connection = http_connection_id(request),
		.peer = http_peer(request),
		.counters = api->counters};
	int code;

	if (!read_counters(counters, &incoming.counters)) {
		accept_note_refused(api->accept);
		http_answer_error(
			request, ERR_PARAM, "counters is neither delta nor cumulative");
		return;
	}
	if (node != NULL)
		prefer_own_counters(node, counters != NULL, &incoming.counters);
	incoming.body = http_body(request, &incoming.len);
	maybe_warn_of_size(api, name, incoming.len);
	code = accept_report(api->accept, &incoming, on_accepted, request);
	if (code == 0)
		http_answer_ok(request);
	else if (code != ACCEPT_WAITS)
		http_answer_error(request, code, NULL);
}
