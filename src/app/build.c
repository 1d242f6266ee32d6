/*
 * From the data directory to the open door. Everything before the journal may block;
 * nothing is accepted yet.
 */
#include "app/tree.h"
#include "app/first_node.h"
#include "app/memory.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "journal/kept.h"
#include "pipeline/recover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* However slow Redis is allowed to be, an answer is given before the door cuts it off
 * (HTTP_ANSWER_MS): cut, an accepted report would come again. */
#define MAX_SHOWN_MS 1000

#define SETTLE_MS 5000

/* The same for whoever asks for a user's traffic. */
#define MAX_READ_MS MAX_SHOWN_MS

static void on_progress(void *arg)
{
	struct app *app = arg;

	if (app->accept != NULL)
		accept_advance(app->accept);
}

static void on_synced(void *arg, uint64_t synced_seq)
{
	(void)synced_seq; /* whoever waits asks the journal */
	on_progress(arg);
}

static void on_cut(void *arg)
{
	journal_rotate(((struct app *)arg)->journal);
}

static void on_committed(void *arg, uint64_t seq, bool is_settled)
{
	struct app *app = arg;

	journal_drop(app->journal, seq, is_settled);
	if (app->live != NULL)
		live_link_saved(app->live);
}

static void on_link_flushed(void *arg, int code, const struct flush_outcome *outcome)
{
	(void)arg;
	(void)code; /* a flush that failed is tried again; on_committed() tells */
	(void)outcome;
}

static void on_link(void *arg)
{
	struct app *app = arg;

	if (flush_request(app->flush, on_link_flushed, NULL) != 0)
		log_warn("the link waits for the next flush", "error=%s",
			LOG_QUOTE(err_text(ERR_NOMEM)));
}

static int look_around(void *arg, struct errmsg *ret_msg)
{
	return data_dir_look(&((struct app *)arg)->dir, ret_msg);
}

static void on_rescued(void *arg, int code, const struct flush_outcome *outcome)
{
	struct app *app = arg;

	(void)code; /* on_committed() tells the journal, or it asks again */
	(void)outcome;
	app->is_rescue_asked = false;
}

/* At a stop, the last flush does it. */
static void on_gone(void *arg)
{
	struct app *app = arg;

	if (app->is_rescue_asked || app->is_stopping || app->closing > 0)
		return;
	app->is_rescue_asked = flush_request(app->flush, on_rescued, app) == 0;
}

static void on_fatal(void *arg, int code)
{
	(void)arg;
	log_error("ending: the database cannot be trusted", "reason=%s",
		LOG_QUOTE(err_text(code)));
	exit(err_exit_code(code));
}

static int open_storage(struct app *app, struct errmsg *msg)
{
	const struct config *config = app->config;
	char path[256];
	struct store_config store = {.path = path,
		.busy_timeout_ms = (unsigned)config->busy_timeout,
		.batch_size = (unsigned)config->sync_batch_size};
	int code = data_dir_open(config->data_dir, DATA_DIR_MAKE, &app->dir, msg);

	if (code != 0)
		return code;
	(void)snprintf(path, sizeof(path), "%s/tally.db", config->data_dir);
	return store_open(&store, &app->store, msg);
}

static int recover_state(struct app *app, struct errmsg *msg)
{
	const struct config *config = app->config;
	struct recover_options options = {.max_retries = (unsigned)config->max_retries,
		.retry_delay_ms = config->retry_delay};
	struct journal_config journal;
	struct recovered recovered;
	bool has_view = strcmp(config->redis_url, "none") != 0;
	int code;

	app->ledger = ledger_new(config->max_users, has_view);
	if (app->ledger == NULL)
		return err_set(msg, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	memory_bound(app->ledger, config->max_memory);
	code = recover(
		app->dir.journal_fd, app->store, app->ledger, &options, &recovered, msg);
	if (code != 0)
		return code;
	kept_prune(app->dir.journal_fd, clock_wall_ms());
	config_to_journal(config, &journal);
	app->home = (struct journal_home){app->dir.dir_fd, look_around, on_gone, app};
	journal.home = &app->home;
	return journal_open(&app->loop, app->dir.journal_fd, &journal, recovered.seq,
		recovered.last_number, on_synced, app, &app->journal, msg);
}

/* Where a GOST on this machine reaches us: the first address that is no socket file. */
static void find_observer_host(struct app *app)
{
	const char *at = app->config->listen;
	size_t len = 0;

	for (; *at != '\0'; at += len) {
		at += strspn(at, ", ");
		len = strcspn(at, ", ");
		if (len > 0 && strncmp(at, "unix:", 5) != 0)
			break;
	}
	if (*at == '\0') {
		(void)strcpy(app->observer_host, "HOST:PORT"); /* only socket files */
	} else if (strncmp(at, "0.0.0.0:", 8) == 0 || strncmp(at, "[::]:", 5) == 0) {
		const char *colon = memrchr(at, ':', len);

		(void)snprintf(app->observer_host, sizeof(app->observer_host),
			"127.0.0.1%.*s", (int)(at + len - colon), colon);
	} else {
		(void)snprintf(app->observer_host, sizeof(app->observer_host), "%.*s",
			(int)len, at);
	}
}

/* Before anything else may be counted, or a Redis linked: a directory is new once. */
static int open_commands(struct app *app, struct errmsg *msg)
{
	struct command_parts parts = {.ledger = app->ledger,
		.journal = app->journal,
		.observer_host = app->observer_host};
	const char *first_node = app->config->resolved.first_node_file;
	bool is_new = ledger_is_new(app->ledger);

	_Static_assert(DATA_DIR_KEY_BYTES == COMMAND_KEY_BYTES, "one for the other");
	memcpy(parts.digest_key, app->dir.key, COMMAND_KEY_BYTES);
	find_observer_host(app);
	app->commands = commands_new(&app->loop, &parts);
	if (app->commands == NULL)
		return err_set(msg, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	commands_set_secret_grace(app->commands, app->config->node_secret_grace);
	commands_set_counters(app->commands, (enum counter_mode)app->config->counters);
	return is_new && first_node != NULL
		? first_node_make(app->commands, first_node, msg)
		: 0;
}

static void describe_rest(void *arg, struct errmsg *ret_rest)
{
	struct app *app = arg;
	struct journal_stats journal;

	journal_look(app->journal); /* who deletes one may have deleted both */
	journal_get_stats(app->journal, &journal);
	if (journal.refusal == ERR_JOURNAL_GONE)
		(void)err_set(ret_rest, 0,
			"the journal was taken away: only this process holds what was "
			"accepted, so do not end it");
	else if (journal.full_in_ms == UINT64_MAX)
		(void)err_set(ret_rest, 0, "nothing new has been accepted");
	else
		(void)err_set(ret_rest, 0,
			"the journal holds what was accepted, and at this rate has room "
			"for %.1f hours more; then reports are refused",
			(double)journal.full_in_ms / 3600000);
}

static int open_flush(struct app *app, struct errmsg *msg)
{
	struct flush_hooks hooks = {on_cut, on_committed, on_fatal, describe_rest, app};
	struct flush_config *config = &app->api.flush_config;

	config_to_flush(app->config, config);
	app->flush = flush_new(&app->loop, app->store, app->ledger, config, &hooks);
	return app->flush != NULL ? 0
				  : err_set(msg, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
}

static uint64_t at_most(uint64_t ms, uint64_t limit_ms)
{
	return ms < limit_ms ? ms : limit_ms;
}

static void on_settle_end(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

static void on_settle_closed(uv_handle_t *handle)
{
	*(bool *)handle->data = true;
}

/* Waits until the view can be written, or it is known why not; not for ever: a large
 * Redis takes its time to be looked through, and counting can begin meanwhile. */
static void settle_live(struct app *app)
{
	bool is_over = false, is_closed = false;
	uv_timer_t end;

	(void)uv_timer_init(&app->loop, &end); /* always 0 */
	end.data = &is_over;
	timer_start(&end, on_settle_end, SETTLE_MS);
	while (!live_is_settled(app->live) && !is_over)
		(void)uv_run(&app->loop, UV_RUN_ONCE);
	end.data = &is_closed;
	uv_close((uv_handle_t *)&end, on_settle_closed);
	while (!is_closed)
		(void)uv_run(&app->loop, UV_RUN_NOWAIT);
}
static int open_live(struct app *app, struct errmsg *msg)
{
	const struct config *config = app->config;
	struct live_config live = {.key_prefix = config->redis_key_prefix,
		.instance_id = store_instance_id(app->store),
		.timeout_ms = config->redis_timeout,
		.read_timeout_ms = at_most(config->redis_timeout, MAX_READ_MS),
		.repair_rate = config->redis_repair_rate,
		.take_over = config->take_over};
	struct live_hooks hooks = {on_progress, on_link, app};

	if (strcmp(config->redis_url, "none") != 0) {
		int code = redis_address_parse(config->redis_url, &app->redis, msg);

		if (code != 0)
			return code;
		live.address = &app->redis;
	}
	app->live = live_new(app->ledger, &live, &hooks);
	if (app->live == NULL)
		return err_set(msg, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	live_start(app->live, &app->loop);
	settle_live(app);
	return 0;
}

static enum delivery delivery_of(void *arg, uint64_t connection)
{
	return http_delivery_of(((struct app *)arg)->http, connection);
}

void app_configure_rights(struct app *app)
{
	const struct config *config = app->config;
	struct rights_config rights = {.listen = config->listen,
		.hostnames = config->hostnames,
		.api_token = config->resolved.api_token,
		.read_token = config->resolved.read_token,
		.is_redis_bare = app->redis.host != NULL && app->redis.password == NULL,
		.is_redis_password_public =
			config->is_redis_url_argument && app->redis.password != NULL,
		.allow_anonymous = config->allow_anonymous != 0};

	rights_configure(&app->api.rights, app->ledger, &rights);
}

static int open_pipeline(struct app *app, struct errmsg *msg)
{
	struct accept_parts parts = {app->ledger, app->journal, app->live, app->flush,
		at_most(app->config->redis_timeout, MAX_SHOWN_MS), delivery_of, app};
	struct large_parts large = {app->ledger, delivery_of, app, LARGE_SLICE_US};

	app->accept = accept_new(&app->loop, &parts);
	app->large = large_new(&app->loop, &large);
	if (app->accept == NULL || app->large == NULL)
		return err_set(msg, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	app->api = (struct api){.accept = app->accept,
		.large = app->large,
		.commands = app->commands,
		.ledger = app->ledger,
		.journal = app->journal,
		.live = app->live,
		.flush = app->flush,
		.flush_config = app->api.flush_config,
		.sync_batch_size = (unsigned)app->config->sync_batch_size,
		.data_dir = app->config->data_dir,
		.max_body_bytes = app->config->max_body_bytes,
		.counters = (enum counter_mode)app->config->counters,
		.started_ms = clock_ms()};
	app_configure_rights(app);
	return 0;
}

/* Never one that an earlier process has used: by the clock, and where that was set back,
 * by what it has left behind. */
static uint64_t first_connection(const struct app *app)
{
	uint64_t by_clock = clock_wall_ms() * 1000;
	uint64_t behind_last = ledger_repeats(app->ledger)->last_conn + 1;

	return by_clock > behind_last ? by_clock : behind_last;
}

static int open_door(struct app *app, struct errmsg *msg)
{
	const struct config *config = app->config;
	struct http_config http = {.listen = config->listen,
		.admin_socket = config->resolved.admin_socket,
		.read_socket = config->resolved.read_socket,
		.max_body_bytes = config->max_body_bytes,
		.max_body_memory = memory_for_bodies(config->max_body_memory),
		.max_connections = (unsigned)config->max_connections,
		.idle_timeout_ms = config->idle_timeout,
		.request_timeout_ms = config->request_timeout,
		.first_connection = first_connection(app),
		.authorize = api_authorize,
		.sender = api_sender,
		.rights_version = api_rights_version,
		.on_delivered = api_delivered};

	return http_open(&app->loop, &http, api_routes(), &app->api, &app->http, msg);
}

int app_build(struct app *app, struct errmsg *ret_msg)
{
	int code = open_storage(app, ret_msg);

	if (code == 0)
		code = recover_state(app, ret_msg);
	if (code == 0)
		code = open_commands(app, ret_msg);
	if (code == 0)
		code = open_flush(app, ret_msg);
	if (code == 0)
		code = open_live(app, ret_msg);
	if (code == 0)
		code = open_pipeline(app, ret_msg);
	if (code == 0) {
		/* Who reaches the door may send one, and sockets are not to stay. */
		app_start_signals(app);
		code = open_door(app, ret_msg);
	}
	return code;
}
