/*
 * tallyd --check-setup: what only this machine knows of a set-up. It looks with the
 * daemon's own configuration, at one that runs as well as at one that is to be started;
 * it writes nothing and holds nothing up. What the running daemon knows it tells itself,
 * by its API: tallyctl doctor prints both.
 *
 * A finding is a level, a code for programs, a sentence, and the lines that mend it.
 */
#ifndef TALLYD_APP_SETUP_H
#define TALLYD_APP_SETUP_H

#include "app/config.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define SETUP_NAME_BYTES 40
#define SETUP_OPTION_BYTES 512

enum setup_level { SETUP_OK, SETUP_WARNING, SETUP_PROBLEM };

/* As whom the daemon runs, or is to run. */
struct setup_user {
	bool is_known;
	uid_t uid;
	gid_t gid;
	char name[SETUP_NAME_BYTES]; /* or the number */
};

/* What the checks share. All 0 at the start, but `config` and `out`. */
struct setup {
	const struct config *config;
	FILE *out; /* people get text, programs (is_json of config) a line for each */
	/* " --config FILE", for the lines to type; "" where the usual one is meant. */
	char config_option[SETUP_OPTION_BYTES];
	unsigned n_problems;
	bool is_in_finding; /* whose lines may follow */
	unsigned n_changes; /* so many of them have */

	/* What one check leaves to those behind it. */
	bool is_dir_open;
	uint64_t applied_seq;   /* of the database */
	bool is_database_whole; /* it was read, and nothing of it is in a WAL */
	int dir_fd;             /* of data_dir, if it is open */
	uid_t owner;            /* of data_dir, or whose it has to be */
	struct setup_user user;
	long running_pid;     /* of the daemon on it; 0: there is none, -1: not known */
	uint64_t newest_ms;   /* the newest time that was found there, 0: none */
	char instance_id[40]; /* of the database; "": there is none */
	bool is_instance_unknown; /* or there is one that cannot be looked at */
	/* Something was taken away from the daemon that runs, or it cannot write: it may
	 * be the only one that holds what was accepted. */
	bool is_endangered;
	bool is_owner_told; /* that files are another's, so the user may not write them */
};

/* Ends the finding before, and begins one. What of it comes from outside is made safe for
 * a terminal. */
void setup_find(struct setup *setup, enum setup_level level, const char *code,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* A line to change, of the finding that was begun last. */
void setup_change(struct setup *setup, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Who asks has no right to look into `what`. */
void setup_find_no_right(struct setup *setup, const char *what);

/* For programs, a line {"dataDir":"...","redis":"host:port/db"} before the first, without
 * `redis` where there is to be none: what is looked at. */
void setup_begin(struct setup *setup);

/* Ends the last finding. */
void setup_end(struct setup *setup);

/* The checks, in their order. */
void setup_check_config(struct setup *setup);   /* what is legal but odd */
void setup_check_data_dir(struct setup *setup); /* opens it */
void setup_check_daemon(struct setup *setup);   /* of check_data_dir(): who runs on it */
void setup_check_user(struct setup *setup);     /* what its user may do */
void setup_check_database(struct setup *setup);
void setup_check_journal(struct setup *setup); /* while no daemon runs */
void setup_check_space(struct setup *setup);
void setup_check_clock(struct setup *setup);
void setup_check_redis(struct setup *setup);
void setup_check_ports(struct setup *setup);

/* Who that is, or its number; writes into `buf` and returns it. */
const char *setup_user_name(uid_t uid, char buf[SETUP_NAME_BYTES]);

/* As whom tallyd is to run where it is stopped: by its systemd unit, if that starts it
 * with this configuration, or, with the usual one, `tallyd`. Else it is left to who asks,
 * who is told where `folder` is not theirs to write. */
void setup_find_user(struct setup *setup, const char *folder);

/* True if `now_ms` is so early that this program was not yet made. */
bool setup_is_before_build(uint64_t now_ms);

/* All of it, on stdout; `mistakes`, a line each, are those of a configuration that is not
 * good, else NULL. The exit code: 0, or 1 if there is a problem. */
int app_check_setup(const struct config *config, const char *mistakes);

#endif
