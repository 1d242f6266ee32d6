/*
 * GET tallyd:instance; if it is missing, SCAN for hashes of users; if there are none, SET
 * it. SCAN goes on until its cursor is 0, in as many steps as the database is large.
 */
#include "live/link.h"

#include <string.h>

#define INSTANCE_KEY "tallyd:instance"
#define PATTERN_BYTES 512 /* a prefix of at most 255 bytes, each escaped, and a star */

/* The reply to look at; NULL if the connection is gone, or goes now because of an error.
 */
static const redisReply *usable(struct link *link, const redisReply *reply)
{
	if (reply == NULL)
		return NULL;
	if (reply->type == REDIS_REPLY_ERROR) {
		redis_disconnect(link->redis, reply->str);
		return NULL;
	}
	return reply;
}

static void on_owner_set(void *arg, void *item, const redisReply *reply)
{
	struct link *link = item;

	(void)arg;
	reply = usable(link, reply);
	if (reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_NIL)
		link_ask(link); /* somebody was faster */
	else
		link->on_done(link->arg, NULL);
}

static void on_scanned(void *arg, void *item, const redisReply *reply);

/* Glob characters of the prefix mean themselves. */
static void scan(struct link *link, const char *cursor)
{
	char pattern[PATTERN_BYTES], *out = pattern;
	const char *argv[] = {
		"SCAN", cursor, "MATCH", pattern, "COUNT", "1000", "TYPE", "hash"};

	for (const char *at = link->key_prefix; *at != '\0'; at++) {
		if (strchr("*?[]\\", *at) != NULL)
			*out++ = '\\';
		*out++ = *at;
	}
	(void)strcpy(out, "*");
	if (redis_send_words(link->redis, on_scanned, link, 8, argv) != 0)
		redis_disconnect(link->redis, err_text(ERR_NOMEM));
}

static void on_scanned(void *arg, void *item, const redisReply *reply)
{
	struct link *link = item;
	const char *argv[] = {"SET", INSTANCE_KEY, link->instance_id, "NX"};

	(void)arg;
	reply = usable(link, reply);
	if (reply == NULL)
		return;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
		reply->element[0]->type != REDIS_REPLY_STRING)
		redis_disconnect(link->redis, "SCAN was answered with something else");
	else if (reply->element[1]->elements > 0)
		link->on_done(link->arg,
			"there are hashes of users, and no " INSTANCE_KEY
			" that says they are ours");
	else if (strcmp(reply->element[0]->str, "0") != 0)
		scan(link, reply->element[0]->str);
	else if (redis_send_words(link->redis, on_owner_set, link, 4, argv) != 0)
		redis_disconnect(link->redis, err_text(ERR_NOMEM));
}

static void on_owner(void *arg, void *item, const redisReply *reply)
{
	struct link *link = item;

	(void)arg;
	reply = usable(link, reply);
	if (reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_NIL)
		scan(link, "0");
	else if (reply->type == REDIS_REPLY_STRING &&
		strcmp(reply->str, link->instance_id) == 0)
		link->on_done(link->arg, NULL);
	else
		link->on_done(link->arg, INSTANCE_KEY " names another data directory");
}

void link_ask(struct link *link)
{
	const char *argv[] = {"GET", INSTANCE_KEY};

	if (redis_send_words(link->redis, on_owner, link, 2, argv) != 0)
		redis_disconnect(link->redis, err_text(ERR_NOMEM));
}
