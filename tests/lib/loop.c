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

struct condition {
	bool (*is_reached)(const void *arg);
	const void *arg;
};

/* A timer may have reached it: then this turn must not wait for I/O. */
static void on_prepare(uv_prepare_t *prepare)
{
	const struct condition *condition = prepare->data;

	if (condition->is_reached(condition->arg))
		uv_stop(prepare->loop);
}

bool loop_run_until(uv_loop_t *loop, bool (*is_reached)(const void *arg), const void *arg,
	unsigned timeout_ms)
{
	struct condition condition = {is_reached, arg};
	bool is_over = false, is_timer_closed = false, is_prepare_closed = false, result;
	uv_timer_t timer;
	uv_prepare_t prepare;

	uv_update_time(loop);
	(void)uv_timer_init(loop, &timer);
	(void)uv_prepare_init(loop, &prepare);
	timer.data = &is_over;
	prepare.data = &condition;
	(void)uv_timer_start(&timer, on_timer, timeout_ms, 0);
	(void)uv_prepare_start(&prepare, on_prepare);
	while (!is_reached(arg) && !is_over)
		(void)uv_run(loop, UV_RUN_ONCE);
	result = is_reached(arg);
	timer.data = &is_timer_closed;
	prepare.data = &is_prepare_closed;
	uv_close((uv_handle_t *)&timer, on_closed);
	uv_close((uv_handle_t *)&prepare, on_closed);
	while (!is_timer_closed || !is_prepare_closed)
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

static bool has_no_jobs(const void *arg)
{
	const uv_loop_t *loop = arg;

	return loop->active_reqs.count == 0;
}

/* A job that ends may have asked for another, which begins in the turn after. */
bool loop_run_jobs(uv_loop_t *loop, unsigned timeout_ms)
{
	for (unsigned n_quiet_turns = 0; n_quiet_turns < 2; n_quiet_turns++) {
		(void)uv_run(loop, UV_RUN_NOWAIT);
		if (has_no_jobs(loop))
			continue;
		if (!loop_run_until(loop, has_no_jobs, loop, timeout_ms))
			return false;
		n_quiet_turns = 0;
	}
	return true;
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
