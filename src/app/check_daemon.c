/*
 * The daemon that runs: which it is, whether it still finds what it has open, and, where
 * what it had was deleted, that it is the only one that holds it. By the lock; and where
 * that is gone, too, by who listens on the address.
 */
#include "app/data_dir.h"
#include "app/process.h"
#include "app/setup.h"
#include "http/places.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DELETED " (deleted)"

static bool is_deleted(const char *target)
{
	size_t len = strlen(target);

	return len >= sizeof(DELETED) &&
		strcmp(target + len - sizeof(DELETED) + 1, DELETED) == 0;
}

/* What the daemon has open, beside what is there. */
struct held {
	const struct stat *there; /* tally.db; NULL: it is not there */
	bool has_store, has_that;
	bool is_dir_deleted;
	char dir[PATH_MAX]; /* of the lock; "": not seen */
};

static bool look_at_file(void *arg, const char *target, const struct stat *st)
{
	struct held *held = arg;
	const char *name = strrchr(target, '/');
	size_t len = name != NULL ? strcspn(++name, " ") : 0;

	if (name == NULL)
		return true;
	if (S_ISREG(st->st_mode) && strncmp(name, "tally.db", 8) == 0)
		held->has_store = true;
	if (held->there != NULL && st->st_dev == held->there->st_dev &&
		st->st_ino == held->there->st_ino)
		held->has_that = true;
	if (S_ISREG(st->st_mode) && len == 4 && strncmp(name, "lock", 4) == 0)
		(void)snprintf(held->dir, sizeof(held->dir), "%.*s",
			(int)(name - target) - 1, target);
	if (S_ISDIR(st->st_mode) && is_deleted(target))
		held->is_dir_deleted = true;
	return true;
}

/* The file that SQLite writes to is not the one that has the name. Who may not look at
 * the descriptors sees only that there is none. */
static void check_database_held(struct setup *setup)
{
	const char *dir = setup->config->data_dir;
	struct held held = {0};
	struct stat st;

	if (fstatat(setup->dir_fd, "tally.db", &st, AT_SYMLINK_NOFOLLOW) == 0)
		held.there = &st;
	(void)process_each_file(setup->running_pid, look_at_file, &held);
	if (held.there != NULL ? !held.has_store || held.has_that : false)
		return;
	setup->is_endangered = setup->is_instance_unknown = true;
	setup_find(setup, SETUP_PROBLEM, "database-gone",
		"%s/tally.db is %s while tallyd runs; do not stop tallyd, which alone "
		"still holds the counted file: see \"A deleted database\" in the README",
		dir,
		held.there != NULL ? "another file than the one that was opened"
				   : "deleted or moved");
	if (setup->running_pid > 0)
		setup_change(setup,
			"ls -l /proc/%ld/fd | grep tally.db   # where it is, or that it "
			"is deleted",
			setup->running_pid);
	setup_change(setup, "journalctl -u tallyd -n 20");
}

/* Who listens where this configuration would, and is called as we are. */
static void find_listener(void *arg, const struct http_place *place)
{
	struct process process, *ret = arg;

	if (ret->pid == 0 && place->inode != 0 &&
		process_of_socket(place->inode, &process) &&
		strcmp(process.name, "tallyd") == 0)
		*ret = process;
}

static void tell_deleted(struct setup *setup, long pid)
{
	setup_find(setup, SETUP_PROBLEM, "data-dir-gone",
		"%s is deleted while tallyd runs, with pid %ld; do not stop tallyd, "
		"which alone still holds what was counted: see \"A deleted database\" "
		"in the README",
		setup->config->data_dir, pid);
	setup_change(
		setup, "ls -l /proc/%ld/fd | grep tally.db   # it is still there", pid);
}

/* Which of the two it is shows nowhere. */
static void tell_elsewhere(struct setup *setup, long pid, const char *there)
{
	const char *dir = setup->config->data_dir;

	setup_find(setup, SETUP_PROBLEM, "data-dir-gone",
		"%s is not there, and the tallyd with pid %ld, which listens on the "
		"address of this configuration, has its data_dir elsewhere: if it was "
		"moved, do not stop tallyd before it is back; if that is another tallyd, "
		"this one needs an address of its own",
		dir, pid);
	if (there[0] != '\0')
		setup_change(setup, "mv %s %s   # if it was moved", there, dir);
	else
		setup_change(
			setup, "ls -l /proc/%ld/fd | grep tally.db   # where it is", pid);
	setup_change(setup, "listen = 127.0.0.1:3001   # if that is another tallyd");
}

/* The lock was found free, or no folder: is it gone under a daemon's feet? */
static void find_homeless(struct setup *setup)
{
	struct process process = {0};
	struct held held = {0};
	struct errmsg unsaid; /* the addresses are checked later */

	if (http_look_at(setup->config->listen, find_listener, &process, &unsaid) != 0 ||
		process.pid == 0 ||
		!process_each_file(process.pid, look_at_file, &held) ||
		(setup->is_dir_open && !held.is_dir_deleted))
		return;
	setup->running_pid = process.pid;
	setup->is_endangered = setup->is_instance_unknown = true;
	if (held.is_dir_deleted)
		tell_deleted(setup, process.pid);
	else
		tell_elsewhere(setup, process.pid, held.dir);
}

static void tell_running(struct setup *setup)
{
	const char *dir = setup->config->data_dir;

	if (setup->running_pid > 0)
		setup_find(setup, SETUP_OK, "daemon-runs",
			"tallyd runs on %s, with pid %ld", dir, setup->running_pid);
	else
		setup_find(setup, SETUP_OK, "daemon-runs", "a tallyd runs on %s", dir);
}

/* Root owns all that it wants: that is told by the folder. */
static void take_user(struct setup *setup)
{
	char path[40];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%ld", setup->running_pid);
	if (stat(path, &st) != 0 || st.st_uid == 0)
		return;
	setup->user.is_known = true;
	setup->user.uid = st.st_uid;
	setup->user.gid = st.st_gid;
	(void)setup_user_name(st.st_uid, setup->user.name);
}

void setup_check_daemon(struct setup *setup)
{
	const char *dir = setup->config->data_dir;

	if (data_dir_holder(dir, &setup->running_pid) != 0) {
		setup_find_no_right(setup, dir);
		return;
	}
	if (setup->running_pid == 0)
		find_homeless(setup);
	if (!setup->is_dir_open)
		return;
	if (setup->running_pid == 0) {
		setup_find(
			setup, SETUP_OK, "daemon-stopped", "no tallyd runs on %s", dir);
		setup_find_user(setup, dir);
	} else {
		tell_running(setup);
		take_user(setup);
		if (!setup->is_endangered)
			check_database_held(setup);
	}
	if (setup->user.is_known)
		setup->owner = setup->user.uid;
}
