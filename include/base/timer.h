/* libuv's timers, as tallyd uses them. */
#ifndef TALLYD_BASE_TIMER_H
#define TALLYD_BASE_TIMER_H

#include <stdint.h>
#include <uv.h>

/* Fires once, after that time; who was started already begins anew. */
void timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t ms);

/* Fires once, when the loop's clock is next at a multiple of `ms`: whoever does something
 * every second so wakes the process together with the others. */
void timer_start_aligned(uv_timer_t *timer, uv_timer_cb callback, uint64_t ms);

#endif
