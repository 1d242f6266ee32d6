#include "app/config.h"
#include "app/option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void config_done(struct config *config)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (option_rows()[i].type == TYPE_TEXT)
			free(*option_text(config, &option_rows()[i]));
	memset(config, 0, sizeof(*config));
}

static bool is_equal(
	const struct config *a, const struct config *b, const struct option_row *row)
{
	if (row->type == TYPE_TEXT)
		return strcmp(*option_text(a, row), *option_text(b, row)) == 0;
	return *option_number(a, row) == *option_number(b, row);
}

void config_reload(
	struct config *config, const struct config *fresh, struct errmsg *ret_restart)
{
	size_t len = 0;

	ret_restart->text[0] = '\0';
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows()[i];

		if (is_equal(config, fresh, row))
			continue;
		if (row->can_reload)
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
