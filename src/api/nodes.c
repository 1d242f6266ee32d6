/* Nodes, as they are shown: those that were made, and names that only report. */
#include "api/api.h"
#include "api/json.h"
#include "base/hash.h"
#include "command/verb.h"

#include <stdlib.h>
#include <string.h>

/* What a node's services tell of it. */
struct seen {
	const char *name; /* borrows from the service */
	uint64_t last_report_ms;
	unsigned n_services;
	UT_hash_handle hh;
};

static void note(struct seen *seen, const struct service *service)
{
	seen->n_services++;
	if (service->updated_ms > seen->last_report_ms)
		seen->last_report_ms = service->updated_ms;
}

static void clear(struct seen **table)
{
	struct seen *seen, *next;

	HASH_ITER(hh, *table, seen, next)
	{
		HASH_DEL(*table, seen);
		free(seen);
	}
}

/* By name, in one pass. ERR_NOMEM: the table is empty. */
static int gather(const struct ledger *ledger, struct seen **ret_table)
{
	const struct service *service = ledger_next_service(ledger, NULL);
	struct seen *table = NULL, *seen;

	for (; service != NULL; service = ledger_next_service(ledger, service)) {
		HASH_FIND_STR(table, service->node, seen);
		if (seen == NULL) {
			seen = calloc(1, sizeof(*seen));
			if (seen == NULL) {
				clear(&table);
				return ERR_NOMEM;
			}
			seen->name = service->node;
			HASH_ADD_KEYPTR(hh, table, seen->name, strlen(seen->name), seen);
		}
		note(seen, service);
	}
	*ret_table = table;
	return 0;
}

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

/* `node` NULL: nobody made it; `seen` NULL: it has never reported. */
static cJSON *show(const struct api *api, const char *name, const struct node *node,
	const struct seen *seen)
{
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
	if (seen != NULL && seen->last_report_ms > 1)
		json_add_u64(object, "lastReportAt", seen->last_report_ms);
	json_add_u64(object, "services", seen != NULL ? seen->n_services : 0);
	add_watched(object, watch_find_node(ledger_watch(api->ledger), name));
	memory_add_node(object, api->ledger, name);
	suspicions_add(object, api->ledger, name);
	return object;
}

void api_nodes(void *arg, struct http_request *request)
{
	const struct api *api = arg;
	const struct node *node = ledger_next_node(api->ledger, NULL);
	cJSON *root, *list;
	struct seen *table, *seen, *next;

	if (gather(api->ledger, &table) != 0) {
		http_answer_error(request, ERR_NOMEM, NULL);
		return;
	}
	root = cJSON_CreateObject();
	list = cJSON_AddArrayToObject(root, "nodes");
	for (; node != NULL; node = ledger_next_node(api->ledger, node)) {
		HASH_FIND_STR(table, node->name, seen);
		json_add_to_array(list, show(api, node->name, node, seen));
	}
	HASH_ITER(hh, table, seen, next)
	if (ledger_find_node(api->ledger, seen->name) == NULL)
		json_add_to_array(list, show(api, seen->name, NULL, seen));
	clear(&table);
	(void)cJSON_AddBoolToObject(root, "open", ledger_is_open(api->ledger));
	(void)cJSON_AddNullToObject(root, "next");
	json_answer(request, 200, root);
}

void api_node(void *arg, struct http_request *request)
{
	const struct api *api = arg;
	const char *name = http_path_value(request);
	const struct node *node = ledger_find_node(api->ledger, name);
	const struct service *service = ledger_next_service(api->ledger, NULL);
	struct seen seen = {.name = name};

	for (; service != NULL; service = ledger_next_service(api->ledger, service))
		if (strcmp(service->node, name) == 0)
			note(&seen, service);
	if (node == NULL && seen.n_services == 0)
		http_answer_error(
			request, ERR_NOT_FOUND, "there is no node of this name");
	else
		json_answer(request, 200, show(api, name, node, &seen));
}
