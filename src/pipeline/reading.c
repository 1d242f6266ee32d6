#define XXH_INLINE_ALL
#include "pipeline/reading.h"

#include <string.h>
#include <xxhash.h>

int reading_parse(const char *body, size_t len, struct reading *ret_reading)
{
	struct reading reading = {0};
	XXH128_canonical_t fingerprint;
	int code = report_parse(body, len, &reading.report);

	if (code != 0)
		return code;
	_Static_assert(sizeof(fingerprint) == FINGERPRINT_BYTES, "the format's width");
	XXH128_canonicalFromHash(&fingerprint, XXH3_128bits(body, len));
	memcpy(reading.fingerprint, &fingerprint, sizeof(fingerprint));
	*ret_reading = reading;
	return 0;
}

void reading_done(struct reading *reading)
{
	bookings_done(&reading->bookings);
	report_done(&reading->report);
	*reading = (struct reading){0};
}
