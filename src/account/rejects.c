/* Bad events on their way to SQLite: only the last LEDGER_MAX_REJECTS. */
#include "account/internal.h"

#include <stdlib.h>
#include <string.h>

static void free_reject(struct kept_reject *reject)
{
	free(reject->node);
	free(reject->event);
}

int rejects_init(struct rejects *rejects)
{
	rejects->list = calloc(LEDGER_MAX_REJECTS, sizeof(*rejects->list));
	return rejects->list != NULL ? 0 : ERR_NOMEM;
}

void rejects_done(struct rejects *rejects)
{
	for (size_t i = 0; i < rejects->n; i++)
		free_reject(&rejects->list[i]);
	free(rejects->list);
}

void ledger_keep_reject(struct ledger *ledger, const char *node,
	const struct reject *reject, uint64_t now_ms)
{
	struct rejects *rejects = &ledger->rejects;
	struct kept_reject kept = {
		now_ms, reject->reason, strdup(node), strdup(reject->event)};

	if (kept.node == NULL || kept.event == NULL) {
		free_reject(&kept);
		return;
	}
	if (rejects->n == LEDGER_MAX_REJECTS) {
		free_reject(&rejects->list[0]);
		rejects->n--;
		memmove(&rejects->list[0], &rejects->list[1], rejects->n * sizeof(kept));
	}
	rejects->list[rejects->n++] = kept;
}

/* The rows */

static bool is_dirty(const struct ledger *ledger)
{
	return ledger->rejects.n > 0;
}

static int reserve(const struct ledger *ledger, struct cut *cut)
{
	cut->rejects = calloc(ledger->rejects.n + 1, sizeof(*cut->rejects));
	return cut->rejects != NULL ? 0 : ERR_NOMEM;
}

static void move(struct ledger *ledger, struct cut *cut)
{
	struct rejects *rejects = &ledger->rejects;

	memcpy(cut->rejects, rejects->list, rejects->n * sizeof(*cut->rejects));
	cut->n_rejects = rejects->n;
	rejects->n = 0;
}

static void done(struct cut *cut)
{
	for (size_t i = 0; i < cut->n_rejects; i++)
		free_reject(&cut->rejects[i]);
	free(cut->rejects);
}

const struct row_kind *reject_rows(void)
{
	static const struct row_kind kind = {is_dirty, reserve, move, NULL, done};

	return &kind;
}
