/*
 * Series whose mark is void give way (rule 29): where an epoch has begun, all of its
 * service are looked at, a few with each report, so that no turn is long. A mark of an
 * earlier epoch and none measure the same, so it does not matter when one goes, nor
 * whether a fold has met it. SQLite drops its rows with the cut that tells it the epoch.
 */
#include "account/internal.h"

/* With each report: more than one can bring. Where memory is nearly used, more at once;
 * that is below a millisecond. */
#define SLICE 256
#define LARGE_SLICE 4096

void sweep_begin(struct services *services, struct service *service)
{
	service->drops_void = true;
	service->sweep_at = series_next(&service->series, NULL);
	if (service->is_swept || service->sweep_at == NULL)
		return;
	service->is_swept = true;
	TAILQ_INSERT_TAIL(&services->swept, service, sweep_link);
}

void sweep_forget(struct services *services, struct service *service)
{
	if (!service->is_swept)
		return;
	TAILQ_REMOVE(service->is_postponed ? &services->postponed : &services->swept,
		service, sweep_link);
	service->is_swept = false;
}

/* A cut that has not ended may still read some of its series. */
static void end_pass(struct services *services, struct service *service)
{
	TAILQ_REMOVE(&services->swept, service, sweep_link);
	service->is_postponed = service->has_skipped;
	service->has_skipped = false;
	if (service->is_postponed)
		TAILQ_INSERT_TAIL(&services->postponed, service, sweep_link);
	else
		service->is_swept = false;
}

/* Perhaps the one before, if it has changed again since. */
static bool is_in_cut(const struct changes *changes, const struct series *series)
{
	return changes_is_in_cut(changes, series->change) ||
		(series->was_in_cut && changes_have_cut(changes));
}

static void look_at(struct services *services, struct series *series)
{
	struct service *service = series->service;

	service->sweep_at = series_next(&service->series, series);
	if (!series->is_known || series->mark.epoch >= service->epoch.number)
		return;
	if (is_in_cut(&services->series_changes, series))
		service->has_skipped = true;
	else
		services_free_series(services, series);
}

void sweep(struct services *services, size_t n)
{
	struct service *service;

	while (n > 0 && (service = TAILQ_FIRST(&services->swept)) != NULL) {
		if (service->sweep_at == NULL) {
			end_pass(services, service);
			continue;
		}
		look_at(services, service->sweep_at);
		n--;
	}
}

void sweep_resume(struct services *services)
{
	struct service *service;

	while ((service = TAILQ_FIRST(&services->postponed)) != NULL) {
		TAILQ_REMOVE(&services->postponed, service, sweep_link);
		service->is_postponed = false;
		service->sweep_at = series_next(&service->series, NULL);
		TAILQ_INSERT_TAIL(&services->swept, service, sweep_link);
	}
}

void ledger_sweep(struct ledger *ledger)
{
	const struct bounds *bounds = &ledger->bounds;

	if (!TAILQ_EMPTY(&ledger->services.swept))
		sweep(&ledger->services,
			bounds_is_near(bounds->used.of[BOUND_MEMORY],
				bounds->max.of[BOUND_MEMORY])
				? LARGE_SLICE
				: SLICE);
}
