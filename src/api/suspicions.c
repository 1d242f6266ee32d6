#include "account/ledger.h"
#include "api/json.h"
#include "base/clock.h"

#include <string.h>

static cJSON *show(const struct ledger *ledger, const struct suspicion *suspicion)
{
	cJSON *object = cJSON_CreateObject(), *change;
	struct suspicion_text text;

	suspicion_describe(ledger, suspicion, &text);
	(void)cJSON_AddStringToObject(object, "code", suspicion_word(suspicion->code));
	(void)cJSON_AddStringToObject(object, "node", suspicion->service->node);
	(void)cJSON_AddStringToObject(object, "service", suspicion->service->name);
	if (suspicion->client[0] != '\0')
		(void)cJSON_AddStringToObject(object, "client", suspicion->client);
	json_add_u64(object, "since", suspicion->since_ms);
	(void)cJSON_AddStringToObject(object, "sentence", text.sentence);
	change = cJSON_AddArrayToObject(object, "change");
	for (size_t i = 0; i < text.n_change; i++)
		json_add_to_array(change, cJSON_CreateString(text.change[i]));
	return object;
}

void suspicions_add(cJSON *object, struct ledger *ledger, const char *node)
{
	cJSON *list = cJSON_AddArrayToObject(object, "suspicions");
	const struct suspicion *suspicion;

	watch_find_quiet(ledger, clock_wall_ms());
	TAILQ_FOREACH (suspicion, &ledger_watch(ledger)->suspicions.listed, link)
		if (node == NULL || strcmp(suspicion->service->node, node) == 0)
			json_add_to_array(list, show(ledger, suspicion));
}
