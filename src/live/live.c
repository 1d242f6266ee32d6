/*
 * on_ready() asks whose Redis this is (link.c); up() begins a new view; send() writes a
 * batch of users: those with unsent bytes first, then on with the pass over all others.
 * Each batch of replies lets the next one go. Replies of a batch are counted, not
 * remembered: they come in order.
 *
 * A user belongs to the current view once it was written absolutely in it. A lost
 * connection, or an error for its key, puts it out of the view again, so nothing that was
 * in flight need be kept.
 */
#include "live/live.h"
#include "base/clock.h"
#include "base/log.h"
#include "live/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES                                                                        \
	1024 /* prefix and id are each at most 255 bytes, escaped twice that             \
	      */
#define BATCH_USERS 1000
#define MAX_BATCHES 2
#define RECONNECT_MIN_MS 100
#define RECONNECT_MAX_MS 2000
#define FOREIGN_AGAIN_MS 30000
#define FAILED_AGAIN_MS 5000

struct batch {
	uint64_t end_command; /* done when that many commands were answered */
	uint64_t taken_index; /* of the ledger's queue, when it was sent */
};

struct reading {
	live_read_cb on_read;
	void *arg;
};

struct live {
	uv_loop_t *loop;
	struct ledger *ledger;
	struct live_config config;
	live_progress_cb on_progress;
	void *arg;

	struct redis *redis;
	struct link link;
	enum live_state state;
	bool is_settled;
	struct live_stats stats;
	uint64_t reconnect_ms;

	uint64_t view; /* users whose `view` is another have to be written absolutely */
	struct user *pass_at; /* the last user that the pass has looked at */
	bool is_pass_done, has_failed;
	uint64_t taken_index, shown_index;
	uint64_t n_sent, n_answered; /* commands of batches, on this connection */
	struct batch batches[MAX_BATCHES];
	size_t n_batches;

	uv_timer_t send, reconnect, again;
	unsigned n_open_handles;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

static void start_timer(uv_timer_t *timer, uv_timer_cb callback, uint64_t ms)
{
	(void)uv_timer_start(timer, callback, ms, 0); /* fails only for a NULL callback */
}

static void set_state(struct live *live, enum live_state state)
{
	live->state = state;
	live->is_settled |= state != LIVE_CHECKING;
	live->on_progress(live->arg);
}

static void note_error(struct live *live, const char *text)
{
	(void)snprintf(live->stats.error, sizeof(live->stats.error), "%s", text);
}

/* Writing users */

struct key {
	char text[KEY_BYTES];
};

static const char *make_key(
	const struct live *live, const struct user *user, struct key *key)
{
	(void)snprintf(
		key->text, sizeof(key->text), "%s%s", live->config.key_prefix, user->id);
	return key->text;
}

static void on_send(uv_timer_t *timer);

static bool has_more(const struct live *live)
{
	struct ledger_stats stats;

	ledger_get_stats(live->ledger, &stats);
	return stats.unsent_users > 0 || !live->is_pass_done;
}

void live_poke(struct live *live)
{
	if (live->state == LIVE_UP && live->n_batches < MAX_BATCHES && has_more(live) &&
		!uv_is_active((uv_handle_t *)&live->send))
		start_timer(&live->send, on_send, 0);
}

static void on_again(uv_timer_t *timer)
{
	struct live *live = timer->data;

	live->has_failed = false;
	live->is_pass_done = false;
	live->pass_at = NULL;
	live_poke(live);
}

/* Redis refused a command: this user is out of the view until it was written anew. */
static void note_refusal(struct live *live, struct user *user, const char *error)
{
	user->view = 0;
	live->stats.n_refused++;
	note_error(live, error);
	log_limited(LOG_WARN, "Redis refused a command", "user=%s error=%s",
		LOG_QUOTE(user->id), LOG_QUOTE(error));
	if (!live->has_failed)
		start_timer(&live->again, on_again, FAILED_AGAIN_MS);
	live->has_failed = true;
}

static void on_written(void *arg, void *item, const redisReply *reply)
{
	struct live *live = arg;

	if (reply == NULL)
		return; /* the connection is lost, and with it the view */
	if (reply->type == REDIS_REPLY_ERROR)
		note_refusal(live, item, reply->str);
	live->n_answered++;
	if (live->n_batches == 0 || live->n_answered < live->batches[0].end_command)
		return;
	live->shown_index = live->batches[0].taken_index;
	live->n_batches--;
	live->batches[0] = live->batches[1];
	live_poke(live);
	live->on_progress(live->arg);
}

static void send_for(struct live *live, struct user *user, int argc, const char **argv)
{
	if (redis_send_words(live->redis, on_written, user, argc, argv) == 0)
		live->n_sent++;
	else
		redis_disconnect(live->redis, err_text(ERR_NOMEM));
}

static void write_absolutely(struct live *live, struct user *user)
{
	struct key key;
	char used[24], input[24], output[24];
	const char *argv[] = {"HSET", make_key(live, user, &key), "usedTraffic", used,
		"inputBytes", input, "outputBytes", output};

	(void)snprintf(used, sizeof(used), "%" PRIu64, user->total.used);
	(void)snprintf(input, sizeof(input), "%" PRIu64, user->total.input);
	(void)snprintf(output, sizeof(output), "%" PRIu64, user->total.output);
	user->view = live->view;
	live->stats.n_absolute++;
	send_for(live, user, 8, argv);
}

static void increment(
	struct live *live, struct user *user, const char *field, uint64_t by)
{
	struct key key;
	char number[24];
	const char *argv[] = {"HINCRBY", make_key(live, user, &key), field, number};

	if (by == 0)
		return;
	(void)snprintf(number, sizeof(number), "%" PRIu64, by);
	send_for(live, user, 4, argv);
}

static void write_user(struct live *live, struct user *user, const struct totals *unsent)
{
	if (user->view != live->view) {
		write_absolutely(live, user);
		return;
	}
	increment(live, user, "usedTraffic", unsent->used);
	increment(live, user, "inputBytes", unsent->input);
	increment(live, user, "outputBytes", unsent->output);
}

/* The pass: up to `budget` of those who are not in the view and have nothing unsent. */
static void continue_pass(struct live *live, size_t budget)
{
	size_t n = 0;

	while (n < budget && !live->is_pass_done && live->state == LIVE_UP) {
		struct user *user = ledger_next_user(live->ledger, live->pass_at);

		if (user == NULL) {
			live->is_pass_done = true;
			break;
		}
		live->pass_at = user;
		if (user->view != live->view && !user->is_unsent) {
			write_absolutely(live, user);
			n++;
		}
	}
}

static void send_batch(struct live *live)
{
	uint64_t before = live->n_sent;
	size_t n = 0;
	struct totals unsent;
	struct user *user;

	while (n < BATCH_USERS && live->state == LIVE_UP &&
		(user = ledger_take_unsent(live->ledger, &unsent)) != NULL) {
		live->taken_index++;
		write_user(live, user, &unsent);
		n++;
	}
	continue_pass(live, BATCH_USERS - n);
	if (live->state != LIVE_UP)
		return;
	if (live->n_sent > before)
		live->batches[live->n_batches++] =
			(struct batch){live->n_sent, live->taken_index};
	else if (live->n_batches == 0)
		live->shown_index = live->taken_index; /* nothing but zeros */
}

static void on_send(uv_timer_t *timer)
{
	struct live *live = timer->data;

	if (live->state != LIVE_UP || live->n_batches == MAX_BATCHES)
		return;
	send_batch(live);
	live_poke(live);
	live->on_progress(live->arg);
}

static size_t count_users(const struct live *live)
{
	struct ledger_stats stats;

	ledger_get_stats(live->ledger, &stats);
	return stats.users;
}

static void up(struct live *live)
{
	live->view++;
	live->pass_at = NULL;
	live->is_pass_done = false;
	live->n_sent = live->n_answered = 0;
	live->n_batches = 0;
	live->reconnect_ms = RECONNECT_MIN_MS;
	live->stats.error[0] = '\0';
	log_info("Redis is up", "users=%zu", count_users(live));
	set_state(live, LIVE_UP);
	live_poke(live);
}

static void become_foreign(struct live *live, const char *why)
{
	note_error(live, why);
	log_error("Redis holds totals that are not ours: nothing is written there",
		"reason=%s", LOG_QUOTE(why));
	set_state(live, LIVE_FOREIGN);
	redis_disconnect(live->redis, why);
}

static void on_linked(void *arg, const char *foreign_why)
{
	struct live *live = arg;

	if (foreign_why == NULL)
		up(live);
	else
		become_foreign(live, foreign_why);
}

/* Coming and going of the connection */

static void on_reconnect(uv_timer_t *timer)
{
	redis_connect(((struct live *)timer->data)->redis);
}

static void down(struct live *live, const char *error)
{
	bool was_up = live->state == LIVE_UP || !live->is_settled;

	if (live->state == LIVE_FOREIGN) {
		start_timer(&live->reconnect, on_reconnect, FOREIGN_AGAIN_MS);
		return;
	}
	note_error(live, error);
	if (was_up)
		log_warn("Redis is down: accounting goes on", "error=%s",
			LOG_QUOTE(error));
	else
		log_debug("Redis is still down", "error=%s", LOG_QUOTE(error));
	start_timer(&live->reconnect, on_reconnect, live->reconnect_ms);
	live->reconnect_ms = live->reconnect_ms * 2 < RECONNECT_MAX_MS
		? live->reconnect_ms * 2
		: RECONNECT_MAX_MS;
	set_state(live, LIVE_DOWN);
}

static void on_ready(void *arg, const char *error)
{
	struct live *live = arg;

	if (error != NULL) {
		down(live, error);
		return;
	}
	set_state(live, LIVE_CHECKING);
	link_ask(&live->link);
}

static void on_lost(void *arg, const char *error)
{
	down(arg, error);
}

/* Reading */

static bool parse_total(const redisReply *reply, uint64_t *ret_value)
{
	char *end;

	if (reply->type != REDIS_REPLY_STRING || reply->len == 0)
		return false;
	*ret_value = strtoull(reply->str, &end, 10);
	return *end == '\0' && reply->str[0] != '-';
}

static void on_read_reply(void *arg, void *item, const redisReply *reply)
{
	struct reading reading = *(struct reading *)item;
	struct totals totals;
	bool is_good = reply != NULL && reply->type == REDIS_REPLY_ARRAY &&
		reply->elements == 3 && parse_total(reply->element[0], &totals.used) &&
		parse_total(reply->element[1], &totals.input) &&
		parse_total(reply->element[2], &totals.output);

	(void)arg;
	free(item);
	reading.on_read(reading.arg, is_good ? &totals : NULL);
}

bool live_read(
	struct live *live, const struct user *user, live_read_cb on_read, void *arg)
{
	struct key key;
	const char *argv[] = {"HMGET", make_key(live, user, &key), "usedTraffic",
		"inputBytes", "outputBytes"};
	struct reading *reading;

	if (live->state != LIVE_UP || user->view != live->view || user->is_unsent)
		return false;
	reading = malloc(sizeof(*reading));
	if (reading == NULL)
		return false;
	*reading = (struct reading){on_read, arg};
	if (redis_send_words(live->redis, on_read_reply, reading, 5, argv) == 0)
		return true;
	free(reading);
	return false;
}

/* Life */

#define STRING_OF(x) #x
#define VERSION(major, minor, patch)                                                     \
	STRING_OF(major) "." STRING_OF(minor) "." STRING_OF(patch)

const char *live_library_version(void)
{
	return VERSION(HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
}

struct live *live_new(uv_loop_t *loop, struct ledger *ledger,
	const struct live_config *config, live_progress_cb on_progress, void *arg)
{
	struct live *live = calloc(1, sizeof(*live));

	if (live == NULL)
		return NULL;
	live->loop = loop;
	live->ledger = ledger;
	live->config = *config;
	live->on_progress = on_progress;
	live->arg = arg;
	live->reconnect_ms = RECONNECT_MIN_MS;
	live->state = LIVE_NONE;
	live->is_settled = config->address == NULL;
	if (config->address == NULL)
		return live;
	live->redis = redis_new(
		loop, config->address, config->timeout_ms, on_ready, on_lost, live);
	if (live->redis == NULL) {
		free(live);
		return NULL;
	}
	live->link = (struct link){
		live->redis, config->key_prefix, config->instance_id, on_linked, live};
	live->state = LIVE_DOWN;
	(void)uv_timer_init(loop, &live->send); /* always 0 */
	(void)uv_timer_init(loop, &live->reconnect);
	(void)uv_timer_init(loop, &live->again);
	live->send.data = live->reconnect.data = live->again.data = live;
	return live;
}

void live_start(struct live *live)
{
	if (live->redis != NULL)
		redis_connect(live->redis);
}

uint64_t live_shown_index(const struct live *live)
{
	return live->shown_index;
}

enum live_state live_get_state(const struct live *live)
{
	return live->state;
}

bool live_is_settled(const struct live *live)
{
	return live->is_settled;
}

const char *live_state_name(enum live_state state)
{
	static const char *const names[] = {"none", "down", "checking", "foreign", "up"};

	return names[state];
}

void live_get_stats(const struct live *live, struct live_stats *ret_stats)
{
	*ret_stats = live->stats;
	ret_stats->state = live->state;
}

static void maybe_closed(struct live *live)
{
	live->n_open_handles--;
	if (live->n_open_handles == 0)
		live->on_closed(live->on_closed_arg);
}

static void finish_close(uv_handle_t *handle)
{
	maybe_closed(handle->data);
}

static void on_redis_closed(void *arg)
{
	maybe_closed(arg);
}

void live_close(struct live *live, void (*on_closed)(void *arg), void *arg)
{
	live->on_closed = on_closed;
	live->on_closed_arg = arg;
	if (live->redis == NULL) {
		on_closed(arg);
		return;
	}
	live->n_open_handles = 4;
	live->state = LIVE_DOWN;
	redis_close(live->redis, on_redis_closed, live);
	uv_close((uv_handle_t *)&live->send, finish_close);
	uv_close((uv_handle_t *)&live->reconnect, finish_close);
	uv_close((uv_handle_t *)&live->again, finish_close);
}

void live_free(struct live *live)
{
	if (live == NULL)
		return;
	redis_free(live->redis);
	free(live);
}
