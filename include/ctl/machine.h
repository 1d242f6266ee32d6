/*
 * This machine, as far as doctor looks at it: by `tallyd --check-setup`, which knows the
 * files that tallyctl does not, and by the log of the service.
 */
#ifndef TALLYD_CTL_MACHINE_H
#define TALLYD_CTL_MACHINE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

struct ctl;
struct target;

/* Whether the daemon that is asked runs here. */
bool machine_is_ours(const struct target *target);

/* Adds what --check-setup finds, with the option --config FILE of `ctl`; or that it was
 * left out, and why. Returns what was looked at, {"dataDir","redis"}, **owned**, or NULL.
 */
cJSON *machine_look(const struct ctl *ctl, cJSON *findings);

/* What was found of another configuration than that of the daemon that answers says
 * nothing of it: one finding stands for all of them, or, where only the Redis is another,
 * for those of Redis. NULL, or without a member: not known. */
void machine_compare(const struct ctl *ctl, cJSON *findings, const cJSON *looked_at,
	const cJSON *status);

/* The last lines of the service's log, as member `log` of a finding, where there are any.
 */
void machine_add_log(cJSON *finding);

#endif
