#include "account/node_json.h"

cJSON *node_to_json(const char *name, const struct node_kept *kept)
{
	cJSON *object = cJSON_CreateObject();

	/* What memory was too short for is missing. */
	(void)cJSON_AddStringToObject(object, "name", name);
	(void)cJSON_AddBoolToObject(object, "hasSecret", kept->has_secret);
	(void)cJSON_AddBoolToObject(object, "enabled", kept->is_enabled);
	if (kept->counters != NODE_COUNTERS_UNSET)
		(void)cJSON_AddStringToObject(
			object, "counters", node_counters_name(kept->counters));
	if (kept->note[0] != '\0')
		(void)cJSON_AddStringToObject(object, "note", kept->note);
	json_add_u64(object, "createdAt", kept->created_ms);
	if (kept->old_until_ms != 0)
		json_add_u64(object, "oldSecretUntil", kept->old_until_ms);
	if (kept->deleted_ms != 0) {
		json_add_u64(object, "deletedAt", kept->deleted_ms);
		json_add_u64(object, "keptUntil", kept->deleted_ms + NODE_KEPT_MS);
	}
	return object;
}
