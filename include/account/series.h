/*
 * Series of cumulative counters: what a new value adds to the last one (rule 4).
 *
 * A series is (node, kind, service, client). Its first value counts in full. A value
 * below the mark, in any counter, says that the sender began anew; so does a service that
 * announces `running` and then `ready` (go-gost/x, service.go: a start or a reload. A
 * `ready` alone is a listener that recovered). Between the two, the old handler's last
 * report may still arrive: marks lose their meaning at `ready`. That is one number per
 * service, its epoch, so nothing has to be walked.
 */
#ifndef TALLYD_ACCOUNT_SERIES_H
#define TALLYD_ACCOUNT_SERIES_H

#include "account/account.h"
#include "account/row.h"
#include "base/hash_table.h"

/* How often the counters of a service have begun anew. Between `running` and `ready` two
 * epochs are valid: that of the old handler, and `last`, of who began before `ready` was
 * heard; of a start whose `ready` never came, some marks may be of a number in between.
 */
struct epoch {
	uint64_t number; /* marks of an earlier one are void */
	uint64_t last;   /* the highest that was ever given out */
	bool is_starting;
};

/* A service says that it is in `state`. True if an epoch begins. */
bool epoch_enter(struct epoch *epoch, const char *state);

struct series {
	struct hash_item item;
	struct mark mark;
	struct mark scratch;   /* as far as a report that is not accepted yet has come */
	uint64_t measured_for; /* that report, see series_measure() */
	uint64_t change; /* the number of its struct cut_series: what no cut has taken */
	struct service *service;
	bool is_known, was_known; /* has a mark; has one in scratch */
	bool was_in_cut;          /* an earlier change of it, when that one came */
	char client[];
};

/* Those of a service, by client. */
void series_init(struct hash_table *table);
void series_done(struct hash_table *table);
struct series *series_find(const struct hash_table *table, const char *client);

/* Walks them, as hash_table_next(). */
struct series *series_next(const struct hash_table *table, const struct series *series);

/* Adds one that is not there; NULL if memory is short. */
struct series *series_new(
	struct hash_table *table, const char *client, struct service *service);
void series_free(struct hash_table *table, struct series *series);

/* What one of such a client is allocated with. */
size_t series_size(size_t client_len);

/*
 * Turns the counters of prepared bookings from values into deltas, and gives each its
 * mark; the series themselves stay as they are. Within the report, marks and epochs
 * advance event by event. `number` is another for every report.
 */
void series_measure(struct bookings *bookings, uint64_t number);

#endif
