/*
 * The journal that is being written: append, group commit, new segments, dropping old
 * ones.
 *
 * Appending is one synchronous write() at a known offset, the only call of the loop that
 * may block (rule 9). Syncing is done on the thread pool, one job at a time, each
 * covering all that was written before it began. A failed fdatasync ends the process: the
 * kernel may have dropped the pages (Rebello et al., USENIX ATC '20), so only a fresh
 * fold knows what is there (rule 10). The next segment is made ahead, beside that: no
 * answer waits for it.
 *
 * Each job also looks whether what was written is still to be found in data_dir. If not,
 * nothing is appended until all of it is in the database; then a new segment is begun, in
 * a new folder if need be (rule 30).
 */
#ifndef TALLYD_JOURNAL_JOURNAL_H
#define TALLYD_JOURNAL_JOURNAL_H

#include "journal/home.h"
#include "journal/record.h"

#include <stdbool.h>
#include <uv.h>

enum journal_fsync { FSYNC_ALWAYS, FSYNC_EVERYSEC, FSYNC_NO };

struct journal_config {
	enum journal_fsync fsync;
	uint64_t max_bytes;      /* ERR_JOURNAL_FULL above */
	uint64_t min_free_bytes; /* ERR_DISK_LOW below; UINT64_MAX: 16 MiB or 5 %, the
				    smaller */
	const struct journal_home *home; /* borrowed until journal_free(); NULL: nobody
					    looks */
	uint64_t tick_ms; /* between two looks, and two syncs of everysec; 0: 1 s */
};

/*
 * With `always`: where a record would be synced later than that, if each sync takes as
 * long as the last one did, or this one has by now, it is not written: its sender would
 * be hung up on (HTTP_ANSWER_MS), although it was accepted. If nothing is written a sync
 * is tried with each tick, so that it is noticed when the disk is quicker.
 */
#define JOURNAL_MAX_SYNC_MS 1000

/* With fewer free, of a file system of that size, nothing is accepted. */
uint64_t journal_min_free_bytes(
	const struct journal_config *config, uint64_t total_bytes);

struct journal_stats {
	uint64_t bytes, records; /* of all segments, since the last checkpoint */
	uint64_t seq, synced_seq;
	uint64_t n_syncs;
	uint64_t max_bytes;
	uint64_t full_in_ms; /* as it has grown since the last checkpoint; UINT64_MAX: it
				has not */
	int refusal;         /* why an append would fail now, or 0 */
	const char *missing; /* what was taken away, if that is why, else ""; borrowed
				until the loop goes on */
};

/* Fires once per finished sync, on the loop: all records up to `synced_seq` are stable.
 */
typedef void (*journal_synced_cb)(void *arg, uint64_t synced_seq);

struct journal;

/*
 * Begins a new segment after `last_number`, at sequence `seq` + 1, synced with its
 * directory. Blocks: it is for the start. `dir_fd` is borrowed until journal_free(). 0 or
 * ERR_JOURNAL_IO, ERR_NOMEM.
 */
int journal_open(uv_loop_t *loop, int dir_fd, const struct journal_config *config,
	uint64_t seq, uint64_t last_number, journal_synced_cb on_synced, void *arg,
	struct journal **ret_journal, struct errmsg *ret_msg) MUST_CHECK;

/*
 * Writes `record`, whose sequences it fills in, as the next sequence. 0, or
 * ERR_JOURNAL_WRITE, ERR_JOURNAL_FULL, ERR_JOURNAL_GONE, ERR_DISK_LOW, ERR_SYNC_LATE,
 * ERR_NOMEM: then nothing has changed and a later call may succeed.
 */
int journal_append(struct journal *journal, struct record *record) MUST_CHECK;

/* Has all that is written synced soon, whatever journal_fsync says: who waits for that
 * looks at synced_seq with each on_synced. */
void journal_want_sync(struct journal *journal);

/* Notices at once that the file which is written to is lost, as journal_append() does. */
void journal_look(struct journal *journal);

/* True if half of max_bytes is used: a checkpoint would give room. */
bool journal_wants_checkpoint(const struct journal *journal);

/* True if an answer has to wait until its sequence is synced (journal_fsync = always). */
bool journal_must_sync(const struct journal *journal);

/* Asks for the next record to begin a new segment; done when one is prepared, else not at
 * all. */
void journal_rotate(struct journal *journal);

/* Removes the segments whose every record is at or below `seq`: they are in SQLite.
 * Unless that `is_settled` they are kept as well as long as half of max_bytes is free. If
 * files were taken away, and this is all, the journal is begun anew. */
void journal_drop(struct journal *journal, uint64_t seq, bool is_settled);

void journal_get_stats(const struct journal *journal, struct journal_stats *ret_stats);

/* Stops timers and waits for the running job; then `on_closed`. Everything written is
 * synced. */
void journal_close(struct journal *journal, void (*on_closed)(void *arg), void *arg);
void journal_free(struct journal *journal);

#endif
