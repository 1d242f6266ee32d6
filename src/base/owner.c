#include "base/owner.h"

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_BYTES 64
#define ENTRY_BYTES 4096

/* By number where there is no name. */
static const char *user_name(uid_t uid, char name[NAME_BYTES])
{
	char entry[ENTRY_BYTES];
	struct passwd user, *found = NULL;

	(void)getpwuid_r(uid, &user, entry, sizeof(entry), &found);
	if (found != NULL)
		(void)snprintf(name, NAME_BYTES, "%s", user.pw_name);
	else
		(void)snprintf(name, NAME_BYTES, "%u", (unsigned)uid);
	return name;
}

static const char *group_name(gid_t gid, char name[NAME_BYTES])
{
	char entry[ENTRY_BYTES];
	struct group group, *found = NULL;

	(void)getgrgid_r(gid, &group, entry, sizeof(entry), &found);
	if (found != NULL)
		(void)snprintf(name, NAME_BYTES, "%s", group.gr_name);
	else
		(void)snprintf(name, NAME_BYTES, "%u", (unsigned)gid);
	return name;
}

/* The path, or the nearest folder above it that can be looked at: that one is closed. */
static bool find_closed(
	const char *path, char closed[OWNER_PATH_BYTES], struct stat *ret_st)
{
	char *slash;

	(void)snprintf(closed, OWNER_PATH_BYTES, "%s", path);
	while (stat(closed, ret_st) != 0) {
		slash = strrchr(closed, '/');
		if (slash == NULL || slash == closed)
			return false;
		*slash = '\0';
	}
	return true;
}

int owner_explain(struct errmsg *msg, int code, const char *path, const char *denied)
{
	char closed[OWNER_PATH_BYTES], us[NAME_BYTES], them[NAME_BYTES];
	struct stat st;

	if (!find_closed(path, closed, &st))
		return err_set(msg, code, "%s", denied);
	(void)user_name(geteuid(), us);
	(void)user_name(st.st_uid, them);
	if (strcmp(closed, path) != 0)
		return err_set(msg, code,
			"%s: tallyd runs as %s and may not pass through %s, which "
			"belongs "
			"to %s; as root: chmod o+x %s",
			denied, us, closed, them, closed);
	if (st.st_uid == geteuid())
		return err_set(msg, code,
			"%s: tallyd runs as %s, to whom %s belongs, but not all rights "
			"are there; as root: chown -R %s %s; chmod -R u+rwX %s",
			denied, us, closed, us, closed, closed);
	return err_set(msg, code,
		"%s: tallyd runs as %s, but %s belongs to %s; as root: chown -R %s %s",
		denied, us, closed, them, us, closed);
}

int owner_explain_reading(
	struct errmsg *msg, int code, const char *path, const char *denied)
{
	char closed[OWNER_PATH_BYTES], us[NAME_BYTES], them[NAME_BYTES];
	char our_group[NAME_BYTES];
	struct stat st;

	if (!find_closed(path, closed, &st))
		return err_set(msg, code, "%s", denied);
	(void)user_name(geteuid(), us);
	(void)user_name(st.st_uid, them);
	(void)group_name(getegid(), our_group);
	return err_set(msg, code,
		"%s: tallyd runs as %s, but %s belongs to %s with mode %04o; as root: "
		"chgrp %s %s; chmod g+rX %s",
		denied, us, closed, them, (unsigned)(st.st_mode & 07777), our_group,
		closed, closed);
}

const char *owner_path_of(int fd, const char *fallback, char buf[OWNER_PATH_BYTES])
{
	char link[64];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, buf, OWNER_PATH_BYTES - 1);
	if (n <= 0 || n == OWNER_PATH_BYTES - 1 || buf[0] != '/')
		return fallback;
	buf[n] = '\0';
	return buf;
}
