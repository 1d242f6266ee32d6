/*
 * Whose turn it is beside those who have traffic, and how many may have theirs: at a
 * bounded rate
 *
 * - users that Redis has told of, or rather that somebody has written to them there;
 * - a lap: once round over all users, from wherever the last lap has come to, so that
 * laps that are begun anew again and again leave nobody out.
 *
 * What is done for a user is the view's business (view.h).
 */
#ifndef TALLYD_LIVE_WALK_H
#define TALLYD_LIVE_WALK_H

#include "account/ledger.h"

/* Users that one read may tell of (READ_BYTES of redis.c); more is a lap. */
#define WALK_MAX_TOLD 4096

enum lap {
	LAP_NONE,
	LAP_WRITE, /* to write those who are not verified */
	LAP_READ,  /* .. and to read all others, too */
};

struct walk {
	const struct ledger *ledger; /* borrowed */
	uint64_t rate;               /* users per second that could be written */

	/* Its own. */
	enum lap lap;
	struct user *at, *end; /* the last one visited; the last one of the lap */
	int64_t allowance;     /* thousandths of a written user; may be overdrawn */
	uint64_t allowed_ms;   /* when it last grew */
	struct user *told[WALK_MAX_TOLD];
	size_t n_told;
};

/* More is allowed for the time that has gone by, but never more than comes in `ms`. */
void walk_allow(struct walk *walk, uint64_t ms);
bool walk_may(const struct walk *walk);
void walk_pay(struct walk *walk, unsigned thousandths);

void walk_begin_lap(struct walk *walk, enum lap lap);

/* The next user of the lap, which is over (LAP_NONE) with its last one, or with NULL. */
struct user *walk_step(struct walk *walk);

/* False if there is no room for it. */
bool walk_tell(struct walk *walk, struct user *user) MUST_CHECK;
/* One of those, taken out; NULL if there is none. */
struct user *walk_take_told(struct walk *walk);

/* Nobody is told of, and no lap is run any more. */
void walk_stop(struct walk *walk);

#endif
