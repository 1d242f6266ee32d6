#define HASH_NONFATAL_OOM 1
#include "account/bounds.h"

#include <stdlib.h>
#include <string.h>

/* glibc: a word before each allocation, and 16 bytes at a time. */
#define MALLOC_HEAD_BYTES 8
#define MALLOC_STEP_BYTES 16
#define MALLOC_MIN_BYTES 32
/* uthash keeps 16 bytes per bucket, and has a bucket for every 2 to 4 entries. */
#define HASH_SHARE_BYTES 8

static const char *const reasons[BOUNDS] = {
	"max_memory is reached", "max_users is reached", "there are too many services"};
static const char *const share_reasons[BOUNDS] = {
	"this node has used its share of max_memory",
	"this node has used its share of max_users", "this node has too many services"};
static const char *const names[BOUNDS] = {"max_memory", "max_users", "services"};

const char *bounds_name(enum bound bound)
{
	return names[bound];
}

void bounds_init(struct bounds *bounds, size_t max_users)
{
	*bounds = (struct bounds){.max = {{UINT64_MAX, max_users, BOUNDS_MAX_SERVICES}},
		.load_max_bytes = UINT64_MAX};
}

void bounds_done(struct bounds *bounds)
{
	struct tenant *tenant = bounds->table, *next;

	HASH_CLEAR(hh, bounds->table);
	for (; tenant != NULL; tenant = next) {
		next = tenant->hh.next;
		free(tenant);
	}
}

static uint64_t allocated(size_t size)
{
	size_t bytes = (size + MALLOC_HEAD_BYTES + MALLOC_STEP_BYTES - 1) /
		MALLOC_STEP_BYTES * MALLOC_STEP_BYTES;

	return bytes > MALLOC_MIN_BYTES ? bytes : MALLOC_MIN_BYTES;
}

uint64_t bounds_row_bytes(size_t size)
{
	return allocated(size) + HASH_SHARE_BYTES;
}

uint64_t bounds_item_bytes(size_t size)
{
	return allocated(size) + sizeof(struct hash_item *);
}

static uint64_t tenant_bytes(const char *name)
{
	return bounds_row_bytes(sizeof(struct tenant) + strlen(name) + 1);
}

struct tenant *bounds_find(const struct bounds *bounds, const char *name)
{
	struct tenant *tenant;

	HASH_FIND_STR(bounds->table, name, tenant);
	return tenant;
}

static struct tenant *make(struct bounds *bounds, const char *name)
{
	size_t len = strlen(name);
	struct tenant *tenant = calloc(1, sizeof(*tenant) + len + 1);

	if (tenant == NULL)
		return NULL;
	memcpy(tenant->name, name, len);
	HASH_ADD_KEYPTR(hh, bounds->table, tenant->name, len, tenant);
	if (!HASH_IS_ADDED(tenant)) {
		free(tenant);
		return NULL;
	}
	bounds_add(bounds, tenant, BOUND_MEMORY, tenant_bytes(name));
	return tenant;
}

struct tenant *bounds_hold(struct bounds *bounds, const char *name)
{
	struct tenant *tenant = bounds_find(bounds, name);

	if (tenant == NULL)
		tenant = make(bounds, name);
	if (tenant != NULL)
		tenant->n_refs++;
	return tenant;
}

void bounds_release(struct bounds *bounds, struct tenant *tenant)
{
	if (--tenant->n_refs > 0)
		return;
	bounds_set_node(bounds, tenant, false);
	bounds_sub(bounds, tenant, BOUND_MEMORY, tenant_bytes(tenant->name));
	HASH_DEL(bounds->table, tenant);
	free(tenant);
}

void bounds_set_node(struct bounds *bounds, struct tenant *tenant, bool is_node)
{
	if (tenant->is_node == is_node)
		return;
	tenant->is_node = is_node;
	bounds->n_nodes += is_node ? 1 : (size_t)-1;
	for (size_t i = 0; i < BOUNDS; i++)
		bounds->used_by_strangers.of[i] +=
			is_node ? -tenant->used.of[i] : tenant->used.of[i];
}

void bounds_add(
	struct bounds *bounds, struct tenant *tenant, enum bound bound, uint64_t n)
{
	bounds->used.of[bound] += n;
	if (tenant == NULL)
		return;
	tenant->used.of[bound] += n;
	if (!tenant->is_node)
		bounds->used_by_strangers.of[bound] += n;
}

void bounds_sub(
	struct bounds *bounds, struct tenant *tenant, enum bound bound, uint64_t n)
{
	bounds_add(bounds, tenant, bound, -n); /* wraps back to what it was */
}

static uint64_t left_by(uint64_t max, uint64_t others)
{
	return others < max ? max - others : 0;
}

static uint64_t share_of(uint64_t max, uint64_t others)
{
	uint64_t left = left_by(max, others);

	return left - left / 4;
}

bool bounds_are_far(const struct bounds *bounds, const struct usage *more)
{
	for (size_t i = 0; i < BOUNDS; i++) {
		/* Of a stranger's share: two quarters are kept back from it. */
		uint64_t far = share_of(share_of(bounds->max.of[i], 0), 0);

		if (bounds->used.of[i] > far || more->of[i] > far - bounds->used.of[i])
			return false;
	}
	return true;
}

bool bounds_is_any_near(const struct bounds *bounds)
{
	/* 4/5 of 3/4 of 3/4 of what the others leave: at least 2/5 are used. */
	for (size_t i = 0; i < BOUNDS; i++)
		if (bounds->used.of[i] >= bounds->max.of[i] / 5 * 2)
			return true;
	return false;
}

/* Of what a number bounds, one alone may have all. */
static bool keeps_back(enum bound bound, size_t n_others)
{
	return bound == BOUND_MEMORY || n_others > 0;
}

/* Of all names together that are no node. */
static uint64_t strangers_max(const struct bounds *bounds, enum bound bound)
{
	uint64_t max = bounds->max.of[bound];
	uint64_t others = bounds->used.of[bound] - bounds->used_by_strangers.of[bound];

	return bounds->n_nodes > 0 ? share_of(max, others) : left_by(max, others);
}

uint64_t bounds_share(
	const struct bounds *bounds, const struct tenant *tenant, enum bound bound)
{
	bool is_node = tenant != NULL && tenant->is_node;
	uint64_t own = tenant != NULL ? tenant->used.of[bound] : 0;
	uint64_t max = is_node ? bounds->max.of[bound] : strangers_max(bounds, bound);
	uint64_t others =
		(is_node ? bounds->used.of[bound] : bounds->used_by_strangers.of[bound]) -
		own;
	size_t n_others = HASH_COUNT(bounds->table) - (is_node ? 0 : bounds->n_nodes) -
		(tenant != NULL ? 1 : 0);

	return keeps_back(bound, n_others) ? share_of(max, others) : left_by(max, others);
}

const char *bounds_refusal(const struct bounds *bounds, const struct tenant *tenant,
	const struct usage *more, enum bound *ret_bound)
{
	for (size_t i = 0; i < BOUNDS; i++) {
		enum bound bound = (enum bound)i;
		uint64_t own = tenant != NULL ? tenant->used.of[i] : 0;
		uint64_t room = left_by(bounds->max.of[i], bounds->used.of[i]);

		if (more->of[i] == 0)
			continue;
		*ret_bound = bound;
		if (more->of[i] > room)
			return reasons[i];
		if (more->of[i] > left_by(bounds_share(bounds, tenant, bound), own))
			return share_reasons[i];
	}
	return NULL;
}

bool bounds_is_near(uint64_t used, uint64_t max)
{
	return used >= max - max / 5;
}

bool bounds_is_far(uint64_t used, uint64_t max)
{
	return used < max - max / 4;
}
