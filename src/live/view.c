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
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/timer.h"
#include "live/view_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

/* Where users stand */

bool view_is_at(const struct view *view, const struct user *user, enum place at)
{
	return user->view == view->number + at;
}

bool view_is_verified(const struct view *view, const struct user *user)
{
	return view->is_up && !view->is_held && view_is_at(view, user, PLACE_VERIFIED) &&
		!user_has_unsent(user);
}

void view_place(struct view *view, struct user *user, enum place at)
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

/* Replies */

static void begin_repair(struct view *view)
{
	view->number += N_PLACES + 1;
	memset(view->n_at, 0, sizeof(view->n_at));
	walk_stop(&view->walk);
	walk_begin_lap(&view->walk, LAP_WRITE);
	if (!view->is_repairing)
		view->repairing_ms = clock_ms();
	view->is_repairing = true;
	view_plan_tick(view);
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

/* Where Redis tells of each edit, no other user is doubtful. What is outstanding shows
 * nothing then, as the batches of an earlier view do, and is answered before the owner
 * is: so before this user is written again. */
static void doubt(struct view *view, struct user *user)
{
	if (view->is_tracked) {
		view_place(view, user, PLACE_NOWHERE);
		for (size_t i = 0; i < MAX_BATCHES; i++)
			view->batches[i].number = 0;
	} else {
		begin_repair(view);
	}
	ledger_mark_unsent(view->ledger, user);
}

void view_note_difference(struct view *view, uint64_t number, struct user *user)
{
	bool is_verified = view_is_at(view, user, PLACE_VERIFIED);

	if (!view->is_up || view_is_at(view, user, PLACE_REFUSED))
		return;
	if (number != view->number ||
		(!is_verified && !view_is_at(view, user, PLACE_DOUBTFUL))) {
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

void view_finish_batch(struct view *view)
{
	const struct batch *batch = &view->batches[view->first_batch];

	if (batch->number == view->number)
		memcpy(view->shown_index, batch->taken_index, sizeof(view->shown_index));
	view->first_batch = (view->first_batch + 1) % MAX_BATCHES;
	view->n_batches--;
	maybe_repaired(view);
	view_poke(view);
	view->hooks.on_progress(view->hooks.arg);
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

static void visit(struct view *view, struct batch *batch, struct user *user, enum lap lap)
{
	if (user_has_unsent(user) || view_is_at(view, user, PLACE_DOUBTFUL))
		return; /* its turn comes otherwise */
	if (!view_is_at(view, user, PLACE_VERIFIED)) {
		walk_pay(&view->walk, COST_WRITE);
		write_whole(view, batch, user);
	} else if (lap == LAP_READ) {
		walk_pay(&view->walk, view->is_tracked ? COST_READ : COST_LOOK);
		write_read(view, batch, user);
	}
}

static bool can_fill(const struct view *view, const struct batch *batch)
{
	return view->is_up && batch->n < batch->max && walk_may(&view->walk);
}

static void read_told(struct view *view, struct batch *batch)
{
	struct user *user;

	while (can_fill(view, batch) && (user = walk_take_told(&view->walk)) != NULL) {
		if (user_has_unsent(user) || !view_is_at(view, user, PLACE_DOUBTFUL))
			continue; /* it is written, or was */
		walk_pay(&view->walk, COST_WRITE);
		view_place(view, user, PLACE_VERIFIED);
		write_read(view, batch, user);
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
		enum lap lap = walk->lap; /* with its last user it is over */

		user = walk_step(walk);
		if (user != NULL)
			visit(view, batch, user, lap);
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
void view_plan_tick(struct view *view)
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
	view_plan_tick(view);
	maybe_repaired(view); /* if there is nobody */
	view_poke(view);
}

/* Batches */

/* Who was taken had nothing but zeros, or is refused: shown with all that was sent. */
static void note_nothing_sent(struct view *view)
{
	size_t last =
		(view->first_batch + view->n_batches + MAX_BATCHES - 1) % MAX_BATCHES;

	memcpy(view->n_batches > 0 ? view->batches[last].taken_index : view->shown_index,
		view->taken_index, sizeof(view->taken_index));
}

static void take_unsent(
	struct view *view, struct batch *batch, enum show show, size_t max)
{
	struct totals unsent;
	struct user *user;

	for (size_t i = 0; i < max && view->is_up; i++) {
		user = ledger_take_unsent(view->ledger, show, &unsent);
		if (user == NULL)
			break;
		view->taken_index[show]++;
		write_unsent(view, batch, user, &unsent);
	}
}

static bool may_send_crowd(const struct view *view)
{
	for (size_t i = 0; i < view->n_batches; i++)
		if (view->batches[(view->first_batch + i) % MAX_BATCHES].has_crowd)
			return false;
	return true;
}

static void send_crowd(struct view *view, struct batch *batch)
{
	size_t n_first = batch->n;

	batch->max = n_first + BEHIND_USERS;
	take_unsent(view, batch, SHOW_LAST, BEHIND_USERS);
	read_told(view, batch);
	walk_on(view, batch);
	batch->has_crowd = batch->n > n_first;
}

/* False: there was nothing to be sent for those whose turn it was. */
static bool send_batch(struct view *view)
{
	size_t slot = (view->first_batch + view->n_batches) % MAX_BATCHES;
	struct batch *batch = &view->batches[slot];
	uint64_t before = view->n_sent;

	batch->n = 0;
	take_unsent(view, batch, SHOW_FIRST, FIRST_USERS);
	batch->has_crowd = false;
	if (may_send_crowd(view))
		send_crowd(view, batch);
	if (!view->is_up)
		return false;
	if (view->n_sent == before) {
		note_nothing_sent(view);
		return false;
	}
	batch->number = view->number;
	batch->end_command = view->n_sent;
	memcpy(batch->taken_index, view->taken_index, sizeof(batch->taken_index));
	view->n_batches++;
	return true;
}

static bool can_send(const struct view *view)
{
	return view->is_up && !view->is_held && view->n_batches < MAX_BATCHES;
}

static void plan_send(struct view *view, uint64_t in_ms);

static void on_send(uv_timer_t *timer)
{
	struct view *view = timer->data;
	bool has_sent;

	if (!can_send(view))
		return;
	has_sent = send_batch(view);
	maybe_repaired(view);
	/* At once would be in the same turn, and nothing else than the batches that are
	 * outstanding bounds what a turn may take. */
	plan_send(view, has_sent ? 0 : 1);
	view->hooks.on_progress(view->hooks.arg);
}

static bool is_anything_due(const struct view *view)
{
	return ledger_has_unsent(view->ledger, SHOW_FIRST) ||
		(may_send_crowd(view) &&
			(ledger_has_unsent(view->ledger, SHOW_LAST) ||
				is_walk_due(view)));
}

static void plan_send(struct view *view, uint64_t in_ms)
{
	if (can_send(view) && !uv_is_active((uv_handle_t *)&view->send) &&
		is_anything_due(view))
		timer_start(&view->send, on_send, in_ms);
}

void view_poke(struct view *view)
{
	plan_send(view, 0);
}

/* The connection */

void view_begin(struct view *view)
{
	view->is_up = true;
	ledger_set_view_up(view->ledger, true);
	view->is_held = false;
	view->n_sent = view->n_answered = 0;
	view->n_batches = 0;
	begin_repair(view);
	view_poke(view);
}

void view_end(struct view *view)
{
	view->is_up = false;
	ledger_set_view_up(view->ledger, false);
	walk_stop(&view->walk);
	view_plan_tick(view);
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
	view_plan_tick(view);
}

static void tell_of(struct view *view, struct user *user)
{
	if (view_is_at(view, user, PLACE_REFUSED)) {
		view_place(view, user, PLACE_NOWHERE);
		ledger_mark_unsent(view->ledger, user);
	} else if (view_is_at(view, user, PLACE_VERIFIED)) {
		if (walk_tell(&view->walk, user))
			view_place(view, user, PLACE_DOUBTFUL);
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
		view_plan_tick(view);
	view_poke(view);
}

void view_tell_all(struct view *view)
{
	if (!view->is_up)
		return;
	walk_begin_lap(&view->walk, LAP_READ);
	view_plan_tick(view);
	view->is_held = true;
	view->hooks.on_difference(view->hooks.arg);
}

bool view_has_read_told(const struct view *view)
{
	return view->walk.n_told == 0;
}

/* Looking at it */

uint64_t view_shown_index(const struct view *view, enum show show)
{
	return view->shown_index[show];
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
