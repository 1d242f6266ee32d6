/*
 * SETNAME and LIST go together, then a KILL for each that was found. Our own connection
 * is among them: CLIENT KILL leaves out who asks (SKIPME is its default).
 */
#include "live/fence.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void ask(struct fence *fence, redis_reply_cb on_reply, int argc, const char **argv)
{
	fence->n_pending++;
	redis_ask(fence->redis, on_reply, fence, argc, argv);
}

static void note_refusal(struct fence *fence, const redisReply *reply)
{
	if (reply->type == REDIS_REPLY_ERROR && fence->why_unsure[0] == '\0')
		(void)snprintf(
			fence->why_unsure, sizeof(fence->why_unsure), "%s", reply->str);
}

static void finish_one(struct fence *fence)
{
	fence->n_pending--;
	if (fence->n_pending == 0)
		fence->on_done(fence->arg,
			fence->why_unsure[0] != '\0' ? fence->why_unsure : NULL);
}

static void on_done_one(void *arg, void *item, const redisReply *reply)
{
	struct fence *fence = item;

	(void)arg;
	if (reply == NULL)
		return;
	note_refusal(fence, reply);
	finish_one(fence);
}

static void kill_client(struct fence *fence, uint64_t id)
{
	char number[24];
	const char *argv[] = {"CLIENT", "KILL", "ID", number};

	(void)snprintf(number, sizeof(number), "%" PRIu64, id);
	ask(fence, on_done_one, 4, argv);
}

/* A line is `id=7 addr=... name=NAME age=...`. */
static void kill_if_ours(struct fence *fence, const char *line, size_t len)
{
	char wanted[sizeof(fence->name) + 8];
	int wanted_len = snprintf(wanted, sizeof(wanted), " name=%s ", fence->name);

	if (strncmp(line, "id=", 3) == 0 &&
		memmem(line, len, wanted, (size_t)wanted_len) != NULL)
		kill_client(fence, strtoull(line + 3, NULL, 10));
}

static void on_list(void *arg, void *item, const redisReply *reply)
{
	struct fence *fence = item;
	const char *line, *end;

	(void)arg;
	if (reply == NULL)
		return;
	note_refusal(fence, reply);
	line = reply->type == REDIS_REPLY_STRING ? reply->str : "";
	for (; *line != '\0'; line = *end == '\0' ? end : end + 1) {
		end = strchrnul(line, '\n');
		kill_if_ours(fence, line, (size_t)(end - line));
	}
	finish_one(fence);
}

void fence_begin(struct fence *fence)
{
	const char *set_name[] = {"CLIENT", "SETNAME", fence->name};
	const char *list[] = {"CLIENT", "LIST"};

	(void)snprintf(fence->name, sizeof(fence->name), "tallyd:%s", fence->instance_id);
	fence->why_unsure[0] = '\0';
	fence->n_pending = 0;
	ask(fence, on_done_one, 3, set_name);
	ask(fence, on_list, 2, list);
}
