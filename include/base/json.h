/*
 * JSON read as strictly as a ledger needs it, and numbers written whole, on top of cJSON.
 *
 * cJSON is lenient where we must not be: it takes trailing garbage, cuts strings at an
 * escaped NUL, and prints a large integer as 1e+15.
 */
#ifndef TALLYD_BASE_JSON_H
#define TALLYD_BASE_JSON_H

#include "base/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * One document, and nothing but blanks behind it; `body` is borrowed for the call. An
 * escaped NUL becomes an escaped U+0001, which no name may hold either. 0, ERR_JSON or
 * ERR_NOMEM; the document is the caller's.
 */
int json_parse(const char *body, size_t len, cJSON **ret_document) MUST_CHECK;

/* A member that is absent or null reads as absent, as Go's decoder has it. */
const cJSON *json_member(const cJSON *object, const char *name);

/* All digits of an integer. False: short of memory, the object lacks it. */
bool json_add_u64(cJSON *object, const char *name, uint64_t value);

/* Up to three decimals, none if there are none. */
void json_add_decimal(cJSON *object, const char *name, double value);

#endif
