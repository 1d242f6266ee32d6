/* Times and amounts for people. Each writes into `buf` and returns it. */
#ifndef TALLYD_CTL_SHOW_H
#define TALLYD_CTL_SHOW_H

#include <stdint.h>

#define SHOW_BYTES 96

/* `12 s`, `3 min`, `47 h`, `5 d`: rounded down. */
const char *show_duration(uint64_t ms, char buf[SHOW_BYTES]);

/* `12 s ago`, of a time in ms since 1970; `now` for the last second and what is to come:
 * clocks differ. */
const char *show_ago(uint64_t at_ms, char buf[SHOW_BYTES]);

/* `2026-11-27 14:03:05 +0800 (12 s ago)`, in this machine's time zone; `(in 10 min)` for
 * what is to come. */
const char *show_time(uint64_t at_ms, char buf[SHOW_BYTES]);

/* `999 B`, `1.23 GB`: powers of 1000, at most three figures before the point. */
const char *show_bytes(uint64_t bytes, char buf[SHOW_BYTES]);

#endif
