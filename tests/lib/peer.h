/*
 * A Redis for unit tests, in the test's own loop, on a unix socket: a small store of
 * strings and hashes, and a script of what to answer instead. All memory is taken when it
 * is opened, so faults that a test counts are tallyd's alone.
 */
#ifndef TALLYD_TESTS_PEER_H
#define TALLYD_TESTS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct peer;

struct peer *peer_open(uv_loop_t *loop, const char *path);

/* Runs the loop until all is closed, and frees it. */
void peer_close(struct peer *peer);

/* What it holds. A value is NULL where there is none, or is to be none; a hash has the
 * three fields that tallyd knows. */
void peer_set(struct peer *peer, const char *key, const char *value);
const char *peer_get(const struct peer *peer, const char *key);
void peer_hset(struct peer *peer, const char *key, const char *field, const char *value);
const char *peer_hget(const struct peer *peer, const char *key, const char *field);
void peer_hset_bytes(struct peer *peer, const char *key, size_t key_len,
	const char *field, const char *value, size_t value_len);
void peer_delete(struct peer *peer, const char *key);
void peer_wipe(struct peer *peer);

/* Keys in a page of SCAN; 1000 unless told. */
void peer_set_page(struct peer *peer, size_t n_keys);

/* What INFO and, besides the real connections, CLIENT LIST say. Borrowed. */
void peer_set_info(struct peer *peer, const char *text);
void peer_set_clients(struct peer *peer, const char *lines);

/*
 * The nth command from now on (1: the next; 0: each) that begins with `head` is not
 * executed, and answered with these bytes; with NULL, the connection is dropped. Both
 * borrowed.
 */
void peer_answer(struct peer *peer, const char *head, unsigned n, const char *reply);
void peer_answer_as_usual(struct peer *peer);

/* What can become of a reply. */
enum reply_fault {
	REPLY_LOST,    /* the connection is cut before it */
	REPLY_CUT,     /* .. or in the middle of it */
	REPLY_ERROR,   /* an error, and the command is not executed */
	REPLY_GARBAGE, /* bytes that are no reply */
	REPLY_OTHER,   /* a reply to something else */
	REPLY_FAULTS
};

/*
 * Counted: the nth reply from now on (1: the next; 0: none), of whatever connection. What
 * was sent behind a command whose connection is cut is executed, too, and not answered.
 */
void peer_fail_reply(struct peer *peer, unsigned n, enum reply_fault fault);

/* Of the next n replies some (the seed tells how many) are random, of any type; they may
 * nest, hold any bytes, or promise more than comes. The same seed gives the same. */
void peer_storm(struct peer *peer, unsigned seed, unsigned n);

unsigned peer_count_replies(const struct peer *peer); /* since then */

/* From the next command on that begins with `head`, commands are executed and their
 * replies held back, until released. Borrowed. */
void peer_hold(struct peer *peer, const char *head);
void peer_release(struct peer *peer);

/*
 * Whether it tells of edits (CLIENT TRACKING): what a test writes is somebody else's. Not
 * unless told, and then the second connection that tallyd asks for is in no list of what
 * came, and refused. While it was told and is not, edits are silent.
 */
void peer_track(struct peer *peer, bool tracks);

/* Bytes for the second connection, as if they told of edits; it is ended. */
void peer_tell(struct peer *peer, const char *bytes);
void peer_drop_listener(struct peer *peer);

/* Ends all connections; replies that were held are never sent. */
void peer_drop(struct peer *peer);

/* Bytes that nobody asked for, on each connection. */
void peer_say(struct peer *peer, const char *bytes);

/* Each command, before it is executed: its line, which ends in a newline. */
void peer_watch(
	struct peer *peer, void (*on_command)(void *arg, const char *command), void *arg);

/*
 * What came, one line each: the words of a command with a space between them, or
 * "(connection)". A byte that cannot be printed is a `?`. A head that ends in a newline
 * is a whole line.
 */
const char *peer_seen(const struct peer *peer);
size_t peer_count(const struct peer *peer, const char *head);
void peer_forget(struct peer *peer);

/* The nth line (from 1) that begins so, valid until the next call; fails the test if
 * there is none. */
const char *peer_line(const struct peer *peer, const char *head, size_t n);

/* Both came, and the first of one before the first of the other. */
bool peer_saw_before(const struct peer *peer, const char *head, const char *later);

#endif
