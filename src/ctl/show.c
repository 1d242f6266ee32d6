#include "ctl/show.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const char *show_duration(uint64_t ms, char buf[SHOW_BYTES])
{
	uint64_t s = ms / 1000;
	uint64_t value = s;
	const char *unit = "s";

	if (s >= UINT64_C(48) * 3600) {
		value = s / 86400;
		unit = "d";
	} else if (s >= 3600) {
		value = s / 3600;
		unit = "h";
	} else if (s >= 60) {
		value = s / 60;
		unit = "min";
	}
	(void)snprintf(buf, SHOW_BYTES, "%" PRIu64 " %s", value, unit);
	return buf;
}

const char *show_ago(uint64_t at_ms, char buf[SHOW_BYTES])
{
	uint64_t now = clock_wall_ms();

	if (at_ms >= now || now - at_ms < 1000)
		return strcpy(buf, "now");
	(void)show_duration(now - at_ms, buf);
	return strcat(buf, " ago");
}

const char *show_time(uint64_t at_ms, char buf[SHOW_BYTES])
{
	uint64_t now = clock_wall_ms();
	char relative[SHOW_BYTES];
	time_t at = (time_t)(at_ms / 1000);
	struct tm tm;
	size_t len = 0;

	if (localtime_r(&at, &tm) != NULL)
		len = strftime(buf, SHOW_BYTES, "%Y-%m-%d %H:%M:%S %z", &tm);
	if (len == 0) /* a year that needs more than an int */
		len = (size_t)snprintf(buf, SHOW_BYTES, "%" PRIu64 " ms", at_ms);
	if (at_ms > now) /* to the next second: what was set a moment ago is in 10 min */
		(void)snprintf(buf + len, SHOW_BYTES - len, " (in %s)",
			show_duration((at_ms - now - 1) / 1000 * 1000 + 1000, relative));
	else
		(void)snprintf(
			buf + len, SHOW_BYTES - len, " (%s)", show_ago(at_ms, relative));
	return buf;
}

const char *show_bytes(uint64_t bytes, char buf[SHOW_BYTES])
{
	static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
	uint64_t unit = 1000;
	size_t i = 0;

	if (bytes < 1000) {
		(void)snprintf(buf, SHOW_BYTES, "%" PRIu64 " B", bytes);
		return buf;
	}
	for (; bytes / unit >= 1000; unit *= 1000)
		i++;
	/* rounded down, as a duration is: 999.99 stays below the next unit */
	(void)snprintf(buf, SHOW_BYTES, "%" PRIu64 ".%02" PRIu64 " %s", bytes / unit,
		bytes % unit / (unit / 100), units[i]);
	return buf;
}
