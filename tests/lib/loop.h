/* Running a uv loop in a test: until something holds, never for a guessed time. */
#ifndef TALLYD_TESTS_LOOP_H
#define TALLYD_TESTS_LOOP_H

#include <stdbool.h>
#include <uv.h>

/* Runs until `is_reached(arg)`; false if that took longer than `timeout_ms`. */
bool loop_run_until(uv_loop_t *loop, bool (*is_reached)(const void *arg), const void *arg,
	unsigned timeout_ms);

/* The same for a flag. */
bool loop_run_until_set(uv_loop_t *loop, const bool *flag, unsigned timeout_ms);

/* Runs until the thread pool has done what it was given, and what that asked for. False
 * as above. */
bool loop_run_jobs(uv_loop_t *loop, unsigned timeout_ms);

/* Runs for so long: to see that something does not happen. */
void loop_run_for(uv_loop_t *loop, unsigned ms);

#endif
