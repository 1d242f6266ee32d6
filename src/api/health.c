#include "api/api.h"
#include "api/json.h"

#include <microhttpd.h>
#include <sqlite3.h>
#include <uv.h>

void api_livez(void *arg, struct http_request *request)
{
	(void)arg;
	http_answer_ok(request);
}

static void add_parts(cJSON *root, const struct api *api,
	const struct journal_stats *journal, const struct flush_stats *flush)
{
	(void)cJSON_AddStringToObject(root, "journal",
		journal->refusal == 0 ? "ok" : err_text(journal->refusal));
	(void)cJSON_AddStringToObject(
		root, "redis", live_state_name(live_get_state(api->live)));
	(void)cJSON_AddStringToObject(root, "sqlite",
		flush->last.error == 0 ? "ok" : err_text(flush->last.error));
}

/* Ready means: a report would be accepted now. Redis and SQLite may be down meanwhile.
 * What of it is in which state is for who may read. */
void api_readyz(void *arg, struct http_request *request)
{
	const struct api *api = arg;
	struct journal_stats journal;
	struct flush_stats flush;
	cJSON *root = cJSON_CreateObject();
	bool is_ready;

	journal_get_stats(api->journal, &journal);
	flush_get_stats(api->flush, &flush);
	is_ready = journal.refusal == 0 && !api->is_stopping;
	(void)cJSON_AddBoolToObject(root, "ready", is_ready);
	if (http_identity(request)->right >= RIGHT_READ)
		add_parts(root, api, &journal, &flush);
	json_answer(request, is_ready ? 200 : 503, root);
}

void api_version(void *arg, struct http_request *request)
{
	cJSON *root = cJSON_CreateObject(), *libraries;

	(void)arg;
	(void)cJSON_AddStringToObject(root, "version", TALLYD_VERSION);
	libraries = cJSON_AddObjectToObject(root, "libraries");
	(void)cJSON_AddStringToObject(libraries, "libuv", uv_version_string());
	(void)cJSON_AddStringToObject(libraries, "libmicrohttpd", MHD_get_version());
	(void)cJSON_AddStringToObject(libraries, "hiredis", live_library_version());
	(void)cJSON_AddStringToObject(libraries, "sqlite", sqlite3_libversion());
	(void)cJSON_AddStringToObject(libraries, "cJSON", cJSON_Version());
	json_answer(request, 200, root);
}
