/*
 * The cut: what SQLite lacks, moved out of the ledger in one turn, and given back if it
 * could not be written. Memory for all of it is allocated before anything moves.
 */
#include "account/internal.h"

#include <stdlib.h>
#include <string.h>

bool ledger_is_dirty(const struct ledger *ledger)
{
	return ledger->n_dirty_users > 0 || ledger->n_dirty_services > 0 ||
		ledger->repeats.n_dirty > 0 || ledger->n_rejects > 0 ||
		!ledger_is_link_saved(ledger);
}

static void free_cut(struct cut *cut)
{
	for (size_t i = 0; i < cut->n_rejects; i++)
		reject_free(&cut->rejects[i]);
	free(cut->users);
	free(cut->services);
	free(cut->series);
	free(cut->streams);
	free(cut->open_reports);
	free(cut->rejects);
	free(cut);
}

static struct cut *allocate_cut(const struct ledger *ledger)
{
	struct cut *cut = calloc(1, sizeof(*cut));

	if (cut == NULL)
		return NULL;
	cut->users = calloc(ledger->n_dirty_users + 1, sizeof(*cut->users));
	cut->services = calloc(ledger->n_dirty_services + 1, sizeof(*cut->services));
	cut->series = calloc(ledger->n_dirty_series + 1, sizeof(*cut->series));
	cut->streams = calloc(ledger->repeats.n_dirty + 1, sizeof(struct stream *));
	cut->open_reports =
		calloc(ledger->repeats.n_open + 1, sizeof(*cut->open_reports));
	cut->rejects = calloc(ledger->n_rejects + 1, sizeof(*cut->rejects));
	if (cut->users == NULL || cut->services == NULL || cut->series == NULL ||
		cut->streams == NULL || cut->open_reports == NULL ||
		cut->rejects == NULL) {
		free_cut(cut);
		return NULL;
	}
	return cut;
}

static void move_user(struct ledger *ledger, struct cut *cut, struct user *user)
{
	TAILQ_REMOVE(&ledger->dirty_users, user, dirty_link);
	ledger->n_dirty_users--;
	cut->users[cut->n_users++] = (struct cut_user){
		user, user->pending, user->created_ms, user->last_seen_ms};
	user->pending = (struct totals){0};
	user->is_dirty = false;
	user->is_in_cut = true;
}

static void move_service(struct ledger *ledger, struct cut *cut, struct service *service)
{
	struct cut_service *moved = &cut->services[cut->n_services++];

	TAILQ_REMOVE(&ledger->dirty_services, service, dirty_link);
	ledger->n_dirty_services--;
	*moved = (struct cut_service){.service = service,
		.increment = service->pending,
		.last = service->last,
		.updated_ms = service->updated_ms,
		.epoch = service->epoch};
	memcpy(moved->state, service->state, sizeof(moved->state));
	service->pending = (struct totals){0};
	service->is_dirty = false;
}

static void move_series(struct ledger *ledger, struct cut *cut, struct series *series)
{
	TAILQ_REMOVE(&ledger->dirty_series, series, dirty_link);
	ledger->n_dirty_series--;
	cut->series[cut->n_series++] = (struct cut_series){series, series->mark};
	series->is_dirty = false;
}

static void move_stream(struct ledger *ledger, struct cut *cut, struct stream *stream)
{
	const struct open_report *report;

	repeats_mark_clean(&ledger->repeats, stream);
	cut->streams[cut->n_streams++] = stream;
	TAILQ_FOREACH (report, &stream->open, link) {
		struct cut_open_report *moved = &cut->open_reports[cut->n_open_reports++];

		*moved = (struct cut_open_report){.service = stream->service,
			.origin = {.seq = report->seq,
				.conn = report->conn,
				.time_ms = report->time_ms}};
		memcpy(moved->origin.fingerprint, report->fingerprint, FINGERPRINT_BYTES);
	}
}

struct cut *ledger_cut(struct ledger *ledger)
{
	struct cut *cut = allocate_cut(ledger);

	if (cut == NULL)
		return NULL;
	cut->prev_seq = ledger->applied_seq;
	cut->seq = ledger->seq;
	while (!TAILQ_EMPTY(&ledger->dirty_users))
		move_user(ledger, cut, TAILQ_FIRST(&ledger->dirty_users));
	while (!TAILQ_EMPTY(&ledger->dirty_services))
		move_service(ledger, cut, TAILQ_FIRST(&ledger->dirty_services));
	while (!TAILQ_EMPTY(&ledger->dirty_series))
		move_series(ledger, cut, TAILQ_FIRST(&ledger->dirty_series));
	while (!TAILQ_EMPTY(&ledger->repeats.dirty))
		move_stream(ledger, cut, TAILQ_FIRST(&ledger->repeats.dirty));
	memcpy(cut->rejects, ledger->rejects, ledger->n_rejects * sizeof(*cut->rejects));
	cut->n_rejects = ledger->n_rejects;
	ledger->n_rejects = 0;
	cut->has_link = !ledger_is_link_saved(ledger);
	cut->link = ledger->link;
	cut->link_version = ledger->link_version;
	return cut;
}

void ledger_cut_committed(struct ledger *ledger, struct cut *cut)
{
	for (size_t i = 0; i < cut->n_users; i++) {
		struct user *user = cut->users[i].user;

		user->is_in_cut = false;
		if (!user->is_dirty)
			ledger->stats.dirty_users--;
	}
	ledger->applied_seq = cut->seq;
	ledger->saved_link_version = cut->link_version;
	free_cut(cut);
}

/* Rejects of the cut are older than those that came since: they go back in front, if
 * there is room. */
static void restore_rejects(struct ledger *ledger, struct cut *cut)
{
	size_t room = LEDGER_MAX_REJECTS - ledger->n_rejects;
	size_t n = cut->n_rejects < room ? cut->n_rejects : room;
	size_t skipped = cut->n_rejects - n;

	memmove(ledger->rejects + n, ledger->rejects,
		ledger->n_rejects * sizeof(*ledger->rejects));
	memcpy(ledger->rejects, cut->rejects + skipped, n * sizeof(*ledger->rejects));
	ledger->n_rejects += n;
	cut->n_rejects = skipped;
}

void ledger_cut_failed(struct ledger *ledger, struct cut *cut)
{
	for (size_t i = 0; i < cut->n_users; i++) {
		struct user *user = cut->users[i].user;

		ledger_add_totals(ledger, &user->pending, &cut->users[i].increment);
		ledger_mark_user_dirty(ledger, user);
		user->is_in_cut = false;
	}
	for (size_t i = 0; i < cut->n_services; i++) {
		/* The cut says const for the pool's sake; the ledger owns the service. */
		struct service *service = (struct service *)cut->services[i].service;

		ledger_add_totals(ledger, &service->pending, &cut->services[i].increment);
		ledger_mark_service_dirty(ledger, service);
	}
	/* Likewise: the ledger's own. */
	for (size_t i = 0; i < cut->n_series; i++)
		ledger_mark_series_dirty(ledger, (struct series *)cut->series[i].series);
	for (size_t i = 0; i < cut->n_streams; i++)
		repeats_mark_dirty(&ledger->repeats, cut->streams[i]);
	restore_rejects(ledger, cut);
	free_cut(cut);
}
