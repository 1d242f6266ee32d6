/*
 * The view as its own two files see it. Nobody else includes this.
 *
 *     view.c     where users stand, whose turn it is, and what is outstanding
 *     write.c    what is sent for a user, and what comes of the replies
 */
#ifndef TALLYD_LIVE_VIEW_INTERNAL_H
#define TALLYD_LIVE_VIEW_INTERNAL_H

#include "live/view.h"
#include "live/walk.h"

/* Those whom nobody waits for come behind the first, and are few, in one outstanding
 * batch at a time: the first of the next one shall not wait for them. */
#define FIRST_USERS 750
#define BEHIND_USERS 250
#define BATCH_USERS (FIRST_USERS + BEHIND_USERS)
#define MAX_BATCHES 2

enum place {
	PLACE_VERIFIED,
	PLACE_REFUSED,
	PLACE_DOUBTFUL, /* was verified, and Redis has told of it: to be read */
	N_PLACES,
	PLACE_NOWHERE = N_PLACES /* to be written as a whole */
};

/* Of one user, in one batch. */
struct write {
	struct view *view;
	struct user *user;
	uint64_t number; /* of the view it was sent in */
	struct totals expected;
	bool was_refused;
};

struct batch {
	struct write *writes;        /* BATCH_USERS of them */
	size_t n, max;               /* users in it now, and at most */
	bool has_crowd;              /* some of them are nobody's first */
	uint64_t number;             /* of the view it was sent in */
	uint64_t end_command;        /* done when that many commands were answered */
	uint64_t taken_index[SHOWS]; /* of the ledger's queues, when it was sent */
};

struct view {
	struct ledger *ledger;
	struct redis *redis;
	struct view_config config;
	size_t prefix_len;
	struct view_hooks hooks;
	struct view_stats stats;

	bool is_up, is_held;
	bool is_tracked; /* Redis tells of edits */
	uint64_t number;
	size_t n_at[N_PLACES]; /* users */

	struct batch batches[MAX_BATCHES];
	size_t first_batch, n_batches; /* those outstanding, a ring */
	uint64_t n_sent, n_answered;   /* commands of batches, on this connection */
	uint64_t taken_index[SHOWS], shown_index[SHOWS];

	struct walk walk;
	uint64_t lap_ms; /* when the last lap began that was not owed */
	bool is_repairing;
	uint64_t repairing_ms;

	uv_timer_t send, tick;
	unsigned n_open_handles;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

/* view.c */

bool view_is_at(const struct view *view, const struct user *user, enum place at);
void view_place(struct view *view, struct user *user, enum place at);

/* Users are refused, or told of: the tick may have to begin. */
void view_plan_tick(struct view *view);

/* All commands of the oldest batch were answered. */
void view_finish_batch(struct view *view);

/* write.c: each adds to the batch, or drops the connection. */

/* HSET of all three fields. */
void write_whole(struct view *view, struct batch *batch, struct user *user);

/* What the ledger had unsent, in whatever way the user's place asks for. */
void write_unsent(struct view *view, struct batch *batch, struct user *user,
	const struct totals *unsent);

/* HMGET, to compare. */
void write_read(struct view *view, struct batch *batch, struct user *user);

#endif
