/* What has no room any more: memory, users, services. */
#include "ctl/findings.h"
#include "ctl/mem.h"
#include "ctl/member.h"
#include "ctl/symptoms.h"

#include <inttypes.h>
#include <string.h>

/* What does not fit any more is larger than what is left. */
static bool is_used_up(const cJSON *object)
{
	uint64_t bytes = member_u64_or_0(object, "bytes");
	uint64_t max = member_u64_or_0(object, "maxBytes");

	return max > 0 && bytes >= max - max / 50;
}

static void add_used_up(cJSON *findings, const cJSON *memory, const char *node)
{
	uint64_t max = member_u64_or_0(memory, "maxBytes");
	cJSON *finding = finding_add(findings, LEVEL_PROBLEM, "memory-full",
		mem_format("%s%s%s used up%s: events of new users, services and series "
			   "are rejected, and their bytes are lost; in tallyd.conf, and "
			   "restart tallyd:",
			node != NULL ? "node " : "max_memory is",
			node != NULL ? node : "", node != NULL ? " has" : "",
			node != NULL ? " what it may take of max_memory" : ""));

	finding_change(
		finding, "max_memory = %" PRIu64 "MiB", max < 1 << 20 ? 1 : max >> 19);
	finding_change(finding, "systemctl restart tallyd");
}

void symptoms_of_memory(cJSON *findings, const cJSON *memory, const char *only)
{
	const cJSON *node;

	if (only == NULL && is_used_up(memory))
		add_used_up(findings, memory, NULL);
	cJSON_ArrayForEach (node, cJSON_GetObjectItemCaseSensitive(memory, "nodes")) {
		const char *name = member_text(node, "node");

		if (name != NULL && (only == NULL || strcmp(name, only) == 0) &&
			is_used_up(node))
			add_used_up(findings, memory,
				name[0] != '\0' ? name : "without a name");
	}
}

/* What holds for all nodes is said once, without a name. */
static char *sentence_of_full(const char *full, const char *node)
{
	bool is_of_node = strncmp(full, "this node ", 10) == 0;

	return mem_format("%s%s%s%s: events of new names are rejected, and their bytes "
			  "are not counted",
		is_of_node ? "node " : "", is_of_node ? node : "", is_of_node ? " " : "",
		is_of_node ? full + 10 : full);
}

static void add_full(cJSON *findings, const char *full, const char *node, uint64_t users)
{
	bool is_of_users = strstr(full, "max_users") != NULL;
	cJSON *finding = finding_add(findings, LEVEL_PROBLEM,
		is_of_users ? "users-full" : "services-full",
		sentence_of_full(full, node));

	if (is_of_users) {
		finding_change(
			finding, "max_users = %" PRIu64 "   # in tallyd.conf", 2 * users);
		finding_change(finding, "systemctl restart tallyd");
	} else {
		finding_change(
			finding, "tallyctl node list   # who has how many services");
	}
}

void symptoms_of_names(cJSON *findings, const cJSON *nodes, uint64_t users)
{
	const cJSON *node;

	cJSON_ArrayForEach (node, nodes) {
		const char *full = member_text(member_object(node, "memory"), "full");
		const char *name = member_text(node, "name");

		/* Of memory: symptoms_of_memory() */
		if (full != NULL && name != NULL && strstr(full, "max_memory") == NULL)
			add_full(findings, full, name, users);
	}
}
