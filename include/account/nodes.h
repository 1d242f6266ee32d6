/*
 * Nodes: the GOST processes that have a name and a secret here (rule 28). A name
 * that was never made a node may report as long as the directory is open.
 *
 * A node that is deleted stays for NODE_KEPT_MS, with its marks and open reports, so that
 * a GOST of that name, made again within it, goes on without counting twice.
 */
#ifndef TALLYD_ACCOUNT_NODES_H
#define TALLYD_ACCOUNT_NODES_H

#include "account/account.h"
#include "account/row.h"
#include "base/hash.h"

#define NODE_HASH_BYTES 32
#define NODE_NOTE_BYTES 256
#define NODE_KEPT_MS (UINT64_C(30) * 86400000)
#define NODE_MAX_SECRET_BYTES 255
#define LEDGER_MAX_NODES 65536

enum node_counters { NODE_COUNTERS_UNSET, NODE_COUNTERS_DELTA, NODE_COUNTERS_CUMULATIVE };

/* All that is kept of a node; a command sets it as a whole. */
struct node_kept {
	bool is_enabled, has_secret;
	enum node_counters counters;
	uint8_t secret[NODE_HASH_BYTES], old_secret[NODE_HASH_BYTES]; /* hashes */
	uint64_t old_until_ms;           /* since 1970; 0: there is no old secret */
	uint64_t created_ms, deleted_ms; /* deleted 0: it is not */
	char note[NODE_NOTE_BYTES];
};

struct node {
	struct node_kept kept;
	bool is_known;          /* false: only prepared, or forgotten */
	bool has_told_counters; /* its address says other counters: told once */
	struct tenant *tenant;  /* of its name, as far as bounds are concerned */
	struct row row;
	UT_hash_handle hh;
	char name[];
};

/* "delta", "cumulative", or "" for unset; and back, where any other word is unset. */
const char *node_counters_name(enum node_counters counters);
enum node_counters node_counters_of(const char *name);

/* What reports of such a node are taken for: `otherwise` if it does not say. */
enum counter_mode node_mode(enum node_counters counters, enum counter_mode otherwise);

/* The hash of a node's secret: BLAKE2b of name, NUL, secret, so that equal secrets of two
 * nodes do not look alike. The secret itself is kept nowhere. */
void node_hash_secret(const char *name, const char *secret, size_t len,
	uint8_t ret_hash[NODE_HASH_BYTES]);

/* Whether that is the hash of its secret, or of the old one within its grace; in constant
 * time. False for a node that is deleted. */
bool node_knows_hash(
	const struct node *node, const uint8_t hash[NODE_HASH_BYTES], uint64_t now_ms);

/* Also a deleted one; NULL: nobody made it, or it is forgotten. Stays where it is. */
struct node *ledger_find_node(const struct ledger *ledger, const char *name);

/* Walks all nodes in the order they came; NULL begins. */
struct node *ledger_next_node(const struct ledger *ledger, const struct node *node);

size_t ledger_n_nodes(const struct ledger *ledger);

/* Those that have a secret and are not deleted. */
size_t ledger_n_secrets(const struct ledger *ledger);

/* Whether a service of that name has ever been counted. */
bool ledger_has_node_reported(const struct ledger *ledger, const char *name);

/* Another number after each change of a node, or of whether the directory is open. */
uint64_t ledger_nodes_version(const struct ledger *ledger);

/* Whether names without a secret may report. */
bool ledger_is_open(const struct ledger *ledger);

/* True if nothing was ever counted or commanded here. */
bool ledger_is_new(const struct ledger *ledger);

/* Start: a row of the checkpoint. 0 or ERR_NOMEM. */
int ledger_load_node(
	struct ledger *ledger, const char *name, const struct node_kept *kept) MUST_CHECK;
void ledger_load_is_open(struct ledger *ledger, bool is_open);

#endif
