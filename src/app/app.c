#include "app/app.h"
#include "app/memory.h"
#include "app/notify.h"
#include "app/tree.h"
#include "base/log.h"
#include "command/verb.h"
#include "pipeline/recover.h"

#include <assert.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* A thread for each kind of job, so that none waits for another: sync of the journal, its
 * upkeep, flush, look at tally.db, Redis's name, and a large report's reading, which
 * takes long. The pool is made with the first job. */
static void set_up_threads(void)
{
	(void)setenv("UV_THREADPOOL_SIZE", "6", 1); /* short of memory: four */
}

/* What is large comes from the system and goes back to it: a report may take hundreds of
 * megabytes for a moment. By itself glibc would learn to keep them. */
static void set_up_memory(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 4 << 20);
}

/* Descriptors for connections and for what else is open. Fewer only means fewer clients.
 */
static void raise_descriptor_limit(uint64_t connections)
{
	struct rlimit limit;
	rlim_t wanted = connections + HTTP_MAX_LEAVING + 256;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

void app_free(struct app *app)
{
	http_free(app->http);
	large_free(app->large);
	accept_free(app->accept);
	commands_free(app->commands);
	flush_free(app->flush);
	live_free(app->live);
	journal_free(app->journal);
	ledger_free(app->ledger);
	store_close(app->store);
	redis_address_done(&app->redis);
	data_dir_close(&app->dir);
}

/* The same sentences are in the status for as long as they are true. */
static void warn_of_rights(const struct app *app)
{
	const char *sentences[RIGHTS_MAX_WARNINGS];
	size_t n = rights_warnings(&app->api.rights, sentences);

	for (size_t i = 0; i < n; i++)
		log_warn("not safe yet", "reason=%s", LOG_QUOTE(sentences[i]));
}

static void start(struct app *app)
{
	struct ledger_stats stats;

	flush_start(app->flush);
	ledger_get_stats(app->ledger, &stats);
	log_info("ready", "version=%s users=%zu data_dir=%s max_memory_bytes=%" PRIu64,
		TALLYD_VERSION, stats.users, LOG_QUOTE(app->config->data_dir),
		ledger_bounds(app->ledger)->max.of[BOUND_MEMORY]);
	warn_of_rights(app);
	notify_systemd("READY=1");
}

int app_run(struct config *config, const struct invocation *invocation)
{
	struct app app = {
		.config = config, .invocation = invocation, .dir = DATA_DIR_CLOSED};
	struct errmsg msg = {""};
	int code;

	set_up_memory();
	set_up_threads();
	app_prepare_signals();
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

/* A data directory in whose database everything is, with no daemon on it. */
struct offline {
	struct data_dir dir;
	struct store *store;
	struct ledger *ledger;
	struct recovered recovered;
	struct errmsg msg;
};

static int offline_open(
	struct offline *offline, const struct config *config, bool does_salvage)
{
	struct recover_options options = {.does_salvage = does_salvage,
		.is_lean = true,
		.max_retries = (unsigned)config->max_retries,
		.retry_delay_ms = config->retry_delay};
	char path[256];
	struct store_config store = {.path = path,
		.busy_timeout_ms = (unsigned)config->busy_timeout,
		.batch_size = (unsigned)config->sync_batch_size,
		.must_exist = !does_salvage};
	struct errmsg *msg = &offline->msg;
	int code;

	*offline = (struct offline){
		.dir = DATA_DIR_CLOSED, .ledger = ledger_new(config->max_users, false)};
	if (offline->ledger == NULL)
		return err_set(msg, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	memory_bound(offline->ledger, config->max_memory);
	code = data_dir_open(config->data_dir, DATA_DIR_HOLD, &offline->dir, msg);
	(void)snprintf(path, sizeof(path), "%s/tally.db", config->data_dir);
	if (code == 0)
		code = store_open(&store, &offline->store, msg);
	if (code == 0)
		code = recover(offline->dir.journal_fd, offline->store, offline->ledger,
			&options, &offline->recovered, msg);
	return code;
}

/* The exit code. */
static int offline_close(struct offline *offline, int code)
{
	store_close(offline->store);
	ledger_free(offline->ledger);
	data_dir_close(&offline->dir);
	return report(code, &offline->msg);
}

/* A lost command is found nowhere else: a node's secret, and that names without one may
 * not report, are gone with it. */
static void tell_lost(const struct offline *offline)
{
	const struct recovered *recovered = &offline->recovered;
	size_t n_secrets = ledger_n_secrets(offline->ledger);

	if (recovered->n_lost == 0)
		return;
	log_warn(
		"salvaged, but records are lost: bytes that were reported, and commands, "
		"as a node's secret",
		"places=%zu records_at_least=%" PRIu64
		" what_to_do=\"look at tallyctl node list, and set again what is "
		"missing: "
		"tallyctl node add NAME --secret-stdin, or tallyctl node secret NAME "
		"--secret-stdin, with the secret that its GOST sends\"",
		recovered->n_lost, recovered->lost_records);
	if (ledger_is_open(offline->ledger))
		log_warn("names without a secret may report",
			"nodes_with_a_secret=%zu what_to_do=\"if they might not before: "
			"start tallyd, then tallyctl node close\"",
			n_secrets);
	else
		log_info("names without a secret may not report",
			"nodes_with_a_secret=%zu", n_secrets);
}

int app_salvage(const struct config *config)
{
	struct offline offline;
	int code = offline_open(&offline, config, true);

	if (code == 0)
		log_info("salvaged: tallyd can be started", "records=%zu",
			offline.recovered.n_records);
	if (code == 0)
		tell_lost(&offline);
	return offline_close(&offline, code);
}

/* Whether what is stored fills so much of max_memory that it would be warned of. */
static int find_shortage(struct offline *offline, bool *ret_is_short)
{
	const struct bounds *bounds = ledger_bounds(offline->ledger);
	struct store_stored stored = {0};
	int code = store_measure(offline->store, &stored);

	*ret_is_short = bounds_is_near(bounds->used.of[BOUND_MEMORY] +
			stored.n_users * user_bytes(0) +
			stored.n_series * series_bytes(0) + stored.id_bytes +
			stored.client_bytes,
		bounds->max.of[BOUND_MEMORY]);
	return code == 0 ? 0
			 : err_set(&offline->msg, code, "tally.db cannot be read: %s",
				   err_text(code));
}

static int delete_node(struct offline *offline, const char *name, bool is_fresh)
{
	static const char fresh[] = "{\"fresh\":true}";
	struct command_request request = {.verb = verb_find("node.delete"),
		.subject = name,
		.body = is_fresh ? fresh : "",
		.len = is_fresh ? sizeof(fresh) - 1 : 0};

	return command_do_offline(offline->ledger, &request, &offline->msg);
}

/* node.delete, while no daemon runs. It has to work where a start would not, for short
 * memory: users and series are not loaded, and last values are kept only if there is room
 * for them. */
int app_forget_node(const struct config *config)
{
	struct recover_options options = {.max_retries = (unsigned)config->max_retries,
		.retry_delay_ms = config->retry_delay};
	struct offline offline;
	bool is_short = false;
	int code = offline_open(&offline, config, false);

	if (code == 0)
		code = find_shortage(&offline, &is_short);
	if (code == 0)
		code = delete_node(&offline, config->forgotten_node, is_short);
	if (code == 0)
		code = recover_checkpoint(
			offline.store, offline.ledger, &options, &offline.msg);
	if (code == 0)
		log_info(is_short ? "node deleted: its reports are refused; its last "
				    "values are forgotten, for memory is short"
				  : "node deleted: its reports are refused, its counters "
				    "kept for 30 days",
			"node=%s", LOG_QUOTE(config->forgotten_node));
	return offline_close(&offline, code);
}

int app_dump_journal(const struct config *config)
{
	struct data_dir dir = DATA_DIR_CLOSED;
	struct errmsg msg;
	int code = data_dir_open(config->data_dir, DATA_DIR_READ, &dir, &msg);

	if (code == 0)
		code = recover_dump(dir.journal_fd, stdout, &msg);
	data_dir_close(&dir);
	return report(code, &msg);
}
