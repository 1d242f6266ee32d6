#include "ctl/symptoms.h"
#include "base/clock.h"
#include "ctl/findings.h"
#include "ctl/mem.h"
#include "ctl/member.h"
#include "ctl/path.h"
#include "ctl/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE_MS UINT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
/* GOST's period is seconds; a proxy without traffic reports nothing. */
#define SILENT_MS (10 * MINUTE_MS)
/* A name that nobody made is forgotten by people, too. */
#define GONE_MS (30 * DAY_MS)

/* Suspicions */

/* Those that tell of wrong numbers, by what several reports have shown; what is missing
 * is over once it comes. */
static const char *const wrong_numbers[] = {
	"looks-cumulative", "looks-delta", "two-senders"};
#define N_WRONG_NUMBERS (sizeof(wrong_numbers) / sizeof(wrong_numbers[0]))

static enum level level_of_suspicion(const char *code)
{
	for (size_t i = 0; i < N_WRONG_NUMBERS; i++)
		if (strcmp(code, wrong_numbers[i]) == 0)
			return LEVEL_PROBLEM;
	return LEVEL_WARNING;
}

bool symptoms_has_wrong_numbers(const cJSON *findings)
{
	for (size_t i = 0; i < N_WRONG_NUMBERS; i++)
		if (findings_has(findings, wrong_numbers[i]))
			return true;
	return false;
}

/* Sentences name the node, or it is put before them. */
static char *sentence_of(const cJSON *suspicion)
{
	const char *sentence = member_text(suspicion, "sentence");
	const char *node = member_text(suspicion, "node");

	if (node == NULL || strstr(sentence, node) != NULL)
		return mem_copy(sentence);
	return mem_format("node %s: %s", node, sentence);
}

void symptoms_of_suspicions(cJSON *findings, const cJSON *suspicions)
{
	const cJSON *suspicion, *line;

	cJSON_ArrayForEach (suspicion, suspicions) {
		const char *code = member_text(suspicion, "code");
		cJSON *finding;

		if (code == NULL || member_text(suspicion, "sentence") == NULL)
			continue;
		finding = finding_add(
			findings, level_of_suspicion(code), code, sentence_of(suspicion));
		cJSON_ArrayForEach (
			line, cJSON_GetObjectItemCaseSensitive(suspicion, "change")) {
			if (cJSON_IsString(line))
				finding_change(finding, "%s", line->valuestring);
		}
	}
}

/* Warnings */

/* A name, of a member or an option, is no line; a command and `name = value` have blanks.
 */
static bool is_line(const char *text, size_t len)
{
	return memchr(text, ' ', len) != NULL;
}

/* What stands between two backticks is a line to type, or to write, or a name. */
static void add_commands(cJSON *finding, const char *sentence)
{
	const char *begin = strchr(sentence, '`');

	while (begin != NULL) {
		const char *end = strchr(begin + 1, '`');

		if (end == NULL)
			return;
		if (is_line(begin + 1, (size_t)(end - begin - 1)))
			finding_change(
				finding, "%.*s", (int)(end - begin - 1), begin + 1);
		begin = strchr(end + 1, '`');
	}
}

/* That it is nearly used up: when it is, that was said. */
static bool is_told(const cJSON *findings, const char *warning)
{
	static const struct {
		const char *near, *code;
	} rows[] = {{"four fifths of max_memory", "memory-full"},
		{"four fifths of max_users", "users-full"},
		{"four fifths of the services", "services-full"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strncmp(warning, rows[i].near, strlen(rows[i].near)) == 0)
			return findings_has(findings, rows[i].code);
	return false;
}

void symptoms_of_warnings(cJSON *findings, const cJSON *warnings)
{
	const cJSON *warning;

	cJSON_ArrayForEach (warning, warnings) {
		if (cJSON_IsString(warning) && !is_told(findings, warning->valuestring))
			add_commands(finding_add(findings, LEVEL_WARNING, "rights",
					     mem_copy(warning->valuestring)),
				warning->valuestring);
	}
}

/* Nodes */

void symptoms_show_observer(cJSON *finding, const char *node)
{
	finding_change(finding,
		"observer: NAME   # in the service and in its handler: the very name of "
		"the entry of observers: that has this plugin; GOST takes any other, and "
		"reports to nobody");
	finding_change(finding, "type: http");
	finding_change_addr(finding, node);
}

static void add_never(cJSON *findings, const char *name)
{
	cJSON *finding = finding_add(findings, LEVEL_WARNING, "node-never",
		mem_format("node %s has never reported: its GOST does not run, has no "
			   "traffic, or does not reach tallyd; in its configuration, "
			   "in the service, in its handler, and under observers: plugin:",
			name));

	symptoms_show_observer(finding, name);
}

static void add_silent(cJSON *findings, const char *name, uint64_t at_ms)
{
	char at[SHOW_BYTES];
	cJSON *finding = finding_add(findings, LEVEL_WARNING, "node-silent",
		mem_format("node %s has been silent since %s: its GOST has no traffic, "
			   "does not run, or does not reach tallyd; on its machine:",
			name, show_time(at_ms, at)));

	finding_change(finding, "systemctl status gost");
	finding_change_addr(finding, name);
}

static void add_disabled(cJSON *findings, const char *name)
{
	cJSON *finding = finding_add(findings, LEVEL_WARNING, "node-disabled",
		mem_format("node %s is disabled: its reports wait in its GOST, and are "
			   "lost if that is restarted",
			name));

	finding_change_command(finding, "tallyctl node set NODE --enable", name);
}

const char *symptoms_seen(const cJSON *node, char buf[SHOW_BYTES])
{
	const cJSON *seen = member_object(node, "seen");
	bool has_users = member_is_true(seen, "users");
	const struct {
		bool is_seen;
		const char *word;
	} kinds[] = {{has_users, "users"},
		{!has_users && member_is_true(seen, "handler"), "handlers without users"},
		{member_is_true(seen, "service"), "services"},
		{member_is_true(seen, "states"), "states"}};
	size_t len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].is_seen)
			len += (size_t)snprintf(buf + len, SHOW_BYTES - len, "%s%s",
				len > 0 ? ", " : "", kinds[i].word);
	return buf;
}

enum condition { FINE, DISABLED, NEVER, SILENT };

static enum condition condition_of(const cJSON *node, uint64_t *ret_at)
{
	uint64_t now = clock_wall_ms(), at, deleted_at;
	bool is_enabled = true;

	if (member_text(node, "name") == NULL ||
		member_u64(node, "deletedAt", &deleted_at))
		return FINE;
	(void)member_bool(node, "enabled", &is_enabled); /* absent: it is */
	if (!is_enabled)
		return DISABLED;
	/* Whose events are all rejected does report: that is told elsewhere. */
	if (!member_u64(node, "lastReportAt", &at))
		return member_u64_or_0(node, "rejectedEvents") > 0 ? FINE : NEVER;
	*ret_at = at;
	if (at + SILENT_MS < now &&
		(member_is_true(node, "hasSecret") || now - at < GONE_MS))
		return SILENT;
	return FINE;
}

/* Where more are in the same condition, they are one finding, which names some. */
#define MAX_SINGLE 3
#define MAX_NAMED 10

struct group {
	enum condition condition;
	size_t n;
	char *names; /* owned */
};

static void note(struct group *group, const char *name)
{
	char *longer;

	if (group->n++ >= MAX_NAMED)
		return;
	longer = mem_format("%s%s%s", group->names != NULL ? group->names : "",
		group->names != NULL ? ", " : "", name);
	free(group->names);
	group->names = longer;
}

static void add_single(
	cJSON *findings, enum condition condition, const char *name, uint64_t at)
{
	if (condition == DISABLED)
		add_disabled(findings, name);
	else if (condition == NEVER)
		add_never(findings, name);
	else
		add_silent(findings, name, at);
}

static void add_group(cJSON *findings, const struct group *group)
{
	static const struct {
		const char *code, *what, *line;
	} rows[] = {
		[DISABLED] = {"node-disabled",
			"are disabled: their reports wait in their GOSTs",
			"tallyctl node set NODE --enable"},
		[NEVER] = {"node-never", "have never reported",
			"tallyctl node rm NODE   # if it is not to"},
		[SILENT] = {"node-silent", "have been silent for 10 minutes or longer",
			"systemctl status gost   # on their machines"},
	};
	char more[40] = "";
	cJSON *finding;

	if (group->n > MAX_NAMED)
		(void)snprintf(more, sizeof(more), " and %zu more", group->n - MAX_NAMED);
	finding = finding_add(findings, LEVEL_WARNING, rows[group->condition].code,
		mem_format("%zu nodes %s: %s%s", group->n, rows[group->condition].what,
			group->names, more));
	finding_change(finding, "tallyctl node show NODE   # what each may need");
	finding_change(finding, "%s", rows[group->condition].line);
}

static void look_at_condition(cJSON *findings, const cJSON *nodes, const cJSON *refusals,
	enum condition condition, struct group *group)
{
	const cJSON *node;

	cJSON_ArrayForEach (node, nodes) {
		const char *name = member_text(node, "name");
		uint64_t at = 0;

		if (condition_of(node, &at) != condition ||
			symptoms_is_refused(refusals, nodes, name))
			continue;
		if (group != NULL)
			note(group, name);
		else
			add_single(findings, condition, name, at);
	}
}

void symptoms_of_nodes(cJSON *findings, const cJSON *nodes, const cJSON *refusals)
{
	for (enum condition condition = DISABLED; condition <= SILENT; condition++) {
		struct group group = {.condition = condition};

		look_at_condition(findings, nodes, refusals, condition, &group);
		if (group.n > MAX_SINGLE)
			add_group(findings, &group);
		else
			look_at_condition(findings, nodes, refusals, condition, NULL);
		free(group.names);
	}
}
