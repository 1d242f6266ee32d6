#include "api/json.h"

#include <inttypes.h>
#include <stdio.h>

#define SHOWN_TENANTS 10

/* The ones that take most, the largest first; how many there are. */
static size_t largest(const struct bounds *bounds, const struct tenant *list[])
{
	const struct tenant *tenant = bounds->table;
	size_t n = 0;

	for (; tenant != NULL; tenant = tenant->hh.next) {
		size_t at = n < SHOWN_TENANTS ? n++ : SHOWN_TENANTS - 1;
		uint64_t bytes = tenant->used.of[BOUND_MEMORY];

		if (at == SHOWN_TENANTS - 1 && list[at] != NULL &&
			list[at]->used.of[BOUND_MEMORY] >= bytes)
			continue;
		for (; at > 0 && list[at - 1]->used.of[BOUND_MEMORY] < bytes; at--)
			list[at] = list[at - 1];
		list[at] = tenant;
	}
	return n;
}

void memory_add(cJSON *data, const struct ledger *ledger)
{
	const struct bounds *bounds = ledger_bounds(ledger);
	const struct tenant *list[SHOWN_TENANTS] = {NULL};
	size_t n = largest(bounds, list);
	cJSON *memory = cJSON_AddObjectToObject(data, "memory"), *nodes;

	json_add_u64(memory, "bytes", bounds->used.of[BOUND_MEMORY]);
	json_add_u64(memory, "maxBytes", bounds->max.of[BOUND_MEMORY]);
	nodes = cJSON_AddArrayToObject(memory, "nodes");
	for (size_t i = 0; i < n; i++) {
		cJSON *node = cJSON_CreateObject();

		(void)cJSON_AddStringToObject(node, "node", list[i]->name);
		json_add_u64(node, "bytes", list[i]->used.of[BOUND_MEMORY]);
		json_add_u64(
			node, "maxBytes", bounds_share(bounds, list[i], BOUND_MEMORY));
		json_add_to_array(nodes, node);
	}
}

void memory_add_node(cJSON *object, const struct ledger *ledger, const char *name)
{
	/* About one more of each. */
	static const struct usage more = {{1024, 1, 1}};
	const struct bounds *bounds = ledger_bounds(ledger);
	const struct tenant *tenant = bounds_find(bounds, name);
	const char *full;
	enum bound bound;
	cJSON *memory;

	if (tenant == NULL)
		return;
	memory = cJSON_AddObjectToObject(object, "memory");
	json_add_u64(memory, "bytes", tenant->used.of[BOUND_MEMORY]);
	json_add_u64(memory, "maxBytes", bounds_share(bounds, tenant, BOUND_MEMORY));
	full = bounds_refusal(bounds, tenant, &more, &bound);
	if (full != NULL)
		(void)cJSON_AddStringToObject(memory, "full", full);
	json_add_u64(object, "rejectedEvents", tenant->rejected_events);
}

/* A line for tallyd.conf: twice as much as now. */
static cJSON *make_warning(enum bound bound, uint64_t max)
{
	char text[256];
	uint64_t mib = max >> 19;

	switch (bound) {
	case BOUND_MEMORY:
		(void)snprintf(text, sizeof(text),
			"four fifths of max_memory are used: at its end events of new "
			"users, services and series are rejected; write `max_memory = "
			"%" PRIu64 "MiB` into tallyd.conf, and restart",
			mib > 0 ? mib : 1);
		break;
	case BOUND_USERS:
		(void)snprintf(text, sizeof(text),
			"four fifths of max_users are used: at its end events of new "
			"users are rejected; write `max_users = %" PRIu64
			"` into tallyd.conf, and restart",
			2 * max);
		break;
	default:
		(void)snprintf(text, sizeof(text),
			"four fifths of the services that there can be are used: at the "
			"end events of new ones are rejected; `tallyctl node list` shows "
			"who has how many");
		break;
	}
	return cJSON_CreateString(text);
}

void memory_add_warnings(cJSON *warnings, const struct ledger *ledger)
{
	const struct bounds *bounds = ledger_bounds(ledger);

	for (size_t i = 0; i < BOUNDS; i++)
		if (bounds_is_near(bounds->used.of[i], bounds->max.of[i]))
			json_add_to_array(
				warnings, make_warning((enum bound)i, bounds->max.of[i]));
}
