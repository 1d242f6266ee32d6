/*
 * A checkpoint in memory: what src/store/store.c makes of a cut and gives back at a
 * start, in plain arrays. Names are short and rows are few; more of either fails the
 * test.
 */
#ifndef TALLYD_TESTS_IMAGE_H
#define TALLYD_TESTS_IMAGE_H

#include "account/cut.h"

#define IMAGE_NAME_BYTES 16
#define IMAGE_MAX_ROWS 32
#define IMAGE_MAX_OPEN (4 * REPEAT_MAX_OPEN)

struct image_service_key {
	char node[IMAGE_NAME_BYTES], name[IMAGE_NAME_BYTES];
	enum event_kind kind;
};

struct image_user {
	char id[IMAGE_NAME_BYTES];
	struct totals total;
	uint64_t created_ms, last_seen_ms, life;
};

struct image_service {
	struct image_service_key key;
	struct counters last; /* bytes: all that was ever added */
	struct epoch epoch;
	char state[32];
};

struct image_series {
	struct image_service_key key;
	char client[IMAGE_NAME_BYTES];
	struct mark mark;
};

struct image_open_report {
	struct image_service_key key;
	struct origin origin;
};

/* All zero: an empty one. */
struct image {
	uint64_t applied_seq;
	size_t n_users, n_services, n_series, n_open_reports;
	struct image_user users[IMAGE_MAX_ROWS];
	struct image_service services[IMAGE_MAX_ROWS];
	struct image_series series[IMAGE_MAX_ROWS];
	struct image_open_report open_reports[IMAGE_MAX_OPEN];
};

/* As store_commit(): a cut that was committed before is success and changes nothing. The
 * test fails if applied_seq is neither the one before nor the one behind it. */
void image_commit(struct image *image, const struct cut *cut);

/* As store_load(), into an empty ledger. 0 or ERR_NOMEM. */
int image_load(const struct image *image, struct ledger *ledger) MUST_CHECK;

/* NULL if there is none. */
const struct image_user *image_user(const struct image *image, const char *id);
const struct image_service *image_service(const struct image *image, const char *node,
	enum event_kind kind, const char *name);

/* Cuts the ledger and commits that. */
void image_flush(struct image *image, struct ledger *ledger);

#endif
