/*
 * A command: what changes a right or a number and is no report (rules 25 to 27). Pure
 * data and its application; who checks and answers it is src/command.
 *
 * It holds results: its effects are absolute sets, in the order in which they apply. So a
 * fold gives the same whatever the options, the clock or the version are by then.
 */
#ifndef TALLYD_ACCOUNT_COMMAND_H
#define TALLYD_ACCOUNT_COMMAND_H

#include "account/nodes.h"

/* Never renumbered: they stand in journals. */
enum effect_kind {
	EFFECT_NODE = 1, /* the node is as it says */
	EFFECT_FORGET_MARKS =
		2, /* of a node: its next cumulative counters count in full */
	EFFECT_FORGET_NODE = 3, /* the node, its marks and its open reports are no more */
	EFFECT_OPEN = 4,        /* whether names without a secret may report */
};

struct effect {
	enum effect_kind kind;
	const char *node; /* its name, or "" */
	union {
		struct node_kept kept;
		bool is_open;
	};
	struct node *in_node; /* set by ledger_prepare_command(), of EFFECT_NODE */
};

struct audit_entry;
struct done_command;

#define COMMAND_KEY_MAX_BYTES 64

/* Strings are never NULL and borrow from whoever made it. JSON texts hold no secret. */
struct command {
	const char *key;   /* the client's Idempotency-Key, or "" */
	const char *actor; /* "uid:1000", "api_token", "clock", ... */
	const char *verb;  /* "node.create" */
	const char *subject;
	const char *arguments;      /* JSON */
	const char *before, *after; /* JSON of the subject, or "" */
	const char *reason;
	unsigned status;    /* of the answer */
	const char *answer; /* JSON */
	struct effect *effects;
	size_t n_effects;
	struct audit_entry *in_audit; /* set by ledger_prepare_command() */
	struct done_command *in_done; /* likewise, if it has a key */
};

/* A row of `audit` on its way to SQLite: copies, in one allocation. */
struct audit_entry {
	uint64_t seq, at_ms;
	const char *actor, *verb, *subject, *before, *after, *reason, *key;
	TAILQ_ENTRY(audit_entry) link;
	char texts[];
};

TAILQ_HEAD(audit_list, audit_entry);

/* A command with a key, kept so that a repetition is answered as the first was. */
#define COMMANDS_KEPT 100000
#define COMMANDS_KEPT_MS (UINT64_C(7) * 86400000)

struct done_command {
	uint64_t seq, at_ms;
	uint8_t digest[FINGERPRINT_BYTES];
	unsigned status;
	const char *actor, *key, *answer;
	bool is_in_cut;
	struct row row;
	TAILQ_ENTRY(done_command) link; /* the oldest first */
	UT_hash_handle hh;              /* by actor NUL key */
	char texts[];
};

/*
 * Makes room so that the following ledger_apply_command() cannot fail. 0, or ERR_NOMEM;
 * then, and if the command is not written after all, ledger_forget_command() is due.
 */
int ledger_prepare_command(struct ledger *ledger, struct command *command) MUST_CHECK;
void ledger_forget_command(struct command *command);

/* Applies a prepared command as the record of `origin`, whose fingerprint is the digest
 * of what was asked for. */
void ledger_apply_command(struct ledger *ledger, const struct command *command,
	const struct origin *origin);

/* NULL: none of that key is kept. */
const struct done_command *ledger_find_command(
	const struct ledger *ledger, const char *actor, const char *key);

/* Start: a row of the checkpoint, the oldest first. 0 or ERR_NOMEM. */
int ledger_load_command(struct ledger *ledger, const struct command *command,
	const struct origin *origin) MUST_CHECK;

#endif
