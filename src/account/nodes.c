/* Nodes, and whether the directory is open to names without a secret. */
#define HASH_NONFATAL_OOM 1
#include "account/internal.h"

#include <stdlib.h>
#include <string.h>

static const char *const counters_names[] = {"", "delta", "cumulative"};

const char *node_counters_name(enum node_counters counters)
{
	return counters_names[counters];
}

enum node_counters node_counters_of(const char *name)
{
	if (strcmp(name, counters_names[NODE_COUNTERS_DELTA]) == 0)
		return NODE_COUNTERS_DELTA;
	return strcmp(name, counters_names[NODE_COUNTERS_CUMULATIVE]) == 0
		? NODE_COUNTERS_CUMULATIVE
		: NODE_COUNTERS_UNSET;
}

enum counter_mode node_mode(enum node_counters counters, enum counter_mode otherwise)
{
	if (counters == NODE_COUNTERS_UNSET)
		return otherwise;
	return counters == NODE_COUNTERS_CUMULATIVE ? COUNTERS_CUMULATIVE
						    : COUNTERS_DELTA;
}

void nodes_init(struct nodes *nodes, struct bounds *bounds)
{
	nodes->bounds = bounds;
	dirty_init(&nodes->dirty);
	nodes->is_open = true;
}

void nodes_done(struct nodes *nodes)
{
	struct node *node = nodes->table, *next;

	HASH_CLEAR(hh, nodes->table);
	for (; node != NULL; node = next) {
		next = node->hh.next;
		free(node);
	}
}

static struct node *find(const struct nodes *nodes, const char *name)
{
	struct node *node;

	HASH_FIND_STR(nodes->table, name, node);
	return node;
}

struct node *nodes_get(struct nodes *nodes, const char *name)
{
	struct node *node = find(nodes, name);
	size_t len = strlen(name);

	if (node != NULL)
		return node;
	node = calloc(1, sizeof(*node) + len + 1);
	if (node == NULL)
		return NULL;
	memcpy(node->name, name, len);
	node->tenant = bounds_hold(nodes->bounds, name);
	if (node->tenant == NULL)
		goto fail;
	HASH_ADD_KEYPTR(hh, nodes->table, node->name, len, node);
	if (!HASH_IS_ADDED(node))
		goto release;
	return node;
release:
	bounds_release(nodes->bounds, node->tenant);
fail:
	free(node);
	return NULL;
}

static bool counts_as_secret(const struct node *node)
{
	return node->is_known && node->kept.has_secret && node->kept.deleted_ms == 0;
}

static void set(struct nodes *nodes, struct node *node, const struct node_kept *kept)
{
	nodes->version++;
	nodes->n_secrets -= counts_as_secret(node);
	nodes->n += !node->is_known;
	node->is_known = true;
	bounds_set_node(nodes->bounds, node->tenant, kept->deleted_ms == 0);
	node->kept = *kept;
	node->has_told_counters = false;
	nodes->n_secrets += counts_as_secret(node);
}

void nodes_set(struct nodes *nodes, struct node *node, const struct node_kept *kept)
{
	set(nodes, node, kept);
	dirty_mark(&nodes->dirty, &node->row);
}

void nodes_forget(struct nodes *nodes, const char *name)
{
	struct node *node = find(nodes, name);

	if (node == NULL || !node->is_known)
		return;
	nodes->version++;
	nodes->n_secrets -= counts_as_secret(node);
	nodes->n--;
	node->is_known = false;
	bounds_set_node(nodes->bounds, node->tenant, false);
	node->kept = (struct node_kept){0};
	dirty_mark(&nodes->dirty, &node->row);
}

void nodes_set_open(struct nodes *nodes, bool is_open)
{
	nodes->version++;
	nodes->is_open = is_open;
	nodes->open_version++;
}

struct node *ledger_find_node(const struct ledger *ledger, const char *name)
{
	struct node *node = find(&ledger->nodes, name);

	return node != NULL && node->is_known ? node : NULL;
}

struct node *ledger_next_node(const struct ledger *ledger, const struct node *node)
{
	struct node *next = node == NULL ? ledger->nodes.table : node->hh.next;

	while (next != NULL && !next->is_known)
		next = next->hh.next;
	return next;
}

size_t ledger_n_nodes(const struct ledger *ledger)
{
	return ledger->nodes.n;
}

size_t ledger_n_secrets(const struct ledger *ledger)
{
	return ledger->nodes.n_secrets;
}

uint64_t ledger_nodes_version(const struct ledger *ledger)
{
	return ledger->nodes.version;
}

bool ledger_is_open(const struct ledger *ledger)
{
	return ledger->nodes.is_open;
}

int ledger_load_node(
	struct ledger *ledger, const char *name, const struct node_kept *kept)
{
	struct node *node = nodes_get(&ledger->nodes, name);

	if (node == NULL)
		return ERR_NOMEM;
	set(&ledger->nodes, node, kept);
	return 0;
}

void ledger_load_is_open(struct ledger *ledger, bool is_open)
{
	ledger->nodes.is_open = is_open;
}

/* The rows of nodes */

static bool is_dirty(const struct ledger *ledger)
{
	return ledger->nodes.dirty.n > 0;
}

static int reserve(const struct ledger *ledger, struct cut *cut)
{
	cut->nodes = calloc(ledger->nodes.dirty.n + 1, sizeof(*cut->nodes));
	return cut->nodes != NULL ? 0 : ERR_NOMEM;
}

static void move(struct ledger *ledger, struct cut *cut)
{
	struct row *row;

	while ((row = dirty_take(&ledger->nodes.dirty)) != NULL) {
		struct node *node = ROW_OF(struct node, row);

		cut->nodes[cut->n_nodes++] =
			(struct cut_node){node, !node->is_known, node->kept};
	}
}

static void done(struct cut *cut)
{
	free(cut->nodes);
}

const struct row_kind *node_rows(void)
{
	static const struct row_kind kind = {is_dirty, reserve, move, NULL, done};

	return &kind;
}

/* The row that says whether the directory is open: dirty until it has been committed. */

static bool is_open_dirty(const struct ledger *ledger)
{
	return ledger->nodes.open_version != ledger->nodes.saved_open_version;
}

static void move_open(struct ledger *ledger, struct cut *cut)
{
	cut->has_open = is_open_dirty(ledger);
	cut->is_open = ledger->nodes.is_open;
	cut->open_version = ledger->nodes.open_version;
}

static void open_committed(struct ledger *ledger, struct cut *cut)
{
	ledger->nodes.saved_open_version = cut->open_version;
}

const struct row_kind *open_rows(void)
{
	static const struct row_kind kind = {
		is_open_dirty, NULL, move_open, open_committed, NULL};

	return &kind;
}
