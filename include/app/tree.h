/*
 * The tree of parts under struct app, for the files of src/app. Each part is built from
 * those above it; all are taken down in reverse.
 */
#ifndef TALLYD_APP_TREE_H
#define TALLYD_APP_TREE_H

#include "api/api.h"
#include "app/config.h"
#include "app/data_dir.h"
#include "app/secret.h"
#include "live/redis.h"

#define APP_SIGNALS 6

struct app {
	struct config *config;
	const struct invocation *invocation;
	uv_loop_t loop;
	struct data_dir dir;
	struct journal_home home; /* the journal's, in `dir` */
	bool is_rescue_asked;     /* a flush, because of what was taken away */
	struct redis_address redis;
	struct store *store;
	struct ledger *ledger;
	struct journal *journal;
	struct live *live;
	struct flush *flush;
	struct accept *accept;
	struct large *large;
	struct commands *commands;
	char observer_host[300];
	struct api api;
	struct http_server *http;
	uv_signal_t signals[APP_SIGNALS];
	int exit_code;
	bool is_stopping, has_signals;
	size_t closing; /* the next part to close */
};

/* Builds everything down to the open door. On failure app_close() takes down what there
 * is. */
int app_build(struct app *app, struct errmsg *ret_msg) MUST_CHECK;

/* Gives the options in force to what decides about rights. */
void app_configure_rights(struct app *app);

/* Before anything is opened: what is to be ignored is, what the loop heeds waits for it,
 * but for SIGTERM and SIGINT. */
void app_prepare_signals(void);
/* Before the door opens: once the loop runs, what stops, stops; what reloads, reloads. */
void app_start_signals(struct app *app);

/* Drain, flush, close; `why` is the name of the signal. */
void app_stop(struct app *app, const char *why);
/* Takes over what can change of the configuration. */
void app_reload(struct app *app);

/* Closes every part that has handles in the loop; the loop ends when all are closed. */
void app_close(struct app *app);

/* Frees every part; the loop has ended. */
void app_free(struct app *app);

#endif
