#include "store/internal.h"

#include <string.h>

int sql_prepare(struct store *store, const char *sql, sqlite3_stmt **ret_stmt)
{
	return sqlite3_prepare_v3(
		store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_stmt, NULL);
}

int sql_run(sqlite3_stmt *stmt)
{
	int code = sqlite3_step(stmt);

	(void)sqlite3_reset(stmt); /* its code is the step's */
	return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

void sql_bind_text(sqlite3_stmt *stmt, int index, const char *text)
{
	(void)sqlite3_bind_text(stmt, index, text, -1, SQLITE_STATIC);
}

void sql_bind_u64(sqlite3_stmt *stmt, int index, uint64_t value)
{
	(void)sqlite3_bind_int64(stmt, index, (sqlite3_int64)value);
}

void sql_bind_blob(sqlite3_stmt *stmt, int index, const void *bytes, int len)
{
	(void)sqlite3_bind_blob(stmt, index, bytes, len, SQLITE_STATIC);
}

void sql_bind_service(sqlite3_stmt *stmt, const struct service *service)
{
	sql_bind_text(stmt, 1, service->node);
	sql_bind_text(stmt, 2, service->kind == KIND_SERVICE ? "service" : "handler");
	sql_bind_text(stmt, 3, service->name);
}

uint64_t sql_u64(sqlite3_stmt *row, int column)
{
	sqlite3_int64 value = sqlite3_column_int64(row, column);

	return value < 0 ? 0 : (uint64_t)value;
}

const char *sql_text(sqlite3_stmt *row, int column)
{
	const unsigned char *text = sqlite3_column_text(row, column);

	return text != NULL ? (const char *)text : "";
}

enum event_kind sql_kind(sqlite3_stmt *row, int column)
{
	return strcmp(sql_text(row, column), "service") == 0 ? KIND_SERVICE
							     : KIND_HANDLER;
}
