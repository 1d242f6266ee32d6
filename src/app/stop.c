/*
 * SIGTERM: drain the door, last flush, then close each part, one after the other, in the
 * order of `parts`. SIGHUP: take over what can change.
 *
 * Redis goes before the door, so that reads which wait for it are answered from the
 * ledger.
 */
#include "app/tree.h"
#include "app/notify.h"
#include "base/log.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void close_next(void *arg);

static void close_live(struct app *app)
{
	if (app->live != NULL)
		live_close(app->live, close_next, app);
	else
		close_next(app);
}

static void close_commands(struct app *app)
{
	if (app->commands != NULL)
		commands_close(app->commands, close_next, app);
	else
		close_next(app);
}

static void close_http(struct app *app)
{
	if (app->http != NULL)
		http_close(app->http, close_next, app);
	else
		close_next(app);
}

static void close_accept(struct app *app)
{
	if (app->accept != NULL)
		accept_close(app->accept, close_next, app);
	else
		close_next(app);
}

static void close_flush(struct app *app)
{
	if (app->flush != NULL)
		flush_close(app->flush, close_next, app);
	else
		close_next(app);
}

static void close_journal(struct app *app)
{
	if (app->journal != NULL)
		journal_close(app->journal, close_next, app);
	else
		close_next(app);
}

static void close_signals(struct app *app)
{
	for (size_t i = 0; i < 3 && app->has_signals; i++)
		uv_close((uv_handle_t *)&app->signals[i], NULL);
	close_next(app);
}

static void close_next(void *arg)
{
	static void (*const parts[])(struct app *) = {close_live, close_accept,
		close_commands, close_http, close_flush, close_journal, close_signals};
	struct app *app = arg;

	if (app->closing < sizeof(parts) / sizeof(parts[0]))
		parts[app->closing++](app);
}

void app_close(struct app *app)
{
	close_next(app);
}

static void on_flushed(void *arg, int code, const struct flush_outcome *outcome)
{
	struct app *app = arg;

	(void)outcome;
	app->exit_code = err_exit_code(code);
	if (code != 0)
		log_error("stopping without the last flush: the journal holds everything",
			"reason=%s", LOG_QUOTE(err_text(code)));
	app_close(app);
}

static void on_drained(void *arg)
{
	struct app *app = arg;

	accept_stop(app->accept);
	commands_stop(app->commands);
	flush_stop(app->flush, app->config->stop_timeout, on_flushed, app);
}

static void on_stop_signal(uv_signal_t *handle, int number)
{
	struct app *app = handle->data;

	if (app->is_stopping)
		return;
	app->is_stopping = true;
	app->api.is_stopping = true;
	log_info("stopping", "signal=%s", number == SIGTERM ? "SIGTERM" : "SIGINT");
	notify_systemd("STOPPING=1");
	http_drain(app->http, on_drained, app);
}

static void apply_reload(struct app *app)
{
	struct flush_config flush;

	config_to_flush(app->config, &flush);
	flush_configure(app->flush, &flush);
	app->api.flush_config = flush;
	commands_set_secret_grace(app->commands, app->config->node_secret_grace);
	commands_set_counters(app->commands, (enum counter_mode)app->config->counters);
	app->api.counters = (enum counter_mode)app->config->counters;
	app_configure_rights(app);
	live_set_repair_rate(app->live, app->config->redis_repair_rate);
	log_set_level((enum log_level)app->config->log_level);
}

static void on_reload_signal(uv_signal_t *handle, int number)
{
	struct app *app = handle->data;
	struct config fresh;
	enum config_command command;
	struct errmsg restart;

	(void)number;
	notify_systemd("RELOADING=1");
	if (config_load(&fresh, app->invocation->argc, app->invocation->argv,
		    app->invocation->environment, &command, stderr) != 0) {
		log_error("configuration not reloaded", "reason=%s",
			LOG_QUOTE("it has mistakes, see the lines above"));
	} else {
		config_reload(app->config, &fresh, &restart);
		apply_reload(app);
		log_info("configuration reloaded",
			"sync_interval_ms=%" PRIu64 " redis_repair_rate=%" PRIu64
			" counters=%s api_token=%s read_token=%s",
			app->config->sync_interval, app->config->redis_repair_rate,
			app->api.counters == COUNTERS_CUMULATIVE ? "cumulative" : "delta",
			app->api.rights.api.is_set ? "set" : "none",
			app->api.rights.read.is_set ? "set" : "none");
		if (restart.text[0] != '\0')
			log_warn("some options change only with a restart", "options=%s",
				restart.text);
	}
	config_done(&fresh);
	notify_systemd("READY=1");
}

void app_start_signals(struct app *app)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

	for (size_t i = 0; i < 3; i++) {
		(void)uv_signal_init(
			&app->loop, &app->signals[i]); /* only fails without memory */
		app->signals[i].data = app;
		(void)uv_signal_start(&app->signals[i],
			numbers[i] == SIGHUP ? on_reload_signal : on_stop_signal,
			numbers[i]);
	}
	app->has_signals = true;
}
