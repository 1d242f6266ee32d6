#include "base/clock.h"

#include <time.h>

static uint64_t frozen_ms;

static uint64_t read_us(clockid_t which)
{
	struct timespec now;

	if (frozen_ms != 0)
		return frozen_ms * 1000;
	(void)clock_gettime(which, &now); /* cannot fail for these two clocks */
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_ms(void)
{
	return read_us(CLOCK_MONOTONIC) / 1000;
}

uint64_t clock_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ms(void)
{
	return read_us(CLOCK_REALTIME) / 1000;
}

void clock_freeze_for_test(uint64_t ms)
{
	frozen_ms = ms;
}
