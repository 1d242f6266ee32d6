/*
 * What SQLite lacks of those rows of which there may be millions: an entry for each row
 * that has changed since the last cut, in the order in which they did. A row keeps the
 * number of its entry, and finds it again until a cut takes them: all at once, however
 * many there are. Numbers are never used again, so nothing has to be told to the rows.
 */
#ifndef TALLYD_ACCOUNT_CHANGES_H
#define TALLYD_ACCOUNT_CHANGES_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct changes {
	size_t entry_bytes;
	size_t n;
	uint64_t first;     /* the number of the first entry; 0 is no entry's */
	uint64_t cut_first; /* from here to `first` they are in a cut that is not over */
	char **chunks;
	size_t n_chunks, max_chunks;
};

void changes_init(struct changes *changes, size_t entry_bytes);
void changes_done(struct changes *changes);

/* Makes room for so many entries more. 0 or ERR_NOMEM. */
int changes_reserve(struct changes *changes, size_t n) MUST_CHECK;

/* A new entry, zeroed, for which there is room. */
void *changes_add(struct changes *changes, uint64_t *ret_number);

/* The entry of this number; NULL: it is none, or was taken. */
void *changes_find(const struct changes *changes, uint64_t number);

/* Has the processor fetch it, if there is one. */
void changes_fetch(const struct changes *changes, uint64_t number);

/* The entry at `index`, from 0 to n - 1. */
void *changes_at(const struct changes *changes, size_t index);

/* Moves all of them; what is added from now on has later numbers. */
struct changes changes_take(struct changes *changes);

/* What was taken last is over; whether it is not, and whether this number is in it. */
void changes_end_cut(struct changes *changes);
bool changes_have_cut(const struct changes *changes);
bool changes_is_in_cut(const struct changes *changes, uint64_t number);

#endif
