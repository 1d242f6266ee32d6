#include "app/data_dir.h"
#include "base/file.h"
#include "base/log.h"
#include "base/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES 500    /* of 10 ms */
#define KEY_NEW "key.new" /* until it is whole */

static bool is_link(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISLNK(st.st_mode);
}

static int refuse_link(const char *path, const char *name, struct errmsg *msg)
{
	return err_set(msg, ERR_DATA_DIR,
		"%s/%s is a symbolic link: only data_dir itself may be one, nothing in "
		"it; put there what it leads to",
		path, name);
}

/* In data_dir, or `name` "": data_dir itself. */
static int deny(const char *path, const char *name, int cause, struct errmsg *msg)
{
	char denied[256];

	(void)snprintf(denied, sizeof(denied), "%s%s%s: %s", path,
		name[0] != '\0' ? "/" : "", name, strerror(cause));
	return cause == EACCES || cause == EPERM
		? owner_explain(msg, ERR_DATA_DIR, path, denied)
		: err_set(msg, ERR_DATA_DIR, "%s", denied);
}

static int refuse_strange(
	const char *path, const char *name, const char *strange, struct errmsg *msg)
{
	return err_set(msg, ERR_DATA_DIR,
		"%s/%s is %s, where tallyd has a file: move it away and start again",
		path, name, strange);
}

/* What has failed with errno. */
static int refuse(int dir_fd, const char *path, const char *name, struct errmsg *msg)
{
	int cause = errno;

	if (is_link(dir_fd, name))
		return refuse_link(path, name, msg);
	if (cause == ENOTDIR)
		return err_set(msg, ERR_DATA_DIR,
			"%s/%s is no folder: move it away and start again", path, name);
	if (file_strange(dir_fd, name) != NULL && strcmp(name, "journal") != 0)
		return refuse_strange(path, name, file_strange(dir_fd, name), msg);
	return deny(path, name, cause, msg);
}

/* Who holds the lock, from its file; 0 if it does not say. */
static long read_holder(int lock_fd)
{
	char text[32] = "";
	long pid = 0;

	if (pread(lock_fd, text, sizeof(text) - 1, 0) > 0)
		(void)sscanf(text, "%ld", &pid);
	return pid;
}

/* Who only looks (data_dir_holder()) has a share of it for a moment, and is waited for up
 * to `tries` times; who has the whole is not. False with errno. */
static bool lock_whole(int fd, unsigned tries)
{
	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK || tries-- == 0 ||
			flock(fd, LOCK_SH | LOCK_NB) != 0)
			return false;
		(void)flock(fd, LOCK_UN); /* ours to give back */
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	return true;
}

/* A file system that cannot lock folders (NFS) is left to the file. */
static bool is_folder_held(int dir_fd, unsigned tries)
{
	return !lock_whole(dir_fd, tries) && errno == EWOULDBLOCK;
}

static int refuse_held(const char *path, int lock_fd, struct errmsg *msg)
{
	long pid = read_holder(lock_fd);

	if (pid == 0)
		return err_set(msg, ERR_LOCKED, "%s is in use by another program", path);
	return err_set(
		msg, ERR_LOCKED, "%s is in use by the tallyd with pid %ld", path, pid);
}

static int take_lock(
	int dir_fd, const char *path, unsigned tries, int *ret_fd, struct errmsg *msg)
{
	int fd = file_open(dir_fd, "lock", O_RDWR | O_CREAT, 0640);
	bool is_held = false;
	char text[32];
	int len;

	if (fd < 0)
		return refuse(dir_fd, path, "lock", msg);
	if (is_folder_held(dir_fd, tries) || (is_held = !lock_whole(fd, tries))) {
		int code = !is_held || errno == EWOULDBLOCK
			? refuse_held(path, fd, msg)
			: err_set(msg, ERR_DATA_DIR, "%s/lock: %m", path);

		(void)close(fd); /* nothing was written */
		return code;
	}
	len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len) {
		/* Only for people to read: a full disk must not keep us from starting. */
	}
	*ret_fd = fd;
	return 0;
}

static int open_journal_dir(
	int dir_fd, const char *path, bool must_lock, int *ret_fd, struct errmsg *msg)
{
	if (must_lock && mkdirat(dir_fd, "journal", 0750) != 0 && errno != EEXIST)
		return deny(path, "journal", errno, msg);
	*ret_fd = openat(
		dir_fd, "journal", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd >= 0 ? 0 : refuse(dir_fd, path, "journal", msg);
}

/* SQLite would follow a link, whose removal could not be noticed, and wait for a FIFO. */
static int check_database(int dir_fd, const char *path, struct errmsg *msg)
{
	static const char *const names[] = {
		"tally.db", "tally.db-wal", "tally.db-shm", "tally.db-journal"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (file_strange(dir_fd, names[i]) != NULL)
			return refuse(dir_fd, path, names[i], msg);
	return 0;
}

/* False with errno; ENOENT: there is none, or only what a crash has left of one. */
static bool read_key(int dir_fd, uint8_t ret_key[DATA_DIR_KEY_BYTES])
{
	int fd = file_open(dir_fd, "key", O_RDONLY, 0);
	ssize_t n;

	if (fd < 0)
		return false;
	n = pread(fd, ret_key, DATA_DIR_KEY_BYTES, 0);
	if (n >= 0 && n < DATA_DIR_KEY_BYTES)
		errno = ENOENT;
	(void)close(fd); /* only read from; leaves errno as it is */
	return n == DATA_DIR_KEY_BYTES;
}

/* Only the owner may read it: the group may read the database. */
static bool make_key(int dir_fd, uint8_t ret_key[DATA_DIR_KEY_BYTES])
{
	int fd = file_open(dir_fd, KEY_NEW, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	bool is_good = fd >= 0 &&
		getrandom(ret_key, DATA_DIR_KEY_BYTES, 0) == DATA_DIR_KEY_BYTES &&
		pwrite(fd, ret_key, DATA_DIR_KEY_BYTES, 0) == DATA_DIR_KEY_BYTES &&
		fsync(fd) == 0;

	if (fd >= 0)
		(void)close(fd); /* synced */
	return is_good && renameat(dir_fd, KEY_NEW, dir_fd, "key") == 0;
}

static int open_key(struct data_dir *dir, struct errmsg *msg)
{
	bool is_new;
	int cause;

	if (read_key(dir->dir_fd, dir->key) ||
		(errno == ENOENT && make_key(dir->dir_fd, dir->key)))
		return 0;
	cause = errno;
	is_new = file_strange(dir->dir_fd, "key") == NULL &&
		file_strange(dir->dir_fd, KEY_NEW) != NULL;
	errno = cause;
	return refuse(dir->dir_fd, dir->path, is_new ? KEY_NEW : "key", msg);
}

/* What root would make there, the owner could not open afterwards. */
static int check_owner(int dir_fd, const char *path, struct errmsg *msg)
{
	const struct passwd *owner;
	struct stat st;

	if (fstat(dir_fd, &st) != 0)
		return err_set(msg, ERR_DATA_DIR, "%s: %m", path);
	if (geteuid() != 0 || st.st_uid == 0)
		return 0;
	owner = getpwuid(st.st_uid);
	if (owner == NULL)
		return err_set(msg, ERR_DATA_DIR,
			"%s belongs to user %u: run tallyd as that user, not as root",
			path, (unsigned)st.st_uid);
	return err_set(msg, ERR_DATA_DIR,
		"%s belongs to %s: run tallyd as that user, as with sudo -u %s", path,
		owner->pw_name, owner->pw_name);
}

/* All that is in the folder. */
static int open_files(struct data_dir *dir, bool must_lock, struct errmsg *msg)
{
	const char *path = dir->path;
	int code = 0;

	if (must_lock)
		code = check_owner(dir->dir_fd, path, msg);
	if (code == 0 && must_lock)
		code = take_lock(dir->dir_fd, path, LOCK_TRIES, &dir->lock_fd, msg);
	if (code == 0 && must_lock)
		code = check_database(dir->dir_fd, path, msg);
	if (code == 0)
		code = open_journal_dir(
			dir->dir_fd, path, must_lock, &dir->journal_fd, msg);
	if (code == 0 && must_lock)
		code = open_key(dir, msg);
	/* The names of the key and of the journal's folder: nobody else syncs them. */
	if (code == 0 && must_lock && fsync(dir->dir_fd) != 0)
		code = err_set(msg, ERR_DATA_DIR, "%s: %m", path);
	return code;
}

static int deny_making(const char *path, struct errmsg *msg)
{
	char denied[256];
	int cause = errno;

	(void)snprintf(
		denied, sizeof(denied), "%s cannot be made: %s", path, strerror(cause));
	return cause == EACCES ? owner_explain(msg, ERR_DATA_DIR, path, denied)
			       : err_set(msg, ERR_DATA_DIR, "%s", denied);
}

int data_dir_open(const char *path, enum data_dir_use use, struct data_dir *ret_dir,
	struct errmsg *ret_msg)
{
	struct data_dir dir = DATA_DIR_CLOSED;
	int code;

	if (use == DATA_DIR_MAKE && mkdir(path, 0750) != 0 && errno != EEXIST)
		return deny_making(path, ret_msg);
	dir.path = realpath(path, NULL);
	if (dir.path != NULL)
		dir.dir_fd = open(dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir.dir_fd < 0)
		code = deny(path, "", errno, ret_msg);
	else
		code = open_files(&dir, use != DATA_DIR_READ, ret_msg);
	if (code != 0)
		data_dir_close(&dir);
	else
		*ret_dir = dir;
	return code;
}

/* By somebody else. A shared lock: two who ask do not see each other. */
static bool is_locked(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB) != 0)
		return errno == EWOULDBLOCK;
	(void)flock(fd, LOCK_UN); /* ours to give back */
	return false;
}

int data_dir_holder(const char *path, long *ret_pid)
{
	int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = dir_fd >= 0
		? openat(dir_fd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
		: -1;
	/* Something strange in the place of the file leaves the folder's lock to ask. */
	bool is_askable = fd >= 0 || errno == ENOENT || (dir_fd >= 0 && errno != EACCES);
	int code = is_askable ? 0 : ERR_DATA_DIR;
	long pid = 0;

	if (code == 0 &&
		((fd >= 0 && is_locked(fd)) || (dir_fd >= 0 && is_locked(dir_fd))))
		pid = fd >= 0 && read_holder(fd) > 0 ? read_holder(fd) : -1;
	if (fd >= 0)
		(void)close(fd); /* only read from */
	if (dir_fd >= 0)
		(void)close(dir_fd); /* only names were looked at */
	if (code == 0)
		*ret_pid = pid;
	return code;
}

void data_dir_close(struct data_dir *dir)
{
	if (dir->journal_fd >= 0)
		(void)close(dir->journal_fd); /* a directory */
	if (dir->lock_fd >= 0)
		(void)close(dir->lock_fd); /* gives the lock back */
	if (dir->dir_fd >= 0)
		(void)close(dir->dir_fd); /* likewise */
	free(dir->path);
	*dir = DATA_DIR_CLOSED;
}

static bool is_at(int fd, const struct stat *there)
{
	struct stat ours;

	return fstat(fd, &ours) == 0 && ours.st_dev == there->st_dev &&
		ours.st_ino == there->st_ino;
}

/* Without the file a tallyd that does not know of the folder's lock would start here. */
static int look_at_lock(struct data_dir *dir, struct errmsg *msg)
{
	struct stat there;
	int fd = -1, code;

	if (fstatat(dir->dir_fd, "lock", &there, AT_SYMLINK_NOFOLLOW) == 0 &&
		is_at(dir->lock_fd, &there))
		return 0;
	code = take_lock(dir->dir_fd, dir->path, 0, &fd, msg);
	if (code != 0)
		return code;
	(void)close(dir->lock_fd); /* only for people to read */
	dir->lock_fd = fd;
	log_warn("the lock was deleted or replaced while in use: it is made again",
		"file=%s/lock", dir->path);
	return 0;
}

int data_dir_look(struct data_dir *dir, struct errmsg *ret_msg)
{
	struct stat there;

	if (stat(dir->path, &there) != 0)
		return err_set(ret_msg, ERR_DATA_DIR, "%s %s", dir->path,
			errno == ENOENT ? "is gone" : strerror(errno));
	if (!is_at(dir->dir_fd, &there))
		return err_set(ret_msg, ERR_DATA_DIR, "%s is another folder", dir->path);
	return look_at_lock(dir, ret_msg);
}
