#include "live/replies.h"
#include "base/text.h"

#include <string.h>

/* What a peer may make us allocate, and judge in one loop turn: an array's header alone,
 * and a reply that does not end. The largest we ask for are a page of SCAN and a list of
 * clients (FENCE_MAX_CLIENTS). */
#define MAX_ELEMENTS 16384
#define MAX_REPLY_BYTES (4 << 20)

static const char too_large[] = "a reply that is too large";
static const char no_key[] = "a message that holds something else than keys";

/* hiredis takes what an array promises at once, and knows no bound for what is parsed. */
static bool is_within_bounds(const redisReadTask *task, size_t n_elements, size_t n_bytes)
{
	struct replies *replies = task->privdata;

	if (task->parent == NULL)
		replies->n_elements = replies->n_bytes = 0;
	replies->n_elements += n_elements;
	replies->n_bytes += n_bytes;
	if (replies->n_elements <= MAX_ELEMENTS && replies->n_bytes <= MAX_REPLY_BYTES)
		return true;
	replies->why = too_large;
	return false;
}

/* Messages */

static bool is_message(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
		reply->element[0] != NULL &&
		reply->element[0]->type == REDIS_REPLY_STRING &&
		strcmp(reply->element[0]->str, "message") == 0;
}

/* A message's payload itself: 1; what is in it: 2. */
static unsigned depth_in_message(const redisReadTask *task)
{
	const struct replies *replies = task->privdata;
	const redisReadTask *outer = task->parent;

	if (replies->on_key == NULL || outer == NULL)
		return 0;
	if (outer->parent != NULL)
		return is_message(outer->parent->obj) ? 2 : 0;
	return task->idx == 2 && is_message(outer->obj) ? 1 : 0;
}

static void *refuse(struct replies *replies)
{
	replies->why = no_key;
	return NULL;
}

/* Objects. What stands in a message is none: hiredis only has to see that it was taken.
 */

static void *make_line(struct replies *replies, redisReply line)
{
	replies->line = line;
	return &replies->line;
}

static void *create_integer(const redisReadTask *task, long long value)
{
	struct replies *replies = task->privdata;

	if (task->parent == NULL)
		return make_line(replies,
			(redisReply){.type = REDIS_REPLY_INTEGER, .integer = value});
	return depth_in_message(task) < 2 ? replies->hiredis->createInteger(task, value)
					  : refuse(replies);
}

static void *create_nil(const redisReadTask *task)
{
	struct replies *replies = task->privdata;

	if (task->parent == NULL)
		return make_line(replies, (redisReply){.type = REDIS_REPLY_NIL});
	return depth_in_message(task) < 2 ? replies->hiredis->createNil(task)
					  : refuse(replies);
}

static void *create_array(const redisReadTask *task, int elements)
{
	struct replies *replies = task->privdata;
	unsigned depth = depth_in_message(task);

	if (depth > 0)
		return depth == 1 ? &replies->line : refuse(replies);
	return is_within_bounds(task, (size_t)elements, 0)
		? replies->hiredis->createArray(task, elements)
		: NULL;
}

/* What Redis says itself goes to logs and into the status, so it is text from here on.
 * What it keeps for others may be any bytes: whoever shows it cleans it. */
static void *create_string(const redisReadTask *task, char *text, size_t len)
{
	struct replies *replies = task->privdata;
	redisReply *reply;

	if (depth_in_message(task) == 2) {
		replies->on_key(replies->arg, text, len);
		return &replies->line;
	}
	if (task->parent == NULL && task->type != REDIS_REPLY_STRING) {
		text_copy_clean(replies->text, sizeof(replies->text), text, len);
		return make_line(replies,
			(redisReply){.type = task->type,
				.str = replies->text,
				.len = strlen(replies->text)});
	}
	reply = is_within_bounds(task, 0, len)
		? replies->hiredis->createString(task, text, len)
		: NULL;
	if (reply != NULL && task->type != REDIS_REPLY_STRING)
		text_make_clean(reply->str, len);
	return reply;
}

/* Taking */

void replies_begin(struct replies *replies, redisReader *reader)
{
	replies->reader = reader;
	replies->hiredis = reader->fn;
	replies->functions = (redisReplyObjectFunctions){create_string, create_array,
		create_integer, create_nil, reader->fn->freeObject};
	replies->why = NULL;
	reader->fn = &replies->functions;
	reader->privdata = replies;
}

static void free_last(struct replies *replies)
{
	if (replies->last != NULL && replies->last != &replies->line)
		freeReplyObject(replies->last);
	replies->last = NULL;
}

void replies_end(struct replies *replies)
{
	free_last(replies);
	replies->reader = NULL;
}

static const char *why_useless(const struct replies *replies)
{
	return replies->why != NULL ? replies->why : replies->reader->errstr;
}

const char *replies_feed(struct replies *replies, const char *bytes, size_t len)
{
	if (redisReaderFeed(replies->reader, bytes, len) != REDIS_OK)
		return why_useless(replies);
	return NULL;
}

/* True if that was a message; what it told was given already, but for nil. */
static bool take_message(struct replies *replies)
{
	const redisReply *payload;

	if (replies->on_key == NULL || !is_message(replies->last))
		return false;
	payload = replies->last->element[2];
	if (payload != NULL && payload->type == REDIS_REPLY_NIL)
		replies->on_key(replies->arg, NULL, 0);
	return true;
}

const char *replies_take(struct replies *replies, const redisReply **ret_reply)
{
	void *reply;

	do {
		free_last(replies);
		if (redisReaderGetReply(replies->reader, &reply) != REDIS_OK)
			return why_useless(replies);
		replies->last = reply;
	} while (reply != NULL && take_message(replies));
	*ret_reply = reply;
	return replies->reader->len > MAX_REPLY_BYTES ? too_large : NULL;
}
