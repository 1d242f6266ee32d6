/*
 * Redis tells of edits: CLIENT TRACKING on the connection that writes, for all keys with
 * our prefix, but not of what that connection itself has changed. What it tells comes on
 * a second connection that subscribes, since the protocol of the first has no room for
 * it.
 *
 *     OFF ─begin─► CONNECTING ─subscribed─► ASKING ─OK─► ON
 *      ▲               ▲                      │          │
 *      └──end──┐       └──after a while────── LOST ◄─────┴─ lost, or refused
 *
 * A server may refuse (too old, not Redis itself, an ACL), or be known not to tell of all
 * edits: then the view looks for them itself (view.h). Whatever is told, no more is read
 * of it than the view can take, so a flood waits in Redis, which bounds it
 * (client-output-buffer-limit pubsub) by ending the connection: then it is as lost as in
 * any other way.
 */
#ifndef TALLYD_LIVE_TRACKING_H
#define TALLYD_LIVE_TRACKING_H

#include "live/redis.h"
#include "live/survey.h"
#include "live/view.h"

struct tracking;

/* `redis` is the connection that writes. Borrows all. NULL if memory is short. */
struct tracking *tracking_new(const struct redis_address *address, uint64_t timeout_ms,
	struct redis *redis, struct view *view, const char *key_prefix);
void tracking_start(struct tracking *tracking, uv_loop_t *loop);

/* The connection that writes is there, and the survey of the server is asked for in this
 * loop turn; borrowed. Begun already, it goes on. */
void tracking_begin(struct tracking *tracking, const struct survey *survey);

/* It is gone, and all its calls were answered. */
void tracking_end(struct tracking *tracking);

/* "told", "walked", or "" while it is tried for the first time. */
const char *tracking_edits(const struct tracking *tracking);

void tracking_close(struct tracking *tracking, void (*on_closed)(void *arg), void *arg);
void tracking_free(struct tracking *tracking);

#endif
