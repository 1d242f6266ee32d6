#include "account/row.h"

void dirty_init(struct dirty *dirty)
{
	dirty->n = 0;
	TAILQ_INIT(&dirty->list);
}

void dirty_mark(struct dirty *dirty, struct row *row)
{
	if (row->is_dirty)
		return;
	row->is_dirty = true;
	TAILQ_INSERT_TAIL(&dirty->list, row, link);
	dirty->n++;
}

void dirty_clean(struct dirty *dirty, struct row *row)
{
	if (!row->is_dirty)
		return;
	row->is_dirty = false;
	TAILQ_REMOVE(&dirty->list, row, link);
	dirty->n--;
}

struct row *dirty_take(struct dirty *dirty)
{
	struct row *row = TAILQ_FIRST(&dirty->list);

	if (row != NULL)
		dirty_clean(dirty, row);
	return row;
}
