/*
 * Users: their totals, and the two ways on which bytes leave again: what has changed
 * towards SQLite, and the queues of unsent ones towards Redis. A user stands in at most
 * one place of each.
 */
#include "account/internal.h"

#include <stdlib.h>
#include <string.h>

void users_init(struct users *users, struct bounds *bounds, bool has_view)
{
	users->bounds = bounds;
	users->has_view = has_view;
	hash_table_init(&users->table, offsetof(struct user, id));
	changes_init(&users->changes, sizeof(struct cut_user));
	for (int show = 0; show < SHOWS; show++)
		STAILQ_INIT(&users->unsent[show].users);
}

static struct user *user_of(struct hash_item *item)
{
	return (struct user *)item; /* it begins with it */
}

void users_done(struct users *users)
{
	struct hash_item *item = hash_table_next(&users->table, NULL), *next;

	for (; item != NULL; item = next) {
		next = hash_table_next(&users->table, item);
		free(user_of(item));
	}
	hash_table_done(&users->table);
	changes_done(&users->changes);
}

static struct user *find(const struct users *users, const char *id, size_t len)
{
	return user_of(hash_table_find(&users->table, id, len));
}

struct user *users_find(const struct users *users, const char *id)
{
	return find(users, id, strlen(id));
}

static size_t size_of(size_t id_len)
{
	size_t size = offsetof(struct user, id) + id_len + 1;

	return size > sizeof(struct user) ? size : sizeof(struct user);
}

/* Nearly all users of a busy machine have changed. */
uint64_t user_bytes(size_t id_len)
{
	return bounds_item_bytes(size_of(id_len)) + sizeof(struct cut_user);
}

static struct user *make(
	struct users *users, const char *id, size_t len, struct tenant *tenant)
{
	struct user *user = calloc(1, size_of(len));

	if (user == NULL)
		return NULL;
	memcpy(user->id, id, len);
	if (hash_table_add(&users->table, &user->item, len) != 0) {
		free(user);
		return NULL;
	}
	bounds_add(users->bounds, tenant, BOUND_MEMORY, user_bytes(len));
	bounds_add(users->bounds, tenant, BOUND_USERS, 1);
	return user;
}

struct user *users_get(struct users *users, const char *id, struct tenant *tenant)
{
	size_t len = strlen(id);
	struct user *user = find(users, id, len);

	return user != NULL ? user : make(users, id, len, tenant);
}

void users_find_all(const struct users *users, struct booking *list, size_t n)
{
	const struct hash_table *table = &users->table;
	uint32_t hashes[USERS_AHEAD];

	for (size_t i = 0; i < n; i++) {
		hashes[i] = hash_bytes(list[i].client, strlen(list[i].client));
		hash_table_fetch_bucket(table, hashes[i]);
	}
	for (size_t i = 0; i < n; i++)
		hash_table_fetch_item(table, hashes[i], sizeof(struct user) + 1);
	for (size_t i = 0; i < n; i++) {
		struct user *user = user_of(hash_table_find_hashed(
			table, list[i].client, strlen(list[i].client), hashes[i]));

		list[i].in_user = booking_names_user(&list[i]) ? user : NULL;
		if (list[i].in_user != NULL)
			changes_fetch(&users->changes, user->change);
	}
}

void ledger_fetch_users(const struct ledger *ledger, const char *const *ids, size_t n)
{
	const struct hash_table *table = &ledger->users.table;
	uint32_t hashes[USERS_AHEAD];

	for (size_t i = 0; i < n; i++) {
		hashes[i] = hash_bytes(ids[i], strlen(ids[i]));
		hash_table_fetch_bucket(table, hashes[i]);
	}
	for (size_t i = 0; i < n; i++)
		hash_table_fetch_item(table, hashes[i], sizeof(struct user) + 1);
}

void users_forget_prepared(struct users *users, const char *id, struct tenant *tenant)
{
	struct user *user = users_find(users, id);

	if (user != NULL && user->created_ms == 0) {
		bounds_sub(users->bounds, tenant, BOUND_MEMORY,
			user_bytes(user->item.key_len));
		bounds_sub(users->bounds, tenant, BOUND_USERS, 1);
		users->bounds->n_freed++;
		hash_table_remove(&users->table, &user->item);
		free(user);
	}
}

/* A user is real from the first time something was applied to it. */
static void make_real(
	struct users *users, struct user *user, uint64_t now_ms, uint64_t life)
{
	if (user->created_ms != 0)
		return;
	user->created_ms = now_ms;
	user->life = life;
	users->n++;
}

/* What SQLite lacks of the user from now on; there is room for it. */
static struct cut_user *changed(struct users *users, struct user *user)
{
	struct cut_user *change = changes_find(&users->changes, user->change);

	if (change != NULL)
		return change;
	users->n_in_cut_only -= changes_is_in_cut(&users->changes, user->change);
	change = changes_add(&users->changes, &user->change);
	change->user = user;
	return change;
}

static bool is_queued(const struct user *user)
{
	return user->is_queued[SHOW_FIRST] || user->is_queued[SHOW_LAST];
}

static void queue(struct users *users, struct user *user, enum show show)
{
	if (!users->is_view_up)
		show = SHOW_LAST;
	if (!users->has_view || user->is_queued[show])
		return;
	users->n_unsent += is_queued(user) ? 0 : 1;
	user->is_queued[show] = true;
	STAILQ_INSERT_TAIL(&users->unsent[show].users, user, unsent_link[show]);
	users->unsent[show].index++;
}

/* Adds to the totals, and returns what really was added: less than asked for once a total
 * has saturated. */
static struct totals add_to_total(
	struct ledger *ledger, struct user *user, const struct totals *by)
{
	struct totals before = user->total;

	ledger_add_totals(ledger, &user->total, by);
	return (struct totals){user->total.used - before.used,
		user->total.input - before.input, user->total.output - before.output};
}

void users_apply(struct ledger *ledger, const struct booking *booking,
	const struct origin *origin, enum show show)
{
	struct user *user = booking->in_user;
	struct cut_user *change = changed(&ledger->users, user);
	const struct counters *counters = &booking->counters;
	/* Each is at most 2^53, so their sum cannot wrap. */
	struct totals delta = {counters->input_bytes + counters->output_bytes,
		counters->input_bytes, counters->output_bytes};

	make_real(&ledger->users, user, origin->time_ms, origin->seq);
	delta = add_to_total(ledger, user, &delta);
	ledger_add_totals(ledger, &change->increment, &delta);
	change->last_seen_ms = origin->time_ms;
	if (ledger->users.has_view) {
		ledger_add_totals(ledger, &user->unsent, &delta);
		queue(&ledger->users, user, show);
	}
}

void ledger_expect_users(struct ledger *ledger, size_t n)
{
	if (n <= ledger->bounds.load_max_bytes / user_bytes(0))
		hash_table_reserve(&ledger->users.table, n);
}

int ledger_load_user(struct ledger *ledger, const char *id, struct totals total,
	uint64_t created_ms, uint64_t life)
{
	struct user *user = users_get(&ledger->users, id, NULL);

	if (user == NULL)
		return ERR_NOMEM;
	make_real(&ledger->users, user, created_ms > 0 ? created_ms : 1, life);
	user->total = total;
	return 0;
}

static void adopt(struct ledger *ledger, const struct adopted *adopted, uint64_t now_ms)
{
	struct user *user = users_find(&ledger->users, adopted->id);
	struct cut_user *change = changed(&ledger->users, user);
	struct totals grown_by;

	/* No record made it: behind the last one that could have ended a life. */
	make_real(&ledger->users, user, now_ms, ledger->seq);
	grown_by = add_to_total(ledger, user, &adopted->total);
	ledger_add_totals(ledger, &change->increment, &grown_by);
}

int ledger_adopt(
	struct ledger *ledger, const struct adopted *list, size_t n, uint64_t now_ms)
{
	size_t n_found = 0;

	if (changes_reserve(&ledger->users.changes, n) != 0)
		return ERR_NOMEM;
	while (n_found < n && users_get(&ledger->users, list[n_found].id, NULL) != NULL)
		n_found++;
	if (n_found < n) {
		while (n_found > 0)
			users_forget_prepared(&ledger->users, list[--n_found].id, NULL);
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < n; i++)
		adopt(ledger, &list[i], now_ms);
	return 0;
}

const struct user *ledger_find_user(const struct ledger *ledger, const char *id)
{
	const struct user *user = users_find(&ledger->users, id);

	return user != NULL && user->created_ms != 0 ? user : NULL;
}

/* They are not named yet. */
#define TYPICAL_ID_BYTES 32

bool ledger_has_room_for_users(const struct ledger *ledger, size_t n)
{
	const struct bounds *bounds = &ledger->bounds;

	return ledger->users.n + n <= bounds->max.of[BOUND_USERS] &&
		bounds->used.of[BOUND_MEMORY] + n * user_bytes(TYPICAL_ID_BYTES) <=
		bounds->max.of[BOUND_MEMORY];
}

/* With more users a report is a crowd. */
#define FEW_BOOKINGS 400

enum show ledger_show_of(const struct bookings *bookings)
{
	return bookings->n > FEW_BOOKINGS ? SHOW_LAST : SHOW_FIRST;
}

uint64_t ledger_unsent_index(const struct ledger *ledger, enum show show)
{
	return ledger->users.unsent[show].index;
}

bool ledger_has_unsent(const struct ledger *ledger, enum show show)
{
	return !STAILQ_EMPTY(&ledger->users.unsent[show].users);
}

void ledger_set_view_up(struct ledger *ledger, bool is_up)
{
	ledger->users.is_view_up = is_up;
}

void ledger_mark_unsent(struct ledger *ledger, const struct user *user)
{
	queue(&ledger->users, (struct user *)user, SHOW_FIRST); /* the ledger's own */
}

struct user *ledger_take_unsent(
	struct ledger *ledger, enum show show, struct totals *ret_unsent)
{
	struct users *users = &ledger->users;
	struct user *user = STAILQ_FIRST(&users->unsent[show].users);

	if (user == NULL)
		return NULL;
	STAILQ_REMOVE_HEAD(&users->unsent[show].users, unsent_link[show]);
	user->is_queued[show] = false;
	users->n_unsent -= is_queued(user) ? 0 : 1;
	*ret_unsent = user->unsent;
	user->unsent = (struct totals){0};
	return user;
}

struct user *ledger_next_user(const struct ledger *ledger, const struct user *user)
{
	const struct hash_table *table = &ledger->users.table;
	struct user *next =
		user_of(hash_table_next(table, user != NULL ? &user->item : NULL));

	while (next != NULL && next->created_ms == 0)
		next = user_of(hash_table_next(table, &next->item));
	return next;
}

/* The rows */

static bool is_dirty(const struct ledger *ledger)
{
	return ledger->users.changes.n > 0;
}

static void move(struct ledger *ledger, struct cut *cut)
{
	cut->users = changes_take(&ledger->users.changes);
	ledger->users.n_in_cut_only = cut->users.n;
}

static void committed(struct ledger *ledger, struct cut *cut)
{
	(void)cut;
	changes_end_cut(&ledger->users.changes);
	ledger->users.n_in_cut_only = 0;
}

static void done(struct cut *cut)
{
	changes_done(&cut->users);
}

const struct row_kind *user_rows(void)
{
	static const struct row_kind kind = {is_dirty, NULL, move, committed, done};

	return &kind;
}
