/* A clock that is behind lets an old secret be good again, and names times that were. */
#include "app/setup.h"
#include "base/clock.h"

#include <inttypes.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#define DAY_MS UINT64_C(86400000)
/* NTP may have stepped it back a little. */
#define BEHIND_MS 5000
#define TIME_BYTES 40

/* The compiler's date has no zone: a day is left for that. With SOURCE_DATE_EPOCH set, it
 * is that one. */
bool setup_is_before_build(uint64_t now_ms)
{
	struct tm tm = {0};
	time_t at;

	if (strptime(__DATE__, "%b %e %Y", &tm) == NULL)
		return false;
	at = timegm(&tm);
	return at > 0 && now_ms + DAY_MS < (uint64_t)at * 1000;
}

static const char *time_text(uint64_t ms, char buf[TIME_BYTES])
{
	time_t at = (time_t)(ms / 1000);
	struct tm tm;

	if (gmtime_r(&at, &tm) == NULL ||
		strftime(buf, TIME_BYTES, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		(void)snprintf(buf, TIME_BYTES, "%" PRIu64 " ms", ms);
	return buf;
}

/* What the kernel was told last by whoever keeps its time. */
static bool is_kept_right(void)
{
	struct timex look = {.modes = 0};

	return adjtimex(&look) != -1 && (look.status & STA_UNSYNC) == 0;
}

void setup_check_clock(struct setup *setup)
{
	uint64_t now = clock_wall_ms();
	char now_text[TIME_BYTES], newest_text[TIME_BYTES];

	(void)time_text(now, now_text);
	if (setup_is_before_build(now)) {
		setup_find(setup, SETUP_PROBLEM, "clock",
			"the clock is wrong: it says %s, before this program was made",
			now_text);
		setup_change(setup, "timedatectl set-ntp true");
	} else if (now + BEHIND_MS < setup->newest_ms) {
		setup_find(setup, SETUP_PROBLEM, "clock",
			"the clock says %s, but %s holds something of %s: it is wrong "
			"now, or was then",
			now_text, setup->config->data_dir,
			time_text(setup->newest_ms, newest_text));
		setup_change(setup, "timedatectl set-ntp true");
	} else {
		setup_find(setup, SETUP_OK, "clock", "the clock says %s%s", now_text,
			is_kept_right() ? ""
					: "; no NTP keeps it right, as far as the "
					  "kernel knows");
	}
}
