/* Members of an answer. What is absent, null or of another type reads as absent. */
#ifndef TALLYD_CTL_MEMBER_H
#define TALLYD_CTL_MEMBER_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/* The text, borrowed, or NULL. */
const char *member_text(const cJSON *object, const char *name);

/* Exact up to 2^53; 0 for what is below it. */
bool member_u64(const cJSON *object, const char *name, uint64_t *ret_value);

/* The number, or 0. */
uint64_t member_u64_or_0(const cJSON *object, const char *name);

bool member_bool(const cJSON *object, const char *name, bool *ret_value);

bool member_is_true(const cJSON *object, const char *name);

/* The texts of a list, with commas between them; "" if there is none. **Returns owned.**
 */
char *member_texts(const cJSON *object, const char *name);

/* The member if it is an object, or NULL. */
const cJSON *member_object(const cJSON *object, const char *name);

#endif
