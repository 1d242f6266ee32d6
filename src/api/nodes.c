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

/* A page takes some 3 ms of the loop. */
#define PAGE_NODES 500

/* Where a page goes on: first those that were made, then names that only report. */
struct place {
	const struct node *node;
	const struct tenant *tenant;
};

static struct place first_place(const struct api *api)
{
	return (struct place){
		ledger_next_node(api->ledger, NULL), ledger_bounds(api->ledger)->table};
}

/* False if there is no node of that name, any more. */
static bool place_behind(const struct api *api, const char *name, struct place *ret_place)
{
	const struct node *node = ledger_find_node(api->ledger, name);
	const struct tenant *tenant = bounds_find(ledger_bounds(api->ledger), name);

	*ret_place = first_place(api);
	if (node != NULL)
		ret_place->node = ledger_next_node(api->ledger, node);
	else if (tenant != NULL)
		*ret_place = (struct place){NULL, tenant->hh.next};
	return node != NULL || tenant != NULL;
}

static bool only_reports(const struct api *api, const struct tenant *tenant)
{
	return tenant->last_report_ms != 0 &&
		ledger_find_node(api->ledger, tenant->name) == NULL;
}

/* The name of the next one, or NULL; *ret_node is NULL if nobody made it. */
static const char *step(
	const struct api *api, struct place *place, const struct node **ret_node)
{
	const struct tenant *tenant = NULL;

	*ret_node = place->node;
	if (place->node != NULL) {
		place->node = ledger_next_node(api->ledger, place->node);
		return (*ret_node)->name;
	}
	while (place->tenant != NULL && tenant == NULL) {
		tenant = only_reports(api, place->tenant) ? place->tenant : NULL;
		place->tenant = place->tenant->hh.next;
	}
	return tenant != NULL ? tenant->name : NULL;
}

static void answer_page(
	const struct api *api, struct http_request *request, struct place place)
{
	cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "nodes");
	const char *name = NULL, *last = NULL;
	const struct node *node;

	for (unsigned i = 0; i <= PAGE_NODES; i++) {
		name = step(api, &place, &node);
		if (name == NULL || i == PAGE_NODES)
			break;
		json_add_to_array(list, show(api, name, node));
		last = name;
	}
	(void)cJSON_AddBoolToObject(root, "open", ledger_is_open(api->ledger));
	if (name != NULL)
		(void)cJSON_AddStringToObject(root, "next", last);
	else
		(void)cJSON_AddNullToObject(root, "next");
	json_answer(request, 200, root);
}

void api_nodes(void *arg, struct http_request *request)
{
	const struct api *api = arg;
	const char *after = http_param(request, "after");
	struct place place = first_place(api);

	if (after == NULL || place_behind(api, after, &place))
		answer_page(api, request, place);
	else
		http_answer_error(request, ERR_NOT_FOUND,
			"there is no node of the name in `after`; begin anew without it");
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
