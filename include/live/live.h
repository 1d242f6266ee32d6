/*
 * Redis: a view of the ledger that repairs itself. Here is when the view may be written
 * (rules 13 and 17); what is written is the view's (view.h).
 *
 *     DOWN ──connect──► CHECKING ──ours, and fenced──────────────────► UP
 *      ▲                 │    │                                         │
 *      │                 │    └─never linked─► LINKING ──in SQLite──► ours
 *      ├──lost───────────┤
 *      │                 └─another's, or a copy of ours writes─► FOREIGN (looked at
 *      │                                                        again every 10 s)
 *      └──lost, or the key names another now──────────────────────── UP
 *
 * Redis never feeds the ledger, but for linking: totals that stand in it when this data
 * directory first meets one, or takes one over, are added to the ledger. They and the
 * record that it was done are in one SQLite transaction, before tallyd:instance is set
 * and anything is written: who dies in between finds the record and does not add again.
 */
#ifndef TALLYD_LIVE_LIVE_H
#define TALLYD_LIVE_LIVE_H

#include "account/ledger.h"
#include "live/read.h"
#include "live/redis.h"
#include "live/survey.h"
#include "live/view.h"

enum live_state {
	LIVE_NONE,
	LIVE_DOWN,
	LIVE_CHECKING,
	LIVE_LINKING,
	LIVE_FOREIGN,
	LIVE_UP
};

/* What to do, once, with a Redis that is another's, or that holds somebody's totals. */
enum live_take_over {
	TAKE_OVER_NOT,
	TAKE_OVER_ADOPT,     /* add what is there, as in linking */
	TAKE_OVER_OVERWRITE, /* set it to the ledger */
};

struct live_config {
	const struct redis_address
		*address;        /* borrowed; NULL: no Redis, state is LIVE_NONE */
	const char *key_prefix;  /* borrowed */
	const char *instance_id; /* borrowed; of the data directory */
	uint64_t timeout_ms;
	uint64_t read_timeout_ms;
	uint64_t repair_rate; /* users per second */
	enum live_take_over take_over;
};

#define LIVE_ERROR_BYTES 256

struct live_stats {
	enum live_state state;
	struct view_stats view;
	struct survey survey;
	/* How edits by others are noticed: "told" by Redis, "walked", or "" as long as
	 * that is not known. */
	const char *edits;
	/* Why it is not up, or what of it is wrong; "" if nothing is. Never holds a
	 * password. */
	char error[LIVE_ERROR_BYTES];
	const char *address; /* without a password; "": there is none. Borrowed */
};

struct live_hooks {
	/* The shown index has grown, or the state has changed: whoever waits may look
	 * again. */
	void (*on_progress)(void *arg);
	/* The ledger holds a link that is to be in SQLite, before anything is written or
	 * just soon: flush it, and call live_link_saved(). Asked again until it is. */
	void (*on_link)(void *arg);
	void *arg;
};

struct live;

/* The version of hiredis that this was compiled with. */
const char *live_library_version(void);

/* Borrows the ledger. NULL if memory is short. From live_start() on it has to be closed
 * before it is freed. */
struct live *live_new(struct ledger *ledger, const struct live_config *config,
	const struct live_hooks *hooks);
void live_start(struct live *live, uv_loop_t *loop);

/* There may be unsent users: they are sent at the end of this loop turn. */
void live_poke(struct live *live);

/* Something was committed to SQLite. */
void live_link_saved(struct live *live);

void live_set_repair_rate(struct live *live, uint64_t users_per_second);

/* Every user that joined that queue of the ledger's up to this index has been shown. */
uint64_t live_shown_index(const struct live *live, enum show show);

enum live_state live_get_state(const struct live *live);
const char *live_state_name(enum live_state state);
void live_get_stats(const struct live *live, struct live_stats *ret_stats);

/* True once the first attempt has ended, either way, or has to wait for something that
 * takes its time. */
bool live_is_settled(const struct live *live);

/*
 * Reads one user from Redis. False: it cannot be asked and nothing will fire. Else
 * `on_read` fires once, never inside: with the totals, which are the ledger's, or NULL.
 */
bool live_read(struct live *live, const struct user *user, live_read_cb on_read,
	void *arg) MUST_CHECK;

void live_close(struct live *live, void (*on_closed)(void *arg), void *arg);
void live_free(struct live *live);

#endif
