/*
 * Reading the journal back: all segments are one stream of records without gaps.
 *
 * Where the stream breaks (a bad or missing record), the highest synced_seq of everything
 * that can still be read decides. Broken above it: that is how a crash looks, the stream
 * ends there. At or below it: records that were on stable storage are gone, which is
 * corruption; the fold refuses, naming file and offset, unless it is asked to salvage.
 */
#ifndef TALLYD_JOURNAL_FOLD_H
#define TALLYD_JOURNAL_FOLD_H

#include "journal/record.h"

#include <stdbool.h>

/* A whole record, in order; borrowed for the call. Non-zero ends the fold with that code.
 */
typedef int (*fold_record_cb)(void *arg, struct record *record);

/* Records that are given out next, at most FOLD_AHEAD; whoever looks up what they name
 * may have the processor fetch that for all of them meanwhile. */
#define FOLD_AHEAD 16
typedef void (*fold_ahead_cb)(void *arg, const struct record *records, size_t n);

struct fold_result {
	uint64_t last_seq;     /* of the last record given out, else after_seq */
	uint64_t last_number;  /* the highest segment number seen, 0 if none */
	size_t n_records;      /* given out */
	size_t n_lost;         /* salvage: places where the stream was broken */
	uint64_t lost_records; /* salvage: in them, at least */
	bool is_cut;           /* a crash's tail was found and left behind */
	struct errmsg remark;  /* where and why, if is_cut or n_lost */
};

struct fold_options {
	uint64_t after_seq;     /* records up to here are in SQLite: skipped */
	bool does_salvage;      /* go on behind what is broken, losing only that */
	bool shows_all;         /* give out every readable record: for --dump-journal */
	fold_ahead_cb on_ahead; /* or NULL */
};

/* Reads, and changes nothing on disk. 0, ERR_JOURNAL_CORRUPT, ERR_JOURNAL_IO, ERR_NOMEM,
 * or the callback's code; with `ret_msg` filled. */
int journal_fold(int dir_fd, const struct fold_options *options, fold_record_cb on_record,
	void *arg, struct fold_result *ret_result, struct errmsg *ret_msg) MUST_CHECK;

#endif
