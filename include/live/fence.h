/*
 * Nothing that an earlier connection of ours has sent may be executed after this one's
 * first write: closing a connection does not take back what Redis has not read yet, and
 * an increment behind the repair would count twice. Every connection of ours bears the
 * name of this data directory, so the earlier ones, also those of a process that was
 * killed, are found and killed on the server.
 */
#ifndef TALLYD_LIVE_FENCE_H
#define TALLYD_LIVE_FENCE_H

#include "live/redis.h"

/* `why_unsure` is NULL if no other connection of ours is alive, else why that is not
 * known: Redis does not let us look or kill. Borrowed. */
typedef void (*fence_done_cb)(void *arg, const char *why_unsure);

/* All borrowed, but the last three. */
struct fence {
	struct redis *redis;
	const char *instance_id;
	fence_done_cb on_done;
	void *arg;
	char name[64]; /* fence's own from here on */
	unsigned n_pending;
	char why_unsure[128];
};

/* On a new connection, before anything is written. on_done fires once, unless the
 * connection is lost. */
void fence_begin(struct fence *fence);

#endif
