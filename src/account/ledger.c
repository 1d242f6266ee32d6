/*
 * Bytes come in through apply() and leave twice: by ledger_cut() towards SQLite and by
 * ledger_take_unsent() towards Redis. A user stands in at most one place of each queue.
 *
 * uthash ends the process if it cannot grow its table (HASH_NONFATAL_OOM is 0): the
 * journal holds everything, so the next start folds it again.
 */
#include "account/internal.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

struct ledger *ledger_new(size_t max_users, bool has_view)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (ledger == NULL)
		return NULL;
	ledger->rejects = calloc(LEDGER_MAX_REJECTS, sizeof(*ledger->rejects));
	if (ledger->rejects == NULL) {
		free(ledger);
		return NULL;
	}
	ledger->max_users = max_users;
	ledger->has_view = has_view;
	TAILQ_INIT(&ledger->dirty_users);
	TAILQ_INIT(&ledger->unsent_users);
	TAILQ_INIT(&ledger->dirty_services);
	TAILQ_INIT(&ledger->dirty_series);
	repeats_init(&ledger->repeats);
	return ledger;
}

void reject_free(struct kept_reject *reject)
{
	free(reject->node);
	free(reject->event);
}

static void free_service(struct service *service)
{
	struct series *series = service->series, *next;

	HASH_CLEAR(hh, service->series);
	for (; series != NULL; series = next) {
		next = series->hh.next;
		free(series);
	}
	free(service);
}

void ledger_free(struct ledger *ledger)
{
	struct user *user, *next_user;
	struct service *service, *next_service;

	if (ledger == NULL)
		return;
	/* The tables go first and at once: nothing looks anything up any more. */
	user = ledger->users;
	service = ledger->services;
	HASH_CLEAR(hh, ledger->users);
	HASH_CLEAR(hh, ledger->services);
	for (; user != NULL; user = next_user) {
		next_user = user->hh.next;
		free(user);
	}
	for (; service != NULL; service = next_service) {
		next_service = service->hh.next;
		free_service(service);
	}
	repeats_done(&ledger->repeats);
	for (size_t i = 0; i < ledger->n_rejects; i++)
		reject_free(&ledger->rejects[i]);
	free(ledger->rejects);
	free(ledger);
}

static uint64_t add_saturating(struct ledger *ledger, uint64_t a, uint64_t b)
{
	if (b <= TOTAL_MAX - a)
		return a + b;
	ledger->stats.has_saturated = true;
	return TOTAL_MAX;
}

void ledger_add_totals(struct ledger *ledger, struct totals *to, const struct totals *by)
{
	to->used = add_saturating(ledger, to->used, by->used);
	to->input = add_saturating(ledger, to->input, by->input);
	to->output = add_saturating(ledger, to->output, by->output);
}

static struct user *find_user(const struct ledger *ledger, const char *id, size_t len)
{
	struct user *user;

	HASH_FIND(hh, ledger->users, id, len, user);
	return user;
}

/* Finds or allocates; NULL if memory is short. */
static struct user *get_user(struct ledger *ledger, const char *id)
{
	size_t len = strlen(id);
	struct user *user = find_user(ledger, id, len);

	if (user != NULL)
		return user;
	user = calloc(1, sizeof(*user) + len + 1);
	if (user == NULL)
		return NULL;
	memcpy(user->id, id, len);
	user->id_len = len;
	HASH_ADD_KEYPTR(hh, ledger->users, user->id, len, user);
	return user;
}

/* The key is: node NUL kind name. Returns its length. */
#define SERVICE_KEY_BYTES (2 * NAME_MAX_BYTES + 3)
static size_t service_key(
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

static struct service *find_service(
	const struct ledger *ledger, const char *key, size_t len)
{
	struct service *service;

	HASH_FIND(hh, ledger->services, key, len, service);
	return service;
}

/* Both kinds of one service begin anew together. */
static void join_other_kind(struct ledger *ledger, struct service *service)
{
	char key[SERVICE_KEY_BYTES];
	size_t len = service_key(key, service->node,
		service->kind == KIND_SERVICE ? KIND_HANDLER : KIND_SERVICE,
		service->name);
	struct service *other = find_service(ledger, key, len);

	if (other == NULL)
		return;
	service->other = other;
	service->epoch = other->epoch;
	other->other = service;
}

static struct service *get_service(
	struct ledger *ledger, const char *node, enum event_kind kind, const char *name)
{
	char key[SERVICE_KEY_BYTES];
	size_t len = service_key(key, node, kind, name);
	struct service *service = find_service(ledger, key, len);

	if (service != NULL)
		return service;
	service = calloc(1, sizeof(*service) + len + 1);
	if (service == NULL)
		return NULL;
	memcpy(service->key, key, len + 1);
	service->node = service->key;
	service->name = service->key + strlen(service->key) + 2;
	service->kind = kind;
	stream_init(&service->stream, service);
	join_other_kind(ledger, service);
	HASH_ADD_KEYPTR(hh, ledger->services, service->key, len, service);
	return service;
}

void ledger_mark_user_dirty(struct ledger *ledger, struct user *user)
{
	if (user->is_dirty)
		return;
	user->is_dirty = true;
	TAILQ_INSERT_TAIL(&ledger->dirty_users, user, dirty_link);
	ledger->n_dirty_users++;
	if (!user->is_in_cut)
		ledger->stats.dirty_users++;
}

void ledger_mark_service_dirty(struct ledger *ledger, struct service *service)
{
	if (service->is_dirty)
		return;
	service->is_dirty = true;
	TAILQ_INSERT_TAIL(&ledger->dirty_services, service, dirty_link);
	ledger->n_dirty_services++;
}

void ledger_mark_series_dirty(struct ledger *ledger, struct series *series)
{
	if (series->is_dirty)
		return;
	series->is_dirty = true;
	TAILQ_INSERT_TAIL(&ledger->dirty_series, series, dirty_link);
	ledger->n_dirty_series++;
}

static void set_mark(
	struct ledger *ledger, struct series *series, const struct mark *mark)
{
	ledger->stats.series += !series->is_known;
	series->is_known = true;
	series->mark = *mark;
}

static void mark_user_unsent(struct ledger *ledger, struct user *user)
{
	if (!ledger->has_view || user->is_unsent)
		return;
	user->is_unsent = true;
	TAILQ_INSERT_TAIL(&ledger->unsent_users, user, unsent_link);
	ledger->stats.unsent_users++;
	ledger->unsent_index++;
}

/* A user or service is real from the first time something was applied to it. */
static void make_user_real(struct ledger *ledger, struct user *user, uint64_t now_ms)
{
	if (user->created_ms == 0) {
		user->created_ms = now_ms;
		ledger->stats.users++;
	}
}

static void make_service_real(
	struct ledger *ledger, struct service *service, uint64_t now_ms)
{
	if (service->updated_ms == 0)
		ledger->stats.services++;
	service->updated_ms = now_ms;
}

int ledger_load_user(struct ledger *ledger, const char *id, struct totals total,
	uint64_t created_ms, uint64_t last_seen_ms)
{
	struct user *user = get_user(ledger, id);

	if (user == NULL)
		return ERR_NOMEM;
	make_user_real(ledger, user, created_ms > 0 ? created_ms : 1);
	user->total = total;
	user->last_seen_ms = last_seen_ms;
	return 0;
}

int ledger_load_service(struct ledger *ledger, const char *node, enum event_kind kind,
	const char *name, const struct counters *last, const char *state,
	const struct epoch *epoch)
{
	struct service *service = get_service(ledger, node, kind, name);

	if (service == NULL)
		return ERR_NOMEM;
	make_service_real(ledger, service, 1);
	service->last = *last;
	service->epoch = *epoch;
	strncpy(service->state, state, sizeof(service->state) - 1);
	return 0;
}

int ledger_load_series(struct ledger *ledger, const char *node, enum event_kind kind,
	const char *name, const char *client, const struct mark *mark)
{
	struct service *service = get_service(ledger, node, kind, name);
	struct series *series =
		service != NULL ? series_get(&service->series, client, service) : NULL;

	if (series == NULL)
		return ERR_NOMEM;
	make_service_real(ledger, service, 1);
	set_mark(ledger, series, mark);
	return 0;
}

int ledger_load_open_report(struct ledger *ledger, const char *node, enum event_kind kind,
	const char *name, const struct origin *origin)
{
	struct service *service = get_service(ledger, node, kind, name);

	if (service == NULL)
		return ERR_NOMEM;
	make_service_real(ledger, service, 1);
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
		: get_service(ledger, node, booking->kind, booking->service);

	if (service == NULL)
		return ERR_NOMEM;
	booking->in_service = service;
	if (booking_names_user(booking)) {
		booking->in_user = get_user(ledger, booking->client);
		if (booking->in_user == NULL)
			return ERR_NOMEM;
	}
	if (booking->has_mark) {
		booking->in_series =
			series_get(&service->series, booking->client, service);
		if (booking->in_series == NULL)
			return ERR_NOMEM;
	}
	return 0;
}

int ledger_prepare(struct ledger *ledger, const char *node, struct bookings *bookings)
{
	int code = repeats_prepare(&ledger->repeats);

	for (size_t i = 0; i < bookings->n && code == 0; i++)
		code = prepare(ledger, node, i > 0 ? &bookings->list[i - 1] : NULL,
			&bookings->list[i]);
	return code;
}

void ledger_measure(struct ledger *ledger, struct bookings *bookings)
{
	series_measure(bookings, ++ledger->n_measured);
}

static void forget_if_prepared(struct ledger *ledger, const char *id)
{
	struct user *user = find_user(ledger, id, strlen(id));

	if (user != NULL && user->created_ms == 0) {
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
		HASH_DEL(ledger->users, user);
		free(user);
	}
}

static void forget_if_unknown(struct service *service, const char *client)
{
	struct series *series = series_find(service->series, client);

	if (series != NULL && !series->is_known) {
		HASH_DEL(service->series, series);
		free(series);
	}
}

/* Looked up by name, since one report may name the same newcomer twice. The analyzer does
 * not see that what was found stands in a table. */
void ledger_forget_prepared(
	struct ledger *ledger, const char *node, struct bookings *bookings)
{
	for (size_t i = 0; i < bookings->n; i++) {
		struct booking *booking = &bookings->list[i];
		char key[SERVICE_KEY_BYTES];
		size_t len = service_key(key, node, booking->kind, booking->service);
		struct service *service = find_service(ledger, key, len);

		if (service != NULL && booking->has_mark)
			forget_if_unknown(service, booking->client);
		if (service != NULL && service->updated_ms == 0) {
			if (service->other != NULL)
				service->other->other = NULL;
			/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
			HASH_DEL(ledger->services, service);
			free_service(service);
		}
		if (booking_names_user(booking))
			forget_if_prepared(ledger, booking->client);
		booking->in_service = NULL;
		booking->in_user = NULL;
		booking->in_series = NULL;
	}
}

static void enter_epoch(struct ledger *ledger, struct service *service, const char *state)
{
	struct epoch before = service->epoch;

	if (epoch_enter(&service->epoch, state))
		repeats_lapse(&ledger->repeats, &service->stream);
	if (before.last != service->epoch.last ||
		before.is_starting != service->epoch.is_starting)
		ledger_mark_service_dirty(ledger, service);
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

static void apply_to_service(
	struct ledger *ledger, const struct booking *booking, uint64_t now_ms)
{
	struct service *service = booking->in_service;
	const struct counters *counters = &booking->counters;
	struct totals delta = {0, counters->input_bytes, counters->output_bytes};

	make_service_real(ledger, service, now_ms);
	ledger_mark_service_dirty(ledger, service);
	if (booking->state[0] != '\0') {
		enter_state(ledger, service, booking->state);
		return;
	}
	ledger_add_totals(ledger, &service->pending, &delta);
	service->last.input_bytes =
		add_saturating(ledger, service->last.input_bytes, delta.input);
	service->last.output_bytes =
		add_saturating(ledger, service->last.output_bytes, delta.output);
	service->last.total_conns = counters->total_conns;
	service->last.current_conns = counters->current_conns;
	service->last.total_errs = counters->total_errs;
}

/* What really was added: less than the delta once a total has saturated. */
static struct totals grown(const struct totals *now, const struct totals *before)
{
	return (struct totals){now->used - before->used, now->input - before->input,
		now->output - before->output};
}

static void apply_to_user(
	struct ledger *ledger, const struct booking *booking, uint64_t now_ms)
{
	struct user *user = booking->in_user;
	const struct counters *counters = &booking->counters;
	struct totals before = user->total;
	/* Each is at most 2^53, so their sum cannot wrap. */
	struct totals delta = {counters->input_bytes + counters->output_bytes,
		counters->input_bytes, counters->output_bytes};

	make_user_real(ledger, user, now_ms);
	user->last_seen_ms = now_ms;
	ledger_add_totals(ledger, &user->total, &delta);
	delta = grown(&user->total, &before);
	ledger_add_totals(ledger, &user->pending, &delta);
	ledger_mark_user_dirty(ledger, user);
	if (ledger->has_view) {
		ledger_add_totals(ledger, &user->unsent, &delta);
		mark_user_unsent(ledger, user);
	}
}

static void apply(struct ledger *ledger, const struct booking *booking, uint64_t now_ms)
{
	apply_to_service(ledger, booking, now_ms);
	if (booking->in_user != NULL)
		apply_to_user(ledger, booking, now_ms);
	if (booking->in_series != NULL) {
		set_mark(ledger, booking->in_series, &booking->mark);
		ledger_mark_series_dirty(ledger, booking->in_series);
	}
}

void ledger_apply(struct ledger *ledger, const struct bookings *bookings,
	const struct origin *origin)
{
	struct service *first = bookings->list[0].in_service;
	bool is_repeat = origin->repeats != 0;

	for (size_t i = 0; i < bookings->n && !is_repeat; i++)
		apply(ledger, &bookings->list[i], origin->time_ms);
	/* What a repeat repeats may be lost; its service has an open report all the same.
	 */
	if (first->updated_ms == 0)
		make_service_real(ledger, first, origin->time_ms);
	repeats_note(&ledger->repeats,
		is_repeat ? &first->stream : ledger_stream(bookings), origin);
	ledger->seq = origin->seq;
}

struct stream *ledger_stream(const struct bookings *bookings)
{
	return bookings->n_stats > 0 ? &bookings->list[0].in_service->stream : NULL;
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

static void adopt_user(
	struct ledger *ledger, const struct adopted *adopted, uint64_t now_ms)
{
	struct user *user = find_user(ledger, adopted->id, strlen(adopted->id));
	struct totals before = user->total, grown_by;

	make_user_real(ledger, user, now_ms);
	ledger_add_totals(ledger, &user->total, &adopted->total);
	grown_by = grown(&user->total, &before);
	ledger_add_totals(ledger, &user->pending, &grown_by);
	ledger_mark_user_dirty(ledger, user);
}

int ledger_adopt(
	struct ledger *ledger, const struct adopted *list, size_t n, uint64_t now_ms)
{
	size_t n_found = 0;

	while (n_found < n && get_user(ledger, list[n_found].id) != NULL)
		n_found++;
	if (n_found < n) {
		while (n_found > 0)
			forget_if_prepared(ledger, list[--n_found].id);
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < n; i++)
		adopt_user(ledger, &list[i], now_ms);
	return 0;
}

void ledger_load_link(struct ledger *ledger, const struct link_record *link)
{
	ledger->link = *link;
}

void ledger_set_link(struct ledger *ledger, const struct link_record *link)
{
	ledger->link = *link;
	ledger->link_version++;
}

const struct link_record *ledger_link(const struct ledger *ledger)
{
	return &ledger->link;
}

bool ledger_is_link_saved(const struct ledger *ledger)
{
	return ledger->saved_link_version == ledger->link_version;
}

void ledger_keep_reject(struct ledger *ledger, const char *node,
	const struct reject *reject, uint64_t now_ms)
{
	struct kept_reject kept = {
		now_ms, reject->reason, strdup(node), strdup(reject->event)};

	if (kept.node == NULL || kept.event == NULL) {
		reject_free(&kept);
		return;
	}
	if (ledger->n_rejects == LEDGER_MAX_REJECTS) {
		reject_free(&ledger->rejects[0]);
		ledger->n_rejects--;
		memmove(&ledger->rejects[0], &ledger->rejects[1],
			ledger->n_rejects * sizeof(kept));
	}
	ledger->rejects[ledger->n_rejects++] = kept;
}

const struct user *ledger_find_user(const struct ledger *ledger, const char *id)
{
	const struct user *user = find_user(ledger, id, strlen(id));

	return user != NULL && user->created_ms != 0 ? user : NULL;
}

bool ledger_has_service(const struct ledger *ledger, const char *node,
	enum event_kind kind, const char *name)
{
	char key[SERVICE_KEY_BYTES];
	size_t len = service_key(key, node, kind, name);
	const struct service *service = find_service(ledger, key, len);

	return service != NULL && service->updated_ms != 0;
}

bool ledger_has_series(const struct ledger *ledger, const char *node,
	enum event_kind kind, const char *name, const char *client)
{
	char key[SERVICE_KEY_BYTES];
	size_t len = service_key(key, node, kind, name);
	const struct service *service = find_service(ledger, key, len);

	return service != NULL && series_find(service->series, client) != NULL;
}

bool ledger_has_room_for_users(const struct ledger *ledger, size_t n)
{
	return ledger->stats.users + n <= ledger->max_users;
}

bool ledger_has_room_for_services(const struct ledger *ledger, size_t n)
{
	return ledger->stats.services + n <= LEDGER_MAX_SERVICES;
}

bool ledger_has_room_for_series(const struct ledger *ledger, size_t n)
{
	return ledger->stats.series + n <=
		LEDGER_SERIES_PER_USER * ledger->max_users + LEDGER_MAX_SERVICES;
}

void ledger_get_stats(const struct ledger *ledger, struct ledger_stats *ret_stats)
{
	*ret_stats = ledger->stats;
	ret_stats->open_reports = ledger->repeats.n_open;
	ret_stats->dropped_open_reports = ledger->repeats.n_dropped;
}

uint64_t ledger_seq(const struct ledger *ledger)
{
	return ledger->seq;
}

void ledger_set_applied_seq(struct ledger *ledger, uint64_t seq)
{
	ledger->applied_seq = seq;
	ledger->seq = seq;
}

uint64_t ledger_unsent_index(const struct ledger *ledger)
{
	return ledger->unsent_index;
}

void ledger_mark_unsent(struct ledger *ledger, const struct user *user)
{
	mark_user_unsent(ledger, (struct user *)user); /* the ledger's own */
}

struct user *ledger_take_unsent(struct ledger *ledger, struct totals *ret_unsent)
{
	struct user *user = TAILQ_FIRST(&ledger->unsent_users);

	if (user == NULL)
		return NULL;
	TAILQ_REMOVE(&ledger->unsent_users, user, unsent_link);
	ledger->stats.unsent_users--;
	user->is_unsent = false;
	*ret_unsent = user->unsent;
	user->unsent = (struct totals){0};
	return user;
}

struct user *ledger_next_user(const struct ledger *ledger, const struct user *user)
{
	struct user *next = user == NULL ? ledger->users : user->hh.next;

	while (next != NULL && next->created_ms == 0)
		next = next->hh.next;
	return next;
}
