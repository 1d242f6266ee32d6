/*
 * Text from elsewhere on a terminal: a name could move the cursor, change colours, or
 * turn the direction of what follows. What is written is always UTF-8.
 */
#ifndef TALLYD_CTL_TERM_H
#define TALLYD_CTL_TERM_H

#include <stddef.h>
#include <stdio.h>

/* Before term_width(): takes the widths of characters from the locale C.UTF-8. */
void term_init(void);

/* `text` with control characters, and bytes that are no UTF-8, as \xNN, and characters
 * that change the direction of writing as \uNNNN. **Returns owned.** */
char *term_safe(const char *text);

/* The same with its newlines and tabs as they are; to be printed as it stands. */
char *term_safe_lines(const char *text);

/* How many columns of a terminal a safe text takes. */
size_t term_width(const char *text);

#endif
