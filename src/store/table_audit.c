/* What was commanded: for people, in audit; with a key, for its repetition, in commands.
 */
#include "store/internal.h"

#include <string.h>

static int write_audit(struct store *store, sqlite3_stmt **stmts, const struct cut *cut)
{
	const struct audit_entry *entry;
	int code = SQLITE_OK;

	(void)store;
	TAILQ_FOREACH (entry, &cut->audit, link) {
		sql_bind_u64(stmts[0], 1, entry->seq);
		sql_bind_u64(stmts[0], 2, entry->at_ms);
		sql_bind_text(stmts[0], 3, entry->actor);
		sql_bind_text(stmts[0], 4, entry->verb);
		sql_bind_text(stmts[0], 5, entry->subject);
		sql_bind_text(stmts[0], 6, entry->before);
		sql_bind_text(stmts[0], 7, entry->after);
		sql_bind_text(stmts[0], 8, entry->reason);
		sql_bind_text(stmts[0], 9, entry->key);
		code = sql_run(stmts[0]);
		if (code != SQLITE_OK)
			break;
	}
	return code;
}

const struct table *audit_table(void)
{
	static const struct table table = {
		"SELECT seq FROM audit ORDER BY seq DESC LIMIT 1", NULL,
		{"INSERT INTO audit VALUES(?1,?2,?3,?4,?5,nullif(?6,''),nullif(?7,''),"
		 "nullif(?8,''),nullif(?9,''))"},
		write_audit, "audit", "s"};

	return &table;
}

static int load_command(struct ledger *ledger, sqlite3_stmt *row)
{
	struct command command = {.actor = sql_text(row, 0),
		.key = sql_text(row, 1),
		.status = (unsigned)sql_u64(row, 3),
		.answer = sql_text(row, 4)};
	struct origin origin = {.time_ms = sql_u64(row, 5), .seq = sql_u64(row, 6)};

	memcpy(origin.fingerprint, sqlite3_column_blob(row, 2), FINGERPRINT_BYTES);
	return ledger_load_command(ledger, &command, &origin);
}

static void bind(sqlite3_stmt *stmt, const struct done_command *row)
{
	sql_bind_text(stmt, 1, row->actor);
	sql_bind_text(stmt, 2, row->key);
	sql_bind_blob(stmt, 3, row->digest, FINGERPRINT_BYTES);
	sql_bind_u64(stmt, 4, row->status);
	sql_bind_text(stmt, 5, row->answer);
	sql_bind_u64(stmt, 6, row->at_ms);
	sql_bind_u64(stmt, 7, row->seq);
}

static int write_commands(
	struct store *store, sqlite3_stmt **stmts, const struct cut *cut)
{
	int code = SQLITE_OK;

	(void)store;
	for (size_t i = 0; i < cut->n_commands && code == SQLITE_OK; i++) {
		bind(stmts[0], cut->commands[i]);
		code = sql_run(stmts[0]);
	}
	if (code != SQLITE_OK || cut->n_commands == 0)
		return code;
	/* What is too old, by the time of the last one, and what is too many. */
	sql_bind_u64(stmts[1], 1, cut->commands[cut->n_commands - 1]->at_ms);
	sql_bind_u64(stmts[1], 2, COMMANDS_KEPT_MS);
	sql_bind_u64(stmts[1], 3, COMMANDS_KEPT);
	return sql_run(stmts[1]);
}

const struct table *commands_table(void)
{
	static const struct table table = {
		"SELECT actor,key,digest,status,answer,at,seq FROM commands ORDER BY seq",
		load_command,
		{"INSERT OR REPLACE INTO commands(actor,key,digest,status,answer,at,seq)"
		 "VALUES(?,?,?,?,?,?,?)",
			"DELETE FROM commands WHERE at<?1-?2 OR seq<=(SELECT seq FROM "
			"commands ORDER BY seq DESC LIMIT 1 OFFSET ?3)"},
		write_commands, "commands", "nndbtms"};

	return &table;
}
