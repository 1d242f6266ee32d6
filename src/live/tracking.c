/*
 * tracking_begin() connects; on_ready() asks for the number of the second connection and
 * subscribes; on_subscribed() asks the first to send there; on_asked(): ON. From then on
 * on_key() tells the view, and pauses the second connection until the view has read what
 * was told; and every few seconds it subscribes once more, to see that it lives.
 */
#include "live/tracking.h"
#include "base/log.h"
#include "base/timer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANNEL "__redis__:invalidate"
#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 60000
#define REST_MS 100    /* between two reads of what is told */
#define ALIVE_MS 10000 /* it is looked whether it lives */

enum state { STATE_OFF, STATE_CONNECTING, STATE_ASKING, STATE_ON, STATE_LOST };

struct tracking {
	struct redis *redis, *second;
	const struct survey *survey;
	struct view *view;
	const char *key_prefix;

	enum state state;
	uint64_t second_id;
	unsigned n_asked; /* questions to the first that are not answered */
	uint64_t retry_ms;
	bool has_failed;    /* since it was begun, or was on */
	char said_why[128]; /* it does not work; "": nothing was said */
	bool is_resting;
	uv_timer_t timer; /* LOST: to connect again; ON: to go on, or to look */

	unsigned n_open_handles;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

/* Ends */

static void on_retry(uv_timer_t *timer)
{
	struct tracking *tracking = timer->data;

	tracking->state = STATE_CONNECTING;
	redis_connect_beside(tracking->second, tracking->redis);
}

static void lose(struct tracking *tracking, const char *why)
{
	if (tracking->state == STATE_OFF)
		return;
	if (tracking->state == STATE_ON)
		log_limited(LOG_INFO,
			"the connection on which Redis tells of edits is lost: all users "
			"are read again when it is back",
			"error=%s", LOG_QUOTE(why));
	else if (strncmp(why, tracking->said_why, sizeof(tracking->said_why) - 1) != 0)
		log_warn("Redis does not tell of edits by others: tallyd looks for them, "
			 "user by user",
			"error=%s", LOG_QUOTE(why));
	if (tracking->state != STATE_ON)
		(void)snprintf(tracking->said_why, sizeof(tracking->said_why), "%s", why);
	tracking->state = STATE_LOST;
	tracking->has_failed = true;
	tracking->is_resting = false;
	view_set_tracked(tracking->view, false);
	timer_start(&tracking->timer, on_retry, tracking->retry_ms);
	tracking->retry_ms = tracking->retry_ms * 2 < RETRY_MAX_MS
		? tracking->retry_ms * 2
		: RETRY_MAX_MS;
}

static void on_lost(void *arg, const char *error)
{
	lose(arg, error);
}

/* What it refuses now it will refuse in a moment. */
static void give_up(struct tracking *tracking, const char *why)
{
	tracking->retry_ms = RETRY_MAX_MS;
	redis_disconnect(tracking->second, why);
}

/* What is wrong with an answer that has to be of that type, or NULL. */
static const char *why_refused(const redisReply *reply, int type)
{
	if (reply->type == REDIS_REPLY_ERROR)
		return reply->str;
	return reply->type == type ? NULL : "an answer to something else";
}

/* While it is on */

static void on_alive(void *arg, void *item, const redisReply *reply)
{
	struct tracking *tracking = item;

	(void)arg;
	if (reply != NULL)
		tracking->retry_ms = RETRY_MIN_MS;
}

static void on_time(uv_timer_t *timer)
{
	static const char *argv[] = {"SUBSCRIBE", CHANNEL};
	struct tracking *tracking = timer->data;

	if (tracking->is_resting && !view_has_read_told(tracking->view)) {
		timer_start(timer, on_time, REST_MS);
		return;
	}
	timer_start_aligned(timer, on_time, ALIVE_MS);
	if (tracking->is_resting)
		redis_pause(tracking->second, false);
	else
		redis_ask(tracking->second, on_alive, tracking, 2, argv);
	tracking->is_resting = false;
}

static void on_key(void *arg, const char *key, size_t len)
{
	struct tracking *tracking = arg;

	if (tracking->state != STATE_ON)
		return; /* all will be read */
	if (!tracking->is_resting) {
		tracking->is_resting = true;
		redis_pause(tracking->second, true);
		timer_start(&tracking->timer, on_time, REST_MS);
	}
	if (key != NULL)
		view_tell(tracking->view, key, len);
	else
		view_tell_all(tracking->view);
}

/* Beginning */

static void ask_off(struct tracking *tracking)
{
	static const char *argv[] = {"CLIENT", "TRACKING", "OFF"};

	redis_ask(tracking->redis, NULL, NULL, 3, argv);
}

/*
 * Redis 6 before 6.0.15 and 6.2.5 tells of no edit that follows one of ours in the same
 * turn of its loop (redis/redis#9116). What says 6.3 is KeyDB, which comes of these.
 */
static bool tells_all(const char *version)
{
	unsigned major, minor, patch;

	if (sscanf(version, "%u.%u.%u", &major, &minor, &patch) != 3 || major != 6)
		return true; /* not known, or none of these */
	return (minor == 0 && patch >= 15) || (minor == 2 && patch >= 5);
}

static void on_asked(void *arg, void *item, const redisReply *reply)
{
	struct tracking *tracking = item;
	const char *why;

	(void)arg;
	tracking->n_asked--;
	if (reply == NULL || tracking->n_asked > 0 || tracking->state != STATE_ASKING)
		return;
	why = why_refused(reply, REDIS_REPLY_STATUS);
	if (why == NULL && !tells_all(tracking->survey->version)) {
		why = "this version does not tell of all edits";
		ask_off(tracking);
	}
	if (why != NULL) {
		give_up(tracking, why);
		return;
	}
	tracking->state = STATE_ON;
	tracking->has_failed = false;
	tracking->said_why[0] = '\0';
	view_set_tracked(tracking->view, true);
	timer_start_aligned(&tracking->timer, on_time, ALIVE_MS);
}

/* Off first: a connection that has lost its second one refuses to be told where to send
 * once more. */
static void ask_first(struct tracking *tracking)
{
	char id[24];
	const char *on[] = {"CLIENT", "TRACKING", "ON", "REDIRECT", id, "BCAST", "PREFIX",
		tracking->key_prefix, "NOLOOP"};

	(void)snprintf(id, sizeof(id), "%" PRIu64, tracking->second_id);
	tracking->state = STATE_ASKING;
	tracking->n_asked++;
	ask_off(tracking);
	redis_ask(tracking->redis, on_asked, tracking, 9, on);
}

static void on_subscribed(void *arg, void *item, const redisReply *reply)
{
	struct tracking *tracking = item;
	const char *why;

	(void)arg;
	if (reply == NULL)
		return;
	why = why_refused(reply, REDIS_REPLY_ARRAY);
	if (why != NULL)
		give_up(tracking, why);
	else if (tracking->state == STATE_CONNECTING)
		ask_first(tracking);
}

static void on_id(void *arg, void *item, const redisReply *reply)
{
	struct tracking *tracking = item;
	const char *why;

	(void)arg;
	if (reply == NULL)
		return;
	why = why_refused(reply, REDIS_REPLY_INTEGER);
	if (why != NULL)
		give_up(tracking, why);
	else
		tracking->second_id = (uint64_t)reply->integer;
}

static void on_ready(void *arg, const char *error)
{
	static const char *id[] = {"CLIENT", "ID"}, *subscribe[] = {"SUBSCRIBE", CHANNEL};
	struct tracking *tracking = arg;

	if (error != NULL) {
		lose(tracking, error);
		return;
	}
	redis_ask(tracking->second, on_id, tracking, 2, id);
	redis_ask(tracking->second, on_subscribed, tracking, 2, subscribe);
}

void tracking_begin(struct tracking *tracking, const struct survey *survey)
{
	if (tracking->state != STATE_OFF)
		return;
	tracking->survey = survey;
	tracking->retry_ms = RETRY_MIN_MS;
	on_retry(&tracking->timer);
}

void tracking_end(struct tracking *tracking)
{
	tracking->state = STATE_OFF;
	tracking->n_asked = 0; /* what could not even be sent is not answered */
	tracking->is_resting = tracking->has_failed = false;
	(void)uv_timer_stop(&tracking->timer);
	view_set_tracked(tracking->view, false);
	redis_disconnect(tracking->second, "not needed");
}

const char *tracking_edits(const struct tracking *tracking)
{
	if (tracking->state == STATE_ON)
		return "told";
	return tracking->has_failed ? "walked" : "";
}

/* Life */

struct tracking *tracking_new(const struct redis_address *address, uint64_t timeout_ms,
	struct redis *redis, struct view *view, const char *key_prefix)
{
	struct tracking *tracking = calloc(1, sizeof(*tracking));

	if (tracking == NULL)
		return NULL;
	tracking->second = redis_new(address, timeout_ms, on_ready, on_lost, tracking);
	if (tracking->second == NULL) {
		free(tracking);
		return NULL;
	}
	redis_listen(tracking->second, on_key);
	tracking->redis = redis;
	tracking->view = view;
	tracking->key_prefix = key_prefix;
	return tracking;
}

void tracking_start(struct tracking *tracking, uv_loop_t *loop)
{
	redis_start(tracking->second, loop);
	(void)uv_timer_init(loop, &tracking->timer); /* always 0 */
	tracking->timer.data = tracking;
}

static void maybe_closed(void *arg)
{
	struct tracking *tracking = arg;

	if (--tracking->n_open_handles == 0)
		tracking->on_closed(tracking->on_closed_arg);
}

static void finish_close(uv_handle_t *handle)
{
	maybe_closed(handle->data);
}

void tracking_close(struct tracking *tracking, void (*on_closed)(void *arg), void *arg)
{
	tracking->on_closed = on_closed;
	tracking->on_closed_arg = arg;
	tracking->state = STATE_OFF;
	tracking->n_open_handles = 2;
	redis_close(tracking->second, maybe_closed, tracking);
	uv_close((uv_handle_t *)&tracking->timer, finish_close);
}

void tracking_free(struct tracking *tracking)
{
	if (tracking == NULL)
		return;
	redis_free(tracking->second);
	free(tracking);
}
