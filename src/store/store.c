/*
 * Opening: file, pragmas, migrations. Loading: one pass over each table. Committing:
 * BEGIN IMMEDIATE, look at applied_seq, users in batches, services, series, open reports,
 * rejects, the link, applied_seq, COMMIT.
 *
 * What can fail before COMMIT leaves nothing behind: it is rolled back, unless SQLite has
 * done that already (sqlite3_get_autocommit() tells). A COMMIT that fails is taken as
 * unknown: only applied_seq, read by the next try, says what is in the file; or, for a
 * cut of adopted totals, which has no record of its own, the link.
 */
#include "store/store.h"
#include "store/schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USER_COLUMNS 6

struct store {
	sqlite3 *db;
	unsigned batch_size;
	sqlite3_stmt *begin, *commit, *rollback;
	sqlite3_stmt *read_applied, *write_applied;
	sqlite3_stmt *users; /* batch_size rows */
	sqlite3_stmt *service, *series, *clear_stream, *open_report;
	sqlite3_stmt *reject, *trim_rejects;
	sqlite3_stmt *read_link, *write_link;
	char instance_id[INSTANCE_ID_BYTES];
};

/* a + b, or the largest integer: an overflow would silently become REAL. */
#define SATURATE(column)                                                                 \
	column "=CASE WHEN " column ">9223372036854775807-excluded." column              \
	       " THEN 9223372036854775807 ELSE " column "+excluded." column " END"

static const char users_head[] =
	"INSERT INTO "
	"users(id,used_traffic,input_bytes,output_bytes,created_at,last_seen_at)VALUES";
static const char users_tail[] =
	" ON CONFLICT(id)DO UPDATE SET " SATURATE("used_traffic") "," SATURATE(
		"input_bytes") "," SATURATE("output_bytes") ",last_seen_at=excluded.last_"
							    "seen_at";

static const char service_sql[] =
	"INSERT INTO services VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?) ON "
	"CONFLICT(node,kind,service)"
	"DO UPDATE SET " SATURATE("input_bytes") "," SATURATE(
		"output_bytes") ",total_conns=excluded.total_conns,"
				"current_conns=excluded.current_conns,total_errs="
				"excluded.total_errs,"
				"state=excluded.state,updated_at=excluded.updated_at,"
				"epoch=excluded.epoch,last_epoch=excluded.last_epoch,"
				"is_starting=excluded.is_starting";

static const char series_sql[] =
	"INSERT INTO series VALUES(?,?,?,?,?,?,?,?) "
	"ON CONFLICT(node,kind,service,client)DO UPDATE SET "
	"input_bytes=excluded.input_bytes,output_bytes=excluded.output_bytes,"
	"total_conns=excluded.total_conns,epoch=excluded.epoch";

static const char read_link_sql[] = "SELECT value FROM meta WHERE key='redis_link'";

static int fail(
	struct store *store, int sqlite_code, const char *what, struct errmsg *msg)
{
	/* sqlite3_errmsg() knows nothing of memory that we asked for ourselves. */
	return err_set(msg, store_error_of(sqlite_code), "%s: %s", what,
		sqlite_code == SQLITE_NOMEM ? err_text(ERR_NOMEM)
					    : sqlite3_errmsg(store->db));
}

static int prepare(struct store *store, const char *sql, sqlite3_stmt **ret_stmt)
{
	return sqlite3_prepare_v3(
		store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_stmt, NULL);
}

static int prepare_users(struct store *store, size_t rows, sqlite3_stmt **ret_stmt)
{
	static const char row[] = ",(?,?,?,?,?,?)";
	size_t size = sizeof(users_head) + sizeof(users_tail) + rows * sizeof(row);
	char *sql = malloc(size), *at = sql;
	int code;

	if (sql == NULL)
		return SQLITE_NOMEM;
	at = stpcpy(at, users_head);
	for (size_t i = 0; i < rows; i++)
		at = stpcpy(at, i == 0 ? row + 1 : row);
	(void)stpcpy(at, users_tail);
	code = prepare(store, sql, ret_stmt);
	free(sql);
	return code;
}

static int prepare_all(struct store *store, struct errmsg *msg)
{
	const struct {
		const char *sql;
		sqlite3_stmt **stmt;
	} statements[] = {
		{"BEGIN IMMEDIATE", &store->begin},
		{"COMMIT", &store->commit},
		{"ROLLBACK", &store->rollback},
		{"SELECT CAST(value AS INTEGER) FROM meta WHERE key='applied_seq'",
			&store->read_applied},
		{"UPDATE meta SET value=?1 WHERE key='applied_seq'",
			&store->write_applied},
		{read_link_sql, &store->read_link},
		{"INSERT INTO meta VALUES('redis_link',?1) ON CONFLICT(key)DO UPDATE SET "
		 "value=excluded.value",
			&store->write_link},
		{service_sql, &store->service},
		{series_sql, &store->series},
		{"DELETE FROM open_reports WHERE node=? AND kind=? AND service=?",
			&store->clear_stream},
		{"INSERT INTO open_reports VALUES(?,?,?,?,?,?,?)", &store->open_report},
		{"INSERT INTO rejects(at,node,reason,event)VALUES(?,?,?,?)",
			&store->reject},
		{"DELETE FROM rejects WHERE id<=(SELECT max(id) FROM rejects)-?1",
			&store->trim_rejects},
	};
	int code = SQLITE_OK;

	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
		if (code == SQLITE_OK)
			code = prepare(store, statements[i].sql, statements[i].stmt);
	if (code == SQLITE_OK)
		code = prepare_users(store, store->batch_size, &store->users);
	return code == SQLITE_OK ? 0 : fail(store, code, "has other tables", msg);
}

/* WAL lets others read while we write; a read-only file shows itself here or never. */
static int set_pragmas(struct store *store, unsigned busy_timeout_ms, struct errmsg *msg)
{
	int code = sqlite3_busy_timeout(store->db, (int)busy_timeout_ms);

	if (code == SQLITE_OK)
		code = sqlite3_exec(store->db,
			"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
			"PRAGMA journal_size_limit=67108864",
			NULL, NULL, NULL);
	if (code != SQLITE_OK)
		return fail(store, code, "cannot be prepared", msg);
	if (sqlite3_db_readonly(store->db, "main") == 1)
		return err_set(msg, ERR_STORE_READONLY, "the file is read-only");
	return 0;
}

static int read_instance_id(struct store *store, struct errmsg *msg)
{
	sqlite3_stmt *stmt = NULL;
	int code =
		prepare(store, "SELECT value FROM meta WHERE key='instance_id'", &stmt);

	if (code == SQLITE_OK)
		code = sqlite3_step(stmt);
	if (code == SQLITE_ROW)
		(void)snprintf(store->instance_id, sizeof(store->instance_id), "%s",
			(const char *)sqlite3_column_text(stmt, 0));
	(void)sqlite3_finalize(stmt); /* its code is the step's */
	if (code == SQLITE_DONE)
		return err_set(msg, ERR_STORE_CORRUPT, "meta has no instance_id");
	return code == SQLITE_ROW ? 0 : fail(store, code, "meta cannot be read", msg);
}

int store_open(const struct store_config *config, struct store **ret_store,
	struct errmsg *ret_msg)
{
	struct store *store = calloc(1, sizeof(*store));
	struct errmsg why = {""};
	int code;

	if (store == NULL)
		return err_set(ret_msg, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	store->batch_size = config->batch_size;
	code = sqlite3_open_v2(config->path, &store->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
			(config->must_exist ? 0 : SQLITE_OPEN_CREATE),
		NULL);
	if (code != SQLITE_OK)
		code = fail(store, code, "cannot be opened", &why);
	else
		code = set_pragmas(store, config->busy_timeout_ms, &why);
	if (code == 0)
		code = schema_migrate(store->db, &why);
	if (code == 0)
		code = prepare_all(store, &why);
	if (code == 0)
		code = read_instance_id(store, &why);
	if (code != 0) {
		store_close(store);
		return err_set(ret_msg, code, "%s: %s", config->path, why.text);
	}
	*ret_store = store;
	return 0;
}

void store_close(struct store *store)
{
	if (store == NULL)
		return;
	/* Finalizing repeats the last step's error, which was looked at then. */
	(void)sqlite3_finalize(store->begin);
	(void)sqlite3_finalize(store->commit);
	(void)sqlite3_finalize(store->rollback);
	(void)sqlite3_finalize(store->read_applied);
	(void)sqlite3_finalize(store->write_applied);
	(void)sqlite3_finalize(store->users);
	(void)sqlite3_finalize(store->service);
	(void)sqlite3_finalize(store->series);
	(void)sqlite3_finalize(store->clear_stream);
	(void)sqlite3_finalize(store->open_report);
	(void)sqlite3_finalize(store->reject);
	(void)sqlite3_finalize(store->trim_rejects);
	(void)sqlite3_finalize(store->read_link);
	(void)sqlite3_finalize(store->write_link);
	(void)sqlite3_close(store->db); /* nothing is open on it */
	free(store);
}

const char *store_instance_id(const struct store *store)
{
	return store->instance_id;
}

static uint64_t column_u64(sqlite3_stmt *stmt, int column)
{
	sqlite3_int64 value = sqlite3_column_int64(stmt, column);

	return value < 0 ? 0 : (uint64_t)value;
}

static const char *column_text(sqlite3_stmt *stmt, int column)
{
	const unsigned char *text = sqlite3_column_text(stmt, column);

	return text != NULL ? (const char *)text : "";
}

static int load_user(struct ledger *ledger, sqlite3_stmt *row)
{
	struct totals total = {
		column_u64(row, 1), column_u64(row, 2), column_u64(row, 3)};

	return ledger_load_user(ledger, column_text(row, 0), total, column_u64(row, 4),
		column_u64(row, 5));
}

static enum event_kind column_kind(sqlite3_stmt *stmt, int column)
{
	return strcmp(column_text(stmt, column), "service") == 0 ? KIND_SERVICE
								 : KIND_HANDLER;
}

static int load_service(struct ledger *ledger, sqlite3_stmt *row)
{
	struct counters last = {.input_bytes = column_u64(row, 3),
		.output_bytes = column_u64(row, 4),
		.total_conns = column_u64(row, 5),
		.current_conns = column_u64(row, 6),
		.total_errs = column_u64(row, 7)};
	struct epoch epoch = {
		column_u64(row, 10), column_u64(row, 11), column_u64(row, 12) != 0};

	return ledger_load_service(ledger, column_text(row, 0), column_kind(row, 1),
		column_text(row, 2), &last, column_text(row, 8), &epoch);
}

static int load_series(struct ledger *ledger, sqlite3_stmt *row)
{
	struct mark mark = {column_u64(row, 4), column_u64(row, 5), column_u64(row, 6),
		column_u64(row, 7)};

	return ledger_load_series(ledger, column_text(row, 0), column_kind(row, 1),
		column_text(row, 2), column_text(row, 3), &mark);
}

/* A row with a fingerprint of another width is none of ours. */
static int load_open_report(struct ledger *ledger, sqlite3_stmt *row)
{
	struct origin origin = {.time_ms = column_u64(row, 4),
		.seq = column_u64(row, 5),
		.conn = column_u64(row, 6)};

	if (sqlite3_column_bytes(row, 3) != FINGERPRINT_BYTES)
		return 0;
	memcpy(origin.fingerprint, sqlite3_column_blob(row, 3), FINGERPRINT_BYTES);
	return ledger_load_open_report(ledger, column_text(row, 0), column_kind(row, 1),
		column_text(row, 2), &origin);
}

static int load_applied(struct ledger *ledger, sqlite3_stmt *row)
{
	ledger_set_applied_seq(ledger, column_u64(row, 0));
	return 0;
}

/* The value is `at_ms` or `at_ms claim`. */
#define LINK_TEXT_BYTES (24 + CLAIM_BYTES)

static void link_text(const struct link_record *link, char ret_text[LINK_TEXT_BYTES])
{
	(void)snprintf(ret_text, LINK_TEXT_BYTES, "%" PRIu64 "%s%s", link->at_ms,
		link->claim[0] != '\0' ? " " : "", link->claim);
}

static int load_link(struct ledger *ledger, sqlite3_stmt *row)
{
	struct link_record link = {0};
	char *claim;

	link.at_ms = strtoull(column_text(row, 0), &claim, 10);
	if (*claim == ' ')
		(void)snprintf(link.claim, sizeof(link.claim), "%s", claim + 1);
	ledger_load_link(ledger, &link);
	return 0;
}

static int load_rows(struct store *store, struct ledger *ledger, const char *sql,
	int (*load)(struct ledger *ledger, sqlite3_stmt *row), struct errmsg *msg)
{
	sqlite3_stmt *stmt = NULL;
	int sqlite_code = prepare(store, sql, &stmt);
	int code = 0;

	while (code == 0 && sqlite_code != SQLITE_DONE) {
		if (sqlite_code == SQLITE_OK || sqlite_code == SQLITE_ROW)
			sqlite_code = sqlite3_step(stmt);
		if (sqlite_code == SQLITE_ROW && load(ledger, stmt) != 0)
			code = fail(store, SQLITE_NOMEM, "cannot be loaded", msg);
		else if (sqlite_code != SQLITE_ROW && sqlite_code != SQLITE_DONE)
			code = fail(store, sqlite_code, "cannot be read", msg);
	}
	(void)sqlite3_finalize(stmt); /* its code is the step's */
	return code;
}

int store_load(struct store *store, struct ledger *ledger, struct errmsg *ret_msg)
{
	int code = load_rows(store, ledger,
		"SELECT id,used_traffic,input_bytes,output_bytes,created_at,last_seen_at "
		"FROM users",
		load_user, ret_msg);

	if (code == 0)
		code = load_rows(
			store, ledger, "SELECT * FROM services", load_service, ret_msg);
	if (code == 0)
		code = load_rows(
			store, ledger, "SELECT * FROM series", load_series, ret_msg);
	if (code == 0)
		code = load_rows(store, ledger,
			"SELECT * FROM open_reports ORDER BY accepted_at,seq",
			load_open_report, ret_msg);
	if (code == 0)
		code = load_rows(store, ledger,
			"SELECT CAST(value AS INTEGER) FROM meta WHERE key='applied_seq'",
			load_applied, ret_msg);
	if (code == 0)
		code = load_rows(store, ledger, read_link_sql, load_link, ret_msg);
	return code;
}

/* Runs a statement that gives no rows, and makes it ready for the next time. */
static int run(sqlite3_stmt *stmt)
{
	int code = sqlite3_step(stmt);

	(void)sqlite3_reset(stmt); /* its code is the step's */
	return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

/* Binding fails only for a wrong index or for memory, which the step then reports as
 * well. */
static void bind_text(sqlite3_stmt *stmt, int index, const char *text)
{
	(void)sqlite3_bind_text(stmt, index, text, -1, SQLITE_STATIC);
}

static void bind_u64(sqlite3_stmt *stmt, int index, uint64_t value)
{
	(void)sqlite3_bind_int64(stmt, index, (sqlite3_int64)value);
}

static void bind_users(sqlite3_stmt *stmt, const struct cut_user *users, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int index = (int)i * USER_COLUMNS;

		bind_text(stmt, index + 1, users[i].user->id);
		bind_u64(stmt, index + 2, users[i].increment.used);
		bind_u64(stmt, index + 3, users[i].increment.input);
		bind_u64(stmt, index + 4, users[i].increment.output);
		bind_u64(stmt, index + 5, users[i].created_ms);
		bind_u64(stmt, index + 6, users[i].last_seen_ms);
	}
}

static int write_users(struct store *store, const struct cut *cut, unsigned *n_statements)
{
	size_t done = 0, rest = cut->n_users % store->batch_size;
	sqlite3_stmt *last = NULL;
	int code = SQLITE_OK;

	for (; done + store->batch_size <= cut->n_users && code == SQLITE_OK;
		done += store->batch_size, ++*n_statements) {
		bind_users(store->users, cut->users + done, store->batch_size);
		code = run(store->users);
	}
	if (code != SQLITE_OK || rest == 0)
		return code;
	code = prepare_users(store, rest, &last);
	if (code != SQLITE_OK)
		return code;
	bind_users(last, cut->users + done, rest);
	code = run(last);
	(void)sqlite3_finalize(last); /* its code is the step's */
	++*n_statements;
	return code;
}

/* The columns that name a service: everywhere the first three. */
static void bind_service(sqlite3_stmt *stmt, const struct service *service)
{
	bind_text(stmt, 1, service->node);
	bind_text(stmt, 2, service->kind == KIND_SERVICE ? "service" : "handler");
	bind_text(stmt, 3, service->name);
}

static int write_services(struct store *store, const struct cut *cut)
{
	int code = SQLITE_OK;

	for (size_t i = 0; i < cut->n_services && code == SQLITE_OK; i++) {
		const struct cut_service *row = &cut->services[i];
		sqlite3_stmt *stmt = store->service;

		bind_service(stmt, row->service);
		bind_u64(stmt, 4, row->increment.input);
		bind_u64(stmt, 5, row->increment.output);
		bind_u64(stmt, 6, row->last.total_conns);
		bind_u64(stmt, 7, row->last.current_conns);
		bind_u64(stmt, 8, row->last.total_errs);
		bind_text(stmt, 9, row->state);
		bind_u64(stmt, 10, row->updated_ms);
		bind_u64(stmt, 11, row->epoch.number);
		bind_u64(stmt, 12, row->epoch.last);
		bind_u64(stmt, 13, row->epoch.is_starting);
		code = run(stmt);
	}
	return code;
}

static int write_series(struct store *store, const struct cut *cut)
{
	int code = SQLITE_OK;

	for (size_t i = 0; i < cut->n_series && code == SQLITE_OK; i++) {
		const struct cut_series *row = &cut->series[i];

		bind_service(store->series, row->series->service);
		bind_text(store->series, 4, row->series->client);
		bind_u64(store->series, 5, row->mark.input_bytes);
		bind_u64(store->series, 6, row->mark.output_bytes);
		bind_u64(store->series, 7, row->mark.total_conns);
		bind_u64(store->series, 8, row->mark.epoch);
		code = run(store->series);
	}
	return code;
}

static int write_open_reports(struct store *store, const struct cut *cut)
{
	sqlite3_stmt *stmt = store->open_report;
	int code = SQLITE_OK;

	for (size_t i = 0; i < cut->n_streams && code == SQLITE_OK; i++) {
		bind_service(store->clear_stream, cut->streams[i]->service);
		code = run(store->clear_stream);
	}
	for (size_t i = 0; i < cut->n_open_reports && code == SQLITE_OK; i++) {
		const struct cut_open_report *row = &cut->open_reports[i];

		bind_service(stmt, row->service);
		/* Likewise: a failure shows in the step. */
		(void)sqlite3_bind_blob(stmt, 4, row->origin.fingerprint,
			FINGERPRINT_BYTES, SQLITE_STATIC);
		bind_u64(stmt, 5, row->origin.time_ms);
		bind_u64(stmt, 6, row->origin.seq);
		bind_u64(stmt, 7, row->origin.conn);
		code = run(stmt);
	}
	return code;
}

static int write_rejects(struct store *store, const struct cut *cut)
{
	int code = SQLITE_OK;

	for (size_t i = 0; i < cut->n_rejects && code == SQLITE_OK; i++) {
		bind_u64(store->reject, 1, cut->rejects[i].at_ms);
		bind_text(store->reject, 2, cut->rejects[i].node);
		bind_text(store->reject, 3, cut->rejects[i].reason);
		bind_text(store->reject, 4, cut->rejects[i].event);
		code = run(store->reject);
	}
	if (code != SQLITE_OK || cut->n_rejects == 0)
		return code;
	bind_u64(store->trim_rejects, 1, LEDGER_MAX_REJECTS);
	return run(store->trim_rejects);
}

static int write_link(struct store *store, const struct cut *cut)
{
	char text[LINK_TEXT_BYTES];

	if (!cut->has_link)
		return SQLITE_OK;
	link_text(&cut->link, text);
	bind_text(store->write_link, 1, text);
	return run(store->write_link);
}

static int write_applied(struct store *store, const struct cut *cut)
{
	char value[24];

	(void)snprintf(value, sizeof(value), "%" PRIu64, cut->seq);
	bind_text(store->write_applied, 1, value);
	return run(store->write_applied);
}

static int write_cut(struct store *store, const struct cut *cut, unsigned *n_statements)
{
	int code = write_users(store, cut, n_statements);

	if (code == SQLITE_OK)
		code = write_services(store, cut);
	if (code == SQLITE_OK)
		code = write_series(store, cut);
	if (code == SQLITE_OK)
		code = write_open_reports(store, cut);
	if (code == SQLITE_OK)
		code = write_rejects(store, cut);
	if (code == SQLITE_OK)
		code = write_link(store, cut);
	return code == SQLITE_OK ? write_applied(store, cut) : code;
}

static int read_applied(struct store *store, uint64_t *ret_seq)
{
	int code = sqlite3_step(store->read_applied);

	if (code == SQLITE_ROW)
		*ret_seq = column_u64(store->read_applied, 0);
	(void)sqlite3_reset(store->read_applied); /* its code is the step's */
	return code == SQLITE_ROW     ? SQLITE_OK
		: code == SQLITE_DONE ? SQLITE_CORRUPT
				      : code;
}

/* Whether the file has the very link that this cut is to write. */
static int is_link_there(struct store *store, const struct cut *cut, bool *ret_is_there)
{
	char text[LINK_TEXT_BYTES];
	int code = sqlite3_step(store->read_link);

	link_text(&cut->link, text);
	*ret_is_there =
		code == SQLITE_ROW && strcmp(column_text(store->read_link, 0), text) == 0;
	(void)sqlite3_reset(store->read_link); /* its code is the step's */
	return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static void roll_back(struct store *store)
{
	if (!sqlite3_get_autocommit(store->db))
		(void)run(store->rollback); /* if it fails, begin() does it again */
}

/* Also behind a ROLLBACK that failed: SQLite begins nothing inside a transaction. */
static int begin(struct store *store)
{
	roll_back(store);
	return run(store->begin);
}

/* Inside the transaction. *ret_is_done: this cut was committed before, by a try of
 * unknown outcome. */
static int guard(
	struct store *store, const struct cut *cut, bool *ret_is_done, struct errmsg *msg)
{
	uint64_t applied = 0;
	int code = read_applied(store, &applied);

	if (code != SQLITE_OK)
		return fail(store, code, "applied_seq", msg);
	*ret_is_done = applied == cut->seq && cut->seq != cut->prev_seq;
	if (cut->has_link && cut->seq == cut->prev_seq && applied == cut->seq)
		code = is_link_there(store, cut, ret_is_done);
	if (code != SQLITE_OK)
		return fail(store, code, "redis_link", msg);
	if (!*ret_is_done && applied != cut->prev_seq)
		return err_set(msg, ERR_STORE_FOREIGN,
			"applied_seq is %" PRIu64 " where %" PRIu64
			" was expected: another program has written it",
			applied, cut->prev_seq);
	return 0;
}

/* *n_rows grows by the rows that were deleted. */
static int delete_of_node(
	struct store *store, const char *sql, const char *node, unsigned *n_rows)
{
	sqlite3_stmt *stmt = NULL;
	int code = prepare(store, sql, &stmt);

	if (code == SQLITE_OK) {
		bind_text(stmt, 1, node);
		code = run(stmt);
	}
	(void)sqlite3_finalize(stmt); /* its code is the step's */
	if (code == SQLITE_OK)
		*n_rows += (unsigned)sqlite3_changes(store->db);
	return code;
}

int store_forget_node(
	struct store *store, const char *node, unsigned *ret_rows, struct errmsg *ret_msg)
{
	unsigned n_rows = 0;
	int code = begin(store);

	if (code == SQLITE_OK)
		code = delete_of_node(
			store, "DELETE FROM series WHERE node=?", node, &n_rows);
	if (code == SQLITE_OK)
		code = delete_of_node(
			store, "DELETE FROM open_reports WHERE node=?", node, &n_rows);
	if (code == SQLITE_OK)
		code = run(store->commit);
	if (code != SQLITE_OK)
		code = fail(store, code, "the node cannot be forgotten", ret_msg);
	else
		*ret_rows = n_rows;
	roll_back(store);
	return code;
}

/* What is committed to a file without a name would be gone with this process. */
static bool has_moved(struct store *store)
{
	int has_moved = 0;

	return sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED,
		       &has_moved) == SQLITE_OK &&
		has_moved != 0;
}

int store_commit(
	struct store *store, const struct cut *cut, struct store_result *ret_result)
{
	struct store_result result = {0};
	bool is_done = false;
	int code;

	if (has_moved(store)) {
		code = err_set(&result.error, ERR_STORE_IO,
			"the database file was moved or deleted while in use");
		goto out;
	}
	code = begin(store);
	if (code != SQLITE_OK) {
		code = fail(store, code, "BEGIN", &result.error);
		goto out;
	}
	code = guard(store, cut, &is_done, &result.error);
	if (code == 0 && !is_done) {
		int sqlite_code = write_cut(store, cut, &result.n_statements);

		if (sqlite_code != SQLITE_OK)
			code = fail(store, sqlite_code, "writing", &result.error);
	}
	if (code == 0 && !is_done && run(store->commit) != SQLITE_OK) {
		(void)fail(store, sqlite3_errcode(store->db), "COMMIT", &result.error);
		code = ERR_STORE_UNKNOWN;
	}
out:
	roll_back(store);
	*ret_result = result;
	return code;
}
