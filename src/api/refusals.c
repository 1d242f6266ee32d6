/* What was refused, as it is shown. */
#include "api/api.h"
#include "api/json.h"

static void add_counts(cJSON *object, const struct refusals *refusals)
{
	cJSON *counts = cJSON_AddObjectToObject(object, "counts");

	for (int code = -1; code >= ERR_LAST; code--) {
		uint64_t count = refusals_count(refusals, code);

		if (count > 0)
			json_add_u64(counts, err_word(code), count);
	}
}

static cJSON *show(const struct refusal *refusal)
{
	cJSON *object = cJSON_CreateObject();

	json_add_u64(object, "at", refusal->at_ms);
	json_add_text(object, "peer", refusal->peer);
	json_add_text(object, "node", refusal->node);
	json_add_text(object, "method", refusal->method);
	json_add_text(object, "path", refusal->path);
	json_add_u64(object, "status", (uint64_t)err_http_status(refusal->code));
	(void)cJSON_AddStringToObject(object, "code", err_word(refusal->code));
	(void)cJSON_AddStringToObject(object, "reason", refusal->reason);
	return object;
}

void refusals_add(cJSON *object, const struct refusals *refusals)
{
	const struct refusal *refusal;
	cJSON *last;

	add_counts(object, refusals);
	last = cJSON_AddArrayToObject(object, "last");
	for (unsigned i = 0; (refusal = refusals_last(refusals, i)) != NULL; i++)
		json_add_to_array(last, show(refusal));
}

void api_refusals(void *arg, struct http_request *request)
{
	cJSON *object = cJSON_CreateObject();

	(void)arg;
	refusals_add(object, http_refusals(request));
	json_answer(request, 200, object);
}
