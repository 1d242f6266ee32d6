/* Other programs of this machine, asked by tallyctl. */
#ifndef TALLYD_CTL_RUN_H
#define TALLYD_CTL_RUN_H

#include <stdbool.h>

/*
 * Runs `argv` to its end with nothing to read, and returns what it wrote to stdout,
 * **owned**; NULL: it could not be started. argv[0] without a slash is looked for in
 * PATH. `is_quiet`: what it says on stderr is thrown away. *ret_exit_code is -1 if it was
 * ended by a signal.
 */
char *run_program(const char *const argv[], bool is_quiet, int *ret_exit_code);

/* The path of a program that was installed beside this one; where there is none, `name`,
 * for PATH. **Returns owned.** */
char *run_beside(const char *name);

#endif
