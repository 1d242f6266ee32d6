/*
 * The ledger as its own files see it: one struct and one file per kind of thing that it
 * keeps. Nobody else includes this.
 *
 *     users.c services.c repeat_rows.c rejects.c    what is kept, and its rows
 *     link.c nodes.c audit.c
 *     watch.c                                       what looks wrong, for the moment
 *     sweep.c bounds.c                              what goes, and how much may come
 *     ledger.c command.c                            reports and commands: the order
 *     cut.c                                         all kinds of rows, as a table
 */
#ifndef TALLYD_ACCOUNT_INTERNAL_H
#define TALLYD_ACCOUNT_INTERNAL_H

#include "account/command.h"
#include "account/cut.h"
#include "account/watch.h"
#include "base/text.h"

/* users.c */

struct users {
	struct hash_table table;
	struct bounds *bounds;
	struct changes changes; /* of struct cut_user */
	size_t n;
	size_t n_in_cut_only; /* of an unfinished cut, and not dirty again since */
	bool has_view, is_view_up;
	struct {
		STAILQ_HEAD(, user) users;
		uint64_t index; /* see ledger_unsent_index() */
	} unsent[SHOWS];
	size_t n_unsent;
};

void users_init(struct users *users, struct bounds *bounds, bool has_view);
void users_done(struct users *users);
struct user *users_find(const struct users *users, const char *id);
/* Finds or allocates, for the tenant who brought it; NULL if memory is short. */
struct user *users_get(struct users *users, const char *id, struct tenant *tenant);
/* Finds the users of so many bookings, at most USERS_AHEAD, as far as they are there. */
void users_find_all(const struct users *users, struct booking *list, size_t n);
/* One that users_get() made, and to which nothing was applied, goes again. */
void users_forget_prepared(struct users *users, const char *id, struct tenant *tenant);
void users_apply(struct ledger *ledger, const struct booking *booking,
	const struct origin *origin, enum show show);

/* services.c: services and their series */

TAILQ_HEAD(service_list, service);

struct services {
	struct service *table;
	struct bounds *bounds;
	struct dirty dirty;
	struct changes series_changes; /* of struct cut_series */
	size_t n, n_series;
	struct service_list swept;     /* that may have void series, see sweep.c */
	struct service_list postponed; /* until the cut that has some of them ends */
};

void services_init(struct services *services, struct bounds *bounds);
void services_done(struct services *services);
struct service *services_find(const struct services *services, const char *node,
	enum event_kind kind, const char *name);
struct service *services_get(struct services *services, const char *node,
	enum event_kind kind, const char *name);
void services_forget_prepared(struct services *services, struct service *service);
uint64_t service_bytes(size_t node_len, size_t name_len);
/* Finds or allocates; NULL if memory is short. */
struct series *services_get_series(
	struct services *services, struct service *service, const char *client);
/* One that has no mark goes again. */
void services_forget_series(
	struct services *services, struct service *service, const char *client);
void services_free_series(struct services *services, struct series *series);
void services_make_real(
	struct services *services, struct service *service, uint64_t now_ms);
void services_apply(struct ledger *ledger, const struct booking *booking,
	const struct origin *origin);
void series_set_mark(
	struct services *services, struct series *series, const struct mark *mark);
/* What its services report next counts in full; the open reports of them lapse. */
void services_forget_marks(struct ledger *ledger, const char *node);
void services_lapse(struct ledger *ledger, const char *node);

/* sweep.c */

/* An epoch of the service has begun: series of an earlier one may go. */
void sweep_begin(struct services *services, struct service *service);
/* Looks at so many series. */
void sweep(struct services *services, size_t n);
/* The cut has ended. */
void sweep_resume(struct services *services);
/* The service goes. */
void sweep_forget(struct services *services, struct service *service);

/* rejects.c */

struct rejects {
	struct kept_reject *list; /* LEDGER_MAX_REJECTS of them, oldest at 0 */
	size_t n;
};

int rejects_init(struct rejects *rejects) MUST_CHECK; /* 0 or ERR_NOMEM */
void rejects_done(struct rejects *rejects);

/* link.c */

struct link {
	struct link_record record;
	uint64_t version, saved_version;
};

/* nodes.c */

struct nodes {
	struct node *table;
	struct bounds *bounds;
	struct dirty dirty;
	size_t n, n_secrets;
	uint64_t version; /* of all of it, see ledger_nodes_version() */
	bool is_open;
	uint64_t open_version, saved_open_version;
};

void nodes_init(struct nodes *nodes, struct bounds *bounds);
void nodes_done(struct nodes *nodes);
/* Finds or allocates; NULL if memory is short. */
struct node *nodes_get(struct nodes *nodes, const char *name);
void nodes_set(struct nodes *nodes, struct node *node, const struct node_kept *kept);
void nodes_forget(struct nodes *nodes, const char *name);
void nodes_set_open(struct nodes *nodes, bool is_open);

/* audit.c */

struct audit {
	struct audit_list entries; /* that no cut has taken */
	TAILQ_HEAD(, done_command) done;
	struct done_command *by_key;
	struct dirty dirty_done;
};

void audit_init(struct audit *audit);
void audit_done(struct audit *audit);
int audit_prepare(struct command *command) MUST_CHECK; /* 0 or ERR_NOMEM */
void audit_forget(struct command *command);
void audit_apply(
	struct audit *audit, const struct command *command, const struct origin *origin);

/* The whole. */

struct ledger {
	struct bounds bounds;
	struct users users;
	struct services services;
	struct repeats repeats;
	struct rejects rejects;
	struct link link;
	struct nodes nodes;
	struct audit audit;
	struct watch watch;
	uint64_t seq, applied_seq, n_measured, n_asked;
	bool has_saturated; /* some total has reached TOTAL_MAX */
};

/* Saturating; notes if that was needed. */
uint64_t ledger_add(struct ledger *ledger, uint64_t a, uint64_t b);
void ledger_add_totals(struct ledger *ledger, struct totals *to, const struct totals *by);

/* The kinds of rows; cut.c lists them. */
const struct row_kind *user_rows(void);
const struct row_kind *service_rows(void);
const struct row_kind *series_rows(void);
const struct row_kind *open_report_rows(void);
const struct row_kind *reject_rows(void);
const struct row_kind *link_rows(void);
const struct row_kind *node_rows(void);
const struct row_kind *open_rows(void);
const struct row_kind *audit_rows(void);
const struct row_kind *done_command_rows(void);

#endif
