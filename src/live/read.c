/*
 * A question stands in a queue, which is the order of both its deadline and its reply.
 * One that is overdue is answered at once and stays, without anybody to tell, until its
 * reply comes or the connection is lost; meanwhile nobody else is made to wait.
 */
#include "live/read.h"
#include "base/clock.h"
#include "base/timer.h"
#include "live/fields.h"

#include <stdlib.h>
#include <sys/queue.h>

struct question {
	struct reader *reader;
	const struct user *user;
	struct totals expected;
	uint64_t number; /* of the view it was asked in */
	uint64_t deadline_ms;
	live_read_cb on_read; /* NULL: overdue */
	void *arg;
	TAILQ_ENTRY(question) link;
};

struct reader {
	struct view *view;
	uint64_t timeout_ms;
	TAILQ_HEAD(, question) questions;
	uv_timer_t deadline;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

static void tell(struct question *question, const struct totals *totals)
{
	live_read_cb on_read = question->on_read;

	question->on_read = NULL;
	if (on_read != NULL)
		on_read(question->arg, totals);
}

static void on_deadline(uv_timer_t *timer)
{
	struct reader *reader = timer->data;
	struct question *question;
	uint64_t now = clock_ms();

	TAILQ_FOREACH (question, &reader->questions, link) {
		if (question->deadline_ms > now) {
			timer_start(timer, on_deadline, question->deadline_ms - now);
			return;
		}
		tell(question, NULL);
	}
}

static void on_reply(void *arg, void *item, const redisReply *reply)
{
	struct question *question = item;
	struct reader *reader = question->reader;

	(void)arg;
	TAILQ_REMOVE(&reader->questions, question, link);
	if (reply == NULL) {
		tell(question, NULL);
	} else if (fields_are(reply, &question->expected)) {
		tell(question, &question->expected);
	} else {
		tell(question, NULL);
		view_note_difference(reader->view, question->number,
			(struct user *)question->user); /* of its place there */
	}
	free(question);
}

static bool is_late(const struct reader *reader)
{
	const struct question *first = TAILQ_FIRST(&reader->questions);

	return first != NULL && first->on_read == NULL;
}

bool reader_ask(
	struct reader *reader, const struct user *user, live_read_cb on_read, void *arg)
{
	struct question *question;

	if (!view_is_verified(reader->view, user) || is_late(reader))
		return false;
	question = malloc(sizeof(*question));
	if (question == NULL)
		return false;
	*question = (struct question){.reader = reader,
		.user = user,
		.expected = user->total,
		.number = view_number(reader->view),
		.deadline_ms = clock_ms() + reader->timeout_ms,
		.on_read = on_read,
		.arg = arg};
	if (view_ask(reader->view, user, on_reply, question) != 0) {
		free(question);
		return false;
	}
	TAILQ_INSERT_TAIL(&reader->questions, question, link);
	if (!uv_is_active((uv_handle_t *)&reader->deadline))
		timer_start(&reader->deadline, on_deadline, reader->timeout_ms);
	return true;
}

struct reader *reader_new(struct view *view, uint64_t timeout_ms)
{
	struct reader *reader = calloc(1, sizeof(*reader));

	if (reader == NULL)
		return NULL;

	reader->view = view;
	reader->timeout_ms = timeout_ms;
	TAILQ_INIT(&reader->questions);
	return reader;
}

void reader_start(struct reader *reader, uv_loop_t *loop)
{
	(void)uv_timer_init(loop, &reader->deadline); /* always 0 */
	reader->deadline.data = reader;
}

static void finish_close(uv_handle_t *handle)
{
	struct reader *reader = handle->data;

	reader->on_closed(reader->on_closed_arg);
}

void reader_close(struct reader *reader, void (*on_closed)(void *arg), void *arg)
{
	reader->on_closed = on_closed;
	reader->on_closed_arg = arg;
	uv_close((uv_handle_t *)&reader->deadline, finish_close);
}

/* The connection is closed by now, so every question was answered. */
void reader_free(struct reader *reader)
{
	free(reader);
}
