#include "live/walk.h"
#include "base/clock.h"

#define MAX_GAP_MS 1000 /* that counts; what was not used before is gone */

void walk_allow(struct walk *walk, uint64_t ms)
{
	uint64_t now = clock_ms(), since = now - walk->allowed_ms;
	int64_t most = (int64_t)(walk->rate * ms);

	walk->allowance +=
		(int64_t)(walk->rate * (since < MAX_GAP_MS ? since : MAX_GAP_MS));
	walk->allowance = walk->allowance < most ? walk->allowance : most;
	walk->allowed_ms = now;
}

bool walk_may(const struct walk *walk)
{
	return walk->allowance > 0;
}

void walk_pay(struct walk *walk, unsigned thousandths)
{
	walk->allowance -= thousandths;
}

void walk_begin_lap(struct walk *walk, enum lap lap)
{
	walk->lap = lap;
	walk->end = walk->at;
}

/* All users and a gap between the last and the first (NULL) are a ring. */
struct user *walk_step(struct walk *walk)
{
	do {
		walk->at = ledger_next_user(walk->ledger, walk->at);
		if (walk->at == walk->end)
			walk->lap = LAP_NONE;
	} while (walk->at == NULL && walk->lap != LAP_NONE);
	return walk->at;
}

bool walk_tell(struct walk *walk, struct user *user)
{
	if (walk->n_told == WALK_MAX_TOLD)
		return false;
	walk->told[walk->n_told++] = user;
	return true;
}

struct user *walk_take_told(struct walk *walk)
{
	return walk->n_told > 0 ? walk->told[--walk->n_told] : NULL;
}

void walk_stop(struct walk *walk)
{
	walk->lap = LAP_NONE;
	walk->n_told = 0;
}
