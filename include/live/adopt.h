/*
 * Reads the totals that somebody else left in Redis, once, at linking: every hash
 * <prefix><id> with at least one of our fields that is a whole number from 0 to 2^63-1.
 * What is no such number, and ids that can be no user's, are left, and kept as rejects
 * with their value. Nothing is written.
 */
#ifndef TALLYD_LIVE_ADOPT_H
#define TALLYD_LIVE_ADOPT_H

#include "account/ledger.h"
#include "live/redis.h"
#include "live/survey.h"

/* Borrowed for the call. */
struct adopt_result {
	const struct adopted *users;
	const struct reject *rejects; /* LEDGER_MAX_REJECTS at most */
	size_t n_users, n_rejects;
};

typedef void (*adopt_done_cb)(void *arg, const struct adopt_result *result);

struct adopt;

/* Borrows all. The ledger is only asked whether there is room, the survey how many keys
 * there are: a SCAN that does not end is given up, and so is the connection. NULL if
 * memory is short. */
struct adopt *adopt_new(struct redis *redis, const struct ledger *ledger,
	const struct survey *survey, const char *key_prefix, adopt_done_cb on_done,
	void *arg);

/* Begins anew; on_done fires once, unless the connection is lost. */
void adopt_begin(struct adopt *adopt);
void adopt_free(struct adopt *adopt);

#endif
