/* How much the database holds, asked of SQLite: nothing of it is loaded for that. */
#include "store/internal.h"
#include "store/schema.h"

#include <inttypes.h>
#include <stdio.h>

static int run_query(struct store *store, const char *sql, sqlite3_stmt **ret_stmt)
{
	int code = sql_prepare(store, sql, ret_stmt);

	return code == SQLITE_OK ? sqlite3_step(*ret_stmt) : code;
}

/* A count, and the sum of the names' lengths. */
static int measure_table(
	struct store *store, const char *sql, uint64_t *ret_n, uint64_t *ret_name_bytes)
{
	sqlite3_stmt *stmt = NULL;
	int code = run_query(store, sql, &stmt);

	if (code == SQLITE_ROW) {
		*ret_n = sql_u64(stmt, 0);
		*ret_name_bytes = sql_u64(stmt, 1);
	}
	(void)sqlite3_finalize(stmt); /* its code is the step's */
	return code == SQLITE_ROW ? 0 : store_error_of(code);
}

int store_measure(struct store *store, struct store_stored *ret_stored)
{
	int code = measure_table(store,
		"SELECT count(*),ifnull(sum(length(CAST(id AS BLOB))),0)FROM users",
		&ret_stored->n_users, &ret_stored->id_bytes);

	if (code == 0)
		code = measure_table(store,
			"SELECT count(*),ifnull(sum(length(CAST(client AS BLOB))),0)FROM "
			"series",
			&ret_stored->n_series, &ret_stored->client_bytes);
	return code;
}

/* How to get out: who has most of the series, if most of it is series. */
static void say_ways(struct store *store, const struct store_stored *stored,
	const struct ledger *ledger, struct errmsg *msg)
{
	sqlite3_stmt *stmt = NULL;
	char limit[48] = "";

	if (ledger_is_overloaded(ledger))
		(void)snprintf(limit, sizeof(limit), " (%" PRIu64 " MiB may be used)",
			ledger_bounds(ledger)->load_max_bytes >> 20);
	if (stored->n_series > stored->n_users &&
		run_query(store,
			"SELECT node,count(*)FROM series GROUP BY node ORDER BY 2 DESC "
			"LIMIT 1",
			&stmt) == SQLITE_ROW)
		(void)err_set(msg, ERR_NOMEM,
			"there is too little memory for tally.db%s: it has %" PRIu64
			" series, %" PRIu64
			" of them of the node %.80s. Give tallyd more memory, or run "
			"`tallyd --forget-node %.80s`",
			limit, stored->n_series, sql_u64(stmt, 1), sql_text(stmt, 0),
			sql_text(stmt, 0));
	else
		(void)err_set(msg, ERR_NOMEM,
			"there is too little memory for tally.db%s: it has %" PRIu64
			" users and %" PRIu64 " series. Give tallyd more memory",
			limit, stored->n_users, stored->n_series);
	(void)sqlite3_finalize(stmt); /* its code is the step's */
}

void store_explain_shortage(
	struct store *store, const struct ledger *ledger, struct errmsg *msg)
{
	struct store_stored stored = {0};

	if (store_measure(store, &stored) == 0)
		say_ways(store, &stored, ledger, msg);
}
