#include "journal/home.h"
#include "base/clock.h"
#include "journal/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

bool home_identify(int fd, struct home_file *file)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return false;
	file->device = st.st_dev;
	file->inode = st.st_ino;
	return true;
}

static int gone(struct errmsg *msg, const char *name, const char *what)
{
	return err_set(msg, ERR_JOURNAL_GONE, "%s%s%s %s", HOME_NAME,
		name[0] != '\0' ? "/" : "", name, what);
}

static int look_at_folder(const struct journal_home *home, int dir_fd, struct errmsg *msg)
{
	struct stat ours, there;

	if (fstatat(home->data_dir_fd, HOME_NAME, &there, AT_SYMLINK_NOFOLLOW) != 0)
		return gone(msg, "", errno == ENOENT ? "is gone" : strerror(errno));
	if (fstat(dir_fd, &ours) != 0 || !is_same(&ours, &there))
		return gone(msg, "", "is another folder");
	return 0;
}

static int look_at_file(int dir_fd, const struct home_file *file, struct errmsg *msg)
{
	char name[SEGMENT_NAME_BYTES];
	struct stat there;

	(void)segment_name(file->number, name);
	if (fstatat(dir_fd, name, &there, AT_SYMLINK_NOFOLLOW) != 0)
		return gone(msg, name, errno == ENOENT ? "is gone" : strerror(errno));
	if (there.st_dev != file->device || there.st_ino != file->inode)
		return gone(msg, name, "is another file");
	if ((uint64_t)there.st_size < file->bytes)
		return gone(msg, name, "was cut off");
	return 0;
}

int home_look(const struct journal_home *home, int dir_fd, const struct home_file *files,
	size_t n_files, struct errmsg *ret_msg)
{
	int code = home->look_around(home->arg, ret_msg);

	if (code == 0)
		code = look_at_folder(home, dir_fd, ret_msg);
	for (size_t i = 0; i < n_files && code == 0; i++)
		code = look_at_file(dir_fd, &files[i], ret_msg);
	return code == 0 ? 0 : ERR_JOURNAL_GONE;
}

int home_look_at(int fd, const struct home_file *file, struct errmsg *ret_msg)
{
	char name[SEGMENT_NAME_BYTES];
	struct stat st = {.st_nlink = 1};

	if (fstat(fd, &st) == 0 && st.st_nlink > 0 && (uint64_t)st.st_size >= file->bytes)
		return 0;
	return gone(ret_msg, segment_name(file->number, name),
		st.st_nlink == 0 ? "is gone" : "was cut off");
}

struct ours {
	int dir_fd;
	const struct home_file *files;
	size_t n_files;
};

/* Whatever is not known to be ours is none of our business to delete. */
static bool is_strange(void *arg, uint64_t number)
{
	const struct ours *ours = arg;
	char name[SEGMENT_NAME_BYTES];
	struct stat there;

	if (fstatat(ours->dir_fd, segment_name(number, name), &there,
		    AT_SYMLINK_NOFOLLOW) != 0)
		return true;
	for (size_t i = 0; i < ours->n_files; i++)
		if (ours->files[i].number == number &&
			ours->files[i].device == there.st_dev &&
			ours->files[i].inode == there.st_ino)
			return false;
	return true;
}

static bool write_head(int fd, const struct segment_head *head)
{
	uint8_t bytes[SEGMENT_HEAD_BYTES];

	segment_encode_head(head, bytes);
	return pwrite(fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes);
}

/* The segment is on disk, and each name on the way to it. */
static int begin_segment(const struct journal_home *home, struct home_begun *begun,
	const struct segment_head *head, struct errmsg *msg)
{
	begun->fd = segment_create(begun->dir_fd, begun->file.number);
	if (begun->fd >= 0 && write_head(begun->fd, head) &&
		home_identify(begun->fd, &begun->file) && fdatasync(begun->fd) == 0 &&
		fsync(begun->dir_fd) == 0 && fsync(home->data_dir_fd) == 0)
		return 0;
	(void)segment_fail(begun->dir_fd, "a journal segment cannot be begun", msg);
	if (begun->fd >= 0) {
		(void)close(begun->fd); /* it holds no record */
		/* If it stays, the next try sets it aside. */
		(void)!segment_remove(begun->dir_fd, begun->file.number);
	}
	return ERR_JOURNAL_IO;
}

int home_begin(const struct journal_home *home, const struct home_file *files,
	size_t n_files, uint64_t number, const struct segment_head *head,
	struct home_begun *ret_begun, struct errmsg *ret_msg)
{
	struct home_begun begun = {.dir_fd = -1, .fd = -1, .file = {.number = number}};
	struct ours ours = {.files = files, .n_files = n_files};
	int code = home->look_around(home->arg, ret_msg);

	if (code != 0)
		return code;
	if (mkdirat(home->data_dir_fd, HOME_NAME, 0750) == 0 || errno == EEXIST)
		begun.dir_fd = openat(home->data_dir_fd, HOME_NAME,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (begun.dir_fd < 0)
		return err_set(ret_msg, ERR_JOURNAL_IO, "%s: %m", HOME_NAME);
	ours.dir_fd = begun.dir_fd;
	code = kept_clear(begun.dir_fd, is_strange, &ours, ret_msg);
	if (code == 0)
		code = begin_segment(home, &begun, head, ret_msg);
	if (code != 0) {
		(void)close(begun.dir_fd); /* a directory */
		return code;
	}
	kept_prune(begun.dir_fd, clock_wall_ms());
	*ret_begun = begun;
	return 0;
}
