/*
 * The table of verbs: it alone drives dispatch, --help and the completion. A new verb is
 * a function in a file of its own, or of its family, and one row in verbs.c.
 */
#ifndef TALLYD_CTL_VERBS_H
#define TALLYD_CTL_VERBS_H

#include <stddef.h>

struct ctl;

/*
 * `argument`: NULL for a flag. `a|b|c`, in lower case, is a choice; a word in capitals is
 * free, and the completion knows what some of them are (complete.c): NODE, FILE.
 */
struct verb_option {
	const char *name, *argument, *help;
};

struct verb {
	const char *words;     /* "node add" */
	const char *arguments; /* "NODE", separated by spaces; all are needed */
	const char *summary;   /* what it does, as one line of --help */
	/* Does it; returns the exit code. */
	int (*run)(const struct ctl *ctl);
	/* What it takes beside those of every verb: rows up to one without a name. May be
	 * NULL. */
	const struct verb_option *(*options)(void);
};

/* All of them, up to one without words, in the order of --help. */
const struct verb *verb_rows(void);

/* What every verb takes; ends like the above. */
const struct verb_option *verb_common_options(void);

/* NULL if there is none of that name, without dashes, for this verb; `verb` may be NULL.
 */
const struct verb_option *verb_find_option(
	const struct verb *verb, const char *name, size_t len);

/* src/ctl/status.c */
int status_show(const struct ctl *ctl);

/* src/ctl/doctor.c */
int doctor_run(const struct ctl *ctl);
const struct verb_option *doctor_options(void);

/* src/ctl/node.c */
int node_list(const struct ctl *ctl);
int node_show(const struct ctl *ctl);
int node_add(const struct ctl *ctl);
int node_set(const struct ctl *ctl);
int node_secret(const struct ctl *ctl);
int node_rm(const struct ctl *ctl);
int node_close(const struct ctl *ctl);
int node_open(const struct ctl *ctl);
const struct verb_option *node_add_options(void);
const struct verb_option *node_set_options(void);
const struct verb_option *node_secret_options(void);
const struct verb_option *node_rm_options(void);
const struct verb_option *node_gate_options(void); /* of close and open */

#endif
