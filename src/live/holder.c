/*
 * The value is `run=RUN count=N id=CONNECTION where=HOST/PID`. A Redis whose ACL does not
 * let us have the key is used without it, as older tallyds did.
 */
#include "live/holder.h"
#include "base/log.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static const char has_changed[] = HOLDER_KEY " was changed meanwhile";
static const char is_anothers[] = "another tallyd of this data directory has come: "
				  "it wrote " HOLDER_KEY;

static void draw_run(struct holder *holder)
{
	uint64_t drawn = 0;

	if (getrandom(&drawn, sizeof(drawn), 0) != sizeof(drawn))
		drawn = (uint64_t)getpid(); /* never so on a Linux that has booted */
	(void)snprintf(holder->run, sizeof(holder->run), "%016" PRIx64, drawn);
}

void holder_init(struct holder *holder)
{
	char host[40] = "";

	draw_run(holder);
	(void)gethostname(host, sizeof(host) - 1); /* then it stays empty */
	for (char *at = host; *at != '\0'; at++)
		if (*at <= ' ' || *at > '~')
			*at = '?';
	(void)snprintf(
		holder->where, sizeof(holder->where), "%s/%ld", host, (long)getpid());
}

/* What stands behind ` name=` up to a space, or NULL. */
static const char *part(const struct holder *holder, const char *name)
{
	const char *at = strstr(holder->value, name);

	return at != NULL ? at + strlen(name) : NULL;
}

void holder_run(const struct holder *holder, char ret_run[RUN_BYTES])
{
	ret_run[0] = '\0';
	if (strncmp(holder->value, "run=", 4) == 0 &&
		strcspn(holder->value + 4, " ") == RUN_BYTES - 1)
		(void)snprintf(ret_run, RUN_BYTES, "%s", holder->value + 4);
}

uint64_t holder_client(const struct holder *holder)
{
	const char *id = part(holder, " id=");

	return id != NULL ? strtoull(id, NULL, 10) : 0;
}

const char *holder_where(const struct holder *holder)
{
	const char *where = part(holder, " where=");

	return where != NULL ? where : "";
}

bool holder_is_ours(const struct holder *holder)
{
	char run[RUN_BYTES];

	holder_run(holder, run);
	return strcmp(run, holder->run) == 0;
}

static bool is_forbidden(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0;
}

/* SET writes over it. */
static bool is_of_other_type(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_ERROR &&
		strncmp(reply->str, "WRONGTYPE", 9) == 0;
}

static void forbid(struct holder *holder, const char *error)
{
	holder->is_forbidden = true;
	holder->is_there = false;
	holder->value[0] = '\0';
	if (!holder->has_told_forbidden)
		log_warn("Redis does not let us use a key: a copy of this data directory "
			 "that writes there, too, is noticed late; add ~" HOLDER_KEY
			 " to the ACL",
			"key=%s error=%s", HOLDER_KEY, LOG_QUOTE(error));
	holder->has_told_forbidden = true;
}

/* A machine that was copied while it ran has our run as well: it writes it with a number
 * of a connection that we never had. */
static bool is_of_twin(const struct holder *holder)
{
	uint64_t id = holder_client(holder);

	return holder_is_ours(holder) && id != holder->written_id &&
		id != holder->written_before;
}

/* False if the connection is dropped. */
static bool note_value(struct holder *holder, const redisReply *reply)
{
	holder->is_there = reply->type == REDIS_REPLY_STRING || is_of_other_type(reply);
	holder->is_forbidden = false;
	holder->value[0] = '\0';
	if (reply->type == REDIS_REPLY_STRING)
		text_copy_clean(holder->value, sizeof(holder->value), reply->str,
			(size_t)reply->len);
	else if (is_forbidden(reply))
		forbid(holder, reply->str);
	else if (!holder->is_there && reply->type != REDIS_REPLY_NIL) {
		redis_disconnect(holder->redis,
			reply->type == REDIS_REPLY_ERROR
				? reply->str
				: "GET was answered with something else");
		return false;
	}
	if (!is_of_twin(holder))
		return true;
	draw_run(holder); /* now we are two */
	redis_disconnect(holder->redis, is_anothers);
	return false;
}

static void get(struct holder *holder, redis_reply_cb on_reply)
{
	const char *argv[] = {"GET", HOLDER_KEY};

	redis_ask(holder->redis, on_reply, holder, 2, argv);
}

static void on_looked(void *arg, void *item, const redisReply *reply)
{
	struct holder *holder = item;

	(void)arg;
	if (reply != NULL && note_value(holder, reply))
		holder->on_seen(holder->on_seen_arg);
}

void holder_look(struct holder *holder)
{
	get(holder, on_looked);
}

static void on_client_id(void *arg, void *item, const redisReply *reply)
{
	struct holder *holder = item;

	(void)arg;
	if (reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer > 0)
		holder->client_id = (uint64_t)reply->integer;
}

void holder_begin(struct holder *holder)
{
	const char *argv[] = {"CLIENT", "ID"};

	holder->client_id = 0;
	holder->value[0] = '\0';
	holder->is_there = holder->is_forbidden = holder->is_renewing = false;
	redis_ask(holder->redis, on_client_id, holder, 2, argv);
}

static void on_set(void *arg, void *item, const redisReply *reply)
{
	struct holder *holder = item;

	(void)arg;
	if (reply == NULL || reply->type != REDIS_REPLY_ERROR)
		return; /* what came of it is read behind it */
	if (is_forbidden(reply))
		forbid(holder, reply->str);
	else
		redis_disconnect(holder->redis, reply->str);
}

/* If the key is missing, only who comes first has it. */
static void set(struct holder *holder)
{
	const char *argv[] = {"SET", HOLDER_KEY, holder->written, "NX"};

	holder->count++;
	if (holder->written_id != holder->client_id)
		holder->written_before = holder->written_id;
	holder->written_id = holder->client_id;
	(void)snprintf(holder->written, sizeof(holder->written),
		"run=%s count=%" PRIu64 " id=%" PRIu64 " where=%s", holder->run,
		holder->count, holder->client_id, holder->where);
	redis_ask(holder->redis, on_set, holder, holder->is_there ? 3 : 4, argv);
}

static void on_taken(void *arg, void *item, const redisReply *reply)
{
	struct holder *holder = item;

	(void)arg;
	if (reply == NULL || (!holder->is_forbidden && !note_value(holder, reply)))
		return;
	if (holder->is_forbidden || holder_is_ours(holder))
		holder->on_taken(holder->on_taken_arg);
	else
		redis_disconnect(holder->redis, has_changed);
}

/* What one that is dead by now has counted meanwhile is no change. */
static void on_compared(void *arg, void *item, const redisReply *reply)
{
	struct holder *holder = item;
	char judged[RUN_BYTES], run[RUN_BYTES];

	(void)arg;
	holder_run(holder, judged);
	if (reply == NULL || !note_value(holder, reply))
		return;
	holder_run(holder, run);
	if (strcmp(run, judged) != 0 && !holder_is_ours(holder)) {
		redis_disconnect(holder->redis, has_changed);
		return;
	}
	if (!holder->is_forbidden)
		set(holder);
	get(holder, on_taken);
}

void holder_take(struct holder *holder)
{
	get(holder, on_compared);
}

static void on_renewing(void *arg, void *item, const redisReply *reply)
{
	struct holder *holder = item;

	(void)arg;
	holder->is_renewing = false;
	if (reply == NULL || !note_value(holder, reply) || holder->is_forbidden)
		return;
	if (holder->is_there && !holder_is_ours(holder)) {
		redis_disconnect(holder->redis, is_anothers);
		return;
	}
	if (holder->is_there && strcmp(holder->value, holder->written) != 0)
		holder->on_older(holder->on_older_arg);
	set(holder);
}

void holder_renew(struct holder *holder)
{
	if (holder->is_renewing)
		return;
	holder->is_renewing = true;
	get(holder, on_renewing);
}
