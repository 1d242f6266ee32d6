/*
 * What the files of src/store share: the database, and one struct table per kind of row,
 * which says how it is loaded and how a cut's rows are written. Nobody else includes
 * this.
 *
 * Results here are SQLite's: SQLITE_OK or what failed.
 */
#ifndef TALLYD_STORE_INTERNAL_H
#define TALLYD_STORE_INTERNAL_H

#include "store/store.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <sys/stat.h>

#define TABLE_MAX_STATEMENTS 4

/* What a column may hold; check.c says what that is. */
enum column_kind {
	COLUMN_TEXT = 't',
	COLUMN_CLEAN_OR_NULL = 'x',
	COLUMN_CLEAN = 'u',
	COLUMN_NAME = 'n',
	COLUMN_KIND = 'k',
	COLUMN_SEQUENCE = 'q', /* as a text, as are the next two */
	COLUMN_LINK = 'l',
	COLUMN_OPEN = 'o',
	COLUMN_TOTAL = 'b',
	COLUMN_NUMBER = 's',
	COLUMN_COUNTER = 'c',
	COLUMN_TIME = 'm',
	COLUMN_DIGEST = 'd',
	COLUMN_HASH = 'h',
};

/* `load` NULL: it is only looked at, or, without `select`, only written; `write` NULL:
 * only loaded. `sql` are prepared at the opening and handed to `write`, in that order, as
 * often as there is a cut. `columns`: the kind of each that `select` gives. */
struct table {
	const char *select;
	int (*load)(struct ledger *ledger, sqlite3_stmt *row); /* 0 or ERR_NOMEM */
	const char *sql[TABLE_MAX_STATEMENTS];
	int (*write)(struct store *store, sqlite3_stmt **stmts, const struct cut *cut);
	const char *name, *columns;
};

/* check.c: 0, ERR_NOMEM, or ERR_STORE_CORRUPT: a column holds what no tallyd writes. */
int row_check(const struct table *table, sqlite3_stmt *row, struct errmsg *msg);

#define STORE_MAX_TABLES 16

struct store {
	sqlite3 *db;
	unsigned batch_size, busy_timeout_ms;
	sqlite3_stmt *begin, *commit, *rollback;
	sqlite3_stmt *read_applied, *write_applied, *read_link;
	sqlite3_stmt *users; /* batch_size rows */
	unsigned n_user_statements;
	sqlite3_stmt *stmts[STORE_MAX_TABLES][TABLE_MAX_STATEMENTS];
	char instance_id[INSTANCE_ID_BYTES];
	char *path; /* without symbolic links; owned */
	struct store_file {
		dev_t device;
		ino_t inode;
	} file, wal, shm;
};

/* Whether it is that file. */
bool store_is_same(const struct stat *there, const struct store_file *file);

/* wal.c: what has become of SQLite's files beside tally.db. */
enum wal_state {
	WAL_WHOLE,
	WAL_TAKEN,  /* one is gone or another's; tally.db does not need it: open it again
		     */
	WAL_NEEDED, /* the log is gone, and what it holds is not all in tally.db */
	WAL_CUT,    /* what was in it alone is lost; or the index cannot be read */
};
enum wal_state wal_look(const struct store *store);

/* Notes which ones are open. False with errno. */
bool wal_identify(struct store *store);

/* Moves what the log holds into tally.db, as far as others that read allow. True: all. */
bool wal_move(struct store *store);
bool wal_is_there(const struct store *store);

/* Another log in the place of ours. Nothing may be open. */
void wal_set_aside(const struct store *store);

/* store.c lists them; each is one of SQLite's tables, or of meta's rows. */
const struct table *users_table(void);
const struct table *services_table(void);
const struct table *series_table(void);
const struct table *open_reports_table(void);
const struct table *rejects_table(void);
const struct table *applied_seq_table(void); /* only loaded: it is written last */
const struct table *link_table(void);
const struct table *nodes_table(void);
const struct table *open_table(void);
const struct table *audit_table(void);
const struct table *commands_table(void);

/* order.c: the rows of a cut as their table's key has them. The caller frees the array;
 * NULL if memory is short. */
struct order_row {
	const struct service *service; /* NULL: the name is the key */
	uint64_t head[2];
	const char *name;
	const void *row; /* struct cut_user or struct cut_series */
};
struct order_row *order_users(const struct cut *cut);
struct order_row *order_series(const struct cut *cut, size_t *ret_n);

/* table_users.c: the statement that writes so many of them. */
int users_prepare(struct store *store, size_t rows, sqlite3_stmt **ret_stmt);

/* table_meta.c: the value that says what stands in this link. */
#define LINK_TEXT_BYTES (24 + CLAIM_BYTES)
void link_text(const struct link_record *link, char ret_text[LINK_TEXT_BYTES]);
#define READ_LINK_SQL "SELECT value FROM meta WHERE key='redis_link'"

/* sql.c */

/* a + b, or the largest integer: an overflow would silently become REAL. */
#define SATURATE(column)                                                                 \
	column "=CASE WHEN " column ">9223372036854775807-excluded." column              \
	       " THEN 9223372036854775807 ELSE " column "+excluded." column " END"

int sql_prepare(struct store *store, const char *sql, sqlite3_stmt **ret_stmt);

/* Runs a statement that gives no rows, and makes it ready for the next time. */
int sql_run(sqlite3_stmt *stmt);

/* Binding fails only for a wrong index or for memory, which the step then reports as
 * well. */
void sql_bind_text(sqlite3_stmt *stmt, int index, const char *text);
void sql_bind_u64(sqlite3_stmt *stmt, int index, uint64_t value);
void sql_bind_blob(sqlite3_stmt *stmt, int index, const void *bytes, int len);

/* The columns that name a service: everywhere the first three. */
void sql_bind_service(sqlite3_stmt *stmt, const struct service *service);

uint64_t sql_u64(sqlite3_stmt *row, int column);
const char *sql_text(sqlite3_stmt *row, int column); /* "" for NULL */
enum event_kind sql_kind(sqlite3_stmt *row, int column);

#endif
