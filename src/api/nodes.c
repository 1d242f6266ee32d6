/* Nodes, as they are shown: those that were made, and names that only report. */
#include "api/api.h"
#include "api/json.h"
#include "command/verb.h"

static void add_watched(cJSON *object, const struct watch_node *watched)
{
	cJSON *peers, *seen;

	if (watched == NULL)
		return;
	(void)cJSON_AddStringToObject(object, "mode",
		watched->mode == COUNTERS_CUMULATIVE ? "cumulative" : "delta");
	peers = cJSON_AddArrayToObject(object, "peers");
	for (size_t i = 0; i < WATCH_PEERS && watched->peers[i].hash != 0; i++)
		if (watched->peers[i].text[0] != '\0')
			json_add_to_array(
				peers, cJSON_CreateString(watched->peers[i].text));
	seen = cJSON_AddObjectToObject(object, "seen");
	(void)cJSON_AddBoolToObject(seen, "users", watched->has_users);
	(void)cJSON_AddBoolToObject(seen, "handler", watched->has_handler);
	(void)cJSON_AddBoolToObject(seen, "service", watched->has_service);
	(void)cJSON_AddBoolToObject(seen, "states", watched->has_states);
}

/* `node` NULL: nobody made it. */
static cJSON *show(const struct api *api, const char *name, const struct node *node)
{
	const struct tenant *tenant = bounds_find(ledger_bounds(api->ledger), name);
	cJSON *object;

	if (node != NULL) {
		object = node_to_json(node->name, &node->kept);
	} else {
		object = cJSON_CreateObject();
		(void)cJSON_AddStringToObject(object, "name", name);
		(void)cJSON_AddFalseToObject(object, "hasSecret");
		(void)cJSON_AddTrueToObject(object, "enabled");
	}
	/* 1: only known from what belongs to it. */
	if (tenant != NULL && tenant->last_report_ms > 1)
		json_add_u64(object, "lastReportAt", tenant->last_report_ms);
	json_add_u64(
		object, "services", tenant != NULL ? tenant->used.of[BOUND_SERVICES] : 0);
	add_watched(object, watch_find_node(ledger_watch(api->ledger), name));
	memory_add_node(object, api->ledger, name);
	suspicions_add(object, api->ledger, name);
	return object;
}

void api_nodes(void *arg, struct http_request *request)
{
	const struct api *api = arg;
	const struct node *node = ledger_next_node(api->ledger, NULL);
	const struct tenant *tenant = ledger_bounds(api->ledger)->table;
	cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "nodes");

	for (; node != NULL; node = ledger_next_node(api->ledger, node))
		json_add_to_array(list, show(api, node->name, node));
	for (; tenant != NULL; tenant = tenant->hh.next)
		if (tenant->last_report_ms != 0 &&
			ledger_find_node(api->ledger, tenant->name) == NULL)
			json_add_to_array(list, show(api, tenant->name, NULL));
	(void)cJSON_AddBoolToObject(root, "open", ledger_is_open(api->ledger));
	(void)cJSON_AddNullToObject(root, "next");
	json_answer(request, 200, root);
}

void api_node(void *arg, struct http_request *request)
{
	const struct api *api = arg;
	const char *name = http_path_value(request);
	const struct node *node = ledger_find_node(api->ledger, name);

	if (node == NULL && !ledger_has_node_reported(api->ledger, name))
		http_answer_error(
			request, ERR_NOT_FOUND, "there is no node of this name");
	else
		json_answer(request, 200, show(api, name, node));
}
