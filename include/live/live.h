/*
 * The view in Redis: hash <prefix><id>, fields usedTraffic inputBytes outputBytes.
 *
 * Redis never feeds the ledger. While connected, unsent bytes go out as one pipeline per
 * loop turn, HINCRBY per field, increments of one user merged; at most two pipelines are
 * outstanding, so what comes meanwhile merges in the ledger instead of in memory. After
 * start and after a lost connection each user is written absolutely (HSET) before its
 * next increment, those with unsent bytes first, all others behind them.
 *
 *     DOWN ──connect──► CHECKING ──ours, or empty──► UP
 *      ▲ ▲                 │ totals of somebody else
 *      │ └──lost───────────┴──► FOREIGN (nothing is written; looked at again now and
 * then) └──lost── UP
 */
#ifndef TALLYD_LIVE_LIVE_H
#define TALLYD_LIVE_LIVE_H

#include "account/ledger.h"
#include "live/redis.h"

enum live_state { LIVE_NONE, LIVE_DOWN, LIVE_CHECKING, LIVE_FOREIGN, LIVE_UP };

struct live_config {
	const struct redis_address
		*address;        /* borrowed; NULL: no Redis, state is LIVE_NONE */
	const char *key_prefix;  /* borrowed */
	const char *instance_id; /* borrowed; of the data directory */
	uint64_t timeout_ms;
};

struct live_stats {
	enum live_state state;
	uint64_t n_absolute; /* users written absolutely: repairs */
	uint64_t n_refused;  /* commands Redis answered with an error */
	char error[128];     /* the last one, "" if none; never holds a password */
};

/* The shown index has grown, or the state has changed: whoever waits may look again. */
typedef void (*live_progress_cb)(void *arg);

struct live;

/* The version of hiredis that this was compiled with. */
const char *live_library_version(void);

struct live *live_new(uv_loop_t *loop, struct ledger *ledger,
	const struct live_config *config, live_progress_cb on_progress, void *arg);
void live_start(struct live *live);

/* There may be unsent users: they are sent at the end of this loop turn. */
void live_poke(struct live *live);

/* Every user that joined the ledger's unsent queue up to this index has been shown. */
uint64_t live_shown_index(const struct live *live);

enum live_state live_get_state(const struct live *live);
const char *live_state_name(enum live_state state);
void live_get_stats(const struct live *live, struct live_stats *ret_stats);

/* True once the first attempt has ended, either way. */
bool live_is_settled(const struct live *live);

/*
 * Reads one user from Redis. False: it cannot be asked (not up, or this user is not shown
 * yet) and nothing will fire. Else `on_read` fires once, never inside: with the totals,
 * or NULL (not there, an error, later than the deadline).
 */
typedef void (*live_read_cb)(void *arg, const struct totals *totals);
bool live_read(struct live *live, const struct user *user, live_read_cb on_read,
	void *arg) MUST_CHECK;

void live_close(struct live *live, void (*on_closed)(void *arg), void *arg);
void live_free(struct live *live);

#endif
