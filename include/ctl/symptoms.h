/*
 * What the daemon's answers say of its nodes, as findings: for `doctor` and `node show`.
 * What a daemon does not tell, as an older one, is passed over.
 */
#ifndef TALLYD_CTL_SYMPTOMS_H
#define TALLYD_CTL_SYMPTOMS_H

#include "ctl/show.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/* A list `suspicions`: sentences and lines are the daemon's own. */
void symptoms_of_suspicions(cJSON *findings, const cJSON *suspicions);

/* The object `refusals`, grouped by who was refused and why, with the lines that end it.
 * What came right since, by the last reports in `nodes`, is left out. `only`: a node, or
 * NULL. */
void symptoms_of_refusals(
	cJSON *findings, const cJSON *refusals, const cJSON *nodes, const char *only);

/* Whether a report of that node, NULL: of any, was refused in the last minutes and is not
 * over. */
bool symptoms_is_refused(const cJSON *refusals, const cJSON *nodes, const char *only);

/* Nodes that are disabled, have never reported, or have been silent: each, or where they
 * are many, all in one. Who is refused was told of, and why it does not arrive. */
void symptoms_of_nodes(cJSON *findings, const cJSON *nodes, const cJSON *refusals);

/* The lines of GOST's configuration without which nothing arrives, as change lines. */
void symptoms_show_observer(cJSON *finding, const char *node);

/* The object `memory`: who has used up what there is of max_memory. `only`: a node, or
 * NULL. */
void symptoms_of_memory(cJSON *findings, const cJSON *memory, const char *only);

/* Of each node, by its `memory.full`: that there can be no more users, of which `users`
 * are there, or services. */
void symptoms_of_names(cJSON *findings, const cJSON *nodes, uint64_t users);

/* Whether one of the findings is a suspicion of wrong numbers, which lasts for a while
 * when it is mended. */
bool symptoms_has_wrong_numbers(const cJSON *findings);
#define SYMPTOMS_WRONG_NUMBERS_LAST                                                      \
	"What looks wrong in numbers is shown for up to 40 reports with traffic after "  \
	"it was mended."

/* What of a node has come since the daemon's start, as "users, states"; "": nothing, or
 * it is not told. Writes into `buf` and returns it. */
const char *symptoms_seen(const cJSON *node, char buf[SHOW_BYTES]);

/* A list `warnings`: sentences; the lines in them, in backticks, are the lines. */
void symptoms_of_warnings(cJSON *findings, const cJSON *warnings);

#endif
