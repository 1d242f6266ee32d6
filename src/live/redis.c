/*
 * connect() resolves the name on the thread pool, opens a socket, then AUTH and SELECT;
 * on_ready(). Commands gather in `out`, which is written once per loop turn; what comes
 * is read once per turn, too, and judged at once: so a turn's work is bounded, whatever
 * Redis has to say. hiredis connects, and reads replies (replies.h).
 *
 * Every end, whoever caused it, comes through drop(): there, and only there, each call
 * that is pending gets a NULL reply, and on_ready() or on_lost() tells of it. While
 * replies are given nothing is torn down: the end waits until they are.
 *
 * Deadlines: connecting has timeout_ms in all; afterwards the connection is lost if
 * something is outstanding and no reply has come for timeout_ms.
 */
#include "live/redis.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/timer.h"
#include "live/replies.h"
#include "live/resp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_CALLS 64
#define READ_BYTES 32768 /* in one turn: some 3,000 replies to increments */
#define KEPT_OUT_BYTES (256 << 10)

enum state {
	STATE_CLOSED,
	STATE_RESOLVING,
	STATE_CONNECTING,
	STATE_GREETING, /* AUTH and SELECT are not answered yet */
	STATE_READY
};

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
	redisContext *context;
	uv_poll_t *poll; /* of its socket; frees itself */
	int polled_for;
	struct replies replies;
	struct buf out;     /* commands */
	size_t written;     /* of them */
	struct call *calls; /* a ring: replies come in the order of commands */
	size_t calls_cap, calls_head, n_calls;
	size_t n_due;         /* of the calls: a write was tried, a reply may come */
	bool is_paused;       /* nothing is read */
	bool is_giving;       /* replies, to callbacks that may want an end */
	bool is_doomed;       /* one did */
	unsigned n_handshake; /* replies to AUTH and SELECT that are to come */
	uint64_t
		progress_ms; /* when the last reply came, or the first command was sent */
	char error[256];

	unsigned n_failed; /* attempts: each tries the next address of a name */
	char ip[64];       /* of the last one; "" where there is a path */
	uv_getaddrinfo_t resolving;
	bool is_resolving;
	uv_timer_t deadline;
	uv_prepare_t end_of_turn;
	unsigned n_open_handles;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

/* Ends */

static void note_error(struct redis *redis, const char *text)
{
	if (redis->error[0] == '\0')
		text_copy_clean(redis->error, sizeof(redis->error), text, strlen(text));
}

static void free_poll(uv_handle_t *handle)
{
	free(handle);
}

static void close_socket(struct redis *redis)
{
	if (redis->context == NULL)
		return;
	uv_close((uv_handle_t *)redis->poll, free_poll);
	redis->poll = NULL;
	replies_end(&redis->replies);
	redisFree(redis->context);
	redis->context = NULL;
	buf_reset(&redis->out, 0);
	redis->written = 0;
}

static struct call pop_call(struct redis *redis)
{
	struct call call = redis->calls[redis->calls_head];

	redis->calls_head = (redis->calls_head + 1) % redis->calls_cap;
	redis->n_calls--;
	return call;
}

static void give(struct redis *redis, struct call call, const redisReply *reply)
{
	if (call.on_reply != NULL)
		call.on_reply(redis->arg, call.item, reply);
}

/* The one end of an attempt or a connection. It is closed from the first line on, so
 * whoever is told cannot send. */
static void finish(struct redis *redis, bool was_ready)
{
	char error[sizeof(redis->error)];

	redis->state = STATE_CLOSED;
	redis->is_doomed = redis->is_paused = false;
	close_socket(redis);
	(void)uv_timer_stop(&redis->deadline);
	while (redis->n_calls > 0)
		give(redis, pop_call(redis), NULL);
	redis->n_handshake = 0;
	redis->n_due = 0;
	memcpy(error, redis->error, sizeof(error));
	redis->error[0] = '\0';
	if (redis->on_closed != NULL)
		return;
	redis->n_failed += !was_ready;
	if (was_ready)
		redis->on_lost(redis->arg, error);
	else
		redis->on_ready(redis->arg, error);
}

static void drop(struct redis *redis, const char *reason)
{
	if (redis->state == STATE_CLOSED)
		return;
	note_error(redis, reason);
	if (redis->is_giving)
		redis->is_doomed = true;
	else
		finish(redis, redis->state == STATE_READY);
}

/* Around what may want an end. */
static void begin_giving(struct redis *redis)
{
	redis->is_giving = true;
}

static void end_giving(struct redis *redis)
{
	redis->is_giving = false;
	if (redis->is_doomed)
		drop(redis, "doomed"); /* the reason is noted already */
}

static void on_deadline(uv_timer_t *timer)
{
	struct redis *redis = timer->data;
	uint64_t idle = redis->is_paused ? 0 : clock_ms() - redis->progress_ms;

	if (redis->state == STATE_CLOSED) {
		finish(redis, false); /* an attempt that failed inside redis_connect() */
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

/* Writing */

static void on_poll(uv_poll_t *poll, int status, int events);

/* Both fail only for a closed handle. */
static void poll_for(struct redis *redis, int events)
{
	if (redis->polled_for == events)
		return;
	redis->polled_for = events;
	if (events != 0)
		(void)uv_poll_start(redis->poll, events, on_poll);
	else
		(void)uv_poll_stop(redis->poll);
}

static void poll_as_needed(struct redis *redis)
{
	poll_for(redis,
		(redis->is_paused ? 0 : UV_READABLE) |
			(redis->out.len > 0 ? UV_WRITABLE : 0));
}

/* What is left moves to the front once it is the smaller part: a Redis that is never
 * done reading costs no more memory for that. */
static void forget_written(struct redis *redis)
{
	size_t left = redis->out.len - redis->written;

	if (left > redis->written)
		return;
	if (left == 0)
		buf_reset(&redis->out, KEPT_OUT_BYTES);
	else
		memmove(redis->out.data, redis->out.data + redis->written, left);
	redis->out.len = left;
	redis->written = 0;
}

/* What does not fit waits until the socket has room. */
static void write_out(struct redis *redis)
{
	ssize_t n = write(redis->context->fd, redis->out.data + redis->written,
		redis->out.len - redis->written);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		drop(redis, strerror(errno));
		return;
	}
	redis->n_due = redis->n_calls;
	redis->written += n > 0 ? (size_t)n : 0;
	forget_written(redis);
	poll_as_needed(redis);
}

/* One write for all commands of the turn. */
static void on_end_of_turn(uv_prepare_t *prepare)
{
	struct redis *redis = prepare->data;

	if (redis->out.len > 0 && (redis->polled_for & UV_WRITABLE) == 0)
		write_out(redis);
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

static char *make_room(struct redis *redis, size_t n_bytes)
{
	char *at = (char *)buf_room(&redis->out, n_bytes);

	redis->out.failed = false; /* what was put is whole */
	return at;
}

int redis_add(struct redis *redis, const char *end, redis_reply_cb on_reply, void *item)
{
	int code = reserve_call(redis);

	if (code != 0)
		return code;
	redis->out.len = (size_t)(end - (char *)redis->out.data);
	if (redis->n_calls == 0)
		start_deadline(redis, redis->timeout_ms);
	redis->calls[(redis->calls_head + redis->n_calls) % redis->calls_cap] =
		(struct call){on_reply, item};
	redis->n_calls++;
	return 0;
}

static int send_words(struct redis *redis, redis_reply_cb on_reply, void *item, int argc,
	const char **argv)
{
	size_t n_bytes = RESP_HEAD_BYTES;
	char *at;

	for (int i = 0; i < argc; i++)
		n_bytes += RESP_HEAD_BYTES + strlen(argv[i]);
	at = make_room(redis, n_bytes);
	if (at == NULL)
		return ERR_NOMEM;
	at = resp_begin(at, (unsigned)argc);
	for (int i = 0; i < argc; i++)
		at = resp_word(at, argv[i], strlen(argv[i]));
	return redis_add(redis, at, on_reply, item);
}

static bool can_send(const struct redis *redis)
{
	return redis->state == STATE_READY && !redis->is_doomed;
}

char *redis_room(struct redis *redis, size_t n_bytes)
{
	return can_send(redis) ? make_room(redis, n_bytes) : NULL;
}

int redis_send(struct redis *redis, redis_reply_cb on_reply, void *item, int argc,
	const char **argv)
{
	return can_send(redis) ? send_words(redis, on_reply, item, argc, argv)
			       : ERR_NOMEM;
}

void redis_ask(struct redis *redis, redis_reply_cb on_reply, void *item, int argc,
	const char **argv)
{
	int code = redis_send(redis, on_reply, item, argc, argv);

	if (code != 0)
		redis_disconnect(redis, err_text(code));
}

/* Reading */

static void give_reply(struct redis *redis, const redisReply *reply)
{
	if (redis->n_due > 0) {
		redis->n_due--;
		give(redis, pop_call(redis), reply);
	} else {
		drop(redis,
			reply->type == REDIS_REPLY_ERROR
				? reply->str
				: "a reply came that was not asked for");
	}
}

/* Why there is nothing more to be had, or NULL. */
static const char *give_replies(struct redis *redis, const char *bytes, size_t len)
{
	const char *why = replies_feed(&redis->replies, bytes, len);
	const redisReply *reply = NULL;
	bool has_replied = false;

	while (why == NULL && !redis->is_doomed) {
		why = replies_take(&redis->replies, &reply);
		if (why != NULL || reply == NULL)
			break;
		give_reply(redis, reply);
		has_replied = true;
	}
	if (has_replied)
		redis->progress_ms = clock_ms();
	return why;
}

static void read_in(struct redis *redis)
{
	char bytes[READ_BYTES];
	ssize_t n = read(redis->context->fd, bytes, sizeof(bytes));
	const char *why;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(redis, n < 0 ? strerror(errno) : "Server closed the connection");
		return;
	}
	begin_giving(redis);
	why = give_replies(redis, bytes, (size_t)n);
	if (why != NULL)
		drop(redis, why);
	else if (redis->n_calls == 0)
		(void)uv_timer_stop(&redis->deadline);
	end_giving(redis);
}

/* Connecting */

static void become_ready(struct redis *redis)
{
	redis->state = STATE_READY;
	(void)uv_timer_stop(&redis->deadline); /* nothing is outstanding */
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
	if (redis->n_handshake == 0 && !redis->is_doomed)
		become_ready(redis);
}

static int send_handshake(struct redis *redis, int argc, const char **argv)
{
	redis->n_handshake++;
	return send_words(redis, on_handshake, redis, argc, argv);
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

static void on_connected(struct redis *redis)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(redis->context->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error != 0) {
		drop(redis, strerror(error));
		return;
	}
	redis->state = STATE_GREETING;
	poll_as_needed(redis);
	begin_giving(redis);
	shake_hands(redis);
	end_giving(redis);
}

/* Of an error libuv only tells that there is one: the call that meets it says which. */
static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct redis *redis = poll->data;

	if (redis->state == STATE_CONNECTING) {
		on_connected(redis);
		return;
	}
	if (status < 0 || (events & UV_READABLE) != 0)
		read_in(redis);
	if (redis->poll == poll && (events & UV_WRITABLE) != 0)
		write_out(redis);
	if (redis->poll == poll && status < 0)
		drop(redis, uv_strerror(status));
}

static int attach(struct redis *redis, redisContext *context)
{
	uv_poll_t *poll = malloc(sizeof(*poll));

	if (poll == NULL)
		return ERR_NOMEM;
	if (uv_poll_init(redis->loop, poll, context->fd) != 0) {
		free(poll);
		return ERR_NOMEM;
	}
	poll->data = redis;
	redis->poll = poll;
	redis->context = context;
	replies_begin(&redis->replies, context->reader);
	redis->polled_for = 0;
	poll_for(redis, UV_WRITABLE);
	return 0;
}

/* An attempt that fails at once is told of by the timer, as if it had taken a moment. */
static void open_socket(struct redis *redis)
{
	const struct redis_address *address = redis->address;
	redisContext *context = address->path != NULL
		? redisConnectUnixNonBlock(address->path)
		: redisConnectNonBlock(redis->ip, address->port);

	redis->state = STATE_CONNECTING;
	if (context != NULL && context->err == 0 && attach(redis, context) == 0) {
		start_deadline(redis, redis->timeout_ms);
		return;
	}
	note_error(redis,
		context != NULL && context->err != 0 ? context->errstr
						     : "cannot connect");
	if (context != NULL)
		redisFree(context);
	redis->state = STATE_CLOSED;
	start_deadline(redis, 0);
}

static void maybe_closed(struct redis *redis)
{
	if (redis->n_open_handles == 0 && !redis->is_resolving)
		redis->on_closed(redis->on_closed_arg);
}

/* A name may have an address where nobody listens, as localhost often has. */
static void choose_address(struct redis *redis, const struct addrinfo *list)
{
	unsigned n = 1, nth;

	for (const struct addrinfo *at = list->ai_next; at != NULL; at = at->ai_next)
		n++;
	for (nth = redis->n_failed % n; nth > 0; nth--)
		list = list->ai_next;
	if (list->ai_family == AF_INET)
		(void)uv_ip4_name((const struct sockaddr_in *)(void *)list->ai_addr,
			redis->ip, sizeof(redis->ip));
	else if (list->ai_family == AF_INET6)
		(void)uv_ip6_name((const struct sockaddr_in6 *)(void *)list->ai_addr,
			redis->ip, sizeof(redis->ip));
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
	struct redis *redis = request->data;

	redis->is_resolving = false;
	redis->ip[0] = '\0';
	if (status == 0)
		choose_address(redis, list);
	uv_freeaddrinfo(list);
	if (redis->on_closed != NULL) {
		maybe_closed(redis);
	} else if (redis->state == STATE_RESOLVING) {
		if (redis->ip[0] != '\0')
			open_socket(redis);
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
		open_socket(redis);
	} else {
		resolve(redis);
	}
}

void redis_connect_beside(struct redis *redis, const struct redis *other)
{
	memcpy(redis->ip, other->ip, sizeof(redis->ip));
	open_socket(redis);
}

void redis_listen(struct redis *redis, redis_key_cb on_key)
{
	redis->replies.on_key = on_key;
	redis->replies.arg = redis->arg;
}

void redis_pause(struct redis *redis, bool is_paused)
{
	if (redis->state != STATE_READY)
		return;
	redis->is_paused = is_paused;
	redis->progress_ms = clock_ms();
	poll_as_needed(redis);
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
	buf_done(&redis->out);
	free(redis->calls);
	free(redis);
}
