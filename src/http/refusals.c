#include "http/refusals.h"
#include "base/clock.h"
#include "base/text.h"

#include <string.h>

/* NULL: it is not known. */
static void put(char *to, size_t size, const char *text)
{
	text_copy_clean(
		to, size, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
}

/* Of the codes that share its word. */
static int first_of_word(int code)
{
	int first = -1;

	while (strcmp(err_word(first), err_word(code)) != 0)
		first--;
	return first;
}

static void keep(struct refusals *refusals, const struct refused *refused)
{
	struct refusal *kept = &refusals->last[refusals->total % REFUSALS_KEPT];

	kept->at_ms = clock_wall_ms();
	kept->code = refused->code;
	put(kept->peer, sizeof(kept->peer), refused->peer);
	put(kept->node, sizeof(kept->node), refused->node);
	put(kept->method, sizeof(kept->method), refused->method);
	put(kept->path, sizeof(kept->path), refused->path);
	put(kept->reason, sizeof(kept->reason),
		refused->reason != NULL ? refused->reason : err_text(refused->code));
	refusals->counts[-first_of_word(refused->code)]++;
	refusals->total++;
}

/* GOST repeats what is refused for ever: this line is how its operator hears of it. */
void refusals_note(struct refusals *refusals, const struct refused *refused)
{
	uint64_t now_ms = clock_ms();
	const struct refusal *kept;
	struct hushed *kind;
	unsigned suppressed;

	keep(refusals, refused);
	kept = refusals_last(refusals, 0);
	kind = hush_find(&refusals->hush, kept->code, kept->peer, kept->node, now_ms);
	if (!hush_is_due(kind, now_ms) ||
		!log_limit_allows(&refusals->limits[-refused->code], &suppressed))
		return;
	suppressed += hush_said(kind, now_ms);
	log_warn(refused->is_report ? "report refused" : "request refused",
		"status=%d peer=%s node=%s method=%s path=%s code=%s reason=%s "
		"suppressed=%u",
		err_http_status(kept->code), kept->peer, LOG_QUOTE(kept->node),
		LOG_QUOTE(kept->method), LOG_QUOTE(kept->path), err_word(kept->code),
		LOG_QUOTE(kept->reason), suppressed);
}

const struct refusal *refusals_last(const struct refusals *refusals, unsigned i)
{
	if (i >= REFUSALS_KEPT || i >= refusals->total)
		return NULL;
	return &refusals->last[(refusals->total - 1 - i) % REFUSALS_KEPT];
}

uint64_t refusals_count(const struct refusals *refusals, int code)
{
	return refusals->counts[-code];
}
