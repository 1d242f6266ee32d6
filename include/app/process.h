/* What processes have open, by /proc. */
#ifndef TALLYD_APP_PROCESS_H
#define TALLYD_APP_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct process {
	long pid;
	char name[64]; /* as /proc/PID/comm has it */
};

/* The process that has the socket with that inode open. False: none that we may look at,
 * as for who is neither root nor its user. */
bool process_of_socket(uint64_t inode, struct process *ret_process);

/* `target`: as /proc has it; behind the name of what was deleted stands " (deleted)".
 * False: no more. Both are borrowed for the call. */
typedef bool (*process_file_cb)(void *arg, const char *target, const struct stat *st);

/* All that it has open. False: we may not look, or it has gone. */
bool process_each_file(long pid, process_file_cb on_file, void *arg);

#endif
