/* The status page keeps the original design's members exactly, and has its own beside
 * them. */
#include "api/api.h"
#include "api/json.h"
#include "base/clock.h"

static double percent(double part, double whole)
{
	return whole > 0 ? 100 * part / whole : 0;
}

static void add_config(cJSON *data, const struct api *api)
{
	cJSON *config = cJSON_AddObjectToObject(data, "config");

	json_add_u64(config, "syncInterval", api->flush_config.interval_ms);
	json_add_u64(config, "maxPendingUsers", api->flush_config.max_pending_users);
	json_add_u64(config, "batchSize", api->sync_batch_size);
}

static void add_stats(
	cJSON *data, const struct flush_stats *flush, const struct ledger_stats *ledger)
{
	cJSON *stats = cJSON_AddObjectToObject(data, "stats");
	uint64_t ended = flush->n_succeeded + flush->n_failed;

	json_add_u64(stats, "totalSyncs", flush->n_started);
	json_add_u64(stats, "successfulSyncs", flush->n_succeeded);
	json_add_u64(stats, "failedSyncs", flush->n_failed);
	json_add_decimal(
		stats, "avgSyncTime", ended > 0 ? flush->total_ms / (double)ended : 0);
	json_add_u64(stats, "pendingUsers", ledger->dirty_users);
	(void)cJSON_AddBoolToObject(stats, "isSyncing", flush->is_running);
}

static void add_efficiency(
	cJSON *data, const struct flush_stats *flush, const struct accept_stats *accept)
{
	cJSON *efficiency = cJSON_AddObjectToObject(data, "efficiency");
	double ended = (double)(flush->n_succeeded + flush->n_failed);
	double events = (double)accept->stats_events;

	json_add_decimal(efficiency, "avgBatchSize",
		flush->statements > 0
			? (double)flush->users_written / (double)flush->statements
			: 0);
	json_add_decimal(efficiency, "syncSuccessRate",
		percent((double)flush->n_succeeded, ended));
	json_add_decimal(efficiency, "dbWriteReduction",
		percent(events - (double)flush->n_succeeded, events));
}

static void add_last_sync(cJSON *data, const struct flush_stats *flush)
{
	cJSON *last = cJSON_AddObjectToObject(data, "lastSync");

	if (flush->last.at_ms == 0)
		(void)cJSON_AddNullToObject(last, "at");
	else
		json_add_u64(last, "at", flush->last.at_ms);
	json_add_u64(last, "users", flush->last.users);
	json_add_decimal(last, "timeMs", flush->last.time_ms);
	if (flush->last.error == 0)
		(void)cJSON_AddNullToObject(last, "error");
	else
		(void)cJSON_AddStringToObject(last, "error", err_text(flush->last.error));
	if (flush->failing_since_ms == 0) {
		(void)cJSON_AddNullToObject(last, "failingSince");
		(void)cJSON_AddNullToObject(last, "whatToDo");
		return;
	}
	json_add_u64(last, "failingSince", flush->failing_since_ms);
	(void)cJSON_AddStringToObject(last, "whatToDo", store_advice(flush->last.error));
}

static void add_redis(
	cJSON *data, const struct live *live, const struct ledger_stats *ledger)
{
	cJSON *redis = cJSON_AddObjectToObject(data, "redis");
	struct live_stats stats;

	live_get_stats(live, &stats);
	(void)cJSON_AddStringToObject(redis, "state", live_state_name(stats.state));
	json_add_text(redis, "address", stats.address);
	json_add_u64(redis, "unsentUsers", ledger->unsent_users);
	json_add_u64(redis, "unverifiedUsers", stats.view.unverified_users);
	json_add_u64(redis, "refusedUsers", stats.view.refused_users);
	json_add_u64(redis, "repairs", stats.view.n_absolute);
	json_add_u64(redis, "differences", stats.view.n_differences);
	json_add_u64(redis, "refusedCommands", stats.view.n_refused);
	json_add_text(redis, "edits", stats.edits);
	json_add_text(redis, "serverVersion", stats.survey.version);
	json_add_text(redis, "maxmemoryPolicy", stats.survey.maxmemory_policy);
	json_add_text(redis, "appendOnly", stats.survey.append_only);
	json_add_text(redis, "error", stats.error);
}

static void add_reports(cJSON *data, const struct accept_stats *accept,
	const struct ledger_stats *ledger, const struct watch *watch)
{
	cJSON *reports = cJSON_AddObjectToObject(data, "reports");

	json_add_u64(reports, "accepted", accept->accepted);
	json_add_u64(reports, "refused", accept->refused);
	json_add_u64(reports, "repeats", accept->repeats);
	json_add_u64(reports, "open", ledger->open_reports);
	json_add_u64(reports, "droppedOpen", ledger->dropped_open_reports);
	json_add_u64(reports, "rejectedEvents", accept->rejected_events);
	json_add_u64(reports, "suspectSeries", watch->n_suspect_series);
}

/* How long it has room says something only while nothing is flushed. */
static void add_journal(
	cJSON *data, const struct journal *journal, const struct flush_stats *flush)
{
	cJSON *object = cJSON_AddObjectToObject(data, "journal");
	struct journal_stats stats;

	journal_get_stats(journal, &stats);
	json_add_u64(object, "bytes", stats.bytes);
	json_add_u64(object, "records", stats.records);
	json_add_u64(object, "maxBytes", stats.max_bytes);
	if (flush->failing_since_ms != 0 && stats.full_in_ms != UINT64_MAX)
		json_add_u64(object, "fullInSeconds", stats.full_in_ms / 1000);
	else
		(void)cJSON_AddNullToObject(object, "fullInSeconds");
	if (stats.refusal != 0)
		(void)cJSON_AddStringToObject(object, "error", err_text(stats.refusal));
	else
		(void)cJSON_AddNullToObject(object, "error");
	json_add_text(object, "missing", stats.missing);
}

static void add_nodes(cJSON *data, const struct api *api)
{
	cJSON *nodes = cJSON_AddObjectToObject(data, "nodes"), *warnings;
	const char *sentences[RIGHTS_MAX_WARNINGS];
	size_t n = rights_warnings(&api->rights, sentences);

	(void)cJSON_AddBoolToObject(nodes, "open", ledger_is_open(api->ledger));
	json_add_u64(nodes, "withSecret", ledger_n_secrets(api->ledger));
	warnings = cJSON_AddArrayToObject(data, "warnings");
	for (size_t i = 0; i < n; i++)
		json_add_to_array(warnings, cJSON_CreateString(sentences[i]));
	memory_add_warnings(warnings, api->ledger);
}

/* What the original design did not have; some of it names somebody. */
static void add_ours(cJSON *data, const struct api *api, const struct flush_stats *flush,
	const struct ledger_stats *ledger)
{
	struct accept_stats accept;

	accept_get_stats(api->accept, &accept);
	add_efficiency(data, flush, &accept);
	add_last_sync(data, flush);
	add_redis(data, api->live, ledger);
	add_reports(data, &accept, ledger, ledger_watch(api->ledger));
	add_journal(data, api->journal, flush);
	add_nodes(data, api);
	suspicions_add(data, api->ledger, NULL);
	memory_add(data, api->ledger);
	json_add_u64(data, "users", ledger->users);
	(void)cJSON_AddBoolToObject(data, "hasSaturatedTotals", ledger->has_saturated);
	(void)cJSON_AddStringToObject(data, "dataDir", api->data_dir);
	json_add_u64(data, "uptimeSeconds", (clock_ms() - api->started_ms) / 1000);
	(void)cJSON_AddStringToObject(data, "version", TALLYD_VERSION);
}

/* Without the right to read, on loopback, it shows the original's members alone. */
void api_status(void *arg, struct http_request *request)
{
	const struct api *api = arg;
	cJSON *root = cJSON_CreateObject(), *data;
	struct flush_stats flush;
	struct ledger_stats ledger;

	flush_get_stats(api->flush, &flush);
	ledger_get_stats(api->ledger, &ledger);
	(void)cJSON_AddTrueToObject(root, "success");
	data = cJSON_AddObjectToObject(root, "data");
	add_config(data, api);
	add_stats(data, &flush, &ledger);
	if (http_identity(request)->right >= RIGHT_READ) {
		add_ours(data, api, &flush, &ledger);
		refusals_add(cJSON_AddObjectToObject(data, "refusals"),
			http_refusals(request));
	}
	json_answer(request, 200, root);
}

static void on_flushed(void *arg, int code, const struct flush_outcome *outcome)
{
	struct http_request *request = arg;
	cJSON *root, *data;

	if (code != 0) {
		http_answer_error(request, code, NULL);
		return;
	}
	root = cJSON_CreateObject();
	(void)cJSON_AddTrueToObject(root, "success");
	data = cJSON_AddObjectToObject(root, "data");
	json_add_u64(data, "users", outcome->users);
	json_add_decimal(data, "timeMs", outcome->time_ms);
	json_answer(request, 200, root);
}

void api_force_sync(void *arg, struct http_request *request)
{
	struct api *api = arg;
	int code = api->is_stopping ? ERR_STOPPING
				    : flush_request(api->flush, on_flushed, request);

	if (code != 0)
		http_answer_error(request, code, NULL);
}
