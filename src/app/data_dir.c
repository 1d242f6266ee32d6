#include "app/data_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Who holds the lock, from its file; 0 if it does not say. */
static long read_holder(int lock_fd)
{
	char text[32] = "";
	long pid = 0;

	if (pread(lock_fd, text, sizeof(text) - 1, 0) > 0)
		(void)sscanf(text, "%ld", &pid);
	return pid;
}

static int take_lock(int dir_fd, const char *path, int *ret_fd, struct errmsg *msg)
{
	int fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	char text[32];
	int len;

	if (fd < 0)
		return err_set(msg, ERR_DATA_DIR, "%s/lock: %m", path);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		int code = errno == EWOULDBLOCK
			? err_set(msg, ERR_LOCKED,
				  "%s is in use by the tallyd with pid %ld", path,
				  read_holder(fd))
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
		return err_set(msg, ERR_DATA_DIR, "%s/journal: %m", path);
	*ret_fd = openat(dir_fd, "journal", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret_fd < 0)
		return err_set(msg, ERR_DATA_DIR, "%s/journal: %m", path);
	return 0;
}

/* False with errno; ENOENT: there is none, or only what a crash has left of one. */
static bool read_key(int dir_fd, uint8_t ret_key[DATA_DIR_KEY_BYTES])
{
	int fd = openat(dir_fd, "key", O_RDONLY | O_CLOEXEC);
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
	int fd =
		openat(dir_fd, "key.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool is_good = fd >= 0 &&
		getrandom(ret_key, DATA_DIR_KEY_BYTES, 0) == DATA_DIR_KEY_BYTES &&
		pwrite(fd, ret_key, DATA_DIR_KEY_BYTES, 0) == DATA_DIR_KEY_BYTES &&
		fsync(fd) == 0;

	if (fd >= 0)
		(void)close(fd); /* synced */
	return is_good && renameat(dir_fd, "key.new", dir_fd, "key") == 0;
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

int data_dir_open(const char *path, enum data_dir_use use, struct data_dir *ret_dir,
	struct errmsg *ret_msg)
{
	bool must_lock = use != DATA_DIR_READ;
	struct data_dir dir = {.lock_fd = -1, .journal_fd = -1};
	int code = 0, dir_fd;

	if (use == DATA_DIR_MAKE && mkdir(path, 0750) != 0 && errno != EEXIST)
		return err_set(ret_msg, ERR_DATA_DIR, "%s cannot be made: %m", path);
	dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return err_set(ret_msg, ERR_DATA_DIR, "%s: %m", path);
	if (must_lock)
		code = check_owner(dir_fd, path, ret_msg);
	if (code == 0 && must_lock)
		code = take_lock(dir_fd, path, &dir.lock_fd, ret_msg);
	if (code == 0)
		code = open_journal_dir(
			dir_fd, path, must_lock, &dir.journal_fd, ret_msg);
	if (code == 0 && must_lock && !read_key(dir_fd, dir.key) &&
		(errno != ENOENT || !make_key(dir_fd, dir.key)))
		code = err_set(ret_msg, ERR_DATA_DIR, "%s/key: %m", path);
	/* The names of the key and of the journal's folder: nobody else syncs them. */
	if (code == 0 && must_lock && fsync(dir_fd) != 0)
		code = err_set(ret_msg, ERR_DATA_DIR, "%s: %m", path);
	(void)close(dir_fd); /* only names were looked at */
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
	int code = fd >= 0 || errno == ENOENT ? 0 : ERR_DATA_DIR;
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
	*dir = (struct data_dir){.lock_fd = -1, .journal_fd = -1};
}
