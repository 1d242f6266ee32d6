/*
 * What Redis says, taken out of the bytes that came: hiredis's reader, with bounds for
 * what a peer may make us allocate, and without allocating for what answers an increment.
 */
#ifndef TALLYD_LIVE_REPLIES_H
#define TALLYD_LIVE_REPLIES_H

#include <hiredis/hiredis.h>
#include <stdbool.h>

/* A key that was told of in a message, inside the caller's bytes, without a NUL behind
 * it. `key` NULL: any key may be meant. */
typedef void (*replies_key_cb)(void *arg, const char *key, size_t len);

#define REPLIES_LINE_BYTES 256

struct replies {
	redisReader *reader; /* borrowed */
	redisReply *last;
	replies_key_cb on_key; /* NULL: messages are replies like any other */
	void *arg;

	/* Its own. */
	redisReplyObjectFunctions functions, *hiredis;
	size_t n_elements, n_bytes; /* of the reply that is being read */
	redisReply line; /* a whole reply that is one line: a number, a status */
	char text[REPLIES_LINE_BYTES];
	const char *why; /* nothing more is to be had; NULL: as hiredis has it */
};

/* Takes over the reader of a new connection; on_key is set already. */
void replies_begin(struct replies *replies, redisReader *reader);

/* The connection goes; before its reader does. */
void replies_end(struct replies *replies);

/* Bytes that came. NULL, or why there is nothing more to be had from this peer. */
const char *replies_feed(struct replies *replies, const char *bytes, size_t len);

/*
 * The next reply, borrowed until the next call, or NULL if it is not all there. Returns
 * as replies_feed(). What Redis says itself (status and error) is clean text, cut if it
 * is long; what it keeps for others (strings) may be any bytes.
 *
 * With on_key, a message whose payload is a list of keys (or nil) is no reply: each key
 * is given to on_key as soon as it is read, however many there are, and kept nowhere.
 */
const char *replies_take(struct replies *replies, const redisReply **ret_reply);

#endif
