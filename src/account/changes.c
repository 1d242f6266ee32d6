#include "account/changes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_ENTRIES 512

void changes_init(struct changes *changes, size_t entry_bytes)
{
	*changes =
		(struct changes){.entry_bytes = entry_bytes, .first = 1, .cut_first = 1};
}

void changes_done(struct changes *changes)
{
	for (size_t i = 0; i < changes->n_chunks; i++)
		free(changes->chunks[i]);
	free(changes->chunks);
	changes->chunks = NULL;
	changes->n = changes->n_chunks = changes->max_chunks = 0;
}

static int add_chunk(struct changes *changes)
{
	size_t max = changes->max_chunks > 0 ? 2 * changes->max_chunks : 8;
	char **grown = changes->chunks;

	if (changes->n_chunks == changes->max_chunks) {
		grown = realloc(changes->chunks, max * sizeof(*grown));
		if (grown == NULL)
			return ERR_NOMEM;
		changes->chunks = grown;
		changes->max_chunks = max;
	}
	grown[changes->n_chunks] = malloc(CHUNK_ENTRIES * changes->entry_bytes);
	if (grown[changes->n_chunks] == NULL)
		return ERR_NOMEM;
	changes->n_chunks++;
	return 0;
}

int changes_reserve(struct changes *changes, size_t n)
{
	int code = 0;

	while (code == 0 && changes->n_chunks * CHUNK_ENTRIES < changes->n + n)
		code = add_chunk(changes);
	return code;
}

void *changes_at(const struct changes *changes, size_t index)
{
	return changes->chunks[index / CHUNK_ENTRIES] +
		index % CHUNK_ENTRIES * changes->entry_bytes;
}

void *changes_add(struct changes *changes, uint64_t *ret_number)
{
	void *entry;

	assert(changes->n < changes->n_chunks * CHUNK_ENTRIES);
	entry = changes_at(changes, changes->n);
	memset(entry, 0, changes->entry_bytes);
	*ret_number = changes->first + changes->n;
	changes->n++;
	return entry;
}

void *changes_find(const struct changes *changes, uint64_t number)
{
	return number >= changes->first ? changes_at(changes, number - changes->first)
					: NULL;
}

void changes_fetch(const struct changes *changes, uint64_t number)
{
	__builtin_prefetch(changes_find(changes, number));
}

struct changes changes_take(struct changes *changes)
{
	struct changes taken = *changes;

	changes->cut_first = changes->first;
	changes->first += changes->n;
	changes->chunks = NULL;
	changes->n = changes->n_chunks = changes->max_chunks = 0;
	return taken;
}

void changes_end_cut(struct changes *changes)
{
	changes->cut_first = changes->first;
}

bool changes_have_cut(const struct changes *changes)
{
	return changes->cut_first != changes->first;
}

bool changes_is_in_cut(const struct changes *changes, uint64_t number)
{
	return number >= changes->cut_first && number < changes->first;
}
