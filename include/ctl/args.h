/*
 * The words of the command line, read by the table of verbs. Options may stand before and
 * behind the verb, those of a verb behind it; `--` ends them. No abbreviations: they
 * would become ambiguous with the next release.
 */
#ifndef TALLYD_CTL_ARGS_H
#define TALLYD_CTL_ARGS_H

#include "base/err.h"
#include "ctl/verbs.h"

#include <stdbool.h>

#define ARGS_MAX 32
#define ARGS_VERB_BYTES 64

struct args {
	char words[ARGS_VERB_BYTES]; /* those of the verb, as far as they have come */
	const struct verb *verb;     /* NULL until they are all there */
	const char *operands[ARGS_MAX];
	size_t n_operands;
	struct {
		const struct verb_option *option;
		const char *value; /* "" of a flag */
	} given[ARGS_MAX];
	size_t n_given;
	const struct verb_option *wanting; /* came last and has no value yet, or NULL */
	bool are_options_over;             /* `--` came */
};

/* Reads `n` words into `args`, which is all zero before; borrows them. 0 or EXIT_USAGE.
 */
int args_read(struct args *args, size_t n, char *const *words,
	struct errmsg *ret_msg) MUST_CHECK;

/* 0 if that is a whole command, else EXIT_USAGE. */
int args_check(const struct args *args, struct errmsg *ret_msg) MUST_CHECK;

/* What was given for an option, the last if it was several times; NULL if it was not. */
const char *args_value(const struct args *args, const char *option);

bool args_has(const struct args *args, const char *option);

/* True for a|b|c: an argument that is one of a few words. */
bool args_is_choice(const char *argument);

#endif
