/*
 * Open reports: accepted, but not proved to have been answered (rule 7). GOST sends a
 * report whose answer is lost again, byte for byte and without an id, so a report that is
 * equal to an open one may be that one, come again; who knows the connections decides.
 *
 * Only traffic is repeated. A service's states GOST sends once, and every life of it
 * sends the same: an equal one is another start, not a repeat.
 *
 * Pure. An open report belongs to the stream of its (node, kind, service) and rests on
 * the connection that brought it last; a connection has at most one. It ends when it is
 * proved, and lapses when its stream has been reporting for REPEAT_LAPSE_MS without it,
 * when a restart of the sender is announced, or when more than REPEAT_MAX_OPEN are open
 * of its stream, or more than one where its node has used its share of memory.
 */
#ifndef TALLYD_ACCOUNT_REPEAT_H
#define TALLYD_ACCOUNT_REPEAT_H

#include "account/account.h"
#include "account/row.h"
#include "base/delivery.h"

#include <sys/queue.h>

#define REPEAT_MAX_OPEN 64
#define REPEAT_LAPSE_MS UINT64_C(300000)
/* A stream that was silent for longer was not reporting: its sender, or the way to it,
 * was down. */
#define REPEAT_MAX_PAUSE_MS UINT64_C(30000)

struct stream;

struct open_report {
	uint64_t seq;     /* of the record that counted it */
	uint64_t conn;    /* that brought it last */
	uint64_t time_ms; /* when it came last, since 1970 */
	uint8_t fingerprint[FINGERPRINT_BYTES];
	uint64_t reported_ms; /* the stream's, when it came last */
	struct stream *stream;
	TAILQ_ENTRY(open_report) link;
	LIST_ENTRY(open_report) conn_link;
};

TAILQ_HEAD(open_reports, open_report);

struct stream {
	struct service *service;
	struct open_reports open; /* whichever came last stands last */
	unsigned n_open;
	uint64_t last_ms;     /* when it last reported */
	uint64_t reported_ms; /* how long it has been reporting */
	uint64_t asked;       /* the ledger's: which question it was last asked */
	struct row row;       /* dirty: `open` is not as in SQLite */
};

/* Connections whose reports were proved since the last record, which the next one is to
 * tell. */
struct proofs {
	uint64_t *conns;
	size_t n, capacity;
};

LIST_HEAD(conn_bucket, open_report);

struct bounds;

struct repeats {
	struct bounds *bounds;
	struct conn_bucket *by_conn; /* connections are numbered one after the other, so
					they spread well */
	size_t n_buckets;
	struct open_report *spare; /* what repeats_note() needs */
	struct dirty dirty;        /* streams */
	struct proofs proofs;
	size_t n_open;
	uint64_t last_conn; /* the highest that any has rested on */
	uint64_t n_dropped; /* because there were too many */
};

void repeats_init(struct repeats *repeats, struct bounds *bounds);
void repeats_done(struct repeats *repeats);
void stream_init(struct stream *stream, struct service *service);

/* Makes room so that the next repeats_note() cannot fail. 0 or ERR_NOMEM. */
int repeats_prepare(struct repeats *repeats) MUST_CHECK;

/* Start: a row of the checkpoint. 0 or ERR_NOMEM. */
int repeats_load(struct repeats *repeats, struct stream *stream,
	const struct origin *origin) MUST_CHECK;

/*
 * The sequence of the open report that a report of that fingerprint repeats: the one
 * that has been open for longest of those whose answers were lost; or 0. Those before it
 * whose answers turn out to have arrived are open no more. `stream` NULL: it repeats
 * nothing.
 */
uint64_t repeats_find(struct repeats *repeats, const struct stream *stream,
	const uint8_t fingerprint[FINGERPRINT_BYTES], delivery_cb delivery_of, void *arg);

/*
 * A record is applied: what it tells to be proved is, and what its connection brought
 * before; it is open itself, or the open report that it repeats rests on it. `stream`
 * NULL: it is never repeated.
 */
void repeats_note(
	struct repeats *repeats, struct stream *stream, const struct origin *origin);

/* The answer to what `conn` brought last has arrived. */
void repeats_prove(struct repeats *repeats, uint64_t conn);

/* The sender of the stream has begun anew: it repeats nothing. */
void repeats_lapse(struct repeats *repeats, struct stream *stream);

#endif
