/*
 * What nobody waits for: on the thread pool, beside the job that syncs, the file of the
 * next segment is made and dropped ones are removed. So the disk may take as long for
 * that as it likes: a segment is begun only where one has been made.
 */
#include "base/log.h"
#include "journal/internal.h"
#include "journal/kept.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A file that is written to has its name on disk, or a power loss could take it with all
 * that was synced into it. So a name that cannot be synced is made anew with the next
 * upkeep. The descriptor or -1 with errno. */
static int prepare_segment(int dir_fd, struct home_file *file)
{
	int fd = segment_create(dir_fd, file->number), cause;

	if (fd < 0 && errno == EEXIST && kept_make_way(dir_fd, file->number) == 0)
		fd = segment_create(dir_fd, file->number);
	if (fd < 0 || (home_identify(fd, file) && fsync(dir_fd) == 0))
		return fd;
	cause = errno;
	(void)close(fd); /* nothing was written to it */
	/* If it stays, the next try makes way. */
	(void)!segment_remove(dir_fd, file->number);
	errno = cause;
	return -1;
}

/* On the thread pool. */
static void upkeep_work(uv_work_t *work)
{
	struct upkeep *upkeep = work->data;

	for (size_t i = 0; i < upkeep->n_removals; i++)
		if (segment_remove(upkeep->dir_fd, upkeep->removals[i]) == 0)
			upkeep->removals[i] = 0;
	if (upkeep->prepared.number == 0)
		return;
	upkeep->prepared_fd = prepare_segment(upkeep->dir_fd, &upkeep->prepared);
	upkeep->prepare_errno = upkeep->prepared_fd < 0 ? errno : 0;
}

/* Without a next segment none is ever dropped, and the journal becomes full. */
static void note_preparing(struct journal *journal, const struct upkeep *upkeep)
{
	bool has_failed = upkeep->prepare_errno != 0;
	char name[SEGMENT_NAME_BYTES];

	(void)segment_name(upkeep->prepared.number, name);
	if (has_failed && !journal->has_prepare_failed)
		log_warn("the journal's next segment cannot be made: tried every second; "
			 "until it can, the journal only grows",
			"file=journal/%s error=%s", name,
			LOG_QUOTE(strerror(upkeep->prepare_errno)));
	else if (!has_failed && journal->has_prepare_failed)
		log_info("the journal's next segment is made", "file=journal/%s", name);
	journal->has_prepare_failed = has_failed;
}

static void take_prepared(struct journal *journal, const struct upkeep *upkeep)
{
	if (upkeep->prepared.number == 0)
		return;
	note_preparing(journal, upkeep);
	journal->prepared->file = upkeep->prepared;
	journal->prepared_fd = upkeep->prepared_fd; /* -1: tried again every second */
}

static void on_upkeep_done(uv_work_t *work, int status)
{
	struct upkeep *upkeep = work->data;
	struct journal *journal =
		(struct journal *)((char *)upkeep - offsetof(struct journal, upkeep));

	(void)status; /* never cancelled */
	journal->is_upkeep_running = false;
	for (size_t i = 0; i < upkeep->n_removals; i++)
		if (upkeep->removals[i] != 0 && journal->n_dropped < MAX_REMOVALS)
			journal->dropped[journal->n_dropped++] = upkeep->removals[i];
	take_prepared(journal, upkeep);
	journal_drop_covered(journal);
	journal_maybe_closed(journal);
}

static void fill(const struct journal *journal, struct upkeep *upkeep)
{
	memset(upkeep, 0, sizeof(*upkeep));
	upkeep->work.data = upkeep;
	upkeep->dir_fd = journal->dir_fd;
	upkeep->prepared_fd = -1;
	if (journal->prepared_fd < 0)
		upkeep->prepared.number = journal->prepared->file.number;
	memcpy(upkeep->removals, journal->dropped, journal->n_dropped * sizeof(uint64_t));
	upkeep->n_removals = journal->n_dropped;
}

void upkeep_submit(struct journal *journal)
{
	bool has_work = journal->prepared_fd < 0 || journal->n_dropped > 0;

	if (journal->is_upkeep_running || journal->is_gone || !has_work)
		return;
	fill(journal, &journal->upkeep);
	journal->n_dropped = 0;
	journal->is_upkeep_running = true;
	if (uv_queue_work(journal->loop, &journal->upkeep.work, upkeep_work,
		    on_upkeep_done) != 0)
		abort(); /* only for a NULL callback */
}
