/*
 * Between the two files of the watch: watch.c, which looks at reports, services and
 * nodes, and watch_series.c, which looks at one line of counters. Nobody else includes
 * this.
 */
#ifndef TALLYD_ACCOUNT_WATCH_INTERNAL_H
#define TALLYD_ACCOUNT_WATCH_INTERNAL_H

#include "account/ledger.h"
#include "account/watch.h"

/* Whoever sent a value: hashes are enough to tell them apart. */
struct sender {
	uint32_t conn, peer;
};

/* What an event has come to. `looks` N_SUSPICION_CODES: nothing is wrong with it. */
struct verdict {
	enum suspicion_code looks;
	bool is_equal;       /* LOOKS_DELTA: it stands still */
	uint32_t other_peer; /* TWO_SENDERS: the other one's address */
};

/* Windows of bits, one per report. */
#define WATCH_WINDOW ((1u << WATCH_REPORTS) - 1)

/* NULL: there is no room. Of an unknown one, or one of another generation of its service,
 * all but that is zero. */
struct watch_series *watch_series_get(
	struct watch_table *table, const struct booking *booking, uint64_t now_ms);
/* Has the processor fetch what that will look at. */
void watch_series_fetch(const struct watch_table *table, const struct booking *booking);
void watch_table_done(struct watch_table *table);

/* Takes a value in. `service`: what is known of the others. */
struct verdict watch_series_delta(struct watch_series *series,
	const struct counters *value, struct service_watch *service);
struct verdict watch_series_cumulative(struct watch_series *series,
	const struct booking *booking, const struct sender *sender,
	struct service_watch *service);

/* What it is held for, or N_SUSPICION_CODES; and whether its service counts it so: not if
 * all of them were let off since. */
enum suspicion_code watch_series_suspect(const struct watch_series *series);
bool watch_series_is_counted(
	const struct watch_series *series, const struct service_watch *service);
void watch_series_set_suspect(struct watch_series *series, enum suspicion_code code,
	const struct service_watch *service);

/* One in the table, of which half as much again is there while it grows. */
#define WATCH_SERIES_BYTES 104

#endif
