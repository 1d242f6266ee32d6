/* Users: increments, `batch_size` of them per statement. */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS 7

/* clang-format off: it does not know what to do with strings made of macros */
static const char head[] = "INSERT INTO "
			   "users(id,used_traffic,input_bytes,output_bytes,created_at,"
			   "last_seen_at,life)VALUES";
static const char tail[] =
	" ON CONFLICT(id)DO UPDATE SET " SATURATE("used_traffic") "," SATURATE(
		"input_bytes") "," SATURATE("output_bytes") ",last_seen_at=CASE "
							    "excluded.last_seen_at WHEN "
							    "0 "
							    "THEN last_seen_at ELSE "
							    "excluded.last_seen_at END";
/* clang-format on */

int users_prepare(struct store *store, size_t rows, sqlite3_stmt **ret_stmt)
{
	static const char row[] = ",(?,?,?,?,?,?,?)";
	size_t size = sizeof(head) + sizeof(tail) + rows * sizeof(row);
	char *sql = malloc(size), *at = sql;
	int code;

	if (sql == NULL)
		return SQLITE_NOMEM;
	at = stpcpy(at, head);
	for (size_t i = 0; i < rows; i++)
		at = stpcpy(at, i == 0 ? row + 1 : row);
	(void)stpcpy(at, tail);
	code = sql_prepare(store, sql, ret_stmt);
	free(sql);
	return code;
}

static int load(struct ledger *ledger, sqlite3_stmt *row)
{
	struct totals total = {sql_u64(row, 1), sql_u64(row, 2), sql_u64(row, 3)};

	return ledger_load_user(
		ledger, sql_text(row, 0), total, sql_u64(row, 4), sql_u64(row, 6));
}

static void bind(sqlite3_stmt *stmt, const struct order_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct cut_user *row = rows[i].row;
		int index = (int)i * COLUMNS;

		sql_bind_text(stmt, index + 1, row->user->id);
		sql_bind_u64(stmt, index + 2, row->increment.used);
		sql_bind_u64(stmt, index + 3, row->increment.input);
		sql_bind_u64(stmt, index + 4, row->increment.output);
		sql_bind_u64(stmt, index + 5, row->user->created_ms);
		sql_bind_u64(stmt, index + 6, row->last_seen_ms);
		sql_bind_u64(stmt, index + 7, row->user->life);
	}
}

/* Fewer than a batch. */
static int write_rest(struct store *store, const struct order_row *rows, size_t n)
{
	sqlite3_stmt *stmt = NULL;
	int code = users_prepare(store, n, &stmt);

	if (code != SQLITE_OK)
		return code;
	bind(stmt, rows, n);
	code = sql_run(stmt);
	(void)sqlite3_finalize(stmt); /* its code is the step's */
	store->n_user_statements++;
	return code;
}

static int write(struct store *store, sqlite3_stmt **stmts, const struct cut *cut)
{
	size_t done = 0, n = cut->users.n;
	struct order_row *rows = order_users(cut);
	int code = rows != NULL ? SQLITE_OK : SQLITE_NOMEM;

	(void)stmts;
	for (; done + store->batch_size <= n && code == SQLITE_OK;
		done += store->batch_size, store->n_user_statements++) {
		bind(store->users, rows + done, store->batch_size);
		code = sql_run(store->users);
	}
	if (done < n && code == SQLITE_OK)
		code = write_rest(store, rows + done, n - done);
	free(rows);
	return code;
}

const struct table *users_table(void)
{
	static const struct table table = {
		"SELECT id,used_traffic,input_bytes,output_bytes,created_at,last_seen_at,"
		"life FROM users",
		load, {NULL}, write, "users", "ubbbmms"};

	return &table;
}
