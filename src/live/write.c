/*
 * A command is written right into the connection's buffer, and its reply comes back with
 * the struct write that says what it has to be.
 */
#include "base/log.h"
#include "base/text.h"
#include "live/fields.h"
#include "live/holder.h"
#include "live/link.h"
#include "live/view_internal.h"

#include <stdio.h>
#include <string.h>

/* Replies */

static bool starts_with(const char *text, const char *head)
{
	return strncmp(text, head, strlen(head)) == 0;
}

/* Redis begins an error with a word: those of one key are WRONGTYPE, and ERR for a field
 * that is no number or would overflow. All others are about the server, and so is ERR for
 * a command that it does not have. */
static bool is_of_one_key(const char *error)
{
	return starts_with(error, "WRONGTYPE") ||
		(starts_with(error, "ERR ") && !starts_with(error, "ERR unknown ") &&
			!starts_with(error, "ERR wrong number of arguments"));
}

/* Replies to what was sent for this user so far say nothing. */
static void forget_writes(struct view *view, const struct user *user)
{
	for (size_t i = 0; i < view->n_batches; i++) {
		struct batch *batch =
			&view->batches[(view->first_batch + i) % MAX_BATCHES];

		for (size_t k = 0; k < batch->n; k++)
			if (batch->writes[k].user == user)
				batch->writes[k].number = 0;
	}
}

static void refuse(
	struct view *view, struct user *user, bool was_refused, const char *error)
{
	char id[sizeof(view->stats.error) / 2], text[2 * sizeof(view->stats.error)];

	if (view_is_at(view, user, PLACE_DOUBTFUL))
		return; /* its key is another by now, and will be read */
	text_copy_clean(id, sizeof(id), user->id,
		strlen(user->id)); /* its reason is to fit behind it */
	(void)snprintf(text, sizeof(text), "user %s: %s", id, error);
	text_copy_clean(view->stats.error, sizeof(view->stats.error), text, strlen(text));
	view_place(view, user, PLACE_REFUSED);
	forget_writes(view, user);
	view_plan_tick(view);
	if (!was_refused)
		log_limited(LOG_WARN,
			"Redis refuses a user: it is not shown, and tried again",
			"user=%s error=%s", LOG_QUOTE(user->id), LOG_QUOTE(error));
}

static void finish_command(struct view *view)
{
	view->n_answered++;
	if (view->n_batches > 0 &&
		view->n_answered == view->batches[view->first_batch].end_command)
		view_finish_batch(view);
}

/* Why the connection is good for nothing after this reply, or NULL. */
static const char *why_unusable(const redisReply *reply, int type)
{
	if (reply->type == REDIS_REPLY_ERROR)
		return is_of_one_key(reply->str) ? NULL : reply->str;
	return reply->type == type ? NULL : "a reply to something else";
}

/* False: there is nothing to be judged, with the connection all that was sent is lost. */
static bool is_usable(struct view *view, const redisReply *reply, int type)
{
	const char *why;

	if (reply == NULL)
		return false;
	view->stats.n_refused += reply->type == REDIS_REPLY_ERROR;
	why = why_unusable(reply, type);
	if (why != NULL)
		redis_disconnect(view->redis, why);
	return why == NULL;
}

static void judge(struct write *write, bool is_expected)
{
	if (!is_expected)
		view_note_difference(write->view, write->number, write->user);
	finish_command(write->view);
}

static bool is_number(const redisReply *reply, uint64_t number)
{
	return reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0 &&
		(uint64_t)reply->integer == number;
}

static void on_incremented(void *arg, void *item, const redisReply *reply)
{
	struct write *write = item;

	(void)arg;
	if (is_usable(write->view, reply, REDIS_REPLY_INTEGER))
		judge(write, is_number(reply, write->expected.used));
}

/* Of fields that were there none may be new. */
static void on_set_again(void *arg, void *item, const redisReply *reply)
{
	struct write *write = item;

	(void)arg;
	if (is_usable(write->view, reply, REDIS_REPLY_INTEGER))
		judge(write, is_number(reply, 0));
}

static void on_read(void *arg, void *item, const redisReply *reply)
{
	struct write *write = item;

	(void)arg;
	if (is_usable(write->view, reply, REDIS_REPLY_ARRAY))
		judge(write, fields_are(reply, &write->expected));
}

/* Who was refused meanwhile, by what was sent before, is not refused any more. */
static void note_written(struct view *view, struct user *user)
{
	view->stats.n_absolute++;
	if (!view_is_at(view, user, PLACE_REFUSED))
		return;
	view_place(view, user, PLACE_NOWHERE);
	ledger_mark_unsent(view->ledger, user);
}

static void on_set(void *arg, void *item, const redisReply *reply)
{
	struct write *write = item;
	struct view *view = write->view;

	(void)arg;
	if (!is_usable(view, reply, REDIS_REPLY_INTEGER))
		return;
	if (reply->type != REDIS_REPLY_ERROR)
		note_written(view, write->user);
	else if (write->number == view->number)
		refuse(view, write->user, write->was_refused, reply->str);
	finish_command(view);
}

/* Writing */

static void make_key(
	const struct view *view, const struct user *user, struct fields_key *key)
{
	fields_make_key(key, view->config.key_prefix, view->prefix_len, user);
}

int view_ask(
	struct view *view, const struct user *user, redis_reply_cb on_reply, void *item)
{
	char *at = redis_room(view->redis, FIELDS_COMMAND_BYTES);
	struct fields_key key;

	if (at == NULL)
		return ERR_NOMEM;
	make_key(view, user, &key);
	return redis_add(view->redis, fields_put_read(at, &key), on_reply, item);
}

/* False: it was not sent, and the connection is dropped. */
static bool note_sent(struct view *view, int code)
{
	if (code == 0)
		view->n_sent++;
	else
		redis_disconnect(view->redis, err_text(code));
	return code == 0;
}

/* Up to `end` is a command of this batch. */
static bool add_command(
	struct view *view, const char *end, redis_reply_cb on_reply, struct write *write)
{
	return note_sent(view, redis_add(view->redis, end, on_reply, write));
}

/* Room for the commands of a user; NULL, and the connection is dropped, if there is none.
 */
static char *make_room(struct view *view)
{
	char *at = redis_room(view->redis, 2 * FIELDS_COMMAND_BYTES);

	if (at == NULL)
		redis_disconnect(view->redis, err_text(ERR_NOMEM));
	return at;
}

static struct write *add_write(struct view *view, struct batch *batch, struct user *user)
{
	struct write *write = &batch->writes[batch->n++];

	*write = (struct write){.view = view,
		.user = user,
		.number = view->number,
		.expected = user->total,
		.was_refused = view_is_at(view, user, PLACE_REFUSED)};
	return write;
}

void write_whole(struct view *view, struct batch *batch, struct user *user)
{
	struct fields_key key;
	struct write *write;
	char *at;

	make_key(view, user, &key);
	if (fields_is_key(&key, INSTANCE_KEY) || fields_is_key(&key, HOLDER_KEY)) {
		refuse(view, user, view_is_at(view, user, PLACE_REFUSED),
			INSTANCE_KEY " and " HOLDER_KEY " are no user's");
		return;
	}
	at = make_room(view);
	if (at == NULL)
		return;
	write = add_write(view, batch, user);
	view_place(view, user, PLACE_VERIFIED);
	(void)add_command(view, fields_put_set(at, &key, &user->total), on_set, write);
}

/*
 * Where Redis tells of edits, it does not of one that ours follows at once: so each
 * command leaves all three fields right. That is also the cheapest. Where it does not
 * tell, the reply to an increment does, of any edit of the used total.
 */
static void write_again(
	struct view *view, struct batch *batch, struct user *user, uint64_t used)
{
	char *at = make_room(view);
	struct fields_key key;
	struct write *write;

	if (at == NULL)
		return;
	write = add_write(view, batch, user);
	make_key(view, user, &key);
	if (view->is_tracked) {
		at = fields_put_set(at, &key, &user->total);
		(void)add_command(view, at, on_set_again, write);
		return;
	}
	at = fields_put_increment(at, &key, used);
	if (add_command(view, at, on_incremented, write))
		(void)add_command(view, fields_put_rest(at, &key, &user->total),
			on_set_again, write);
}

void write_read(struct view *view, struct batch *batch, struct user *user)
{
	struct write *write = add_write(view, batch, user);

	(void)note_sent(view, view_ask(view, user, on_read, write));
}

/* The increments of a refused user wait in its total for the next time that it is tried
 * absolutely. */
void write_unsent(struct view *view, struct batch *batch, struct user *user,
	const struct totals *unsent)
{
	if (view_is_at(view, user, PLACE_REFUSED))
		return;
	if (!view_is_at(view, user, PLACE_VERIFIED))
		write_whole(view, batch, user);
	else if (unsent->used > 0 || unsent->input > 0 || unsent->output > 0)
		write_again(view, batch, user, unsent->used);
}
