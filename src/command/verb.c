#include "command/verb.h"
#include "base/text.h"

#include <string.h>

/* Every verb. `reason` is known to all. */
static const struct verb verbs[] = {
	{"node.create", "name,secret,counters,enabled,note,fresh", node_create},
	{"node.first", "name,secret", node_first},
	{"node.set", "counters,enabled,note", node_set},
	{"node.secret", "secret", node_secret},
	{"node.delete", "fresh", node_delete},
	{"node.forget", "", node_forget},
	{"node.close", "", node_close},
	{"node.open", "", node_open},
};

const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

struct effect *act_effect(struct act *act, enum effect_kind kind, const char *node)
{
	struct effect *effect = &act->effects[act->n_effects++];

	*effect = (struct effect){.kind = kind, .node = node};
	return effect;
}

int act_text(struct act *act, const char *name, size_t max_bytes, const char **ret_text)
{
	const cJSON *item = json_member(act->arguments, name);

	*ret_text = "";
	if (item == NULL)
		return 0;
	if (!cJSON_IsString(item))
		return err_set(act->msg, ERR_PARAM, "%s is not a text", name);
	if (strlen(item->valuestring) > max_bytes)
		return err_set(act->msg, ERR_PARAM, "%s is longer than %zu bytes", name,
			max_bytes);
	if (!text_is_clean(item->valuestring, strlen(item->valuestring)))
		return err_set(act->msg, ERR_PARAM,
			"%s is not UTF-8, or holds control characters", name);
	*ret_text = item->valuestring;
	return 0;
}

int act_bool(struct act *act, const char *name, bool *ret_value)
{
	const cJSON *item = json_member(act->arguments, name);

	if (item == NULL)
		return 0;
	if (!cJSON_IsBool(item))
		return err_set(act->msg, ERR_PARAM, "%s is neither true nor false", name);
	*ret_value = cJSON_IsTrue(item);
	return 0;
}

bool act_has(const struct act *act, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(act->arguments, name) != NULL;
}
