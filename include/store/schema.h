/* The tables of tally.db and their migrations; user_version counts those that were made.
 */
#ifndef TALLYD_STORE_SCHEMA_H
#define TALLYD_STORE_SCHEMA_H

#include "base/err.h"

#include <sqlite3.h>

/* Brings `db` to the newest version, in one transaction. 0, ERR_STORE_NEWER, ERR_STORE_*.
 */
int schema_migrate(sqlite3 *db, struct errmsg *ret_msg) MUST_CHECK;

/* The user_version of a file that needs no migration. */
int schema_version(void);

/* Our code for an SQLite result code. */
int store_error_of(int sqlite_code);

#endif
