/*
 * A verb: how one kind of command is checked, and turned into effects. verb.c lists them;
 * each is one function in the file of its family.
 */
#ifndef TALLYD_COMMAND_VERB_H
#define TALLYD_COMMAND_VERB_H

#include "account/command.h"
#include "account/ledger.h"
#include "account/node_json.h"
#include "base/json.h"
#include "base/text.h"

#define ACT_MAX_EFFECTS 4
#define SECRET_BYTES 33 /* 128 random bits in hex, and NUL */

/* One command while it is checked. A verb fills the second half. */
struct act {
	const struct ledger *ledger;
	const char *observer_host;
	enum counter_mode counters; /* of nodes that do not say */
	uint64_t secret_grace_ms;
	uint64_t now_ms;
	const char *subject;
	const cJSON *arguments; /* an object whose members the verb knows */
	struct errmsg *msg;     /* why it is refused */

	char subject_made[NAME_MAX_BYTES + 1]; /* where the path does not name it */
	struct effect effects[ACT_MAX_EFFECTS];
	size_t n_effects;
	cJSON *before, *after; /* of the subject, for the audit; may stay NULL */
	unsigned status;       /* 200 unless it says otherwise */
	cJSON *answer;         /* kept with the key: it holds no secret */
	cJSON *answer_once;    /* what is said this once instead, or NULL */
	bool is_short;         /* memory was too short for one of these */
};

struct verb {
	const char *name;
	const char *members; /* that its arguments may have, with commas between */
	/* Reads the arguments and looks at the ledger; changes nothing. 0, or ERR_PARAM,
	 * ERR_NOT_FOUND, ERR_CONFLICT with the sentence in act->msg. */
	int (*check)(struct act *act);
};

/* NULL if there is no such verb. */
const struct verb *verb_find(const char *name);

/* Adds an effect; the caller fills what its kind has beside the node. */
struct effect *act_effect(struct act *act, enum effect_kind kind, const char *node);

/* A text argument: "" if absent. ERR_PARAM if it is no text, or longer than max_bytes, or
 * holds control characters. */
int act_text(struct act *act, const char *name, size_t max_bytes,
	const char **ret_text) MUST_CHECK;

/* A boolean argument; absent leaves *ret_value. */
int act_bool(struct act *act, const char *name, bool *ret_value) MUST_CHECK;

/* True if the argument is there, also as null. */
bool act_has(const struct act *act, const char *name);

/* node.c */
int node_create(struct act *act);
int node_first(struct act *act);
int node_set(struct act *act);
int node_secret(struct act *act);
int node_delete(struct act *act);
int node_forget(struct act *act);
int node_close(struct act *act);
int node_open(struct act *act);

/* What is shown of a node, whole and without its secret. The caller's; NULL if memory is
 * short. */
cJSON *node_to_json(const char *name, const struct node_kept *kept);

#endif
