/*
 * From events to bookings: what a report adds to whom. Pure: looks at the ledger, changes
 * nothing.
 *
 * A booking is what the journal keeps and the ledger applies, so it holds deltas,
 * whatever the sender's counters mean. Where they are deltas (GOST's
 * `observer.resetTraffic: true`) the value is the delta (rule 3); where they are
 * cumulative (GOST's default) series_measure() makes it one.
 */
#ifndef TALLYD_ACCOUNT_ACCOUNT_H
#define TALLYD_ACCOUNT_ACCOUNT_H

#include "account/report.h"

#include <stdbool.h>

struct ledger;
struct series;
struct service;
struct user;

enum counter_mode { COUNTERS_DELTA, COUNTERS_CUMULATIVE };

/* The last values seen on a series of cumulative counters, and in which epoch of its
 * service: counters of an earlier one have begun anew since. */
struct mark {
	uint64_t input_bytes, output_bytes, total_conns;
	uint64_t epoch;
};

/* Strings are never NULL and borrow from whoever made it: the report, or the decoded
 * record. */
struct booking {
	enum event_kind kind;
	const char *service;
	const char *client;       /* as the event names it, or "" */
	struct counters counters; /* bytes to add; connections and errors as last seen */
	const char *state;        /* the service's new state, or "": this is traffic */
	bool lacks_conns;         /* total_conns is not known; for series_measure() */
	bool has_mark;            /* the sender's counters are cumulative */
	struct mark mark;         /* of its series, behind this booking */
	struct user *in_user;     /* set by ledger_prepare(); NULL: no user */
	struct service *in_service; /* set by ledger_prepare() */
	struct series *in_series;   /* set by ledger_prepare(), if it has a mark */
	/* Which of them were made for it, and go again if nothing is applied to them. */
	bool made_user, made_service, made_series;
};

struct bookings {
	struct booking *list;
	size_t n;
	size_t n_stats; /* those that are traffic */
};

/* Whether the bytes are a user's, too (rule 1). */
bool booking_names_user(const struct booking *booking);

#define FINGERPRINT_BYTES 16

/* Where bookings come from. Of all reports, only repeats of it have the same fingerprint
 * and could be the same report (rule 7). */
struct origin {
	uint64_t seq;     /* of the record that keeps them */
	uint64_t conn;    /* the connection: its number is never used again */
	uint64_t time_ms; /* since 1970 */
	uint8_t fingerprint[FINGERPRINT_BYTES];
	uint64_t repeats; /* the record that this is a repeat of: it adds nothing; or 0 */
	const uint64_t *proved; /* connections whose reports were proved to have been
				   answered since the record before; borrowed */
	size_t n_proved;
};

/*
 * Books every event of `report` or moves it to the report's rejects (no room for another
 * user, series or service). The result borrows from the report. Where counters are
 * cumulative, bookings hold them as they came, until series_measure(). 0 or ERR_NOMEM.
 */
int account_book(const struct ledger *ledger, const char *node, enum counter_mode mode,
	struct report *report, struct bookings *ret_bookings) MUST_CHECK;

/*
 * The same in slices: of `n` more events, from *at on, which moves on; `bookings` is all
 * zero at first. Each slice has to be prepared before the next one is booked, so that
 * what is new is counted among what there is. 0 or ERR_NOMEM.
 */
int account_book_some(const struct ledger *ledger, const char *node,
	enum counter_mode mode, struct report *report, size_t n, size_t *at,
	struct bookings *bookings) MUST_CHECK;

void bookings_done(struct bookings *bookings);

#endif
