/*
 * What ledger.c and cut.c share: the ledger as its own files see it. Nobody else includes
 * this.
 */
#ifndef TALLYD_ACCOUNT_INTERNAL_H
#define TALLYD_ACCOUNT_INTERNAL_H

#include "account/cut.h"

TAILQ_HEAD(user_queue, user);
TAILQ_HEAD(service_queue, service);
TAILQ_HEAD(series_queue, series);

struct ledger {
	struct user *users; /* uthash keeps them in the order they came */
	struct service *services;
	struct user_queue dirty_users, unsent_users;
	struct service_queue dirty_services;
	struct series_queue dirty_series;
	struct repeats repeats;
	struct kept_reject *rejects; /* LEDGER_MAX_REJECTS of them, oldest at 0 */
	struct ledger_stats stats;
	size_t max_users, n_dirty_users, n_dirty_services, n_dirty_series, n_rejects;
	uint64_t seq, applied_seq, unsent_index, n_measured;
	struct link_record link;
	uint64_t link_version, saved_link_version;

	bool has_view;
};

/* Saturating; notes if that was needed. */
void ledger_add_totals(struct ledger *ledger, struct totals *to, const struct totals *by);

/* Each may stand in its queue already. */
void ledger_mark_user_dirty(struct ledger *ledger, struct user *user);
void ledger_mark_service_dirty(struct ledger *ledger, struct service *service);
void ledger_mark_series_dirty(struct ledger *ledger, struct series *series);

void reject_free(struct kept_reject *reject);

#endif
