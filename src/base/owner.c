#include "base/owner.h"

#include <errno.h>
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

struct closed {
	char path[OWNER_PATH_BYTES];
	struct stat st;
	bool is_missing; /* what was looked for would have to be made in it */
};

/* The path, or the nearest folder above it that can be looked at: that one is closed. */
static bool find_closed(const char *path, struct closed *ret_closed)
{
	char *slash;

	*ret_closed = (struct closed){.path = ""};
	(void)snprintf(ret_closed->path, OWNER_PATH_BYTES, "%s", path);
	while (stat(ret_closed->path, &ret_closed->st) != 0) {
		ret_closed->is_missing = errno == ENOENT;
		slash = strrchr(ret_closed->path, '/');
		if (slash == NULL || slash == ret_closed->path)
			return false;
		*slash = '\0';
	}
	return true;
}

int owner_explain(struct errmsg *msg, int code, const char *path, const char *denied)
{
	char us[NAME_BYTES], them[NAME_BYTES];
	struct closed closed;
	const char *at = closed.path;

	if (!find_closed(path, &closed))
		return err_set(msg, code, "%s", denied);
	(void)user_name(geteuid(), us);
	(void)user_name(closed.st.st_uid, them);
	if (closed.is_missing)
		return err_set(msg, code,
			"%s: tallyd runs as %s, but %s belongs to %s; as root: install "
			"-d "
			"-o %s -m 0750 %s",
			denied, us, at, them, us, path);
	if (strcmp(at, path) != 0)
		return err_set(msg, code,
			"%s: tallyd runs as %s and may not pass through %s, which "
			"belongs "
			"to %s; as root: chmod o+x %s",
			denied, us, at, them, at);
	if (closed.st.st_uid == geteuid() && (closed.st.st_mode & S_IRWXU) != S_IRWXU)
		return err_set(msg, code,
			"%s: tallyd runs as %s, whose folder has mode %04o; as root: "
			"chmod -R u+rwX %s",
			denied, us, (unsigned)(closed.st.st_mode & 07777), at);
	if (closed.st.st_uid == geteuid())
		return err_set(msg, code,
			"%s: tallyd runs as %s, and not all there belongs to it; as "
			"root: "
			"chown -R %s %s",
			denied, us, us, at);
	return err_set(msg, code,
		"%s: tallyd runs as %s, but %s belongs to %s; as root: chown -R %s %s",
		denied, us, at, them, us, at);
}

int owner_explain_reading(
	struct errmsg *msg, int code, const char *path, const char *denied)
{
	char us[NAME_BYTES], them[NAME_BYTES], our_group[NAME_BYTES];
	struct closed closed;

	if (!find_closed(path, &closed))
		return err_set(msg, code, "%s", denied);
	(void)user_name(geteuid(), us);
	(void)user_name(closed.st.st_uid, them);
	(void)group_name(getegid(), our_group);
	return err_set(msg, code,
		"%s: tallyd runs as %s, but %s belongs to %s with mode %04o; as root: "
		"chgrp %s %s; chmod g+rX %s",
		denied, us, closed.path, them, (unsigned)(closed.st.st_mode & 07777),
		our_group, closed.path, closed.path);
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
