/* The node that an installation has prepared for an empty data directory. */
#ifndef TALLYD_APP_FIRST_NODE_H
#define TALLYD_APP_FIRST_NODE_H

#include "base/err.h"

struct commands;

/*
 * Makes the node of the file, two lines `name = NAME` and `secret = SECRET`, and closes
 * the directory. Only for one in which nothing was ever counted. 0, ERR_CONFIG, or what
 * commands_submit() gives.
 */
int first_node_make(
	struct commands *commands, const char *path, struct errmsg *ret_msg) MUST_CHECK;

#endif
