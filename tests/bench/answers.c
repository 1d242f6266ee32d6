#include "bench/answers.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char end_of_head[] = "\r\n\r\n";

/* The value of a header, or NULL. */
static const char *find(const char *head, const char *name)
{
	const char *line = head;

	while ((line = strstr(line, "\r\n")) != NULL) {
		line += 2;
		if (strncasecmp(line, name, strlen(name)) == 0)
			return line + strlen(name);
	}
	return NULL;
}

/* `head` has ended. */
static int begin_body(struct answers *answers)
{
	const char *length = find(answers->head, "Content-Length:");

	if (strncmp(answers->head, "HTTP/1.", 7) != 0 || length == NULL)
		return -1;
	answers->status = atoi(answers->head + strlen("HTTP/1.1 "));
	answers->body_left = strtoull(length, NULL, 10);
	answers->head_len = 0;
	return 0;
}

static void maybe_end(struct answers *answers)
{
	if (answers->status == 0 || answers->body_left > 0)
		return;
	answers->n_ok += answers->status == 200;
	answers->n_other += answers->status != 200;
	answers->last_status = answers->status;
	answers->status = 0;
}

/* Returns how many bytes of `data` belong to the head, or -1. */
static long take_head(struct answers *answers, const char *data, size_t len)
{
	size_t room = sizeof(answers->head) - 1 - answers->head_len;
	size_t before = answers->head_len, taken = len < room ? len : room;
	const char *end;

	memcpy(answers->head + before, data, taken);
	answers->head[before + taken] = '\0';
	end = strstr(answers->head, end_of_head);
	answers->head_len += taken;
	if (end == NULL)
		return taken == room ? -1 : (long)taken;
	taken = (size_t)(end - answers->head) + strlen(end_of_head);
	answers->head[taken] = '\0';
	return begin_body(answers) == 0 ? (long)(taken - before) : -1;
}

static long take_body(struct answers *answers, size_t len)
{
	size_t taken = len < answers->body_left ? len : (size_t)answers->body_left;

	answers->body_left -= taken;
	return (long)taken;
}

int answers_take(struct answers *answers, const char *data, size_t len)
{
	while (len > 0) {
		long taken = answers->status == 0 ? take_head(answers, data, len)
						  : take_body(answers, len);

		if (taken < 0)
			return -1;
		data += taken;
		len -= (size_t)taken;
		maybe_end(answers);
	}
	return 0;
}
