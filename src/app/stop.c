/*
 * A stop: drain the door, last flush, then close each part, one after the other, in the
 * order of `parts`. A reload: take over what can change.
 *
 * Redis goes before the door, so that reads which wait for it are answered from the
 * ledger.
 */
#include "app/tree.h"
#include "app/notify.h"
#include "base/log.h"

#include <inttypes.h>
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

static void close_large(struct app *app)
{
	if (app->large != NULL)
		large_close(app->large, close_next, app);
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
	for (size_t i = 0; i < APP_SIGNALS && app->has_signals; i++)
		uv_close((uv_handle_t *)&app->signals[i], NULL);
	close_next(app);
}

static void close_next(void *arg)
{
	static void (*const parts[])(struct app *) = {close_live, close_large,
		close_accept, close_commands, close_http, close_flush, close_journal,
		close_signals};
	struct app *app = arg;

	if (app->closing < sizeof(parts) / sizeof(parts[0]))
		parts[app->closing++](app);
}

void app_close(struct app *app)
{
	close_next(app);
}

static void tell_unflushed(const struct app *app, int code)
{
	struct journal_stats journal;

	journal_look(app->journal); /* who deletes one may have deleted both */
	journal_get_stats(app->journal, &journal);
	if (journal.refusal == ERR_JOURNAL_GONE)
		log_error("stopping without the last flush, and the journal was taken "
			  "away: put it back, or what was accepted since the last flush "
			  "is lost",
			"reason=%s what=%s records=%" PRIu64, LOG_QUOTE(err_text(code)),
			LOG_QUOTE(journal.missing), journal.records);
	else
		log_error("stopping without the last flush: the journal holds everything",
			"reason=%s", LOG_QUOTE(err_text(code)));
}

static void on_flushed(void *arg, int code, const struct flush_outcome *outcome)
{
	struct app *app = arg;

	(void)outcome;
	app->exit_code = err_exit_code(code);
	if (code != 0)
		tell_unflushed(app, code);
	app_close(app);
}

static void on_drained(void *arg)
{
	struct app *app = arg;

	accept_stop(app->accept);
	commands_stop(app->commands);
	flush_stop(app->flush, app->config->stop_timeout, on_flushed, app);
}

void app_stop(struct app *app, const char *why)
{
	if (app->is_stopping)
		return;
	app->is_stopping = true;
	app->api.is_stopping = true;
	log_info("stopping", "signal=%s", why);
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

void app_reload(struct app *app)
{
	struct config fresh;
	enum config_command command;
	struct errmsg restart;

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
