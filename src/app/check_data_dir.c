/*
 * data_dir and what is in it: whose it is, who may write it, whether a daemon holds it.
 * The journal's files and the database are looked at as the daemon's user has to find
 * them, whoever looks.
 */
#include "app/data_dir.h"
#include "app/setup.h"
#include "base/clock.h"
#include "base/file.h"
#include "journal/journal.h"
#include "journal/segment.h"
#include "store/look.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define OWNER_BYTES SETUP_NAME_BYTES

static void note_time(struct setup *setup, const struct timespec *at)
{
	uint64_t ms = at->tv_sec > 0 ? (uint64_t)at->tv_sec * 1000 : 0;

	if (ms > setup->newest_ms)
		setup->newest_ms = ms;
}

/* What must not be: `is_secret` too, that anybody but the owner reads it. */
static const struct watched {
	const char *name;
	bool is_secret;
} watched_files[] = {
	{"key", true},
	{"lock", false},
	{"tally.db", false},
	{"tally.db-wal", false},
	{"tally.db-shm", false},
	{"tally.db-journal", false},
	{"journal", false},
};

static bool are_others_let_in(const struct setup *setup)
{
	struct stat st;

	return fstat(setup->dir_fd, &st) == 0 && (st.st_mode & S_IXOTH) != 0;
}

static bool is_strange(const struct setup *setup, const struct watched *watched)
{
	return strcmp(watched->name, "journal") != 0 &&
		file_strange(setup->dir_fd, watched->name) != NULL;
}

static void check_mode(
	struct setup *setup, const struct watched *watched, const struct stat *st)
{
	const char *dir = setup->config->data_dir;

	if (S_ISLNK(st->st_mode)) {
		setup_find(setup, SETUP_PROBLEM, "symbolic-link",
			"%s/%s is a symbolic link: only data_dir itself may be one; put "
			"there what it leads to",
			dir, watched->name);
		setup_change(setup, "ls -l %s/%s", dir, watched->name);
	} else if (is_strange(setup, watched)) {
		setup_find(setup, SETUP_PROBLEM, "no-file",
			"%s/%s is %s, where tallyd has a file: it cannot start", dir,
			watched->name, file_strange(setup->dir_fd, watched->name));
		setup_change(setup, "mv %s/%s %s/%s.not-ours", dir, watched->name, dir,
			watched->name);
	} else if (watched->is_secret && (st->st_mode & 077) != 0) {
		setup_find(setup, SETUP_PROBLEM, watched->name,
			"others may read %s/%s: with it they can guess what was "
			"commanded",
			dir, watched->name);
		setup_change(setup, "chmod 600 %s/%s", dir, watched->name);
	} else if ((st->st_mode & 022) != 0) {
		setup_find(setup, SETUP_PROBLEM, "writable",
			"others than its owner may write %s/%s", dir, watched->name);
		setup_change(setup, "chmod go-w %s/%s", dir, watched->name);
	} else if ((st->st_mode & S_IROTH) != 0 && S_ISREG(st->st_mode) &&
		strcmp(watched->name, "lock") != 0 && are_others_let_in(setup)) {
		setup_find(setup, SETUP_WARNING, "readable",
			"everybody on this machine can read %s/%s: the users and their "
			"totals",
			dir, watched->name);
		setup_change(setup, "chmod o= %s/%s", dir, watched->name);
	}
}

static void check_modes(struct setup *setup)
{
	for (size_t i = 0; i < sizeof(watched_files) / sizeof(watched_files[0]); i++) {
		struct stat st;

		if (fstatat(setup->dir_fd, watched_files[i].name, &st,
			    AT_SYMLINK_NOFOLLOW) == 0)
			check_mode(setup, &watched_files[i], &st);
	}
}

static void tell_alien(struct setup *setup, const char *path, uid_t uid)
{
	char theirs[OWNER_BYTES], ours[OWNER_BYTES];
	const char *user = setup->user.is_known ? setup->user.name
						: setup_user_name(setup->owner, ours);

	setup->is_owner_told = true;
	setup->is_endangered = setup->is_endangered || setup->running_pid != 0;
	setup_find(setup, SETUP_PROBLEM, "owner",
		"%s belongs to %s, %s %s: tallyd cannot write it%s", path,
		setup_user_name(uid, theirs),
		setup->user.is_known ? "but tallyd runs as" : "the folder to", user,
		setup->running_pid == 0
			? ""
			: "; until that is mended, do not stop tallyd, which may be the "
			  "only one that holds what was accepted");
	setup_change(setup, "chown -R %s %s", user, setup->config->data_dir);
}

/* Tells of it if it is another's. */
static bool is_alien(
	struct setup *setup, int dir_fd, const char *folder, const char *name)
{
	struct stat st;
	char path[512];

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		st.st_uid == setup->owner)
		return false;
	(void)snprintf(
		path, sizeof(path), "%s/%s%s", setup->config->data_dir, folder, name);
	tell_alien(setup, path, st.st_uid);
	return true;
}

static void check_segments(struct setup *setup)
{
	int dir_fd = openat(setup->dir_fd, "journal", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t *numbers = NULL;
	char name[SEGMENT_NAME_BYTES];
	size_t n = 0, i = 0;

	if (dir_fd < 0)
		return;
	if (segment_list(dir_fd, &numbers, &n, NULL) == 0)
		while (i < n &&
			!is_alien(setup, dir_fd, "journal/",
				segment_name(numbers[i], name)))
			i++;
	free(numbers);
	(void)close(dir_fd); /* a directory */
}

/* Of the first that is another's. What else lies in the folder is none of tallyd's, as
 * the lost+found of a disk of its own. */
static void check_owners(struct setup *setup, uid_t top_owner)
{
	if (top_owner != setup->owner) {
		tell_alien(setup, setup->config->data_dir, top_owner);
		return;
	}
	for (size_t i = 0; i < sizeof(watched_files) / sizeof(watched_files[0]); i++)
		if (is_alien(setup, setup->dir_fd, "", watched_files[i].name))
			return;
	check_segments(setup);
}

static void check_folder(struct setup *setup)
{
	const char *dir = setup->config->data_dir;
	struct stat st;

	if (fstatat(setup->dir_fd, "journal", &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode)) /* a link was told */
			return;
		setup_find(
			setup, SETUP_PROBLEM, "journal", "%s/journal is no folder", dir);
		setup_change(setup, "mv %s/journal %s/journal.not-ours", dir, dir);
	} else if (setup->running_pid != 0) {
		setup_find(setup, SETUP_PROBLEM, "journal",
			"%s/journal is gone while tallyd runs: nothing is accepted until "
			"it is there again",
			dir);
		setup->is_endangered = true;
		setup_change(setup, "journalctl -u tallyd -n 20");
	} else if (faccessat(setup->dir_fd, "tally.db", F_OK, 0) == 0) {
		setup_find(setup, SETUP_WARNING, "journal",
			"%s/journal is missing: what was accepted since the last flush "
			"was in it; if you moved it, put it back before the start",
			dir);
		setup_change(setup, "ls -l %s", dir);
	}
}

/* The first start makes the folder, but none on the way to it. */
static void tell_missing(struct setup *setup)
{
	const char *dir = setup->config->data_dir, *parent;
	char path[PATH_MAX];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s", dir);
	parent = dirname(path);
	if (stat(parent, &st) != 0) {
		setup_find(setup, SETUP_PROBLEM, "data-dir",
			"data_dir %s cannot be made by the first start: %s is not there",
			dir, parent);
		setup_change(setup, "mkdir -p %s", parent);
		return;
	}
	setup_find(setup, SETUP_OK, "data-dir",
		"%s is not there yet: the first start makes it", dir);
	setup_find_user(setup, parent);
}

/* What is there; false: nothing can be looked at. */
static bool open_dir(struct setup *setup, struct stat *st)
{
	const char *dir = setup->config->data_dir;

	setup->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	setup->is_dir_open = setup->dir_fd >= 0;
	if (setup->is_dir_open && fstat(setup->dir_fd, st) == 0)
		return true;
	setup->is_instance_unknown = errno != ENOENT;
	if (errno == ENOENT) {
		setup_check_daemon(setup);
		if (!setup->is_endangered)
			tell_missing(setup);
	} else if (errno == EACCES) {
		setup_find_no_right(setup, dir);
	} else {
		setup_find(setup, SETUP_PROBLEM, "data-dir",
			"data_dir %s cannot be used: %s", dir, strerror(errno));
		setup_change(setup, "data_dir = /var/lib/tallyd");
	}
	return false;
}

void setup_check_data_dir(struct setup *setup)
{
	const char *dir = setup->config->data_dir;
	char name[OWNER_BYTES];
	struct stat st;

	if (!open_dir(setup, &st))
		return;
	setup->owner = st.st_uid;
	if ((st.st_mode & S_IWOTH) != 0) {
		setup_find(setup, SETUP_PROBLEM, "writable",
			"everybody on this machine may write into %s: who puts a file "
			"there changes what was counted",
			dir);
		setup_change(setup, "chmod o-w %s", dir);
	} else {
		setup_find(setup, SETUP_OK, "data-dir", "%s belongs to %s", dir,
			setup_user_name(st.st_uid, name));
	}
	setup_check_daemon(setup);
	check_owners(setup, st.st_uid);
	check_modes(setup);
	check_folder(setup);
}

/* Those of the journal's files: a segment that was begun, or written to, at that time. */
static void note_journal_times(struct setup *setup)
{
	int dir_fd = openat(setup->dir_fd, "journal", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t *numbers = NULL;
	char name[SEGMENT_NAME_BYTES];
	struct stat st;
	size_t n = 0;

	if (dir_fd < 0)
		return;
	if (segment_list(dir_fd, &numbers, &n, NULL) == 0 && n > 0 &&
		fstatat(dir_fd, segment_name(numbers[n - 1], name), &st, 0) == 0)
		note_time(setup, &st.st_mtim);
	free(numbers);
	(void)close(dir_fd); /* a directory */
}

/* SQLite would wait for a FIFO. What it is has been told, see check_mode(). */
static bool may_open_database(const struct setup *setup)
{
	for (size_t i = 0; i < sizeof(watched_files) / sizeof(watched_files[0]); i++)
		if (strncmp(watched_files[i].name, "tally.db", 8) == 0 &&
			is_strange(setup, &watched_files[i]))
			return false;
	return true;
}

void setup_check_database(struct setup *setup)
{
	char path[256];
	struct store_look look;
	struct errmsg msg = {""};
	struct stat st;
	int code;

	if (!setup->is_dir_open)
		return;
	note_journal_times(setup);
	if (fstatat(setup->dir_fd, "tally.db", &st, 0) != 0) {
		setup->is_database_whole = errno == ENOENT;
		return; /* nothing was counted yet */
	}
	setup->is_instance_unknown = true;
	if (!may_open_database(setup))
		return;
	note_time(setup, &st.st_mtim);
	(void)snprintf(path, sizeof(path), "%s/tally.db", setup->config->data_dir);
	if (access(path, R_OK) != 0) {
		setup_find_no_right(setup, path);
		return;
	}
	code = store_look(path, setup->running_pid != 0, &look, &msg);
	if (code != 0) {
		setup_find(setup, SETUP_PROBLEM, "database", "%s: %s", path, msg.text);
		setup_change(setup, "journalctl -u tallyd -n 20");
		return;
	}
	setup->is_instance_unknown = look.instance_id[0] == '\0' || setup->is_endangered;
	setup->applied_seq = look.applied_seq;
	setup->is_database_whole =
		fstatat(setup->dir_fd, "tally.db-wal", &st, 0) != 0 || st.st_size == 0;
	if (look.newest_ms > setup->newest_ms)
		setup->newest_ms = look.newest_ms;
	(void)snprintf(
		setup->instance_id, sizeof(setup->instance_id), "%s", look.instance_id);
	setup_find(setup, SETUP_OK, "database", "%s can be read", path);
}

#define SIZE_BYTES 32

/* As the options are written; exact enough to be compared. */
static const char *size_text(uint64_t bytes, char buf[SIZE_BYTES])
{
	bool is_small = bytes < UINT64_C(10) << 20;

	(void)snprintf(buf, SIZE_BYTES, "%" PRIu64 " %s", bytes >> (is_small ? 10 : 20),
		is_small ? "KiB" : "MiB");
	return buf;
}

void setup_check_space(struct setup *setup)
{
	const char *dir = setup->config->data_dir;
	struct journal_config journal;
	struct statvfs fs;
	uint64_t free_bytes, least;
	char left[SIZE_BYTES], needed[SIZE_BYTES];

	if (!setup->is_dir_open || fstatvfs(setup->dir_fd, &fs) != 0)
		return;
	config_to_journal(setup->config, &journal);
	free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	least = journal_min_free_bytes(&journal, (uint64_t)fs.f_blocks * fs.f_frsize);
	if (fs.f_files > 0 && fs.f_favail == 0) {
		setup_find(setup, SETUP_PROBLEM, "disk-low",
			"no inode is free in %s: no file can be made, and reports are "
			"answered with 503",
			dir);
		setup_change(setup, "df -i %s", dir);
	} else if (free_bytes < least) {
		setup_find(setup, SETUP_PROBLEM, "disk-low",
			"only %s are free in %s: below min_free_bytes, %s, reports are "
			"answered with 503",
			size_text(free_bytes, left), dir, size_text(least, needed));
		setup_change(setup, "df -h %s", dir);
	} else if (free_bytes / 4 < least) {
		setup_find(setup, SETUP_WARNING, "disk-low",
			"only %s are free in %s; below %s reports are answered with 503",
			size_text(free_bytes, left), dir, size_text(least, needed));
		setup_change(setup, "df -h %s", dir);
	} else {
		setup_find(setup, SETUP_OK, "disk", "%s are free in %s",
			size_text(free_bytes, left), dir);
	}
}
