/*
 * What must come out: a plain account of a history, kept beside the code under test. It
 * knows what that cannot: which report is which, and of which life of its sender. It has
 * the state behind every record, so that a crash only has to name the last one that is
 * left.
 *
 * Two nodes. "n1" counts cumulatively: a handler's clients a and b, and traffic without a
 * client, and the service's own events, all of service "s". "n2" has deltas: a handler of
 * service "s", of which there are three senders, and one of service "t".
 */
#ifndef TALLYD_TESTS_TRUTH_H
#define TALLYD_TESTS_TRUTH_H

#include "account/ledger.h"
#include "lib/image.h"

#define TRUTH_USERS 3
#define TRUTH_SERIES 4
#define TRUTH_MAX_EVENTS 3
#define TRUTH_MAX_RECORDS 512

enum truth_stream { N1_HANDLER, N1_SERVICE, N2_THREE, N2_ONE, TRUTH_STREAMS };

struct truth_stream_name {
	const char *node, *service;
	enum event_kind kind;
};

extern const struct truth_stream_name truth_streams[TRUTH_STREAMS];
extern const char *const truth_users[TRUTH_USERS + 1]; /* the last: no client */

struct truth_event {
	unsigned user; /* of truth_users */
	uint64_t input, output, conns;
};

/* A report is the same one however often it comes. */
struct truth_report {
	enum truth_stream stream;
	const char *state; /* or "": these events */
	struct truth_event events[TRUTH_MAX_EVENTS];
	unsigned n_events;
	unsigned life;      /* of its sender */
	uint64_t body;      /* equal for equal reports */
	bool has_reached;   /* tallyd has seen it */
	bool is_answered;   /* and its sender knows */
	bool is_power_lost; /* it was counted, and that was never synced */
	uint64_t counted_seq;
};

struct truth_sum {
	uint64_t input, output;
};

struct truth_series {
	bool is_known;
	uint64_t input, output, conns;
	unsigned life;
};

/* What tallyd holds if all records up to one are applied. */
struct truth_state {
	struct truth_sum users[TRUTH_USERS], services[TRUTH_STREAMS];
	struct truth_series series[TRUTH_SERIES];
	bool is_starting;        /* n1 has announced that it is about to begin anew, */
	unsigned starting_life;  /* with this life; a lost `running` is not missed */
	unsigned announced_life; /* and that this one has begun */
};

/* What was counted by a record, and whether it is open still. */
struct truth_open {
	enum truth_stream stream;
	uint64_t body, seq, conn;
	bool is_closed, is_closed_in_cut;
	uint64_t closed_seq; /* the record that tells it; 0: none yet */
};

struct truth {
	uint64_t seq;
	struct truth_state states[TRUTH_MAX_RECORDS]; /* by sequence */
	struct truth_report reports[TRUTH_MAX_RECORDS];
	size_t n_reports;
	struct truth_open opens[TRUTH_MAX_RECORDS];
	size_t n_opens;
	unsigned n_swallowed; /* honest reports that were equal to an open one */
};

void truth_init(struct truth *truth);

/* A report that nobody has seen yet, all zero. */
struct truth_report *truth_new_report(struct truth *truth);

/*
 * Whether tallyd may take `report` for a repeat of record `repeats`, or, if that is 0,
 * for none; `fate_of` as for repeats_find(), in which the asking changes nothing.
 * NULL or what is wrong.
 */
const char *truth_judge(const struct truth *truth, const struct truth_report *report,
	uint64_t repeats, delivery_cb fate_of, void *arg);

/* It is accepted, as the next record. NULL, or what is wrong. */
const char *truth_accept(struct truth *truth, struct truth_report *report, uint64_t conn,
	uint64_t repeats);

/* The answer to what `conn` brought last is known to have arrived. */
void truth_prove(struct truth *truth, uint64_t conn);

void truth_on_cut(struct truth *truth);
void truth_on_commit(struct truth *truth, uint64_t seq);

/* After a crash the records up to `seq` are left. */
void truth_on_crash(struct truth *truth, uint64_t seq);

size_t truth_n_open(const struct truth *truth);
const struct truth_state *truth_now(const struct truth *truth);

/* NULL, or what differs. */
const char *truth_compare_ledger(const struct truth *truth, const struct ledger *ledger);
const char *truth_compare_image(const struct truth *truth, const struct image *image);

#endif
