/*
 * The happy path: append() encodes and writes at the known end; poke() at the end of the
 * turn submits one job that syncs what was written; on_job_done() tells who waits.
 *
 * The job also does what else may block: it prepares the file of the next segment,
 * removes dropped ones, and looks how much of the disk is free and whether all files are
 * there. What it works on is copied into `struct job`, so the loop and the pool share
 * nothing.
 *
 * What can fail: a write (nothing has changed, the next one goes to the same offset), and
 * a sync (the process ends, see the header). A segment that cannot be prepared or removed
 * is tried again with the next job. Files that are gone: note_gone(), on_gone() until
 * journal_drop() has all of it, and then a job begins anew.
 */
#include "journal/journal.h"
#include "base/clock.h"
#include "base/log.h"
#include "journal/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define TICK_MS 1000
#define KEEP_BUFFER_BYTES (4u << 20)
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
	struct home_file prepared; /* .number 0: nothing to prepare */
	int prepared_fd;
	uint64_t removals[MAX_REMOVALS];
	size_t n_removals;
	int dir_fd;
	bool does_sync;
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
	bool is_disk_low, is_full, has_write_failed;
	bool is_gone;            /* until it is begun anew */
	struct errmsg missing;   /* why */
	bool is_look_at_all_due; /* not only at the current segment */
	struct buf buf;

	struct job job;
	bool is_job_running, is_poked;
	uv_timer_t tick;
	uv_prepare_t end_of_turn;
	unsigned n_open_handles;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

uint64_t journal_min_free_bytes(const struct journal_config *config, uint64_t total_bytes)
{
	uint64_t twentieth = total_bytes / 20;

	if (config->min_free_bytes != UINT64_MAX)
		return config->min_free_bytes;
	return twentieth < (16u << 20) ? twentieth : 16u << 20;
}

static void look_at_disk(struct job *job)
{
	struct statvfs fs;

	job->free_bytes = UINT64_MAX;
	if (fstatvfs(job->dir_fd, &fs) != 0)
		return; /* unknown is not low: the write itself will tell */
	job->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	job->total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
}

/* A file that is written to has its name on disk, or a power loss could take it with all
 * that was synced into it. So a name that cannot be synced is made anew with the next
 * job. The descriptor or -1. */
static int prepare_segment(int dir_fd, struct home_file *file)
{
	int fd = segment_create(dir_fd, file->number);

	if (fd < 0 || (home_identify(fd, file) && fsync(dir_fd) == 0))
		return fd;
	(void)close(fd); /* nothing was written to it */
	/* If it stays, it is in the way of a next segment until the next start. */
	(void)!segment_remove(dir_fd, file->number);
	return -1;
}

static void look_or_begin(struct job *job)
{
	if (job->home == NULL)
		return;
	job->home_code = job->begin_number == 0
		? home_look(job->home, job->dir_fd, job->files, job->n_files,
			  &job->home_msg)
		: home_begin(job->home, job->files, job->n_files, job->begin_number,
			  &job->begin_head, &job->begun, &job->home_msg);
}

/* On the thread pool. */
static void job_work(uv_work_t *work)
{
	struct job *job = work->data;

	/* A retired segment is synced in any case: nobody will have its descriptor again.
	 */
	for (size_t i = 0; i < job->n_fds; i++)
		if ((job->does_sync || i + 1 < job->n_fds) && fdatasync(job->fds[i]) != 0)
			job->sync_errno = errno;
	for (size_t i = 0; i < job->n_removals; i++)
		if (segment_remove(job->dir_fd, job->removals[i]) == 0)
			job->removals[i] = 0;
	/* Behind the sync: what was answered because of it was there after it. */
	look_or_begin(job);
	if (job->prepared.number != 0)
		job->prepared_fd = prepare_segment(job->dir_fd, &job->prepared);
	look_at_disk(job);
}

static void note_disk(struct journal *journal, const struct job *job)
{
	bool is_low = job->free_bytes <
		journal_min_free_bytes(&journal->config, job->total_bytes);

	if (is_low && !journal->is_disk_low)
		log_error("disk low: reports are refused until there is room",
			"free_bytes=%" PRIu64 " min_free_bytes=%" PRIu64, job->free_bytes,
			journal_min_free_bytes(&journal->config, job->total_bytes));
	else if (!is_low && journal->is_disk_low)
		log_info("disk has room again", "free_bytes=%" PRIu64, job->free_bytes);
	journal->is_disk_low = is_low;
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

static struct segment_head next_head(const struct journal *journal)
{
	return (struct segment_head){
		journal->seq + 1, journal->synced_seq, clock_wall_ms()};
}

static int write_head(struct journal *journal, int fd)
{
	struct segment_head head = next_head(journal);
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
static void drop_covered(struct journal *journal)
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

static void submit(struct journal *journal);

/* The last job of a close has synced everything. */
static void maybe_closed(struct journal *journal)
{
	if (journal->on_closed == NULL || journal->is_job_running)
		return;
	if (journal->synced_seq < journal->seq || journal->n_retired > 0) {
		submit(journal);
		return;
	}
	uv_close((uv_handle_t *)&journal->tick, finish_close);
	uv_close((uv_handle_t *)&journal->end_of_turn, finish_close);
}

static void take_prepared(struct journal *journal, const struct job *job)
{
	if (job->prepared.number == 0)
		return;
	journal->prepared->file = job->prepared;
	journal->prepared_fd = job->prepared_fd; /* -1: tried again with the next job */
}

static void free_segments(struct journal *journal)
{
	struct segment *segment;

	while ((segment = TAILQ_FIRST(&journal->segments)) != NULL) {
		TAILQ_REMOVE(&journal->segments, segment, link);
		free(segment);
	}
}

static void ask_for_checkpoint(const struct journal *journal)
{
	if (journal->is_gone && journal->checkpoint_seq < journal->seq)
		journal->config.home->on_gone(journal->config.home->arg);
}

/* Logged once, here. */
static void note_gone(struct journal *journal, const struct errmsg *missing)
{
	journal->is_gone = true;
	journal->missing = *missing;
	journal->is_poked = true;
	log_error("the journal was taken away: reports are refused until all that was "
		  "accepted is in the database",
		"what=%s records=%" PRIu64, LOG_QUOTE(missing->text), journal->records);
	ask_for_checkpoint(journal);
}

/* What was not known to be on disk is in the database, which is. */
static void rely_on_database(struct journal *journal)
{
	if (journal->checkpoint_seq < journal->seq || journal->synced_seq == journal->seq)
		return;
	journal->synced_seq = journal->seq;
	journal->on_synced(journal->arg, journal->synced_seq);
}

/* Everything of before is in the database: nothing of it is needed any more. */
static void forget_old_files(struct journal *journal)
{
	(void)close(journal->fd);
	for (size_t i = 0; i < journal->n_retired; i++)
		(void)close(journal->retired_fds[i]);
	if (journal->prepared_fd >= 0)
		(void)close(journal->prepared_fd);
	if (journal->own_dir_fd >= 0)
		(void)close(journal->own_dir_fd);
	journal->n_retired = journal->n_dropped = 0;
	journal->prepared_fd = -1;
}

static void take_begun(struct journal *journal, const struct home_begun *begun)
{
	struct segment *current = TAILQ_LAST(&journal->segments, segment_list);
	char name[SEGMENT_NAME_BYTES];

	forget_old_files(journal);
	TAILQ_REMOVE(&journal->segments, current, link);
	free_segments(journal);
	*current = (struct segment){.file = begun->file};
	current->file.bytes = journal->offset = journal->bytes = SEGMENT_HEAD_BYTES;
	TAILQ_INSERT_TAIL(&journal->segments, current, link);
	journal->records = 0;
	journal->prepared->file = (struct home_file){.number = begun->file.number + 1};
	journal->dir_fd = journal->own_dir_fd = begun->dir_fd;
	journal->fd = begun->fd;
	journal->is_gone = journal->is_full = journal->has_write_failed = false;
	journal->missing.text[0] = '\0';
	journal->is_poked = true;
	log_warn(
		"the journal is begun anew: nothing was lost, reports are accepted again",
		"segment=journal/%s seq=%" PRIu64, segment_name(begun->file.number, name),
		journal->seq);
}

static void take_home(struct journal *journal, const struct job *job)
{
	if (job->home == NULL)
		return;
	if (job->begin_number == 0) {
		if (job->home_code != 0 && !journal->is_gone)
			note_gone(journal, &job->home_msg);
	} else if (job->home_code == 0) {
		take_begun(journal, &job->begun);
	} else {
		if (strcmp(journal->missing.text, job->home_msg.text) != 0)
			log_error("the journal cannot be begun anew: tried every second",
				"reason=%s", LOG_QUOTE(job->home_msg.text));
		journal->missing = job->home_msg;
	}
}

/* While files are missing, a sync proves nothing, and nothing depends on it. */
static void take_sync(struct journal *journal, const struct job *job)
{
	if (!job->does_sync || (journal->is_gone && journal->on_closed == NULL))
		return;
	journal->n_syncs += job->covers_seq > journal->synced_seq;
	journal->synced_seq = job->covers_seq;
	journal->on_synced(journal->arg, journal->synced_seq);
}

static void on_job_done(uv_work_t *work, int status)
{
	struct job *job = work->data;
	struct journal *journal =
		(struct journal *)((char *)job - offsetof(struct journal, job));

	(void)status; /* never cancelled */
	journal->is_job_running = false;
	take_home(journal, job);
	free(job->files);
	if (job->sync_errno != 0 && !journal->is_gone) {
		log_error("journal sync failed: ending, the next start folds what is on "
			  "disk",
			"error=%s", LOG_QUOTE(strerror(job->sync_errno)));
		_exit(EXIT_STORAGE);
	}
	for (size_t i = 0; i + 1 < job->n_fds; i++)
		(void)close(job->fds[i]); /* synced: nothing can be lost by it */
	for (size_t i = 0; i < job->n_removals; i++)
		if (job->removals[i] != 0 && journal->n_dropped < MAX_REMOVALS)
			journal->dropped[journal->n_dropped++] = job->removals[i];
	take_prepared(journal, job);
	note_disk(journal, job);
	drop_covered(journal);
	take_sync(journal, job);
	if (!journal->is_gone &&
		((journal->config.fsync == FSYNC_ALWAYS &&
			 journal->synced_seq < journal->seq) ||
			journal->synced_seq < journal->wanted_seq))
		journal->is_poked = true;
	maybe_closed(journal);
}

/* Every file that has to be there, the prepared one too; of the older ones only if
 * `does_all`. False: memory is short, then nothing is looked at this time. */
static bool list_files(const struct journal *journal, bool does_all, struct job *job)
{
	const struct segment *segment;
	size_t n = 2;

	TAILQ_FOREACH (segment, &journal->segments, link)
		n += does_all;
	job->files = calloc(n, sizeof(*job->files));
	if (job->files == NULL)
		return false;
	segment = does_all ? TAILQ_FIRST(&journal->segments)
			   : TAILQ_LAST(&journal->segments, segment_list);
	for (; segment != NULL; segment = TAILQ_NEXT(segment, link))
		job->files[job->n_files++] = segment->file;
	if (journal->prepared_fd >= 0)
		job->files[job->n_files++] = journal->prepared->file;
	return true;
}

static void fill_home(struct journal *journal, struct job *job)
{
	bool does_begin = journal->is_gone && journal->checkpoint_seq >= journal->seq;
	bool does_all = journal->is_look_at_all_due || does_begin;

	if (journal->config.home == NULL || journal->on_closed != NULL ||
		(journal->is_gone && !does_begin) || !list_files(journal, does_all, job))
		return;
	job->home = journal->config.home;
	journal->is_look_at_all_due = false;
	if (does_begin) {
		job->begin_number = journal->prepared->file.number + 1;
		job->begin_head = next_head(journal);
	}
}

/* What the files need: none, while some of them are missing, but at the end. */
static void fill_files(struct journal *journal, struct job *job)
{
	job->does_sync =
		(journal->config.fsync != FSYNC_NO || journal->on_closed != NULL ||
			journal->wanted_seq > journal->synced_seq) &&
		(journal->synced_seq < journal->seq || journal->n_retired > 0);
	memcpy(job->fds, journal->retired_fds, journal->n_retired * sizeof(int));
	job->n_fds = journal->n_retired;
	journal->n_retired = 0;
	job->fds[job->n_fds++] = journal->fd;
	if (journal->prepared_fd < 0 && !journal->is_gone)
		job->prepared.number = journal->prepared->file.number;
	memcpy(job->removals, journal->dropped, journal->n_dropped * sizeof(uint64_t));
	job->n_removals = journal->n_dropped;
	journal->n_dropped = 0;
}

static void fill_job(struct journal *journal, struct job *job)
{
	memset(job, 0, sizeof(*job));
	job->work.data = job;
	job->dir_fd = journal->dir_fd;
	job->prepared_fd = -1;
	job->covers_seq = journal->seq;
	fill_home(journal, job);
	if (!journal->is_gone || journal->on_closed != NULL)
		fill_files(journal, job);
}

static void submit(struct journal *journal)
{
	if (journal->is_job_running)
		return;
	fill_job(journal, &journal->job);
	journal->is_job_running = true;
	if (uv_queue_work(journal->loop, &journal->job.work, job_work, on_job_done) != 0)
		abort(); /* only for a NULL callback */
}

static void on_tick(uv_timer_t *timer)
{
	struct journal *journal = timer->data;

	journal->is_look_at_all_due = true;
	submit(journal);
	ask_for_checkpoint(journal);
}

static void on_end_of_turn(uv_prepare_t *prepare)
{
	struct journal *journal = prepare->data;

	if (!journal->is_poked || journal->is_job_running)
		return;
	journal->is_poked = false;
	submit(journal);
}

static void init_handles(struct journal *journal)
{
	uint64_t tick_ms =
		journal->config.tick_ms != 0 ? journal->config.tick_ms : TICK_MS;

	/* None of these can fail: uv_timer_start() and uv_prepare_start() only for a NULL
	 * callback. */
	(void)uv_timer_init(journal->loop, &journal->tick);
	(void)uv_prepare_init(journal->loop, &journal->end_of_turn);
	journal->tick.data = journal;
	journal->end_of_turn.data = journal;
	journal->n_open_handles = 2;
	(void)uv_timer_start(&journal->tick, on_tick, tick_ms, tick_ms);
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
		(void)err_set(ret_msg, 0, "a journal segment cannot be begun: %m");
		journal_free(journal);
		return ERR_JOURNAL_IO;
	}
	journal->job.dir_fd = dir_fd;
	look_at_disk(&journal->job);
	note_disk(journal, &journal->job);
	init_handles(journal);
	journal->is_poked = true; /* the next segment is prepared at once */
	*ret_journal = journal;
	return 0;
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

/* Also just now: nothing is accepted into a file that is known to be lost. */
static bool is_gone(struct journal *journal)
{
	const struct segment *current = TAILQ_LAST(&journal->segments, segment_list);
	struct errmsg missing;

	if (!journal->is_gone && journal->config.home != NULL &&
		home_look_at(journal->fd, &current->file, &missing) != 0)
		note_gone(journal, &missing);
	return journal->is_gone;
}

int journal_append(struct journal *journal, struct record *record)
{
	int code;

	if (is_gone(journal))
		return ERR_JOURNAL_GONE;
	if (journal->is_disk_low)
		return ERR_DISK_LOW;
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

void journal_drop(struct journal *journal, uint64_t seq)
{
	journal->checkpoint_seq = seq;
	journal->checkpoint_ms = clock_ms();
	drop_covered(journal);
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
	maybe_closed(journal);
}

void journal_free(struct journal *journal)
{
	if (journal == NULL)
		return;
	free_segments(journal);
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
