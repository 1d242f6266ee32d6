/*
 * Services, and the series of their cumulative counters.
 */
#define HASH_NONFATAL_OOM 1
#include "account/internal.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

void services_init(struct services *services, struct bounds *bounds)
{
	services->bounds = bounds;
	TAILQ_INIT(&services->swept);
	TAILQ_INIT(&services->postponed);
	dirty_init(&services->dirty);
	changes_init(&services->series_changes, sizeof(struct cut_series));
}

static void free_service(struct service *service)
{
	series_done(&service->series);
	free(service);
}

void services_done(struct services *services)
{
	struct service *service = services->table, *next;

	HASH_CLEAR(hh, services->table);
	for (; service != NULL; service = next) {
		next = service->hh.next;
		free_service(service);
	}
	changes_done(&services->series_changes);
}

/* The key is: node NUL kind name. Returns its length. */
#define SERVICE_KEY_BYTES (2 * NAME_MAX_BYTES + 3)
static size_t make_key(
	char *key, const char *node, enum event_kind kind, const char *name)
{
	size_t node_len = strnlen(node, NAME_MAX_BYTES),
	       name_len = strnlen(name, NAME_MAX_BYTES);

	memcpy(key, node, node_len);
	key[node_len] = '\0';
	key[node_len + 1] = kind == KIND_SERVICE ? 's' : 'h';
	memcpy(key + node_len + 2, name, name_len);
	key[node_len + 2 + name_len] = '\0';
	return node_len + 2 + name_len;
}

static struct service *find(const struct services *services, const char *key, size_t len)
{
	struct service *service;

	HASH_FIND(hh, services->table, key, len, service);
	return service;
}

struct service *services_find(const struct services *services, const char *node,
	enum event_kind kind, const char *name)
{
	char key[SERVICE_KEY_BYTES];
	size_t len = make_key(key, node, kind, name);

	return find(services, key, len);
}

/* Both kinds of one service begin anew together. */
static void join_other_kind(struct services *services, struct service *service)
{
	struct service *other = services_find(services, service->node,
		service->kind == KIND_SERVICE ? KIND_HANDLER : KIND_SERVICE,
		service->name);

	if (other == NULL)
		return;
	service->other = other;
	service->epoch = other->epoch;
	other->other = service;
}

/* Of one whose key is so long. */
static uint64_t keyed_bytes(size_t key_len)
{
	return bounds_row_bytes(sizeof(struct service) + key_len + 1);
}

uint64_t service_bytes(size_t node_len, size_t name_len)
{
	return keyed_bytes(node_len + 2 + name_len);
}

/* It is in the table, and its tenant has paid for it. */
static bool add(struct services *services, struct service *service, size_t key_len)
{
	service->tenant = bounds_hold(services->bounds, service->node);
	if (service->tenant == NULL)
		return false;
	HASH_ADD_KEYPTR(hh, services->table, service->key, key_len, service);
	if (!HASH_IS_ADDED(service)) {
		bounds_release(services->bounds, service->tenant);
		return false;
	}
	bounds_add(services->bounds, service->tenant, BOUND_MEMORY, keyed_bytes(key_len));
	bounds_add(services->bounds, service->tenant, BOUND_SERVICES, 1);
	return true;
}

static struct service *make(
	struct services *services, const char *key, size_t len, enum event_kind kind)
{
	struct service *service = calloc(1, sizeof(*service) + len + 1);

	if (service == NULL)
		return NULL;
	memcpy(service->key, key, len + 1);
	service->node = service->key;
	service->name = service->key + strlen(service->key) + 2;
	service->kind = kind;
	series_init(&service->series);
	stream_init(&service->stream, service);
	if (!add(services, service, len)) {
		free(service);
		return NULL;
	}
	join_other_kind(services, service);
	return service;
}

struct service *services_get(struct services *services, const char *node,
	enum event_kind kind, const char *name)
{
	char key[SERVICE_KEY_BYTES];
	size_t len = make_key(key, node, kind, name);
	struct service *service = find(services, key, len);

	return service != NULL ? service : make(services, key, len, kind);
}

void services_forget_prepared(struct services *services, struct service *service)
{
	struct bounds *bounds = services->bounds;
	struct tenant *tenant = service->tenant;
	struct series *series;

	if (service->updated_ms != 0)
		return;
	if (service->other != NULL)
		service->other->other = NULL;
	sweep_forget(services, service);
	while ((series = series_next(&service->series, NULL)) != NULL)
		services_free_series(services, series);
	series_done(&service->series);
	bounds_sub(bounds, tenant, BOUND_MEMORY, keyed_bytes(service->hh.keylen));
	bounds_sub(bounds, tenant, BOUND_SERVICES, 1);
	bounds->n_freed++;
	/* The analyzer does not see that what was found stands in the table. */
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	HASH_DEL(services->table, service);
	free(service);
	bounds_release(bounds, tenant);
}

uint64_t series_bytes(size_t client_len)
{
	return bounds_item_bytes(series_size(client_len)) + sizeof(struct cut_series);
}

struct series *services_get_series(
	struct services *services, struct service *service, const char *client)
{
	struct series *series = series_find(&service->series, client);

	if (series != NULL)
		return series;
	series = series_new(&service->series, client, service);
	if (series != NULL)
		bounds_add(services->bounds, service->tenant, BOUND_MEMORY,
			series_bytes(series->item.key_len));
	return series;
}

void services_free_series(struct services *services, struct series *series)
{
	struct service *service = series->service;
	struct cut_series *change =
		changes_find(&services->series_changes, series->change);

	if (service->sweep_at == series)
		service->sweep_at = series_next(&service->series, series);
	if (change != NULL)
		change->series = NULL;
	services->n_series -= series->is_known;
	bounds_sub(services->bounds, service->tenant, BOUND_MEMORY,
		series_bytes(series->item.key_len));
	services->bounds->n_freed++;
	series_free(&service->series, series);
}

void services_forget_series(
	struct services *services, struct service *service, const char *client)
{
	struct series *series = series_find(&service->series, client);

	if (series != NULL && !series->is_known)
		services_free_series(services, series);
}

/* A service is real from the first time something was applied to it. */
void services_make_real(
	struct services *services, struct service *service, uint64_t now_ms)
{
	struct tenant *tenant = service->tenant;

	services->n += service->updated_ms == 0;
	if (now_ms > service->updated_ms)
		service->updated_ms = now_ms;
	if (now_ms > tenant->last_report_ms)
		tenant->last_report_ms = now_ms;
}

void series_set_mark(
	struct services *services, struct series *series, const struct mark *mark)
{
	services->n_series += !series->is_known;
	series->is_known = true;
	series->mark = *mark;
}

/* There is room for it. */
static void note_mark(struct services *services, struct series *series)
{
	struct cut_series *change =
		changes_find(&services->series_changes, series->change);

	if (change == NULL) {
		series->was_in_cut =
			changes_is_in_cut(&services->series_changes, series->change);
		change = changes_add(&services->series_changes, &series->change);
	}
	*change = (struct cut_series){series, series->mark};
}

static void enter_epoch(struct ledger *ledger, struct service *service, const char *state)
{
	struct epoch before = service->epoch;

	if (epoch_enter(&service->epoch, state)) {
		repeats_lapse(&ledger->repeats, &service->stream);
		sweep_begin(&ledger->services, service);
	}
	/* One that is only prepared is dirty once it is real. */
	if (service->updated_ms != 0 &&
		(before.last != service->epoch.last ||
			before.is_starting != service->epoch.is_starting))
		dirty_mark(&ledger->services.dirty, &service->row);
}

static void enter_state(struct ledger *ledger, struct service *service, const char *state)
{
	memset(service->state, 0, sizeof(service->state));
	strncpy(service->state, state, sizeof(service->state) - 1);
	enter_epoch(ledger, service, state);
	/* Which may be only prepared yet: then a later booking of this report is for it.
	 */
	if (service->other != NULL)
		enter_epoch(ledger, service->other, state);
}

static uint64_t add_shown(uint64_t a, uint64_t b)
{
	return b <= TOTAL_MAX - a ? a + b : TOTAL_MAX;
}

/* Connections and errors, which are only shown: a report tells of those clients whose
 * counters have changed, each in an event of its own. */
static void add_to_shown(
	struct service *service, const struct counters *counters, uint64_t seq)
{
	struct counters *last = &service->last;

	if (service->last_seq != seq)
		last->total_conns = last->current_conns = last->total_errs = 0;
	service->last_seq = seq;
	last->total_conns = add_shown(last->total_conns, counters->total_conns);
	last->current_conns = add_shown(last->current_conns, counters->current_conns);
	last->total_errs = add_shown(last->total_errs, counters->total_errs);
}

static void add_counters(struct ledger *ledger, struct service *service,
	const struct counters *counters, uint64_t seq)
{
	struct totals delta = {0, counters->input_bytes, counters->output_bytes};

	ledger_add_totals(ledger, &service->pending, &delta);
	service->last.input_bytes =
		ledger_add(ledger, service->last.input_bytes, delta.input);
	service->last.output_bytes =
		ledger_add(ledger, service->last.output_bytes, delta.output);
	add_to_shown(service, counters, seq);
}

void services_apply(
	struct ledger *ledger, const struct booking *booking, const struct origin *origin)
{
	struct services *services = &ledger->services;
	struct service *service = booking->in_service;

	services_make_real(services, service, origin->time_ms);
	dirty_mark(&services->dirty, &service->row);
	if (booking->state[0] != '\0')
		enter_state(ledger, service, booking->state);
	else
		add_counters(ledger, service, &booking->counters, origin->seq);
	if (booking->in_series != NULL) {
		series_set_mark(services, booking->in_series, &booking->mark);
		note_mark(services, booking->in_series);
	}
}

/* One number makes all marks of a service void, see struct epoch. */
void services_forget_marks(struct ledger *ledger, const char *node)
{
	struct service *service;

	for (service = ledger->services.table; service != NULL;
		service = service->hh.next) {
		if (service->updated_ms == 0 || strcmp(service->node, node) != 0)
			continue;
		service->epoch.last++;
		service->epoch.number = service->epoch.last;
		service->epoch.is_starting = false;
		sweep_begin(&ledger->services, service);
		dirty_mark(&ledger->services.dirty, &service->row);
	}
}

void services_lapse(struct ledger *ledger, const char *node)
{
	struct service *service;

	for (service = ledger->services.table; service != NULL;
		service = service->hh.next)
		if (strcmp(service->node, node) == 0)
			repeats_lapse(&ledger->repeats, &service->stream);
}

int ledger_load_service(struct ledger *ledger, const char *node, enum event_kind kind,
	const char *name, const struct counters *last, const char *state,
	const struct epoch *epoch, uint64_t updated_ms)
{
	struct service *service = services_get(&ledger->services, node, kind, name);

	if (service == NULL)
		return ERR_NOMEM;
	services_make_real(&ledger->services, service, updated_ms > 0 ? updated_ms : 1);
	service->last = *last;
	service->epoch = *epoch;
	strncpy(service->state, state, sizeof(service->state) - 1);
	return 0;
}

int ledger_load_series(struct ledger *ledger, const char *node, enum event_kind kind,
	const char *name, const char *client, const struct mark *mark)
{
	struct services *services = &ledger->services;
	struct service *service = services_get(services, node, kind, name);
	struct series *series;

	if (service == NULL)
		return ERR_NOMEM;
	services_make_real(services, service, 1);
	/* An older version's: each cut drops them with the epoch that made them void. */
	if (mark->epoch < service->epoch.number) {
		service->drops_void = true;
		dirty_mark(&services->dirty, &service->row);
		return 0;
	}
	series = services_get_series(services, service, client);
	if (series == NULL)
		return ERR_NOMEM;
	series_set_mark(services, series, mark);
	return 0;
}

bool ledger_has_service(const struct ledger *ledger, const char *node,
	enum event_kind kind, const char *name)
{
	const struct service *service =
		services_find(&ledger->services, node, kind, name);

	return service != NULL && service->updated_ms != 0;
}

const struct service *ledger_next_service(
	const struct ledger *ledger, const struct service *service)
{
	const struct service *next =
		service == NULL ? ledger->services.table : service->hh.next;

	while (next != NULL && next->updated_ms == 0)
		next = next->hh.next;
	return next;
}

bool ledger_has_node_reported(const struct ledger *ledger, const char *name)
{
	const struct tenant *tenant = bounds_find(&ledger->bounds, name);

	return tenant != NULL && tenant->last_report_ms != 0;
}

bool ledger_has_series(const struct ledger *ledger, const char *node,
	enum event_kind kind, const char *name, const char *client)
{
	const struct service *service =
		services_find(&ledger->services, node, kind, name);

	return service != NULL && series_find(&service->series, client) != NULL;
}

/* The rows of services */

static bool is_dirty(const struct ledger *ledger)
{
	return ledger->services.dirty.n > 0;
}

static int reserve(const struct ledger *ledger, struct cut *cut)
{
	cut->services = calloc(ledger->services.dirty.n + 1, sizeof(*cut->services));
	return cut->services != NULL ? 0 : ERR_NOMEM;
}

static void move(struct ledger *ledger, struct cut *cut)
{
	struct row *row;

	while ((row = dirty_take(&ledger->services.dirty)) != NULL) {
		struct service *service = ROW_OF(struct service, row);
		struct cut_service *moved = &cut->services[cut->n_services++];

		*moved = (struct cut_service){.service = service,
			.increment = service->pending,
			.last = service->last,
			.updated_ms = service->updated_ms,
			.epoch = service->epoch,
			.drops_void = service->drops_void};
		memcpy(moved->state, service->state, sizeof(moved->state));
		service->pending = (struct totals){0};
		service->drops_void = false;
	}
}

static void done(struct cut *cut)
{
	free(cut->services);
}

const struct row_kind *service_rows(void)
{
	static const struct row_kind kind = {is_dirty, reserve, move, NULL, done};

	return &kind;
}

/* The rows of series. A mark is never alone: its service is dirty too. */

static bool is_series_dirty(const struct ledger *ledger)
{
	return ledger->services.series_changes.n > 0;
}

static void move_series(struct ledger *ledger, struct cut *cut)
{
	cut->series = changes_take(&ledger->services.series_changes);
}

static void series_committed(struct ledger *ledger, struct cut *cut)
{
	(void)cut;
	changes_end_cut(&ledger->services.series_changes);
	sweep_resume(&ledger->services);
}

static void cut_series_done(struct cut *cut)
{
	changes_done(&cut->series);
}

const struct row_kind *series_rows(void)
{
	static const struct row_kind kind = {
		is_series_dirty, NULL, move_series, series_committed, cut_series_done};

	return &kind;
}
