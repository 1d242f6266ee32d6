/*
 * Before the first write on a new connection nobody else may write under our name:
 *
 * - No earlier connection of ours: closing one does not take back what Redis has not read
 *   yet, and an increment behind the repair would count twice. Every connection bears the
 *   name of its data directory and run, so they, also those of a process that was killed,
 *   are found and killed on the server.
 * - No tallyd with a copy of our data directory. Who wrote last stands in tallyd:holder.
 *   If that run has no connection any more it is dead: we go on at once, as after any
 *   stop, move or kill. If it has one and goes on counting there, it lives: it is left
 *   alone, nothing is killed, and we step back until we are restarted. If it has one and
 *   does not count, that connection is what was left of a dead one, and is killed.
 */
#ifndef TALLYD_LIVE_FENCE_H
#define TALLYD_LIVE_FENCE_H

#include "live/holder.h"
#include "live/survey.h"

/* With more connections than that Redis is not made to list them all. */
#define FENCE_MAX_CLIENTS 5000
#define FENCE_MAX_FOUND 64
#define FENCE_WHO_BYTES 192

struct fence_hooks {
	/* `why_unsure` is NULL if no other connection of ours is alive, else why that is
	 * not known: Redis does not let us look or kill. Borrowed. */
	void (*on_clear)(void *arg, const char *why_unsure);
	/* Somebody may live: fence_look() is to be called in a moment. */
	void (*on_wait)(void *arg);
	/* A copy lives, or (`is_gone`) has not been heard of since the last time that it
	 * was told. `who` says where. Nothing more is done on this connection. */
	void (*on_copy)(void *arg, const char *who, bool is_gone);
	void *arg;
};

struct fence_client {
	uint64_t id;
	char run[RUN_BYTES]; /* "" of an older tallyd */
	char address[64];
};

struct fence {
	struct redis *redis; /* all borrowed, up to hooks */
	struct holder *holder;
	const struct survey *survey;
	const char *instance_id;
	struct fence_hooks hooks;

	/* Fence's own. Of this connection: */
	char name[64];
	unsigned n_pending;
	char why_unsure[128];
	struct fence_client found[FENCE_MAX_FOUND];
	size_t n_found;
	bool is_listed, is_listing;
	bool has_waited;
	/* Of this process: */
	unsigned n_looks, n_changes; /* of the holder's key, since we were clear */
	uint64_t looked_ms, silent_ms;
	char last[HOLDER_BYTES];
	unsigned n_unanswered; /* lists, one after the other */
	char killed_run[RUN_BYTES];
	bool has_killed;
	bool has_met, is_proven; /* a copy, and heard of it again since */
	char met[HOLDER_BYTES];  /* what it wrote last */
};

/* On a new connection, after survey_begin() and before anything is written. Ends in
 * on_clear or on_copy, once, unless the connection is lost. */
void fence_begin(struct fence *fence);

/* After on_wait. */
void fence_look(struct fence *fence);

/* holder.on_seen; arg is the fence. */
void fence_on_holder(void *arg);

#endif
