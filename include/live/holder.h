/*
 * Who writes? tallyd:instance names a data directory, and a copy of it bears the same
 * name. So whoever is about to write sets tallyd:holder to his *run* (drawn anew by each
 * process), and from then on counts in it, once a second: one whose value goes on
 * changing is alive. Here is the key; what follows from it is judged in fence.h.
 */
#ifndef TALLYD_LIVE_HOLDER_H
#define TALLYD_LIVE_HOLDER_H

#include "live/redis.h"

#define HOLDER_KEY "tallyd:holder"
#define RUN_BYTES 17
#define HOLDER_BYTES 192

/* The key was read; it is ours now. */
typedef void (*holder_cb)(void *arg);

/* All borrowed up to the empty line; the rest is holder's own. */
struct holder {
	struct redis *redis;
	holder_cb on_seen;
	void *on_seen_arg;
	holder_cb on_taken;
	void *on_taken_arg;
	holder_cb on_older; /* the key is ours, but not as we wrote it last */
	void *on_older_arg;

	char run[RUN_BYTES];                 /* of this process */
	char where[64];                      /* host and process, for whoever wonders */
	uint64_t client_id, count;           /* our connection; 0: not known */
	uint64_t written_id, written_before; /* into the key; it may hold either */
	/* What the key holds, as it was read last; "" where it is missing, or is no value
	 * of ours. */
	char value[HOLDER_BYTES];
	char written[HOLDER_BYTES]; /* by us */
	bool is_there, is_renewing;
	bool is_forbidden, has_told_forbidden; /* Redis does not let us use the key */
};

/* Draws the run. */
void holder_init(struct holder *holder);

/* On a new connection: asks for its number, and forgets what was known. */
void holder_begin(struct holder *holder);

/* Reads the key; on_seen fires once, unless the connection is lost. */
void holder_look(struct holder *holder);

/* What the value read says: the run ("" if it tells none), its connection (0), where. */
void holder_run(const struct holder *holder, char ret_run[RUN_BYTES]);
uint64_t holder_client(const struct holder *holder);
const char *holder_where(const struct holder *holder);
bool holder_is_ours(const struct holder *holder);

/* Makes the key ours, if it still holds what was read last: then on_taken fires. If
 * somebody was faster the connection is dropped. */
void holder_take(struct holder *holder);

/* Counts on. If the key is another's by now, the connection is dropped. Asked for while
 * Redis has not answered the last one, nothing is done. */
void holder_renew(struct holder *holder);

#endif
