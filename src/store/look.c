/*
 * While a daemon has the file open, its WAL and the index of it are there, and a reader
 * joins. Without one, SQLite would make both for a reader, too: then the file is taken as
 * one that nobody changes (sqlite.org/uri.html, immutable).
 */
#include "store/look.h"
#include "store/schema.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URI_BYTES 1024

/* A path may hold what has a meaning in a URI. */
static void make_uri(const char *path, bool is_in_use, char uri[URI_BYTES])
{
	size_t len = (size_t)snprintf(uri, URI_BYTES, "file:");

	for (; *path != '\0' && len + 32 < URI_BYTES; path++) {
		if (strchr("%?#", *path) != NULL)
			len += (size_t)snprintf(
				uri + len, URI_BYTES - len, "%%%02X", (unsigned)*path);
		else
			uri[len++] = *path;
	}
	(void)snprintf(uri + len, URI_BYTES - len, "?mode=ro%s",
		is_in_use ? "" : "&immutable=1");
}

/* The first column of the first row; "" if there is none. */
static int read_one(sqlite3 *db, const char *sql, char *ret_text, size_t size)
{
	sqlite3_stmt *stmt = NULL;
	int code = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
	const unsigned char *text;

	ret_text[0] = '\0';
	if (code == SQLITE_OK)
		code = sqlite3_step(stmt);
	text = code == SQLITE_ROW ? sqlite3_column_text(stmt, 0) : NULL;
	if (text != NULL)
		(void)snprintf(ret_text, size, "%s", (const char *)text);
	(void)sqlite3_finalize(stmt); /* its code is the step's */
	return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int read_applied_seq(sqlite3 *db, uint64_t *ret_seq)
{
	char text[32];
	int code = read_one(
		db, "SELECT value FROM meta WHERE key='applied_seq'", text, sizeof(text));

	*ret_seq = strtoull(text, NULL, 10);
	return code;
}

static int read_time(sqlite3 *db, const char *sql, uint64_t *newest_ms)
{
	char text[32];
	int code = read_one(db, sql, text, sizeof(text));
	uint64_t ms = strtoull(text, NULL, 10);

	if (code == SQLITE_OK && ms > *newest_ms)
		*newest_ms = ms;
	return code;
}

/* A file of an older tallyd has no audit yet: its next start makes one. */
static int read_all(sqlite3 *db, struct store_look *look, struct errmsg *msg)
{
	char version[16];
	int code = read_one(db, "PRAGMA user_version", version, sizeof(version));

	if (code == SQLITE_OK && atoi(version) < 0)
		return err_set(msg, ERR_STORE_CORRUPT,
			"its user_version is %s, which no tallyd writes", version);
	if (code == SQLITE_OK && atoi(version) > schema_version())
		return err_set(msg, ERR_STORE_NEWER, "%s", err_text(ERR_STORE_NEWER));
	if (code == SQLITE_OK && atoi(version) == 0)
		return 0; /* all of it is still in the WAL of who was killed */
	if (code == SQLITE_OK)
		code = read_one(db, "SELECT value FROM meta WHERE key='instance_id'",
			look->instance_id, sizeof(look->instance_id));
	if (code == SQLITE_OK)
		code = read_applied_seq(db, &look->applied_seq);
	if (code == SQLITE_OK)
		code = read_time(
			db, "SELECT max(updated_at) FROM services", &look->newest_ms);
	if (code == SQLITE_OK && atoi(version) == schema_version())
		code = read_time(db, "SELECT at FROM audit ORDER BY seq DESC LIMIT 1",
			&look->newest_ms);
	return code == SQLITE_OK
		? 0
		: err_set(msg, store_error_of(code), "%s: %s",
			  err_text(store_error_of(code)), sqlite3_errmsg(db));
}

int store_look(const char *path, bool is_in_use, struct store_look *ret_look,
	struct errmsg *ret_msg)
{
	struct store_look look = {0};
	sqlite3 *db = NULL;
	char uri[URI_BYTES];
	int code;

	make_uri(path, is_in_use, uri);
	code = sqlite3_open_v2(uri, &db,
		SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, NULL);
	if (code == SQLITE_OK) {
		(void)sqlite3_busy_timeout(db, 1000); /* cannot fail */
		/* Root may look, at a file that tallyd's user can make what it likes. */
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
		code = read_all(db, &look, ret_msg);
	} else {
		code = err_set(ret_msg, store_error_of(code), "%s", sqlite3_errmsg(db));
	}
	(void)sqlite3_close(db); /* was only read */
	if (code == 0)
		*ret_look = look;
	return code;
}
