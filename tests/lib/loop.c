#include "lib/loop.h"

static void on_timer(uv_timer_t *timer)
{
	bool *is_over = timer->data;

	*is_over = true;
}

static void on_closed(uv_handle_t *handle)
{
	bool *is_closed = handle->data;

	*is_closed = true;
}

bool loop_run_until(uv_loop_t *loop, bool (*is_reached)(const void *arg), const void *arg,
	unsigned timeout_ms)
{
	bool is_over = false, is_closed = false, result;
	uv_timer_t timer;

	uv_update_time(loop);
	(void)uv_timer_init(loop, &timer);
	timer.data = &is_over;
	(void)uv_timer_start(&timer, on_timer, timeout_ms, 0);
	while (!is_reached(arg) && !is_over)
		(void)uv_run(loop, UV_RUN_ONCE);
	result = is_reached(arg);
	timer.data = &is_closed;
	uv_close((uv_handle_t *)&timer, on_closed);
	while (!is_closed)
		(void)uv_run(loop, UV_RUN_NOWAIT);
	return result;
}

static bool is_set(const void *flag)
{
	return *(const volatile bool *)flag;
}

bool loop_run_until_set(uv_loop_t *loop, const bool *flag, unsigned timeout_ms)
{
	return loop_run_until(loop, is_set, flag, timeout_ms);
}

static bool is_never(const void *arg)
{
	(void)arg;
	return false;
}

void loop_run_for(uv_loop_t *loop, unsigned ms)
{
	(void)loop_run_until(loop, is_never, NULL, ms);
}
