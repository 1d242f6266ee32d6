/*
 * From events to bookings: what a report adds to whom. Pure: looks at the ledger, changes
 * nothing.
 *
 * A booking is what the journal keeps and the ledger applies, so it holds deltas,
 * whatever the sender's counters mean. Here counters are deltas (GOST's
 * `observer.resetTraffic: true`): the value is the delta (rule 3).
 */
#ifndef TALLYD_ACCOUNT_ACCOUNT_H
#define TALLYD_ACCOUNT_ACCOUNT_H

#include "account/report.h"

struct ledger;
struct service;
struct user;

/* Strings are never NULL and borrow from whoever made it: the report, or the decoded
 * record. */
struct booking {
	enum event_kind kind;
	const char *service;
	const char *client;       /* the user, or "": booked to the service only */
	struct counters counters; /* bytes to add; connections and errors as last seen */
	const char *state;        /* the service's new state, or "": this is traffic */
	struct user *in_user;     /* set by ledger_prepare(); NULL: no user */
	struct service *in_service; /* set by ledger_prepare() */
};

struct bookings {
	struct booking *list;
	size_t n;
	size_t n_stats; /* those that are traffic */
};

/*
 * Books every event of `report` or moves it to the report's rejects (no room for another
 * user or service). The result borrows from the report. 0 or ERR_NOMEM.
 */
int account_book(const struct ledger *ledger, const char *node, struct report *report,
	struct bookings *ret_bookings) MUST_CHECK;

void bookings_done(struct bookings *bookings);

#endif
