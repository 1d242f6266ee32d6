/*
 * on_send() fills a batch: users with unsent bytes first, then the walk. on_written()
 * judges each reply; behind the last of a batch the next may go. What was sent is kept
 * per user in the batch until it is answered, in the order of the replies.
 *
 * `user->view` says where a user stands: `number` verified, `number + 1` refused,
 * anything else not verified. Numbers grow by two, so a new view leaves nobody verified
 * at the cost of an addition. A reply to what was sent in an earlier view says nothing
 * about this one, but that a user who differed and was not written since comes first.
 */
#include "live/view.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/timer.h"
#include "live/fields.h"
#include "live/holder.h"
#include "live/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_USERS 1000
#define MAX_BATCHES 2
#define TICK_MS 100      /* how often the walk gets its allowance */
#define ROUND_MS 2000    /* verified users are read again no sooner than that */
#define READ_COST 4      /* users that could be written instead of one that is read */
#define MAX_VISITS 10000 /* users the walk looks at in one loop turn */

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
	uint64_t number;
	size_t n_verified, n_refused; /* users */

	struct batch batches[MAX_BATCHES];
	size_t first_batch, n_batches; /* those outstanding, a ring */
	uint64_t n_sent, n_answered;   /* commands of batches, on this connection */
	uint64_t taken_index, shown_index;

	struct user *walk_at; /* the last user that the walk has looked at */
	uint64_t allowance;   /* of the walk, in thousandths of a written user */
	uint64_t allowed_ms;  /* when it last grew */
	size_t round_left;    /* verified users still to be read in this round */
	uint64_t round_ms;    /* when it began */
	bool is_repairing;
	uint64_t repairing_ms;

	uv_timer_t send, tick;
	unsigned n_open_handles;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

/* Where users stand */

bool view_is_verified(const struct view *view, const struct user *user)
{
	return view->is_up && !view->is_held && user->view == view->number &&
		!user->is_unsent;
}

static bool is_refused(const struct view *view, const struct user *user)
{
	return user->view == view->number + 1;
}

static void place(struct view *view, struct user *user, uint64_t where)
{
	view->n_verified -= user->view == view->number;
	view->n_refused -= is_refused(view, user);
	user->view = where;
	view->n_verified += user->view == view->number;
	view->n_refused += is_refused(view, user);
}

static size_t count_users(const struct view *view)
{
	struct ledger_stats stats;

	ledger_get_stats(view->ledger, &stats);
	return stats.users;
}

/* Neither verified nor refused. */
static size_t count_unverified(const struct view *view)
{
	return count_users(view) - view->n_verified - view->n_refused;
}

static size_t count_unsent(const struct view *view)
{
	struct ledger_stats stats;

	ledger_get_stats(view->ledger, &stats);
	return stats.unsent_users;
}

/* Replies */

static void on_tick(uv_timer_t *timer);

static void begin_repair(struct view *view)
{
	view->number += 2;
	view->n_verified = view->n_refused = 0;
	view->round_left = 0;
	if (!view->is_repairing)
		view->repairing_ms = clock_ms();
	view->is_repairing = true;
	timer_start(&view->tick, on_tick, 0);
}

static void maybe_repaired(struct view *view)
{
	if (!view->is_repairing || view->n_batches > 0 || count_unverified(view) > 0)
		return;
	view->is_repairing = false;
	log_limited(LOG_INFO, "Redis shows the ledger",
		"users=%zu refused_users=%zu repaired_in_ms=%" PRIu64, view->n_verified,
		view->n_refused, clock_ms() - view->repairing_ms);
}

void view_note_difference(struct view *view, uint64_t number, const struct user *user)
{
	if (!view->is_up || is_refused(view, user))
		return;
	if (number != view->number) {
		if (user->view != view->number) /* nor was it written since */
			ledger_mark_unsent(view->ledger, user);
		return;
	}
	view->stats.n_differences++;
	log_limited(LOG_WARN, "somebody else has written to Redis", "user=%s",
		LOG_QUOTE(user->id));
	view->is_held = true;
	begin_repair(view);
	ledger_mark_unsent(view->ledger, user);
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

	text_copy_clean(id, sizeof(id), user->id,
		strlen(user->id)); /* its reason is to fit behind it */
	(void)snprintf(text, sizeof(text), "user %s: %s", id, error);
	text_copy_clean(view->stats.error, sizeof(view->stats.error), text, strlen(text));
	place(view, user, view->number + 1);
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

static void on_set(void *arg, void *item, const redisReply *reply)
{
	struct write *write = item;
	struct view *view = write->view;

	(void)arg;
	if (!is_usable(view, reply, REDIS_REPLY_INTEGER))
		return;
	if (reply->type != REDIS_REPLY_ERROR)
		view->stats.n_absolute++;
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
		.was_refused = is_refused(view, user)};
	return write;
}

static void write_absolutely(struct view *view, struct batch *batch, struct user *user)
{
	struct fields_key key;
	struct write *write;
	char *at;

	make_key(view, user, &key);
	if (fields_is_key(&key, INSTANCE_KEY) || fields_is_key(&key, HOLDER_KEY)) {
		refuse(view, user, is_refused(view, user),
			INSTANCE_KEY " and " HOLDER_KEY " are no user's");
		return;
	}
	at = make_room(view);
	if (at == NULL)
		return;
	write = add_write(view, batch, user);
	place(view, user, view->number);
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
	if (is_refused(view, user))
		return;
	if (user->view != view->number)
		write_absolutely(view, batch, user);
	else if (unsent->used > 0 || unsent->input > 0 || unsent->output > 0)
		write_increment(view, batch, user, unsent->used);
}

/* The walk */

static uint64_t walk_cost(size_t n_unverified)
{
	return n_unverified > 0 ? 1000 : READ_COST * 1000;
}

static bool is_walk_due(const struct view *view)
{
	size_t n_unverified = count_unverified(view);

	return (n_unverified > 0 || view->round_left > 0) &&
		view->allowance >= walk_cost(n_unverified);
}

static void visit(struct view *view, struct batch *batch, struct user *user)
{
	size_t n_unverified = count_unverified(view);
	bool is_verified = user->view == view->number;

	if (n_unverified == 0)
		view->round_left--;
	if (user->is_unsent ||
		(n_unverified > 0 && (is_verified || is_refused(view, user))))
		return; /* its turn comes otherwise */
	view->allowance -= walk_cost(n_unverified);
	if (is_verified)
		read_again(view, batch, user);
	else
		write_absolutely(view, batch, user);
}

static void walk(struct view *view, struct batch *batch)
{
	for (unsigned i = 0; i < MAX_VISITS && view->is_up && batch->n < BATCH_USERS &&
		is_walk_due(view);
		i++) {
		view->walk_at = ledger_next_user(view->ledger, view->walk_at);
		if (view->walk_at != NULL)
			visit(view, batch, view->walk_at);
	}
}

static void allow_walk(struct view *view)
{
	uint64_t now = clock_ms(), since = now - view->allowed_ms;
	uint64_t most = view->config.repair_rate * TICK_MS;

	if (most < walk_cost(0))
		most = walk_cost(0);
	view->allowance += view->config.repair_rate * (since < 1000 ? since : 1000);
	view->allowance = view->allowance < most ? view->allowance : most;
	view->allowed_ms = now;
}

/* Every TICK_MS while there is something to walk for, else when the next round is due. */
static void on_tick(uv_timer_t *timer)
{
	struct view *view = timer->data;
	uint64_t since = clock_ms() - view->round_ms;
	bool is_busy;

	if (!view->is_up)
		return;
	allow_walk(view);
	is_busy = count_unverified(view) > 0 || view->round_left > 0;
	if (!is_busy && since >= ROUND_MS) {
		view->round_left = view->n_verified + view->n_refused;
		view->round_ms = clock_ms();
		since = 0;
		is_busy = view->round_left > 0;
	}
	timer_start(timer, on_tick, is_busy ? TICK_MS : ROUND_MS - since);
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
	walk(view, batch);
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
	(void)uv_timer_stop(&view->tick);
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
	view->config.repair_rate = users_per_second;
}

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
	ret_stats->unverified_users =
		view->is_up ? count_unverified(view) : count_users(view);
	ret_stats->refused_users = view->n_refused;
	if (view->n_refused == 0)
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
