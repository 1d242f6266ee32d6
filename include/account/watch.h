/*
 * The watch looks at accepted reports and knows what looks wrong in them (rule 8): a
 * wrong counter mode, two senders under one name, a level or an auther that is missing.
 * It books nothing and refuses nothing. Pure: no log, no I/O, time is handed in.
 *
 * It is fed with reports that were accepted and are no repeats, so a fold does not feed
 * it, and a start begins without suspicions: nothing of it is kept. What it knows of a
 * service stands in the service; what it knows of a series, in a table of its own, since
 * deltas have no series in the ledger.
 *
 * Bounds. WATCH_MAX_SERIES are watched: in a full table, one that has not reported for
 * WATCH_IDLE_MS gives way, the longest first; without such a one, a series that is new is
 * not watched. (Did the least recently used give way, 100,000 users who report by turns
 * would push each other out, and none would be watched.) Of WATCH_MAX_NODES, the one that
 * has been silent for longest is forgotten. All of it takes at most WATCH_MAX_BYTES (a
 * third of that only while the table grows), beside what stands in the services.
 */
#ifndef TALLYD_ACCOUNT_WATCH_H
#define TALLYD_ACCOUNT_WATCH_H

#include "account/account.h"
#include "account/suspicion.h"

#define WATCH_REPORTS 12 /* of a series: so many tell something, and */
#define WATCH_FALLS 3    /* so many falls among them are too many (rule 8) */
#define WATCH_MAX_SERIES 65536
#define WATCH_MAX_NODES 4096
#define WATCH_NODE_BUCKETS 1024
#define WATCH_IDLE_MS 60000
#define WATCH_PEERS 4 /* addresses of a node that are remembered */
#define WATCH_MAX_BYTES (UINT64_C(14) << 20)

/* Part of every service. All zero: nothing was seen of it. Windows are bits, one per
 * report, the newest lowest. */
struct service_watch {
	uint64_t report; /* the last one that it was in, by the watch's own number */
	uint32_t epoch;  /* of the service, when it was last seen */
	uint32_t peer,
		prev_peer;     /* hashes of addresses: of its last report, and before */
	uint16_t generation;   /* series of another one begin anew */
	uint16_t n_traffic;    /* reports with traffic, counted up to a few */
	uint16_t rises, falls; /* of its series, if they are deltas */
	uint16_t came_back, mixed, steady;    /* windows, see by_turns() in watch.c */
	uint16_t unconfirmed[N_SERIES_CODES]; /* reports since a series looked so */
	uint32_t n_suspect[N_SERIES_CODES];   /* series that look so */
	uint8_t n_cleared[N_SERIES_CODES];    /* how often all of them were let off */
	uint8_t raised; /* bits by suspicion_code: these are listed */
	uint8_t mode;   /* 1 + enum counter_mode; 0: nothing was seen */
	bool has_client, has_announced;
	bool is_fresh; /* what it announced before was another GOST's */
};

struct watch_peer {
	uint32_t hash; /* 0: none */
	char text[SUSPICION_PEER_BYTES];
};

/* What was seen of a node since the start. */
struct watch_node {
	struct watch_peer peers[WATCH_PEERS]; /* the last first */
	enum counter_mode mode;               /* of its last report */
	bool has_users, has_handler, has_service, has_states;
	unsigned n_settled; /* handlers that have had WATCH_REPORTS */
	bool is_quiet; /* of all its services nothing was ever counted; for a moment */
	TAILQ_ENTRY(watch_node) link;
	LIST_ENTRY(watch_node) in_bucket;
	char name[];
};

/* See watch_series.c. */
struct watch_table {
	struct watch_set *sets;
	struct watch_series *series;
	size_t n_sets;
};

struct watch {
	struct watch_table table;
	struct suspicions suspicions;
	/* By name. No uthash: that would end the process where memory is short. */
	LIST_HEAD(, watch_node) nodes[WATCH_NODE_BUCKETS];
	TAILQ_HEAD(, watch_node) by_use; /* the longest silent first */
	size_t n_nodes;
	uint64_t n_reports;
	size_t n_suspect_series;
	uint64_t quiet_ms; /* when watch_find_quiet() has looked */
};

/* An accepted report, behind ledger_apply(). All is borrowed for the call. */
struct watch_report {
	const char *node;
	enum counter_mode mode;
	const char *peer; /* its address, or "" */
	uint64_t conn;    /* the connection's number */
	const struct bookings *bookings;
	uint64_t now_ms; /* since 1970 */
};

void watch_init(struct watch *watch);
void watch_done(struct watch *watch);

/* Looks at a report. Allocates nothing for series and nodes that it knows; where memory
 * is short, what is new is not watched. */
void watch_see(struct watch *watch, const struct watch_report *report);

/* A node that announces itself and then brings nothing sends no report that could be
 * looked at: this suspects it, or no more, before suspicions are shown. At most once a
 * second, as it goes through all services. */
#define WATCH_QUIET_MS 600000
void watch_find_quiet(struct ledger *ledger, uint64_t now_ms);

/* All that was seen of the node is void: its counters mean something else now, or,
 * `is_fresh`, it is another GOST. */
void watch_forget_node(struct ledger *ledger, const char *node, bool is_fresh);

/* NULL: it has not reported since the start, or others did since. */
const struct watch_node *watch_find_node(const struct watch *watch, const char *name);

#endif
