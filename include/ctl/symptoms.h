/*
 * What the daemon's answers say of its nodes, as findings: for `doctor` and `node show`.
 * What a daemon does not tell, as an older one, is passed over.
 */
#ifndef TALLYD_CTL_SYMPTOMS_H
#define TALLYD_CTL_SYMPTOMS_H

#include "ctl/show.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

/* A list `suspicions`: sentences and lines are the daemon's own. */
void symptoms_of_suspicions(cJSON *findings, const cJSON *suspicions);

/* The object `refusals`, grouped by who was refused and why, with the lines that end it.
 * What came right since, by the last reports in `nodes`, is left out. `only`: a node, or
 * NULL. */
void symptoms_of_refusals(
	cJSON *findings, const cJSON *refusals, const cJSON *nodes, const char *only);

/* A node that is disabled, has never reported, or has been silent. */
void symptoms_of_node(cJSON *findings, const cJSON *node);

/* What of a node has come since the daemon's start, as "users, states"; "": nothing, or
 * it is not told. Writes into `buf` and returns it. */
const char *symptoms_seen(const cJSON *node, char buf[SHOW_BYTES]);

/* A list `warnings`: sentences; the commands in them are the lines. */
void symptoms_of_warnings(cJSON *findings, const cJSON *warnings);

#endif
