/*
 * A user's hash in Redis: the key, the three fields that are tallyd's, the commands that
 * write and read them, and whether a reply shows what it should.
 */
#ifndef TALLYD_LIVE_FIELDS_H
#define TALLYD_LIVE_FIELDS_H

#include "account/ledger.h"
#include "base/text.h"
#include "live/resp.h"

#include <hiredis/hiredis.h>

/* In the order in which HMGET asks for them. */
#define FIELD_USED "usedTraffic"
#define FIELD_INPUT "inputBytes"
#define FIELD_OUTPUT "outputBytes"

/* Prefix and id, as a word of a command. Each is at most NAME_MAX_BYTES long. */
struct fields_key {
	size_t len; /* of the word */
	char word[RESP_HEAD_BYTES + 2 * NAME_MAX_BYTES];
};

void fields_make_key(struct fields_key *key, const char *prefix, size_t prefix_len,
	const struct user *user);

bool fields_is_key(const struct fields_key *key, const char *text);

/* Commands, written as in resp.h: what any of them takes at most. */
#define FIELDS_COMMAND_BYTES                                                             \
	(sizeof(struct fields_key) + 4 * RESP_HEAD_BYTES + 3 * RESP_NUMBER_BYTES)

/* HSET of all three; where they were there, its reply has to be 0. */
char *fields_put_set(char *at, const struct fields_key *key, const struct totals *total);

/* HINCRBY of usedTraffic, whose reply has to be the new total, and HSET of both others,
 * whose reply has to be 0: neither is new. */
char *fields_put_increment(char *at, const struct fields_key *key, uint64_t by);
char *fields_put_rest(char *at, const struct fields_key *key, const struct totals *total);

/* HMGET of all three. */
char *fields_put_read(char *at, const struct fields_key *key);

/* A field as Redis shows it: a whole number from 0 to 2^63-1. False if `reply` is
 * anything else. */
bool fields_parse(const redisReply *reply, uint64_t *ret_total);

/* Whether HMGET was answered with these totals, just as they are written here. */
bool fields_are(const redisReply *reply, const struct totals *expected);

#endif
