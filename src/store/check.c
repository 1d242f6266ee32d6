/*
 * What a row may hold. This program wrote it, but anybody may have edited it since, and a
 * number or a name that is counted on from would lose bytes later, without a word.
 */
#include "base/limits.h"
#include "base/text.h"
#include "store/internal.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_BYTES 80

/* Digits, and nothing behind them but what begins with a blank. */
static bool begins_with_number(const char *text, uint64_t max, const char **ret_end)
{
	size_t n_digits = strspn(text, "0123456789");

	*ret_end = text + n_digits;
	return n_digits > 0 && strtoull(text, NULL, 10) <= max;
}

static bool is_sequence(const char *text)
{
	const char *end;

	return begins_with_number(text, NUMBER_MAX, &end) && *end == '\0';
}

static bool is_link(const char *text)
{
	const char *end;

	return begins_with_number(text, TIME_MAX_MS, &end) &&
		(*end == '\0' || *end == ' ');
}

static bool is_open_or_closed(const char *text)
{
	return strcmp(text, "open") == 0 || strcmp(text, "closed") == 0;
}

static bool is_clean(const char *text)
{
	return text_is_clean(text, strlen(text));
}

static bool is_kind(const char *text)
{
	return strcmp(text, "handler") == 0 || strcmp(text, "service") == 0;
}

/* `max`: the largest integer, the most bytes of a text, just the bytes of a blob. */
static const struct value {
	enum column_kind kind;
	int type;
	bool may_be_null;
	uint64_t max;
	bool (*is_right)(const char *text);
	const char *means;
} values[] = {
	{COLUMN_TEXT, SQLITE_TEXT, false, INT_MAX, NULL, "a text without NUL"},
	{COLUMN_CLEAN_OR_NULL, SQLITE_TEXT, true, INT_MAX, is_clean,
		"NULL, or a text of UTF-8 without control characters"},
	{COLUMN_CLEAN, SQLITE_TEXT, false, INT_MAX, is_clean,
		"a text of UTF-8 without control characters"},
	{COLUMN_NAME, SQLITE_TEXT, false, NAME_MAX_BYTES, text_is_name,
		"a name of at most 255 bytes of UTF-8 without control characters"},
	{COLUMN_KIND, SQLITE_TEXT, false, INT_MAX, is_kind, "handler or service"},
	{COLUMN_SEQUENCE, SQLITE_TEXT, false, INT_MAX, is_sequence,
		"a whole number from 0 to 2^62-1"},
	{COLUMN_LINK, SQLITE_TEXT, false, INT_MAX, is_link,
		"a time before the year 3000 in ms since 1970"},
	{COLUMN_OPEN, SQLITE_TEXT, false, INT_MAX, is_open_or_closed, "open or closed"},
	{COLUMN_TOTAL, SQLITE_INTEGER, false, INT64_MAX, NULL,
		"a whole number from 0 to 2^63-1"},
	{COLUMN_NUMBER, SQLITE_INTEGER, false, NUMBER_MAX, NULL,
		"a whole number from 0 to 2^62-1"},
	{COLUMN_COUNTER, SQLITE_INTEGER, false, COUNTER_MAX + 1, NULL,
		"a whole number from 0 to 2^53"},
	{COLUMN_TIME, SQLITE_INTEGER, false, TIME_MAX_MS, NULL,
		"a time before the year 3000 in ms since 1970"},
	{COLUMN_DIGEST, SQLITE_BLOB, false, FINGERPRINT_BYTES, NULL, "16 bytes"},
	{COLUMN_HASH, SQLITE_BLOB, true, NODE_HASH_BYTES, NULL, "32 bytes or NULL"},
};

static const struct value *value_of(char kind)
{
	const struct value *value = values;

	while ((char)value->kind != kind)
		value++;
	return value;
}

static bool is_right_text(sqlite3_stmt *row, int column, const struct value *value)
{
	const char *text = (const char *)sqlite3_column_text(row, column);
	size_t len = (size_t)sqlite3_column_bytes(row, column);

	return text != NULL && strlen(text) == len && len <= value->max &&
		(value->is_right == NULL || value->is_right(text));
}

static bool is_right(sqlite3_stmt *row, int column, const struct value *value)
{
	int type = sqlite3_column_type(row, column);
	sqlite3_int64 number;

	if (type == SQLITE_NULL && value->may_be_null)
		return true;
	if (type != value->type)
		return false;
	if (type == SQLITE_TEXT)
		return is_right_text(row, column, value);
	if (type == SQLITE_BLOB)
		return (uint64_t)sqlite3_column_bytes(row, column) == value->max;
	number = sqlite3_column_int64(row, column);
	return number >= 0 && (uint64_t)number <= value->max;
}

static void show_value(sqlite3_stmt *row, int column, char ret_text[SHOWN_BYTES])
{
	int type = sqlite3_column_type(row, column);

	if (type == SQLITE_NULL)
		(void)snprintf(ret_text, SHOWN_BYTES, "NULL");
	else if (type == SQLITE_BLOB)
		(void)snprintf(ret_text, SHOWN_BYTES, "a blob of %d bytes",
			sqlite3_column_bytes(row, column));
	else
		(void)snprintf(ret_text, SHOWN_BYTES,
			type == SQLITE_TEXT ? "'%.60s'" : "%.60s", sql_text(row, column));
}

/* By the texts that it begins with, which are its key. */
static void show_row(
	const struct table *table, sqlite3_stmt *row, char ret_text[3 * SHOWN_BYTES])
{
	size_t len = 0;

	ret_text[0] = '\0';
	for (int i = 0; i < 3 && sqlite3_column_type(row, i) == SQLITE_TEXT &&
		table->columns[1] != '\0';
		i++)
		len += (size_t)snprintf(ret_text + len, 3 * SHOWN_BYTES - len,
			"%s'%.60s'", i == 0 ? ", row " : " ", sql_text(row, i));
}

int row_check(const struct table *table, sqlite3_stmt *row, struct errmsg *msg)
{
	char key[3 * SHOWN_BYTES], shown[SHOWN_BYTES];

	for (int i = 0; table->columns[i] != '\0'; i++) {
		const struct value *value = value_of(table->columns[i]);

		if (is_right(row, i, value))
			continue;
		if (sqlite3_errcode(sqlite3_db_handle(row)) == SQLITE_NOMEM)
			return err_set(msg, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
		show_row(table, row, key);
		show_value(row, i, shown);
		return err_set(msg, ERR_STORE_CORRUPT,
			"tally.db, table %s%s: %s is %s, which tallyd never writes; it "
			"has to be %s. Stop whatever wrote it, and put that right with "
			"sqlite3, or a backup in its place",
			table->name, key, sqlite3_column_name(row, i), shown,
			value->means);
	}
	return 0;
}
