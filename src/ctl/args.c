#include "ctl/args.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

bool args_is_choice(const char *argument)
{
	return argument != NULL && islower((unsigned char)argument[0]);
}

static bool is_one_of(const char *word, const char *choice)
{
	size_t len = strlen(word);

	for (const char *at = choice; at != NULL; at = strchr(at, '|')) {
		at += *at == '|';
		if (strcspn(at, "|") == len && memcmp(at, word, len) == 0)
			return true;
	}
	return false;
}

static int give(struct args *args, const struct verb_option *option, const char *value,
	struct errmsg *ret_msg)
{
	if (args_is_choice(option->argument) && !is_one_of(value, option->argument))
		return err_set(ret_msg, EXIT_USAGE, "--%s takes %s, not '%s'",
			option->name, option->argument, value);
	if (args->n_given == ARGS_MAX)
		return err_set(ret_msg, EXIT_USAGE, "there are too many options");
	args->given[args->n_given].option = option;
	args->given[args->n_given++].value = value;
	args->wanting = NULL;
	return 0;
}

static int refuse_option(
	const struct args *args, const char *name, size_t len, struct errmsg *ret_msg)
{
	if (len == 5 && memcmp(name, "token", len) == 0)
		return err_set(ret_msg, EXIT_USAGE,
			"a token is never given on the command line: other users of this "
			"machine can see it there, and the shell keeps it in its "
			"history; "
			"use --token-file FILE");
	return err_set(ret_msg, EXIT_USAGE, "there is no option --%.*s%s%s", (int)len,
		name, args->words[0] != '\0' ? " for " : " before a command",
		args->words);
}

/* `name` is without its dashes, and may have its value behind a `=`. */
static int read_option(struct args *args, const char *name, struct errmsg *ret_msg)
{
	size_t len = strcspn(name, "=");
	const struct verb_option *option = verb_find_option(args->verb, name, len);
	bool has_value = name[len] == '=';

	if (option == NULL)
		return refuse_option(args, name, len, ret_msg);
	if (option->argument == NULL && has_value)
		return err_set(ret_msg, EXIT_USAGE, "--%s takes no value", option->name);
	if (option->argument == NULL)
		return give(args, option, "", ret_msg);
	if (has_value)
		return give(args, option, name + len + 1, ret_msg);
	args->wanting = option;
	return 0;
}

/* True if a verb's words begin with these. *ret_verb is it, if these are all. */
static bool find_verb(const char *words, const struct verb **ret_verb)
{
	size_t len = strlen(words);

	for (const struct verb *verb = verb_rows(); verb->words != NULL; verb++) {
		if (strncmp(verb->words, words, len) != 0)
			continue;
		if (verb->words[len] == '\0')
			*ret_verb = verb;
		if (verb->words[len] == '\0' || verb->words[len] == ' ')
			return true;
	}
	return false;
}

/* The next word of a verb. */
static int read_verb(struct args *args, const char *word, struct errmsg *ret_msg)
{
	char words[2 * ARGS_VERB_BYTES];
	const char *gap = args->words[0] != '\0' ? " " : "";
	int len = snprintf(words, sizeof(words), "%s%s%.*s", args->words, gap,
		ARGS_VERB_BYTES - 2, word);

	if (len >= ARGS_VERB_BYTES || word[0] == '\0' || !find_verb(words, &args->verb))
		return err_set(ret_msg, EXIT_USAGE, "there is no command '%s%s%s'",
			args->words, gap, word);
	(void)memcpy(args->words, words, (size_t)len + 1);
	return 0;
}

static int read_word(struct args *args, const char *word, struct errmsg *ret_msg)
{
	if (args->wanting != NULL)
		return give(args, args->wanting, word, ret_msg);
	if (!args->are_options_over && word[0] == '-' && word[1] != '\0') {
		if (strcmp(word, "-h") == 0)
			return read_option(args, "help", ret_msg);
		if (word[1] != '-')
			return err_set(
				ret_msg, EXIT_USAGE, "there is no option %s", word);
		args->are_options_over = word[2] == '\0';
		return args->are_options_over ? 0 : read_option(args, word + 2, ret_msg);
	}
	if (args->verb == NULL)
		return read_verb(args, word, ret_msg);
	if (args->n_operands == ARGS_MAX)
		return err_set(ret_msg, EXIT_USAGE, "there are too many arguments");
	args->operands[args->n_operands++] = word;
	return 0;
}

int args_read(struct args *args, size_t n, char *const *words, struct errmsg *ret_msg)
{
	int code = 0;

	for (size_t i = 0; i < n && code == 0; i++)
		code = read_word(args, words[i], ret_msg);
	return code;
}

static size_t count_words(const char *text)
{
	size_t n = text[0] != '\0';

	for (; *text != '\0'; text++)
		n += *text == ' ';
	return n;
}

int args_check(const struct args *args, struct errmsg *ret_msg)
{
	const char *arguments;

	if (args->wanting != NULL)
		return err_set(ret_msg, EXIT_USAGE, "--%s needs a value: %s",
			args->wanting->name, args->wanting->argument);
	if (args_has(args, "help") || args_has(args, "version"))
		return 0;
	if (args->verb == NULL)
		return err_set(ret_msg, EXIT_USAGE, "%s%s",
			args->words[0] != '\0' ? "there is more to say behind "
					       : "there is no command",
			args->words);
	arguments = args->verb->arguments;
	if (args->n_operands != count_words(arguments))
		return err_set(ret_msg, EXIT_USAGE, "the command is: tallyctl %s%s%s",
			args->words, arguments[0] != '\0' ? " " : "", arguments);
	return 0;
}

const char *args_value(const struct args *args, const char *option)
{
	for (size_t i = args->n_given; i > 0; i--)
		if (strcmp(args->given[i - 1].option->name, option) == 0)
			return args->given[i - 1].value;
	return NULL;
}

bool args_has(const struct args *args, const char *option)
{
	return args_value(args, option) != NULL;
}
