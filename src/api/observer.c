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

void api_observer(void *arg, struct http_request *request)
{
	struct api *api = arg;
	const char *node = http_param(request, "node");
	const char *counters = http_param(request, "counters");
	size_t len;
	const char *body = http_body(request, &len);
	int code;

	if (node == NULL || node[0] == '\0')
		node = "default";
	if (!text_is_name(node)) {
		refuse(request, ERR_PARAM,
			"node is not a name: up to 255 bytes of UTF-8 without control "
			"characters");
		return;
	}
	if (counters != NULL && strcmp(counters, "delta") != 0) {
		refuse(request, ERR_PARAM,
			"counters can only be `delta` here: set observer.resetTraffic: "
			"true in GOST");
		return;
	}
	code = accept_report(api->accept, node, http_connection_id(request), body, len,
		on_accepted, request);
	if (code != 0)
		refuse(request, code, err_text(code));
}
