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
static struct service *prepare_service(struct ledger *ledger, const char *node,
	const struct booking *last, struct booking *booking)
{
	uint64_t n = ledger->bounds.used.of[BOUND_SERVICES];

	if (last != NULL && last->kind == booking->kind &&
		strcmp(last->service, booking->service) == 0)
		return last->in_service;
	booking->in_service =
		services_get(&ledger->services, node, booking->kind, booking->service);
	booking->made_service |= ledger->bounds.used.of[BOUND_SERVICES] > n;
	return booking->in_service;
}

static struct user *prepare_user(
	struct ledger *ledger, struct tenant *tenant, struct booking *booking)
{
	uint64_t n = ledger->bounds.used.of[BOUND_USERS];
	struct user *user = users_get(&ledger->users, booking->client, tenant);

	booking->made_user |= ledger->bounds.used.of[BOUND_USERS] > n;
	return user;
}

static struct series *prepare_series(struct ledger *ledger, struct booking *booking)
{
	uint64_t bytes = ledger->bounds.used.of[BOUND_MEMORY];
	struct series *series = services_get_series(
		&ledger->services, booking->in_service, booking->client);

	booking->made_series |= ledger->bounds.used.of[BOUND_MEMORY] > bytes;
	return series;
}

static int prepare(struct ledger *ledger, const char *node, const struct booking *last,
	struct booking *booking)
{
	booking->in_service = prepare_service(ledger, node, last, booking);
	if (booking->in_service == NULL)
		return ERR_NOMEM;
	if (booking_names_user(booking) && booking->in_user == NULL) {
		booking->in_user =
			prepare_user(ledger, booking->in_service->tenant, booking);
		if (booking->in_user == NULL)
			return ERR_NOMEM;
	}
	if (booking->has_mark) {
		booking->in_series = prepare_series(ledger, booking);
		if (booking->in_series == NULL)
			return ERR_NOMEM;
	}
	return 0;
}

/* Whoever of the next ones is there already. How many those are. */
static size_t find_users(
	const struct ledger *ledger, const struct bookings *bookings, size_t first)
{
	size_t left = bookings->n - first, n = left < USERS_AHEAD ? left : USERS_AHEAD;

	users_find_all(&ledger->users, &bookings->list[first], n);
	return n;
}

int ledger_prepare_more(struct ledger *ledger, const char *node,
	struct bookings *bookings, struct prepared *prepared)
{
	struct booking *list = bookings->list;
	size_t found = prepared->n;
	int code = 0;

	if (prepared->n == 0)
		prepared->n_freed = ledger->bounds.n_freed;
	for (size_t i = prepared->n; i < bookings->n && code == 0; i++) {
		if (i == found)
			found += find_users(ledger, bookings, i);
		code = prepare(ledger, node, i > 0 ? &list[i - 1] : NULL, &list[i]);
		prepared->n += code == 0;
	}
	return code;
}

/* For what each booking may change. */
static int reserve_changes(struct ledger *ledger, const struct bookings *bookings)
{
	int code = changes_reserve(&ledger->users.changes, bookings->n);

	return code == 0 ? changes_reserve(&ledger->services.series_changes, bookings->n)
			 : code;
}

int ledger_prepare_rest(struct ledger *ledger, const char *node,
	struct bookings *bookings, struct prepared *prepared)
{
	int code = repeats_prepare(&ledger->repeats);

	if (code == 0)
		code = reserve_changes(ledger, bookings);
	if (prepared->n_freed != ledger->bounds.n_freed)
		prepared->n = 0;
	return code == 0 ? ledger_prepare_more(ledger, node, bookings, prepared) : code;
}

int ledger_prepare(struct ledger *ledger, const char *node, struct bookings *bookings)
{
	struct prepared prepared = {0};

	return ledger_prepare_rest(ledger, node, bookings, &prepared);
}

/* What it has made is still there, but perhaps not its own any more: something of another
 * report was applied to it. */
static void forget_prepared(struct ledger *ledger, const char *node,
	struct tenant *tenant, struct booking *booking)
{
	struct services *services = &ledger->services;
	struct service *service = booking->made_series || booking->made_service
		? services_find(services, node, booking->kind, booking->service)
		: NULL;

	if (service != NULL && booking->made_series)
		services_forget_series(services, service, booking->client);
	if (service != NULL && booking->made_service)
		services_forget_prepared(services, service);
	if (booking->made_user)
		users_forget_prepared(&ledger->users, booking->client, tenant);
	booking->made_series = booking->made_service = booking->made_user = false;
	booking->in_service = NULL;
	booking->in_user = NULL;
	booking->in_series = NULL;
}

static void forget_from(
	struct ledger *ledger, const char *node, struct bookings *bookings, size_t from)
{
	struct bounds *bounds = &ledger->bounds;
	struct tenant *tenant = bounds_find(bounds, node);

	/* It would go with its last service, before the last of its users. */
	if (tenant != NULL)
		tenant->n_refs++;
	for (size_t i = bookings->n; i > from; i--)
		forget_prepared(ledger, node, tenant, &bookings->list[i - 1]);
	if (tenant != NULL)
		bounds_release(bounds, tenant);
}

void ledger_forget_prepared(
	struct ledger *ledger, const char *node, struct bookings *bookings)
{
	forget_from(ledger, node, bookings, 0);
}

void ledger_forget_from(
	struct ledger *ledger, const char *node, struct bookings *bookings, size_t from)
{
	forget_from(ledger, node, bookings, from);
	bookings->n = from;
}

void ledger_measure(struct ledger *ledger, struct bookings *bookings)
{
	series_measure(bookings, ++ledger->n_measured);
}

void ledger_apply(struct ledger *ledger, const struct bookings *bookings,
	const struct origin *origin)
{
	struct service *first = bookings->list[0].in_service;
	enum show show = ledger_show_of(bookings);
	bool is_repeat = origin->repeats != 0;

	for (size_t i = 0; i < bookings->n && !is_repeat; i++) {
		services_apply(ledger, &bookings->list[i], origin);
		if (bookings->list[i].in_user != NULL)
			users_apply(ledger, &bookings->list[i], origin, show);
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
	uint64_t asked = ++ledger->n_asked;

	for (size_t i = 0; i < bookings->n && bookings->n_stats > 0; i++) {
		struct stream *stream = &list[i].in_service->stream;
		uint64_t seq;

		if (stream->asked == asked)
			continue; /* each answer may cost a system call */
		stream->asked = asked;
		seq = repeats_find(
			&ledger->repeats, stream, fingerprint, delivery_of, arg);
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
