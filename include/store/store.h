/*
 * SQLite: the checkpoint. Opens and migrates the file, loads it once, and writes cuts.
 *
 * The connection is used by one thread at a time: the loop's before the loop runs and
 * after it ended, in between only the flush job on the thread pool. WAL with
 * synchronous=FULL: a commit is on disk when it returns
 * (sqlite.org/pragma.html#pragma_synchronous).
 */
#ifndef TALLYD_STORE_STORE_H
#define TALLYD_STORE_STORE_H

#include "account/cut.h"

struct store_config {
	const char *path; /* of the database file; borrowed for store_open() */
	unsigned busy_timeout_ms;
	unsigned batch_size; /* users per statement, 1 to STORE_MAX_BATCH */
	bool must_exist;     /* the file is not made */
};

#define STORE_MAX_BATCH 5000
#define INSTANCE_ID_BYTES 33 /* 128 random bits in hex, and NUL */

struct store;

/*
 * Opens or creates the file and brings it to our user_version. 0 or ERR_STORE_*,
 * ERR_NOMEM, with `ret_msg` filled.
 */
int store_open(const struct store_config *config, struct store **ret_store,
	struct errmsg *ret_msg) MUST_CHECK;

/* Closes the file; a clean close also empties the WAL. */
void store_close(struct store *store);

/* The id that this data directory was given when it was made. */
const char *store_instance_id(const struct store *store);

/* Fills an empty ledger: users, services, series, open reports, applied_seq, the link. */
int store_load(
	struct store *store, struct ledger *ledger, struct errmsg *ret_msg) MUST_CHECK;

/*
 * The same without users and series, of which there may be more than memory for. Records
 * can be folded into such a ledger and cuts of it committed, since users' are increments
 * and marks are absolute; but no report may be measured by it.
 */
int store_load_lean(
	struct store *store, struct ledger *ledger, struct errmsg *ret_msg) MUST_CHECK;

/* What store_load_lean() leaves out; bytes are those of the names. */
struct store_stored {
	uint64_t n_users, id_bytes, n_series, client_bytes;
};

/* 0 or ERR_STORE_*, ERR_NOMEM. */
int store_measure(struct store *store, struct store_stored *ret_stored) MUST_CHECK;

/* Where loading ends for short memory: what fills it, and how to get out. Leaves `msg` as
 * it is if that cannot be found out. */
void store_explain_shortage(
	struct store *store, const struct ledger *ledger, struct errmsg *msg);

struct store_result {
	unsigned n_statements; /* that wrote users */
	bool is_settled;      /* in tally.db itself; else in its write-ahead log alone, as
				 long as another program reads */
	bool is_opened_again; /* SQLite's files beside it had been taken away */
	struct errmsg error;
};

/*
 * Writes a cut in one transaction, guarded by applied_seq. If the file says that this
 * very cut was committed before, that is success. 0, or ERR_STORE_BUSY, _FULL, _IO,
 * _GONE, _DENIED, _READONLY, _CORRUPT   rolled back: nothing of it is in the file;
 * ERR_STORE_UNKNOWN COMMIT failed, or is only in a WAL that is gone: hand in the same cut
 * again, before any other;
 * ERR_STORE_FOREIGN somebody else moved applied_seq, ERR_STORE_CUT what is in the
 * write-ahead log alone was cut off: this process must not go on.
 */
int store_commit(struct store *store, const struct cut *cut,
	struct store_result *ret_result) MUST_CHECK;

/* Whether the file that is open is still the one under its path: 0, ERR_STORE_GONE or
 * ERR_STORE_DENIED, with the sentence. On any thread, also beside store_commit(). */
int store_find_file(const struct store *store, struct errmsg *ret_msg) MUST_CHECK;

/* What an operator can do about such a failure, as a part of a sentence. Never NULL. */
const char *store_advice(int code);

/* False: it passes when another program or the disk's users let it. */
bool store_needs_help(int code);

#endif
