#include "ctl/symptoms.h"
#include "base/clock.h"
#include "ctl/findings.h"
#include "ctl/mem.h"
#include "ctl/member.h"
#include "ctl/path.h"
#include "ctl/show.h"

#include <inttypes.h>
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

static enum level level_of_suspicion(const char *code)
{
	static const char *const wrong_numbers[] = {
		"looks-cumulative", "looks-delta", "two-senders"};

	for (size_t i = 0; i < sizeof(wrong_numbers) / sizeof(wrong_numbers[0]); i++)
		if (strcmp(code, wrong_numbers[i]) == 0)
			return LEVEL_PROBLEM;
	return LEVEL_WARNING;
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

/* What stands between two backticks is a line to type, or to write. */
static void add_commands(cJSON *finding, const char *sentence)
{
	const char *begin = strchr(sentence, '`');

	while (begin != NULL) {
		const char *end = strchr(begin + 1, '`');

		if (end == NULL)
			return;
		finding_change(finding, "%.*s", (int)(end - begin - 1), begin + 1);
		begin = strchr(end + 1, '`');
	}
}

void symptoms_of_warnings(cJSON *findings, const cJSON *warnings)
{
	const cJSON *warning;

	cJSON_ArrayForEach (warning, warnings) {
		if (cJSON_IsString(warning))
			add_commands(finding_add(findings, LEVEL_WARNING, "rights",
					     mem_copy(warning->valuestring)),
				warning->valuestring);
	}
}

/* Nodes */

static void add_never(cJSON *findings, const char *name)
{
	cJSON *finding = finding_add(findings, LEVEL_WARNING, "node-never",
		mem_format("node %s has never reported: its GOST does not run, has no "
			   "traffic, or does not reach tallyd; in its configuration, "
			   "in the service, in its handler, and under observers: plugin:",
			name));

	finding_change(finding, "observer: tally");
	finding_change(finding, "type: http");
	finding_change_addr(finding, name);
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

void symptoms_of_node(cJSON *findings, const cJSON *node)
{
	const char *name = member_text(node, "name");
	uint64_t now = clock_wall_ms(), at, deleted_at;
	bool is_enabled = true;
	bool is_made = member_is_true(node, "hasSecret");

	if (name == NULL || member_u64(node, "deletedAt", &deleted_at))
		return;
	(void)member_bool(node, "enabled", &is_enabled); /* absent: it is */
	if (!is_enabled)
		add_disabled(findings, name);
	else if (!member_u64(node, "lastReportAt", &at))
		add_never(findings, name);
	else if (at + SILENT_MS < now && (is_made || now - at < GONE_MS))
		add_silent(findings, name, at);
}
