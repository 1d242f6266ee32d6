#include "account/node_json.h"

static bool add_times(cJSON *object, const struct node_kept *kept)
{
	return json_add_u64(object, "createdAt", kept->created_ms) &&
		(kept->old_until_ms == 0 ||
			json_add_u64(object, "oldSecretUntil", kept->old_until_ms)) &&
		(kept->deleted_ms == 0 ||
			(json_add_u64(object, "deletedAt", kept->deleted_ms) &&
				json_add_u64(object, "keptUntil",
					kept->deleted_ms + NODE_KEPT_MS)));
}

cJSON *node_to_json(const char *name, const struct node_kept *kept)
{
	cJSON *object = cJSON_CreateObject();
	bool is_whole = cJSON_AddStringToObject(object, "name", name) != NULL &&
		cJSON_AddBoolToObject(object, "hasSecret", kept->has_secret) != NULL &&
		cJSON_AddBoolToObject(object, "enabled", kept->is_enabled) != NULL &&
		(kept->counters == NODE_COUNTERS_UNSET ||
			cJSON_AddStringToObject(object, "counters",
				node_counters_name(kept->counters)) != NULL) &&
		(kept->note[0] == '\0' ||
			cJSON_AddStringToObject(object, "note", kept->note) != NULL) &&
		add_times(object, kept);

	if (is_whole)
		return object;
	cJSON_Delete(object);
	return NULL;
}
