/* Who was refused at the door, and what ends it. */
#include "base/clock.h"
#include "ctl/findings.h"
#include "ctl/mem.h"
#include "ctl/member.h"
#include "ctl/show.h"
#include "ctl/symptoms.h"

#include <stdlib.h>
#include <string.h>

/* GOST repeats every period: what is older is history. */
#define FRESH_REFUSAL_MS 600000
#define OLD_REFUSAL_MS 86400000

enum about { ANY, REPORT, NO_REPORT };

static const struct remedy {
	const char *code;
	enum about about;
	enum level level; /* of what goes on */
	const char *command, *other;
	bool has_addr; /* that of the observer, as it should be */
} remedies[] = {
	{"unauthorized", REPORT, LEVEL_PROBLEM,
		"tallyctl node secret NODE --secret-stdin   # the secret that its "
		"GOST "
		"sends",
		NULL, true},
	{"no_credential", ANY, LEVEL_PROBLEM, NULL,
		"tallyctl node add NODE   # unless `tallyctl node list` has it", true},
	{"unauthorized", NO_REPORT, LEVEL_WARNING, NULL,
		"Authorization: Bearer TOKEN   # that of /etc/tallyd/read-token, or "
		"api-token",
		false},
	{"forbidden", ANY, LEVEL_WARNING, NULL,
		"hostnames = NAME   # if it is about the Host; else a token is needed: "
		"tallyd-setup --tokens",
		false},
	{"not_found", REPORT, LEVEL_PROBLEM, NULL, NULL, true},
	{"method_not_allowed", REPORT, LEVEL_PROBLEM, NULL, NULL, true},
	{"bad_request", REPORT, LEVEL_PROBLEM, NULL, NULL, true},
	{"unavailable", REPORT, LEVEL_WARNING, NULL, "journalctl -u tallyd -n 20", false},
	{"http2", ANY, LEVEL_PROBLEM, NULL, "type: http   # under plugin:", false},
	{"tls", ANY, LEVEL_PROBLEM, NULL, NULL, true},
	{"malformed", ANY, LEVEL_WARNING, NULL, "type: http   # under plugin:", true},
	{"version", ANY, LEVEL_WARNING, NULL, "type: http   # under plugin:", false},
	{"too_large", ANY, LEVEL_PROBLEM, NULL,
		"max_body_bytes = 64MiB   # the most there is; in tallyd.conf, and "
		"restart",
		false},
	{"too_many_events", ANY, LEVEL_PROBLEM, NULL,
		"observer.period: 1s   # in GOST: who was idle is not reported; else "
		"share its users among several GOSTs",
		false},
	{"node_disabled", ANY, LEVEL_WARNING, "tallyctl node set NODE --enable", NULL,
		false},
	{"timeout", ANY, LEVEL_WARNING, NULL,
		"request_timeout = 30s   # in tallyd.conf, and restart", false},
	{"all_busy", ANY, LEVEL_WARNING, NULL,
		"max_connections = 4096   # in tallyd.conf, and restart", false},
	{"hung_up", ANY, LEVEL_WARNING, NULL, "timeout: 5s   # under plugin:", false},
	{NULL, ANY, LEVEL_WARNING, NULL, "journalctl -u tallyd -n 20", false},
};

/* Only a place that there is answers so: a GOST that has a wrong one is not found. */
static bool is_of_known_place(const cJSON *refusal)
{
	static const char *const codes[] = {"unauthorized", "bad_request", "unavailable"};
	const char *code = member_text(refusal, "code");

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (code != NULL && strcmp(code, codes[i]) == 0)
			return true;
	return false;
}

/* Who only looks at a wrong place, as a browser or a scanner does, is no GOST; nor is a
 * panel or a person that commands. */
static bool is_report(const cJSON *refusal)
{
	const char *path = member_text(refusal, "path");
	const char *method = member_text(refusal, "method");

	if (path != NULL && strstr(path, "/observer") != NULL)
		return true;
	if (method == NULL)
		return true;
	return strcmp(method, "POST") == 0 && !is_of_known_place(refusal);
}

/* NULL: that code is told of reports only, and this is none. */
static const struct remedy *find_remedy(const char *code, bool is_report)
{
	const struct remedy *remedy = remedies;
	bool is_listed = false;

	for (; remedy->code != NULL; remedy++) {
		if (strcmp(remedy->code, code) != 0)
			continue;
		if (remedy->about == ANY || (remedy->about == REPORT) == is_report)
			return remedy;
		is_listed = true;
	}
	return is_listed ? NULL : remedy;
}

static bool is_same_text(const cJSON *a, const cJSON *b, const char *member)
{
	const char *text_a = member_text(a, member), *text_b = member_text(b, member);

	if (text_a == NULL || text_b == NULL)
		return text_a == text_b;
	return strcmp(text_a, text_b) == 0;
}

static bool is_same_refusal(const cJSON *a, const cJSON *b)
{
	return is_same_text(a, b, "code") && is_same_text(a, b, "peer") &&
		is_same_text(a, b, "node") && is_report(a) == is_report(b);
}

static const cJSON *find_node(const cJSON *nodes, const char *name)
{
	const cJSON *node;

	cJSON_ArrayForEach (node, nodes) {
		const char *theirs = member_text(node, "name");

		if (theirs != NULL && strcmp(theirs, name) == 0)
			return node;
	}
	return NULL;
}

/* Who sent a name that was none of a node then is known by it alone, see api/rights.c. */
static bool has_sent(const cJSON *refusal, const char *name)
{
	const char *reason = member_text(refusal, "reason");
	char *sent = mem_format("name sent: \"%s\"", name);
	bool has = reason != NULL && strstr(reason, sent) != NULL;

	free(sent);
	return has;
}

static const cJSON *find_sender(const cJSON *refusal, const cJSON *nodes)
{
	const char *name = member_text(refusal, "node");
	const cJSON *node;

	if (name != NULL)
		return find_node(nodes, name);
	cJSON_ArrayForEach (node, nodes) {
		name = member_text(node, "name");
		if (name != NULL && has_sent(refusal, name))
			return node;
	}
	return NULL;
}

static bool is_fresh(const cJSON *refusal)
{
	return member_u64_or_0(refusal, "at") + FRESH_REFUSAL_MS >= clock_wall_ms();
}

/* Whether none of the reports that the node is known to have sent came from there. */
static bool is_from_elsewhere(const cJSON *refusal, const cJSON *node)
{
	const cJSON *peers = cJSON_GetObjectItemCaseSensitive(node, "peers"), *peer;
	const char *from = member_text(refusal, "peer");

	cJSON_ArrayForEach (peer, peers) {
		if (from != NULL && cJSON_IsString(peer) &&
			strcmp(peer->valuestring, from) == 0)
			return false;
	}
	return from != NULL && cJSON_GetArraySize(peers) > 0;
}

/* Its node has reported since: it itself, and not a second GOST under the same name,
 * which would hide for ever that this one is refused. Who has a new address now is
 * refused no more, so its refusals grow old. */
static bool is_mended(const cJSON *refusal, const cJSON *nodes)
{
	const cJSON *node = find_sender(refusal, nodes);

	return node != NULL &&
		member_u64_or_0(node, "lastReportAt") > member_u64_or_0(refusal, "at") &&
		!(is_fresh(refusal) && is_from_elsewhere(refusal, node));
}

static void add_lines(cJSON *finding, const struct remedy *remedy, const char *node)
{
	bool is_unknown = node == NULL && remedy->command != NULL;

	if (is_unknown) {
		finding_change(finding, "tallyctl node list");
		finding_change(finding, "tallyctl node add NODE --secret-stdin");
	} else if (remedy->command != NULL) {
		finding_change_command(finding, remedy->command, node);
	}
	if (remedy->other != NULL)
		finding_change(finding, "%s", remedy->other);
	if (remedy->has_addr)
		finding_change_addr(finding, node != NULL ? node : "NODE");
}

/* "node hk1 at 1.2.3.4", "somebody at 1.2.3.4". **Returns owned.** */
static char *who(const cJSON *refusal)
{
	const char *node = member_text(refusal, "node");
	const char *peer = member_text(refusal, "peer");

	return mem_format("%s%s%s%s", node != NULL ? "node " : "somebody",
		node != NULL ? node : "",
		peer != NULL && peer[0] != '\0' ? " at " : " by a unix socket",
		peer != NULL ? peer : "");
}

/* " (POST /observer)", or "". **Returns owned.** */
static char *where(const cJSON *refusal)
{
	const char *method = member_text(refusal, "method");
	const char *path = member_text(refusal, "path");

	return method != NULL && path != NULL ? mem_format(" (%s %s)", method, path)
					      : mem_copy("");
}

/* The list holds the last few of all: what came before them is in the counts alone. */
static bool has_more(const cJSON *refusals)
{
	const cJSON *counts = member_object(refusals, "counts"), *count;
	int n = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(refusals, "last"));
	double sum = 0;

	cJSON_ArrayForEach (count, counts) {
		sum += cJSON_IsNumber(count) ? count->valuedouble : 0;
	}
	return sum > n;
}

static void add_refusal(
	cJSON *findings, const cJSON *refusal, size_t n_times, bool is_least)
{
	const char *code = member_text(refusal, "code");
	const char *reason = member_text(refusal, "reason");
	uint64_t at = member_u64_or_0(refusal, "at");
	const struct remedy *remedy = find_remedy(code, is_report(refusal));
	char *whom = who(refusal), *place = where(refusal);
	char *kind = mem_format("refused-%s", code);
	char ago[SHOW_BYTES], times[64] = "";

	if (n_times > 1)
		(void)snprintf(times, sizeof(times), "%s%zu times, the last time ",
			is_least ? "at least " : "", n_times);
	add_lines(finding_add(findings, is_fresh(refusal) ? remedy->level : LEVEL_WARNING,
			  kind,
			  mem_format("%s was refused %s%s%s: %s", whom, times,
				  show_ago(at, ago), place,
				  reason != NULL ? reason : code)),
		remedy, member_text(refusal, "node"));
	free(whom);
	free(place);
	free(kind);
}

/* How many of the list are as this one; 0: an earlier one stands for it. */
static size_t count_same(const cJSON *list, const cJSON *refusal)
{
	const cJSON *other;
	bool has_come = false;
	size_t n = 0;

	cJSON_ArrayForEach (other, list) {
		bool is_same = is_same_refusal(other, refusal);

		if (is_same && !has_come && other != refusal)
			return 0;
		has_come = has_come || other == refusal;
		n += is_same;
	}
	return n;
}

static bool is_of_interest(const cJSON *refusal, const cJSON *nodes, const char *only)
{
	const char *code = member_text(refusal, "code");
	const char *node = member_text(refusal, "node");

	if (code == NULL || (only != NULL && (node == NULL || strcmp(node, only) != 0)))
		return false;
	if (find_remedy(code, is_report(refusal)) == NULL)
		return false;
	return member_u64_or_0(refusal, "at") + OLD_REFUSAL_MS >= clock_wall_ms() &&
		!is_mended(refusal, nodes);
}

static bool is_in_list(const cJSON *list, const char *code)
{
	const cJSON *refusal;

	cJSON_ArrayForEach (refusal, list) {
		const char *theirs = member_text(refusal, "code");

		if (theirs != NULL && strcmp(theirs, code) == 0)
			return true;
	}
	return false;
}

/* Who is refused less often than others is pushed out of the list by them: where it
 * reaches back no more than minutes, the counts tell. Not of codes that who only looks
 * around gets, too. */
static void add_pushed_out(cJSON *findings, const cJSON *refusals)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(refusals, "last"), *count;
	int n = cJSON_GetArraySize(list);

	if (!has_more(refusals) || !is_fresh(cJSON_GetArrayItem(list, n - 1)))
		return;
	cJSON_ArrayForEach (count, member_object(refusals, "counts")) {
		const char *code = count->string;
		const struct remedy *remedy = find_remedy(code, true);
		char *kind;

		if (remedy == NULL || remedy->code == NULL || remedy->about != ANY ||
			is_in_list(list, code))
			continue;
		kind = mem_format("refused-%s", code);
		add_lines(finding_add(findings, LEVEL_WARNING, kind,
				  mem_format("also %s: refused %.0f times since the "
					     "start, before the last %d refusals",
					  code, count->valuedouble, n)),
			remedy, NULL);
		free(kind);
	}
}

void symptoms_of_refusals(
	cJSON *findings, const cJSON *refusals, const cJSON *nodes, const char *only)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(refusals, "last");
	const cJSON *refusal;

	cJSON_ArrayForEach (refusal, list) {
		size_t n = is_of_interest(refusal, nodes, only)
			? count_same(list, refusal)
			: 0;

		if (n > 0)
			add_refusal(findings, refusal, n, has_more(refusals));
	}
	if (only == NULL)
		add_pushed_out(findings, refusals);
}

bool symptoms_is_refused(const cJSON *refusals, const cJSON *nodes, const char *only)
{
	const cJSON *refusal;

	cJSON_ArrayForEach (refusal, cJSON_GetObjectItemCaseSensitive(refusals, "last")) {
		if (is_report(refusal) && is_of_interest(refusal, nodes, only) &&
			is_fresh(refusal))
			return true;
	}
	return false;
}
