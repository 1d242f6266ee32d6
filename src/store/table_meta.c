/* The rows of meta, each by its key. */
#include "store/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int load_applied(struct ledger *ledger, sqlite3_stmt *row)
{
	ledger_set_applied_seq(ledger, strtoull(sql_text(row, 0), NULL, 10));
	return 0;
}

const struct table *applied_seq_table(void)
{
	static const struct table table = {
		"SELECT coalesce((SELECT value FROM meta WHERE key='applied_seq'),'')"
		"AS applied_seq",
		load_applied, {NULL}, NULL, "meta", "q"};

	return &table;
}

/* The value is `at_ms` or `at_ms claim`. */
void link_text(const struct link_record *link, char ret_text[LINK_TEXT_BYTES])
{
	(void)snprintf(ret_text, LINK_TEXT_BYTES, "%" PRIu64 "%s%s", link->at_ms,
		link->claim[0] != '\0' ? " " : "", link->claim);
}

static int load_link(struct ledger *ledger, sqlite3_stmt *row)
{
	struct link_record link = {0};
	char *claim;

	link.at_ms = strtoull(sql_text(row, 0), &claim, 10);
	if (*claim == ' ')
		(void)snprintf(link.claim, sizeof(link.claim), "%s", claim + 1);
	ledger_load_link(ledger, &link);
	return 0;
}

static int write_link(struct store *store, sqlite3_stmt **stmts, const struct cut *cut)
{
	char text[LINK_TEXT_BYTES];

	(void)store;
	if (!cut->has_link)
		return SQLITE_OK;
	link_text(&cut->link, text);
	sql_bind_text(stmts[0], 1, text);
	return sql_run(stmts[0]);
}

const struct table *link_table(void)
{
	static const struct table table = {READ_LINK_SQL, load_link,
		{"INSERT INTO meta VALUES('redis_link',?1) ON CONFLICT(key)DO UPDATE SET "
		 "value=excluded.value"},
		write_link, "meta (redis_link)", "l"};

	return &table;
}
