/*
 * One connection to Redis in the loop. Knows how to connect, authenticate, select, send
 * and time out; not what is sent. It does not reconnect. `redisReply` is seen only in
 * src/live.
 */
#ifndef TALLYD_LIVE_REDIS_H
#define TALLYD_LIVE_REDIS_H

#include "base/err.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* A parsed redis_url. Strings are owned; user, password and path may be NULL. */
struct redis_address {
	char *host, *path; /* one of the two */
	int port, db;
	char *user, *password;
};

/* redis://[user:pass@]host[:port][/db] or unix:///path[?db=N]. 0, or ERR_CONFIG or
 * ERR_NOMEM with the reason. */
int redis_address_parse(const char *url, struct redis_address *ret_address,
	struct errmsg *ret_msg) MUST_CHECK;
/* host:port/db or unix:path?db=N, clean UTF-8, cut if it is long; nothing secret is in
 * it. */
#define REDIS_ADDRESS_BYTES 128
void redis_address_text(
	const struct redis_address *address, char text[static REDIS_ADDRESS_BYTES]);
/* The redis_url of it as it is to be set: PASSWORD stands for the password, if there is
 * to be one; cut if it is long. */
#define REDIS_URL_BYTES 256
void redis_address_url(const struct redis_address *address, bool has_password,
	char text[static REDIS_URL_BYTES]);
void redis_address_done(struct redis_address *address);

struct redis;

/* Replies come in the order of commands. `reply` is NULL if the connection was lost.
 * Borrowed. */
typedef void (*redis_reply_cb)(void *arg, void *item, const redisReply *reply);

/* Once per redis_connect(): connected, authenticated and selected, or why not (text). */
typedef void (*redis_ready_cb)(void *arg, const char *error);

/* Once after a successful on_ready: the connection is gone, all replies were given. */
typedef void (*redis_lost_cb)(void *arg, const char *error);

/* Borrows the address. NULL if memory is short. */
struct redis *redis_new(const struct redis_address *address, uint64_t timeout_ms,
	redis_ready_cb on_ready, redis_lost_cb on_lost, void *arg);

/* Before anything else; from then on it has to be closed before it is freed. */
void redis_start(struct redis *redis, uv_loop_t *loop);

/* Begins to connect; nothing may be connected. The outcome comes to on_ready, never
 * inside. */
void redis_connect(struct redis *redis);

/* The same, to the very address that the other one is connected to: a name may have
 * several servers. */
void redis_connect_beside(struct redis *redis, const struct redis *other);

/*
 * Sends one command of `argc` words, copied. `on_reply` (may be NULL) gets `item` back.
 * Written at the end of the loop turn, with all others of that turn. 0, or ERR_NOMEM if
 * not sent.
 */
int redis_send(struct redis *redis, redis_reply_cb on_reply, void *item, int argc,
	const char **argv) MUST_CHECK;

/* The same; what cannot be sent drops the connection. */
void redis_ask(struct redis *redis, redis_reply_cb on_reply, void *item, int argc,
	const char **argv);

/*
 * For who has many to send: room for commands (resp.h) of `n_bytes` in all, behind those
 * of this turn, or NULL as redis_send() fails. What is written there is sent with
 * redis_add(), one command each; the next one goes on at its `end`. 0 or ERR_NOMEM.
 */
char *redis_room(struct redis *redis, size_t n_bytes);
int redis_add(struct redis *redis, const char *end, redis_reply_cb on_reply,
	void *item) MUST_CHECK;

/* For who subscribes: each key that a message names, or NULL if it says that any may be
 * meant; borrowed. Before the first connection. */
typedef void (*redis_key_cb)(void *arg, const char *key, size_t len);
void redis_listen(struct redis *redis, redis_key_cb on_key);

/* Nothing is read, and no reply is waited for, until it goes on; what was read already is
 * still given. Ends with the connection. */
void redis_pause(struct redis *redis, bool is_paused);

/* Drops the connection now; callbacks fire as for a lost one. Within a reply's callback:
 * behind it. */
void redis_disconnect(struct redis *redis, const char *reason);

void redis_close(struct redis *redis, void (*on_closed)(void *arg), void *arg);
void redis_free(struct redis *redis);

#endif
