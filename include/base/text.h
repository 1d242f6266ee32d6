/*
 * What may be a name: users, nodes and services come from outside and end up in keys,
 * rows, URLs and log lines.
 */
#ifndef TALLYD_BASE_TEXT_H
#define TALLYD_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define NAME_MAX_BYTES 255

/* True for well-formed UTF-8 (RFC 3629) without control characters (C0, DEL, C1). */
bool text_is_clean(const char *text, size_t len);

/* True if `text` is clean and at most NAME_MAX_BYTES long; "" is a name here. */
bool text_is_name(const char *text);

/* The length of the character at `text`, or 0 if it is not clean. `len` is at least 1. */
size_t text_clean_length(const char *text, size_t len);

/* Each byte that belongs to no clean character becomes `?`; NUL is one of them. */
void text_make_clean(char *text, size_t len);

/* Copies as much as fits, made clean, never half of a character. `size` is at least 1. */
void text_copy_clean(char *to, size_t size, const char *text, size_t len);

/* Decodes %XX in place and returns the new length. %00 stays as it is: decoded, it would
 * hide what follows; so does what is no such triple. */
size_t text_unescape(char *text);

/* Writes `text` as what may stand between the quotes of a JSON string; what is no UTF-8
 * becomes `?`, and what does not fit is left out, never half of a character. Returns the
 * length. `size` is at least 1. */
size_t text_to_json(char *to, size_t size, const char *text);

/* Which of the names in a list with commas between it is, from 0 on, or -1. `list` may be
 * NULL: it holds none. */
int text_index_in(const char *list, const char *name);

#endif
