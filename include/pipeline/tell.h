/*
 * What the operator is told of an accepted report: events set aside, a total that is
 * full, a bound that is near, a series that looks wrong. Log lines only; each is said
 * once, not with each report. What of it is shown in the status is read elsewhere.
 */
#ifndef TALLYD_PIPELINE_TELL_H
#define TALLYD_PIPELINE_TELL_H

#include "account/ledger.h"
#include "base/log.h"

/* What was said already. All zero: nothing. */
struct tell {
	bool has_told_saturated;
	enum fill { FILL_FAR, FILL_NEAR, FILL_FULL } fills[BOUNDS];
	struct log_limit suspicions; /* what it holds back is told with later reports */
};

/* Behind all that the report of `node` has changed. */
void tell_about(struct tell *tell, struct ledger *ledger, const char *node,
	const struct report *report);

#endif
