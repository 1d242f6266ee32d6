/*
 * What is written into Redis, and how it is known to be right (rules 14 to 16): hash
 * <prefix><id>, fields usedTraffic inputBytes outputBytes.
 *
 * Unsent bytes go out as one batch per loop turn, increments of one user merged into one
 * command or two (fields.h); at most two batches are outstanding, so what comes meanwhile
 * merges in the ledger instead of in memory. Each reply has to be what the ledger
 * expects. A user is *verified* once it was written absolutely (HSET) in the current
 * view; a new connection begins a new one, in which nobody is verified. A batch of an
 * earlier view shows nothing.
 *
 * Behind the unsent users a walk (walk.h) writes those who are not verified, at
 * repair_rate. Where Redis tells of edits by others (tracking.h), users that it names are
 * read, and a reply that differs concerns that user. Where it does not, such a reply
 * begins a new view, and the walk goes round for ever, slower, and reads. An error of one
 * key concerns that user alone: it is *refused*, and tried again when Redis tells of its
 * key, or a lap comes by. Any other error drops the connection.
 */
#ifndef TALLYD_LIVE_VIEW_H
#define TALLYD_LIVE_VIEW_H

#include "account/ledger.h"
#include "live/redis.h"

struct view_config {
	const char *key_prefix; /* borrowed for ever */
	uint64_t repair_rate;   /* users per second */
};

struct view_stats {
	uint64_t n_absolute;     /* users that were written absolutely */
	uint64_t n_refused;      /* commands that Redis answered with an error */
	uint64_t n_differences;  /* replies that were not what the ledger expects */
	size_t unverified_users; /* all of them while there is no connection */
	size_t refused_users;
	char error[256]; /* the last of one key, "" if no user is refused */
};

struct view_hooks {
	void (*on_progress)(void *arg); /* the shown index has grown */
	/* Somebody else wrote: nothing more is sent until view_resume(). */
	void (*on_difference)(void *arg);
	void *arg;
};

struct view;

/* Borrows all. NULL if memory is short. */
struct view *view_new(struct ledger *ledger, struct redis *redis,
	const struct view_config *config, const struct view_hooks *hooks);
void view_start(struct view *view, uv_loop_t *loop);

/* The connection is there and ours to write; it is gone. */
void view_begin(struct view *view);
void view_end(struct view *view);

/* Nothing is sent; it goes on; it goes on with nobody verified. */
void view_hold(struct view *view);
void view_resume(struct view *view);
void view_renew(struct view *view);

/*
 * Redis tells of edits by others (tracking.h), or not, which is how it begins. What it
 * has told is the key, of which any user's is read again, or that any key may be meant:
 * then the owner is asked, and all are read. While view_has_read_told() is false, nothing
 * more is to be told.
 */
void view_set_tracked(struct view *view, bool is_tracked);
void view_tell(struct view *view, const char *key, size_t len);
void view_tell_all(struct view *view);
bool view_has_read_told(const struct view *view);

/* There may be unsent users: they are sent at the end of this loop turn. */
void view_poke(struct view *view);
void view_set_repair_rate(struct view *view, uint64_t users_per_second);

/* Every user that joined that queue of the ledger's up to this index has been shown. */
uint64_t view_shown_index(const struct view *view, enum show show);

/* True once every user was written, but for those whom Redis refuses. */
bool view_is_repaired(const struct view *view);

void view_get_stats(const struct view *view, struct view_stats *ret_stats);

/* Whether Redis is to show just the ledger's total for this user, once it has executed
 * what was sent so far. */
bool view_is_verified(const struct view *view, const struct user *user);

/* Asks for a user's three fields (HMGET). As redis_send(). */
int view_ask(struct view *view, const struct user *user, redis_reply_cb on_reply,
	void *item) MUST_CHECK;

/* A reply to a question that was asked in view `number` (view_number()) showed something
 * else than the ledger's total: this user is written first of all. */
uint64_t view_number(const struct view *view);
void view_note_difference(struct view *view, uint64_t number, struct user *user);

void view_close(struct view *view, void (*on_closed)(void *arg), void *arg);
void view_free(struct view *view);

#endif
