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
#include "live/holder.h"
#include "live/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOTAL_DIGITS 19 /* of 2^63-1 */
#define BATCH_USERS 1000
#define MAX_BATCHES 2
#define TICK_MS 100      /* how often the walk gets its allowance */
#define ROUND_MS 2000    /* verified users are read again no sooner than that */
#define READ_COST 4      /* users that could be written instead of one that is read */
#define MAX_VISITS 10000 /* users the walk looks at in one loop turn */

enum write_kind {
	WRITE_SET,  /* HSET: absolute */
	WRITE_ADD,  /* HINCRBY for each field of `fields` */
	WRITE_READ, /* HMGET, to compare */
};

/* The fields of struct totals, in the order they are sent. */
enum field { FIELD_USED = 1, FIELD_INPUT = 2, FIELD_OUTPUT = 4 };

struct write {
	struct view *view;
	struct user *user;
	uint64_t number; /* of the view it was sent in */
	struct totals expected;
	enum write_kind kind;
	unsigned fields; /* WRITE_ADD: those that are not answered yet */
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

static void judge_error(struct view *view, const struct write *write, const char *error)
{
	if (write->kind == WRITE_SET && write->number == view->number)
		refuse(view, write->user, write->was_refused, error);
	else if (write->kind != WRITE_SET)
		view_note_difference(view, write->number, write->user);
}

/* The total that the first unanswered field of an increment has to be. */
static uint64_t take_expected(struct write *write)
{
	unsigned field = write->fields & (0U - write->fields);

	write->fields &= ~field;
	return field == FIELD_USED     ? write->expected.used
		: field == FIELD_INPUT ? write->expected.input
				       : write->expected.output;
}

/* Why the connection is good for nothing after this reply, or NULL. */
static const char *why_unusable(const struct write *write, const redisReply *reply)
{
	if (reply->type == REDIS_REPLY_ERROR)
		return is_of_one_key(reply->str) ? NULL : reply->str;
	return reply->type ==
			(write->kind == WRITE_READ ? REDIS_REPLY_ARRAY
						   : REDIS_REPLY_INTEGER)
		? NULL
		: "a reply to something else";
}

static bool is_expected(struct write *write, const redisReply *reply)
{
	if (write->kind == WRITE_READ)
		return view_is_as_expected(reply, &write->expected);
	return reply->integer >= 0 && (uint64_t)reply->integer == take_expected(write);
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

static void on_written(void *arg, void *item, const redisReply *reply)
{
	struct write *write = item;
	struct view *view = write->view;
	const char *why;

	(void)arg;
	if (reply == NULL)
		return; /* the connection is lost, and with it all that was sent */
	view->stats.n_refused += reply->type == REDIS_REPLY_ERROR;
	why = why_unusable(write, reply);
	if (why != NULL) {
		redis_disconnect(view->redis, why);
		return;
	}
	if (reply->type == REDIS_REPLY_ERROR)
		judge_error(view, write, reply->str);
	else if (write->kind == WRITE_SET)
		view->stats.n_absolute++;
	else if (!is_expected(write, reply))
		view_note_difference(view, write->number, write->user);
	view->n_answered++;
	if (view->n_batches > 0 &&
		view->n_answered == view->batches[view->first_batch].end_command)
		finish_batch(view);
}

/* Writing */

/* The key of a user's hash. */
struct key {
	char text[1024]; /* prefix and id are each at most 255 bytes */
};

static const char *make_key(
	const struct view *view, const struct user *user, struct key *key)
{
	(void)snprintf(
		key->text, sizeof(key->text), "%s%s", view->config.key_prefix, user->id);
	return key->text;
}

int view_ask(
	struct view *view, const struct user *user, redis_reply_cb on_reply, void *item)
{
	struct key key;
	const char *argv[] = {
		"HMGET", make_key(view, user, &key), VIEW_USED, VIEW_INPUT, VIEW_OUTPUT};

	return redis_send(view->redis, on_reply, item, 5, argv);
}

static void note_sent(struct view *view, int code)
{
	if (code == 0)
		view->n_sent++;
	else
		redis_disconnect(view->redis, err_text(code));
}

static void send_for(struct view *view, struct write *write, int argc, const char **argv)
{
	note_sent(view, redis_send(view->redis, on_written, write, argc, argv));
}

static struct write *add_write(
	struct view *view, struct batch *batch, struct user *user, enum write_kind kind)
{
	struct write *write = &batch->writes[batch->n++];

	*write = (struct write){.view = view,
		.user = user,
		.number = view->number,
		.expected = user->total,
		.kind = kind,
		.was_refused = is_refused(view, user)};
	return write;
}

static void write_absolutely(struct view *view, struct batch *batch, struct user *user)
{
	struct write *write;
	struct key key;
	char used[24], input[24], output[24];
	const char *argv[] = {"HSET", make_key(view, user, &key), VIEW_USED, used,
		VIEW_INPUT, input, VIEW_OUTPUT, output};

	if (strcmp(key.text, INSTANCE_KEY) == 0 || strcmp(key.text, HOLDER_KEY) == 0) {
		refuse(view, user, is_refused(view, user),
			INSTANCE_KEY " and " HOLDER_KEY " are no user's");
		return;
	}
	write = add_write(view, batch, user, WRITE_SET);
	(void)snprintf(used, sizeof(used), "%" PRIu64, user->total.used);
	(void)snprintf(input, sizeof(input), "%" PRIu64, user->total.input);
	(void)snprintf(output, sizeof(output), "%" PRIu64, user->total.output);
	place(view, user, view->number);
	send_for(view, write, 8, argv);
}

static void increment(struct view *view, struct write *write, enum field bit,
	const char *field, uint64_t by)
{
	struct key key;
	char number[24];
	const char *argv[] = {
		"HINCRBY", make_key(view, write->user, &key), field, number};

	if (by == 0)
		return;
	write->fields |= bit;
	(void)snprintf(number, sizeof(number), "%" PRIu64, by);
	send_for(view, write, 4, argv);
}

static void read_again(struct view *view, struct batch *batch, struct user *user)
{
	struct write *write = add_write(view, batch, user, WRITE_READ);

	note_sent(view, view_ask(view, user, on_written, write));
}

/* The increments of a refused user wait in its total for the next time that it is tried
 * absolutely. */
static void write_unsent(struct view *view, struct batch *batch, struct user *user,
	const struct totals *unsent)
{
	struct write *write;

	if (is_refused(view, user))
		return;
	if (user->view != view->number) {
		write_absolutely(view, batch, user);
		return;
	}
	write = add_write(view, batch, user, WRITE_ADD);
	increment(view, write, FIELD_USED, VIEW_USED, unsent->used);
	increment(view, write, FIELD_INPUT, VIEW_INPUT, unsent->input);
	increment(view, write, FIELD_OUTPUT, VIEW_OUTPUT, unsent->output);
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

bool view_parse_total(const redisReply *reply, uint64_t *ret_total)
{
	size_t len = reply->type == REDIS_REPLY_STRING ? (size_t)reply->len : 0;
	uint64_t value;

	if (len == 0 || len > TOTAL_DIGITS || strspn(reply->str, "0123456789") != len)
		return false;
	value = strtoull(reply->str, NULL, 10); /* 19 digits fit */
	if (value > TOTAL_MAX)
		return false;
	*ret_total = value;
	return true;
}

/* As we write it, without a zero in front, which Redis could not add to. */
static bool is_written(const redisReply *reply, uint64_t total)
{
	uint64_t shown;

	return view_parse_total(reply, &shown) && shown == total &&
		(reply->str[0] != '0' || reply->len == 1);
}

bool view_is_as_expected(const redisReply *reply, const struct totals *expected)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
		is_written(reply->element[0], expected->used) &&
		is_written(reply->element[1], expected->input) &&
		is_written(reply->element[2], expected->output);
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
