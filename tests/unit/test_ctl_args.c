/* Of tallyctl: the table of verbs, and the command line read by it. */
#include "lib/test.h"
#include "ctl/args.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Reads the words of `line`, which is taken apart. */
static int read_line(struct args *args, char *line)
{
	char *words[2 * ARGS_MAX];
	struct errmsg msg;
	size_t n = 0;
	int code;

	*args = (struct args){0};
	for (char *word = strtok(line, " "); word != NULL; word = strtok(NULL, " "))
		words[n++] = word;
	code = args_read(args, n, words, &msg);
	return code != 0 ? code : args_check(args, &msg);
}

/* the table */

TEST(no_verb_begins_another_and_families_stand_together)
{
	for (const struct verb *verb = verb_rows(); verb->words != NULL; verb++) {
		size_t len = strlen(verb->words);

		assert_true(len > 0 && len < ARGS_VERB_BYTES);
		assert_non_null(verb->run);
		for (const struct verb *other = verb_rows(); other->words != NULL;
			other++)
			if (other != verb && strncmp(verb->words, other->words, len) == 0)
				assert_true(other->words[len] != '\0' &&
					other->words[len] != ' ');
	}
}

TEST(every_verb_can_be_given_and_no_option_stands_twice)
{
	for (const struct verb *verb = verb_rows(); verb->words != NULL; verb++) {
		const struct verb_option *option =
			verb->options != NULL ? verb->options() : NULL;
		struct args args;
		char line[256];

		(void)snprintf(line, sizeof(line), "%s %s", verb->words, verb->arguments);
		assert_int_equal(read_line(&args, line), 0);
		assert_ptr_equal(args.verb, verb);
		for (; option != NULL && option->name != NULL; option++) {
			assert_ptr_equal(verb_find_option(verb, option->name,
						 strlen(option->name)),
				option);
			assert_true(option->argument == NULL ||
				args_is_choice(option->argument) ||
				isupper((unsigned char)option->argument[0]));
		}
	}
}

/* the command line */

TEST(options_stand_before_and_behind_the_verb)
{
	struct args args;
	char line[] =
		"--json --socket /a node set --counters=unset x --socket /b --enable";

	assert_int_equal(read_line(&args, line), 0);
	assert_string_equal(args.verb->words, "node set");
	assert_int_equal(args.n_operands, 1);
	assert_string_equal(args.operands[0], "x");
	assert_string_equal(args_value(&args, "socket"), "/b");
	assert_string_equal(args_value(&args, "counters"), "unset");
	assert_true(args_has(&args, "json") && args_has(&args, "enable"));
	assert_false(args_has(&args, "note"));
}

TEST(two_dashes_end_the_options)
{
	struct args args;
	char line[] = "node show -- --json";

	assert_int_equal(read_line(&args, line), 0);
	assert_string_equal(args.operands[0], "--json");
	assert_false(args_has(&args, "json"));
}

TEST(a_value_may_look_like_an_option)
{
	struct args args;
	char line[] = "node add x --note --json";

	assert_int_equal(read_line(&args, line), 0);
	assert_string_equal(args_value(&args, "note"), "--json");
}

TEST(help_needs_no_whole_command)
{
	static const char *const lines[] = {"--help", "-h", "node --help", "--version",
		"node show --help", "--help node"};

	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		struct args args;
		char line[64];

		(void)strcpy(line, lines[i]);
		AT_ROW(i, read_line(&args, line) == 0);
	}
}

TEST(what_is_no_command_is_refused)
{
	static const char *const lines[] = {"", "node", "nod", "node sho x", "stat",
		"status x", "node show", "node show a b", "--counters delta node add x",
		"node add x --counters Delta", "node add x --counters delta|cumulative",
		"node add x --counters", "node add x --fresh=1",
		"node add x --coun delta", "status -j", "--json=1 status",
		"--token t status"};

	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		struct args args;
		char line[64];

		(void)strcpy(line, lines[i]);
		AT_ROW(i, read_line(&args, line) == EXIT_USAGE);
	}
}

TEST(too_many_words_are_refused)
{
	struct args args;
	char many[8 * ARGS_MAX] = "node show", options[8 * ARGS_MAX] = "status";

	for (int i = 0; i <= ARGS_MAX; i++) {
		(void)strcat(many, " x");
		(void)strcat(options, " --json");
	}
	assert_int_equal(read_line(&args, many), EXIT_USAGE);
	assert_int_equal(read_line(&args, options), EXIT_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_verb_begins_another_and_families_stand_together),
		cmocka_unit_test(every_verb_can_be_given_and_no_option_stands_twice),
		cmocka_unit_test(options_stand_before_and_behind_the_verb),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(a_value_may_look_like_an_option),
		cmocka_unit_test(help_needs_no_whole_command),
		cmocka_unit_test(what_is_no_command_is_refused),
		cmocka_unit_test(too_many_words_are_refused),
	};

	return RUN_TESTS(tests);
}
