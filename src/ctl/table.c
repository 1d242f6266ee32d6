#include "ctl/table.h"
#include "ctl/mem.h"
#include "ctl/term.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

struct table {
	size_t n_columns;
	const char *const *titles;
	char **cells; /* safe, row by row */
	size_t n_cells, cap;
};

struct table *table_new(size_t n_columns, const char *const *titles)
{
	struct table *table = mem_alloc(sizeof(*table));

	assert(n_columns > 0 && n_columns <= TABLE_MAX_COLUMNS);
	*table = (struct table){.n_columns = n_columns, .titles = titles};
	return table;
}

void table_free(struct table *table)
{
	if (table == NULL)
		return;
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}

void table_cell(struct table *table, const char *text)
{
	if (table->n_cells == table->cap) {
		table->cap = table->cap > 0 ? 2 * table->cap : 64;
		table->cells =
			mem_resize(table->cells, table->cap * sizeof(table->cells[0]));
	}
	table->cells[table->n_cells++] = term_safe(text != NULL ? text : "-");
}

void table_cellf(struct table *table, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args); /* longer text is cut */
	va_end(args);
	table_cell(table, text);
}

size_t table_rows(const struct table *table)
{
	return table->n_cells / table->n_columns;
}

static bool is_right(const struct table *table, size_t column)
{
	return table->titles[column][0] == '>';
}

static const char *title(const struct table *table, size_t column)
{
	return table->titles[column] + (is_right(table, column) ? 1 : 0);
}

static void put_spaces(size_t n, FILE *out)
{
	for (; n > 0; n--)
		(void)fputc(' ', out); /* looked at with ferror() by the caller */
}

/* Spaces are owed until something follows them. */
static void print_row(const struct table *table, const size_t *widths,
	const char *const *cells, FILE *out)
{
	size_t owed = 0;

	for (size_t i = 0; i < table->n_columns; i++) {
		size_t rest = widths[i] - term_width(cells[i]);

		owed += is_right(table, i) ? rest : 0;
		if (cells[i][0] != '\0') {
			put_spaces(owed, out);
			(void)fputs(cells[i], out);
			owed = 0;
		}
		owed += (is_right(table, i) ? 0 : rest) + 2;
	}
	(void)fputc('\n', out);
}

void table_print(const struct table *table, FILE *out)
{
	const char *titles[TABLE_MAX_COLUMNS];
	size_t widths[TABLE_MAX_COLUMNS];
	bool has_titles = false;

	assert(table->n_columns > 0);
	for (size_t i = 0; i < table->n_columns; i++) {
		titles[i] = title(table, i);
		widths[i] = term_width(titles[i]);
		has_titles = has_titles || titles[i][0] != '\0';
	}
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t width = term_width(table->cells[i]);

		if (width > widths[i % table->n_columns])
			widths[i % table->n_columns] = width;
	}
	if (has_titles)
		print_row(table, widths, titles, out);
	for (size_t row = 0; row < table_rows(table); row++)
		print_row(table, widths,
			(const char *const *)&table->cells[row * table->n_columns], out);
}
