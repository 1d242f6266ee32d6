/*
 * on_ready() asks three things at once: how the server is set up (survey), who its owner
 * is (link), and that no earlier connection of ours is alive, and no copy of us (fence).
 * When the last two are answered, decide() takes the key, or first links, or leaves it
 * alone; on_taken() takes the holder's key, too, and on_held() begins the view. While it
 * is up the owner is asked again every second, and at once when a reply differs: the
 * answer says whether to go on, to write everything anew, or to leave.
 */
#include "live/live.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/redis_error.h"
#include "base/text.h"
#include "base/timer.h"
#include "live/adopt.h"
#include "live/fence.h"
#include "live/holder.h"
#include "live/link.h"
#include "live/tracking.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECONNECT_MIN_MS 100
#define RECONNECT_MAX_MS 2000
#define FOREIGN_AGAIN_MS 10000
#define UNFENCED_WAIT_MS 2000
#define LOOK_AGAIN_MS 250
#define OWNER_AGAIN_MS 1000
#define RECORD_AGAIN_MS 2000
#define N_HANDLES 9 /* redis, view, tracking, reader and five timers */

/* The claim of a Redis that nobody had claimed. */
#define NOBODY "-"

/* What was logged of a copy of this data directory. */
enum told_copy { TOLD_NO_COPY, TOLD_COPY, TOLD_COPY_GONE };

struct live {
	struct ledger *ledger;
	struct live_config config;
	struct live_hooks hooks;

	struct redis *redis;
	struct link link;
	struct holder holder;
	struct fence fence;
	struct adopt *adopt;
	struct survey survey;
	struct view *view;
	struct tracking *tracking;
	struct reader *reader;

	enum live_state state;
	bool is_settled;
	bool has_met_other;        /* when it was last looked at, it was another's */
	bool awaits_record;        /* of a link, by SQLite */
	bool is_fenced, has_owner; /* what is known on this connection */
	enum link_owner owner;
	char owner_id[CLAIM_BYTES];
	bool has_told_unfenced;
	enum told_copy told_copy;
	uint64_t reconnect_ms; /* the wait before the next attempt */

	char error[LIVE_ERROR_BYTES];
	char told_error[LIVE_ERROR_BYTES];   /* in the log; "" since it was all right */
	char name[REDIS_ADDRESS_BYTES];      /* where it is, for the log */
	const struct redis_address *address; /* NULL: there is none */

	uv_timer_t reconnect, look_again, unfenced, owner_again, record_again;
	unsigned n_open_handles;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

static void settle(struct live *live)
{
	live->is_settled = true;
	live->hooks.on_progress(live->hooks.arg);
}

static void set_state(struct live *live, enum live_state state)
{
	live->state = state;
	if (state != LIVE_CHECKING && state != LIVE_LINKING)
		live->is_settled = true;
	live->hooks.on_progress(live->hooks.arg);
}

static void note_error(struct live *live, const char *text)
{
	text_copy_clean(live->error, sizeof(live->error), text, strlen(text));
}

/* Linking */

static void record_link(struct live *live, const char *claim)
{
	const struct link_record *before = ledger_link(live->ledger);
	struct link_record link;
	uint64_t now = clock_wall_ms();

	link.at_ms = now > before->at_ms ? now : before->at_ms + 1;
	(void)snprintf(link.claim, sizeof(link.claim), "%s", claim);
	ledger_set_link(live->ledger, &link);
	live->hooks.on_link(live->hooks.arg);
}

/* A flush that fails is tried again by itself, but not for ever, and then late. */
static void on_record_again(uv_timer_t *timer)
{
	struct live *live = timer->data;

	if (!live->awaits_record)
		return;
	live->hooks.on_link(live->hooks.arg);
	timer_start(timer, on_record_again, RECORD_AGAIN_MS);
}

/* In the next cut are what was adopted, and that it was. */
static void wait_for_record(struct live *live)
{
	live->config.take_over = TAKE_OVER_NOT; /* it was asked for once */
	live->awaits_record = true;
	record_link(live, live->owner == OWNER_OTHER ? live->owner_id : NOBODY);
	timer_start(&live->record_again, on_record_again, RECORD_AGAIN_MS);
}

static void on_adopted(void *arg, const struct adopt_result *result)
{
	struct live *live = arg;
	uint64_t now = clock_wall_ms();

	if (ledger_adopt(live->ledger, result->users, result->n_users, now) != 0) {
		redis_disconnect(live->redis, err_text(ERR_NOMEM));
		return;
	}
	for (size_t i = 0; i < result->n_rejects; i++)
		ledger_keep_reject(live->ledger, "redis", &result->rejects[i], now);
	if (result->n_users > 0)
		log_info("the totals in Redis were added to the ledger", "users=%zu",
			result->n_users);
	wait_for_record(live);
}

static void begin_linking(struct live *live, bool does_adopt)
{
	set_state(live, LIVE_LINKING);
	if (does_adopt)
		adopt_begin(live->adopt);
	else
		wait_for_record(live);
}

void live_link_saved(struct live *live)
{
	if (!live->awaits_record || !ledger_is_link_saved(live->ledger))
		return;
	live->awaits_record = false;
	if (live->state != LIVE_LINKING)
		return;          /* there is no connection that is known enough */
	live->has_owner = false; /* that was some time ago */
	link_ask(&live->link);
}

static void become_foreign(struct live *live)
{
	char why[sizeof(live->error)];

	if (live->owner == OWNER_OTHER)
		(void)snprintf(why, sizeof(why),
			INSTANCE_KEY " names another data directory: %s", live->owner_id);
	else
		(void)snprintf(why, sizeof(why),
			INSTANCE_KEY
			" named another data directory and is missing now: "
			"if it still is at the next look, this Redis is ours");
	if (live->state != LIVE_FOREIGN)
		log_error("this Redis belongs to another tallyd: nothing is written "
			  "there; to take it over, stop that one, and start this one "
			  "once with --take-over-redis=adopt or =overwrite",
			"redis=%s reason=%s", LOG_QUOTE(live->name), LOG_QUOTE(why));
	live->has_met_other = live->owner == OWNER_OTHER;
	note_error(live, why);
	set_state(live, LIVE_FOREIGN);
	redis_disconnect(live->redis, why);
}

static void take_over(struct live *live)
{
	bool does_adopt = live->config.take_over == TAKE_OVER_ADOPT;

	log_warn("taking over this Redis, once", "redis=%s how=%s owner=%s",
		LOG_QUOTE(live->name), does_adopt ? "adopt" : "overwrite",
		LOG_QUOTE(live->owner_id));
	begin_linking(live, does_adopt);
}

/*
 * Nobody's. A claim was left by a linking that got no further than SQLite. Who has been
 * linked before has had it wiped, or what stands there may be his own: it is not added
 * again unless that was asked for.
 */
static void decide_unclaimed(struct live *live)
{
	const struct link_record *link = ledger_link(live->ledger);

	if (link->claim[0] != '\0') {
		link_claim(&live->link);
	} else if (live->config.take_over != TAKE_OVER_NOT) {
		take_over(live);
	} else if (live->has_met_other) { /* who may be about to come back to it */
		become_foreign(live);
	} else if (link->at_ms == 0) {
		begin_linking(live, true);
	} else {
		log_warn("this Redis names no owner: it is set to the ledger",
			"redis=%s missing=%s", LOG_QUOTE(live->name), INSTANCE_KEY);
		link_claim(&live->link);
	}
}

/* A claim was left by a take-over that got no further than SQLite. */
static void decide_other(struct live *live)
{
	if (strcmp(ledger_link(live->ledger)->claim, live->owner_id) == 0)
		link_take_over(&live->link);
	else if (live->config.take_over != TAKE_OVER_NOT)
		take_over(live);
	else
		become_foreign(live);
}

/* Two of the questions of on_ready() were answered. */
static void maybe_decide(struct live *live)
{
	if (!live->has_owner || !live->is_fenced)
		return;
	if (live->owner == OWNER_SELF)
		link_keep(&live->link);
	else if (live->awaits_record)
		set_state(live, LIVE_LINKING);
	else if (live->owner == OWNER_NOBODY)
		decide_unclaimed(live);
	else
		decide_other(live);
}

/* While it is up */

static void on_owner_again(uv_timer_t *timer)
{
	struct live *live = timer->data;

	link_ask(&live->link);
	holder_renew(&live->holder);
	timer_start_aligned(timer, on_owner_again, OWNER_AGAIN_MS);
}

static void heed_owner(struct live *live)
{
	if (live->owner == OWNER_SELF) {
		view_resume(live->view);
		return;
	}
	view_hold(live->view);
	if (live->owner == OWNER_OTHER) {
		become_foreign(live);
		return;
	}
	log_warn("Redis was emptied: every user is written again", "missing=%s",
		INSTANCE_KEY);
	link_claim(&live->link);
}

static void on_owner(void *arg, enum link_owner owner, const char *id)
{
	struct live *live = arg;

	live->owner = owner;
	live->has_owner = true;
	(void)snprintf(live->owner_id, sizeof(live->owner_id), "%s", id);
	if (live->state == LIVE_UP) {
		heed_owner(live);
		return;
	}
	if (owner == OWNER_OTHER && !live->is_fenced)
		settle(live);
	maybe_decide(live);
}

static void up(struct live *live)
{
	struct ledger_stats stats;

	ledger_get_stats(live->ledger, &stats);
	live->error[0] = '\0';
	live->told_copy = TOLD_NO_COPY;
	log_line(live->told_error[0] == '\0' ? LOG_INFO : LOG_DEBUG, "Redis is up",
		"redis=%s version=%s users=%zu", LOG_QUOTE(live->name),
		LOG_QUOTE(live->survey.version), stats.users);
	set_state(live, LIVE_UP);
	tracking_begin(live->tracking, &live->survey);
	view_begin(live->view);
	timer_start_aligned(&live->owner_again, on_owner_again, OWNER_AGAIN_MS);
}

static void on_taken(void *arg)
{
	struct live *live = arg;
	const struct link_record *link = ledger_link(live->ledger);

	if (live->config.take_over != TAKE_OVER_NOT)
		log_info("nothing to take over: this Redis is ours already", "owner=%s",
			LOG_QUOTE(live->config.instance_id));
	live->config.take_over = TAKE_OVER_NOT;
	live->has_met_other = false;
	if (link->at_ms == 0 || link->claim[0] != '\0')
		record_link(live, "");
	if (live->state == LIVE_UP)
		view_renew(live->view);
	else
		holder_take(&live->holder);
}

static void on_held(void *arg)
{
	up(arg);
}

static void on_progress(void *arg)
{
	struct live *live = arg;

	if (view_is_repaired(live->view))
		live->told_error[0] = '\0';
	live->hooks.on_progress(live->hooks.arg);
}

/* The whole may have been replaced by an earlier copy, of which Redis does not tell. */
static void on_older(void *arg)
{
	view_tell_all(((struct live *)arg)->view);
}

static void on_difference(void *arg)
{
	link_ask_anew(&((struct live *)arg)->link);
}

/* Coming and going of the connection */

static void on_unfenced(uv_timer_t *timer)
{
	struct live *live = timer->data;

	live->is_fenced = true;
	maybe_decide(live);
}

static void on_fenced(void *arg, const char *why_unsure)
{
	struct live *live = arg;

	if (why_unsure == NULL) {
		live->is_fenced = true;
		maybe_decide(live);
		return;
	}
	if (!live->has_told_unfenced)
		log_warn("Redis does not let us end our earlier connections: after each "
			 "loss nothing is written for a while",
			"error=%s wait_ms=%d", LOG_QUOTE(why_unsure), UNFENCED_WAIT_MS);
	live->has_told_unfenced = true;
	timer_start(&live->unfenced, on_unfenced,
		live->fence.has_waited ? 0 : UNFENCED_WAIT_MS);
	settle(live);
}

static void on_look_again(uv_timer_t *timer)
{
	fence_look(&((struct live *)timer->data)->fence);
}

static void on_fence_wait(void *arg)
{
	struct live *live = arg;

	timer_start(&live->look_again, on_look_again, LOOK_AGAIN_MS);
	settle(live);
}

static void tell_copy(struct live *live, const char *who, bool is_gone)
{
	enum told_copy told = is_gone ? TOLD_COPY_GONE : TOLD_COPY;

	if (told == live->told_copy)
		return;
	live->told_copy = told;
	if (is_gone)
		log_warn(
			"the other tallyd with a copy of this data directory has stopped "
			"writing to this Redis; if this one is the right one, restart it",
			"redis=%s other=%s reason=\"until then nothing is written from "
			"here: the totals here may be older\"",
			LOG_QUOTE(live->name), LOG_QUOTE(who));
	else
		log_error(
			"another tallyd with a copy of this data directory writes to "
			"this Redis: nothing is written from here; stop one of the two, "
			"then restart the other",
			"redis=%s other=%s hint=\"both have the same instance id; a copy "
			"that is to stay needs a redis_url with another database "
			"number\"",
			LOG_QUOTE(live->name), LOG_QUOTE(who));
}

static void on_copy(void *arg, const char *who, bool is_gone)
{
	struct live *live = arg;
	char why[sizeof(live->error)];

	tell_copy(live, who, is_gone);
	(void)snprintf(why, sizeof(why),
		is_gone ? "another tallyd with a copy of this data directory wrote to "
			  "this Redis: restart this one if it is the right one; it was %s"
			: "another tallyd with a copy of this data directory writes to "
			  "this Redis: stop one of the two; it is %s",
		who);
	note_error(live, why);
	set_state(live, LIVE_FOREIGN);
	redis_disconnect(live->redis, why);
}

static void on_reconnect(uv_timer_t *timer)
{
	redis_connect(((struct live *)timer->data)->redis);
}

/* Accounting goes on whatever it is; what no waiting heals comes with what to do. */
static void tell_down(const struct live *live, const char *error)
{
	char url[REDIS_URL_BYTES];

	redis_address_url(live->address, true, url);
	switch (redis_error_kind(error)) {
	case REDIS_ERROR_PASSWORD_WANTED:
		log_limited(LOG_WARN, "Redis is down: accounting goes on",
			"redis=%s error=%s what_to_do=\"set redis_url = %s in "
			"tallyd.conf, with the password that Redis has, then: systemctl "
			"restart tallyd\"",
			LOG_QUOTE(live->name), LOG_QUOTE(error), url);
		break;
	case REDIS_ERROR_PASSWORD_UNKNOWN:
		log_limited(LOG_WARN, "Redis is down: accounting goes on",
			"redis=%s error=%s what_to_do=\"set requirepass in redis.conf to "
			"the password that redis_url has, then: systemctl restart "
			"redis-server\"",
			LOG_QUOTE(live->name), LOG_QUOTE(error));
		break;
	case REDIS_ERROR_DATABASE:
		log_limited(LOG_WARN, "Redis is down: accounting goes on",
			"redis=%s error=%s what_to_do=\"set redis_url in tallyd.conf to "
			"a "
			"database that Redis has, 0 to 15 by default, then: systemctl "
			"restart tallyd\"",
			LOG_QUOTE(live->name), LOG_QUOTE(error));
		break;
	case REDIS_ERROR_OTHER:
		log_limited(LOG_WARN, "Redis is down: accounting goes on",
			"redis=%s error=%s", LOG_QUOTE(live->name), LOG_QUOTE(error));
	}
}

static void down(struct live *live, const char *error)
{
	note_error(live, error);
	if (strcmp(live->error, live->told_error) != 0)
		tell_down(live, error);
	(void)strcpy(live->told_error, live->error);
	timer_start(&live->reconnect, on_reconnect, live->reconnect_ms);
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
	if (live->state != LIVE_FOREIGN) {
		set_state(live, LIVE_CHECKING);
		/* So that it is on when it is needed. */
		tracking_begin(live->tracking, &live->survey);
	}
	live->is_fenced = live->has_owner = false;
	survey_begin(live->redis, &live->survey);
	link_begin(&live->link);
	link_ask(&live->link);
	fence_begin(&live->fence);
}

static void on_lost(void *arg, const char *error)
{
	struct live *live = arg;

	if (live->state == LIVE_UP && view_is_repaired(live->view))
		live->reconnect_ms = RECONNECT_MIN_MS;
	view_end(live->view);
	tracking_end(live->tracking);
	(void)uv_timer_stop(&live->owner_again);
	(void)uv_timer_stop(&live->look_again);
	(void)uv_timer_stop(&live->unfenced);
	if (live->state == LIVE_FOREIGN)
		timer_start(&live->reconnect, on_reconnect, FOREIGN_AGAIN_MS);
	else
		down(live, error);
}

/* Looking at it */

void live_poke(struct live *live)
{
	if (live->state == LIVE_UP)
		view_poke(live->view);
}

bool live_read(
	struct live *live, const struct user *user, live_read_cb on_read, void *arg)
{
	return live->state == LIVE_UP && reader_ask(live->reader, user, on_read, arg);
}

void live_set_repair_rate(struct live *live, uint64_t users_per_second)
{
	if (live->view != NULL)
		view_set_repair_rate(live->view, users_per_second);
}

uint64_t live_shown_index(const struct live *live, enum show show)
{
	return live->view != NULL ? view_shown_index(live->view, show) : 0;
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
	static const char *const names[] = {
		"none", "down", "checking", "linking", "foreign", "up"};

	return names[state];
}

void live_get_stats(const struct live *live, struct live_stats *ret_stats)
{
	*ret_stats = (struct live_stats){
		.state = live->state, .address = live->name, .edits = ""};
	if (live->view == NULL)
		return;
	ret_stats->survey = live->survey;
	view_get_stats(live->view, &ret_stats->view);
	if (live->state == LIVE_UP)
		ret_stats->edits = tracking_edits(live->tracking);
	(void)snprintf(ret_stats->error, sizeof(ret_stats->error), "%s",
		live->state == LIVE_UP ? ret_stats->view.error : live->error);
}

/* Life */

#define STRING_OF(x) #x
#define VERSION(major, minor, patch)                                                     \
	STRING_OF(major) "." STRING_OF(minor) "." STRING_OF(patch)

const char *live_library_version(void)
{
	return VERSION(HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
}

static bool build_parts(struct live *live)
{
	const struct live_config *config = &live->config;
	struct view_config view = {config->key_prefix, config->repair_rate};
	struct view_hooks hooks = {on_progress, on_difference, live};

	live->redis =
		redis_new(config->address, config->timeout_ms, on_ready, on_lost, live);
	if (live->redis != NULL)
		live->view = view_new(live->ledger, live->redis, &view, &hooks);
	if (live->view != NULL)
		live->tracking = tracking_new(config->address, config->timeout_ms,
			live->redis, live->view, config->key_prefix);
	if (live->tracking != NULL)
		live->reader = reader_new(live->view, config->read_timeout_ms);
	if (live->reader != NULL)
		live->adopt = adopt_new(live->redis, live->ledger, &live->survey,
			config->key_prefix, on_adopted, live);
	live->link = (struct link){.redis = live->redis,
		.instance_id = config->instance_id,
		.on_owner = on_owner,
		.on_taken = on_taken,
		.arg = live};
	live->holder = (struct holder){.redis = live->redis,
		.on_seen = fence_on_holder,
		.on_seen_arg = &live->fence,
		.on_taken = on_held,
		.on_taken_arg = live,
		.on_older = on_older,
		.on_older_arg = live};
	holder_init(&live->holder);
	live->fence = (struct fence){.redis = live->redis,
		.holder = &live->holder,
		.survey = &live->survey,
		.instance_id = config->instance_id,
		.hooks = {on_fenced, on_fence_wait, on_copy, live}};
	live->survey.db = config->address->db;
	return live->adopt != NULL;
}

struct live *live_new(struct ledger *ledger, const struct live_config *config,
	const struct live_hooks *hooks)
{
	struct live *live = calloc(1, sizeof(*live));

	if (live == NULL)
		return NULL;
	live->ledger = ledger;
	live->config = *config;
	live->hooks = *hooks;
	live->reconnect_ms = RECONNECT_MIN_MS;
	live->state = LIVE_NONE;
	live->is_settled = config->address == NULL;
	if (config->address == NULL)
		return live;
	if (!build_parts(live)) {
		live_free(live);
		return NULL;
	}
	live->state = LIVE_DOWN;
	live->address = config->address;
	redis_address_text(config->address, live->name);
	return live;
}

void live_start(struct live *live, uv_loop_t *loop)
{
	if (live->redis == NULL)
		return;
	redis_start(live->redis, loop);
	view_start(live->view, loop);
	tracking_start(live->tracking, loop);
	reader_start(live->reader, loop);
	(void)uv_timer_init(loop, &live->reconnect); /* always 0 */
	(void)uv_timer_init(loop, &live->look_again);
	(void)uv_timer_init(loop, &live->unfenced);
	(void)uv_timer_init(loop, &live->owner_again);
	(void)uv_timer_init(loop, &live->record_again);
	live->reconnect.data = live->look_again.data = live->unfenced.data = live;
	live->owner_again.data = live->record_again.data = live;
	redis_connect(live->redis);
}

static void maybe_closed(void *arg)
{
	struct live *live = arg;

	live->n_open_handles--;
	if (live->n_open_handles == 0)
		live->on_closed(live->on_closed_arg);
}

static void finish_close(uv_handle_t *handle)
{
	maybe_closed(handle->data);
}

void live_close(struct live *live, void (*on_closed)(void *arg), void *arg)
{
	live->on_closed = on_closed;
	live->on_closed_arg = arg;
	if (live->redis == NULL) {
		on_closed(arg);
		return;
	}
	live->n_open_handles = N_HANDLES;
	live->state = LIVE_DOWN;
	redis_close(live->redis, maybe_closed, live);
	view_close(live->view, maybe_closed, live);
	tracking_close(live->tracking, maybe_closed, live);
	reader_close(live->reader, maybe_closed, live);
	uv_close((uv_handle_t *)&live->reconnect, finish_close);
	uv_close((uv_handle_t *)&live->look_again, finish_close);
	uv_close((uv_handle_t *)&live->unfenced, finish_close);
	uv_close((uv_handle_t *)&live->owner_again, finish_close);
	uv_close((uv_handle_t *)&live->record_again, finish_close);
}

void live_free(struct live *live)
{
	if (live == NULL)
		return;
	adopt_free(live->adopt);
	reader_free(live->reader);
	tracking_free(live->tracking);
	view_free(live->view);
	redis_free(live->redis);
	free(live);
}
