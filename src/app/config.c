#include "app/config.h"
#include "app/option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void forget(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

void config_done(struct config *config)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (option_rows()[i].type == TYPE_TEXT)
			forget(*option_text(config, &option_rows()[i]));
	forget(config->resolved.admin_socket);
	forget(config->resolved.read_socket);
	forget(config->resolved.api_token);
	forget(config->resolved.read_token);
	forget(config->resolved.first_node_file);
	memset(config, 0, sizeof(*config));
}

static bool is_equal(
	const struct config *a, const struct config *b, const struct option_row *row)
{
	if (row->type == TYPE_TEXT)
		return strcmp(*option_text(a, row), *option_text(b, row)) == 0;
	return *option_number(a, row) == *option_number(b, row);
}

static void swap(char **a, char **b)
{
	char *text = *a;

	*a = *b;
	*b = text;
}

void config_reload(
	struct config *config, struct config *fresh, struct errmsg *ret_restart)
{
	size_t len = 0;

	swap(&config->resolved.api_token, &fresh->resolved.api_token);
	swap(&config->resolved.read_token, &fresh->resolved.read_token);

	ret_restart->text[0] = '\0';
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows()[i];

		if (is_equal(config, fresh, row))
			continue;
		if (row->can_reload && row->type == TYPE_TEXT)
			swap(option_text(config, row), option_text(fresh, row));
		else if (row->can_reload)
			*option_number(config, row) = *option_number(fresh, row);
		else
			len += (size_t)snprintf(ret_restart->text + len,
				sizeof(ret_restart->text) - len, "%s%s",
				len > 0 ? "," : "", row->name);
	}
}

void config_to_flush(const struct config *config, struct flush_config *ret_flush)
{
	uint64_t emergency = config->emergency_flush_size;

	if (emergency == OPTION_AUTO)
		emergency = (config->max_pending_users * 4 + 4) / 5;
	if (emergency > config->max_pending_users)
		emergency = config->max_pending_users;
	*ret_flush = (struct flush_config){.interval_ms = config->sync_interval,
		.max_pending_users = config->max_pending_users,
		.emergency_flush_size = emergency,
		.max_retries = (unsigned)config->max_retries,
		.retry_delay_ms = config->retry_delay};
}

void config_to_journal(const struct config *config, struct journal_config *ret_journal)
{
	*ret_journal = (struct journal_config){
		.fsync = (enum journal_fsync)config->journal_fsync,
		.max_bytes = config->journal_max_bytes,
		.min_free_bytes = config->min_free_bytes};
}
