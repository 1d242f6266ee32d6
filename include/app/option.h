/*
 * The options: what each is called, what may stand in it, and where in struct config it
 * lies. One row says everything; parser, --help, --print-config and the documentation
 * check walk the rows.
 */
#ifndef TALLYD_APP_OPTION_H
#define TALLYD_APP_OPTION_H

#include "app/config.h"

#define OPTION_COUNT 36
#define OPTION_AUTO UINT64_MAX /* the value of the word `auto` */

enum option_secret {
	SECRET_NOT,
	SECRET_IN_URL, /* its password is masked where it is shown */
	SECRET_WHOLE,  /* all of it is; and it must not stand on the command line */
};

enum option_type { TYPE_TEXT, TYPE_COUNT, TYPE_TIME, TYPE_BYTES, TYPE_WORD };

struct option_row {
	const char *name, *also; /* also: the original design's environment name */
	enum option_type type;
	size_t offset; /* of a char * for TYPE_TEXT, else of a uint64_t */
	const char *fallback;
	uint64_t min, max; /* of the value, or of a text's length */
	const char
		*words; /* of TYPE_WORD, separated by `|`, in the order of their enum */
	bool has_auto, can_reload;
	enum option_secret secret;
	int (*check)(
		const char *text, struct errmsg *ret_msg); /* of TYPE_TEXT, may be NULL */
	const char *help;
};

/* OPTION_COUNT rows, in the order they are shown. */
const struct option_row *option_rows(void);

/* The row of that name, or NULL. */
const struct option_row *option_find(const char *name);

/* The name that was probably meant, or NULL. */
const char *option_near_miss(const char *name);

/* Where the value lies. */
char **option_text(const struct config *config, const struct option_row *row);
uint64_t *option_number(const struct config *config, const struct option_row *row);

/* Reads `text` into `config`. 0, or ERR_CONFIG with what is wrong; then nothing has
 * changed. */
int option_set(struct config *config, const struct option_row *row, const char *text,
	struct errmsg *ret_msg) MUST_CHECK;

/* Which of `words`, as in a|b|c, `text` is, from 0 on. False if none. */
bool option_parse_word(const char *text, const char *words, uint64_t *ret_index);

/* A number as it is written in the file; `buf` may be used for it. */
const char *option_format(const struct option_row *row, uint64_t value, char buf[64]);

/* --a-b for option a_b, without the dashes in front. */
#define OPTION_DASHED_BYTES 40
void option_dashed(const struct option_row *row, char ret_name[OPTION_DASHED_BYTES]);

#endif
