/* Aligned columns, two spaces apart. Cells are made safe for the terminal. */
#ifndef TALLYD_CTL_TABLE_H
#define TALLYD_CTL_TABLE_H

#include <stddef.h>
#include <stdio.h>

#define TABLE_MAX_COLUMNS 16

struct table;

/* Borrows `titles`, which must outlive it. A title that begins with `>` is of a column of
 * numbers, which end at its right side. Without any (all ""), no line of titles is
 * printed. **Returns owned.** */
struct table *table_new(size_t n_columns, const char *const *titles);
void table_free(struct table *table);

/* The next cell, from left to right and then the next row; copied. NULL shows `-`. */
void table_cell(struct table *table, const char *text);
void table_cellf(struct table *table, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

size_t table_rows(const struct table *table);

/* Lines do not end in spaces. */
void table_print(const struct table *table, FILE *out);

#endif
