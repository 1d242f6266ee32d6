/* A folder of a test's own. Every function fails the test if the system does not play
 * along. */
#ifndef TALLYD_TESTS_TEMPDIR_H
#define TALLYD_TESTS_TEMPDIR_H

#include <stddef.h>

struct tempdir {
	char path[128];
	int fd;
};

void tempdir_make(struct tempdir *dir);
void tempdir_remove(struct tempdir *dir); /* with all that is in it */

/* The path of `name` in it, valid until four calls later. */
const char *tempdir_path(const struct tempdir *dir, const char *name);

void tempdir_write(
	const struct tempdir *dir, const char *name, const void *bytes, size_t len);

/* The whole file, with a NUL behind it; the caller frees it. */
char *tempdir_read(const struct tempdir *dir, const char *name, size_t *ret_len);

/* How many entries have a name that begins and ends so. */
size_t tempdir_count(const struct tempdir *dir, const char *head, const char *tail);

/* The name of the one entry that begins with `head`, valid until the next call. */
const char *tempdir_find(const struct tempdir *dir, const char *head);

#endif
