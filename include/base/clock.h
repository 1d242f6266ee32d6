/*
 * Time. All of tallyd asks here, so a test can move it. Timers that wait are libuv's.
 */
#ifndef TALLYD_BASE_CLOCK_H
#define TALLYD_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds that never go back; only differences mean something. */
uint64_t clock_ms(void);

/* Microseconds of the same clock, for durations that are shown. */
uint64_t clock_us(void);

/* Milliseconds since 1970, for what is stored and shown. */
uint64_t clock_wall_ms(void);

/* Tests: from now on both clocks stand at `ms`, until called again; 0 lets them run. */
void clock_freeze_for_test(uint64_t ms);

#endif
