#include "lib/live_rig.h"
#include "lib/test.h"
#include "base/log.h"
#include "lib/faults.h"
#include "lib/loop.h"
#include "lib/sample.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_USERS 10000

static bool save(struct live_rig *rig)
{
	struct cut *cut = ledger_cut(rig->ledger);

	if (cut == NULL)
		return false;
	ledger_cut_committed(rig->ledger, cut);
	rig->n_saved++;
	live_link_saved(rig->live);
	return true;
}

void rig_save(struct live_rig *rig)
{
	assert_true(save(rig));
}

/* A flush that fails is tried again. */
static void on_save(uv_timer_t *timer)
{
	if (!save(timer->data))
		(void)uv_timer_start(timer, on_save, 1, 0);
}

static void on_link(void *arg)
{
	struct live_rig *rig = arg;

	rig->n_links++;
	if (rig->saves_links)
		(void)uv_timer_start(&rig->save, on_save, 0, 0);
}

static void on_progress(void *arg)
{
	(void)arg;
}

void rig_begin(struct live_rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	faults_reset();
	log_set_level(LOG_ERROR);
	(void)signal(SIGPIPE, SIG_IGN); /* as main() does */
	tempdir_make(&rig->dir);
	assert_int_equal(uv_loop_init(&rig->loop), 0);
	rig->address.path = strdup(tempdir_path(&rig->dir, "redis.sock"));
	rig->peer = peer_open(&rig->loop, rig->address.path);
	rig->ledger = ledger_new(MAX_USERS, true);
	assert_non_null(rig->ledger);
	assert_int_equal(uv_timer_init(&rig->loop, &rig->save), 0);
	rig->save.data = rig;
	rig->saves_links = true;
	rig->config = (struct live_config){.address = &rig->address,
		.key_prefix = "user:",
		.instance_id = RIG_OWN_ID,
		.timeout_ms = 60000,
		.read_timeout_ms = 60000,
		.repair_rate = 1000000};
}

void rig_begin_linked(struct live_rig *rig)
{
	rig_begin(rig);
	ledger_load_link(rig->ledger, &(struct link_record){.at_ms = 5});
}

void rig_build(struct live_rig *rig)
{
	struct live_hooks hooks = {on_progress, on_link, rig};

	rig->live = live_new(rig->ledger, &rig->config, &hooks);
	assert_non_null(rig->live);
}

void rig_start(struct live_rig *rig)
{
	if (rig->live == NULL)
		rig_build(rig);
	live_start(rig->live, &rig->loop);
}

static void on_closed(void *arg)
{
	((struct live_rig *)arg)->is_closed = true;
}

void rig_stop(struct live_rig *rig)
{
	rig->is_closed = false;
	(void)uv_timer_stop(&rig->save);
	live_close(rig->live, on_closed, rig);
	assert_true(loop_run_until_set(&rig->loop, &rig->is_closed, RIG_PATIENCE_MS));
	live_free(rig->live);
	rig->live = NULL;
}

void rig_end(struct live_rig *rig)
{
	if (rig->live != NULL)
		rig_stop(rig);
	uv_close((uv_handle_t *)&rig->save, NULL);
	peer_close(rig->peer);
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&rig->loop), 0);
	ledger_free(rig->ledger);
	tempdir_remove(&rig->dir);
	redis_address_done(&rig->address);
	faults_reset();
}

void rig_load(struct live_rig *rig, const char *id, struct totals total)
{
	assert_int_equal(ledger_load_user(rig->ledger, id, total, 1, 0), 0);
}

void rig_book(struct live_rig *rig, const char *id, uint64_t input, uint64_t output)
{
	sample_book(rig->ledger, id, input, output);
	if (rig->live != NULL)
		live_poke(rig->live);
}

struct totals rig_total(const struct live_rig *rig, const char *id)
{
	const struct user *user = ledger_find_user(rig->ledger, id);

	return user != NULL ? user->total : (struct totals){0};
}

static const char *key_of(const char *id)
{
	static char key[600];

	(void)snprintf(key, sizeof(key), "user:%s", id);
	return key;
}

void rig_hash(struct live_rig *rig, const char *id, const char *used)
{
	peer_hset(rig->peer, key_of(id), "usedTraffic", used);
}

void rig_until(struct live_rig *rig, bool (*is_reached)(const void *rig))
{
	if (!loop_run_until(&rig->loop, is_reached, rig, RIG_PATIENCE_MS))
		fail_msg("state %s; seen:\n%s",
			live_state_name(live_get_state(rig->live)), peer_seen(rig->peer));
}

struct expected {
	const struct live_rig *rig;
	enum live_state state;
	const char *head;
	size_t n;
};

static void until(struct live_rig *rig, bool (*is_reached)(const void *arg),
	const struct expected *expected)
{
	if (!loop_run_until(&rig->loop, is_reached, expected, RIG_PATIENCE_MS))
		fail_msg("state %s; seen:\n%s",
			live_state_name(live_get_state(rig->live)), peer_seen(rig->peer));
}

static bool has_state(const void *arg)
{
	const struct expected *expected = arg;

	return live_get_state(expected->rig->live) == expected->state;
}

void rig_until_state(struct live_rig *rig, enum live_state state)
{
	until(rig, has_state, &(struct expected){.rig = rig, .state = state});
}

static bool has_seen(const void *arg)
{
	const struct expected *expected = arg;

	return peer_count(expected->rig->peer, expected->head) >= expected->n;
}

void rig_until_seen(struct live_rig *rig, const char *head, size_t n)
{
	until(rig, has_seen, &(struct expected){.rig = rig, .head = head, .n = n});
}

static bool is_field(
	const struct live_rig *rig, const char *id, const char *field, uint64_t expected)
{
	const char *value = peer_hget(rig->peer, key_of(id), field);
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, expected);
	return value != NULL && strcmp(value, text) == 0;
}

bool rig_is_shown(const struct live_rig *rig, const char *id)
{
	struct totals total = rig_total(rig, id);

	return is_field(rig, id, "usedTraffic", total.used) &&
		is_field(rig, id, "inputBytes", total.input) &&
		is_field(rig, id, "outputBytes", total.output);
}

static bool is_queue_shown(const struct live_rig *rig, enum show show)
{
	return live_shown_index(rig->live, show) >=
		ledger_unsent_index(rig->ledger, show);
}

static bool is_all_shown(const void *arg)
{
	const struct live_rig *rig = arg;
	const struct user *user = NULL;

	if (live_get_state(rig->live) != LIVE_UP ||
		rig_stats(rig).view.unverified_users > 0 ||
		!is_queue_shown(rig, SHOW_FIRST) || !is_queue_shown(rig, SHOW_LAST))
		return false;
	while ((user = ledger_next_user(rig->ledger, user)) != NULL)
		if (!rig_is_shown(rig, user->id))
			return false;
	return true;
}

void rig_until_shown(struct live_rig *rig)
{
	rig_until(rig, is_all_shown);
}

size_t rig_count_whole(const struct live_rig *rig)
{
	size_t n = 0;

	for (const char *line = peer_seen(rig->peer); *line != '\0';
		line = strchr(line, '\n') + 1)
		n += strncmp(line, "HSET ", 5) == 0 &&
			strncmp(line + 5 + strcspn(line + 5, " "), " usedTraffic ", 13) ==
				0;
	return n;
}

bool rig_saw_no_write(const struct live_rig *rig)
{
	return peer_count(rig->peer, "SET") == 0 && peer_count(rig->peer, "HSET") == 0 &&
		peer_count(rig->peer, "HINCRBY") == 0;
}

struct live_stats rig_stats(const struct live_rig *rig)
{
	struct live_stats stats;

	live_get_stats(rig->live, &stats);
	return stats;
}

void rig_begin_quiet(struct live_rig *rig)
{
	rig_begin_linked(rig);
	rig->config.repair_rate = 0;
	rig_book(rig, "ann", 1, 2);
	rig_book(rig, "bob", 3, 4);
	rig_start(rig);
	rig_until_shown(rig);
	peer_forget(rig->peer);
}

static bool is_tracked(const void *arg)
{
	return strcmp(rig_stats(arg).edits, "told") == 0;
}

void rig_until_tracked(struct live_rig *rig)
{
	rig_until(rig, is_tracked);
}

/* The first answer is held until the question is there, whose answer so comes before all
 * others that are still needed. */
void rig_begin_tracked(struct live_rig *rig)
{
	rig_begin_linked(rig);
	peer_track(rig->peer, true);
	rig_book(rig, "ann", 1, 2);
	rig_book(rig, "bob", 3, 4);
	peer_hold(rig->peer, "GET");
	rig_start(rig);
	rig_until_seen(rig, "CLIENT TRACKING ON", 1);
	peer_release(rig->peer);
	rig_until_shown(rig);
	rig_until_tracked(rig);
	peer_forget(rig->peer);
}
