/*
 * JSON as it stands in the text, beside the tree that cJSON makes of it: how large that
 * tree would be, and from which piece of text a part of it was read. Pure; allocates
 * nothing, and never looks at `end` or beyond, whatever stands there.
 */
#ifndef TALLYD_BASE_JSON_TEXT_H
#define TALLYD_BASE_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether a tree of it would be out of proportion: more values than one for each 6 bytes,
 * and 4,096. (GOST has one for 15; each takes some 100 bytes.) One look, before anything
 * is built. How deep it may be, cJSON bounds (1,000).
 */
bool json_text_is_dense(const char *text, size_t len);

/* Of an array or object that cJSON has read at `text`: where its first element or member
 * begins, or its end if it has none. */
const char *json_text_first(const char *text, const char *end);

/* Of an element or member: where the next one begins; `end` behind the last. */
const char *json_text_next(const char *text, const char *end);

/* Of a member: where its value begins. */
const char *json_text_value(const char *member, const char *end);

/*
 * Copies the value that begins at `text`, on one line and clean: without blanks between
 * its parts, control characters as \u00XX, other bytes that are no text as `?`. What does
 * not fit is left out, never half of a character. `size` is at least 1.
 */
void json_text_show(const char *text, const char *end, char *to, size_t size);

#endif
