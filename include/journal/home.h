/*
 * The journal's folder as data_dir shows it: whether the folder and each file that is
 * needed are still there under their names, and a new beginning where they are not
 * (rule 30).
 *
 * A file that was deleted or moved can still be written to, and nothing tells; only its
 * name does. All of this blocks, but for home_look_at(): it is for the thread pool.
 */
#ifndef TALLYD_JOURNAL_HOME_H
#define TALLYD_JOURNAL_HOME_H

#include "journal/segment.h"

#include <stdbool.h>
#include <sys/stat.h>

#define HOME_NAME "journal" /* of the folder, in data_dir */

struct journal_home {
	int data_dir_fd;
	/* Looks at what else has to be there, the lock among it: 0, or a code with the
	 * sentence. On the thread pool. */
	int (*look_around)(void *arg, struct errmsg *ret_msg);
	/* Something is missing: everything is to be written into the database. On the
	 * loop, and again every second until that is done. */
	void (*on_gone)(void *arg);
	void *arg;
};

/* A segment that has to be there, with so many bytes at least. */
struct home_file {
	uint64_t number, bytes;
	dev_t device;
	ino_t inode;
};

/* False with errno. */
bool home_identify(int fd, struct home_file *file);

/* 0, or ERR_JOURNAL_GONE with what it is that is missing. */
int home_look(const struct journal_home *home, int dir_fd, const struct home_file *files,
	size_t n_files, struct errmsg *ret_msg) MUST_CHECK;

/* The same by a descriptor of the file alone, and quick: what is written behind the place
 * where somebody has cut it would hide that. */
int home_look_at(int fd, const struct home_file *file, struct errmsg *ret_msg) MUST_CHECK;

/* Where the journal goes on. Both descriptors are the caller's. */
struct home_begun {
	int dir_fd, fd;
	struct home_file file;
};

/*
 * Makes the folder if it is gone, clears it, and begins segment `number` with `head`; all
 * of it is synced. Of the segments that lie there, `files` are removed: their records are
 * in the database. Those of others are moved to a folder `kept-...`. 0, or
 * ERR_JOURNAL_GONE, ERR_JOURNAL_IO or ERR_NOMEM with the sentence.
 */
int home_begin(const struct journal_home *home, const struct home_file *files,
	size_t n_files, uint64_t number, const struct segment_head *head,
	struct home_begun *ret_begun, struct errmsg *ret_msg) MUST_CHECK;

#endif
