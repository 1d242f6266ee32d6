/*
 * A look at tally.db beside the daemon: for --check-setup. Reads only, takes no lock that
 * a flush would wait for, and makes no file.
 */
#ifndef TALLYD_STORE_LOOK_H
#define TALLYD_STORE_LOOK_H

#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct store_look {
	char instance_id[INSTANCE_ID_BYTES]; /* "": it is not known */
	uint64_t applied_seq;
	uint64_t newest_ms; /* of the times in services and audit; 0: there are none */
};

/*
 * `is_in_use`: a daemon has it open. If none has, what is still in the WAL is passed
 * over. 0, ERR_STORE_* or ERR_NOMEM, with the sentence.
 */
int store_look(const char *path, bool is_in_use, struct store_look *ret_look,
	struct errmsg *ret_msg) MUST_CHECK;

#endif
