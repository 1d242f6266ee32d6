/*
 * A look is: the holder's key, then the list of connections, then judge(). It ends in
 * kill_found(), in another look a moment later, or in a copy that lives.
 *
 * A dead process's last count may still be unread in Redis, but one at most: the next is
 * sent when it is answered. So two changes are a life, and one is not.
 *
 * Our own connection is among those found: CLIENT KILL leaves out who asks (SKIPME is its
 * default), and whether Redis lets us kill is known before it is needed.
 */
#include "live/fence.h"
#include "base/clock.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SILENCE_MS 3000 /* of a living holder, at most: it counts once a second */
#define MAX_GAP_MS 1000 /* between two looks that are one silence */
#define CHANGES_OF_LIFE 2
#define MAX_UNANSWERED 2

static void note_unsure(struct fence *fence, const char *why)
{
	if (fence->why_unsure[0] == '\0')
		text_copy_clean(
			fence->why_unsure, sizeof(fence->why_unsure), why, strlen(why));
}

static void note_refusal(struct fence *fence, const redisReply *reply)
{
	if (reply->type == REDIS_REPLY_ERROR)
		note_unsure(fence, reply->str);
}

/* Killing */

static void finish_one(struct fence *fence)
{
	fence->n_pending--;
	if (fence->n_pending == 0)
		fence->hooks.on_clear(fence->hooks.arg,
			fence->why_unsure[0] != '\0' ? fence->why_unsure : NULL);
}

static void on_killed(void *arg, void *item, const redisReply *reply)
{
	struct fence *fence = item;

	(void)arg;
	if (reply == NULL)
		return;
	note_refusal(fence, reply);
	finish_one(fence);
}

static void kill_client(struct fence *fence, const struct fence_client *client)
{
	char number[24];
	const char *argv[] = {"CLIENT", "KILL", "ID", number};

	if (strcmp(client->run, fence->holder->run) != 0) {
		fence->has_killed = true;
		(void)strcpy(fence->killed_run, client->run);
	}
	(void)snprintf(number, sizeof(number), "%" PRIu64, client->id);
	fence->n_pending++;
	redis_ask(fence->redis, on_killed, fence, 4, argv);
}

static void kill_found(struct fence *fence)
{
	if (fence->n_found == FENCE_MAX_FOUND)
		note_unsure(fence, "more connections bear our name than are ended");
	fence->has_met = fence->is_proven = false;
	fence->n_looks = fence->n_changes = 0;
	fence->n_pending = 1; /* this call */
	for (size_t i = 0; i < fence->n_found; i++)
		kill_client(fence, &fence->found[i]);
	finish_one(fence);
}

/* Judging */

static const struct fence_client *find_run(const struct fence *fence, const char *run)
{
	for (size_t i = 0; i < fence->n_found; i++)
		if (strcmp(fence->found[i].run, run) == 0)
			return &fence->found[i];
	return NULL;
}

/* A connection of another process that tells its run. */
static const struct fence_client *find_other(const struct fence *fence)
{
	for (size_t i = 0; i < fence->n_found; i++)
		if (fence->found[i].run[0] != '\0' &&
			strcmp(fence->found[i].run, fence->holder->run) != 0)
			return &fence->found[i];
	return NULL;
}

/* One that was killed and is there again lives. Those that count are told by that. */
static const struct fence_client *find_returned(const struct fence *fence)
{
	if (!fence->has_killed ||
		(fence->killed_run[0] != '\0' && !fence->holder->is_forbidden))
		return NULL;
	return find_run(fence, fence->killed_run);
}

/*
 * Whether another process may live that writes. Who neither is named in the key nor has
 * found it missing has never written.
 */
static bool may_live(const struct fence *fence, const struct fence_client **ret_client)
{
	char run[RUN_BYTES];

	holder_run(fence->holder, run);
	if (!fence->holder->is_there) {
		*ret_client = find_other(fence);
		return *ret_client != NULL;
	}
	*ret_client = find_run(fence, run);
	if (holder_is_ours(fence->holder) || run[0] == '\0')
		return false;
	return *ret_client != NULL || !fence->is_listed;
}

static void tell_copy(
	struct fence *fence, const struct fence_client *client, bool is_gone)
{
	const struct holder *holder = fence->holder;
	const char *where = holder_is_ours(holder) ? "" : holder_where(holder);
	char who[FENCE_WHO_BYTES] = "an unknown address";

	if (client != NULL && where[0] != '\0')
		(void)snprintf(
			who, sizeof(who), "%s (host/process %s)", client->address, where);
	else if (client != NULL || where[0] != '\0')
		(void)snprintf(who, sizeof(who), "%s%s",
			client != NULL ? "" : "host/process ",
			client != NULL ? client->address : where);
	fence->has_met = true;
	(void)strcpy(fence->met, holder->value);
	fence->hooks.on_copy(fence->hooks.arg, who, is_gone);
}

/* We have stepped back before. True if that stands: who has counted on since lives, and
 * while it is known that it did we do not write, for its totals are newer than ours. */
static bool keeps_back(struct fence *fence, const struct fence_client *client)
{
	bool is_same = strcmp(fence->met, fence->holder->value) == 0;

	if (!fence->has_met || holder_is_ours(fence->holder))
		return false;
	if (!fence->is_proven && is_same && fence->holder->is_there)
		return false; /* that was the last of it */
	fence->is_proven = true;
	tell_copy(fence, client, is_same && (client == NULL || fence->holder->is_there));
	return true;
}

/* Over all our connections, since a slow Redis may cost one after the other. Time in
 * which nobody could look is no silence: nobody could count, either. */
static void note_change(struct fence *fence)
{
	uint64_t now = clock_ms(), since_last = now - fence->looked_ms;
	bool is_first = fence->n_looks++ == 0;

	fence->looked_ms = now;
	if (!is_first && strcmp(fence->last, fence->holder->value) == 0) {
		fence->silent_ms += since_last < MAX_GAP_MS ? since_last : MAX_GAP_MS;
		return;
	}
	(void)strcpy(fence->last, fence->holder->value);
	fence->silent_ms = 0;
	fence->n_changes += !is_first;
}

static void judge(struct fence *fence)
{
	const struct fence_client *client, *returned = find_returned(fence);
	bool may_another_live = may_live(fence, &client);

	note_change(fence);
	if (keeps_back(fence, client != NULL ? client : returned))
		return;
	if (returned != NULL) {
		fence->is_proven = true;
		tell_copy(fence, returned, false);
	} else if (!may_another_live || fence->silent_ms >= SILENCE_MS) {
		kill_found(fence);
	} else if (fence->n_changes >= CHANGES_OF_LIFE) {
		tell_copy(fence, client, false);
	} else {
		fence->has_waited = true;
		fence->hooks.on_wait(fence->hooks.arg);
	}
}

/* Looking */

/* The value behind ` name=` of a line, up to a space; "" if there is none. */
static void read_part(
	const char *line, size_t len, const char *name, char *ret_value, size_t size)
{
	const char *at = memmem(line, len, name, strlen(name));
	const char *end;

	ret_value[0] = '\0';
	if (at == NULL)
		return;
	at += strlen(name);
	end = memchr(at, ' ', len - (size_t)(at - line));
	text_copy_clean(
		ret_value, size, at, (size_t)((end != NULL ? end : line + len) - at));
}

/* A line is `id=7 addr=... name=NAME age=... db=0 ...`; NAME is tallyd:INSTANCE:RUN, of
 * older tallyds without a run. Another database is another view. */
static void note_if_ours(struct fence *fence, const char *line, size_t len)
{
	struct fence_client *client = &fence->found[fence->n_found];
	size_t head = strlen(fence->name) - RUN_BYTES;
	char name[sizeof(fence->name) + 2], db[12];

	if (fence->n_found == FENCE_MAX_FOUND || strncmp(line, "id=", 3) != 0)
		return;
	read_part(line, len, " name=", name, sizeof(name));
	if (strncmp(name, fence->name, head) != 0 ||
		(name[head] != '\0' &&
			(name[head] != ':' || strlen(name) != strlen(fence->name))))
		return;
	read_part(line, len, " db=", db, sizeof(db));
	if (db[0] != '\0' && strtol(db, NULL, 10) != fence->survey->db)
		return;
	client->id = strtoull(line + 3, NULL, 10);
	(void)strcpy(client->run, name[head] != '\0' ? name + head + 1 : "");
	read_part(line, len, " addr=", client->address, sizeof(client->address));
	fence->n_found++;
}

static void read_list(struct fence *fence, const char *list)
{
	const char *end;

	for (const char *line = list; *line != '\0';
		line = *end == '\0' ? end : end + 1) {
		end = strchrnul(line, '\n');
		note_if_ours(fence, line, (size_t)(end - line));
	}
}

static void on_list(void *arg, void *item, const redisReply *reply)
{
	struct fence *fence = item;

	(void)arg;
	if (reply == NULL)
		return;
	fence->is_listing = false;
	fence->n_unanswered = 0;
	note_refusal(fence, reply);
	fence->is_listed = reply->type == REDIS_REPLY_STRING;
	if (fence->is_listed)
		read_list(fence, reply->str);
	judge(fence);
}

/* The one connection that was the last to write, where there are too many for a list. */
static void ask_for_one(struct fence *fence)
{
	char number[24];
	const char *argv[] = {"CLIENT", "LIST", "ID", number};
	uint64_t id = holder_client(fence->holder);

	if (id == 0) {
		note_unsure(fence, "Redis has too many connections to look through them");
		judge(fence);
		return;
	}
	(void)snprintf(number, sizeof(number), "%" PRIu64, id);
	redis_ask(fence->redis, on_list, fence, 4, argv);
}

static void ask_for_all(struct fence *fence)
{
	const char *argv[] = {"CLIENT", "LIST"};

	fence->is_listing = true;
	redis_ask(fence->redis, on_list, fence, 2, argv);
}

void fence_on_holder(void *arg)
{
	struct fence *fence = arg;

	fence->n_found = 0;
	fence->is_listed = false;
	if (fence->survey->n_clients > FENCE_MAX_CLIENTS ||
		fence->n_unanswered >= MAX_UNANSWERED)
		ask_for_one(fence);
	else
		ask_for_all(fence);
}

void fence_look(struct fence *fence)
{
	holder_look(fence->holder);
}

static void on_named(void *arg, void *item, const redisReply *reply)
{
	(void)arg;
	if (reply != NULL)
		note_refusal(item, reply);
}

void fence_begin(struct fence *fence)
{
	const char *set_name[] = {"CLIENT", "SETNAME", fence->name};

	/* A list that the connection has died of is asked for once more, no oftener. */
	fence->n_unanswered += fence->is_listing;
	fence->is_listing = false;
	(void)snprintf(fence->name, sizeof(fence->name), "tallyd:%s:%s",
		fence->instance_id, fence->holder->run);
	fence->why_unsure[0] = '\0';
	fence->has_waited = false;
	redis_ask(fence->redis, on_named, fence, 3, set_name);
	holder_begin(fence->holder);
	fence_look(fence);
}
