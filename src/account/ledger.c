/*
 * The ledger's face: from loading and prepared bookings to what the files beside this
 * keep, see account/internal.h. Bytes come in through ledger_apply() and leave twice: by
 * ledger_cut() towards SQLite and by ledger_take_unsent() towards Redis.
 *
 * uthash ends the process if it cannot grow a table of commands: the journal holds
 * everything, so the next start folds it again.
 */
#include "account/internal.h"

#include <stdlib.h>
#include <string.h>

struct ledger *ledger_new(size_t max_users, bool has_view)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (ledger == NULL)
		return NULL;
	if (rejects_init(&ledger->rejects) != 0) {
		free(ledger);
		return NULL;
	}
	bounds_init(&ledger->bounds, max_users);
	users_init(&ledger->users, &ledger->bounds, has_view);
	services_init(&ledger->services, &ledger->bounds);
	repeats_init(&ledger->repeats, &ledger->bounds);
	nodes_init(&ledger->nodes, &ledger->bounds);
	audit_init(&ledger->audit);
	watch_init(&ledger->watch);
	return ledger;
}

void ledger_free(struct ledger *ledger)
{
	if (ledger == NULL)
		return;
	watch_done(&ledger->watch);
	users_done(&ledger->users);
	services_done(&ledger->services);
	repeats_done(&ledger->repeats);
	rejects_done(&ledger->rejects);
	nodes_done(&ledger->nodes);
	audit_done(&ledger->audit);
	bounds_done(&ledger->bounds);
	free(ledger);
}

uint64_t ledger_add(struct ledger *ledger, uint64_t a, uint64_t b)
{
	if (b <= TOTAL_MAX - a)
		return a + b;
	ledger->has_saturated = true;
	return TOTAL_MAX;
}

void ledger_add_totals(struct ledger *ledger, struct totals *to, const struct totals *by)
{
	to->used = ledger_add(ledger, to->used, by->used);
	to->input = ledger_add(ledger, to->input, by->input);
	to->output = ledger_add(ledger, to->output, by->output);
}

int ledger_load_open_report(struct ledger *ledger, const char *node, enum event_kind kind,
	const char *name, const struct origin *origin)
{
	struct service *service = services_get(&ledger->services, node, kind, name);

	if (service == NULL)
		return ERR_NOMEM;
	services_make_real(&ledger->services, service, 1);
	return repeats_load(&ledger->repeats, &service->stream, origin);
}

/* `last`: the booking before, or NULL. A report nearly always has one service. */
static int prepare(struct ledger *ledger, const char *node, const struct booking *last,
	struct booking *booking)
{
	bool is_same = last != NULL && last->kind == booking->kind &&
		strcmp(last->service, booking->service) == 0;
	struct service *service = is_same
		? last->in_service
		: services_get(&ledger->services, node, booking->kind, booking->service);

	if (service == NULL)
		return ERR_NOMEM;
	booking->in_service = service;
	if (booking_names_user(booking) && booking->in_user == NULL) {
		booking->in_user =
			users_get(&ledger->users, booking->client, service->tenant);
		if (booking->in_user == NULL)
			return ERR_NOMEM;
	}
	if (booking->has_mark) {
		booking->in_series =
			services_get_series(&ledger->services, service, booking->client);
		if (booking->in_series == NULL)
			return ERR_NOMEM;
	}
	return 0;
}

static void find_users(
	const struct ledger *ledger, const struct bookings *bookings, size_t first)
{
	size_t n = bookings->n - first;

	users_find_all(&ledger->users, &bookings->list[first],
		n < USERS_AHEAD ? n : USERS_AHEAD);
}

/* For what each booking may change. */
static int reserve_changes(struct ledger *ledger, const struct bookings *bookings)
{
	int code = changes_reserve(&ledger->users.changes, bookings->n);

	return code == 0 ? changes_reserve(&ledger->services.series_changes, bookings->n)
			 : code;
}

int ledger_prepare(struct ledger *ledger, const char *node, struct bookings *bookings)
{
	int code = repeats_prepare(&ledger->repeats);

	if (code == 0)
		code = reserve_changes(ledger, bookings);
	for (size_t i = 0; i < bookings->n && code == 0; i++) {
		if (i % USERS_AHEAD == 0)
			find_users(ledger, bookings, i);
		code = prepare(ledger, node, i > 0 ? &bookings->list[i - 1] : NULL,
			&bookings->list[i]);
	}
	return code;
}

/* Looked up by name, since one report may name the same newcomer twice. */
static void forget_prepared(struct ledger *ledger, const char *node,
	struct tenant *tenant, struct booking *booking)
{
	struct services *services = &ledger->services;
	struct service *service =
		services_find(services, node, booking->kind, booking->service);

	if (service != NULL && booking->has_mark)
		services_forget_series(services, service, booking->client);
	if (service != NULL)
		services_forget_prepared(services, service);
	if (booking_names_user(booking))
		users_forget_prepared(&ledger->users, booking->client, tenant);
	booking->in_service = NULL;
	booking->in_user = NULL;
	booking->in_series = NULL;
}

void ledger_forget_prepared(
	struct ledger *ledger, const char *node, struct bookings *bookings)
{
	struct bounds *bounds = &ledger->bounds;
	struct tenant *tenant = bounds_find(bounds, node);

	/* It would go with its last service, before the last of its users. */
	if (tenant != NULL)
		tenant->n_refs++;
	for (size_t i = 0; i < bookings->n; i++)
		forget_prepared(ledger, node, tenant, &bookings->list[i]);
	if (tenant != NULL)
		bounds_release(bounds, tenant);
}

void ledger_measure(struct ledger *ledger, struct bookings *bookings)
{
	series_measure(bookings, ++ledger->n_measured);
}

void ledger_apply(struct ledger *ledger, const struct bookings *bookings,
	const struct origin *origin)
{
	struct service *first = bookings->list[0].in_service;
	bool is_repeat = origin->repeats != 0;

	for (size_t i = 0; i < bookings->n && !is_repeat; i++) {
		services_apply(ledger, &bookings->list[i], origin);
		if (bookings->list[i].in_user != NULL)
			users_apply(ledger, &bookings->list[i], origin);
	}
	/* What a repeat repeats may be lost; its service has an open report all the same.
	 */
	if (first->updated_ms == 0)
		services_make_real(&ledger->services, first, origin->time_ms);
	repeats_note(&ledger->repeats,
		is_repeat ? &first->stream : ledger_stream(bookings), origin);
	ledger->seq = origin->seq;
	ledger_sweep(ledger);
}

struct stream *ledger_stream(const struct bookings *bookings)
{
	return bookings->n_stats > 0 ? &bookings->list[0].in_service->stream : NULL;
}

/* Which of its services was the first when it was open may have changed since: an event
 * that there was no room for is left out, and now there is room. */
uint64_t ledger_find_repeat(struct ledger *ledger, struct bookings *bookings,
	const uint8_t fingerprint[FINGERPRINT_BYTES], delivery_cb delivery_of, void *arg)
{
	struct booking *list = bookings->list, first = list[0];

	for (size_t i = 0; i < bookings->n && bookings->n_stats > 0; i++) {
		uint64_t seq;

		if (i > 0 && list[i].in_service == list[i - 1].in_service)
			continue;
		seq = repeats_find(&ledger->repeats, &list[i].in_service->stream,
			fingerprint, delivery_of, arg);
		if (seq != 0) {
			list[0] = list[i];
			list[i] = first;
			return seq;
		}
	}
	return 0;
}

void ledger_tell_proofs(const struct ledger *ledger, struct origin *origin)
{
	origin->proved = ledger->repeats.proofs.conns;
	origin->n_proved = ledger->repeats.proofs.n;
}

struct repeats *ledger_repeats(struct ledger *ledger)
{
	return &ledger->repeats;
}

struct watch *ledger_watch(struct ledger *ledger)
{
	return &ledger->watch;
}

void ledger_get_stats(const struct ledger *ledger, struct ledger_stats *ret_stats)
{
	const struct users *users = &ledger->users;

	*ret_stats = (struct ledger_stats){.users = users->n,
		.dirty_users = users->changes.n + users->n_in_cut_only,
		.unsent_users = users->n_unsent,
		.services = ledger->services.n,
		.series = ledger->services.n_series,
		.open_reports = ledger->repeats.n_open,
		.dropped_open_reports = ledger->repeats.n_dropped,
		.has_saturated = ledger->has_saturated};
}

void ledger_set_bounds(struct ledger *ledger, uint64_t max_bytes, uint64_t load_max_bytes)
{
	ledger->bounds.max.of[BOUND_MEMORY] = max_bytes;
	ledger->bounds.load_max_bytes = load_max_bytes;
}

const struct bounds *ledger_bounds(const struct ledger *ledger)
{
	return &ledger->bounds;
}

void ledger_note_rejected(struct ledger *ledger, const char *node, uint64_t n)
{
	struct tenant *tenant = bounds_find(&ledger->bounds, node);

	if (tenant != NULL)
		tenant->rejected_events += n;
}

bool ledger_is_overloaded(const struct ledger *ledger)
{
	return ledger->bounds.used.of[BOUND_MEMORY] > ledger->bounds.load_max_bytes;
}

static bool tell_share(struct bounds *bounds, struct tenant *tenant, enum bound bound)
{
	uint64_t used = tenant->used.of[bound], share;

	share = bounds_share(bounds, tenant, bound);
	if (bounds_is_far(used, share))
		tenant->has_told[bound] = false;
	if (tenant->has_told[bound] || !bounds_is_near(used, share))
		return false;
	tenant->has_told[bound] = true;
	bounds->has_told_any = true;
	return true;
}

bool ledger_tell_share(struct ledger *ledger, const char *node, enum bound *ret_bound)
{
	struct bounds *bounds = &ledger->bounds;
	bool is_any_near = bounds->has_told_any || bounds_is_any_near(bounds);
	struct tenant *tenant = is_any_near ? bounds_find(bounds, node) : NULL;

	for (size_t i = 0; i < BOUNDS && tenant != NULL; i++) {
		if (!tell_share(bounds, tenant, (enum bound)i))
			continue;
		*ret_bound = (enum bound)i;
		return true;
	}
	return false;
}

bool ledger_is_new(const struct ledger *ledger)
{
	return ledger->seq == 0 && ledger->users.n == 0 && ledger->nodes.n == 0 &&
		ledger->link.record.at_ms == 0;
}

uint64_t ledger_seq(const struct ledger *ledger)
{
	return ledger->seq;
}

uint64_t ledger_applied_seq(const struct ledger *ledger)
{
	return ledger->applied_seq;
}

void ledger_set_applied_seq(struct ledger *ledger, uint64_t seq)
{
	ledger->applied_seq = seq;
	ledger->seq = seq;
}
