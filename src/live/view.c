/*
 * on_send() fills a batch: users with unsent bytes first, then those whose keys Redis
 * told of, then the lap. Each reply is judged; behind the last of a batch the next may
 * go. What was sent is kept per user in the batch until it is answered.
 *
 * `user->view` says where a user stands: `number` and its place (enum place), anything
 * else: nowhere. Numbers grow by more than there are places, so a new view leaves nobody
 * verified at the cost of an addition. A reply to what was sent in an earlier view says
 * nothing about this one, but that a user who differed and was not written since comes
 * first.
 */
#include "live/view.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/timer.h"
#include "live/fields.h"
#include "live/holder.h"
#include "live/link.h"
#include "live/walk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_USERS 1000
#define MAX_BATCHES 2
#define MAX_VISITS 10000 /* users that a lap passes in one loop turn */

/* How often the walk gets its allowance; while it only looks, that costs few wakeups. */
#define TICK_MS 100
#define LOOK_TICK_MS 1000
/* A lap that looks follows the last one, and one for refused users, no sooner. */
#define LOOK_AGAIN_MS 2000
#define TRY_AGAIN_MS 10000

/* Of the walk's allowance, in thousandths of a user that is written. Looking is what goes
 * on for ever. */
#define COST_WRITE 1000
#define COST_READ 4000
#define COST_LOOK 20000

enum place {
	PLACE_VERIFIED,
	PLACE_REFUSED,
	PLACE_DOUBTFUL, /* was verified, and Redis has told of it: to be read */
	N_PLACES,
	PLACE_NOWHERE = N_PLACES /* to be written as a whole */
};

/* Of one user, in one batch. */
struct write {
	struct view *view;
	struct user *user;
	uint64_t number; /* of the view it was sent in */
	struct totals expected;
	bool was_refused;
};

struct batch {
	struct write *writes; /* BATCH_USERS of them */
	size_t n;
	uint64_t number;      /* of the view it was sent in */
	uint64_t end_command; /* done when that many commands were answered */
	uint64_t taken_index; /* of the ledger's queue, when it was sent */
};

struct view {
	struct ledger *ledger;
	struct redis *redis;
	struct view_config config;
	size_t prefix_len;
	struct view_hooks hooks;
	struct view_stats stats;

	bool is_up, is_held;
	bool is_tracked; /* Redis tells of edits */
	uint64_t number;
	size_t n_at[N_PLACES]; /* users */

	struct batch batches[MAX_BATCHES];
	size_t first_batch, n_batches; /* those outstanding, a ring */
	uint64_t n_sent, n_answered;   /* commands of batches, on this connection */
	uint64_t taken_index, shown_index;

	struct walk walk;
	uint64_t lap_ms; /* when the last lap began that was not owed */
	bool is_repairing;
	uint64_t repairing_ms;

	uv_timer_t send, tick;
	unsigned n_open_handles;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

/* Where users stand */

static bool is_at(const struct view *view, const struct user *user, enum place at)
{
	return user->view == view->number + at;
}

bool view_is_verified(const struct view *view, const struct user *user)
{
	return view->is_up && !view->is_held && is_at(view, user, PLACE_VERIFIED) &&
		!user->is_unsent;
}

static void place(struct view *view, struct user *user, enum place at)
{
	uint64_t before = user->view - view->number; /* of an earlier view: huge */

	if (before < N_PLACES)
		view->n_at[before]--;
	if (at < N_PLACES)
		view->n_at[at]++;
	user->view = view->number + at;
}

static size_t count_users(const struct view *view)
{
	struct ledger_stats stats;

	ledger_get_stats(view->ledger, &stats);
	return stats.users;
}

/* To be written as a whole. */
static size_t count_unverified(const struct view *view)
{
	return count_users(view) - view->n_at[PLACE_VERIFIED] -
		view->n_at[PLACE_REFUSED] - view->n_at[PLACE_DOUBTFUL];
}

static size_t count_unsent(const struct view *view)
{
	struct ledger_stats stats;

	ledger_get_stats(view->ledger, &stats);
	return stats.unsent_users;
}

/* Replies */

static void plan_tick(struct view *view);

static void begin_repair(struct view *view)
{
	view->number += N_PLACES + 1;
	memset(view->n_at, 0, sizeof(view->n_at));
	walk_stop(&view->walk);
	walk_begin_lap(&view->walk, LAP_WRITE);
	if (!view->is_repairing)
		view->repairing_ms = clock_ms();
	view->is_repairing = true;
	plan_tick(view);
}

static void maybe_repaired(struct view *view)
{
	if (!view->is_repairing || view->n_batches > 0 || count_unverified(view) > 0)
		return;
	view->is_repairing = false;
	log_limited(LOG_INFO, "Redis shows the ledger",
		"users=%zu refused_users=%zu repaired_in_ms=%" PRIu64,
		view->n_at[PLACE_VERIFIED], view->n_at[PLACE_REFUSED],
		clock_ms() - view->repairing_ms);
}

/* Replies to what was sent for this user so far say nothing. */
static void forget_writes(struct view *view, const struct user *user)
{
	for (size_t i = 0; i < view->n_batches; i++) {
		struct batch *batch =
			&view->batches[(view->first_batch + i) % MAX_BATCHES];

		for (size_t k = 0; k < batch->n; k++)
			if (batch->writes[k].user == user)
				batch->writes[k].number = 0;
	}
}

/* Where Redis tells of each edit, no other user is doubtful. What is outstanding shows
 * nothing then, as the batches of an earlier view do. */
static void doubt(struct view *view, struct user *user)
{
	if (view->is_tracked) {
		place(view, user, PLACE_NOWHERE);
		forget_writes(view, user);
		for (size_t i = 0; i < MAX_BATCHES; i++)
			view->batches[i].number = 0;
	} else {
		begin_repair(view);
	}
	ledger_mark_unsent(view->ledger, user);
}

void view_note_difference(struct view *view, uint64_t number, struct user *user)
{
	bool is_verified = is_at(view, user, PLACE_VERIFIED);

	if (!view->is_up || is_at(view, user, PLACE_REFUSED))
		return;
	if (number != view->number ||
		(!is_verified && !is_at(view, user, PLACE_DOUBTFUL))) {
		if (!is_verified) /* nor was it written since */
			ledger_mark_unsent(view->ledger, user);
		return;
	}
	view->stats.n_differences++;
	log_limited(LOG_WARN, "somebody else has written to Redis", "user=%s",
		LOG_QUOTE(user->id));
	view->is_held = true;
	doubt(view, user);
	view->hooks.on_difference(view->hooks.arg);
}

static bool starts_with(const char *text, const char *head)
{
	return strncmp(text, head, strlen(head)) == 0;
}

/* Redis begins an error with a word: those of one key are WRONGTYPE, and ERR for a field
 * that is no number or would overflow. All others are about the server, and so is ERR for
 * a command that it does not have. */
static bool is_of_one_key(const char *error)
{
	return starts_with(error, "WRONGTYPE") ||
		(starts_with(error, "ERR ") && !starts_with(error, "ERR unknown ") &&
			!starts_with(error, "ERR wrong number of arguments"));
}

static void refuse(
	struct view *view, struct user *user, bool was_refused, const char *error)
{
	char id[sizeof(view->stats.error) / 2], text[2 * sizeof(view->stats.error)];

	if (is_at(view, user, PLACE_DOUBTFUL))
		return; /* its key is another by now, and will be read */
	text_copy_clean(id, sizeof(id), user->id,
		strlen(user->id)); /* its reason is to fit behind it */
	(void)snprintf(text, sizeof(text), "user %s: %s", id, error);
	text_copy_clean(view->stats.error, sizeof(view->stats.error), text, strlen(text));
	place(view, user, PLACE_REFUSED);
	forget_writes(view, user);
	plan_tick(view);
	if (!was_refused)
		log_limited(LOG_WARN,
			"Redis refuses a user: it is not shown, and tried again",
			"user=%s error=%s", LOG_QUOTE(user->id), LOG_QUOTE(error));
}

static void finish_batch(struct view *view)
{
	const struct batch *batch = &view->batches[view->first_batch];

	if (batch->number == view->number)
		view->shown_index = batch->taken_index;
	view->first_batch = (view->first_batch + 1) % MAX_BATCHES;
	view->n_batches--;
	maybe_repaired(view);
	view_poke(view);
	view->hooks.on_progress(view->hooks.arg);
}

static void finish_command(struct view *view)
{
	view->n_answered++;
	if (view->n_batches > 0 &&
		view->n_answered == view->batches[view->first_batch].end_command)
		finish_batch(view);
}

/* Why the connection is good for nothing after this reply, or NULL. */
static const char *why_unusable(const redisReply *reply, int type)
{
	if (reply->type == REDIS_REPLY_ERROR)
		return is_of_one_key(reply->str) ? NULL : reply->str;
	return reply->type == type ? NULL : "a reply to something else";
}

/* False: there is nothing to be judged, with the connection all that was sent is lost. */
static bool is_usable(struct view *view, const redisReply *reply, int type)
{
	const char *why;

	if (reply == NULL)
		return false;
	view->stats.n_refused += reply->type == REDIS_REPLY_ERROR;
	why = why_unusable(reply, type);
	if (why != NULL)
		redis_disconnect(view->redis, why);
	return why == NULL;
}

static void judge(struct write *write, bool is_expected)
{
	if (!is_expected)
		view_note_difference(write->view, write->number, write->user);
	finish_command(write->view);
}

static bool is_number(const redisReply *reply, uint64_t number)
{
	return reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0 &&
		(uint64_t)reply->integer == number;
}

static void on_incremented(void *arg, void *item, const redisReply *reply)
{
	struct write *write = item;

	(void)arg;
	if (is_usable(write->view, reply, REDIS_REPLY_INTEGER))
		judge(write, is_number(reply, write->expected.used));
}

/* Of the two other fields neither may be new. */
static void on_rest_set(void *arg, void *item, const redisReply *reply)
{
	struct write *write = item;

	(void)arg;
	if (is_usable(write->view, reply, REDIS_REPLY_INTEGER))
		judge(write, is_number(reply, 0));
}

static void on_read(void *arg, void *item, const redisReply *reply)
{
	struct write *write = item;

	(void)arg;
	if (is_usable(write->view, reply, REDIS_REPLY_ARRAY))
		judge(write, fields_are(reply, &write->expected));
}

/* Who was refused meanwhile, by what was sent before, is not refused any more. */
static void note_written(struct view *view, struct user *user)
{
	view->stats.n_absolute++;
	if (!is_at(view, user, PLACE_REFUSED))
		return;
	place(view, user, PLACE_NOWHERE);
	ledger_mark_unsent(view->ledger, user);
}

static void on_set(void *arg, void *item, const redisReply *reply)
{
	struct write *write = item;
	struct view *view = write->view;

	(void)arg;
	if (!is_usable(view, reply, REDIS_REPLY_INTEGER))
		return;
	if (reply->type != REDIS_REPLY_ERROR)
		note_written(view, write->user);
	else if (write->number == view->number)
		refuse(view, write->user, write->was_refused, reply->str);
	finish_command(view);
}

/* Writing */

static void make_key(
	const struct view *view, const struct user *user, struct fields_key *key)
{
	fields_make_key(key, view->config.key_prefix, view->prefix_len, user);
}

int view_ask(
	struct view *view, const struct user *user, redis_reply_cb on_reply, void *item)
{
	char *at = redis_room(view->redis, FIELDS_COMMAND_BYTES);
	struct fields_key key;

	if (at == NULL)
		return ERR_NOMEM;
	make_key(view, user, &key);
	return redis_add(view->redis, fields_put_read(at, &key), on_reply, item);
}

/* False: it was not sent, and the connection is dropped. */
static bool note_sent(struct view *view, int code)
{
	if (code == 0)
		view->n_sent++;
	else
		redis_disconnect(view->redis, err_text(code));
	return code == 0;
}

/* Up to `end` is a command of this batch. */
static bool add_command(
	struct view *view, const char *end, redis_reply_cb on_reply, struct write *write)
{
	return note_sent(view, redis_add(view->redis, end, on_reply, write));
}

/* Room for the commands of a user; NULL, and the connection is dropped, if there is none.
 */
static char *make_room(struct view *view)
{
	char *at = redis_room(view->redis, 2 * FIELDS_COMMAND_BYTES);

	if (at == NULL)
		redis_disconnect(view->redis, err_text(ERR_NOMEM));
	return at;
}

static struct write *add_write(struct view *view, struct batch *batch, struct user *user)
{
	struct write *write = &batch->writes[batch->n++];

	*write = (struct write){.view = view,
		.user = user,
		.number = view->number,
		.expected = user->total,
		.was_refused = is_at(view, user, PLACE_REFUSED)};
	return write;
}

static void write_absolutely(struct view *view, struct batch *batch, struct user *user)
{
	struct fields_key key;
	struct write *write;
	char *at;

	make_key(view, user, &key);
	if (fields_is_key(&key, INSTANCE_KEY) || fields_is_key(&key, HOLDER_KEY)) {
		refuse(view, user, is_at(view, user, PLACE_REFUSED),
			INSTANCE_KEY " and " HOLDER_KEY " are no user's");
		return;
	}
	at = make_room(view);
	if (at == NULL)
		return;
	write = add_write(view, batch, user);
	place(view, user, PLACE_VERIFIED);
	(void)add_command(view, fields_put_set(at, &key, &user->total), on_set, write);
}

static void write_increment(
	struct view *view, struct batch *batch, struct user *user, uint64_t used)
{
	char *at = make_room(view);
	struct fields_key key;
	struct write *write;

	if (at == NULL)
		return;
	write = add_write(view, batch, user);
	make_key(view, user, &key);
	at = fields_put_increment(at, &key, used);
	if (add_command(view, at, on_incremented, write))
		(void)add_command(view, fields_put_rest(at, &key, &user->total),
			on_rest_set, write);
}

static void read_again(struct view *view, struct batch *batch, struct user *user)
{
	struct write *write = add_write(view, batch, user);

	(void)note_sent(view, view_ask(view, user, on_read, write));
}

/* The increments of a refused user wait in its total for the next time that it is tried
 * absolutely. */
static void write_unsent(struct view *view, struct batch *batch, struct user *user,
	const struct totals *unsent)
{
	if (is_at(view, user, PLACE_REFUSED))
		return;
	if (!is_at(view, user, PLACE_VERIFIED))
		write_absolutely(view, batch, user);
	else if (unsent->used > 0 || unsent->input > 0 || unsent->output > 0)
		write_increment(view, batch, user, unsent->used);
}

/* The walk */

static bool is_walk_due(const struct view *view)
{
	return walk_may(&view->walk) &&
		(view->walk.n_told > 0 || view->walk.lap != LAP_NONE);
}

/* With tracking a lap that reads is owed; without, one follows the other for ever. */
static bool is_looking(const struct view *view)
{
	return view->walk.lap == LAP_READ && !view->is_tracked;
}

static void visit(struct view *view, struct batch *batch, struct user *user)
{
	if (user->is_unsent || is_at(view, user, PLACE_DOUBTFUL))
		return; /* its turn comes otherwise */
	if (!is_at(view, user, PLACE_VERIFIED)) {
		walk_pay(&view->walk, COST_WRITE);
		write_absolutely(view, batch, user);
	} else if (view->walk.lap == LAP_READ) {
		walk_pay(&view->walk, view->is_tracked ? COST_READ : COST_LOOK);
		read_again(view, batch, user);
	}
}

static bool can_fill(const struct view *view, const struct batch *batch)
{
	return view->is_up && batch->n < BATCH_USERS && walk_may(&view->walk);
}

static void read_told(struct view *view, struct batch *batch)
{
	struct user *user;

	while (can_fill(view, batch) && (user = walk_take_told(&view->walk)) != NULL) {
		if (user->is_unsent || !is_at(view, user, PLACE_DOUBTFUL))
			continue; /* it is written, or was */
		walk_pay(&view->walk, COST_WRITE);
		place(view, user, PLACE_VERIFIED);
		read_again(view, batch, user);
	}
}

static void walk_on(struct view *view, struct batch *batch)
{
	struct walk *walk = &view->walk;
	struct user *user;

	if (walk->lap == LAP_WRITE &&
		count_unverified(view) + view->n_at[PLACE_REFUSED] == 0)
		walk->lap = LAP_NONE;
	for (unsigned i = 0;
		i < MAX_VISITS && walk->lap != LAP_NONE && can_fill(view, batch); i++) {
		user = walk_step(walk);
		if (user != NULL)
			visit(view, batch, user);
	}
}

/* When the next lap is due: those that Redis refuses are tried again, and where it does
 * not tell of edits all are looked at. */
static uint64_t lap_due_ms(const struct view *view)
{
	if (!view->is_tracked)
		return view->lap_ms + LOOK_AGAIN_MS;
	return view->n_at[PLACE_REFUSED] > 0 ? view->lap_ms + TRY_AGAIN_MS : UINT64_MAX;
}

static void on_tick(uv_timer_t *timer);

/* The tick goes on while there is something to walk for, or will be. */
static void plan_tick(struct view *view)
{
	uint64_t now = clock_ms(), due;

	if (view->walk.n_told > 0 || view->walk.lap != LAP_NONE)
		due = view->walk.allowed_ms + (is_looking(view) ? LOOK_TICK_MS : TICK_MS);
	else
		due = lap_due_ms(view);
	if (!view->is_up || due == UINT64_MAX)
		(void)uv_timer_stop(&view->tick);
	else
		timer_start(&view->tick, on_tick, due > now ? due - now : 0);
}

static void on_tick(uv_timer_t *timer)
{
	struct view *view = timer->data;

	if (view->walk.lap == LAP_NONE && clock_ms() >= lap_due_ms(view)) {
		walk_begin_lap(&view->walk, view->is_tracked ? LAP_WRITE : LAP_READ);
		view->lap_ms = clock_ms();
	}
	walk_allow(&view->walk, is_looking(view) ? LOOK_TICK_MS : TICK_MS);
	plan_tick(view);
	maybe_repaired(view); /* if there is nobody */
	view_poke(view);
}

/* Batches */

/* Who was taken had nothing but zeros, or is refused: shown with all that was sent. */
static void note_nothing_sent(struct view *view)
{
	size_t last =
		(view->first_batch + view->n_batches + MAX_BATCHES - 1) % MAX_BATCHES;

	if (view->n_batches > 0)
		view->batches[last].taken_index = view->taken_index;
	else
		view->shown_index = view->taken_index;
}

static void send_batch(struct view *view)
{
	size_t slot = (view->first_batch + view->n_batches) % MAX_BATCHES;
	struct batch *batch = &view->batches[slot];
	uint64_t before = view->n_sent;
	struct totals unsent;
	struct user *user;

	batch->n = 0;
	while (batch->n < BATCH_USERS && view->is_up &&
		(user = ledger_take_unsent(view->ledger, &unsent)) != NULL) {
		view->taken_index++;
		write_unsent(view, batch, user, &unsent);
	}
	read_told(view, batch);
	walk_on(view, batch);
	if (!view->is_up)
		return;
	if (view->n_sent > before) {
		batch->number = view->number;
		batch->end_command = view->n_sent;
		batch->taken_index = view->taken_index;
		view->n_batches++;
	} else {
		note_nothing_sent(view);
	}
}

static bool can_send(const struct view *view)
{
	return view->is_up && !view->is_held && view->n_batches < MAX_BATCHES;
}

static void on_send(uv_timer_t *timer)
{
	struct view *view = timer->data;

	if (!can_send(view))
		return;
	send_batch(view);
	maybe_repaired(view);
	view_poke(view);
	view->hooks.on_progress(view->hooks.arg);
}

void view_poke(struct view *view)
{
	if (can_send(view) && !uv_is_active((uv_handle_t *)&view->send) &&
		(count_unsent(view) > 0 || is_walk_due(view)))
		timer_start(&view->send, on_send, 0);
}

/* The connection */

void view_begin(struct view *view)
{
	view->is_up = true;
	view->is_held = false;
	view->n_sent = view->n_answered = 0;
	view->n_batches = 0;
	begin_repair(view);
	view_poke(view);
}

void view_end(struct view *view)
{
	view->is_up = false;
	walk_stop(&view->walk);
	plan_tick(view);
}

void view_hold(struct view *view)
{
	view->is_held = true;
}

void view_resume(struct view *view)
{
	view->is_held = false;
	view_poke(view);
}

void view_renew(struct view *view)
{
	begin_repair(view);
	view_resume(view);
}

void view_set_repair_rate(struct view *view, uint64_t users_per_second)
{
	view->walk.rate = users_per_second;
	walk_allow(&view->walk, TICK_MS); /* what the last rate has left is too much */
}

/* Edits by others */

/* What was done before was not told of. */
void view_set_tracked(struct view *view, bool is_tracked)
{
	view->is_tracked = is_tracked;
	if (is_tracked && view->is_up)
		walk_begin_lap(&view->walk, LAP_READ);
	plan_tick(view);
}

static void tell_of(struct view *view, struct user *user)
{
	if (is_at(view, user, PLACE_REFUSED)) {
		place(view, user, PLACE_NOWHERE);
		ledger_mark_unsent(view->ledger, user);
	} else if (is_at(view, user, PLACE_VERIFIED)) {
		if (walk_tell(&view->walk, user))
			place(view, user, PLACE_DOUBTFUL);
		else
			walk_begin_lap(&view->walk, LAP_READ);
	}
}

void view_tell(struct view *view, const char *key, size_t len)
{
	bool is_first = view->walk.n_told == 0;
	char id[NAME_MAX_BYTES + 1];
	const struct user *user;

	if (!view->is_up || len < view->prefix_len ||
		len - view->prefix_len >= sizeof(id) ||
		memcmp(key, view->config.key_prefix, view->prefix_len) != 0)
		return;
	len -= view->prefix_len;
	memcpy(id, key + view->prefix_len, len);
	id[len] = '\0';
	user = strlen(id) == len ? ledger_find_user(view->ledger, id) : NULL;
	if (user != NULL)
		tell_of(view, (struct user *)user); /* of its place there */
	if (is_first)
		plan_tick(view);
	view_poke(view);
}

void view_tell_all(struct view *view)
{
	if (!view->is_up)
		return;
	walk_begin_lap(&view->walk, LAP_READ);
	plan_tick(view);
	view->is_held = true;
	view->hooks.on_difference(view->hooks.arg);
}

bool view_has_read_told(const struct view *view)
{
	return view->walk.n_told == 0;
}

/* Looking at it */

uint64_t view_shown_index(const struct view *view)
{
	return view->shown_index;
}

bool view_is_repaired(const struct view *view)
{
	return !view->is_repairing;
}

uint64_t view_number(const struct view *view)
{
	return view->number;
}

void view_get_stats(const struct view *view, struct view_stats *ret_stats)
{
	*ret_stats = view->stats;
	ret_stats->unverified_users = view->is_up
		? count_unverified(view) + view->n_at[PLACE_DOUBTFUL]
		: count_users(view);
	ret_stats->refused_users = view->n_at[PLACE_REFUSED];
	if (view->n_at[PLACE_REFUSED] == 0)
		ret_stats->error[0] = '\0';
}

/* Life */

static void free_batches(struct view *view)
{
	for (size_t i = 0; i < MAX_BATCHES; i++)
		free(view->batches[i].writes);
}

static bool allocate_batches(struct view *view)
{
	for (size_t i = 0; i < MAX_BATCHES; i++) {
		view->batches[i].writes = calloc(BATCH_USERS, sizeof(struct write));
		if (view->batches[i].writes == NULL)
			return false;
	}
	return true;
}

struct view *view_new(struct ledger *ledger, struct redis *redis,
	const struct view_config *config, const struct view_hooks *hooks)
{
	struct view *view = calloc(1, sizeof(*view));

	if (view == NULL)
		return NULL;
	if (!allocate_batches(view)) {
		free_batches(view);
		free(view);
		return NULL;
	}
	view->ledger = ledger;
	view->redis = redis;
	view->config = *config;
	view->prefix_len = strlen(config->key_prefix);
	view->hooks = *hooks;
	view->walk = (struct walk){.ledger = ledger, .rate = config->repair_rate};
	return view;
}

void view_start(struct view *view, uv_loop_t *loop)
{
	(void)uv_timer_init(loop, &view->send); /* always 0 */
	(void)uv_timer_init(loop, &view->tick);
	view->send.data = view->tick.data = view;
	view->n_open_handles = 2;
}

static void finish_close(uv_handle_t *handle)
{
	struct view *view = handle->data;

	view->n_open_handles--;
	if (view->n_open_handles == 0)
		view->on_closed(view->on_closed_arg);
}

void view_close(struct view *view, void (*on_closed)(void *arg), void *arg)
{
	view->is_up = false;
	view->on_closed = on_closed;
	view->on_closed_arg = arg;
	uv_close((uv_handle_t *)&view->send, finish_close);
	uv_close((uv_handle_t *)&view->tick, finish_close);
}

void view_free(struct view *view)
{
	if (view == NULL)
		return;
	free_batches(view);
	free(view);
}
