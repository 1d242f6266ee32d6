/*
 * Commands: what changes a right or a number and is no report (rules 25 to 27). The order
 * of the steps, and nothing else:
 *
 *     key ► verb ► check ► journal ► ledger  ...  synced ► answered
 *
 * Up to the journal nothing has changed, and any failure is an answer. All of it happens
 * in one loop turn, so commands and reports apply in the order of their sequence.
 */
#ifndef TALLYD_COMMAND_COMMAND_H
#define TALLYD_COMMAND_COMMAND_H

#include "account/account.h"
#include "journal/journal.h"

#define COMMAND_KEY_BYTES 32

struct ledger;
struct verb;

struct command_parts {
	struct ledger *ledger;
	struct journal *journal;
	/* HOST:PORT that GOST on this machine reaches; borrowed. */
	const char *observer_host;
	/* Of the digests by which a repeated Idempotency-Key is compared: they are kept
	 * in the database, and may be of a body with a secret that can be guessed. */
	uint8_t digest_key[COMMAND_KEY_BYTES];
};

/* What was asked for; borrowed for the call. */
struct command_request {
	const struct verb *verb;
	const char *actor;
	const char *key;     /* Idempotency-Key, or "" */
	const char *subject; /* as the path names it, or "" */
	const char *body;    /* a JSON object, or nothing */
	size_t len;
};

/* The command is on disk: what to answer. Fires once, never inside commands_submit().
 * `json` is borrowed for the call; it may hold a secret. */
typedef void (*command_done_cb)(void *arg, unsigned status, const char *json);

struct commands;

/* Borrows the parts until commands_free(). From the next loop turn on, and every hour, it
 * does what the clock has to do. NULL if memory is short. */
struct commands *commands_new(uv_loop_t *loop, const struct command_parts *parts);

/* How long a node's old secret stays valid behind a new one. */
void commands_set_secret_grace(struct commands *commands, uint64_t ms);

/* What the counters of a node are taken for that does not say: the lines for its GOST
 * have to be the same. */
void commands_set_counters(struct commands *commands, enum counter_mode counters);

/*
 * Takes one command through the steps. 0: it is applied, or was before under this key;
 * `on_done` will fire. Else it was refused and nothing has changed: ERR_JSON, ERR_PARAM,
 * ERR_NOT_FOUND, ERR_CONFLICT, ERR_KEY_REUSED, ERR_JOURNAL_*, ERR_DISK_LOW, ERR_STOPPING,
 * ERR_NOMEM, with the sentence in `ret_msg`.
 */
int commands_submit(struct commands *commands, const struct command_request *request,
	command_done_cb on_done, void *arg, struct errmsg *ret_msg) MUST_CHECK;

/* The first node of an empty directory, which is closed with it. */
int commands_first_node(struct commands *commands, const char *name, const char *secret,
	struct errmsg *ret_msg) MUST_CHECK;

/*
 * The same without a journal, for a ledger in which everything is folded and that nobody
 * serves: the next checkpoint holds it. Of the request, who acts and its key are left
 * out. The sentence is in `ret_msg` if it is refused.
 */
int command_do_offline(struct ledger *ledger, const struct command_request *request,
	struct errmsg *ret_msg) MUST_CHECK;

/* From now on every command is refused with ERR_STOPPING. */
void commands_stop(struct commands *commands);

/* Commands that still wait are applied, and their on_done never fires: who answers them
 * says so. */
void commands_close(struct commands *commands, void (*on_closed)(void *arg), void *arg);
void commands_free(struct commands *commands);

#endif
