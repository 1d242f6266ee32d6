/*
 * The whole: builds the tree of parts in order, runs the loop, tears it down in reverse.
 */
#ifndef TALLYD_APP_APP_H
#define TALLYD_APP_APP_H

#include "app/secret.h"

/* Runs until SIGTERM or SIGINT. The exit code. `invocation` is read again on SIGHUP. */
int app_run(struct config *config, const struct invocation *invocation);

/* --salvage, --forget-node and --dump-journal: one pass over data_dir, no network. The
 * exit code. */
int app_salvage(const struct config *config);
int app_forget_node(const struct config *config);
int app_dump_journal(const struct config *config);

#endif
