/*
 * What was found to be right or wrong. A finding is an object {"level","code","sentence",
 * "change":[line...]}, as tallyd --check-setup --json prints it; a list of them is a JSON
 * array. Each ends with the lines to change.
 */
#ifndef TALLYD_CTL_FINDINGS_H
#define TALLYD_CTL_FINDINGS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum level { LEVEL_OK, LEVEL_WARNING, LEVEL_PROBLEM };

/* What a list is for. */
#define FINDING_SETUP_SKIPPED "setup-skipped" /* shown though it is ok */

/* **Takes** `sentence`. Returns it, borrowed from the list, or NULL: the same was said
 * already. */
cJSON *finding_add(cJSON *findings, enum level level, const char *code, char *sentence);

/* A line to change. Of NULL: nothing happens. */
void finding_change(cJSON *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same with a node's name in the place of the line's NODE, as one word of a shell;
 * and the line of GOST's plugin with the node in its address. Names come from outside: a
 * line that is copied into a shell or a file must not say more than it shows. */
void finding_change_command(cJSON *finding, const char *line, const char *node);
void finding_change_addr(cJSON *finding, const char *node);

/* **Takes** a finding of somebody else; what is none is passed over. */
void finding_take(cJSON *findings, cJSON *finding);

bool findings_has(const cJSON *findings, const char *code);
/* Moves those of that code, NULL: all, to the end of the list `to`. */
void findings_move(cJSON *findings, const char *code, cJSON *to);
size_t findings_count(const cJSON *findings, enum level level);

/* Those of one level, for people: safe for a terminal, each with a blank line behind. */
void findings_print(const cJSON *findings, enum level level, FILE *out);

#endif
