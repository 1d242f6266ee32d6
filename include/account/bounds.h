/*
 * Bounds of all that the outside can make grow (rule 29): memory in bytes, users and
 * services by number; and of each of them what one node may take, so that none uses up
 * the others' room. Pure; knows no rows, only what they cost.
 *
 * A node may take three quarters of what the others leave. All names that were never made
 * a node are one such node together, so that who reports under many has no more room; and
 * each of them may take three quarters of what the others leave of that. Where there is
 * nobody else, only memory is kept back.
 *
 * What was loaded or adopted is nobody's, if nobody knows who brought it: users.
 */
#ifndef TALLYD_ACCOUNT_BOUNDS_H
#define TALLYD_ACCOUNT_BOUNDS_H

#include "base/err.h"
#include "base/hash.h"
#include "base/hash_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOUNDS_MAX_SERVICES 65536

enum bound { BOUND_MEMORY, BOUND_USERS, BOUND_SERVICES, BOUNDS };

struct usage {
	uint64_t of[BOUNDS];
};

/* One name that reports, or is a node. */
struct tenant {
	struct usage used;
	size_t n_refs;           /* its services, and its node */
	uint64_t last_report_ms; /* since 1970; 1: not known when; 0: never */
	bool is_node;
	uint64_t rejected_events; /* since the start */
	bool has_told[BOUNDS];    /* that its share is nearly used */
	UT_hash_handle hh;
	char name[];
};

struct bounds {
	struct usage max;
	uint64_t load_max_bytes; /* more is not even loaded: there is no such memory */
	struct usage used, used_by_strangers;
	size_t n_nodes;    /* tenants that are nodes; all others are one */
	bool has_told_any; /* of some tenant: see has_told there */
	uint64_t n_freed;  /* users, services and series that have gone again, ever */
	struct tenant *table;
};

/* No memory is bounded yet, and services by their number only. */
void bounds_init(struct bounds *bounds, size_t max_users);
void bounds_done(struct bounds *bounds);

/* What a row costs: an allocation of `size` and its share of a hash table, which is
 * uthash's or a struct hash_table. */
uint64_t bounds_row_bytes(size_t size);
uint64_t bounds_item_bytes(size_t size);

/* Finds or makes it, and holds it until bounds_release(); NULL if memory is short. */
struct tenant *bounds_hold(struct bounds *bounds, const char *name);
void bounds_release(struct bounds *bounds, struct tenant *tenant);

struct tenant *bounds_find(const struct bounds *bounds, const char *name);
void bounds_set_node(struct bounds *bounds, struct tenant *tenant, bool is_node);

/* `tenant` NULL: it is nobody's. */
void bounds_add(
	struct bounds *bounds, struct tenant *tenant, enum bound bound, uint64_t n);
void bounds_sub(
	struct bounds *bounds, struct tenant *tenant, enum bound bound, uint64_t n);

/* Whether so much more surely fits, whoever it is for: then nobody need count exactly. */
bool bounds_are_far(const struct bounds *bounds, const struct usage *more);

/* Whether any tenant may have used four fifths of a share. */
bool bounds_is_any_near(const struct bounds *bounds);

/* NULL if so much more fits; else why not, and *ret_bound: which. `tenant` NULL: one that
 * has nothing yet, and is no node. */
const char *bounds_refusal(const struct bounds *bounds, const struct tenant *tenant,
	const struct usage *more, enum bound *ret_bound);

/* The most that the tenant may have, as long as the others have what they have. */
uint64_t bounds_share(
	const struct bounds *bounds, const struct tenant *tenant, enum bound bound);

/* Four fifths are used: said before the end is reached. Said again only once less than
 * three quarters have been. */
bool bounds_is_near(uint64_t used, uint64_t max);
bool bounds_is_far(uint64_t used, uint64_t max);

/* The option, or what else it is called: "max_memory". */
const char *bounds_name(enum bound bound);

#endif
