/* tallyctl node: which GOSTs report, and with which secret. */
#include "base/text.h"
#include "ctl/args.h"
#include "ctl/ctl.h"
#include "ctl/findings.h"
#include "ctl/mem.h"
#include "ctl/member.h"
#include "ctl/path.h"
#include "ctl/show.h"
#include "ctl/symptoms.h"
#include "ctl/table.h"
#include "ctl/term.h"
#include "ctl/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define SECRET_BYTES 1024
#define GOOD_SECRET_BYTES 16

#define REASON                                                                           \
	{                                                                                \
		"reason", "TEXT", "why; it is kept with the command"                     \
	}
#define SECRET_STDIN                                                                     \
	{                                                                                \
		"secret-stdin", NULL,                                                    \
			"take the secret from standard input instead of making one"      \
	}

const struct verb_option *node_add_options(void)
{
	static const struct verb_option rows[] = {
		{"counters", "delta|cumulative",
			"what its GOST reports: delta with resetTraffic, else "
			"cumulative"},
		{"note", "TEXT", "what you want to remember of it"},
		{"fresh", NULL, "forget the last values of a deleted node of that name"},
		SECRET_STDIN,
		REASON,
		{0},
	};

	return rows;
}

const struct verb_option *node_set_options(void)
{
	static const struct verb_option rows[] = {
		{"counters", "delta|cumulative|unset",
			"what its GOST reports: delta with resetTraffic, else "
			"cumulative"},
		{"enable", NULL, "take its reports"},
		{"disable", NULL, "answer its reports with 503: its GOST keeps them"},
		{"note", "TEXT", "what you want to remember of it; \"\" removes it"},
		REASON,
		{0},
	};

	return rows;
}

const struct verb_option *node_secret_options(void)
{
	static const struct verb_option rows[] = {SECRET_STDIN, REASON, {0}};

	return rows;
}

const struct verb_option *node_rm_options(void)
{
	static const struct verb_option rows[] = {
		{"fresh", NULL,
			"forget its last values: another GOST will have that name"},
		REASON,
		{0},
	};

	return rows;
}

const struct verb_option *node_gate_options(void)
{
	static const struct verb_option rows[] = {REASON, {0}};

	return rows;
}

/* What is written to stdout here is looked at with ferror() at the end. */

static void say(const char *before, const char *text, const char *after)
{
	char *safe = term_safe(text != NULL ? text : "?");

	(void)printf("%s%s%s\n", before, safe, after);
	free(safe);
}

/* 0, or EXIT_USAGE. */
static int check_name(const struct ctl *ctl)
{
	const char *name = ctl->args->operands[0];

	if (name[0] != '\0' && text_is_name(name))
		return 0;
	return ctl_fail(EXIT_USAGE,
		"that is no name for a node: it is 1 to 255 bytes of UTF-8 without "
		"control characters");
}

/* NULL if the name is none: that has been said, and is EXIT_USAGE. */
static char *node_path(const struct ctl *ctl, const char *after)
{
	if (check_name(ctl) != 0)
		return NULL;
	return path_make("/nodes/", ctl->args->operands[0], after);
}

static void add_text(cJSON *body, const char *member, const char *text)
{
	if (text != NULL)
		(void)cJSON_AddStringToObject(body, member, text); /* see mem.h */
}

static void add_flag(cJSON *body, const struct ctl *ctl, const char *option)
{
	if (args_has(ctl->args, option))
		(void)cJSON_AddTrueToObject(body, option);
}

static void add_reason(cJSON *body, const struct ctl *ctl)
{
	add_text(body, "reason", args_value(ctl->args, "reason"));
}

/* On a terminal it is asked for, and not shown while it is typed. */
static void read_secret_line(char line[SECRET_BYTES])
{
	struct termios shown, hidden;
	bool is_hidden = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &shown) == 0;

	if (isatty(STDIN_FILENO))
		(void)fputs("The secret, then Enter: ", stderr);
	if (is_hidden) {
		hidden = shown;
		hidden.c_lflag &= ~(tcflag_t)ECHO;
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	}
	if (fgets(line, SECRET_BYTES, stdin) == NULL)
		line[0] = '\0'; /* refused as empty */
	if (is_hidden) {
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
		(void)fputc('\n', stderr);
	}
}

/* 0 without --secret-stdin too. A command line would show it to others. */
static int add_secret(cJSON *body, const struct ctl *ctl)
{
	char line[SECRET_BYTES] = "";

	if (!args_has(ctl->args, "secret-stdin"))
		return 0;
	read_secret_line(line);
	if (strlen(line) == sizeof(line) - 1)
		return ctl_fail(EXIT_USAGE, "the secret is too long");
	line[strcspn(line, "\r\n")] = '\0';
	if (line[0] == '\0')
		return ctl_fail(EXIT_USAGE, "standard input holds no secret");
	if (!text_is_clean(line, strlen(line)))
		return ctl_fail(EXIT_USAGE,
			"the secret must be UTF-8 without control characters");
	if (strlen(line) < GOOD_SECRET_BYTES)
		(void)fputs("tallyctl: this secret is short, so that it could be "
			    "guessed; better draw one: openssl rand -hex 16\n",
			stderr);
	add_text(body, "secret", line);
	explicit_bzero(line, sizeof(line));
	return 0;
}

/* list */

static const char *state_name(const cJSON *node)
{
	bool is_enabled = true;
	uint64_t deleted_at;

	if (member_u64(node, "deletedAt", &deleted_at))
		return "deleted";
	(void)member_bool(node, "enabled", &is_enabled); /* absent: it is */
	return is_enabled ? "enabled" : "disabled";
}

static const char *last_report(const cJSON *node, char buf[SHOW_BYTES])
{
	uint64_t at;

	return member_u64(node, "lastReportAt", &at) ? show_ago(at, buf) : "never";
}

static void list_node(struct table *table, const cJSON *node)
{
	const char *counters = member_text(node, "counters");
	const char *note = member_text(node, "note");
	char buf[SHOW_BYTES];

	table_cell(table, member_text(node, "name"));
	table_cell(table, member_is_true(node, "hasSecret") ? "yes" : "no");
	table_cell(table, state_name(node));
	table_cell(table, counters);
	table_cell(table, last_report(node, buf));
	table_cell(table, note != NULL ? note : "");
}

struct list {
	struct table *table;
	bool is_open, is_open_known;
};

static void on_page(void *arg, const cJSON *page)
{
	struct list *list = arg;
	const cJSON *node;

	cJSON_ArrayForEach (node, cJSON_GetObjectItemCaseSensitive(page, "nodes")) {
		list_node(list->table, node);
	}
	list->is_open_known = member_bool(page, "open", &list->is_open);
}

static void say_open(bool is_open)
{
	(void)puts(is_open
			? "Names without a secret may report. `tallyctl node close` ends "
			  "that."
			: "Only nodes with a secret may report.");
}

static void show_list(const struct list *list)
{
	if (table_rows(list->table) > 0)
		table_print(list->table, stdout);
	else
		(void)puts("There are no nodes.");
	if (list->is_open_known) {
		(void)fputc('\n', stdout);
		say_open(list->is_open);
	}
}

int node_list(const struct ctl *ctl)
{
	static const char *const titles[] = {
		"NAME", "SECRET", "STATE", "COUNTERS", "LAST REPORT", "NOTE"};
	struct list list = {
		.table = table_new(sizeof(titles) / sizeof(titles[0]), titles)};
	int code = ctl_pages(ctl, "/nodes", on_page, &list);

	if (code == 0 && !ctl->is_json)
		show_list(&list);
	table_free(list.table);
	return code;
}

/* show, set */

static void show_text(struct table *table, const char *title, const char *text)
{
	if (text == NULL)
		return;
	table_cell(table, title);
	table_cell(table, text);
}

static void show_at(
	struct table *table, const char *title, const cJSON *node, const char *member)
{
	char buf[SHOW_BYTES];
	uint64_t at;

	if (member_u64(node, member, &at))
		show_text(table, title, show_time(at, buf));
}

static void show_peers(struct table *table, const cJSON *node)
{
	char *peers = member_texts(node, "peers");

	if (peers[0] != '\0')
		show_text(table, "reports from", peers);
	free(peers);
}

/* What it takes, and whether its new names are refused. */
static void show_room(struct table *table, const cJSON *node)
{
	const cJSON *memory = member_object(node, "memory");
	const char *full = member_text(memory, "full");
	char bytes[SHOW_BYTES], max[SHOW_BYTES];
	uint64_t rejected;

	if (memory != NULL) {
		table_cell(table, "memory");
		table_cellf(table, "%s of %s",
			show_bytes(member_u64_or_0(memory, "bytes"), bytes),
			show_bytes(member_u64_or_0(memory, "maxBytes"), max));
	}
	if (full != NULL) {
		table_cell(table, "new names");
		table_cellf(table, "are rejected: %s", full);
	}
	if (member_u64(node, "rejectedEvents", &rejected) && rejected > 0) {
		table_cell(table, "rejected events");
		table_cellf(table,
			"%llu since the start; the table `rejects` in tally.db says why",
			(unsigned long long)rejected);
	}
}

static void show_node(const struct ctl *ctl, const cJSON *node)
{
	static const char *const no_titles[] = {"", ""};
	struct table *table = table_new(2, no_titles);
	const char *counters = member_text(node, "counters");
	const char *seen = symptoms_seen(node, (char[SHOW_BYTES]){0});
	uint64_t services;

	(void)ctl;
	show_text(table, "name", member_text(node, "name"));
	show_text(table, "secret", member_is_true(node, "hasSecret") ? "yes" : "no");
	show_at(table, "old secret valid until", node, "oldSecretUntil");
	show_text(table, "state", state_name(node));
	show_text(table, "counters", counters != NULL ? counters : "not set");
	if (member_u64(node, "services", &services)) {
		table_cell(table, "services");
		table_cellf(table, "%llu", (unsigned long long)services);
	}
	show_at(table, "last report", node, "lastReportAt");
	show_peers(table, node);
	show_text(table, "reports as", member_text(node, "mode"));
	if (seen[0] != '\0')
		show_text(table, "seen of it", seen);
	show_room(table, node);
	show_at(table, "made", node, "createdAt");
	show_at(table, "deleted", node, "deletedAt");
	show_text(table, "note", member_text(node, "note"));
	table_print(table, stdout);
	table_free(table);
}

/* What doctor would say of this one. Who is older than that says nothing. */
static void show_findings(const struct ctl *ctl, const cJSON *node)
{
	cJSON *findings = cJSON_CreateArray(), *nodes = cJSON_CreateArray();
	const char *name = member_text(node, "name");
	cJSON *refusals = NULL, *status = NULL;
	struct errmsg unsaid;

	(void)cJSON_AddItemToArray(nodes, cJSON_Duplicate(node, true));
	if (ctl_try(ctl, "/refusals", &refusals, &unsaid) == 0)
		symptoms_of_refusals(findings, refusals, nodes, name);
	if (ctl_try(ctl, "/throttle-sync-status", &status, &unsaid) == 0) {
		const cJSON *data = member_object(status, "data");

		symptoms_of_memory(findings, member_object(data, "memory"), name);
		symptoms_of_names(findings, nodes, member_u64_or_0(data, "users"));
	}
	symptoms_of_suspicions(
		findings, cJSON_GetObjectItemCaseSensitive(node, "suspicions"));
	symptoms_of_nodes(findings, nodes, refusals);
	if (cJSON_GetArraySize(findings) > 0)
		(void)fputc('\n', stdout);
	findings_print(findings, LEVEL_PROBLEM, stdout);
	findings_print(findings, LEVEL_WARNING, stdout);
	if (symptoms_has_wrong_numbers(findings))
		(void)puts(SYMPTOMS_WRONG_NUMBERS_LAST);
	cJSON_Delete(status);
	cJSON_Delete(refusals);
	cJSON_Delete(nodes);
	cJSON_Delete(findings);
}

static void show_node_and_findings(const struct ctl *ctl, const cJSON *node)
{
	show_node(ctl, node);
	show_findings(ctl, node);
}

int node_show(const struct ctl *ctl)
{
	char *path = node_path(ctl, "");

	return path != NULL ? ctl_do(ctl, "GET", path, NULL, show_node_and_findings)
			    : EXIT_USAGE;
}

static cJSON *set_body(const struct ctl *ctl)
{
	const char *counters = args_value(ctl->args, "counters");
	const char *note = args_value(ctl->args, "note");
	cJSON *body = cJSON_CreateObject();

	if (counters != NULL && strcmp(counters, "unset") == 0)
		(void)cJSON_AddNullToObject(body, "counters"); /* see mem.h */
	else
		add_text(body, "counters", counters);
	if (args_has(ctl->args, "enable") || args_has(ctl->args, "disable"))
		(void)cJSON_AddBoolToObject(
			body, "enabled", args_has(ctl->args, "enable"));
	if (note != NULL && note[0] == '\0')
		(void)cJSON_AddNullToObject(body, "note");
	else
		add_text(body, "note", note);
	return body;
}

/* 0, or EXIT_USAGE. */
static int check_set(const struct ctl *ctl, const cJSON *body)
{
	if (args_has(ctl->args, "enable") && args_has(ctl->args, "disable"))
		return ctl_fail(EXIT_USAGE, "--enable and --disable are opposites");
	if (body->child == NULL)
		return ctl_fail(EXIT_USAGE,
			"nothing is to be changed; `tallyctl node set --help` lists what "
			"can be");
	return 0;
}

int node_set(const struct ctl *ctl)
{
	char *path = node_path(ctl, "");
	cJSON *body;

	if (path == NULL)
		return EXIT_USAGE;
	body = set_body(ctl);
	if (check_set(ctl, body) != 0) {
		cJSON_Delete(body);
		free(path);
		return EXIT_USAGE;
	}
	add_reason(body, ctl);
	return ctl_do(ctl, "PATCH", path, body, show_node);
}

/* add, secret */

static void show_lines(const char *text)
{
	char *safe = term_safe_lines(text);

	(void)printf("\nThe lines for the configuration of its GOST:\n\n%s%s", safe,
		safe[0] != '\0' && safe[strlen(safe) - 1] == '\n' ? "" : "\n");
	free(safe);
}

/* Only one old secret is valid beside the new one; who takes yet another has to know. */
static void show_lost(const char *name, bool has_old)
{
	say("The answer that had its secret was lost, and it is never shown again. "
	    "Take a new one:\n\n    tallyctl node secret ",
		name, "");
	if (has_old)
		say("\nWith that, what its GOST sends now is refused at once. To keep "
		    "that "
		    "one instead:\n\n    tallyctl node secret ",
			name, " --secret-stdin");
}

/* The secret stands on a line of its own, where it is easily copied. */
static void show_secret(const struct ctl *ctl, const cJSON *answer)
{
	const char *secret = member_text(answer, "secret");
	const char *gost = member_text(answer, "gost");
	char buf[SHOW_BYTES];
	uint64_t until;
	bool has_old = member_u64(answer, "oldSecretUntil", &until);

	if (args_has(ctl->args, "secret-stdin"))
		(void)puts("Its secret is the one that you gave.");
	else if (secret != NULL)
		say("Its secret, which is shown this once and never again:\n\n    ",
			secret, "");
	else
		show_lost(member_text(answer, "name"), has_old);
	if (has_old)
		(void)printf(
			"\nThe old secret is valid until %s.\n"
			"That is the one just before; any older one is refused now.\n",
			show_time(until, buf));
	if (gost != NULL)
		show_lines(gost);
}

static void show_added(const struct ctl *ctl, const cJSON *answer)
{
	say("Node ", member_text(answer, "name"), " is made.");
	show_secret(ctl, answer);
}

static void show_changed(const struct ctl *ctl, const cJSON *answer)
{
	say("Node ", member_text(answer, "name"), " has a new secret.");
	show_secret(ctl, answer);
}

int node_add(const struct ctl *ctl)
{
	cJSON *body;
	int code = check_name(ctl);

	if (code != 0)
		return code;
	body = cJSON_CreateObject();
	add_text(body, "name", ctl->args->operands[0]);
	add_text(body, "counters", args_value(ctl->args, "counters"));
	add_text(body, "note", args_value(ctl->args, "note"));
	add_flag(body, ctl, "fresh");
	add_reason(body, ctl);
	code = add_secret(body, ctl);
	if (code == 0)
		return ctl_do(ctl, "POST", mem_copy("/nodes"), body, show_added);
	cJSON_Delete(body);
	return code;
}

int node_secret(const struct ctl *ctl)
{
	char *path = node_path(ctl, "/secret");
	cJSON *body;
	int code;

	if (path == NULL)
		return EXIT_USAGE;
	body = cJSON_CreateObject();
	add_reason(body, ctl);
	code = add_secret(body, ctl);
	if (code == 0)
		return ctl_do(ctl, "POST", path, body, show_changed);
	cJSON_Delete(body);
	free(path);
	return code;
}

/* rm, close, open */

static void show_removed(const struct ctl *ctl, const cJSON *answer)
{
	char buf[SHOW_BYTES];
	uint64_t until;

	say("Node ", member_text(answer, "name"),
		" is deleted. Its reports are refused from now on.");
	if (!args_has(ctl->args, "fresh") && member_u64(answer, "keptUntil", &until))
		(void)printf("The last values of its counters are kept until %s:\na node "
			     "of that name that is "
			     "made before then goes on where it stood.\n",
			show_time(until, buf));
	else
		(void)puts("The last values of its counters are forgotten.");
}

int node_rm(const struct ctl *ctl)
{
	char *path = node_path(ctl, "");
	cJSON *body;

	if (path == NULL)
		return EXIT_USAGE;
	body = cJSON_CreateObject();
	add_flag(body, ctl, "fresh");
	add_reason(body, ctl);
	return ctl_do(ctl, "DELETE", path, body, show_removed);
}

static void show_open(const struct ctl *ctl, const cJSON *answer)
{
	(void)ctl;
	say_open(member_is_true(answer, "open"));
}

static int move_gate(const struct ctl *ctl, const char *path)
{
	cJSON *body = cJSON_CreateObject();

	add_reason(body, ctl);
	return ctl_do(ctl, "POST", mem_copy(path), body, show_open);
}

int node_close(const struct ctl *ctl)
{
	return move_gate(ctl, "/nodes/close");
}

int node_open(const struct ctl *ctl)
{
	return move_gate(ctl, "/nodes/open");
}
