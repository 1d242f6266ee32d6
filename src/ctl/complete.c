#include "ctl/complete.h"
#include "base/text.h"
#include "ctl/args.h"
#include "ctl/call.h"
#include "ctl/mem.h"
#include "ctl/member.h"
#include "ctl/target.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 1000

struct completion {
	const struct args *args; /* what stands before */
	const char *begin;       /* of the word to complete */
	FILE *out;
};

/* What a free argument is made of: names that a list of the daemon holds. */
static const struct source {
	const char *argument, *path, *list, *name;
} sources[] = {
	{"NODE", "/nodes", "nodes", "name"},
};

static void offer(const struct completion *c, const char *word, size_t len)
{
	size_t begun = strlen(c->begin);

	if (len >= begun && memcmp(word, c->begin, begun) == 0)
		(void)fprintf(c->out, "%.*s\n", (int)len, word); /* nobody is told */
}

static void offer_choice(const struct completion *c, const char *choice)
{
	for (const char *at = choice; *at != '\0';) {
		size_t len = strcspn(at, "|");

		offer(c, at, len);
		at += len + (at[len] == '|');
	}
}

/* A name that is no clean text is nothing to type. */
static void offer_list(
	const struct completion *c, const struct source *source, const cJSON *answer)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(answer, source->list);
	const cJSON *row;

	cJSON_ArrayForEach (row, list) {
		const char *name = member_text(row, source->name);

		if (name != NULL && text_is_name(name))
			offer(c, name, strlen(name));
	}
}

static void offer_names(const struct completion *c, const struct source *source)
{
	struct target target;
	struct answer answer = {0};
	struct call *call;
	struct errmsg unsaid;

	if (target_find(c->args, &target, &unsaid) != 0)
		return;
	call = call_new(&target, TIMEOUT_MS);
	if (call_do(call, "GET", source->path, NULL, &answer, &unsaid) == 0)
		offer_list(c, source, answer.json);
	answer_done(&answer);
	call_free(call);
	explicit_bzero(&target, sizeof(target));
}

static void offer_argument(const struct completion *c, const char *argument, size_t len)
{
	if (args_is_choice(argument)) {
		offer_choice(c, argument);
		return;
	}
	if (len == 4 && memcmp(argument, "FILE", 4) == 0)
		(void)fputs(":files\n", c->out);
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		if (strlen(sources[i].argument) == len &&
			memcmp(sources[i].argument, argument, len) == 0)
			offer_names(c, &sources[i]);
}

static void offer_options(const struct completion *c, const struct verb_option *rows)
{
	char word[64];

	for (; rows->name != NULL; rows++) {
		(void)snprintf(word, sizeof(word), "--%s", rows->name);
		offer(c, word, strlen(word));
	}
}

/* The next word of each verb that goes on like this; a family's once. */
static void offer_verbs(const struct completion *c)
{
	size_t len = strlen(c->args->words);
	const char *last = "";

	for (const struct verb *verb = verb_rows(); verb->words != NULL; verb++) {
		const char *word = verb->words + len + (len > 0);
		size_t word_len;

		if (strncmp(verb->words, c->args->words, len) != 0)
			continue;
		word_len = strcspn(word, " ");
		if (strncmp(word, last, word_len) != 0 || strcspn(last, " ") != word_len)
			offer(c, word, word_len);
		last = word;
	}
}

static void offer_operand(const struct completion *c)
{
	const char *argument = c->args->verb->arguments;

	for (size_t i = 0; i < c->args->n_operands; i++) {
		argument += strcspn(argument, " ");
		argument += *argument == ' ';
	}
	offer_argument(c, argument, strcspn(argument, " "));
}

static void complete(const struct completion *c)
{
	const struct args *args = c->args;

	if (args->wanting != NULL) {
		offer_argument(
			c, args->wanting->argument, strlen(args->wanting->argument));
	} else if (c->begin[0] == '-' && !args->are_options_over) {
		offer_options(c, verb_common_options());
		if (args->verb != NULL && args->verb->options != NULL)
			offer_options(c, args->verb->options());
	} else if (args->verb == NULL) {
		offer_verbs(c);
	} else {
		offer_operand(c);
	}
}

/* bash makes three words of --name=value. The one between them says nothing new. */
static bool is_between(size_t i, char *const *words)
{
	return i > 0 && strcmp(words[i], "=") == 0 && strncmp(words[i - 1], "--", 2) == 0;
}

void complete_print(size_t n, char *const *words, FILE *out)
{
	struct args args = {0};
	struct completion c = {&args, "", out};
	struct errmsg unsaid;

	for (size_t i = 0; i + 1 < n; i++)
		if (!is_between(i, words) && args_read(&args, 1, &words[i], &unsaid) != 0)
			return;
	if (n > 0 && !is_between(n - 1, words))
		c.begin = words[n - 1];
	complete(&c);
}
