/* data_dir: made if it is missing, and held by one instance. */
#ifndef TALLYD_APP_DATA_DIR_H
#define TALLYD_APP_DATA_DIR_H

#include "base/err.h"

#include <stdbool.h>

struct data_dir {
	int lock_fd;    /* data_dir/lock: held as long as it is open */
	int journal_fd; /* data_dir/journal */
};

/*
 * 0, ERR_LOCKED if another instance holds it, or ERR_DATA_DIR, with the sentence in
 * `ret_msg`. `must_lock` false: for reading only; nothing is made.
 */
int data_dir_open(const char *path, bool must_lock, struct data_dir *ret_dir,
	struct errmsg *ret_msg) MUST_CHECK;
void data_dir_close(struct data_dir *dir);

#endif
