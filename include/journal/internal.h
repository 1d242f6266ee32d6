/*
 * The journal as its own files see it: journal.c, which the loop calls, and what it has
 * done on the thread pool: job.c, which answers wait for, and upkeep.c. Nobody else
 * includes this.
 */
#ifndef TALLYD_JOURNAL_INTERNAL_H
#define TALLYD_JOURNAL_INTERNAL_H

#include "base/buf.h"
#include "journal/journal.h"
#include "journal/segment.h"

#include <sys/queue.h>
#include <uv.h>

#define MAX_SYNC_FDS 8
#define MAX_REMOVALS 64

/* A segment that is, or will be, on disk. */
struct segment {
	struct home_file file;
	uint64_t last_seq, records;
	TAILQ_ENTRY(segment) link;
};

struct job {
	uv_work_t work;
	int fds[MAX_SYNC_FDS]; /* to sync; all but the last are retired and closed after
				  it */
	size_t n_fds;
	uint64_t covers_seq;
	int dir_fd;
	bool does_sync;
	bool does_probe; /* there is nothing to sync: how long would it take? */
	uint64_t began_ms;
	int sync_errno;
	uint64_t free_bytes, total_bytes;

	const struct journal_home *home; /* NULL: nothing is looked at or begun */
	struct home_file *files;         /* owned */
	size_t n_files;
	uint64_t begin_number; /* 0: it only looks */
	struct segment_head begin_head;
	struct home_begun begun;
	int home_code; /* of looking or beginning */
	struct errmsg home_msg;
};

/* The files before and behind what is written: nobody waits for them. */
struct upkeep {
	uv_work_t work;
	int dir_fd;
	struct home_file prepared; /* .number 0: nothing to prepare */
	int prepared_fd, prepare_errno;
	uint64_t removals[MAX_REMOVALS];
	size_t n_removals;
};

struct journal {
	uv_loop_t *loop;
	int dir_fd;
	int own_dir_fd; /* it was begun anew there; else -1 */
	struct journal_config config;
	journal_synced_cb on_synced;
	void *arg;

	int fd;
	uint64_t offset; /* end of the last whole record */
	TAILQ_HEAD(segment_list, segment)
	segments; /* the last is the one being written */
	uint64_t seq, synced_seq, bytes, records, n_syncs;
	int prepared_fd; /* the next segment's file, or -1 */
	struct segment *prepared;
	int retired_fds[MAX_SYNC_FDS - 1]; /* written, rotated away, not yet synced */
	size_t n_retired;
	uint64_t dropped[MAX_REMOVALS];
	size_t n_dropped;
	uint64_t checkpoint_seq; /* all up to here is in SQLite */
	uint64_t wanted_seq;     /* to be synced, whatever journal_fsync says */
	uint64_t checkpoint_ms;  /* when that was told last */
	uint64_t sync_ms;        /* what the last sync took */
	bool has_told_late;      /* and not yet that it is over */
	bool is_disk_low, is_full, has_write_failed, has_prepare_failed;
	bool is_gone;            /* until it is begun anew */
	bool has_looked;         /* at the open file, in this turn of the loop */
	struct errmsg missing;   /* why */
	bool is_look_at_all_due; /* not only at the current segment */
	struct buf buf;

	struct job job;
	struct upkeep upkeep;
	bool is_job_running, is_upkeep_running, is_poked;
	uv_timer_t tick;
	uv_prepare_t end_of_turn;
	unsigned n_open_handles;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

/* journal.c */
struct segment_head journal_next_head(const struct journal *journal);
void journal_drop_covered(struct journal *journal);
void journal_free_segments(struct journal *journal);
void journal_maybe_closed(struct journal *journal);

/* Whether a record that is written now would be synced too late for its answer. */
bool journal_is_late(const struct journal *journal);

/* job.c */

/* Hands a job to the pool, unless one is there; and the upkeep, if there is any to do. */
void job_submit(struct journal *journal);
/* Blocks: before the loop runs. */
void job_look_at_disk(struct journal *journal);
/* Files are missing: nothing is appended until a checkpoint has all records. */
void job_note_gone(struct journal *journal, const struct errmsg *missing);
void job_ask_for_checkpoint(const struct journal *journal);

/* upkeep.c */

/* Hands it to the pool, if anything is to be done and it is not there. Not beside a job,
 * which looks at files that are to go: behind it, or before. */
void upkeep_submit(struct journal *journal);

#endif
