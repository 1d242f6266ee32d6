/*
 * Commands as Redis reads them (RESP): `*N`, then each of the N words as `$LENGTH` and
 * its bytes. They are written into room that is large enough, and each function returns
 * the end of what it wrote: two commands per user and report cost no formatting.
 */
#ifndef TALLYD_LIVE_RESP_H
#define TALLYD_LIVE_RESP_H

#include <stddef.h>
#include <stdint.h>

/* What resp_begin(), and a word beside its own bytes, take at most; a number as a word.
 */
#define RESP_HEAD_BYTES 25
#define RESP_NUMBER_BYTES (RESP_HEAD_BYTES + 20)

char *resp_begin(char *at, unsigned n_words);
char *resp_word(char *at, const char *word, size_t len);
char *resp_number(char *at, uint64_t number);

/* What is in the protocol already. */
char *resp_raw(char *at, const char *bytes, size_t len);
#define RESP_RAW(at, literal) resp_raw(at, literal, sizeof(literal) - 1)

#endif
