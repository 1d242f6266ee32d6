/* tallyctl status: how the daemon is doing. What an answer does not tell is left out: a
 * daemon may be older, or show no more to who has no right to read. */
#include "ctl/ctl.h"
#include "ctl/mem.h"
#include "ctl/member.h"
#include "ctl/path.h"
#include "ctl/show.h"
#include "ctl/table.h"
#include "ctl/term.h"
#include "ctl/verbs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void show_version(struct table *table, const cJSON *data)
{
	const char *version = member_text(data, "version");
	char buf[SHOW_BYTES];
	uint64_t up_s;

	if (version != NULL) {
		table_cell(table, "version");
		table_cell(table, version);
	}
	if (member_u64(data, "uptimeSeconds", &up_s)) {
		table_cell(table, "running for");
		table_cell(table, show_duration(up_s * 1000, buf));
	}
}

static void show_users(struct table *table, const cJSON *data)
{
	const cJSON *stats = member_object(data, "stats");
	uint64_t users, pending;

	if (member_u64(data, "users", &users)) {
		table_cell(table, "users");
		table_cellf(table, "%" PRIu64, users);
	}
	if (member_u64(stats, "pendingUsers", &pending)) {
		table_cell(table, "pending");
		table_cellf(table, "%" PRIu64 " users wait for SQLite%s", pending,
			member_is_true(stats, "isSyncing") ? "; a sync is running" : "");
	}
}

static void show_last_sync(struct table *table, const cJSON *last)
{
	const char *error = member_text(last, "error");
	const char *what_to_do = member_text(last, "whatToDo");
	char ago[SHOW_BYTES];
	uint64_t at;

	if (last == NULL)
		return;
	table_cell(table, "last sync");
	if (!member_u64(last, "at", &at))
		table_cell(table, "none yet");
	else if (error != NULL)
		table_cellf(table, "failed %s: %s", show_ago(at, ago), error);
	else
		table_cellf(table, "%s, %" PRIu64 " users in %" PRIu64 " ms",
			show_ago(at, ago), member_u64_or_0(last, "users"),
			member_u64_or_0(last, "timeMs"));
	if (what_to_do != NULL) {
		table_cell(table, "");
		table_cell(table, what_to_do);
	}
}

static void show_redis(struct table *table, const cJSON *redis)
{
	const char *state = member_text(redis, "state");
	const char *error = member_text(redis, "error");
	const char *edits = member_text(redis, "edits");
	uint64_t unsent = member_u64_or_0(redis, "unsentUsers");
	uint64_t refused = member_u64_or_0(redis, "refusedUsers");

	if (state == NULL)
		return;
	table_cell(table, "redis");
	table_cellf(table, "%s%s%s", state, error != NULL ? ": " : "",
		error != NULL ? error : "");
	if (edits != NULL && strcmp(edits, "walked") == 0) {
		table_cell(table, "");
		table_cell(table,
			"it does not tell of edits by others: they are looked for");
	}
	if (unsent == 0 && refused == 0)
		return;
	table_cell(table, "");
	table_cellf(table, "%" PRIu64 " users not sent yet, %" PRIu64 " refused by Redis",
		unsent, refused);
}

static void show_journal(struct table *table, const cJSON *journal)
{
	const char *error = member_text(journal, "error");
	const char *missing = member_text(journal, "missing");
	char bytes[SHOW_BYTES];

	if (journal == NULL)
		return;
	table_cell(table, "journal");
	table_cellf(table, "%s in %" PRIu64 " records%s%s",
		show_bytes(member_u64_or_0(journal, "bytes"), bytes),
		member_u64_or_0(journal, "records"),
		error != NULL ? "; nothing is accepted: " : "",
		error != NULL ? error : "");
	if (missing != NULL) {
		table_cell(table, "");
		table_cell(table, missing);
	}
}

static void show_reports(struct table *table, const cJSON *reports)
{
	uint64_t rejected = member_u64_or_0(reports, "rejectedEvents");

	if (reports == NULL)
		return;
	table_cell(table, "reports");
	table_cellf(table,
		"%" PRIu64 " accepted, %" PRIu64 " came again, %" PRIu64 " refused",
		member_u64_or_0(reports, "accepted"), member_u64_or_0(reports, "repeats"),
		member_u64_or_0(reports, "refused"));
	if (rejected == 0)
		return;
	table_cell(table, "");
	table_cellf(table, "%" PRIu64 " events of them were rejected", rejected);
}

/* What doctor explains, in one line. */
static void show_doctor(struct table *table, const cJSON *data)
{
	int n = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(data, "suspicions"));
	const cJSON *counts = member_object(member_object(data, "refusals"), "counts");
	const cJSON *count;
	uint64_t refused = 0;

	cJSON_ArrayForEach (count, counts) {
		refused += member_u64_or_0(counts, count->string);
	}
	if (n == 0 && refused == 0)
		return;
	table_cell(table, "look at");
	table_cellf(table,
		"%d %s wrong, %" PRIu64 " %s refused: `tallyctl doctor` tells of them", n,
		n == 1 ? "thing looks" : "things look", refused,
		refused == 1 ? "request was" : "requests were");
}

static void show_nodes(struct table *table, const cJSON *nodes)
{
	bool is_open;

	if (!member_bool(nodes, "open", &is_open))
		return;
	table_cell(table, "nodes");
	table_cellf(table, "%s; nodes with a secret: %" PRIu64,
		is_open ? "open: names without a secret may report"
			: "closed: only nodes with a secret may report",
		member_u64_or_0(nodes, "withSecret"));
}

static void warn(const char *sentence)
{
	char *safe = term_safe(sentence);

	(void)printf("\nwarning: %s\n", safe); /* looked at with ferror() at the end */
	free(safe);
}

static void show_warnings(const cJSON *data)
{
	const cJSON *warning;

	cJSON_ArrayForEach (warning, cJSON_GetObjectItemCaseSensitive(data, "warnings")) {
		if (cJSON_IsString(warning))
			warn(warning->valuestring);
	}
	if (member_is_true(data, "hasSaturatedTotals"))
		warn("the total of a user has reached the largest number and stays "
		     "there");
	if (member_text(data, "version") == NULL)
		warn("the daemon shows no more than this to who has no right to read it");
}

static void show(const struct ctl *ctl, const cJSON *answer)
{
	static const char *const no_titles[] = {"", ""};
	const cJSON *data = member_object(answer, "data");
	struct table *table = table_new(2, no_titles);

	(void)ctl;
	show_version(table, data);
	show_users(table, data);
	show_last_sync(table, member_object(data, "lastSync"));
	show_redis(table, member_object(data, "redis"));
	show_journal(table, member_object(data, "journal"));
	show_reports(table, member_object(data, "reports"));
	show_nodes(table, member_object(data, "nodes"));
	show_doctor(table, data);
	table_print(table, stdout);
	table_free(table);
	show_warnings(data);
}

int status_show(const struct ctl *ctl)
{
	return ctl_do(ctl, "GET", mem_copy("/throttle-sync-status"), NULL, show);
}
