#include "base/timer.h"

void timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t ms)
{
	(void)uv_timer_start(timer, callback, ms, 0); /* fails only for a NULL callback */
}

void timer_start_aligned(uv_timer_t *timer, uv_timer_cb callback, uint64_t ms)
{
	timer_start(timer, callback, ms - uv_now(timer->loop) % ms);
}
