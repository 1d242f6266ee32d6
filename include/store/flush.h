/*
 * When the ledger goes to SQLite: timer, emergency, retries, and whoever asks.
 *
 *     IDLE ──start──► RUNNING ──committed──► IDLE
 *                        │ failed
 *                        └──► BACKOFF ──retry_delay over──► RUNNING
 *
 * One flush at a time; each is one cut and one job on the thread pool. Nothing starts in
 * BACKOFF, whoever asks. After max_retries the backoff lasts until the next interval. A
 * failed flush loses nothing: the very same cut is handed in again until it is committed,
 * whatever had come of COMMIT; then what has come since follows at once. One that has
 * failed more often than max_retries is told of with what can be done about it, and how
 * long there is time.
 * Twice a second a job looks whether the file is still there: that it is not is told
 * before anything has to be written.
 */
#ifndef TALLYD_STORE_FLUSH_H
#define TALLYD_STORE_FLUSH_H

#include "store/store.h"

#include <uv.h>

struct flush_config {
	uint64_t interval_ms;
	size_t max_pending_users;    /* a warning at this many dirty users */
	size_t emergency_flush_size; /* a flush at this many; at most max_pending_users
					counts */
	unsigned max_retries;
	uint64_t retry_delay_ms; /* doubled for each retry */
};

/* How a flush ended; all 0: there was none. */
struct flush_outcome {
	uint64_t at_ms; /* since 1970 */
	size_t users;
	double time_ms;
	int error; /* 0: it succeeded */
};

/* A flush that only records the link to Redis is no sync: it is not counted. */
struct flush_stats {
	uint64_t n_started, n_succeeded, n_failed;
	double total_ms; /* of all that ended */
	uint64_t users_written, statements;
	bool is_running;
	uint64_t failing_since_ms; /* since 1970; 0: the last one succeeded */
	struct flush_outcome last;
};

/* What others do at a flush; both on the loop. */
struct flush_hooks {
	void (*on_cut)(void *arg); /* a cut was just taken */
	/* All up to `seq` is in SQLite; `is_settled` as in struct store_result. */
	void (*on_committed)(void *arg, uint64_t seq, bool is_settled);
	/* ERR_STORE_FOREIGN, ERR_STORE_CUT: end the process. */
	void (*on_fatal)(void *arg, int code);
	/* Says where meanwhile is what a flush that keeps failing cannot write, and for
	 * how long there is room. */
	void (*describe_rest)(void *arg, struct errmsg *ret_rest);
	void *arg;
};

/* Fires once, on the loop, never inside the request: 0 or the code of the flush that
 * failed. `outcome` is borrowed for the call; all 0 if there was nothing to write. */
typedef void (*flush_done_cb)(void *arg, int code, const struct flush_outcome *outcome);

struct flush;

/* Borrows loop, store and ledger until flush_free(). NULL if memory is short. */
struct flush *flush_new(uv_loop_t *loop, struct store *store, struct ledger *ledger,
	const struct flush_config *config, const struct flush_hooks *hooks);
void flush_start(struct flush *flush);
void flush_configure(struct flush *flush, const struct flush_config *config);

/*
 * Bytes were booked: starts an emergency flush if many users are dirty, or if the journal
 * is `is_pressed` for room; at most every 5 s.
 */
void flush_maybe_start(struct flush *flush, bool is_pressed);

/* Everything applied so far into SQLite, now or when a backoff is over. 0 or ERR_NOMEM.
 */
int flush_request(struct flush *flush, flush_done_cb on_done, void *arg) MUST_CHECK;

/*
 * The last flush: tries until all is written or `timeout_ms` is over, then `on_done` with
 * 0 or the last error. Nothing may be booked any more. Requests that wait are answered
 * first.
 */
void flush_stop(
	struct flush *flush, uint64_t timeout_ms, flush_done_cb on_done, void *arg);
void flush_close(struct flush *flush, void (*on_closed)(void *arg), void *arg);
void flush_free(struct flush *flush);

void flush_get_stats(const struct flush *flush, struct flush_stats *ret_stats);

#endif
