#include "app/app.h"
#include "app/notify.h"
#include "app/tree.h"
#include "base/log.h"
#include "pipeline/recover.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* Descriptors for connections and for what else is open. Fewer only means fewer clients.
 */
static void raise_descriptor_limit(uint64_t connections)
{
	struct rlimit limit;
	rlim_t wanted = connections + 128;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

void app_free(struct app *app)
{
	http_free(app->http);
	accept_free(app->accept);
	flush_free(app->flush);
	live_free(app->live);
	journal_free(app->journal);
	ledger_free(app->ledger);
	store_close(app->store);
	redis_address_done(&app->redis);
	data_dir_close(&app->dir);
}

static void start(struct app *app)
{
	struct ledger_stats stats;

	flush_start(app->flush);
	app_start_signals(app);
	ledger_get_stats(app->ledger, &stats);
	log_info("ready", "version=%s users=%zu data_dir=%s", TALLYD_VERSION, stats.users,
		LOG_QUOTE(app->config->data_dir));
	notify_systemd("READY=1");
}

int app_run(struct config *config, int argc, char **argv)
{
	struct app app = {.config = config, .argc = argc, .argv = argv, .dir = {-1, -1}};
	struct errmsg msg = {""};
	int code;

	(void)signal(SIGPIPE, SIG_IGN); /* cannot fail */
	(void)signal(SIGHUP, SIG_IGN);  /* until the loop can heed it */
	log_set_level((enum log_level)config->log_level);
	raise_descriptor_limit(config->max_connections);
	if (uv_loop_init(&app.loop) != 0)
		return EXIT_SOFTWARE;
	code = app_build(&app, &msg);
	if (code == 0) {
		start(&app);
	} else {
		log_error("cannot start", "reason=%s", LOG_QUOTE(msg.text));
		app.exit_code = err_exit_code(code);
		app_close(&app);
	}
	(void)uv_run(&app.loop, UV_RUN_DEFAULT);
	app_free(&app);
	code = uv_loop_close(&app.loop);
	assert(code == 0); /* every handle was closed */
	if (app.is_stopping)
		log_info("stopped", "exit_code=%d", app.exit_code);
	return app.exit_code;
}

static int report(int code, const struct errmsg *msg)
{
	if (code != 0)
		log_error("failed", "reason=%s", LOG_QUOTE(msg->text));
	return err_exit_code(code);
}

int app_salvage(const struct config *config)
{
	struct recover_options options = {.does_salvage = true,
		.max_retries = (unsigned)config->max_retries,
		.retry_delay_ms = config->retry_delay};
	char path[256];
	struct store_config store_config = {
		path, (unsigned)config->busy_timeout, (unsigned)config->sync_batch_size};
	struct ledger *ledger = ledger_new(config->max_users, false);
	struct store *store = NULL;
	struct data_dir dir = {-1, -1};
	struct recovered recovered;
	struct errmsg msg = {"out of memory"};
	int code = ledger == NULL ? ERR_NOMEM
				  : data_dir_open(config->data_dir, true, &dir, &msg);

	(void)snprintf(path, sizeof(path), "%s/tally.db", config->data_dir);
	if (code == 0)
		code = store_open(&store_config, &store, &msg);
	if (code == 0)
		code = recover(dir.journal_fd, store, ledger, &options, &recovered, &msg);
	if (code == 0)
		log_info("salvaged: tallyd can be started", "records=%zu",
			recovered.n_records);
	store_close(store);
	ledger_free(ledger);
	data_dir_close(&dir);
	return report(code, &msg);
}

int app_dump_journal(const struct config *config)
{
	struct data_dir dir = {-1, -1};
	struct errmsg msg;
	int code = data_dir_open(config->data_dir, false, &dir, &msg);

	if (code == 0)
		code = recover_dump(dir.journal_fd, stdout, &msg);
	data_dir_close(&dir);
	return report(code, &msg);
}
