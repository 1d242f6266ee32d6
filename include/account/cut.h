/*
 * The cut: what SQLite lacks of the ledger, moved out of it in one loop turn. Plain data:
 * it may be read on the thread pool while the ledger goes on, with what it points to as
 * far as the comments say. It is handed to SQLite until it is committed; what happens
 * meanwhile is for the next one.
 */
#ifndef TALLYD_ACCOUNT_CUT_H
#define TALLYD_ACCOUNT_CUT_H

#include "account/changes.h"
#include "account/command.h"
#include "account/ledger.h"

/* What SQLite lacks: the increments since the last cut. */
struct cut_user {
	struct user *user; /* the pool reads only what stays: id, created_ms, life */
	struct totals increment;
	uint64_t last_seen_ms; /* 0: only adopted */
};

struct cut_service {
	const struct service *service; /* the pool reads only kind, node and name */
	struct totals increment;
	struct counters last;
	uint64_t updated_ms;
	struct epoch epoch;
	bool drops_void; /* series whose mark is of an earlier epoch are to go */
	char state[32];
};

struct cut_series {
	struct series *series; /* the pool reads only client and service; NULL: it has
				  gone since */
	struct mark mark;
};

struct cut_open_report {
	const struct service *service;
	struct origin origin;
};

struct cut_node {
	struct node *node; /* the pool reads only its name */
	bool is_gone;      /* its row is to go */
	struct node_kept kept;
};

struct cut {
	uint64_t prev_seq, seq; /* applied_seq before and after */
	struct changes users;   /* of struct cut_user */
	struct changes series;  /* of struct cut_series */
	struct cut_service *services;
	size_t n_services;
	struct stream **streams; /* whose open reports are these, and no others; the
				    pool reads only their service */
	size_t n_streams;
	struct cut_open_report *open_reports;
	size_t n_open_reports;
	struct kept_reject *rejects;
	size_t n_rejects;
	bool has_link;
	struct link_record link;
	uint64_t link_version;
	struct cut_node *nodes;
	size_t n_nodes;
	bool has_open, is_open;
	uint64_t open_version;
	struct audit_list audit;
	struct done_command **commands; /* the pool reads all but the links of them */
	size_t n_commands;
};

/* True if a cut would hold anything that cannot wait for more. */
bool ledger_is_dirty(const struct ledger *ledger);

/* The entries at `index`, of users.n and series.n. */
const struct cut_user *cut_user(const struct cut *cut, size_t index);
const struct cut_series *cut_series(const struct cut *cut, size_t index);

/* Moves what is pending into a cut. One at a time. NULL if memory is short; then nothing
 * moved. */
struct cut *ledger_cut(struct ledger *ledger);

/* The cut is in SQLite: forget it. Takes the cut. */
void ledger_cut_committed(struct ledger *ledger, struct cut *cut);

/* The process ends before it is: the journal has all of it. Takes the cut. */
void ledger_forget_cut(struct cut *cut);

#endif
