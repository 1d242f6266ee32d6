/*
 * JSON read as strictly as a ledger needs it, and numbers written whole, on top of cJSON.
 *
 * cJSON is lenient where we must not be: it takes trailing garbage, cuts strings at an
 * escaped NUL, prints a large integer as 1e+15, and, short of memory, says that the text
 * is wrong, or leaves a member out of what it builds.
 */
#ifndef TALLYD_BASE_JSON_H
#define TALLYD_BASE_JSON_H

#include "base/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/* Has cJSON note each allocation that fails. Once, at the start of a program. */
void json_init(void);

/* Whether one has failed since this was asked last: then what cJSON has built meanwhile
 * may lack something. */
bool json_was_short(void);

/* On one line; **returns owned**. NULL: memory was too short for it, or for something
 * that was built since json_was_short() was asked. */
char *json_print(const cJSON *json);

/*
 * One document, and nothing but blanks behind it; `body` is borrowed for the call. An
 * escaped NUL becomes another control character, which no name may hold either. 0,
 * ERR_JSON, ERR_JSON_DENSE (see base/json_text.h); only after json_init() ERR_NOMEM. The
 * document is the caller's.
 */
int json_parse(const char *body, size_t len, cJSON **ret_document) MUST_CHECK;

/* A member that is absent or null reads as absent, as Go's decoder has it. */
const cJSON *json_member(const cJSON *object, const char *name);

/* Takes `item`, which goes if `array` lacks memory for it, or is NULL itself. */
void json_add_to_array(cJSON *array, cJSON *item);

/* All digits of an integer. False: short of memory, the object lacks it. */
bool json_add_u64(cJSON *object, const char *name, uint64_t value);

/* Up to three decimals, none if there are none. */
void json_add_decimal(cJSON *object, const char *name, double value);

#endif
