#include "store/internal.h"

static int write(struct store *store, sqlite3_stmt **stmts, const struct cut *cut)
{
	int code = SQLITE_OK;

	(void)store;
	for (size_t i = 0; i < cut->n_rejects && code == SQLITE_OK; i++) {
		sql_bind_u64(stmts[0], 1, cut->rejects[i].at_ms);
		sql_bind_text(stmts[0], 2, cut->rejects[i].node);
		sql_bind_text(stmts[0], 3, cut->rejects[i].reason);
		sql_bind_text(stmts[0], 4, cut->rejects[i].event);
		code = sql_run(stmts[0]);
	}
	if (code != SQLITE_OK || cut->n_rejects == 0)
		return code;
	sql_bind_u64(stmts[1], 1, LEDGER_MAX_REJECTS);
	return sql_run(stmts[1]);
}

const struct table *rejects_table(void)
{
	static const struct table table = {
		"SELECT id FROM rejects ORDER BY id DESC LIMIT 1", NULL,
		{"INSERT INTO rejects(at,node,reason,event)VALUES(?,?,?,?)",
			"DELETE FROM rejects WHERE id<=(SELECT max(id) FROM rejects)-?1"},
		write, "rejects", "s"};

	return &table;
}
