/*
 * tallyctl doctor: what is wrong, and the lines that mend it. First this machine is
 * looked at by `tallyd --check-setup`, which knows the files that tallyctl does not; then
 * the running daemon is asked what it sees. A finding of the daemon's is a row of the
 * table below.
 */
#include "ctl/doctor.h"
#include "base/err.h"
#include "base/redis_error.h"
#include "ctl/args.h"
#include "ctl/ctl.h"
#include "ctl/findings.h"
#include "ctl/machine.h"
#include "ctl/mem.h"
#include "ctl/member.h"
#include "ctl/path.h"
#include "ctl/show.h"
#include "ctl/symptoms.h"
#include "ctl/target.h"
#include "ctl/verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PAGES 1000

const struct verb_option *doctor_options(void)
{
	static const struct verb_option rows[] = {
		{"config", "FILE",
			"the daemon's configuration, if it is not "
			"/etc/tallyd/tallyd.conf"},
		{"all", NULL, "show what is right as well"},
		{0},
	};

	return rows;
}

/* The same again, as root. */
static void change_to_sudo(const struct doctor *doctor, cJSON *finding)
{
	static const char *const options[] = {"config", "socket"};
	char *line = mem_copy("sudo tallyctl doctor");

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		const char *value = args_value(doctor->ctl->args, options[i]);
		char *longer;

		if (value == NULL)
			continue;
		longer = mem_format("%s --%s %s", line, options[i], value);
		free(line);
		line = longer;
	}
	finding_change(finding, "%s", line);
	free(line);
}

/* Asking */

static void add_no_answer(struct doctor *doctor, int code, const struct errmsg *msg)
{
	bool runs = findings_has(doctor->findings, "daemon-runs");
	cJSON *finding;

	if (code == EXIT_NO_RIGHT) {
		change_to_sudo(doctor,
			finding_add(doctor->findings, LEVEL_PROBLEM, "no-right",
				mem_copy(msg->text)));
		return;
	}
	finding = finding_add(doctor->findings, LEVEL_PROBLEM, "daemon-down",
		mem_format("%s%s", msg->text,
			runs ? "; it runs, so it is still starting, or has another "
			       "address"
			     : ""));
	if (runs) {
		finding_change(finding, "tallyctl doctor --url http://127.0.0.1:3000");
		finding_change(finding, "admin_socket = " TARGET_DEFAULT_SOCKET);
	} else if (machine_is_ours(doctor->ctl->target)) {
		machine_add_log(finding);
		finding_change(finding, "systemctl status tallyd");
		finding_change(finding, "journalctl -u tallyd -n 20");
	} else {
		finding_change(finding, "curl -i %s/livez", doctor->ctl->target->url);
	}
}

static void ask_status(struct doctor *doctor)
{
	struct errmsg msg;
	int code = ctl_try(doctor->ctl, "/throttle-sync-status", &doctor->answer, &msg);

	doctor->status = code == 0 ? member_object(doctor->answer, "data") : NULL;
	if (code == 0 && doctor->status == NULL) {
		code = EXIT_UNREACHABLE;
		(void)err_set(&msg, code, "what answers there is not tallyd");
	}
	if (code != 0)
		add_no_answer(doctor, code, &msg);
}

/* The cursor to the next page, as a path, or NULL; **owned**. */
static char *next_page(const cJSON *page)
{
	const char *next = member_text(page, "next");

	return next != NULL ? path_make("/nodes?after=", next, "") : NULL;
}

static void ask_nodes(struct doctor *doctor)
{
	char *path = mem_copy("/nodes");

	for (unsigned i = 0; path != NULL && i < MAX_PAGES; i++) {
		cJSON *page = NULL, *node;
		struct errmsg unsaid; /* that nothing may be read was said already */
		int code = ctl_try(doctor->ctl, path, &page, &unsaid);

		free(path);
		if (code != 0)
			return;
		doctor->has_nodes = true;
		path = next_page(page);
		while ((node = cJSON_DetachItemFromArray(
				cJSON_GetObjectItemCaseSensitive(page, "nodes"), 0)) !=
			NULL)
			(void)cJSON_AddItemToArray(doctor->nodes, node);
		cJSON_Delete(page);
	}
	free(path);
}

/* What the daemon sees */

struct symptom {
	const char *code;
	enum level level;
	void (*look)(const struct doctor *doctor, const struct symptom *symptom);
};

static cJSON *add(
	const struct doctor *doctor, const struct symptom *symptom, char *sentence)
{
	return finding_add(doctor->findings, symptom->level, symptom->code, sentence);
}

static const char *data_dir_of(const struct doctor *doctor)
{
	const char *dir = member_text(doctor->status, "dataDir");

	if (dir == NULL)
		dir = member_text(doctor->looked_at, "dataDir");
	return dir != NULL ? dir : "/var/lib/tallyd";
}

static void look_at_right(const struct doctor *doctor, const struct symptom *symptom)
{
	if (member_text(doctor->status, "version") == NULL)
		change_to_sudo(doctor,
			add(doctor, symptom,
				mem_copy("the daemon shows no more than its "
					 "configuration to who has no right to read it: "
					 "nodes, refusals and the rest were not looked "
					 "at")));
}

static bool is_error(const char *error, int code)
{
	return strcmp(error, err_text(code)) == 0;
}

static void look_at_journal(const struct doctor *doctor, const struct symptom *symptom)
{
	const cJSON *journal = member_object(doctor->status, "journal");
	const char *error = member_text(journal, "error");
	const char *missing = member_text(journal, "missing");
	cJSON *finding;

	if (error == NULL)
		return;
	finding = add(doctor, symptom,
		mem_format("no report is accepted: %s%s%s; every GOST keeps what it has "
			   "and sends it again",
			error, missing != NULL ? ": " : "",
			missing != NULL ? missing : ""));
	if (is_error(error, ERR_DISK_LOW))
		finding_change(finding, "df -h %s", data_dir_of(doctor));
	else if (is_error(error, ERR_JOURNAL_FULL))
		finding_change(finding, "journal_max_bytes = 4GiB");
	finding_change(finding, "journalctl -u tallyd -n 20");
}

static bool is_journal_gone(const struct doctor *doctor)
{
	const char *error =
		member_text(member_object(doctor->status, "journal"), "error");

	return error != NULL && is_error(error, ERR_JOURNAL_GONE);
}

static void look_at_flush(const struct doctor *doctor, const struct symptom *symptom)
{
	const cJSON *last = member_object(doctor->status, "lastSync");
	const char *error = member_text(last, "error");
	const char *what_to_do = member_text(last, "whatToDo");
	uint64_t at = member_u64_or_0(last, "at");
	char since[SHOW_BYTES];
	cJSON *finding;

	if (error == NULL)
		return;
	(void)member_u64(last, "failingSince", &at);
	finding = add(doctor, symptom,
		mem_format("nothing gets into SQLite since %s: %s; %s",
			show_time(at, since), error,
			is_journal_gone(doctor)
				? "the journal is gone, too: only this process holds "
				  "what was accepted, so do not stop it"
				: "what is accepted is in the journal, as long as that "
				  "has room"));
	/* A file that cannot be reached for its rights looks gone. */
	if (what_to_do != NULL && !findings_has(doctor->findings, "owner") &&
		!findings_has(doctor->findings, "rights-missing"))
		finding_change(finding, "%s", what_to_do);
	if (is_error(error, ERR_STORE_BUSY))
		finding_change(finding, "fuser -v %s/tally.db   # who holds it",
			data_dir_of(doctor));
	else if (is_error(error, ERR_STORE_FULL))
		finding_change(finding, "df -h %s", data_dir_of(doctor));
	finding_change(finding, "journalctl -u tallyd -n 20");
}

/* --check-setup has said more of it. */
static bool is_redis_told(const struct doctor *doctor)
{
	return findings_has(doctor->findings, "redis-down") ||
		findings_has(doctor->findings, "redis-password") ||
		findings_has(doctor->findings, "redis-database") ||
		findings_has(doctor->findings, "redis-foreign");
}

static bool is_redis_in(const struct doctor *doctor, const char *state)
{
	const char *now = member_text(member_object(doctor->status, "redis"), "state");

	return now != NULL && strcmp(now, state) == 0;
}

static const char *redis_error(const struct doctor *doctor)
{
	const char *error = member_text(member_object(doctor->status, "redis"), "error");

	return error != NULL ? error : "it does not say why";
}

/* The length: Redis ends some of its errors with a full stop. */
static int without_stop(const char *error)
{
	size_t len = strlen(error);

	while (len > 0 && error[len - 1] == '.')
		len--;
	return (int)len;
}

/* --check-setup has reached it by the same configuration: the daemon's is an older one.
 */
static bool is_config_newer(const struct doctor *doctor)
{
	return findings_has(doctor->findings, "redis") &&
		redis_error_kind(redis_error(doctor)) != REDIS_ERROR_OTHER;
}

static void look_at_redis(const struct doctor *doctor, const struct symptom *symptom)
{
	if (!is_redis_in(doctor, "down") || is_redis_told(doctor))
		return;
	if (is_config_newer(doctor)) {
		finding_change(
			add(doctor, symptom,
				mem_copy("Redis does not let tallyd in, but does with "
					 "the configuration as it is now: tallyd was "
					 "started before that was changed")),
			"systemctl restart tallyd");
		return;
	}
	finding_change(
		add(doctor, symptom,
			mem_format("tallyd does not reach Redis: %.*s; it counts "
				   "on, but what Redis shows stands still",
				without_stop(redis_error(doctor)), redis_error(doctor))),
		"systemctl status redis-server");
}

static void look_at_owner(const struct doctor *doctor, const struct symptom *symptom)
{
	if (!is_redis_in(doctor, "foreign") || is_redis_told(doctor))
		return;
	finding_change(add(doctor, symptom,
			       mem_format("tallyd writes nothing to this Redis: %s",
				       redis_error(doctor))),
		"redis_url = redis://HOST:PORT/N   # a database that no tallyd has; a "
		"password stays in front of HOST");
}

static void look_at_refused_users(
	const struct doctor *doctor, const struct symptom *symptom)
{
	const cJSON *redis = member_object(doctor->status, "redis");
	uint64_t n = member_u64_or_0(redis, "refusedUsers");

	cJSON *finding;

	if (n == 0)
		return;
	finding = add(doctor, symptom,
		mem_format("Redis refuses %" PRIu64
			   " users, which are not shown there; the last: %s; the log "
			   "names each",
			n, redis_error(doctor)));
	finding_change(finding, "journalctl -u tallyd | grep 'Redis refuses a user'");
	finding_change(
		finding, "redis-cli type user:ID   # a hash, or none, is expected");
	finding_change(finding,
		"redis-cli del user:ID   # if it is none of somebody else: tallyd "
		"writes it anew");
}

/* The daemon knows it as it was when it connected: --check-setup has just asked, if it
 * came so far. */
static void look_at_policy(const struct doctor *doctor, const struct symptom *symptom)
{
	const cJSON *redis = member_object(doctor->status, "redis");
	const char *policy = member_text(redis, "maxmemoryPolicy");

	if (policy == NULL || strcmp(policy, "noeviction") == 0 ||
		findings_has(doctor->findings, symptom->code) ||
		findings_has(doctor->findings, "redis"))
		return;
	finding_change(add(doctor, symptom,
			       mem_format("Redis may throw totals away when its memory "
					  "is full: its maxmemory-policy is %s; in "
					  "redis.conf:",
				       policy)),
		"maxmemory-policy noeviction");
}

static void look_at_edits(const struct doctor *doctor, const struct symptom *symptom)
{
	const char *edits = member_text(member_object(doctor->status, "redis"), "edits");
	cJSON *finding;

	if (edits == NULL || strcmp(edits, "walked") != 0)
		return;
	finding = add(doctor, symptom,
		mem_copy("Redis does not tell tallyd of edits by others: a total that "
			 "somebody has changed there stays so until its user reports, "
			 "or until tallyd comes by; Redis 6 or later tells of them, if "
			 "its ACL lets tallyd ask"));
	finding_change(finding,
		"ACL SETUSER tallyd +subscribe +client|tracking +client|id "
		"&__redis__:invalidate   # in redis-cli, and the same in redis.conf; "
		"tallyd asks again within a minute");
	finding_change(
		finding, "journalctl -u tallyd | grep 'does not tell of edits'   # why");
}

static void look_at_memory(const struct doctor *doctor, const struct symptom *symptom)
{
	(void)symptom;
	symptoms_of_memory(
		doctor->findings, member_object(doctor->status, "memory"), NULL);
	symptoms_of_names(doctor->findings, doctor->nodes,
		member_u64_or_0(doctor->status, "users"));
}

static void look_at_warnings(const struct doctor *doctor, const struct symptom *symptom)
{
	(void)symptom;
	symptoms_of_warnings(doctor->findings,
		cJSON_GetObjectItemCaseSensitive(doctor->status, "warnings"));
}

static void look_at_rejects(const struct doctor *doctor, const struct symptom *symptom)
{
	const cJSON *reports = member_object(doctor->status, "reports");
	uint64_t n = member_u64_or_0(reports, "rejectedEvents");

	if (n > 0)
		finding_change(
			add(doctor, symptom,
				mem_format("%" PRIu64 " events of reports could not be "
					   "counted since the start; the table "
					   "rejects says why:",
					n)),
			"sqlite3 %s/tally.db 'select node, reason, event "
			"from rejects order by id desc limit 10'",
			data_dir_of(doctor));
}

static void look_at_saturation(const struct doctor *doctor, const struct symptom *symptom)
{
	if (member_is_true(doctor->status, "hasSaturatedTotals"))
		finding_change(add(doctor, symptom,
				       mem_copy("the total of a user has reached the "
						"largest number and stays there")),
			"sqlite3 %s/tally.db 'select id from users where "
			"used_traffic = 9223372036854775807'",
			data_dir_of(doctor));
}

static void look_at_arrival(const struct doctor *doctor, const struct symptom *symptom)
{
	cJSON *finding;

	if (!doctor->has_nodes || doctor_has_reports(doctor) ||
		symptoms_is_refused(member_object(doctor->status, "refusals"),
			doctor->nodes, NULL)) /* what keeps it away was told */
		return;
	finding = add(doctor, symptom,
		mem_copy("no report has ever arrived; in GOST's configuration, in the "
			 "service, in its handler, and under observers: plugin:"));
	if (cJSON_GetArraySize(doctor->nodes) == 0)
		finding_change(
			finding, "tallyctl node add NODE   # prints all of these lines");
	symptoms_show_observer(finding, "NODE");
}

/* Of each; but where nothing ever came, that was said. */
static void look_at_nodes(const struct doctor *doctor, const struct symptom *symptom)
{
	(void)symptom;
	if (doctor_has_reports(doctor))
		symptoms_of_nodes(doctor->findings, doctor->nodes,
			member_object(doctor->status, "refusals"));
}

static void look_at_suspicions(const struct doctor *doctor, const struct symptom *symptom)
{
	(void)symptom;
	symptoms_of_suspicions(doctor->findings,
		cJSON_GetObjectItemCaseSensitive(doctor->status, "suspicions"));
}

static void look_at_refusals(const struct doctor *doctor, const struct symptom *symptom)
{
	(void)symptom;
	symptoms_of_refusals(doctor->findings, member_object(doctor->status, "refusals"),
		doctor->nodes, NULL);
}

/* In the order in which they are shown, within a level. Those without a code have several
 * of their own. */
static const struct symptom symptoms[] = {
	{"no-right", LEVEL_WARNING, look_at_right},
	{"journal-error", LEVEL_PROBLEM, look_at_journal},
	{"sync-failed", LEVEL_PROBLEM, look_at_flush},
	{NULL, LEVEL_PROBLEM, look_at_memory},
	{"no-reports", LEVEL_PROBLEM, look_at_arrival},
	{NULL, LEVEL_PROBLEM, look_at_refusals},
	{NULL, LEVEL_PROBLEM, look_at_suspicions},
	{"redis-down", LEVEL_PROBLEM, look_at_redis},
	{"redis-foreign", LEVEL_PROBLEM, look_at_owner},
	{NULL, LEVEL_WARNING, look_at_nodes},
	{"rejected-events", LEVEL_WARNING, look_at_rejects},
	{"redis-refused", LEVEL_WARNING, look_at_refused_users},
	{"redis-evicts", LEVEL_WARNING, look_at_policy},
	{"redis-edits", LEVEL_WARNING, look_at_edits},
	{"saturated", LEVEL_WARNING, look_at_saturation},
	{NULL, LEVEL_WARNING, look_at_warnings},
};

static void look_at_daemon(struct doctor *doctor)
{
	ask_status(doctor);
	if (doctor->status == NULL)
		return;
	machine_compare(doctor->ctl, doctor->findings, doctor->looked_at, doctor->status);
	ask_nodes(doctor);
	for (size_t i = 0; i < sizeof(symptoms) / sizeof(symptoms[0]); i++)
		symptoms[i].look(doctor, &symptoms[i]);
}

/* Who follows the lines from the first on must not lose anything by it. */
static cJSON *put_dangers_first(cJSON *findings)
{
	static const char *const dangers[] = {"data-dir-gone", "database-gone", "journal",
		"owner", "rights-missing", "journal-corrupt", "database", "journal-error",
		"sync-failed", "disk-low"};
	cJSON *ordered = cJSON_CreateArray();

	for (size_t i = 0; i < sizeof(dangers) / sizeof(dangers[0]); i++)
		findings_move(findings, dangers[i], ordered);
	findings_move(findings, NULL, ordered);
	cJSON_Delete(findings);
	return ordered;
}

int doctor_run(const struct ctl *ctl)
{
	struct doctor doctor = {.ctl = ctl,
		.findings = cJSON_CreateArray(),
		.nodes = cJSON_CreateArray()};
	cJSON *root;
	int code;

	doctor.looked_at = machine_look(ctl, doctor.findings);
	look_at_daemon(&doctor);
	doctor.findings = put_dangers_first(doctor.findings);
	code = findings_count(doctor.findings, LEVEL_PROBLEM) > 0 ? EXIT_PROBLEM : 0;
	if (!ctl->is_json)
		doctor_show(&doctor);
	root = cJSON_CreateObject();
	(void)cJSON_AddItemToObject(root, "findings", doctor.findings);
	if (ctl->is_json)
		ctl_print_json(root);
	cJSON_Delete(root);
	cJSON_Delete(doctor.nodes);
	cJSON_Delete(doctor.answer);
	cJSON_Delete(doctor.looked_at);
	return code;
}
