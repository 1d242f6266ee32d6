/* GOST's observer plugin: success is 200 with {"ok":true}, anything else is repeated for
 * ever. */
#include "api/api.h"
#include "base/log.h"
#include "base/text.h"

#include <string.h>

static void on_accepted(void *arg)
{
	http_answer_ok(arg);
}

static void refuse(struct http_request *request, int code, const char *sentence)
{
	log_limited(LOG_WARN, "report refused", "status=%d reason=%s",
		err_http_status(code), LOG_QUOTE(sentence));
	http_answer_error(request, err_http_status(code), sentence);
}

static bool read_counters(const struct api *api, const struct http_request *request,
	enum counter_mode *ret_mode)
{
	const char *word = http_param(request, "counters");

	if (word == NULL)
		*ret_mode = api->counters;
	else if (strcmp(word, "delta") == 0)
		*ret_mode = COUNTERS_DELTA;
	else if (strcmp(word, "cumulative") == 0)
		*ret_mode = COUNTERS_CUMULATIVE;
	else
		return false;
	return true;
}

void api_delivered(void *arg, uint64_t connection)
{
	accept_delivered(((struct api *)arg)->accept, connection);
}

void api_observer(void *arg, struct http_request *request)
{
	struct api *api = arg;
	const char *node = http_param(request, "node");
	struct incoming incoming = {
		.node = node != NULL && node[0] != '\0' ? node : "default",
		.connection = http_connection_id(request)};
	int code;

	if (!text_is_name(incoming.node)) {
		accept_note_refused(api->accept);
		refuse(request, ERR_PARAM,
			"node is not a name: up to 255 bytes of UTF-8 without control "
			"characters");
		return;
	}
	if (!read_counters(api, request, &incoming.counters)) {
		accept_note_refused(api->accept);
		refuse(request, ERR_PARAM, "counters is neither delta nor cumulative");
		return;
	}
	incoming.body = http_body(request, &incoming.len);
	code = accept_report(api->accept, &incoming, on_accepted, request);
	if (code != 0)
		refuse(request, code, err_text(code));
}
