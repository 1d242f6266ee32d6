/*
 * The cut: what SQLite lacks, moved out of the ledger in one turn. Memory for all of it
 * is allocated before anything moves.
 */
#include "account/internal.h"

#include <stdlib.h>

/* Every kind of row that SQLite keeps. */
static const struct row_kind *(*const kinds[])(void) = {
	user_rows,
	service_rows,
	series_rows,
	open_report_rows,
	reject_rows,
	link_rows,
	node_rows,
	open_rows,
	audit_rows,
	done_command_rows,
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

const struct cut_user *cut_user(const struct cut *cut, size_t index)
{
	return changes_at(&cut->users, index);
}

const struct cut_series *cut_series(const struct cut *cut, size_t index)
{
	return changes_at(&cut->series, index);
}

bool ledger_is_dirty(const struct ledger *ledger)
{
	for (size_t i = 0; i < N_KINDS; i++)
		if (kinds[i]()->is_dirty(ledger))
			return true;
	return false;
}

void ledger_forget_cut(struct cut *cut)
{
	for (size_t i = 0; i < N_KINDS; i++)
		if (kinds[i]()->done != NULL)
			kinds[i]()->done(cut);
	free(cut);
}

static struct cut *allocate(const struct ledger *ledger)
{
	struct cut *cut = calloc(1, sizeof(*cut));
	int code = cut != NULL ? 0 : ERR_NOMEM;

	for (size_t i = 0; i < N_KINDS && code == 0; i++)
		if (kinds[i]()->reserve != NULL)
			code = kinds[i]()->reserve(ledger, cut);
	if (code != 0 && cut != NULL)
		ledger_forget_cut(cut);
	return code == 0 ? cut : NULL;
}

struct cut *ledger_cut(struct ledger *ledger)
{
	struct cut *cut = allocate(ledger);

	if (cut == NULL)
		return NULL;
	cut->prev_seq = ledger->applied_seq;
	cut->seq = ledger->seq;
	for (size_t i = 0; i < N_KINDS; i++)
		kinds[i]()->move(ledger, cut);
	return cut;
}

void ledger_cut_committed(struct ledger *ledger, struct cut *cut)
{
	for (size_t i = 0; i < N_KINDS; i++)
		if (kinds[i]()->committed != NULL)
			kinds[i]()->committed(ledger, cut);
	ledger->applied_seq = cut->seq;
	ledger_forget_cut(cut);
}
