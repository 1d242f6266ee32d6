/*
 * The happy path: append() encodes and writes at the known end; poke() at the end of the
 * turn submits one job that syncs what was written, see job.c, and if need be the upkeep.
 *
 * What can fail: a write (nothing has changed, the next one goes to the same offset), and
 * a sync (the process ends, see the header). A segment that cannot be prepared or removed
 * is tried again with the next job.
 */
#include "journal/journal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "journal/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS 1000
#define KEEP_BUFFER_BYTES (4u << 20)

uint64_t journal_min_free_bytes(const struct journal_config *config, uint64_t total_bytes)
{
	uint64_t twentieth = total_bytes / 20;

	if (config->min_free_bytes != UINT64_MAX)
		return config->min_free_bytes;
	return twentieth < (16u << 20) ? twentieth : 16u << 20;
}

static struct segment *segment_new(uint64_t number)
{
	struct segment *segment = calloc(1, sizeof(*segment));

	if (segment != NULL)
		segment->file.number = number;
	return segment;
}

static int write_whole(int fd, const void *bytes, size_t len, uint64_t offset)
{
	const char *at = bytes;

	while (len > 0) {
		ssize_t n = pwrite(fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = ENOSPC;
			return ERR_JOURNAL_WRITE;
		}
		at += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

struct segment_head journal_next_head(const struct journal *journal)
{
	return (struct segment_head){
		journal->seq + 1, journal->synced_seq, clock_wall_ms()};
}

static int write_head(struct journal *journal, int fd)
{
	struct segment_head head = journal_next_head(journal);
	uint8_t bytes[SEGMENT_HEAD_BYTES];

	segment_encode_head(&head, bytes);
	return write_whole(fd, bytes, sizeof(bytes), 0);
}

void journal_rotate(struct journal *journal)
{
	struct segment *current = TAILQ_LAST(&journal->segments, segment_list);
	struct segment *after;

	if (current->records == 0 || journal->prepared_fd < 0 || journal->is_gone ||
		journal->n_retired == MAX_SYNC_FDS - 1)
		return;
	after = segment_new(journal->prepared->file.number + 1);
	if (after == NULL)
		return;
	if (write_head(journal, journal->prepared_fd) != 0) {
		free(after);
		return; /* as if none were prepared: the head is written again next time
			 */
	}
	journal->retired_fds[journal->n_retired++] = journal->fd;
	journal->fd = journal->prepared_fd;
	journal->prepared_fd = -1;
	journal->offset = SEGMENT_HEAD_BYTES;
	journal->prepared->file.bytes = SEGMENT_HEAD_BYTES;
	journal->bytes += SEGMENT_HEAD_BYTES;
	TAILQ_INSERT_TAIL(&journal->segments, journal->prepared, link);
	journal->prepared = after;
	journal->is_poked = true;
}

/* Segments whose every record is in SQLite go; also the current one, once there is
 * another. */
void journal_drop_covered(struct journal *journal)
{
	struct segment *oldest;

	while (!journal->is_gone) {
		oldest = TAILQ_FIRST(&journal->segments);
		if (oldest->records == 0 || oldest->last_seq > journal->checkpoint_seq ||
			journal->n_dropped == MAX_REMOVALS)
			break;
		if (TAILQ_NEXT(oldest, link) == NULL)
			journal_rotate(journal);
		if (TAILQ_NEXT(oldest, link) == NULL)
			break;
		TAILQ_REMOVE(&journal->segments, oldest, link);
		journal->bytes -= oldest->file.bytes;
		journal->records -= oldest->records;
		journal->dropped[journal->n_dropped++] = oldest->file.number;
		free(oldest);
		journal->is_full = false;
		journal->is_poked = true;
	}
}

static void finish_close(uv_handle_t *handle)
{
	struct journal *journal = handle->data;

	journal->n_open_handles--;
	if (journal->n_open_handles == 0)
		journal->on_closed(journal->on_closed_arg);
}

/* The last job of a close has synced everything. */
void journal_maybe_closed(struct journal *journal)
{
	if (journal->on_closed == NULL || journal->is_job_running ||
		journal->is_upkeep_running)
		return;
	if (journal->synced_seq < journal->seq || journal->n_retired > 0) {
		job_submit(journal);
		return;
	}
	uv_close((uv_handle_t *)&journal->tick, finish_close);
	uv_close((uv_handle_t *)&journal->end_of_turn, finish_close);
}

void journal_free_segments(struct journal *journal)
{
	struct segment *segment;

	while ((segment = TAILQ_FIRST(&journal->segments)) != NULL) {
		TAILQ_REMOVE(&journal->segments, segment, link);
		free(segment);
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct journal *journal = timer->data;

	timer_start_aligned(timer, on_tick, journal->config.tick_ms);
	journal->is_look_at_all_due = true;
	job_submit(journal);
	job_ask_for_checkpoint(journal);
}

static void on_end_of_turn(uv_prepare_t *prepare)
{
	struct journal *journal = prepare->data;

	journal->has_looked = false;
	if (!journal->is_poked || journal->is_job_running)
		return;
	journal->is_poked = false;
	job_submit(journal);
}

static void init_handles(struct journal *journal)
{
	if (journal->config.tick_ms == 0)
		journal->config.tick_ms = TICK_MS;
	/* None of these can fail: uv_prepare_start() only for a NULL callback. */
	(void)uv_timer_init(journal->loop, &journal->tick);
	(void)uv_prepare_init(journal->loop, &journal->end_of_turn);
	journal->tick.data = journal;
	journal->end_of_turn.data = journal;
	journal->n_open_handles = 2;
	timer_start_aligned(&journal->tick, on_tick, journal->config.tick_ms);
	(void)uv_prepare_start(&journal->end_of_turn, on_end_of_turn);
}

int journal_open(uv_loop_t *loop, int dir_fd, const struct journal_config *config,
	uint64_t seq, uint64_t last_number, journal_synced_cb on_synced, void *arg,
	struct journal **ret_journal, struct errmsg *ret_msg)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	struct segment *first = segment_new(last_number + 1);

	if (journal == NULL || first == NULL) {
		free(journal);
		free(first);
		return err_set(ret_msg, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	}
	journal->loop = loop;
	journal->dir_fd = dir_fd;
	journal->config = *config;
	journal->on_synced = on_synced;
	journal->arg = arg;
	journal->seq = journal->synced_seq = journal->checkpoint_seq = seq;
	journal->checkpoint_ms = clock_ms();
	journal->prepared_fd = journal->own_dir_fd = -1;
	TAILQ_INIT(&journal->segments);
	TAILQ_INSERT_TAIL(&journal->segments, first, link);
	journal->offset = first->file.bytes = journal->bytes = SEGMENT_HEAD_BYTES;
	journal->fd = segment_create(dir_fd, first->file.number);
	journal->prepared = segment_new(first->file.number + 1);
	if (journal->fd < 0 || journal->prepared == NULL ||
		write_head(journal, journal->fd) != 0 || fdatasync(journal->fd) != 0 ||
		!home_identify(journal->fd, &first->file) || fsync(dir_fd) != 0) {
		(void)segment_fail(dir_fd, "a journal segment cannot be begun", ret_msg);
		journal_free(journal);
		return ERR_JOURNAL_IO;
	}
	job_look_at_disk(journal);
	init_handles(journal);
	journal->is_poked = true; /* the next segment is prepared at once */
	*ret_journal = journal;
	return 0;
}

/* How long an answer would wait for the disk: for the sync that is running, which does
 * not cover what is written now, and for the next; as long each as the last one took. */
static uint64_t expected_wait_ms(const struct journal *journal)
{
	bool is_running = journal->is_job_running && journal->job.does_sync;
	uint64_t since = is_running ? clock_ms() - journal->job.began_ms : 0;
	uint64_t each = since > journal->sync_ms ? since : journal->sync_ms;

	return is_running ? each - since + each : each;
}

bool journal_is_late(const struct journal *journal)
{
	return journal->config.fsync == FSYNC_ALWAYS &&
		expected_wait_ms(journal) > JOURNAL_MAX_SYNC_MS;
}

static int note_late(struct journal *journal)
{
	if (!journal->has_told_late)
		log_error("the disk takes too long to sync the journal: reports are "
			  "refused until it is quicker",
			"would_wait_ms=%" PRIu64 " max_ms=%d last_sync_ms=%" PRIu64,
			expected_wait_ms(journal), JOURNAL_MAX_SYNC_MS, journal->sync_ms);
	journal->has_told_late = true;
	return ERR_SYNC_LATE;
}

static int note_full(struct journal *journal)
{
	if (!journal->is_full)
		log_error("journal full: reports are refused until a flush succeeds",
			"bytes=%" PRIu64 " journal_max_bytes=%" PRIu64, journal->bytes,
			journal->config.max_bytes);
	journal->is_full = true;
	return ERR_JOURNAL_FULL;
}

static void note_written(struct journal *journal, size_t len)
{
	struct segment *current = TAILQ_LAST(&journal->segments, segment_list);

	journal->offset += len;
	journal->seq++;
	current->last_seq = journal->seq;
	current->file.bytes += len;
	current->records++;
	journal->bytes += len;
	journal->records++;
	if (journal->config.fsync == FSYNC_ALWAYS)
		journal->is_poked = true;
	if (journal->has_write_failed)
		log_info("journal can be written again", "seq=%" PRIu64, journal->seq);
	journal->has_write_failed = false;
	journal->is_full = false;
}

/* Cuts torn bytes off. If even that fails, the next record is written over them. */
static void note_write_failure(struct journal *journal)
{
	int cause = errno;

	(void)!ftruncate(journal->fd, (off_t)journal->offset);
	if (!journal->has_write_failed)
		log_error("journal cannot be written: reports are refused until it can",
			"error=%s", LOG_QUOTE(strerror(cause)));
	journal->has_write_failed = true;
}

/* Also in this turn of the loop: nothing is accepted into a file that is known to be
 * lost. */
static bool is_gone(struct journal *journal)
{
	const struct segment *current = TAILQ_LAST(&journal->segments, segment_list);
	struct errmsg missing;
	bool is_look_due = !journal->is_gone && !journal->has_looked;

	journal->has_looked = true;
	if (is_look_due && journal->config.home != NULL &&
		home_look_at(journal->fd, &current->file, &missing) != 0)
		job_note_gone(journal, &missing);
	return journal->is_gone;
}

void journal_look(struct journal *journal)
{
	(void)is_gone(journal); /* the statistics tell */
}

int journal_append(struct journal *journal, struct record *record)
{
	int code;

	if (is_gone(journal))
		return ERR_JOURNAL_GONE;
	if (journal->is_disk_low)
		return ERR_DISK_LOW;
	if (journal_is_late(journal))
		return note_late(journal);
	record->origin.seq = journal->seq + 1;
	record->synced_seq = journal->synced_seq;
	buf_reset(&journal->buf, KEEP_BUFFER_BYTES);
	record_encode(record, &journal->buf);
	if (!buf_ok(&journal->buf))
		return ERR_NOMEM;
	if (journal->bytes + journal->buf.len > journal->config.max_bytes)
		return note_full(journal);
	code = write_whole(
		journal->fd, journal->buf.data, journal->buf.len, journal->offset);
	if (code != 0) {
		note_write_failure(journal);
		return code;
	}
	note_written(journal, journal->buf.len);
	return 0;
}

void journal_want_sync(struct journal *journal)
{
	journal->wanted_seq = journal->seq;
	journal->is_poked = true;
}

bool journal_wants_checkpoint(const struct journal *journal)
{
	return journal->bytes > journal->config.max_bytes / 2;
}

bool journal_must_sync(const struct journal *journal)
{
	return journal->config.fsync == FSYNC_ALWAYS;
}

/* What was not known to be on disk is in the database, which is. */
static void rely_on_database(struct journal *journal)
{
	if (journal->checkpoint_seq < journal->seq || journal->synced_seq == journal->seq)
		return;
	journal->synced_seq = journal->seq;
	journal->on_synced(journal->arg, journal->synced_seq);
}

void journal_drop(struct journal *journal, uint64_t seq, bool is_settled)
{
	if (!is_settled && !journal->is_gone && !journal_wants_checkpoint(journal))
		return;
	journal->checkpoint_seq = seq;
	journal->checkpoint_ms = clock_ms();
	journal_drop_covered(journal);
	if (!journal->is_gone)
		return;
	rely_on_database(journal);
	journal->is_poked = true;
}

static uint64_t full_in_ms(const struct journal *journal)
{
	uint64_t left = journal->bytes < journal->config.max_bytes
		? journal->config.max_bytes - journal->bytes
		: 0;
	double grown_ms = (double)(clock_ms() - journal->checkpoint_ms);
	double ms = grown_ms * (double)left / (double)journal->bytes;

	return journal->records > 0 && ms < 1e15 ? (uint64_t)ms : UINT64_MAX;
}

void journal_get_stats(const struct journal *journal, struct journal_stats *ret_stats)
{
	int refusal = 0;

	if (journal->is_gone)
		refusal = ERR_JOURNAL_GONE;
	else if (journal->is_disk_low)
		refusal = ERR_DISK_LOW;
	else if (journal_is_late(journal))
		refusal = ERR_SYNC_LATE;
	else if (journal->is_full)
		refusal = ERR_JOURNAL_FULL;
	else if (journal->has_write_failed)
		refusal = ERR_JOURNAL_WRITE;
	*ret_stats = (struct journal_stats){.bytes = journal->bytes,
		.records = journal->records,
		.seq = journal->seq,
		.synced_seq = journal->synced_seq,
		.n_syncs = journal->n_syncs,
		.max_bytes = journal->config.max_bytes,
		.full_in_ms = full_in_ms(journal),
		.refusal = refusal,
		.missing = journal->missing.text};
}

void journal_close(struct journal *journal, void (*on_closed)(void *arg), void *arg)
{
	journal->on_closed = on_closed;
	journal->on_closed_arg = arg;
	(void)uv_timer_stop(&journal->tick);
	journal_maybe_closed(journal);
}

void journal_free(struct journal *journal)
{
	if (journal == NULL)
		return;
	journal_free_segments(journal);
	free(journal->prepared);
	if (journal->own_dir_fd >= 0)
		(void)close(journal->own_dir_fd); /* a directory */
	if (journal->prepared_fd >= 0)
		(void)close(journal->prepared_fd); /* empty */
	if (journal->fd >= 0)
		(void)close(journal->fd); /* synced by journal_close() */
	buf_done(&journal->buf);
	free(journal);
}
