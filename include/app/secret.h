/*
 * Secrets on their way in: what was given on the command line or in the environment is
 * read from a copy of ours and wiped where others could read it (/proc/PID/cmdline is
 * for everybody); tokens may lie in files of their own.
 */
#ifndef TALLYD_APP_SECRET_H
#define TALLYD_APP_SECRET_H

#include "app/config.h"

/* What the program was started with: copies, both lists with a NULL at the end. */
struct invocation {
	int argc;
	char **argv, **environment;
};

/* Copies both, and wipes in the originals whatever is the value of a secret option. 0 or
 * ERR_NOMEM, and then invocation_done() is due as well. */
int invocation_take(struct invocation *ret_invocation, int argc, char **argv,
	char **environment) MUST_CHECK;
void invocation_done(struct invocation *invocation);

/* A token may have 16 to 512 visible ASCII characters. 0 or ERR_CONFIG, with a sentence
 * that does not show it. */
#define TOKEN_MIN_BYTES 16
#define TOKEN_MAX_BYTES 512
int token_check(const char *token, struct errmsg *ret_msg) MUST_CHECK;

/*
 * The token in force, owned by the caller; NULL: none. `text` and `file` are the two
 * options' values; `beside` is the file's path where `file` is `auto`, and that one need
 * not be there. 0 or ERR_CONFIG with the sentence.
 */
int token_find(const char *text, const char *file, const char *beside, char **ret_token,
	struct errmsg *ret_msg) MUST_CHECK;

#endif
