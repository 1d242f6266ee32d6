/* What this data directory remembers of Redis, see struct link_record. */
#include "account/internal.h"

void ledger_load_link(struct ledger *ledger, const struct link_record *link)
{
	ledger->link.record = *link;
}

void ledger_set_link(struct ledger *ledger, const struct link_record *link)
{
	ledger->link.record = *link;
	ledger->link.version++;
}

const struct link_record *ledger_link(const struct ledger *ledger)
{
	return &ledger->link.record;
}

bool ledger_is_link_saved(const struct ledger *ledger)
{
	return ledger->link.saved_version == ledger->link.version;
}

/* The row: it stays dirty until a cut that holds it has been committed. */

static bool is_dirty(const struct ledger *ledger)
{
	return !ledger_is_link_saved(ledger);
}

static void move(struct ledger *ledger, struct cut *cut)
{
	cut->has_link = is_dirty(ledger);
	cut->link = ledger->link.record;
	cut->link_version = ledger->link.version;
}

static void committed(struct ledger *ledger, struct cut *cut)
{
	ledger->link.saved_version = cut->link_version;
}

const struct row_kind *link_rows(void)
{
	static const struct row_kind kind = {is_dirty, NULL, move, committed, NULL};

	return &kind;
}
