/* Whose a socket is, by /proc. */
#ifndef TALLYD_APP_PROCESS_H
#define TALLYD_APP_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct process {
	long pid;
	char name[64]; /* as /proc/PID/comm has it */
};

/* The process that has the socket with that inode open. False: none that we may look at,
 * as for who is neither root nor its user. */
bool process_of_socket(uint64_t inode, struct process *ret_process);

#endif
