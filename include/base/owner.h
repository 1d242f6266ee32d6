/*
 * Why a path is denied, in words: who runs, whom it belongs to, and the line that mends
 * it. Blocks: for the start, for the end, and for the thread pool.
 */
#ifndef TALLYD_BASE_OWNER_H
#define TALLYD_BASE_OWNER_H

#include "base/err.h"

/* Sets `msg` to the sentence `denied` (what cannot be done) with who may do it. `path` is
 * the folder that ours has to be, with all in it; a folder on the way to it is named
 * instead if that is what is closed. Returns `code`. */
int owner_explain(struct errmsg *msg, int code, const char *path, const char *denied);

/* The same for a file that is only to be read. */
int owner_explain_reading(
	struct errmsg *msg, int code, const char *path, const char *denied);

/* The path of an open folder, as long as it has one; else `fallback`. */
#define OWNER_PATH_BYTES 256
const char *owner_path_of(int fd, const char *fallback, char buf[OWNER_PATH_BYTES]);

#endif
