/*
 * Accepting a report: the order of the steps, and nothing else (rules 9 and 12).
 *
 *     parse ► book ► is it a repeat? ► measure ► journal ► ledger ► watch ► live  ...
 *         synced (if always) ► shown (if Redis is up) ► done
 *
 * Up to the journal nothing has changed and any failure is an answer. After it the report
 * is accepted; what follows only decides how long the answer waits. A large report is
 * parsed and booked before it comes here, see large.h.
 */
#ifndef TALLYD_PIPELINE_ACCEPT_H
#define TALLYD_PIPELINE_ACCEPT_H

#include "journal/journal.h"
#include "live/live.h"
#include "pipeline/reading.h"
#include "store/flush.h"

struct accept_parts {
	struct ledger *ledger;
	struct journal *journal;
	struct live *live;
	struct flush *flush;
	uint64_t shown_timeout_ms; /* how long an answer waits for Redis at most */
	/* Knows of answers, and whether the client of a request under way has gone. */
	delivery_cb delivery_of;
	void *delivery_arg;
};

/* A report, as it came through the door. All is borrowed for the call. */
struct incoming {
	const char *node;
	enum counter_mode counters;
	uint64_t connection;
	const char *body;
	size_t len;
	const char *peer;        /* the address that it came from; NULL: not known */
	struct reading *reading; /* of a large one: then `body` is not looked at */
};

struct accept_stats {
	uint64_t accepted, refused; /* reports */
	uint64_t repeats;      /* of accepted ones: answered ok, and counted in neither */
	uint64_t stats_events; /* accepted ones */
	uint64_t rejected_events;
};

/* The report was accepted and may be answered ok now. Fires once, never inside
 * accept_report(). */
typedef void (*accept_done_cb)(void *arg);

/* It is accepted, and its answer has to wait for somebody. */
#define ACCEPT_WAITS 1

struct accept;

/* Borrows the parts until accept_free(). NULL if memory is short. */
struct accept *accept_new(uv_loop_t *loop, const struct accept_parts *parts);

/*
 * Takes one report through the steps. 0: accepted, or a repeat of one that was, and may
 * be answered ok at once; `on_done` never fires. ACCEPT_WAITS: the same, but `on_done`
 * tells when. Else it was not accepted: ERR_JSON, ERR_JSON_DENSE, ERR_NO_EVENTS,
 * ERR_JOURNAL_*, ERR_DISK_LOW, ERR_SYNC_LATE, ERR_HUNG_UP, ERR_STOPPING, ERR_NOMEM,
 * ERR_UNSETTLED.
 */
int accept_report(struct accept *accept, const struct incoming *incoming,
	accept_done_cb on_done, void *arg) MUST_CHECK;

/* Counts a report that was refused before it came here. */
void accept_note_refused(struct accept *accept);

/* The answer to the last report of `connection` has arrived. */
void accept_delivered(struct accept *accept, uint64_t connection);

/* Something that answers wait for has moved on: lets go those that need wait no longer.
 */
void accept_advance(struct accept *accept);

/* From now on every report is refused with ERR_STOPPING. */
void accept_stop(struct accept *accept);

void accept_get_stats(const struct accept *accept, struct accept_stats *ret_stats);

/* Reports that still wait are accepted, and their on_done never fires: who answers them
 * says so. */
void accept_close(struct accept *accept, void (*on_closed)(void *arg), void *arg);
void accept_free(struct accept *accept);

#endif
