/*
 * A journal in memory, as src/journal/journal.c would have written it, and what a crash
 * makes of its end: bytes that were never synced may be gone, torn or other bytes. It is
 * read back by the real fold, from files that are laid out for it and removed again.
 */
#ifndef TALLYD_TESTS_TAPE_H
#define TALLYD_TESTS_TAPE_H

#include "journal/fold.h"
#include "lib/tempdir.h"

#define TAPE_MAX_SEGMENTS 16
#define TAPE_MAX_RECORDS 512

struct tape_record {
	size_t start, end; /* in the last segment */
	uint64_t seq;
};

struct tape {
	struct buf segments[TAPE_MAX_SEGMENTS];
	uint64_t last_seqs[TAPE_MAX_SEGMENTS]; /* of each; the one before the first */
	uint64_t numbers[TAPE_MAX_SEGMENTS];
	size_t n_segments;
	struct tape_record records[TAPE_MAX_RECORDS]; /* of the last segment */
	size_t n_records;
	size_t synced_bytes; /* of the last segment */
	uint64_t seq, synced_seq;
};

/* All zero: no segment. */
void tape_done(struct tape *tape);

/* The last segment is synced and the next one begun behind it. */
void tape_rotate(struct tape *tape);

/* Fills in both sequences, and writes `len` bytes of the record or, if it has not so
 * many, all of it. Less than all is what a crash leaves: nothing may follow. */
void tape_append(struct tape *tape, struct record *record, size_t len);

void tape_sync(struct tape *tape);

/* Removes segments whose every record is at or below `seq`, but not the last. */
void tape_drop(struct tape *tape, uint64_t seq);

enum tape_damage { TAPE_CUT, TAPE_GARBLED, TAPE_ZEROED, TAPE_DAMAGES };

/* The power fails: from `offset` behind what is synced on, `len` bytes are damaged, or,
 * unless that is TAPE_GARBLED, all. */
void tape_damage(struct tape *tape, enum tape_damage damage, size_t offset, size_t len);
size_t tape_unsynced_bytes(const struct tape *tape);

/* As journal_fold(), in a folder where there is no other journal. */
int tape_fold(const struct tape *tape, const struct tempdir *dir, uint64_t after_seq,
	fold_record_cb on_record, void *arg, struct fold_result *ret_result,
	struct errmsg *ret_msg) MUST_CHECK;

/* The last sequence that this fold should come to. */
uint64_t tape_expected_seq(const struct tape *tape, uint64_t after_seq);

/* A start has folded it: the next segment begins behind `seq`, the others are gone. */
void tape_begin(struct tape *tape, uint64_t seq);

#endif
