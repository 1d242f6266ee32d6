/* What doctor tells people: problems, then warnings, and who reports. What is written to
 * stdout is looked at with ferror() at the end. */
#include "ctl/args.h"
#include "ctl/ctl.h"
#include "ctl/doctor.h"
#include "ctl/findings.h"
#include "ctl/member.h"
#include "ctl/show.h"
#include "ctl/symptoms.h"
#include "ctl/table.h"
#include "ctl/term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NODES_SHOWN 20

bool doctor_has_reports(const struct doctor *doctor)
{
	const cJSON *node;
	uint64_t at;

	cJSON_ArrayForEach (node, doctor->nodes) {
		if (member_u64(node, "lastReportAt", &at))
			return true;
	}
	return false;
}

static void show_nodes(const struct doctor *doctor)
{
	static const char *const titles[] = {
		"NODE", "LAST REPORT", "COUNTERS", "SEEN OF IT", "FROM"};
	struct table *table;
	const cJSON *node;
	char ago[SHOW_BYTES], seen[SHOW_BYTES];
	uint64_t at;

	int n = cJSON_GetArraySize(doctor->nodes);

	if (!doctor_has_reports(doctor))
		return;
	if (n > MAX_NODES_SHOWN) {
		(void)printf("%d nodes: `tallyctl node list` shows who reports.\n", n);
		return;
	}
	table = table_new(sizeof(titles) / sizeof(titles[0]), titles);
	cJSON_ArrayForEach (node, doctor->nodes) {
		char *peers = member_texts(node, "peers");

		table_cell(table, member_text(node, "name"));
		table_cell(table,
			member_u64(node, "lastReportAt", &at) ? show_ago(at, ago)
							      : "never");
		table_cell(table, member_text(node, "mode"));
		table_cell(table, symptoms_seen(node, seen));
		table_cell(table, peers[0] != '\0' ? peers : NULL);
		free(peers);
	}
	table_print(table, stdout);
	table_free(table);
}

static void show_notes(const struct doctor *doctor)
{
	const cJSON *finding;

	cJSON_ArrayForEach (finding, doctor->findings) {
		const char *code = member_text(finding, "code");
		const char *level = member_text(finding, "level");

		if (strcmp(code, FINDING_SETUP_SKIPPED) == 0 && strcmp(level, "ok") == 0)
			(void)printf("\nNot looked at: %s.\n",
				member_text(finding, "sentence"));
	}
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void show_sum(const struct doctor *doctor, size_t n_problems, size_t n_warnings)
{
	const char *version = member_text(doctor->status, "version");
	uint64_t up_s = member_u64_or_0(doctor->status, "uptimeSeconds");
	char up[SHOW_BYTES];
	char *safe;

	if (n_problems + n_warnings > 0) {
		(void)printf("%zu problem%s, %zu warning%s.\n", n_problems,
			plural(n_problems), n_warnings, plural(n_warnings));
		return;
	}
	safe = term_safe(version != NULL ? version : "?");
	(void)printf("Everything looks right: tallyd %s has run for %s.\n", safe,
		show_duration(up_s * 1000, up));
	free(safe);
}

void doctor_show(const struct doctor *doctor)
{
	size_t n_problems = findings_count(doctor->findings, LEVEL_PROBLEM);
	size_t n_warnings = findings_count(doctor->findings, LEVEL_WARNING);

	if (args_has(doctor->ctl->args, "all")) {
		findings_print(doctor->findings, LEVEL_OK, stdout);
		(void)fputc('\n', stdout);
	}
	findings_print(doctor->findings, LEVEL_PROBLEM, stdout);
	findings_print(doctor->findings, LEVEL_WARNING, stdout);
	show_sum(doctor, n_problems, n_warnings);
	if (symptoms_has_wrong_numbers(doctor->findings))
		(void)puts(SYMPTOMS_WRONG_NUMBERS_LAST);
	show_notes(doctor);
	if (doctor_has_reports(doctor))
		(void)fputc('\n', stdout);
	show_nodes(doctor);
}
