/*
 * Rows of a cut in the order of their table's key, in which SQLite comes to each page
 * once. In any other, a page of a large table is read, and written to the log, again and
 * again.
 */
#include "store/internal.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

static struct order_row row_of(
	const struct service *service, const char *name, const void *row)
{
	struct order_row made = {.service = service, .name = name, .row = row};

	/* What it begins with as numbers, so that most names need not be read again. */
	memccpy(made.head, name, '\0', sizeof(made.head));
	made.head[0] = be64toh(made.head[0]);
	made.head[1] = be64toh(made.head[1]);
	return made;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_services(const struct service *a, const struct service *b)
{
	int order = strcmp(a->node, b->node);

	if (order == 0)
		order = (a->kind == KIND_SERVICE) - (b->kind == KIND_SERVICE);
	return order != 0 ? order : strcmp(a->name, b->name);
}

static int compare(const void *left, const void *right)
{
	const struct order_row *a = left, *b = right;
	int order =
		a->service != b->service ? compare_services(a->service, b->service) : 0;

	if (order == 0)
		order = compare_numbers(a->head[0], b->head[0]);
	if (order == 0)
		order = compare_numbers(a->head[1], b->head[1]);
	return order != 0 ? order : strcmp(a->name, b->name);
}

struct order_row *order_users(const struct cut *cut)
{
	struct order_row *rows = malloc((cut->users.n + 1) * sizeof(*rows));

	for (size_t i = 0; rows != NULL && i < cut->users.n; i++) {
		const struct cut_user *row = cut_user(cut, i);

		rows[i] = row_of(NULL, row->user->id, row);
	}
	if (rows != NULL)
		qsort(rows, cut->users.n, sizeof(*rows), compare);
	return rows;
}

struct order_row *order_series(const struct cut *cut, size_t *ret_n)
{
	struct order_row *rows = malloc((cut->series.n + 1) * sizeof(*rows));
	size_t n = 0;

	for (size_t i = 0; rows != NULL && i < cut->series.n; i++) {
		const struct cut_series *row = cut_series(cut, i);

		if (row->series != NULL)
			rows[n++] =
				row_of(row->series->service, row->series->client, row);
	}
	if (rows != NULL)
		qsort(rows, n, sizeof(*rows), compare);
	*ret_n = n;
	return rows;
}
