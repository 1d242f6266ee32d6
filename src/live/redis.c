/*
 * connect() resolves the name on the thread pool, connects, then AUTH and SELECT;
 * on_ready(). Every end, whoever caused it, comes through on_cleanup(), which hiredis
 * calls once per context after it has given a NULL reply to each pending command: there,
 * and only there, on_ready() or on_lost() tells of it.
 *
 * Deadlines: connecting has timeout_ms in all; afterwards the connection is lost if
 * something is outstanding and no reply has come for timeout_ms.
 */
#include "live/redis.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/timer.h"

#include <assert.h>
#include <hiredis/async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FIRST_CALLS 64
/* What a peer may make us allocate, and judge in one loop turn: an array's header alone,
 * and a reply that does not end. The largest we ask for are a page of SCAN and a list of
 * clients (FENCE_MAX_CLIENTS). */
#define MAX_ELEMENTS 16384
#define MAX_REPLY_BYTES (4 << 20)

enum state { STATE_CLOSED, STATE_RESOLVING, STATE_CONNECTING, STATE_READY };

struct call {
	redis_reply_cb on_reply;
	void *item;
};

struct redis {
	uv_loop_t *loop;
	const struct redis_address *address;
	uint64_t timeout_ms;
	redis_ready_cb on_ready;
	redis_lost_cb on_lost;
	void *arg;

	enum state state;
	redisAsyncContext *ac;
	redisReplyObjectFunctions functions; /* of ac's reader: hiredis's, bounded */
	redisReplyObjectFunctions *hiredis;
	size_t n_elements, n_bytes; /* of the reply that is being read */
	uv_poll_t *poll;            /* of ac's socket; frees itself */
	bool wants_write, is_polling_write;
	struct call *calls; /* a ring: replies come in the order of commands */
	size_t calls_cap, calls_head, n_calls;
	bool is_doomed;       /* to be dropped as soon as that can be */
	bool is_in_connect;   /* inside hiredis's callback, which goes on to use ac */
	unsigned n_handshake; /* replies to AUTH and SELECT that are to come */
	uint64_t
		progress_ms; /* when the last reply came, or the first command was sent */
	char error[256];

	unsigned n_failed; /* attempts: each tries the next address of a name */
	uv_getaddrinfo_t resolving;
	bool is_resolving;
	uv_timer_t deadline;
	uv_prepare_t end_of_turn;
	unsigned n_open_handles;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

static void note_error(struct redis *redis, const char *text)
{
	if (redis->error[0] == '\0')
		text_copy_clean(redis->error, sizeof(redis->error), text, strlen(text));
}

/* The one end of an attempt or a connection; what was connected is gone. */
static void finish(struct redis *redis)
{
	bool was_ready = redis->state == STATE_READY;
	char error[sizeof(redis->error)];

	memcpy(error, redis->error, sizeof(error));
	redis->error[0] = '\0';
	redis->state = STATE_CLOSED;
	redis->n_handshake = 0;
	redis->is_doomed = false;
	(void)uv_timer_stop(&redis->deadline);
	if (redis->on_closed != NULL)
		return;
	redis->n_failed += !was_ready;
	if (was_ready)
		redis->on_lost(redis->arg, error);
	else
		redis->on_ready(redis->arg, error);
}

static void start_deadline(struct redis *redis, uint64_t ms);

static void drop(struct redis *redis, const char *reason)
{
	if (redis->state == STATE_CLOSED)
		return;
	note_error(redis, reason);
	if (redis->is_in_connect) {
		redis->is_doomed = true;
		start_deadline(redis, 0);
	} else if (redis->ac != NULL) {
		redisAsyncFree(redis->ac); /* now, or behind the reply that we are in */
	} else {
		finish(redis);
	}
}

static void free_poll(uv_handle_t *handle)
{
	free(handle);
}

static void on_cleanup(void *privdata)
{
	struct redis *redis = privdata;

	note_error(redis,
		redis->ac->c.errstr[0] != '\0' ? redis->ac->c.errstr : "closed by Redis");
	redis->poll->data = NULL;
	uv_close((uv_handle_t *)redis->poll, free_poll);
	redis->poll = NULL;
	redis->ac = NULL;
	redis->wants_write = redis->is_polling_write = false;
	finish(redis);
}

/*
 * hiredis 0.14 ends the process over a reply that nobody asked for, unless it is an
 * error. Such a thing comes with the last reply that was asked for, in its buffer, or by
 * itself, on the socket.
 */
static const char too_large[] = "a reply that is too large";

#define UNASKED "a reply came that was not asked for"

static bool has_unasked_bytes(const struct redis *redis)
{
	const redisReader *reader = redis->ac->c.reader;

	return redis->n_calls == 0 && reader->pos < reader->len;
}

static bool has_unasked_socket(const struct redis *redis)
{
	char first;

	return redis->n_calls == 0 && (redis->ac->c.flags & REDIS_CONNECTED) != 0 &&
		recv(redis->ac->c.fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) == 1 &&
		first != '-';
}

/* hiredis takes what an array promises at once, and knows no bound for what is parsed. */
static bool is_within_bounds(const redisReadTask *task, size_t n_elements, size_t n_bytes)
{
	struct redis *redis = task->privdata;

	if (task->parent == NULL)
		redis->n_elements = redis->n_bytes = 0;
	redis->n_elements += n_elements;
	redis->n_bytes += n_bytes;
	if (redis->n_elements <= MAX_ELEMENTS && redis->n_bytes <= MAX_REPLY_BYTES)
		return true;
	note_error(redis, too_large);
	return false;
}

static void *create_array(const redisReadTask *task, int elements)
{
	const struct redis *redis = task->privdata;

	return is_within_bounds(task, elements > 0 ? (size_t)elements : 0, 0)
		? redis->hiredis->createArray(task, elements)
		: NULL;
}

/* What Redis says goes to logs and into the status, so it is text from here on. What it
 * keeps for others (bulk strings) may be any bytes: whoever shows it cleans it. */
static void *create_string(const redisReadTask *task, char *text, size_t len)
{
	const struct redis *redis = task->privdata;
	redisReply *reply = is_within_bounds(task, 0, len)
		? redis->hiredis->createString(task, text, len)
		: NULL;

	if (reply != NULL && task->type != REDIS_REPLY_STRING)
		text_make_clean(reply->str, (size_t)reply->len);
	return reply;
}

static void bound_replies(struct redis *redis)
{
	redisReader *reader = redis->ac->c.reader;

	redis->hiredis = reader->fn;
	redis->functions = *reader->fn;
	redis->functions.createArray = create_array;
	redis->functions.createString = create_string;
	reader->fn = &redis->functions;
	reader->privdata = redis;
}

static bool is_reply_too_large(const struct redis *redis)
{
	return redis->ac->c.reader->len > MAX_REPLY_BYTES;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct redis *redis = poll->data;

	if (status < 0)
		events = UV_READABLE | UV_WRITABLE; /* hiredis finds the error itself */
	if (redis != NULL && redis->ac != NULL && (events & UV_READABLE) != 0 &&
		has_unasked_socket(redis))
		drop(redis, UNASKED);
	if (redis != NULL && redis->ac != NULL && (events & UV_READABLE) != 0)
		redisAsyncHandleRead(redis->ac);
	if (redis != NULL && redis->ac != NULL && is_reply_too_large(redis))
		drop(redis, too_large);
	if (redis != NULL && redis->ac != NULL && (events & UV_WRITABLE) != 0)
		redisAsyncHandleWrite(redis->ac);
}

static void poll_for(struct redis *redis, bool is_for_write)
{
	redis->is_polling_write = is_for_write;
	(void)uv_poll_start(/* fails only for a closed handle */
		redis->poll, is_for_write ? UV_READABLE | UV_WRITABLE : UV_READABLE,
		on_poll);
}

static void on_add_read(void *privdata)
{
	(void)privdata; /* always on */
}

static void on_add_write(void *privdata)
{
	((struct redis *)privdata)->wants_write = true;
}

static void on_del_write(void *privdata)
{
	struct redis *redis = privdata;

	redis->wants_write = false;
	if (redis->is_polling_write)
		poll_for(redis, false);
}

/* One write for all commands of the turn; what does not fit waits until the socket has
 * room. */
static void on_end_of_turn(uv_prepare_t *prepare)
{
	struct redis *redis = prepare->data;

	if (redis->ac == NULL || !redis->wants_write || redis->is_polling_write)
		return;
	redisAsyncHandleWrite(redis->ac);
	if (redis->ac != NULL && redis->wants_write)
		poll_for(redis, true);
}

static void on_deadline(uv_timer_t *timer)
{
	struct redis *redis = timer->data;
	uint64_t idle = clock_ms() - redis->progress_ms;

	if (redis->state == STATE_READY && redis->n_calls == 0 && !redis->is_doomed)
		return;
	if (redis->is_doomed) {
		drop(redis, "doomed"); /* the reason is noted already */
	} else if (redis->state == STATE_CLOSED) {
		finish(redis); /* an attempt that failed inside redis_connect() */
	} else if (idle < redis->timeout_ms) {
		timer_start(timer, on_deadline, redis->timeout_ms - idle);
	} else {
		if (redis->is_resolving)
			(void)uv_cancel(
				(uv_req_t *)&redis->resolving); /* or it ends unheard */
		drop(redis, "timeout");
	}
}

static void start_deadline(struct redis *redis, uint64_t ms)
{
	redis->progress_ms = clock_ms();
	timer_start(&redis->deadline, on_deadline, ms);
}

static struct call pop_call(struct redis *redis)
{
	struct call call;

	assert(redis->n_calls > 0); /* each is answered once */
	call = redis->calls[redis->calls_head];
	redis->calls_head = (redis->calls_head + 1) % redis->calls_cap;
	redis->n_calls--;
	return call;
}

static void on_hiredis_reply(redisAsyncContext *ac, void *reply, void *privdata)
{
	struct redis *redis = ac->data;
	struct call call = pop_call(redis);

	(void)privdata; /* the ring knows */
	redis->progress_ms = clock_ms();
	if (reply != NULL && has_unasked_bytes(redis)) {
		drop(redis, UNASKED);
		reply = NULL;
	}
	if (call.on_reply != NULL)
		call.on_reply(redis->arg, call.item, reply);
}

static int reserve_call(struct redis *redis)
{
	size_t cap = redis->calls_cap * 2;
	struct call *grown;

	if (redis->n_calls < redis->calls_cap)
		return 0;
	grown = malloc(cap * sizeof(*grown));
	if (grown == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < redis->n_calls; i++)
		grown[i] = redis->calls[(redis->calls_head + i) % redis->calls_cap];
	free(redis->calls);
	redis->calls = grown;
	redis->calls_cap = cap;
	redis->calls_head = 0;
	return 0;
}

static int send_command(
	struct redis *redis, struct call call, int argc, const char **argv)
{
	size_t lengths[REDIS_MAX_WORDS];
	int code = reserve_call(redis);

	if (code != 0)
		return code;
	for (int i = 0; i < argc; i++)
		lengths[i] = strlen(argv[i]);
	if (redisAsyncCommandArgv(
		    redis->ac, on_hiredis_reply, NULL, argc, argv, lengths) != REDIS_OK)
		return ERR_NOMEM;
	if (redis->n_calls == 0)
		start_deadline(redis, redis->timeout_ms);
	redis->calls[(redis->calls_head + redis->n_calls) % redis->calls_cap] = call;
	redis->n_calls++;
	return 0;
}

int redis_send(struct redis *redis, redis_reply_cb on_reply, void *item, int argc,
	const char **argv)
{
	if (redis->state != STATE_READY || redis->ac == NULL || redis->is_doomed)
		return ERR_NOMEM;
	return send_command(redis, (struct call){on_reply, item}, argc, argv);
}

void redis_ask(struct redis *redis, redis_reply_cb on_reply, void *item, int argc,
	const char **argv)
{
	int code = redis_send(redis, on_reply, item, argc, argv);

	if (code != 0)
		redis_disconnect(redis, err_text(code));
}

static void become_ready(struct redis *redis)
{
	redis->state = STATE_READY;
	redis->on_ready(redis->arg, NULL);
}

static void on_handshake(void *arg, void *item, const redisReply *reply)
{
	struct redis *redis = item;

	(void)arg;
	if (reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_ERROR) {
		drop(redis, reply->str);
		return;
	}
	redis->n_handshake--;
	if (redis->n_handshake == 0 && redis->state == STATE_CONNECTING)
		become_ready(redis);
}

static int send_handshake(struct redis *redis, int argc, const char **argv)
{
	redis->n_handshake++;
	return send_command(redis, (struct call){on_handshake, redis}, argc, argv);
}

static void shake_hands(struct redis *redis)
{
	const struct redis_address *address = redis->address;
	const char *with_user[] = {"AUTH", address->user, address->password};
	const char *without_user[] = {"AUTH", address->password};
	char db[16];
	const char *select[] = {"SELECT", db};
	int code = 0;

	(void)snprintf(db, sizeof(db), "%d", address->db);
	if (address->password != NULL && address->user != NULL)
		code = send_handshake(redis, 3, with_user);
	else if (address->password != NULL)
		code = send_handshake(redis, 2, without_user);
	if (code == 0 && address->db != 0)
		code = send_handshake(redis, 2, select);
	if (code != 0)
		drop(redis, err_text(code));
	else if (redis->n_handshake == 0)
		become_ready(redis);
}

static void on_connect(const redisAsyncContext *ac, int status)
{
	struct redis *redis = ac->data;

	redis->is_in_connect = true;
	if (status == REDIS_OK)
		shake_hands(redis);
	else
		note_error(
			redis, ac->c.errstr[0] != '\0' ? ac->c.errstr : "cannot connect");
	redis->is_in_connect = false;
}

static void on_disconnect(const redisAsyncContext *ac, int status)
{
	struct redis *redis = ac->data;

	if (status != REDIS_OK)
		note_error(redis, ac->errstr != NULL ? ac->errstr : "connection lost");
}

/* From here on every end comes through on_cleanup(). */
static int attach(struct redis *redis, redisAsyncContext *ac)
{
	uv_poll_t *poll = malloc(sizeof(*poll));

	if (poll == NULL)
		return ERR_NOMEM;
	if (uv_poll_init(redis->loop, poll, ac->c.fd) != 0) {
		free(poll);
		return ERR_NOMEM;
	}
	poll->data = redis;
	redis->poll = poll;
	redis->ac = ac;
	ac->data = redis;
	ac->ev.data = redis;
	ac->ev.addRead = on_add_read;
	ac->ev.delRead = on_add_read;
	ac->ev.addWrite = on_add_write;
	ac->ev.delWrite = on_del_write;
	ac->ev.cleanup = on_cleanup;
	bound_replies(redis);
	(void)redisAsyncSetConnectCallback(ac, on_connect); /* fails only if set twice */
	(void)redisAsyncSetDisconnectCallback(ac, on_disconnect);
	poll_for(redis, true);
	return 0;
}

/* An attempt that fails at once is told of by the timer, as if it had taken a moment. */
static void open_socket(struct redis *redis, const char *ip)
{
	const struct redis_address *address = redis->address;
	redisAsyncContext *ac = address->path != NULL
		? redisAsyncConnectUnix(address->path)
		: redisAsyncConnect(ip, address->port);

	redis->state = STATE_CONNECTING;
	if (ac != NULL && ac->err == 0 && attach(redis, ac) == 0) {
		start_deadline(redis, redis->timeout_ms);
		return;
	}
	note_error(
		redis, ac != NULL && ac->errstr != NULL ? ac->errstr : "cannot connect");
	if (ac != NULL)
		redisAsyncFree(ac); /* has no callbacks of ours */
	redis->state = STATE_CLOSED;
	start_deadline(redis, 0);
}

static void maybe_closed(struct redis *redis)
{
	if (redis->n_open_handles == 0 && !redis->is_resolving)
		redis->on_closed(redis->on_closed_arg);
}

/* A name may have an address where nobody listens, as localhost often has. */
static void choose_address(
	const struct redis *redis, const struct addrinfo *list, char *ip, size_t size)
{
	unsigned n = 1, nth;

	for (const struct addrinfo *at = list->ai_next; at != NULL; at = at->ai_next)
		n++;
	for (nth = redis->n_failed % n; nth > 0; nth--)
		list = list->ai_next;
	if (list->ai_family == AF_INET)
		(void)uv_ip4_name(
			(const struct sockaddr_in *)(void *)list->ai_addr, ip, size);
	else if (list->ai_family == AF_INET6)
		(void)uv_ip6_name(
			(const struct sockaddr_in6 *)(void *)list->ai_addr, ip, size);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
	struct redis *redis = request->data;
	char ip[64] = "";

	redis->is_resolving = false;
	if (status == 0)
		choose_address(redis, list, ip, sizeof(ip));
	uv_freeaddrinfo(list);
	if (redis->on_closed != NULL) {
		maybe_closed(redis);
	} else if (redis->state == STATE_RESOLVING) {
		if (ip[0] != '\0')
			open_socket(redis, ip);
		else
			drop(redis,
				status != 0 ? uv_strerror(status) : "no usable address");
	}
}

static void resolve(struct redis *redis)
{
	static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};

	redis->resolving.data = redis;
	redis->state = STATE_RESOLVING;
	if (uv_getaddrinfo(redis->loop, &redis->resolving, on_resolved,
		    redis->address->host, NULL, &hints) == 0) {
		redis->is_resolving = true;
		start_deadline(redis, redis->timeout_ms);
		return;
	}
	note_error(redis, "the name cannot be resolved");
	redis->state = STATE_CLOSED;
	start_deadline(redis, 0);
}

void redis_connect(struct redis *redis)
{
	if (redis->is_resolving) { /* the last attempt's; it cannot be hurried */
		note_error(redis, "the name is still being resolved");
		start_deadline(redis, 0);
	} else if (redis->address->path != NULL) {
		open_socket(redis, NULL);
	} else {
		resolve(redis);
	}
}

void redis_disconnect(struct redis *redis, const char *reason)
{
	drop(redis, reason);
}

struct redis *redis_new(const struct redis_address *address, uint64_t timeout_ms,
	redis_ready_cb on_ready, redis_lost_cb on_lost, void *arg)
{
	struct redis *redis = calloc(1, sizeof(*redis));

	if (redis == NULL)
		return NULL;
	redis->calls_cap = FIRST_CALLS;
	redis->calls = malloc(redis->calls_cap * sizeof(*redis->calls));
	if (redis->calls == NULL) {
		free(redis);
		return NULL;
	}
	redis->address = address;
	redis->timeout_ms = timeout_ms;
	redis->on_ready = on_ready;
	redis->on_lost = on_lost;
	redis->arg = arg;
	return redis;
}

void redis_start(struct redis *redis, uv_loop_t *loop)
{
	redis->loop = loop;
	/* None of these can fail: a start only for a NULL callback. */
	(void)uv_timer_init(loop, &redis->deadline);
	(void)uv_prepare_init(loop, &redis->end_of_turn);
	redis->deadline.data = redis;
	redis->end_of_turn.data = redis;
	redis->n_open_handles = 2;
	(void)uv_prepare_start(&redis->end_of_turn, on_end_of_turn);
}

static void finish_close(uv_handle_t *handle)
{
	struct redis *redis = handle->data;

	redis->n_open_handles--;
	maybe_closed(redis);
}

void redis_close(struct redis *redis, void (*on_closed)(void *arg), void *arg)
{
	redis->on_closed = on_closed;
	redis->on_closed_arg = arg;
	if (redis->is_resolving)
		(void)uv_cancel((uv_req_t *)&redis->resolving); /* or it ends by itself */
	drop(redis, "closing");
	uv_close((uv_handle_t *)&redis->deadline, finish_close);
	uv_close((uv_handle_t *)&redis->end_of_turn, finish_close);
}

void redis_free(struct redis *redis)
{
	if (redis == NULL)
		return;
	free(redis->calls);
	free(redis);
}
