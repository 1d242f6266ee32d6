/*
 * What of the server's own settings an operator of tallyd should know: whether it may
 * throw totals away, and what it keeps over a restart. Only told, never changed.
 */
#ifndef TALLYD_LIVE_SURVEY_H
#define TALLYD_LIVE_SURVEY_H

#include "live/redis.h"

/* "" what could not be read. */
struct survey {
	char version[32];
	char maxmemory_policy[32];
	char append_only[8]; /* "yes" or "no" */
	uint64_t n_clients;  /* connections; 0: not known */
	uint64_t n_keys;     /* of our database */
	bool knows_keys;
	int db; /* ours; set by whoever asks */
};

/* Asks on a new connection, and warns of what has changed since the last one. `survey`
 * starts zeroed, but for db, and is borrowed until the connection is lost. */
void survey_begin(struct redis *redis, struct survey *survey);

#endif
