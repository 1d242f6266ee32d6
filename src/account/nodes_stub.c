/* STUB of the lead's module; goes when it lands. */
#include "account/nodes.h"
#include "account/ledger.h"
#include <stdlib.h>
#include <string.h>

static struct node *all[64];
static size_t n_all;
static bool is_closed;

struct node *ledger_find_node(const struct ledger *ledger, const char *name)
{
	(void)ledger;
	for (size_t i = 0; i < n_all; i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}
bool ledger_is_open(const struct ledger *ledger)
{
	(void)ledger;
	return !is_closed;
}
void ledger_load_is_open(struct ledger *ledger, bool is_open)
{
	(void)ledger;
	is_closed = !is_open;
}
int ledger_load_node(
	struct ledger *ledger, const char *name, const struct node_kept *kept)
{
	struct node *node = ledger_find_node(ledger, name);
	if (node == NULL) {
		node = calloc(1, sizeof(*node) + strlen(name) + 1);
		if (node == NULL)
			return ERR_NOMEM;
		strcpy(node->name, name);
		all[n_all++] = node;
	}
	node->kept = *kept;
	return 0;
}
size_t ledger_n_secrets(const struct ledger *ledger)
{
	size_t n = 0;
	(void)ledger;
	for (size_t i = 0; i < n_all; i++)
		n += all[i]->kept.has_secret && all[i]->kept.deleted_ms == 0;
	return n;
}
