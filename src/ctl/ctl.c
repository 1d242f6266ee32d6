#include "ctl/ctl.h"
#include "ctl/call.h"
#include "ctl/mem.h"
#include "ctl/member.h"
#include "ctl/path.h"
#include "ctl/term.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int ctl_fail(int code, const char *format, ...)
{
	char text[1024];
	va_list args;
	char *safe;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args); /* longer text is cut */
	va_end(args);
	safe = term_safe(text);
	(void)fprintf(stderr, "tallyctl: %s\n", safe); /* nowhere else to complain */
	free(safe);
	return code;
}

/* As it is; a terminal gets it safe, for JSON may hold what moves the cursor. */
static void print_text(const char *text, size_t len)
{
	char *safe = isatty(STDOUT_FILENO) ? term_safe_lines(text) : NULL;

	if (safe != NULL)
		(void)fputs(safe, stdout); /* looked at with ferror() at the end */
	else
		(void)fwrite(text, 1, len, stdout);
	if (len == 0 || text[len - 1] != '\n')
		(void)fputc('\n', stdout);
	free(safe);
}

void ctl_print_json(const cJSON *json)
{
	char *text = cJSON_PrintUnformatted(json); /* memory: see mem.h */

	print_text(text, strlen(text));
	free(text);
}

/* Why the answer is not the one that was asked for. */
static int refused(const struct answer *answer, struct errmsg *msg)
{
	const char *error = member_text(answer->json, "error");
	const char *word = member_text(answer->json, "code");
	bool is_about_right = answer->status == 401 || answer->status == 403;
	int code = is_about_right ? EXIT_NO_RIGHT : EXIT_REFUSED;

	if (error != NULL)
		return err_set(msg, code, "%s%s%s%s", error, word != NULL ? " (" : "",
			word != NULL ? word : "", word != NULL ? ")" : "");
	if (is_about_right)
		return err_set(msg, code,
			"the daemon gives you no right to do that (HTTP %ld); use its "
			"admin socket, or --url with the right token",
			answer->status);
	if (cJSON_IsObject(answer->json))
		return err_set(
			msg, code, "the daemon refused that (HTTP %ld)", answer->status);
	return err_set(msg, EXIT_UNREACHABLE,
		"what answers there is not tallyd, or something is between it and you "
		"(HTTP %ld)",
		answer->status);
}

static int ask(const struct ctl *ctl, const char *method, const char *path,
	const cJSON *body, bool is_shown, cJSON **ret_answer, struct errmsg *msg)
{
	struct answer answer = {0};
	int code = call_do(ctl->call, method, path, body, &answer, msg);
	bool is_json = code == 0 && cJSON_IsObject(answer.json);

	if (code != 0)
		return code;
	if (is_json && is_shown)
		print_text(answer.text, answer.len);
	if (is_json && answer.status >= 200 && answer.status < 300) {
		*ret_answer = answer.json;
		answer.json = NULL;
	} else {
		code = refused(&answer, msg);
	}
	answer_done(&answer);
	return code;
}

int ctl_try(const struct ctl *ctl, const char *path, cJSON **ret_answer,
	struct errmsg *ret_msg)
{
	return ask(ctl, "GET", path, NULL, false, ret_answer, ret_msg);
}

int ctl_ask(const struct ctl *ctl, const char *method, char *path, cJSON *body,
	cJSON **ret_answer)
{
	struct errmsg msg;
	int code = ask(ctl, method, path, body, ctl->is_json, ret_answer, &msg);

	cJSON_Delete(body);
	free(path);
	return code == 0 ? 0 : ctl_fail(code, "%s", msg.text);
}

int ctl_do(const struct ctl *ctl, const char *method, char *path, cJSON *body,
	ctl_show_cb show)
{
	cJSON *answer = NULL;
	int code = ctl_ask(ctl, method, path, body, &answer);

	if (code != 0)
		return code;
	if (!ctl->is_json)
		show(ctl, answer);
	cJSON_Delete(answer);
	return 0;
}

#define MAX_PAGES 10000 /* more than all that tallyd keeps of anything */

int ctl_pages(const struct ctl *ctl, const char *path,
	void (*on_page)(void *arg, const cJSON *page), void *arg)
{
	char *next = mem_copy(path);
	unsigned n_pages = 0;

	while (next != NULL) {
		cJSON *page = NULL;
		int code = ctl_ask(ctl, "GET", next, NULL, &page);
		const char *cursor;

		if (code != 0)
			return code;
		on_page(arg, page);
		cursor = member_text(page, "next");
		next = NULL;
		if (cursor != NULL) {
			char *before = mem_format("%s?after=", path);

			next = path_make(before, cursor, "");
			free(before);
			if (++n_pages == MAX_PAGES) {
				cJSON_Delete(page);
				free(next);
				return ctl_fail(EXIT_REFUSED,
					"the answer has no end; is that tallyd?");
			}
		}
		cJSON_Delete(page);
	}
	return 0;
}
