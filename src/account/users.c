/*
 * Users: their totals, and the two ways on which bytes leave again: the dirty list
 * towards SQLite, and the queue of unsent ones towards Redis. A user stands in at most
 * one place of each.
 */
#define HASH_NONFATAL_OOM 1
#include "account/internal.h"

#include <stdlib.h>
#include <string.h>

void users_init(struct users *users, struct bounds *bounds, bool has_view)
{
	users->bounds = bounds;
	users->has_view = has_view;
	dirty_init(&users->dirty);
	TAILQ_INIT(&users->unsent);
}

void users_done(struct users *users)
{
	struct user *user = users->table, *next;

	/* The table goes first and at once: nothing looks anything up any more. */
	HASH_CLEAR(hh, users->table);
	for (; user != NULL; user = next) {
		next = user->hh.next;
		free(user);
	}
}

static struct user *find(const struct users *users, const char *id, size_t len)
{
	struct user *user;

	HASH_FIND(hh, users->table, id, len, user);
	return user;
}

struct user *users_find(const struct users *users, const char *id)
{
	return find(users, id, strlen(id));
}

uint64_t user_bytes(size_t id_len)
{
	return bounds_row_bytes(sizeof(struct user) + id_len + 1);
}

static struct user *make(
	struct users *users, const char *id, size_t len, struct tenant *tenant)
{
	struct user *user = calloc(1, sizeof(*user) + len + 1);

	if (user == NULL)
		return NULL;
	memcpy(user->id, id, len);
	user->id_len = len;
	HASH_ADD_KEYPTR(hh, users->table, user->id, len, user);
	if (!HASH_IS_ADDED(user)) {
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

void users_forget_prepared(struct users *users, const char *id, struct tenant *tenant)
{
	struct user *user = users_find(users, id);

	if (user != NULL && user->created_ms == 0) {
		bounds_sub(users->bounds, tenant, BOUND_MEMORY, user_bytes(user->id_len));
		bounds_sub(users->bounds, tenant, BOUND_USERS, 1);
		users->bounds->n_freed++;
		/* The analyzer does not see that what was found stands in the table. */
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
		HASH_DEL(users->table, user);
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

static void mark_dirty(struct users *users, struct user *user)
{
	if (!user->row.is_dirty && user->is_in_cut)
		users->n_in_cut_only--;
	dirty_mark(&users->dirty, &user->row);
}

static void mark_unsent(struct users *users, struct user *user)
{
	if (!users->has_view || user->is_unsent)
		return;
	user->is_unsent = true;
	TAILQ_INSERT_TAIL(&users->unsent, user, unsent_link);
	users->n_unsent++;
	users->unsent_index++;
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

void users_apply(
	struct ledger *ledger, const struct booking *booking, const struct origin *origin)
{
	struct user *user = booking->in_user;
	const struct counters *counters = &booking->counters;
	/* Each is at most 2^53, so their sum cannot wrap. */
	struct totals delta = {counters->input_bytes + counters->output_bytes,
		counters->input_bytes, counters->output_bytes};

	make_real(&ledger->users, user, origin->time_ms, origin->seq);
	user->last_seen_ms = origin->time_ms;
	delta = add_to_total(ledger, user, &delta);
	ledger_add_totals(ledger, &user->pending, &delta);
	mark_dirty(&ledger->users, user);
	if (ledger->users.has_view) {
		ledger_add_totals(ledger, &user->unsent, &delta);
		mark_unsent(&ledger->users, user);
	}
}

int ledger_load_user(struct ledger *ledger, const char *id, struct totals total,
	uint64_t created_ms, uint64_t last_seen_ms, uint64_t life)
{
	struct user *user = users_get(&ledger->users, id, NULL);

	if (user == NULL)
		return ERR_NOMEM;
	make_real(&ledger->users, user, created_ms > 0 ? created_ms : 1, life);
	user->total = total;
	user->last_seen_ms = last_seen_ms;
	return 0;
}

static void adopt(struct ledger *ledger, const struct adopted *adopted, uint64_t now_ms)
{
	struct user *user = users_find(&ledger->users, adopted->id);
	struct totals grown_by;

	/* No record made it: behind the last one that could have ended a life. */
	make_real(&ledger->users, user, now_ms, ledger->seq);
	grown_by = add_to_total(ledger, user, &adopted->total);
	ledger_add_totals(ledger, &user->pending, &grown_by);
	mark_dirty(&ledger->users, user);
}

int ledger_adopt(
	struct ledger *ledger, const struct adopted *list, size_t n, uint64_t now_ms)
{
	size_t n_found = 0;

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

uint64_t ledger_unsent_index(const struct ledger *ledger)
{
	return ledger->users.unsent_index;
}

void ledger_mark_unsent(struct ledger *ledger, const struct user *user)
{
	mark_unsent(&ledger->users, (struct user *)user); /* the ledger's own */
}

struct user *ledger_take_unsent(struct ledger *ledger, struct totals *ret_unsent)
{
	struct user *user = TAILQ_FIRST(&ledger->users.unsent);

	if (user == NULL)
		return NULL;
	TAILQ_REMOVE(&ledger->users.unsent, user, unsent_link);
	ledger->users.n_unsent--;
	user->is_unsent = false;
	*ret_unsent = user->unsent;
	user->unsent = (struct totals){0};
	return user;
}

struct user *ledger_next_user(const struct ledger *ledger, const struct user *user)
{
	struct user *next = user == NULL ? ledger->users.table : user->hh.next;

	while (next != NULL && next->created_ms == 0)
		next = next->hh.next;
	return next;
}

/* The rows */

static bool is_dirty(const struct ledger *ledger)
{
	return ledger->users.dirty.n > 0;
}

static int reserve(const struct ledger *ledger, struct cut *cut)
{
	cut->users = calloc(ledger->users.dirty.n + 1, sizeof(*cut->users));
	return cut->users != NULL ? 0 : ERR_NOMEM;
}

static void move(struct ledger *ledger, struct cut *cut)
{
	struct row *row;

	while ((row = dirty_take(&ledger->users.dirty)) != NULL) {
		struct user *user = ROW_OF(struct user, row);

		cut->users[cut->n_users++] = (struct cut_user){user, user->pending,
			user->created_ms, user->last_seen_ms, user->life};
		user->pending = (struct totals){0};
		user->is_in_cut = true;
	}
	ledger->users.n_in_cut_only = cut->n_users;
}

static void leave_cut(struct users *users, struct user *user)
{
	user->is_in_cut = false;
	if (!user->row.is_dirty)
		users->n_in_cut_only--;
}

static void committed(struct ledger *ledger, struct cut *cut)
{
	for (size_t i = 0; i < cut->n_users; i++)
		leave_cut(&ledger->users, cut->users[i].user);
}

static void failed(struct ledger *ledger, struct cut *cut)
{
	for (size_t i = 0; i < cut->n_users; i++) {
		struct user *user = cut->users[i].user;

		ledger_add_totals(ledger, &user->pending, &cut->users[i].increment);
		leave_cut(&ledger->users, user);
		mark_dirty(&ledger->users, user);
	}
}

static void done(struct cut *cut)
{
	free(cut->users);
}

const struct row_kind *user_rows(void)
{
	static const struct row_kind kind = {
		is_dirty, reserve, move, committed, failed, done};

	return &kind;
}
