/*
 * Whose Redis is this? The key tallyd:instance names the data directory whose view it
 * holds.
 */
#ifndef TALLYD_LIVE_LINK_H
#define TALLYD_LIVE_LINK_H

#include "live/redis.h"

#define INSTANCE_KEY "tallyd:instance"

enum link_owner { OWNER_SELF, OWNER_NOBODY, OWNER_OTHER };

/* `id` is what the key holds, "" where it is missing. Borrowed. */
typedef void (*link_owner_cb)(void *arg, enum link_owner owner, const char *id);

/* The key is ours, and Redis takes writes. */
typedef void (*link_taken_cb)(void *arg);

/* All borrowed, but the last. */
struct link {
	struct redis *redis;
	const char *instance_id;
	link_owner_cb on_owner;
	link_taken_cb on_taken;
	void *arg;
	unsigned n_asked; /* link's own: questions without an answer */
};

/* A new connection: whatever was asked on the last one has no answer. */
void link_begin(struct link *link);

/*
 * Asks who the owner is. on_owner fires once, unless the connection is lost, or Redis
 * answers with an error, which drops it: then redis_lost_cb tells. Asked while it is
 * being asked, that answer will do; asked anew, it will not, and on_owner fires only when
 * all that was sent before has been answered.
 */
void link_ask(struct link *link);
void link_ask_anew(struct link *link);

/*
 * Makes the key ours: only if it is ours already, only if there is none, or whoever is
 * named there. Then on_taken fires; or the connection is dropped, if somebody was faster.
 */
void link_keep(struct link *link);
void link_claim(struct link *link);
void link_take_over(struct link *link);

#endif
