/*
 * A report between its body and the ledger: what it says, and as far as it is booked.
 */
#ifndef TALLYD_PIPELINE_READING_H
#define TALLYD_PIPELINE_READING_H

#include "account/ledger.h"

struct reading {
	struct report report;
	uint8_t fingerprint[FINGERPRINT_BYTES];
	/* Of a large one, see large.h: its first n_booked events are booked, as counters
	 * of that mode, and prepared. */
	enum counter_mode counters;
	size_t n_booked;
	struct bookings bookings;
	struct prepared prepared;
	bool is_applied; /* so what was prepared for it stays */
};

/* Of any thread; `body` is borrowed for the call. 0, or as report_parse(); then there is
 * nothing to be done with *ret_reading. */
int reading_parse(const char *body, size_t len, struct reading *ret_reading) MUST_CHECK;

/* Of any thread. What is prepared and not applied has to be forgotten before. */
void reading_done(struct reading *reading);

#endif
