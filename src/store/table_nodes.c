/* Nodes, and whether the directory is open to names without a secret. */
#include "store/internal.h"

#include <stdio.h>
#include <string.h>

/* False where there is none. */
static bool load_hash(sqlite3_stmt *row, int column, uint8_t hash[NODE_HASH_BYTES])
{
	if (sqlite3_column_type(row, column) == SQLITE_NULL)
		return false;
	memcpy(hash, sqlite3_column_blob(row, column), NODE_HASH_BYTES);
	return true;
}

static int load(struct ledger *ledger, sqlite3_stmt *row)
{
	struct node_kept kept = {.is_enabled = sql_u64(row, 1) != 0,
		.counters = node_counters_of(sql_text(row, 2)),
		.old_until_ms = sql_u64(row, 6),
		.created_ms = sql_u64(row, 7),
		.deleted_ms = sql_u64(row, 8)};

	(void)snprintf(kept.note, sizeof(kept.note), "%s", sql_text(row, 3));
	kept.has_secret = load_hash(row, 4, kept.secret);
	if (!load_hash(row, 5, kept.old_secret))
		kept.old_until_ms = 0;
	return ledger_load_node(ledger, sql_text(row, 0), &kept);
}

/* Unset is NULL; a statement that was used before still has its last values bound. */
static void bind_text_or_null(sqlite3_stmt *stmt, int index, const char *text)
{
	if (text[0] != '\0')
		sql_bind_text(stmt, index, text);
	else
		(void)sqlite3_bind_null(stmt, index);
}

static void bind_hash(
	sqlite3_stmt *stmt, int index, bool is_set, const uint8_t hash[NODE_HASH_BYTES])
{
	if (is_set)
		sql_bind_blob(stmt, index, hash, NODE_HASH_BYTES);
	else
		(void)sqlite3_bind_null(stmt, index);
}

static void bind(sqlite3_stmt *stmt, const struct cut_node *row)
{
	const struct node_kept *kept = &row->kept;

	sql_bind_text(stmt, 1, row->node->name);
	sql_bind_u64(stmt, 2, kept->is_enabled);
	bind_text_or_null(stmt, 3, node_counters_name(kept->counters));
	bind_text_or_null(stmt, 4, kept->note);
	bind_hash(stmt, 5, kept->has_secret, kept->secret);
	bind_hash(stmt, 6, kept->old_until_ms != 0, kept->old_secret);
	sql_bind_u64(stmt, 7, kept->old_until_ms);
	sql_bind_u64(stmt, 8, kept->created_ms);
	sql_bind_u64(stmt, 9, kept->deleted_ms);
}

static int write(struct store *store, sqlite3_stmt **stmts, const struct cut *cut)
{
	int code = SQLITE_OK;

	(void)store;
	for (size_t i = 0; i < cut->n_nodes && code == SQLITE_OK; i++) {
		const struct cut_node *row = &cut->nodes[i];

		if (row->is_gone)
			sql_bind_text(stmts[1], 1, row->node->name);
		else
			bind(stmts[0], row);
		code = sql_run(stmts[row->is_gone ? 1 : 0]);
	}
	return code;
}

const struct table *nodes_table(void)
{
	static const struct table table = {"SELECT * FROM nodes", load,
		{"INSERT OR REPLACE INTO nodes VALUES(?,?,?,?,?,?,?,?,?)",
			"DELETE FROM nodes WHERE name=?"},
		write, "nodes", "nbxxhhmmm"};

	return &table;
}

static int load_open(struct ledger *ledger, sqlite3_stmt *row)
{
	ledger_load_is_open(ledger, strcmp(sql_text(row, 0), "closed") != 0);
	return 0;
}

static int write_open(struct store *store, sqlite3_stmt **stmts, const struct cut *cut)
{
	(void)store;
	if (!cut->has_open)
		return SQLITE_OK;
	sql_bind_text(stmts[0], 1, cut->is_open ? "open" : "closed");
	return sql_run(stmts[0]);
}

const struct table *open_table(void)
{
	static const struct table table = {"SELECT value FROM meta WHERE key='nodes'",
		load_open,
		{"INSERT INTO meta VALUES('nodes',?1) ON CONFLICT(key)DO UPDATE SET "
		 "value=excluded.value"},
		write_open, "meta (nodes)", "o"};

	return &table;
}
