/*
 * Opening: file, pragmas, migrations. Loading: one pass over each table. Committing:
 * BEGIN IMMEDIATE, look at applied_seq, the rows of each table, applied_seq, COMMIT.
 *
 * What can fail before COMMIT leaves nothing behind: it is rolled back, unless SQLite has
 * done that already (sqlite3_get_autocommit() tells). A COMMIT that fails is taken as
 * unknown: only applied_seq, read by the next try, says what is in the file; or, for a
 * cut of adopted totals, which has no record of its own, the link.
 */
#include "base/owner.h"
#include "store/internal.h"
#include "store/schema.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Every table, in the order in which they are loaded and written. applied_seq is read
 * before the journal is folded, and written last, by store_commit(). */
static const struct table *(*const tables[])(void) = {
	users_table,
	services_table,
	series_table,
	open_reports_table,
	rejects_table,
	applied_seq_table,
	link_table,
	nodes_table,
	open_table,
	audit_table,
	commands_table,
};

#define N_TABLES (sizeof(tables) / sizeof(tables[0]))
_Static_assert(N_TABLES <= STORE_MAX_TABLES, "struct store has room for them");

static int fail(
	struct store *store, int sqlite_code, const char *what, struct errmsg *msg)
{
	/* sqlite3_errmsg() knows nothing of memory that we asked for ourselves. */
	return err_set(msg, store_error_of(sqlite_code), "%s: %s", what,
		sqlite_code == SQLITE_NOMEM ? err_text(ERR_NOMEM)
					    : sqlite3_errmsg(store->db));
}

static int prepare_table(
	struct store *store, const struct table *table, sqlite3_stmt **stmts)
{
	int code = SQLITE_OK;

	for (size_t i = 0; i < TABLE_MAX_STATEMENTS && code == SQLITE_OK; i++)
		if (table->sql[i] != NULL)
			code = sql_prepare(store, table->sql[i], &stmts[i]);
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
		{READ_LINK_SQL, &store->read_link},
	};
	int code = SQLITE_OK;

	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
		if (code == SQLITE_OK)
			code = sql_prepare(store, statements[i].sql, statements[i].stmt);
	for (size_t i = 0; i < N_TABLES && code == SQLITE_OK; i++)
		code = prepare_table(store, tables[i](), store->stmts[i]);
	if (code == SQLITE_OK)
		code = users_prepare(store, store->batch_size, &store->users);
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
	int code = sql_prepare(
		store, "SELECT value FROM meta WHERE key='instance_id'", &stmt);

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

/* Which files are open, by their paths: SQLite's own descriptors are not ours. It has
 * read by now, so those beside are there. */
static int identify(struct store *store, struct errmsg *msg)
{
	struct stat st;

	if (stat(store->path, &st) != 0 || !wal_identify(store))
		return err_set(msg, ERR_STORE_IO, "cannot be found again: %m");
	store->file = (struct store_file){st.st_dev, st.st_ino};
	return 0;
}

static int refuse(
	int code, const char *path, const struct errmsg *why, struct errmsg *msg)
{
	const char *slash = strrchr(path, '/');
	char folder[OWNER_PATH_BYTES], denied[256];

	(void)snprintf(denied, sizeof(denied), "%s: %.150s", path, why->text);
	if (access(path, R_OK | W_OK) == 0 || errno != EACCES || slash == NULL)
		return err_set(msg, code, "%s: %s", path, why->text);
	(void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	return owner_explain(msg, code, folder, denied);
}

static int open_file(struct store *store, const char *path, int flags, struct errmsg *msg)
{
	int code = sqlite3_open_v2(path, &store->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | flags, NULL);

	if (code != SQLITE_OK)
		code = fail(store, code, "cannot be opened", msg);
	else
		code = set_pragmas(store, store->busy_timeout_ms, msg);
	if (code == 0)
		code = schema_migrate(store->db, msg);
	if (code == 0)
		code = prepare_all(store, msg);
	return code == 0 ? read_instance_id(store, msg) : code;
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
	store->busy_timeout_ms = config->busy_timeout_ms;
	code = open_file(
		store, config->path, config->must_exist ? 0 : SQLITE_OPEN_CREATE, &why);
	if (code == 0) {
		store->path = realpath(config->path, NULL);
		code = store->path != NULL
			? identify(store, &why)
			: err_set(&why, ERR_STORE_IO, "cannot be found again: %m");
	}
	if (code != 0) {
		store_close(store);
		return refuse(code, config->path, &why, ret_msg);
	}
	*ret_store = store;
	return 0;
}

/* All that open_file() has made. */
static void close_file(struct store *store)
{
	sqlite3_stmt **const own[] = {&store->begin, &store->commit, &store->rollback,
		&store->read_applied, &store->write_applied, &store->read_link,
		&store->users};

	/* Finalizing repeats the last step's error, which was looked at then. */
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		(void)sqlite3_finalize(*own[i]);
		*own[i] = NULL;
	}
	for (size_t i = 0; i < N_TABLES; i++)
		for (size_t j = 0; j < TABLE_MAX_STATEMENTS; j++)
			(void)sqlite3_finalize(store->stmts[i][j]);
	memset(store->stmts, 0, sizeof(store->stmts));
	(void)sqlite3_close(store->db); /* nothing is open on it */
	store->db = NULL;
}

/* The last one to close moves what is in the log by its own index of it: not if that is
 * another's by now, or the log is. */
static void leave_log(struct store *store)
{
	(void)sqlite3_db_config(
		store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL); /* cannot fail */
}

void store_close(struct store *store)
{
	enum wal_state state;

	if (store == NULL)
		return;
	if (store->db != NULL && store->path != NULL) {
		state = wal_look(store);
		if (state == WAL_TAKEN || state == WAL_CUT)
			leave_log(store);
	}
	close_file(store);
	free(store->path);
	free(store);
}

/* SQLite goes on with files of its own that others open, too. */
static int open_again(struct store *store, struct errmsg *msg)
{
	struct errmsg why = {""};
	int code;

	if (store->db != NULL)
		leave_log(store);
	close_file(store);
	wal_set_aside(store);
	code = open_file(store, store->path, 0, &why);
	if (code == 0)
		code = identify(store, &why);
	if (code == 0)
		return 0;
	close_file(store);
	return err_set(msg, code, "cannot be opened again: %.400s", why.text);
}

const char *store_instance_id(const struct store *store)
{
	return store->instance_id;
}

static int load_table(struct store *store, struct ledger *ledger,
	const struct table *table, struct errmsg *msg)
{
	sqlite3_stmt *stmt = NULL;
	int sqlite_code = sql_prepare(store, table->select, &stmt);
	int code = 0;

	while (code == 0 && sqlite_code != SQLITE_DONE) {
		if (sqlite_code == SQLITE_OK || sqlite_code == SQLITE_ROW)
			sqlite_code = sqlite3_step(stmt);
		if (sqlite_code == SQLITE_ROW)
			code = row_check(table, stmt, msg);
		if (code != 0)
			break;
		if (sqlite_code == SQLITE_ROW && table->load != NULL &&
			(table->load(ledger, stmt) != 0 || ledger_is_overloaded(ledger)))
			code = fail(store, SQLITE_NOMEM, "cannot be loaded", msg);
		else if (sqlite_code != SQLITE_ROW && sqlite_code != SQLITE_DONE)
			code = fail(store, sqlite_code, "cannot be read", msg);
	}
	(void)sqlite3_finalize(stmt); /* its code is the step's */
	return code;
}

static bool is_large(size_t i)
{
	return tables[i] == users_table || tables[i] == series_table;
}

static int load_tables(
	struct store *store, struct ledger *ledger, bool is_lean, struct errmsg *msg)
{
	int code = 0;

	for (size_t i = 0; i < N_TABLES && code == 0; i++)
		if (tables[i]()->select != NULL && !(is_lean && is_large(i)))
			code = load_table(store, ledger, tables[i](), msg);
	return code;
}

static int expect_users(struct store *store, struct ledger *ledger, struct errmsg *msg)
{
	sqlite3_stmt *stmt = NULL;
	int code = sql_prepare(store, "SELECT count(*) FROM users", &stmt);

	if (code == SQLITE_OK)
		code = sqlite3_step(stmt);
	if (code == SQLITE_ROW)
		ledger_expect_users(ledger, sql_u64(stmt, 0));
	(void)sqlite3_finalize(stmt); /* its code is the step's */
	return code == SQLITE_ROW ? 0 : fail(store, code, "cannot be read", msg);
}

int store_load(struct store *store, struct ledger *ledger, struct errmsg *ret_msg)
{
	int code = expect_users(store, ledger, ret_msg);

	return code == 0 ? load_tables(store, ledger, false, ret_msg) : code;
}

int store_load_lean(struct store *store, struct ledger *ledger, struct errmsg *ret_msg)
{
	return load_tables(store, ledger, true, ret_msg);
}

static int write_applied(struct store *store, const struct cut *cut)
{
	char value[24];

	(void)snprintf(value, sizeof(value), "%" PRIu64, cut->seq);
	sql_bind_text(store->write_applied, 1, value);
	return sql_run(store->write_applied);
}

static int write_cut(struct store *store, const struct cut *cut)
{
	int code = SQLITE_OK;

	for (size_t i = 0; i < N_TABLES && code == SQLITE_OK; i++)
		if (tables[i]()->write != NULL)
			code = tables[i]()->write(store, store->stmts[i], cut);
	return code == SQLITE_OK ? write_applied(store, cut) : code;
}

static int read_applied(struct store *store, uint64_t *ret_seq)
{
	int code = sqlite3_step(store->read_applied);

	if (code == SQLITE_ROW)
		*ret_seq = sql_u64(store->read_applied, 0);
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
		code == SQLITE_ROW && strcmp(sql_text(store->read_link, 0), text) == 0;
	(void)sqlite3_reset(store->read_link); /* its code is the step's */
	return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static void roll_back(struct store *store)
{
	if (!sqlite3_get_autocommit(store->db))
		(void)sql_run(store->rollback); /* if it fails, begin() does it again */
}

/* Also behind a ROLLBACK that failed: SQLite begins nothing inside a transaction. */
static int begin(struct store *store)
{
	roll_back(store);
	return sql_run(store->begin);
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

static int deny(const struct store *store, struct errmsg *msg)
{
	char folder[OWNER_PATH_BYTES];

	(void)snprintf(folder, sizeof(folder), "%.*s",
		(int)(strrchr(store->path, '/') - store->path), store->path);
	return owner_explain(
		msg, ERR_STORE_DENIED, folder, "the database file cannot be reached");
}

bool store_is_same(const struct stat *there, const struct store_file *file)
{
	return there->st_dev == file->device && there->st_ino == file->inode;
}

/* What is committed to a file without a name would be gone with this process. */
int store_find_file(const struct store *store, struct errmsg *ret_msg)
{
	struct stat there;

	if (stat(store->path, &there) == 0) {
		if (store_is_same(&there, &store->file))
			return there.st_size > 0 ? 0
						 : err_set(ret_msg, ERR_STORE_GONE,
							   "%s was emptied", store->path);
		return err_set(
			ret_msg, ERR_STORE_GONE, "%s is another file", store->path);
	}
	if (errno == EACCES)
		return deny(store, ret_msg);
	if (errno != ENOENT && errno != ENOTDIR)
		return 0; /* it is not known: the commit itself will tell */
	return err_set(ret_msg, ERR_STORE_GONE, "%s was moved or deleted while in use",
		store->path);
}

/* Before a transaction: whether what it would be written into is all there. */
static int make_ready(struct store *store, struct store_result *result)
{
	enum wal_state state = store->db != NULL ? wal_look(store) : WAL_TAKEN;

	if (state == WAL_NEEDED && wal_move(store))
		state = WAL_TAKEN;
	if (state == WAL_TAKEN) {
		result->is_opened_again = true;
		return open_again(store, &result->error);
	}
	if (state == WAL_NEEDED)
		return err_set(&result->error, ERR_STORE_BUSY,
			"%s-wal was moved or deleted, and what is in it cannot be moved "
			"into the database while another program reads that",
			store->path);
	return state == WAL_WHOLE
		? 0
		: err_set(&result->error, ERR_STORE_CUT, "%s-wal or %s-shm was cut",
			  store->path, store->path);
}

static int commit_cut(
	struct store *store, const struct cut *cut, struct store_result *result)
{
	bool is_done = false;
	int sqlite_code = begin(store);
	int code = sqlite_code == SQLITE_OK
		? guard(store, cut, &is_done, &result->error)
		: fail(store, sqlite_code, "BEGIN", &result->error);

	if (code == 0 && !is_done) {
		sqlite_code = write_cut(store, cut);
		result->n_statements = store->n_user_statements;
		if (sqlite_code != SQLITE_OK)
			code = fail(store, sqlite_code, "writing", &result->error);
	}
	if (code == 0 && !is_done && sql_run(store->commit) != SQLITE_OK) {
		(void)fail(store, sqlite3_errcode(store->db), "COMMIT", &result->error);
		code = ERR_STORE_UNKNOWN;
	}
	roll_back(store);
	return code;
}

/*
 * COMMIT has written into the log. All of it goes into tally.db at once, and then it does
 * not matter what becomes of the log. If another program that reads is in the way, the
 * log has to be there; the next try of the cut finds it committed, and comes here again.
 */
static int settle(struct store *store, struct store_result *result)
{
	result->is_settled = wal_move(store);
	if (result->is_settled || wal_is_there(store))
		return 0;
	return err_set(&result->error, ERR_STORE_UNKNOWN,
		"%s-wal was moved or deleted, and its content is not in the database yet",
		store->path);
}

int store_commit(
	struct store *store, const struct cut *cut, struct store_result *ret_result)
{
	struct store_result result = {0};
	int code = store_find_file(store, &result.error);

	store->n_user_statements = 0;
	if (code == 0)
		code = make_ready(store, &result);
	if (code == 0)
		code = commit_cut(store, cut, &result);
	if (code == 0)
		code = settle(store, &result);
	*ret_result = result;
	return code;
}

const char *store_advice(int code)
{
	switch (code) {
	case ERR_STORE_BUSY:
		return "end the transaction of the program that holds tally.db";
	case ERR_STORE_FULL:
		return "make room on the disk of data_dir";
	case ERR_STORE_READONLY:
		return "let the user of tallyd write tally.db and its folder";
	case ERR_STORE_DENIED:
		return "give data_dir and all in it back to the user of tallyd "
		       "(chown -R), and do not stop tallyd before that";
	case ERR_STORE_CUT:
		return "start tallyd again, once no other program has tally.db open";
	case ERR_STORE_CORRUPT:
		return "stop tallyd and put a backup in its place; README, \"Backup\"";
	case ERR_STORE_GONE:
		return "put that very file back; if it is deleted, do not stop tallyd: "
		       "README, \"A deleted database\"";
	case ERR_NOMEM:
		return "give tallyd more memory";
	default:
		return "look at the disk of data_dir";
	}
}

bool store_needs_help(int code)
{
	return code == ERR_STORE_IO || code == ERR_STORE_GONE ||
		code == ERR_STORE_DENIED || code == ERR_STORE_READONLY ||
		code == ERR_STORE_CORRUPT;
}
