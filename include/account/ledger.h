/*
 * The ledger: all users and services in memory, what of them SQLite does not have yet
 * (dirty), and what Redis has not been told yet (unsent). It is the fold of checkpoint
 * and journal. This is its face; what it keeps is in one file per kind, see internal.h.
 *
 * Belongs to the loop's thread. What it owes SQLite leaves as a cut, see cut.h. Users and
 * services to which something was applied are never freed before the ledger is; pointers
 * to them stay. A series goes once its mark is void; that changes no sum. Totals saturate
 * at 2^63-1, the largest that SQLite and Redis hold (rule 2).
 */
#ifndef TALLYD_ACCOUNT_LEDGER_H
#define TALLYD_ACCOUNT_LEDGER_H

#include "account/account.h"
#include "account/bounds.h"
#include "account/nodes.h"
#include "account/repeat.h"
#include "account/series.h"
#include "account/watch.h"
#include "base/hash.h"
#include "base/hash_table.h"

#include <stdbool.h>
#include <sys/queue.h>

#define TOTAL_MAX ((uint64_t)INT64_MAX)
#define LEDGER_MAX_REJECTS 1000 /* waiting for a flush; also the bound of the table */

/* Independent sums: an adopted panel total has only `used`. */
struct totals {
	uint64_t used, input, output;
};

/* The queues of unsent users, see ledger_unsent_index(). */
enum show { SHOW_FIRST, SHOW_LAST, SHOWS };

/* There may be millions: each 16 bytes are as many MiB. */
struct user {
	struct hash_item item;
	struct totals total;  /* all of it: what Redis is to show */
	struct totals unsent; /* of it, what was not sent to Redis since the last send */
	uint64_t change; /* the number of its struct cut_user: what no cut has taken */
	uint64_t view;   /* live's: the view that this user was last written to */
	STAILQ_ENTRY(user) unsent_link[SHOWS];
	uint64_t created_ms; /* since 1970; 0: only prepared */
	uint64_t life; /* the sequence of the record that made it; 0: older than lives */
	bool is_queued[SHOWS];
	char id[];
};

struct service {
	struct totals pending; /* `used` is not kept for services */
	struct counters last;  /* bytes: totals since ever; the rest: of its last report,
				  the sums over its events */
	uint64_t last_seq;     /* the record of that report; 0: before the start */
	uint64_t updated_ms;
	struct row row;
	UT_hash_handle hh;
	enum event_kind kind;
	const char *node, *name;    /* inside key */
	struct tenant *tenant;      /* the node, as far as bounds are concerned */
	struct service *other;      /* of the other kind and the same names, or NULL */
	struct hash_table series;   /* by client */
	struct epoch epoch;         /* of the counters of both kinds */
	struct epoch scratch_epoch; /* series_measure()'s */
	uint64_t measured_for;
	struct series *sweep_at; /* the next to be looked at; NULL: none */
	bool is_swept, has_skipped, is_postponed;
	bool drops_void; /* SQLite has series of an earlier epoch */
	TAILQ_ENTRY(service) sweep_link;
	struct stream stream;
	struct service_watch watch;
	char state[32];
	char key[];
};

/* A reject on its way to SQLite. Texts are owned, except `reason`, which is static. */
struct kept_reject {
	uint64_t at_ms;
	const char *reason;
	char *node, *event;
};

/*
 * What this data directory remembers of Redis. at_ms 0: it was never linked to one, so
 * totals that stand there are somebody's earlier ones. `claim`: whose totals were taken
 * over, until tallyd:instance has been seen to be ours; "" if there is nothing to claim.
 */
#define CLAIM_BYTES 65
struct link_record {
	uint64_t at_ms; /* since 1970; each linking has another */
	char claim[CLAIM_BYTES];
};

/* Totals that somebody else counted before us. */
struct adopted {
	char *id;
	struct totals total;
};

struct ledger_stats {
	size_t users, dirty_users; /* dirty_users includes those of an unfinished cut */
	size_t unsent_users, services, series;
	size_t open_reports;
	uint64_t dropped_open_reports; /* since the start: there were too many */
	bool has_saturated;            /* some total has reached TOTAL_MAX */
};

/* `has_view` false: nothing is kept for Redis. NULL if memory is short. */
struct ledger *ledger_new(size_t max_users, bool has_view);
void ledger_free(struct ledger *ledger);

/* Start: so many users are to be loaded. Their table is made at once, if memory allows.
 */
void ledger_expect_users(struct ledger *ledger, size_t n);

/* Start: a row of the checkpoint. 0 or ERR_NOMEM. */
int ledger_load_user(struct ledger *ledger, const char *id, struct totals total,
	uint64_t created_ms, uint64_t life) MUST_CHECK;
int ledger_load_service(struct ledger *ledger, const char *node, enum event_kind kind,
	const char *name, const struct counters *last, const char *state,
	const struct epoch *epoch, uint64_t updated_ms) MUST_CHECK;
int ledger_load_series(struct ledger *ledger, const char *node, enum event_kind kind,
	const char *name, const char *client, const struct mark *mark) MUST_CHECK;
int ledger_load_open_report(struct ledger *ledger, const char *node, enum event_kind kind,
	const char *name, const struct origin *origin) MUST_CHECK;

/* Has the processor fetch those who are looked up next, at most USERS_AHEAD of them; see
 * base/hash_table.h. */
#define USERS_AHEAD 32
void ledger_fetch_users(const struct ledger *ledger, const char *const *ids, size_t n);

/*
 * Makes room so that the following ledger_apply() of the same bookings cannot fail: finds
 * or allocates each user, service and series. A new one is invisible until something is
 * applied to it. 0 or ERR_NOMEM.
 */
int ledger_prepare(
	struct ledger *ledger, const char *node, struct bookings *bookings) MUST_CHECK;

/* How far bookings are prepared, where that is done over more than one loop turn; all
 * zero at first. */
struct prepared {
	size_t n;
	uint64_t n_freed; /* of the ledger's bounds, when it began */
};

/* The same of those bookings that are not prepared yet. They cannot be applied before
 * ledger_prepare_rest(). */
int ledger_prepare_more(struct ledger *ledger, const char *node,
	struct bookings *bookings, struct prepared *prepared) MUST_CHECK;

/* Now they can be applied, in this turn. What was prepared costs nothing again, unless
 * something has been freed since that it may point to. */
int ledger_prepare_rest(struct ledger *ledger, const char *node,
	struct bookings *bookings, struct prepared *prepared) MUST_CHECK;

/* The bookings were not accepted after all: what only ledger_prepare() made goes again.
 */
void ledger_forget_prepared(
	struct ledger *ledger, const char *node, struct bookings *bookings);

/* The same of those from `from` on, which are bookings no more. */
void ledger_forget_from(
	struct ledger *ledger, const char *node, struct bookings *bookings, size_t from);

/* Gives prepared bookings their deltas and marks, see series_measure(). */
void ledger_measure(struct ledger *ledger, struct bookings *bookings);

/* Adds bookings that were prepared, at least one, as the record of `origin`; nothing, if
 * that is a repeat. The one place where totals grow. */
void ledger_apply(struct ledger *ledger, const struct bookings *bookings,
	const struct origin *origin);

/* Lets the record of `origin` tell what was proved since the last one. */
void ledger_tell_proofs(const struct ledger *ledger, struct origin *origin);

/* The stream that prepared bookings belong to: that of the first one's service. NULL if
 * they hold no traffic: only that is repeated. */
struct stream *ledger_stream(const struct bookings *bookings);

/* What prepared bookings repeat, see repeats_find(), or 0. In whatever stream of theirs
 * it is, behind this it is the first one's. */
uint64_t ledger_find_repeat(struct ledger *ledger, struct bookings *bookings,
	const uint8_t fingerprint[FINGERPRINT_BYTES], delivery_cb delivery_of, void *arg);

/* The open reports. */
struct repeats *ledger_repeats(struct ledger *ledger);

/* What looks wrong. Whoever accepts reports feeds it; a fold does not. */
struct watch *ledger_watch(struct ledger *ledger);

/*
 * Adds totals that no report brought: they stand in no journal, only in the next cut, so
 * whoever calls this has to be able to read them again until that is committed. 0, or
 * ERR_NOMEM and nothing has changed.
 */
int ledger_adopt(struct ledger *ledger, const struct adopted *list, size_t n,
	uint64_t now_ms) MUST_CHECK;

/*
 * The link. A change makes the ledger dirty, and is in the next cut, with what was
 * adopted.
 */
void ledger_load_link(struct ledger *ledger, const struct link_record *link);
void ledger_set_link(struct ledger *ledger, const struct link_record *link);
const struct link_record *ledger_link(const struct ledger *ledger);
bool ledger_is_link_saved(const struct ledger *ledger);

/* Keeps a reject for the next flush; the oldest gives way above LEDGER_MAX_REJECTS. */
void ledger_keep_reject(struct ledger *ledger, const char *node,
	const struct reject *reject, uint64_t now_ms);

const struct user *ledger_find_user(const struct ledger *ledger, const char *id);
bool ledger_has_service(const struct ledger *ledger, const char *node,
	enum event_kind kind, const char *name);
/* Walks all services in the order they came; NULL begins. */
const struct service *ledger_next_service(
	const struct ledger *ledger, const struct service *service);
bool ledger_has_series(const struct ledger *ledger, const char *node,
	enum event_kind kind, const char *name, const char *client);

/* True if that many more fit. */
bool ledger_has_room_for_users(const struct ledger *ledger, size_t n);

/*
 * Bounds in bytes (rule 29): of what is to come, and of what may be loaded at all, since
 * more would end the process. Without them memory is not bounded.
 */
void ledger_set_bounds(
	struct ledger *ledger, uint64_t max_bytes, uint64_t load_max_bytes);
const struct bounds *ledger_bounds(const struct ledger *ledger);

/* What one costs of them, whose name has so many bytes. */
uint64_t user_bytes(size_t id_len);
uint64_t series_bytes(size_t client_len);

/* Counts rejected events of a node, if it holds or is anything yet. */
void ledger_note_rejected(struct ledger *ledger, const char *node, uint64_t n);

/* More was loaded than load_max_bytes. */
bool ledger_is_overloaded(const struct ledger *ledger);

/* Once: whether the node has used four fifths of its share of *ret_bound. */
bool ledger_tell_share(struct ledger *ledger, const char *node, enum bound *ret_bound);

/* Frees some series that are void, if there are any. Also done with each report. */
void ledger_sweep(struct ledger *ledger);

void ledger_get_stats(const struct ledger *ledger, struct ledger_stats *ret_stats);

/* The last sequence applied, and the last one committed. */
uint64_t ledger_seq(const struct ledger *ledger);
uint64_t ledger_applied_seq(const struct ledger *ledger);
void ledger_set_applied_seq(struct ledger *ledger, uint64_t seq);

/*
 * The view. Users of a report join a queue, each at most once, to be shown: the crowd of
 * a large one SHOW_LAST, all others SHOW_FIRST, so that nobody has to wait for a crowd.
 * Who stands in both goes with all its bytes when its first turn comes, and with none
 * when the other does. The index of a queue counts how many ever joined. Once every user
 * that joined up to index i has been taken and shown, so are all reports of that queue
 * that were applied before ledger_unsent_index() returned i.
 */
enum show ledger_show_of(const struct bookings *bookings);
uint64_t ledger_unsent_index(const struct ledger *ledger, enum show show);
bool ledger_has_unsent(const struct ledger *ledger, enum show show);

/* While it is not up, as in the beginning, nobody waits for being shown: all are to be
 * shown last. */
void ledger_set_view_up(struct ledger *ledger, bool is_up);

/* Puts the user first, although it may have no new bytes: it is shown wrong. */
void ledger_mark_unsent(struct ledger *ledger, const struct user *user);

/* Takes the next user out of the queue and its unsent bytes with it; NULL if there is
 * none. */
struct user *ledger_take_unsent(
	struct ledger *ledger, enum show show, struct totals *ret_unsent);

static inline bool user_has_unsent(const struct user *user)
{
	return (user->unsent.used | user->unsent.input | user->unsent.output) != 0;
}

/* Walks all users in no particular order; NULL begins. Whoever is there all the while is
 * met once, whoever else comes. */
struct user *ledger_next_user(const struct ledger *ledger, const struct user *user);

#endif
