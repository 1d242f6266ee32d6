/*
 * The one way to start, and what an operator does with the journal by hand.
 *
 *     load SQLite ► fold the journal above applied_seq ► checkpoint ► set the old
 * segments aside
 */
#ifndef TALLYD_PIPELINE_RECOVER_H
#define TALLYD_PIPELINE_RECOVER_H

#include "account/ledger.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdio.h>

struct recover_options {
	bool does_salvage;
	bool is_lean; /* see store_load_lean(): for what needs no users and series */
	unsigned max_retries; /* of the checkpoint, while another program holds the
				 database */
	uint64_t retry_delay_ms;
};

struct recovered {
	uint64_t seq;          /* the last one used: the new segment begins behind it */
	uint64_t last_number;  /* of the last segment */
	size_t n_records;      /* folded */
	size_t n_lost;         /* salvage: broken places */
	uint64_t lost_records; /* salvage: in them, at least */
};

/*
 * Brings an empty ledger and the database to all that was ever accepted; blocks. On
 * return every record is in SQLite and the old segments are gone: removed, or, where they
 * were broken, moved to a folder `kept-...` beside them. 0 or ERR_JOURNAL_*, ERR_STORE_*,
 * ERR_NOMEM.
 */
int recover(int dir_fd, struct store *store, struct ledger *ledger,
	const struct recover_options *options, struct recovered *ret_recovered,
	struct errmsg *ret_msg) MUST_CHECK;

/* Has everything of the ledger in SQLite, with retries; blocks. 0 or ERR_STORE_*,
 * ERR_NOMEM. */
int recover_checkpoint(struct store *store, struct ledger *ledger,
	const struct recover_options *options, struct errmsg *ret_msg) MUST_CHECK;

/* Prints every readable record as a line of JSON; changes nothing. */
int recover_dump(int dir_fd, FILE *out, struct errmsg *ret_msg) MUST_CHECK;

#endif
