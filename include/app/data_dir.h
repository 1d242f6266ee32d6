/*
 * data_dir: made if it is missing, and held by one instance, by a lock on the folder
 * itself and one on its file `lock`: that one says who it is, and can be deleted.
 *
 * The path may lead over symbolic links; nothing in the folder may be one.
 */
#ifndef TALLYD_APP_DATA_DIR_H
#define TALLYD_APP_DATA_DIR_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define DATA_DIR_KEY_BYTES 32

struct data_dir {
	char *path;     /* without symbolic links; owned */
	int dir_fd;     /* held as long as it is open, where the file system allows it */
	int lock_fd;    /* data_dir/lock: held as long as it is open */
	int journal_fd; /* data_dir/journal */
	/* Of data_dir/key, which is made with random bytes: for what is kept in the
	 * database but must not be guessed from a copy of it. All 0 for DATA_DIR_READ. */
	uint8_t key[DATA_DIR_KEY_BYTES];
};

#define DATA_DIR_CLOSED                                                                  \
	(struct data_dir)                                                                \
	{                                                                                \
		.dir_fd = -1, .lock_fd = -1, .journal_fd = -1                            \
	}

enum data_dir_use {
	DATA_DIR_READ, /* not held, and nothing is made */
	DATA_DIR_HOLD, /* held; it has to be there */
	DATA_DIR_MAKE, /* held, and made if it is missing */
};

/*
 * 0, ERR_LOCKED if another instance holds it, or ERR_DATA_DIR, with the sentence in
 * `ret_msg`.
 */
int data_dir_open(const char *path, enum data_dir_use use, struct data_dir *ret_dir,
	struct errmsg *ret_msg) MUST_CHECK;
/* Which tallyd holds it now, 0: none; held by one whose pid is not known, -1. Takes the
 * lock for no longer than the question. 0, or ERR_DATA_DIR: that cannot be asked. */
int data_dir_holder(const char *path, long *ret_pid) MUST_CHECK;
void data_dir_close(struct data_dir *dir);

/*
 * Whether the folder is still found at its path, and the lock in it, which is made and
 * taken again if it was deleted. 0 or ERR_DATA_DIR or ERR_LOCKED, with the sentence. On
 * the thread pool.
 */
int data_dir_look(struct data_dir *dir, struct errmsg *ret_msg) MUST_CHECK;

#endif
