/*
 * The largest numbers that this program makes. What is read back from a file of the
 * journal or a row of the database and is larger was written by somebody else; counted on
 * from, it could wrap, and what was accepted behind it would be lost. So it is refused
 * where it is read, with its place.
 */
#ifndef TALLYD_BASE_LIMITS_H
#define TALLYD_BASE_LIMITS_H

#include <stdint.h>

/* Sequences, segments, connections, epochs: counted up by one, or by a clock's
 * microseconds, none comes near it in a thousand years. */
#define NUMBER_MAX ((UINT64_C(1) << 62) - 1)

/* The year 3000, in ms since 1970. Linux sets no clock beyond 2262, so a clock that was
 * wrong for a while has written nothing that is refused. */
#define TIME_MAX_MS UINT64_C(32503680000000)

#endif
