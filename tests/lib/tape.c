#include "lib/tape.h"
#include "journal/segment.h"
#include "lib/test.h"

#include <stdlib.h>
#include <string.h>

static struct buf *last(struct tape *tape)
{
	return &tape->segments[tape->n_segments - 1];
}

void tape_done(struct tape *tape)
{
	for (size_t i = 0; i < tape->n_segments; i++)
		buf_done(&tape->segments[i]);
	*tape = (struct tape){.seq = 0};
}

void tape_sync(struct tape *tape)
{
	tape->synced_bytes = last(tape)->len;
	tape->synced_seq = tape->seq;
}

static void add_segment(struct tape *tape, uint64_t number)
{
	struct segment_head head = {tape->seq + 1, tape->synced_seq, 1000};
	uint8_t bytes[SEGMENT_HEAD_BYTES];
	size_t i = tape->n_segments++;

	assert_true(i < TAPE_MAX_SEGMENTS);
	segment_encode_head(&head, bytes);
	buf_put(&tape->segments[i], bytes, sizeof(bytes));
	assert_true(buf_ok(&tape->segments[i]));
	tape->numbers[i] = number;
	tape->last_seqs[i] = tape->seq;
	tape->n_records = 0;
	tape_sync(tape);
}

void tape_rotate(struct tape *tape)
{
	tape_sync(tape);
	add_segment(tape, tape->numbers[tape->n_segments - 1] + 1);
}

void tape_begin(struct tape *tape, uint64_t seq)
{
	uint64_t number =
		tape->n_segments > 0 ? tape->numbers[tape->n_segments - 1] + 1 : 1;

	tape_done(tape);
	tape->seq = tape->synced_seq = seq;
	add_segment(tape, number);
}

void tape_append(struct tape *tape, struct record *record, size_t len)
{
	struct buf *buf = last(tape);
	size_t start = buf->len;

	record->origin.seq = tape->seq + 1;
	record->synced_seq = tape->synced_seq;
	record_encode(record, buf);
	assert_true(buf_ok(buf));
	if (len < buf->len - start) {
		buf->len = start + len;
		return;
	}
	assert_true(tape->n_records < TAPE_MAX_RECORDS);
	tape->seq++;
	tape->last_seqs[tape->n_segments - 1] = tape->seq;
	tape->records[tape->n_records++] =
		(struct tape_record){start, buf->len, tape->seq};
}

void tape_drop(struct tape *tape, uint64_t seq)
{
	size_t n = 0;

	while (n + 1 < tape->n_segments && tape->last_seqs[n] <= seq)
		buf_done(&tape->segments[n++]);
	tape->n_segments -= n;
	memmove(tape->segments, tape->segments + n,
		tape->n_segments * sizeof(tape->segments[0]));
	memmove(tape->last_seqs, tape->last_seqs + n,
		tape->n_segments * sizeof(tape->last_seqs[0]));
	memmove(tape->numbers, tape->numbers + n,
		tape->n_segments * sizeof(tape->numbers[0]));
	memset(tape->segments + tape->n_segments, 0, n * sizeof(tape->segments[0]));
}

size_t tape_unsynced_bytes(const struct tape *tape)
{
	return tape->segments[tape->n_segments - 1].len - tape->synced_bytes;
}

static void spoil(struct buf *buf, enum tape_damage damage, size_t from, size_t len)
{
	switch (damage) {
	case TAPE_CUT:
		buf->len = from;
		break;
	case TAPE_ZEROED:
		memset(buf->data + from, 0, buf->len - from);
		break;
	default:
		for (size_t i = from; i < from + len && i < buf->len; i++)
			buf->data[i] ^= (uint8_t)(1 + i % 255);
	}
}

void tape_damage(struct tape *tape, enum tape_damage damage, size_t offset, size_t len)
{
	struct buf *buf = last(tape);
	uint8_t *before = malloc(buf->len + 1);

	assert_non_null(before);
	memcpy(before, buf->data, buf->len);
	spoil(buf, damage, tape->synced_bytes + offset, len);
	for (size_t i = 0; i < tape->n_records; i++) {
		struct tape_record *record = &tape->records[i];

		/* Zeros may be what stood there. */
		if (record->end > buf->len ||
			memcmp(before + record->start, buf->data + record->start,
				record->end - record->start) != 0)
			record->seq = 0;
	}
	free(before);
}

uint64_t tape_expected_seq(const struct tape *tape, uint64_t after_seq)
{
	uint64_t first = tape->n_records > 0 ? tape->seq + 1 - tape->n_records : 0;
	uint64_t seq = after_seq;

	/* Older segments are whole. */
	if (tape->n_records == 0 || seq + 1 < first)
		seq = first > 0 ? first - 1 : tape->seq;
	while (seq < tape->seq && tape->records[seq + 1 - first].seq != 0)
		seq++;
	return seq;
}

static void lay_out(const struct tape *tape, const struct tempdir *dir)
{
	char name[SEGMENT_NAME_BYTES];

	for (size_t i = 0; i < tape->n_segments; i++)
		tempdir_write(dir, segment_name(tape->numbers[i], name),
			tape->segments[i].data, tape->segments[i].len);
}

static void take_away(const struct tape *tape, const struct tempdir *dir)
{
	for (size_t i = 0; i < tape->n_segments; i++)
		assert_int_equal(segment_remove(dir->fd, tape->numbers[i]), 0);
}

int tape_fold(const struct tape *tape, const struct tempdir *dir, uint64_t after_seq,
	fold_record_cb on_record, void *arg, struct fold_result *ret_result,
	struct errmsg *ret_msg)
{
	struct fold_options options = {.after_seq = after_seq};
	int code;

	lay_out(tape, dir);
	code = journal_fold(dir->fd, &options, on_record, arg, ret_result, ret_msg);
	take_away(tape, dir);
	return code;
}
