/* Services, and what belongs to one: its series, and its open reports. */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

static int load_service(struct ledger *ledger, sqlite3_stmt *row)
{
	struct counters last = {.input_bytes = sql_u64(row, 3),
		.output_bytes = sql_u64(row, 4),
		.total_conns = sql_u64(row, 5),
		.current_conns = sql_u64(row, 6),
		.total_errs = sql_u64(row, 7)};
	struct epoch epoch = {sql_u64(row, 10), sql_u64(row, 11), sql_u64(row, 12) != 0};

	return ledger_load_service(ledger, sql_text(row, 0), sql_kind(row, 1),
		sql_text(row, 2), &last, sql_text(row, 8), &epoch, sql_u64(row, 9));
}

static int write_services(
	struct store *store, sqlite3_stmt **stmts, const struct cut *cut)
{
	int code = SQLITE_OK;

	(void)store;
	for (size_t i = 0; i < cut->n_services && code == SQLITE_OK; i++) {
		const struct cut_service *row = &cut->services[i];
		sqlite3_stmt *stmt = stmts[0];

		sql_bind_service(stmt, row->service);
		sql_bind_u64(stmt, 4, row->increment.input);
		sql_bind_u64(stmt, 5, row->increment.output);
		sql_bind_u64(stmt, 6, row->last.total_conns);
		sql_bind_u64(stmt, 7, row->last.current_conns);
		sql_bind_u64(stmt, 8, row->last.total_errs);
		sql_bind_text(stmt, 9, row->state);
		sql_bind_u64(stmt, 10, row->updated_ms);
		sql_bind_u64(stmt, 11, row->epoch.number);
		sql_bind_u64(stmt, 12, row->epoch.last);
		sql_bind_u64(stmt, 13, row->epoch.is_starting);
		code = sql_run(stmt);
	}
	return code;
}

/* clang-format off: it does not know what to do with strings made of macros */
static const char upsert_service[] =
	"INSERT INTO services VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?) "
	"ON CONFLICT(node,kind,service)DO UPDATE SET " SATURATE(
		"input_bytes") "," SATURATE("output_bytes") ","
							    "total_conns=excluded.total_"
							    "conns,current_conns="
							    "excluded.current_conns,"
							    "total_errs=excluded.total_"
							    "errs,state=excluded.state,"
							    "updated_at=excluded.updated_"
							    "at,epoch=excluded.epoch,"
							    "last_epoch=excluded.last_"
							    "epoch,is_starting=excluded."
							    "is_starting";
/* clang-format on */

const struct table *services_table(void)
{
	static const struct table table = {"SELECT * FROM services", load_service,
		{upsert_service}, write_services, "services", "nknbbbbbumsss"};

	return &table;
}

static int load_series(struct ledger *ledger, sqlite3_stmt *row)
{
	struct mark mark = {
		sql_u64(row, 4), sql_u64(row, 5), sql_u64(row, 6), sql_u64(row, 7)};

	return ledger_load_series(ledger, sql_text(row, 0), sql_kind(row, 1),
		sql_text(row, 2), sql_text(row, 3), &mark);
}

/* Behind the marks of this cut, some of which may be void already. */
static int drop_void(sqlite3_stmt *stmt, const struct cut *cut)
{
	int code = SQLITE_OK;

	for (size_t i = 0; i < cut->n_services && code == SQLITE_OK; i++) {
		const struct cut_service *row = &cut->services[i];

		if (!row->drops_void)
			continue;
		sql_bind_service(stmt, row->service);
		sql_bind_u64(stmt, 4, row->epoch.number);
		code = sql_run(stmt);
	}
	return code;
}

static int write_series(struct store *store, sqlite3_stmt **stmts, const struct cut *cut)
{
	size_t n;
	struct order_row *rows = order_series(cut, &n);
	int code = rows != NULL ? SQLITE_OK : SQLITE_NOMEM;

	(void)store;
	for (size_t i = 0; i < n && code == SQLITE_OK; i++) {
		const struct cut_series *row = rows[i].row;
		sqlite3_stmt *stmt = stmts[0];

		sql_bind_service(stmt, row->series->service);
		sql_bind_text(stmt, 4, row->series->client);
		sql_bind_u64(stmt, 5, row->mark.input_bytes);
		sql_bind_u64(stmt, 6, row->mark.output_bytes);
		sql_bind_u64(stmt, 7, row->mark.total_conns);
		sql_bind_u64(stmt, 8, row->mark.epoch);
		code = sql_run(stmt);
	}
	free(rows);
	return code == SQLITE_OK ? drop_void(stmts[1], cut) : code;
}

const struct table *series_table(void)
{
	static const struct table table = {"SELECT * FROM series", load_series,
		{"INSERT INTO series VALUES(?,?,?,?,?,?,?,?) "
		 "ON CONFLICT(node,kind,service,client)DO UPDATE SET "
		 "input_bytes=excluded.input_bytes,output_bytes=excluded.output_bytes,"
		 "total_conns=excluded.total_conns,epoch=excluded.epoch",
			"DELETE FROM series WHERE node=? AND kind=? AND service=? AND "
			"epoch<?"},
		write_series, "series", "nknncccs"};

	return &table;
}

static int load_open_report(struct ledger *ledger, sqlite3_stmt *row)
{
	struct origin origin = {.time_ms = sql_u64(row, 4),
		.seq = sql_u64(row, 5),
		.conn = sql_u64(row, 6)};

	memcpy(origin.fingerprint, sqlite3_column_blob(row, 3), FINGERPRINT_BYTES);
	return ledger_load_open_report(
		ledger, sql_text(row, 0), sql_kind(row, 1), sql_text(row, 2), &origin);
}

/* Of each stream that has changed: all rows go, and those that are open come. */
static int write_open_reports(
	struct store *store, sqlite3_stmt **stmts, const struct cut *cut)
{
	int code = SQLITE_OK;

	(void)store;
	for (size_t i = 0; i < cut->n_streams && code == SQLITE_OK; i++) {
		sql_bind_service(stmts[0], cut->streams[i]->service);
		code = sql_run(stmts[0]);
	}
	for (size_t i = 0; i < cut->n_open_reports && code == SQLITE_OK; i++) {
		const struct cut_open_report *row = &cut->open_reports[i];
		sqlite3_stmt *stmt = stmts[1];

		sql_bind_service(stmt, row->service);
		sql_bind_blob(stmt, 4, row->origin.fingerprint, FINGERPRINT_BYTES);
		sql_bind_u64(stmt, 5, row->origin.time_ms);
		sql_bind_u64(stmt, 6, row->origin.seq);
		sql_bind_u64(stmt, 7, row->origin.conn);
		code = sql_run(stmt);
	}
	return code;
}

const struct table *open_reports_table(void)
{
	static const struct table table = {
		"SELECT * FROM open_reports ORDER BY accepted_at,seq", load_open_report,
		{"DELETE FROM open_reports WHERE node=? AND kind=? AND service=?",
			"INSERT INTO open_reports VALUES(?,?,?,?,?,?,?)"},
		write_open_reports, "open_reports", "nkndmss"};

	return &table;
}
