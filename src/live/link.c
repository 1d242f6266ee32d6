/*
 * Each way of taking ends in keep(): SETRANGE of nothing changes nothing, but Redis
 * refuses it whenever it would refuse to be written (read-only, out of memory, failing
 * snapshots), so nothing is called up that is not. The key is read behind it, as late as
 * can be before the first write.
 */
#include "live/link.h"
#include "account/ledger.h"
#include "base/text.h"

#include <string.h>

static const char has_changed[] = INSTANCE_KEY " was changed meanwhile";

/* The reply if the connection is good for more, else NULL. */
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

static bool names_us(const struct link *link, const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING &&
		(size_t)reply->len == strlen(link->instance_id) &&
		memcmp(reply->str, link->instance_id, (size_t)reply->len) == 0;
}

/* Another's, as it may be shown and kept. */
static void tell_other(struct link *link, const redisReply *reply)
{
	char id[CLAIM_BYTES];

	text_copy_clean(id, sizeof(id), reply->str, (size_t)reply->len);
	link->on_owner(link->arg, OWNER_OTHER, id[0] != '\0' ? id : "(an empty string)");
}

static void on_owner(void *arg, void *item, const redisReply *reply)
{
	struct link *link = item;

	(void)arg;
	link->n_asked--;
	reply = usable(link, reply);
	if (reply == NULL || link->n_asked > 0)
		return;
	if (reply->type == REDIS_REPLY_NIL)
		link->on_owner(link->arg, OWNER_NOBODY, "");
	else if (reply->type != REDIS_REPLY_STRING)
		redis_disconnect(link->redis, "GET was answered with something else");
	else if (names_us(link, reply))
		link->on_owner(link->arg, OWNER_SELF, link->instance_id);
	else
		tell_other(link, reply);
}

void link_begin(struct link *link)
{
	link->n_asked = 0;
}

void link_ask_anew(struct link *link)
{
	const char *argv[] = {"GET", INSTANCE_KEY};

	link->n_asked++;
	redis_ask(link->redis, on_owner, link, 2, argv);
}

void link_ask(struct link *link)
{
	if (link->n_asked == 0)
		link_ask_anew(link);
}

static void on_probed(void *arg, void *item, const redisReply *reply)
{
	(void)arg;
	(void)usable(item, reply);
}

static void on_kept(void *arg, void *item, const redisReply *reply)
{
	struct link *link = item;

	(void)arg;
	reply = usable(link, reply);
	if (reply == NULL)
		return;
	if (names_us(link, reply))
		link->on_taken(link->arg);
	else
		redis_disconnect(link->redis, has_changed);
}

void link_keep(struct link *link)
{
	const char *probe[] = {"SETRANGE", INSTANCE_KEY, "0", ""};
	const char *get[] = {"GET", INSTANCE_KEY};

	redis_ask(link->redis, on_probed, link, 4, probe);
	redis_ask(link->redis, on_kept, link, 2, get);
}

static void on_set(void *arg, void *item, const redisReply *reply)
{
	struct link *link = item;

	(void)arg;
	reply = usable(link, reply);
	if (reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_NIL)
		redis_disconnect(link->redis, has_changed); /* somebody was faster */
	else
		link_keep(link);
}

void link_claim(struct link *link)
{
	const char *argv[] = {"SET", INSTANCE_KEY, link->instance_id, "NX"};

	redis_ask(link->redis, on_set, link, 4, argv);
}

void link_take_over(struct link *link)
{
	const char *argv[] = {"SET", INSTANCE_KEY, link->instance_id};

	redis_ask(link->redis, on_set, link, 3, argv);
}
