/*
 * The payload of a command's record: its texts, and its effects, each behind its kind.
 * Pure.
 */
#ifndef TALLYD_JOURNAL_COMMAND_RECORD_H
#define TALLYD_JOURNAL_COMMAND_RECORD_H

#include "account/command.h"
#include "base/buf.h"

void command_encode(const struct command *command, struct buf *out);

/*
 * Reads to the end of `r`. The strings borrow from its bytes; the rest is freed with
 * command_free(). 0, ERR_NOMEM, or ERR_JOURNAL_CORRUPT if that is no command that is
 * known here.
 */
int command_decode(struct reader *r, struct command **ret_command) MUST_CHECK;
void command_free(struct command *command);

#endif
