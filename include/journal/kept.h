/*
 * Clearing the journal's folder of old segments. What a crash or corruption left behind,
 * or somebody else has put there, is moved into a folder `kept-<time in ms>` beside them,
 * never deleted at once. These folders are bounded; see kept_prune(). All of this blocks.
 */
#ifndef TALLYD_JOURNAL_KEPT_H
#define TALLYD_JOURNAL_KEPT_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether a segment is to be kept, not removed. */
typedef bool (*kept_choose_cb)(void *arg, uint64_t number);

/*
 * Removes or keeps every segment of `dir_fd`, the last first: who dies in between leaves
 * what ends as the journal did before, never a hole in front of a later segment. Synced
 * on return. 0, or ERR_JOURNAL_IO or ERR_NOMEM with the sentence.
 */
int kept_clear(int dir_fd, kept_choose_cb should_keep, void *arg,
	struct errmsg *ret_msg) MUST_CHECK;

/*
 * Frees the name of segment `number`, which is to be made: what is in its place, a file
 * of somebody else or of a try that has failed, is kept as above; an empty file is
 * removed. Logged. 0, or ERR_JOURNAL_IO with errno.
 */
int kept_make_way(int dir_fd, uint64_t number) MUST_CHECK;

/* The newest folders stay, and all that are younger than a day; but in all no more than
 * so many, and of so many bytes. The newest one stays in any case. */
#define KEPT_FOLDERS 16
#define KEPT_YOUNG_MS (UINT64_C(24) * 3600 * 1000)
#define KEPT_MAX_FOLDERS 1000
#define KEPT_MAX_BYTES (UINT64_C(1) << 30)

/* Deletes the oldest folders beyond that, and logs each. Only segments are deleted: a
 * folder with something else in it stays. */
void kept_prune(int dir_fd, uint64_t now_ms);

#endif
