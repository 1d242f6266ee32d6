/*
 * tallyctl, the operator's program: what every verb gets, and the one way to ask the
 * daemon. It speaks HTTP to the daemon's API and knows nothing else of it: no file of
 * data_dir, no header of the daemon but base/.
 *
 * Functions that can fail return 0 or the program's exit code; who returns one that is
 * not 0 has said why, on stderr, unless it takes a `struct errmsg`.
 */
#ifndef TALLYD_CTL_CTL_H
#define TALLYD_CTL_CTL_H

#include "base/err.h"
#include "base/version.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

/* Beside those of base/err.h: EXIT_USAGE, EXIT_SOFTWARE (no memory), and EXIT_STORAGE
 * (what was printed did not arrive). */
enum ctl_exit {
	EXIT_REFUSED = 1,      /* the daemon said no */
	EXIT_PROBLEM = 1,      /* doctor found one */
	EXIT_UNREACHABLE = 69, /* nothing answers there, or what does is not tallyd */
	EXIT_NO_RIGHT = 77,    /* 401, 403, or no right to use the socket */
};

struct args;
struct call;
struct target;

struct ctl {
	const struct args *args;
	const struct target *target;
	struct call *call;
	bool is_json; /* --json: answers go out as they came, nothing else does */
};

/* Says "tallyctl: sentence" on stderr, safe for a terminal, and returns `code`. */
int ctl_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Shows an answer to people, on stdout. */
typedef void (*ctl_show_cb)(const struct ctl *ctl, const cJSON *answer);

/* Sends one request, waits for its answer, and says what went wrong. **Takes** `path` (of
 * path_make()) and `body` (may be NULL). With --json the answer, a refusal too, has been
 * printed. *ret_answer is **owned** by the caller. */
int ctl_ask(const struct ctl *ctl, const char *method, char *path, cJSON *body,
	cJSON **ret_answer) MUST_CHECK;

/* The same, and `show`s the answer unless --json did. */
int ctl_do(const struct ctl *ctl, const char *method, char *path, cJSON *body,
	ctl_show_cb show) MUST_CHECK;

/* GETs `path`, which is borrowed, and prints nothing: for who asks several things. 0 and
 * the answer, **owned**, or the exit code with the sentence. */
int ctl_try(const struct ctl *ctl, const char *path, cJSON **ret_answer,
	struct errmsg *ret_msg) MUST_CHECK;

/* As a line; a terminal gets it safe, for JSON may hold what moves the cursor. */
void ctl_print_json(const cJSON *json);

/* Gets a list page by page, as long as its `next` is a cursor; `on_page` gets each.
 * Borrows `path`, which has no query. With --json each page is a line. */
int ctl_pages(const struct ctl *ctl, const char *path,
	void (*on_page)(void *arg, const cJSON *page), void *arg) MUST_CHECK;

#endif
