/*
 * One job at a time on the thread pool: fill_job() copies what it works on into `struct
 * job`, job_work() does all that may block, on_job_done() takes over what has come of it.
 *
 * It syncs what was written, and looks whether all files are there and how much of the
 * disk is free: answers wait for it. What they need not wait for is upkeep.c's. Files
 * that are gone: job_note_gone(), on_gone() until journal_drop() has all of it, and then
 * a job begins anew.
 */
#include "base/clock.h"
#include "base/log.h"
#include "journal/internal.h"
#include "journal/kept.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static void look_at_disk(struct job *job)
{
	struct statvfs fs;

	job->free_bytes = UINT64_MAX;
	if (fstatvfs(job->dir_fd, &fs) != 0)
		return; /* unknown is not low: the write itself will tell */
	job->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	job->total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
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

/* Also a file to which nothing was written has something to sync: when it was. */
static int probe(int fd)
{
	(void)futimens(fd, NULL); /* if not, it tells nothing */
	return fsync(fd);
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
	if (job->does_probe && probe(job->fds[job->n_fds - 1]) != 0)
		job->sync_errno = errno;
	/* Behind the sync: what was answered because of it was there after it. */
	look_or_begin(job);
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

void job_ask_for_checkpoint(const struct journal *journal)
{
	if (journal->is_gone && journal->checkpoint_seq < journal->seq)
		journal->config.home->on_gone(journal->config.home->arg);
}

/* Logged once, here. */
void job_note_gone(struct journal *journal, const struct errmsg *missing)
{
	journal->is_gone = true;
	journal->missing = *missing;
	journal->is_poked = true;
	log_error("the journal was taken away: reports are refused until all that was "
		  "accepted is in the database",
		"what=%s records=%" PRIu64, LOG_QUOTE(missing->text), journal->records);
	job_ask_for_checkpoint(journal);
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
	journal_free_segments(journal);
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
			job_note_gone(journal, &job->home_msg);
	} else if (job->home_code == 0) {
		take_begun(journal, &job->begun);
	} else {
		if (strcmp(journal->missing.text, job->home_msg.text) != 0)
			log_error("the journal cannot be begun anew: tried every second",
				"reason=%s", LOG_QUOTE(job->home_msg.text));
		journal->missing = job->home_msg;
	}
}

/* How long an answer would have waited. */
static void note_time(struct journal *journal, const struct job *job)
{
	if (!job->does_sync && !job->does_probe)
		return;
	journal->sync_ms = clock_ms() - job->began_ms;
	if (!journal->has_told_late || journal_is_late(journal))
		return;
	journal->has_told_late = false;
	log_info("the disk syncs the journal in time again", "sync_ms=%" PRIu64,
		journal->sync_ms);
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
	note_time(journal, job);
	note_disk(journal, job);
	journal_drop_covered(journal);
	take_sync(journal, job);
	if (!journal->is_gone &&
		((journal->config.fsync == FSYNC_ALWAYS &&
			 journal->synced_seq < journal->seq) ||
			journal->synced_seq < journal->wanted_seq))
		journal->is_poked = true;
	journal_maybe_closed(journal);
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
	bool does_begin = journal->is_gone && journal->checkpoint_seq >= journal->seq &&
		!journal->is_upkeep_running;
	bool does_all = journal->is_look_at_all_due || does_begin;

	if (journal->config.home == NULL || journal->on_closed != NULL ||
		(journal->is_gone && !does_begin) || !list_files(journal, does_all, job))
		return;
	job->home = journal->config.home;
	journal->is_look_at_all_due = false;
	if (does_begin) {
		job->begin_number = journal->prepared->file.number + 1;
		job->begin_head = journal_next_head(journal);
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
	job->does_probe =
		!job->does_sync && journal_is_late(journal) && !journal->is_gone;
}

static void fill_job(struct journal *journal, struct job *job)
{
	memset(job, 0, sizeof(*job));
	job->work.data = job;
	job->dir_fd = journal->dir_fd;
	job->began_ms = clock_ms();
	job->covers_seq = journal->seq;
	fill_home(journal, job);
	if (!journal->is_gone || journal->on_closed != NULL)
		fill_files(journal, job);
}

void job_submit(struct journal *journal)
{
	if (journal->is_job_running)
		return;
	upkeep_submit(journal);
	fill_job(journal, &journal->job);
	journal->is_job_running = true;
	if (uv_queue_work(journal->loop, &journal->job.work, job_work, on_job_done) != 0)
		abort(); /* only for a NULL callback */
}

void job_look_at_disk(struct journal *journal)
{
	journal->job.dir_fd = journal->dir_fd;
	look_at_disk(&journal->job);
	note_disk(journal, &journal->job);
}
