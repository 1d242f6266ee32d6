/*
 * Whose Redis is this? The key tallyd:instance names the data directory whose view it
 * holds. Where it is missing and no hash of a user is there either, the place is free and
 * is taken.
 */
#ifndef TALLYD_LIVE_LINK_H
#define TALLYD_LIVE_LINK_H

#include "live/redis.h"

/* `foreign_why` is NULL if it is ours, else the reason why nothing may be written. */
typedef void (*link_done_cb)(void *arg, const char *foreign_why);

/* All borrowed. */
struct link {
	struct redis *redis;
	const char *key_prefix, *instance_id;
	link_done_cb on_done;
	void *arg;
};

/*
 * Asks on a connection that is ready. on_done fires once, unless the connection is lost
 * or Redis answers with an error, which drops it: then redis_lost_cb tells.
 */
void link_ask(struct link *link);

#endif
