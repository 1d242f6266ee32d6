#include "ctl/machine.h"
#include "ctl/args.h"
#include "ctl/ctl.h"
#include "ctl/findings.h"
#include "ctl/mem.h"
#include "ctl/member.h"
#include "ctl/run.h"
#include "ctl/target.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_loopback(const char *url)
{
	static const char *const hosts[] = {"127.", "localhost", "[::1]"};
	const char *host = strstr(url, "://");

	for (size_t i = 0; host != NULL && i < sizeof(hosts) / sizeof(hosts[0]); i++)
		if (strncmp(host + 3, hosts[i], strlen(hosts[i])) == 0)
			return true;
	return false;
}

bool machine_is_ours(const struct target *target)
{
	return target->socket != NULL || is_loopback(target->url);
}

static void take_lines(cJSON *findings, const char *text, cJSON **ret_looked_at)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		cJSON *line = cJSON_ParseWithLength(text, len);

		if (member_text(line, "dataDir") != NULL && *ret_looked_at == NULL)
			*ret_looked_at = line;
		else
			finding_take(findings, line);
		text += len + (text[len] == '\n');
	}
}

/* `text` NULL: there is no such program; `config`: NULL, or the file. */
static void add_failure(
	cJSON *findings, const char *text, int exit_code, const char *config)
{
	char *sentence = text == NULL
		? mem_copy("the program tallyd is neither beside tallyctl nor in PATH: "
			   "configuration, data_dir, disk, clock, Redis and addresses "
			   "were not looked at")
		: mem_format("`tallyd --check-setup` ended with code %d, so this machine "
			     "was not looked at as a whole",
			  exit_code);

	finding_change(
		finding_add(findings, LEVEL_WARNING, FINDING_SETUP_SKIPPED, sentence),
		"tallyd%s%s --check-setup", config != NULL ? " --config " : "",
		config != NULL ? config : "");
}

static void run_check(const char *config, cJSON *findings, cJSON **ret_looked_at)
{
	char *program = run_beside("tallyd");
	char *option = mem_format("--config=%s", config != NULL ? config : "");
	const char *const argv[] = {
		program, "--check-setup", "--json", config != NULL ? option : NULL, NULL};
	int exit_code = 0;
	char *text = run_program(argv, false, &exit_code);

	if (text != NULL)
		take_lines(findings, text, ret_looked_at);
	if (text == NULL || (exit_code != 0 && exit_code != 1))
		add_failure(findings, text, exit_code, config);
	free(text);
	free(option);
	free(program);
}

cJSON *machine_look(const struct ctl *ctl, cJSON *findings)
{
	cJSON *looked_at = NULL;

	if (machine_is_ours(ctl->target))
		run_check(args_value(ctl->args, "config"), findings, &looked_at);
	else
		(void)finding_add(findings, LEVEL_OK, FINDING_SETUP_SKIPPED,
			mem_copy("that is another machine: its configuration, data_dir, "
				 "disk, clock, Redis and addresses were not looked at; "
				 "`tallyctl doctor`, run there, does"));
	return looked_at;
}

static bool is_same_folder(const char *a, const char *b)
{
	struct stat st_a, st_b;

	return strcmp(a, b) == 0 ||
		(stat(a, &st_a) == 0 && stat(b, &st_b) == 0 &&
			st_a.st_dev == st_b.st_dev && st_a.st_ino == st_b.st_ino);
}

static void leave_all_out(
	const struct ctl *ctl, cJSON *findings, const char *ours, const char *theirs)
{
	const char *config = args_value(ctl->args, "config");
	cJSON *finding;

	while (cJSON_GetArraySize(findings) > 0)
		cJSON_DeleteItemFromArray(findings, 0);
	finding = finding_add(findings, LEVEL_WARNING, FINDING_SETUP_SKIPPED,
		mem_format("the running tallyd has data_dir %s, but the configuration "
			   "that was looked at says %s: what was found of this machine "
			   "is of another tallyd, and is left out",
			theirs, ours));
	finding_change(finding,
		"tallyctl doctor --config FILE   # the configuration of the running one");
	finding_change(finding,
		"data_dir = %s   # in %s, if that is its file: what stands on its "
		"command "
		"line is not seen",
		theirs, config != NULL ? config : "/etc/tallyd/tallyd.conf");
}

static void leave_redis_out(cJSON *findings, const char *ours, const char *theirs)
{
	for (int i = cJSON_GetArraySize(findings) - 1; i >= 0; i--) {
		const char *code = member_text(cJSON_GetArrayItem(findings, i), "code");

		if (strncmp(code, "redis", 5) == 0)
			cJSON_DeleteItemFromArray(findings, i);
	}
	finding_change(
		finding_add(findings, LEVEL_WARNING, "redis-other",
			mem_format("the running tallyd has Redis at %s, but the "
				   "configuration that was looked at names %s, which is "
				   "left out",
				theirs, ours)),
		"systemctl restart tallyd   # if the configuration was changed since; "
		"not "
		"if redis_url is in its environment or on its command line");
}

void machine_compare(const struct ctl *ctl, cJSON *findings, const cJSON *looked_at,
	const cJSON *status)
{
	const char *dir = member_text(looked_at, "dataDir");
	const char *redis = member_text(looked_at, "redis");
	const char *their_dir = member_text(status, "dataDir");
	const char *their_redis = member_text(member_object(status, "redis"), "address");

	if (dir != NULL && their_dir != NULL && !is_same_folder(dir, their_dir))
		leave_all_out(ctl, findings, dir, their_dir);
	else if (redis != NULL && their_redis != NULL && strcmp(redis, their_redis) != 0)
		leave_redis_out(findings, redis, their_redis);
}

void machine_add_log(cJSON *finding)
{
	const char *const argv[] = {"journalctl", "--unit=tallyd", "--lines=5",
		"--no-pager", "--output=cat", "--quiet", NULL};
	int exit_code = 0;
	char *text = run_program(argv, true, &exit_code);
	cJSON *log;

	if (text == NULL || exit_code != 0 || text[0] == '\0') {
		free(text);
		return;
	}
	log = cJSON_AddArrayToObject(finding, "log");
	for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL;)
		if (line[0] != '\0')
			(void)cJSON_AddItemToArray(log, cJSON_CreateString(line));
	free(text);
}
