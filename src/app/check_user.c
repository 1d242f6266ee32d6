/*
 * As whom tallyd runs, and what that user may do. Root may do all, so root asks in that
 * user's place: in a child that has become it.
 */
#include "app/setup.h"

#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* As systemd looks for them; SYSTEMD_UNIT_PATH is systemd's own, too. */
#define UNIT_PATH                                                                        \
	"/etc/systemd/system:/run/systemd/system:/usr/local/lib/systemd/system:"         \
	"/usr/lib/systemd/system:/lib/systemd/system"

struct unit {
	char user[SETUP_NAME_BYTES], group[SETUP_NAME_BYTES];
	char command[1024];
};

const char *setup_user_name(uid_t uid, char buf[SETUP_NAME_BYTES])
{
	const struct passwd *entry = getpwuid(uid);

	if (entry != NULL)
		(void)snprintf(buf, SETUP_NAME_BYTES, "%s", entry->pw_name);
	else
		(void)snprintf(buf, SETUP_NAME_BYTES, "%u", (unsigned)uid);
	return buf;
}

/* What stands behind `key` in the line, if it is that one. */
static void take_value(const char *line, const char *key, char *ret, size_t size)
{
	size_t len = strlen(key);

	if (strncmp(line, key, len) == 0)
		(void)snprintf(
			ret, size, "%.*s", (int)strcspn(line + len, "\r\n"), line + len);
}

/* False: there is no such file. */
static bool read_unit(const char *path, struct unit *unit)
{
	FILE *file = fopen(path, "re");
	char line[1024];

	if (file == NULL)
		return false;
	while (fgets(line, sizeof(line), file) != NULL) {
		take_value(line, "User=", unit->user, sizeof(unit->user));
		take_value(line, "Group=", unit->group, sizeof(unit->group));
		take_value(line, "ExecStart=", unit->command, sizeof(unit->command));
	}
	(void)fclose(file); /* only read from */
	return true;
}

static void read_drop_ins(const char *folder, int len, struct unit *unit)
{
	char pattern[512];
	glob_t found;

	(void)snprintf(
		pattern, sizeof(pattern), "%.*s/tallyd.service.d/*.conf", len, folder);
	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		(void)read_unit(found.gl_pathv[i], unit);
	globfree(&found);
}

static bool find_unit(struct unit *unit)
{
	const char *path = getenv("SYSTEMD_UNIT_PATH");
	bool is_found = false;
	char file[512];

	if (path == NULL || path[0] == '\0')
		path = UNIT_PATH;
	for (const char *at = path; !is_found && *at != '\0'; at += *at == ':') {
		int len = (int)strcspn(at, ":");

		(void)snprintf(file, sizeof(file), "%.*s/tallyd.service", len, at);
		is_found = read_unit(file, unit);
		at += len;
	}
	for (const char *at = path; is_found && *at != '\0'; at += *at == ':') {
		int len = (int)strcspn(at, ":");

		read_drop_ins(at, len, unit);
		at += len;
	}
	return is_found;
}

/* A configuration of somebody's own is none of the service's. */
static bool is_of_service(const struct config *config, const struct unit *unit)
{
	if (strstr(unit->command, "--config") != NULL)
		return strstr(unit->command, config->file) != NULL;
	return strcmp(config->file, CONFIG_DEFAULT_FILE) == 0;
}

static void find_by_unit(struct setup *setup)
{
	struct unit unit = {.user = ""};
	bool has_unit = find_unit(&unit);
	const struct passwd *entry;
	const struct group *group;

	if (!is_of_service(setup->config, &unit))
		return;
	entry = getpwnam(unit.user[0] != '\0' || has_unit ? unit.user : "tallyd");
	if (entry == NULL || entry->pw_uid == 0)
		return;
	setup->user.is_known = true;
	setup->user.uid = entry->pw_uid;
	setup->user.gid = entry->pw_gid;
	(void)snprintf(setup->user.name, sizeof(setup->user.name), "%s", entry->pw_name);
	group = unit.group[0] != '\0' ? getgrnam(unit.group) : NULL;
	if (group != NULL)
		setup->user.gid = group->gr_gid;
}

static void check_who_asks(struct setup *setup, const char *folder)
{
	char me[SETUP_NAME_BYTES], owner[SETUP_NAME_BYTES];
	struct stat st;

	if (access(folder, W_OK | X_OK) == 0 || errno != EACCES || stat(folder, &st) != 0)
		return;
	setup_find(setup, SETUP_WARNING, "rights-missing",
		"tallyd does not start as user %s, who cannot write %s",
		setup_user_name(geteuid(), me), folder);
	setup_change(setup, "sudo -u %s tallyd%s", setup_user_name(st.st_uid, owner),
		setup->config_option);
}

void setup_find_user(struct setup *setup, const char *folder)
{
	find_by_unit(setup);
	if (!setup->user.is_known)
		check_who_asks(setup, folder);
}

static bool become(const struct setup_user *user)
{
	return initgroups(user->name, user->gid) == 0 && setgid(user->gid) == 0 &&
		setuid(user->uid) == 0;
}

/* 0, or why that user may not: an errno. What cannot be asked is no finding. */
static int try_as(const struct setup_user *user, const char *path, int mode)
{
	int status = 0;
	pid_t pid;

	if (geteuid() == user->uid)
		return access(path, mode) == 0 ? 0 : errno;
	if (geteuid() != 0)
		return 0;
	pid = fork();
	if (pid == 0)
		_exit(become(user) && access(path, mode) != 0 ? errno : 0);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static void check_file(struct setup *setup)
{
	const char *file = setup->config->file;
	const struct group *group = getgrgid(setup->user.gid);

	if (try_as(&setup->user, file, R_OK) != EACCES)
		return;
	setup_find(setup, SETUP_PROBLEM, "configuration",
		"user %s, as whom tallyd runs, cannot read %s", setup->user.name, file);
	setup_change(setup, "chgrp %s %s && chmod 640 %s",
		group != NULL ? group->gr_name : "tallyd", file, file);
}

void setup_check_user(struct setup *setup)
{
	static const struct {
		const char *name, *bits;
		int mode;
	} rows[] = {{"", "u+rwx", R_OK | W_OK | X_OK},
		{"/journal", "u+rwx", R_OK | W_OK | X_OK},
		{"/tally.db", "u+rw", R_OK | W_OK}, {"/key", "u+rw", R_OK}};
	char path[256];

	if (!setup->user.is_known)
		return;
	check_file(setup);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", setup->config->data_dir,
			rows[i].name);
		if (setup->is_owner_told ||
			try_as(&setup->user, path, rows[i].mode) != EACCES)
			continue;
		setup_find(setup, SETUP_PROBLEM, "rights-missing",
			"user %s, as whom tallyd runs, cannot write %s, or not reach it",
			setup->user.name, path);
		setup_change(setup, "chmod %s %s", rows[i].bits, path);
		setup_change(
			setup, "namei -l %s   # each folder on the way needs x", path);
		return;
	}
}
