#include "journal/kept.h"
#include "base/clock.h"
#include "base/log.h"
#include "journal/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_BYTES 32

static const char *folder_name(uint64_t at_ms, char buf[NAME_BYTES])
{
	(void)snprintf(buf, NAME_BYTES, "kept-%" PRIu64, at_ms);
	return buf;
}

static int open_folder(int dir_fd, const char *name)
{
	return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The descriptor or -1 with errno. */
static int make_folder(int dir_fd)
{
	char name[NAME_BYTES];

	(void)folder_name(clock_wall_ms(), name);
	if (mkdirat(dir_fd, name, 0750) != 0)
		return -1;
	log_warn("old or broken journal is kept", "folder=journal/%s", name);
	return open_folder(dir_fd, name);
}

/* *kept_fd is made for the first that is kept. */
static int keep(int dir_fd, int *kept_fd, uint64_t number)
{
	char name[SEGMENT_NAME_BYTES];

	if (*kept_fd < 0)
		*kept_fd = make_folder(dir_fd);
	(void)segment_name(number, name);
	return *kept_fd >= 0 && renameat(dir_fd, name, *kept_fd, name) == 0
		? 0
		: ERR_JOURNAL_IO;
}

int kept_clear(int dir_fd, kept_choose_cb should_keep, void *arg, struct errmsg *ret_msg)
{
	uint64_t *numbers = NULL;
	size_t n = 0;
	int kept_fd = -1;
	int code = segment_list(dir_fd, &numbers, &n, ret_msg);

	if (code != 0)
		return code;
	while (n > 0 && code == 0) {
		uint64_t number = numbers[--n];

		code = should_keep(arg, number) ? keep(dir_fd, &kept_fd, number)
						: segment_remove(dir_fd, number);
	}
	free(numbers);
	/* The names are to be in the new folder before they are gone from here. */
	if (code == 0 && kept_fd >= 0 && fsync(kept_fd) != 0)
		code = ERR_JOURNAL_IO;
	if (code == 0 && fsync(dir_fd) != 0)
		code = ERR_JOURNAL_IO;
	if (code != 0)
		(void)segment_fail(
			dir_fd, "old journal segments cannot be moved", ret_msg);
	if (kept_fd >= 0)
		(void)close(kept_fd); /* synced */
	return code;
}

int kept_make_way(int dir_fd, uint64_t number)
{
	char name[SEGMENT_NAME_BYTES];
	struct stat st;
	int kept_fd = -1, code;
	bool is_empty = fstatat(dir_fd, segment_name(number, name), &st,
				AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(st.st_mode) && st.st_size == 0;

	code = is_empty ? segment_remove(dir_fd, number) : keep(dir_fd, &kept_fd, number);
	if (code == 0 && kept_fd >= 0 && fsync(kept_fd) != 0)
		code = ERR_JOURNAL_IO;
	if (code == 0)
		log_warn(is_empty ? "an empty file had the name of the journal's next "
				    "segment: it was removed"
				  : "another file had the name of the journal's next "
				    "segment: it was moved to the folder of the line "
				    "before",
			"file=journal/%s", name);
	if (kept_fd >= 0)
		(void)close(kept_fd); /* synced, or told; leaves errno as it is */
	return code;
}

struct folder {
	uint64_t at_ms, bytes;
};

struct folders {
	struct folder *list;
	size_t n;
};

/* 0 if the name is not that of such a folder. */
static uint64_t time_of(const char *name)
{
	char again[NAME_BYTES];
	uint64_t at_ms =
		strncmp(name, "kept-", 5) == 0 ? strtoull(name + 5, NULL, 10) : 0;

	return strcmp(name, folder_name(at_ms, again)) == 0 ? at_ms : 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = ((const struct folder *)a)->at_ms;
	uint64_t y = ((const struct folder *)b)->at_ms;

	return x < y ? -1 : x > y;
}

/* Of its segments; 0 if they cannot be read. */
static uint64_t bytes_in(int dir_fd, uint64_t at_ms)
{
	char name[NAME_BYTES], segment[SEGMENT_NAME_BYTES];
	int fd = open_folder(dir_fd, folder_name(at_ms, name));
	uint64_t *numbers = NULL, bytes = 0;
	size_t n = 0;
	struct stat st;

	if (fd < 0)
		return 0;
	if (segment_list(fd, &numbers, &n, NULL) == 0)
		for (size_t i = 0; i < n; i++)
			if (fstatat(fd, segment_name(numbers[i], segment), &st,
				    AT_SYMLINK_NOFOLLOW) == 0)
				bytes += (uint64_t)st.st_size;
	free(numbers);
	(void)close(fd); /* a directory */
	return bytes;
}

static bool add_folder(struct folders *folders, int dir_fd, uint64_t at_ms)
{
	struct folder *grown =
		realloc(folders->list, (folders->n + 1) * sizeof(*folders->list));

	if (grown == NULL)
		return false;
	folders->list = grown;
	folders->list[folders->n++] = (struct folder){at_ms, bytes_in(dir_fd, at_ms)};
	return true;
}

/* The oldest first. What cannot be read is not deleted now. */
static struct folders list_folders(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct folders folders = {0};
	const struct dirent *entry;

	if (dir == NULL) {
		if (fd >= 0)
			(void)close(fd); /* a directory */
		return folders;
	}
	while ((entry = readdir(dir)) != NULL)
		if (time_of(entry->d_name) != 0 &&
			!add_folder(&folders, dir_fd, time_of(entry->d_name)))
			break;
	(void)closedir(dir); /* only read from */
	if (folders.n > 1)
		qsort(folders.list, folders.n, sizeof(*folders.list), compare);
	return folders;
}

static void delete_folder(int dir_fd, const struct folder *folder)
{
	char name[NAME_BYTES];
	int fd = open_folder(dir_fd, folder_name(folder->at_ms, name));
	uint64_t *numbers = NULL;
	size_t n = 0;
	int code = fd < 0 ? ERR_JOURNAL_IO : segment_list(fd, &numbers, &n, NULL);

	while (n > 0 && code == 0)
		code = segment_remove(fd, numbers[--n]);
	free(numbers);
	if (fd >= 0)
		(void)close(fd); /* a directory */
	if (code == 0 && unlinkat(dir_fd, name, AT_REMOVEDIR) == 0)
		log_info("an old kept journal was deleted",
			"folder=journal/%s bytes=%" PRIu64, name, folder->bytes);
	else
		log_warn("an old kept journal cannot be deleted",
			"folder=journal/%s error=%s", name, LOG_QUOTE(strerror(errno)));
}

void kept_prune(int dir_fd, uint64_t now_ms)
{
	struct folders folders = list_folders(dir_fd);
	uint64_t bytes = 0;

	for (size_t i = 0; i < folders.n; i++)
		bytes += folders.list[i].bytes;
	for (size_t i = 0; i + 1 < folders.n; i++) {
		const struct folder *oldest = &folders.list[i];
		size_t left = folders.n - i;
		bool is_young = oldest->at_ms + KEPT_YOUNG_MS > now_ms;

		if (left <= KEPT_MAX_FOLDERS && bytes <= KEPT_MAX_BYTES &&
			(left <= KEPT_FOLDERS || is_young))
			break;
		delete_folder(dir_fd, oldest);
		bytes -= oldest->bytes;
	}
	free(folders.list);
}
