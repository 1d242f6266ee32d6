#include "lib/tempdir.h"
#include "lib/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void tempdir_make(struct tempdir *dir)
{
	const char *parent = getenv("TMPDIR");

	(void)snprintf(dir->path, sizeof(dir->path), "%s/tallyd-unit-XXXXXX",
		parent != NULL ? parent : "/tmp");
	assert_non_null(mkdtemp(dir->path));
	dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir->fd >= 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void tempdir_remove(struct tempdir *dir)
{
	assert_int_equal(close(dir->fd), 0);
	assert_int_equal(nftw(dir->path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

const char *tempdir_path(const struct tempdir *dir, const char *name)
{
	static char paths[4][256];
	static unsigned next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", dir->path, name);
	return path;
}

void tempdir_write(
	const struct tempdir *dir, const char *name, const void *bytes, size_t len)
{
	int fd = openat(dir->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	assert_int_equal(close(fd), 0);
}

char *tempdir_read(const struct tempdir *dir, const char *name, size_t *ret_len)
{
	int fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *bytes;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	bytes = malloc((size_t)st.st_size + 1);
	assert_non_null(bytes);
	assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
	bytes[st.st_size] = '\0';
	assert_int_equal(close(fd), 0);
	if (ret_len != NULL)
		*ret_len = (size_t)st.st_size;
	return bytes;
}

static bool is_so(const char *name, const char *head, const char *tail)
{
	size_t len = strlen(name), n = strlen(tail);

	return name[0] != '.' && strncmp(name, head, strlen(head)) == 0 && len >= n &&
		strcmp(name + len - n, tail) == 0;
}

/* Counts, and remembers the last name. */
static size_t look(
	const struct tempdir *dir, const char *head, const char *tail, char name[256])
{
	DIR *entries = opendir(dir->path);
	const struct dirent *entry;
	size_t n = 0;

	assert_non_null(entries);
	while ((entry = readdir(entries)) != NULL) {
		if (!is_so(entry->d_name, head, tail))
			continue;
		(void)snprintf(name, 256, "%s", entry->d_name);
		n++;
	}
	assert_int_equal(closedir(entries), 0);
	return n;
}

size_t tempdir_count(const struct tempdir *dir, const char *head, const char *tail)
{
	char name[256];

	return look(dir, head, tail, name);
}

const char *tempdir_find(const struct tempdir *dir, const char *head)
{
	static char name[256];

	assert_int_equal(look(dir, head, "", name), 1);
	return name;
}
