/*
 * The options: one table drives the file, the environment, the command line, --help,
 * --print-config and the documentation check.
 *
 * Defaults < file < the original design's environment names < TALLYD_* < command line.
 * All mistakes are collected and reported together.
 */
#ifndef TALLYD_APP_CONFIG_H
#define TALLYD_APP_CONFIG_H

#include "base/err.h"
#include "base/log.h"
#include "journal/journal.h"
#include "live/live.h"
#include "store/flush.h"

#include <stdbool.h>
#include <stdio.h>

#define CONFIG_DEFAULT_FILE "/etc/tallyd/tallyd.conf"

/* Times in ms, sizes in bytes. Strings are owned. */
struct config {
	char *listen, *data_dir, *redis_url, *redis_key_prefix;
	uint64_t sync_interval, sync_batch_size, max_pending_users, emergency_flush_size;
	uint64_t max_retries, retry_delay;
	uint64_t journal_fsync, journal_max_bytes;
	uint64_t redis_timeout, redis_repair_rate, min_free_bytes, max_users, max_memory,
		busy_timeout;
	uint64_t log_level;
	uint64_t stop_timeout, max_body_bytes, max_body_memory, max_connections;
	uint64_t idle_timeout, request_timeout;
	uint64_t allow_anonymous, counters;
	char *admin_socket, *read_socket, *api_token, *api_token_file, *read_token;
	char *read_token_file, *hostnames, *first_node_file;
	uint64_t node_secret_grace;
	/* What `auto` and the files come to; NULL: none. Owned. */
	struct resolved {
		char *admin_socket, *read_socket, *api_token, *read_token;
		char *first_node_file;
	} resolved;
	const char *file; /* that was read; it need not be there. Borrows from argv */
	/* Of the command line; no options, since they are done once. */
	bool is_json; /* --check-setup is for a program */
	enum live_take_over take_over;
	const char *forgotten_node; /* borrows from argv */
	bool is_redis_url_argument;
};

enum config_command {
	COMMAND_RUN,
	COMMAND_HELP,
	COMMAND_VERSION,
	COMMAND_CHECK_CONFIG,
	COMMAND_CHECK_SETUP,
	COMMAND_PRINT_CONFIG,
	COMMAND_DUMP_JOURNAL,
	COMMAND_SALVAGE,
	COMMAND_FORGET_NODE,
};

/*
 * Reads everything. Every mistake becomes a line on `errors`. 0, ERR_CONFIG (file,
 * environment or a value), or ERR_PARAM (the command line itself). `config` is to be
 * freed either way.
 */
int config_load(struct config *config, int argc, char **argv, char *const *environment,
	enum config_command *ret_command, FILE *errors) MUST_CHECK;
void config_done(struct config *config);

/* Takes over from `fresh` what can change while running, tokens among it, and leaves
 * there what it replaces; names the options that would need a restart in `ret_restart`,
 * "" if none. */
void config_reload(
	struct config *config, struct config *fresh, struct errmsg *ret_restart);

/* As a file that config_load() reads back to the same values. Secrets are masked. */
void config_print(const struct config *config, FILE *out);
void config_print_help(FILE *out);

void config_to_flush(const struct config *config, struct flush_config *ret_flush);
void config_to_journal(const struct config *config, struct journal_config *ret_journal);

#endif
