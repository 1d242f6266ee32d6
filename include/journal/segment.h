/*
 * Segment files: data_dir/journal/NNNNNNNNNN.seg, numbered in the order they were begun.
 *
 *     magic "TALLYJ2\n" | first_seq u64 | synced_seq u64 | created_ms u64 | crc u32 |
 *         zero u32
 *
 * TALLYJ1 is of a tallyd that knew no commands; it is read as well. The header names the
 * sequence of the first record. A file that is shorter than its header was prepared and
 * never used. Numbers begin at 1; 0 is read, since a tallyd up to version 0.1 may have
 * come to it behind a stray file.
 */
#ifndef TALLYD_JOURNAL_SEGMENT_H
#define TALLYD_JOURNAL_SEGMENT_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define SEGMENT_HEAD_BYTES 40

struct segment_head {
	uint64_t first_seq, synced_seq, created_ms;
};

void segment_encode_head(
	const struct segment_head *head, uint8_t ret_bytes[SEGMENT_HEAD_BYTES]);

/* 0, or ERR_JOURNAL_CORRUPT, also for numbers that no tallyd writes; ERR_JOURNAL_NEWER: a
 * later tallyd wrote it. */
int segment_decode_head(
	const uint8_t *bytes, size_t len, struct segment_head *ret_head) MUST_CHECK;

/* Opens file `number` of `dir_fd` for writing; it must not exist. The descriptor or -1
 * with errno. */
int segment_create(int dir_fd, uint64_t number);

int segment_remove(int dir_fd, uint64_t number) MUST_CHECK;

/* ERR_JOURNAL_IO with errno's sentence about `what`: in which folder, and, where rights
 * are missing, whose they are and how that is mended. */
int segment_fail(int dir_fd, const char *what, struct errmsg *ret_msg);

#define SEGMENT_NAME_BYTES 32
const char *segment_name(uint64_t number, char buf[SEGMENT_NAME_BYTES]);

/*
 * The numbers of all segments of `dir_fd`, ascending, in an array that the caller frees.
 * 0, ERR_NOMEM or ERR_JOURNAL_IO; ERR_JOURNAL_CORRUPT: one has a number above NUMBER_MAX,
 * behind which no further one could be made. Files with other names are none of ours and
 * left alone. With the sentence in `ret_msg`.
 */
int segment_list(int dir_fd, uint64_t **ret_numbers, size_t *ret_n,
	struct errmsg *ret_msg) MUST_CHECK;

#endif
