/* src/live between a ledger and a peer (peer.h), in a loop of its own. */
#ifndef TALLYD_TESTS_LIVE_RIG_H
#define TALLYD_TESTS_LIVE_RIG_H

#include "account/cut.h"
#include "lib/peer.h"
#include "lib/tempdir.h"
#include "live/live.h"

#define RIG_PATIENCE_MS 60000 /* valgrind beside other load is slow */
#define RIG_A_WHILE_MS 30     /* to see that nothing happens */
#define RIG_OWN_ID "me"

struct live_rig {
	uv_loop_t loop;
	struct tempdir dir;
	struct peer *peer;
	struct ledger *ledger;
	struct redis_address address;
	struct live_config config;
	struct live *live; /* NULL until it is started */
	bool saves_links;  /* each in the next loop turn; true unless told */
	unsigned n_links, n_saved;
	uv_timer_t save;
	bool is_closed;
};

/* Peer and ledger, both empty, and a config to be changed before the start. Its timeouts
 * are so long that none is ever over. */
void rig_begin(struct live_rig *rig);
void rig_build(struct live_rig *rig); /* only so far as live_new() */
void rig_start(struct live_rig *rig); /* builds it too, if that is not done yet */
void rig_stop(struct live_rig *rig);
void rig_end(struct live_rig *rig); /* stops it too, if that is not done yet */

/* rig_begin() with a ledger that was linked before, and never claimed since. */
void rig_begin_linked(struct live_rig *rig);

/* The same, started: ann and bob are shown, nothing was seen since, and the view walks
 * round over nobody: only what is booked is written. */
void rig_begin_quiet(struct live_rig *rig);

/* As quiet, and Redis tells of edits since before anything was written: only what it
 * tells of is read. At a high rate. */
void rig_begin_tracked(struct live_rig *rig);

/* A user of the checkpoint. */
void rig_load(struct live_rig *rig, const char *id, struct totals total);
void rig_book(struct live_rig *rig, const char *id, uint64_t input, uint64_t output);
struct totals rig_total(const struct live_rig *rig, const char *id);

/* A hash in Redis, with whatever stands in usedTraffic. */
void rig_hash(struct live_rig *rig, const char *id, const char *used);

/* As one flush that was committed. */
void rig_save(struct live_rig *rig);

/* Run until that is so; the test fails if that takes too long. */
void rig_until(struct live_rig *rig, bool (*is_reached)(const void *rig));
void rig_until_state(struct live_rig *rig, enum live_state state);
void rig_until_seen(struct live_rig *rig, const char *head, size_t n);

/* Run until it is up, Redis holds the ledger's total of each user, and each is verified
 * and known to be shown. */
void rig_until_shown(struct live_rig *rig);

/* Run until Redis tells of edits. */
void rig_until_tracked(struct live_rig *rig);

/* Whether Redis holds just the ledger's totals of that user. */
bool rig_is_shown(const struct live_rig *rig, const char *id);

/* Users that were written as a whole: all three fields at once. */
size_t rig_count_whole(const struct live_rig *rig);

/* No command came that changes anything but names of connections. */
bool rig_saw_no_write(const struct live_rig *rig);

struct live_stats rig_stats(const struct live_rig *rig);

#endif
