#include "store/schema.h"

/*
 * Migration i brings user_version from i to i + 1. What was released is never edited,
 * only followed by another. The CHECKs keep an operator's typing error from becoming a
 * total.
 */
static const char *const migrations[] = {
	"CREATE TABLE users("
	"  id TEXT PRIMARY KEY,"
	"  used_traffic INTEGER NOT NULL DEFAULT 0 CHECK(used_traffic >= 0),"
	"  input_bytes INTEGER NOT NULL DEFAULT 0 CHECK(input_bytes >= 0),"
	"  output_bytes INTEGER NOT NULL DEFAULT 0 CHECK(output_bytes >= 0),"
	"  created_at INTEGER NOT NULL DEFAULT 0," /* ms since 1970, as all times here */
	"  last_seen_at INTEGER NOT NULL DEFAULT 0"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE services("
	"  node TEXT NOT NULL,"
	"  kind TEXT NOT NULL CHECK(kind IN ('handler', 'service')),"
	"  service TEXT NOT NULL,"
	"  input_bytes INTEGER NOT NULL CHECK(input_bytes >= 0),"
	"  output_bytes INTEGER NOT NULL CHECK(output_bytes >= 0),"
	"  total_conns INTEGER NOT NULL,"
	"  current_conns INTEGER NOT NULL,"
	"  total_errs INTEGER NOT NULL,"
	"  state TEXT NOT NULL,"
	"  updated_at INTEGER NOT NULL,"
	"  PRIMARY KEY(node, kind, service)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE rejects("
	"  id INTEGER PRIMARY KEY,"
	"  at INTEGER NOT NULL,"
	"  node TEXT NOT NULL,"
	"  reason TEXT NOT NULL,"
	"  event TEXT NOT NULL"
	") STRICT;"
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT "
	"ROWID;"
	"INSERT INTO meta VALUES('applied_seq', '0'),"
	"  ('instance_id', lower(hex(randomblob(16))));",
	/* see struct epoch in account/series.h */
	"ALTER TABLE services ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE services ADD COLUMN last_epoch INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE services ADD COLUMN is_starting INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE series("
	"  node TEXT NOT NULL,"
	"  kind TEXT NOT NULL CHECK(kind IN ('handler', 'service')),"
	"  service TEXT NOT NULL,"
	"  client TEXT NOT NULL,"
	"  input_bytes INTEGER NOT NULL," /* the last values seen */
	"  output_bytes INTEGER NOT NULL,"
	"  total_conns INTEGER NOT NULL,"
	"  epoch INTEGER NOT NULL," /* of the service, when they were seen */
	"  PRIMARY KEY(node, kind, service, client)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE open_reports("
	"  node TEXT NOT NULL,"
	"  kind TEXT NOT NULL CHECK(kind IN ('handler', 'service')),"
	"  service TEXT NOT NULL,"
	"  fingerprint BLOB NOT NULL,"
	"  accepted_at INTEGER NOT NULL," /* or repeated */
	"  seq INTEGER NOT NULL,"
	"  connection INTEGER NOT NULL,"
	"  PRIMARY KEY(node, kind, service, seq)"
	") STRICT, WITHOUT ROWID;",
	/* see account/nodes.h and account/command.h */
	"ALTER TABLE users ADD COLUMN life INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE nodes("
	"  name TEXT PRIMARY KEY,"
	"  enabled INTEGER NOT NULL,"
	"  counters TEXT CHECK(counters IN ('delta', 'cumulative')),"
	"  note TEXT,"
	"  secret_hash BLOB,"
	"  old_secret_hash BLOB,"
	"  old_secret_until INTEGER NOT NULL,"
	"  created_at INTEGER NOT NULL,"
	"  deleted_at INTEGER NOT NULL" /* 0: it is not */
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE audit("
	"  seq INTEGER PRIMARY KEY,"
	"  at INTEGER NOT NULL,"
	"  actor TEXT NOT NULL,"
	"  verb TEXT NOT NULL,"
	"  subject TEXT NOT NULL,"
	"  before TEXT," /* JSON, as is after */
	"  after TEXT,"
	"  reason TEXT,"
	"  command_id TEXT" /* its Idempotency-Key */
	") STRICT;"
	"CREATE TABLE commands("
	"  actor TEXT NOT NULL,"
	"  key TEXT NOT NULL,"
	"  digest BLOB NOT NULL,"
	"  status INTEGER NOT NULL,"
	"  answer TEXT NOT NULL,"
	"  at INTEGER NOT NULL,"
	"  seq INTEGER NOT NULL,"
	"  PRIMARY KEY(actor, key)"
	") STRICT, WITHOUT ROWID;",
};

#define N_MIGRATIONS ((int)(sizeof(migrations) / sizeof(migrations[0])))

int schema_version(void)
{
	return N_MIGRATIONS;
}

int store_error_of(int sqlite_code)
{
	switch (sqlite_code & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_STORE_BUSY;
	case SQLITE_FULL:
		return ERR_STORE_FULL;
	case SQLITE_READONLY:
		return ERR_STORE_READONLY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERR_STORE_CORRUPT;
	case SQLITE_NOMEM:
		return ERR_NOMEM;
	default:
		return ERR_STORE_IO;
	}
}

static int fail(sqlite3 *db, int sqlite_code, struct errmsg *ret_msg)
{
	return err_set(ret_msg, store_error_of(sqlite_code), "%s", sqlite3_errmsg(db));
}

static int read_version(sqlite3 *db, int *ret_version)
{
	sqlite3_stmt *stmt = NULL;
	int code = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(stmt);
	if (code == SQLITE_ROW)
		*ret_version = sqlite3_column_int(stmt, 0);
	(void)sqlite3_finalize(stmt); /* its code is the step's */
	return code == SQLITE_ROW ? SQLITE_OK : code;
}

/* So that a migration changes no tables of another program. */
static int check_ours(sqlite3 *db)
{
	sqlite3_stmt *stmt = NULL;
	int code = sqlite3_prepare_v2(
		db, "SELECT value FROM meta WHERE key='instance_id'", -1, &stmt, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(stmt);
	(void)sqlite3_finalize(stmt); /* its code is the step's */
	return code == SQLITE_ROW     ? SQLITE_OK
		: code == SQLITE_DONE ? SQLITE_CORRUPT
				      : code;
}

static int migrate_from(sqlite3 *db, int version)
{
	char pragma[64];
	int code = SQLITE_OK;

	for (; version < N_MIGRATIONS && code == SQLITE_OK; version++)
		code = sqlite3_exec(db, migrations[version], NULL, NULL, NULL);
	(void)sqlite3_snprintf(
		sizeof(pragma), pragma, "PRAGMA user_version=%d", N_MIGRATIONS);
	if (code == SQLITE_OK)
		code = sqlite3_exec(db, pragma, NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	return code;
}

int schema_migrate(sqlite3 *db, struct errmsg *ret_msg)
{
	int version = 0;
	int code = read_version(db, &version);

	if (code != SQLITE_OK)
		return fail(db, code, ret_msg);
	if (version < 0)
		return err_set(ret_msg, ERR_STORE_CORRUPT,
			"its user_version is %d, which no tallyd writes", version);
	if (version > N_MIGRATIONS)
		return err_set(ret_msg, ERR_STORE_NEWER,
			"its user_version is %d, this tallyd knows up to %d: use a newer "
			"tallyd",
			version, N_MIGRATIONS);
	if (version == N_MIGRATIONS)
		return 0;
	code = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	/* Read again under the lock: another process may have been faster. */
	if (code == SQLITE_OK)
		code = read_version(db, &version);
	if (code == SQLITE_OK && version > 0)
		code = check_ours(db);
	if (code == SQLITE_OK)
		code = migrate_from(db, version);
	if (code == SQLITE_OK)
		return 0;
	code = fail(db, code, ret_msg);
	if (!sqlite3_get_autocommit(db))
		(void)sqlite3_exec(
			db, "ROLLBACK", NULL, NULL, NULL); /* nothing to save */
	return code;
}
