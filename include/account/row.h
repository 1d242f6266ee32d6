/*
 * What the ledger keeps and SQLite is to hold: rows, each of one kind, and the one way to
 * be dirty since the last cut.
 *
 * Whatever is kept embeds a `struct row` and stands in the dirty list of its kind while a
 * cut would have something new of it. A kind says how its rows move into a cut, and what
 * becomes of them when the cut has been committed; cut.c lists all kinds. Users and
 * series may be too many for a list that is walked: see account/changes.h.
 */
#ifndef TALLYD_ACCOUNT_ROW_H
#define TALLYD_ACCOUNT_ROW_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

struct cut;
struct ledger;

struct row {
	bool is_dirty;
	TAILQ_ENTRY(row) link;
};

struct dirty {
	TAILQ_HEAD(row_list, row) list;
	size_t n;
};

void dirty_init(struct dirty *dirty);

/* Each row stands there once, in the order they became dirty. */
void dirty_mark(struct dirty *dirty, struct row *row);
void dirty_clean(struct dirty *dirty, struct row *row);

/* The first row, which is clean from now on; NULL if there is none. */
struct row *dirty_take(struct dirty *dirty);

/* The struct that embeds `row_` as its member `row`. */
#define ROW_OF(type, row_) ((type *)(void *)((char *)(row_)-offsetof(type, row)))

/*
 * A kind of row. `reserve` allocates room in the cut for all that `move` is going to
 * move, so that nothing has moved if memory is short. All but `is_dirty` and `move`
 * may be NULL: nothing is to be done. `done` frees what `reserve` allocated, and what
 * the cut owns.
 */
struct row_kind {
	bool (*is_dirty)(const struct ledger *ledger);
	int (*reserve)(const struct ledger *ledger, struct cut *cut); /* 0 or ERR_NOMEM */
	void (*move)(struct ledger *ledger, struct cut *cut);
	void (*committed)(struct ledger *ledger, struct cut *cut);
	void (*done)(struct cut *cut);
};

#endif
