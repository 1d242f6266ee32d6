/*
 * A ceiling: one bare transaction that adds to the rows of the table `users` of a
 * database of tallyd, which does not run: to all of them, in no order, as reports bring
 * them. Prints how long it took, in ms.
 *
 *     transaction FILE
 */
#include <err.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static sqlite3 *db;

static void check(int code)
{
	if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW)
		errx(1, "SQLite: %s", sqlite3_errmsg(db));
}

static double now_ms(void)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at); /* always 0 */
	return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

static char **load_ids(size_t *ret_n)
{
	char **ids = NULL;
	sqlite3_stmt *stmt;
	size_t n = 0;

	check(sqlite3_prepare_v2(db, "SELECT id FROM users", -1, &stmt, NULL));
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		if ((n & (n - 1)) == 0)
			ids = realloc(ids, (n == 0 ? 1 : 2 * n) * sizeof(*ids));
		if (ids == NULL)
			err(1, "memory");
		ids[n++] = strdup((const char *)sqlite3_column_text(stmt, 0));
	}
	check(sqlite3_finalize(stmt));
	*ret_n = n;
	return ids;
}

static void free_all(char **ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(ids[i]);
	free(ids);
}

/* The same order each time. */
static void shuffle(char **ids, size_t n)
{
	srand48(1);
	for (size_t i = n; i > 1; i--) {
		size_t other = (size_t)(drand48() * (double)i);
		char *id = ids[i - 1];

		ids[i - 1] = ids[other];
		ids[other] = id;
	}
}

static void add(sqlite3_stmt *stmt, const char *id)
{
	check(sqlite3_bind_text(stmt, 1, id, -1, SQLITE_STATIC));
	for (int i = 2; i <= 5; i++)
		check(sqlite3_bind_int64(stmt, i, 1000));
	check(sqlite3_step(stmt));
	check(sqlite3_reset(stmt));
}

int main(int argc, char **argv)
{
	sqlite3_stmt *stmt;
	double began_ms;
	char **ids;
	size_t n;

	if (argc != 2)
		errx(2, "usage: transaction FILE");
	check(sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READWRITE, NULL));
	check(sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", NULL,
		NULL, NULL));
	ids = load_ids(&n);
	shuffle(ids, n);
	check(sqlite3_prepare_v2(db,
		"INSERT INTO users(id,used_traffic,input_bytes,output_bytes,last_seen_at)"
		"VALUES(?,?,?,?,?)ON CONFLICT(id)DO UPDATE SET "
		"used_traffic=used_traffic+excluded.used_traffic,"
		"input_bytes=input_bytes+excluded.input_bytes,"
		"output_bytes=output_bytes+excluded.output_bytes,"
		"last_seen_at=excluded.last_seen_at",
		-1, &stmt, NULL));
	began_ms = now_ms();
	check(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
	for (size_t i = 0; i < n; i++)
		add(stmt, ids[i]);
	check(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
	printf("%.3f\n", now_ms() - began_ms);
	free_all(ids, n);
	check(sqlite3_finalize(stmt));
	check(sqlite3_close(db));
	return 0;
}
