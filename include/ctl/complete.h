/*
 * The completion: what could stand in the place of the last word. The file for bash,
 * config/tallyctl.bash, asks for it and knows no verb itself.
 */
#ifndef TALLYD_CTL_COMPLETE_H
#define TALLYD_CTL_COMPLETE_H

#include <stddef.h>
#include <stdio.h>

/* Prints one candidate a line, or `:files` for the names of files. Asks the daemon for
 * names, for a second at most, and says nothing if that fails. */
void complete_print(size_t n, char *const *words, FILE *out);

#endif
