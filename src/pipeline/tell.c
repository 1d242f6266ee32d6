#include "pipeline/tell.h"

#include <inttypes.h>
#include <stdio.h>

static void tell_rejects(const char *node, const struct report *report)
{
	for (size_t i = 0; i < report->n_rejects_kept; i++)
		log_limited(LOG_WARN, "event rejected", "node=%s reason=%s event=%s",
			LOG_QUOTE(node), LOG_QUOTE(report->rejects[i].reason),
			LOG_QUOTE(report->rejects[i].event));
}

static void maybe_tell_saturated(struct tell *tell, const struct ledger *ledger)
{
	struct ledger_stats stats;

	ledger_get_stats(ledger, &stats);
	if (stats.has_saturated && !tell->has_told_saturated)
		log_warn("a total has reached the largest that can be held",
			"total=%" PRIu64, TOTAL_MAX);
	tell->has_told_saturated = stats.has_saturated;
}

static void tell_suspicion(const struct ledger *ledger, const struct suspicion *suspicion)
{
	struct suspicion_text text;
	char changes[SUSPICION_LINES_MAX * (LOG_QUOTED_BYTES + 10)] = "", *at = changes;

	suspicion_describe(ledger, suspicion, &text);
	for (size_t i = 0; i < text.n_change; i++)
		at += sprintf(at, " change=%s", LOG_QUOTE(text.change[i]));
	if (suspicion->is_over)
		log_info("looks right again", "code=%s node=%s service=%s client=%s",
			suspicion_word(suspicion->code),
			LOG_QUOTE(suspicion->service->node),
			LOG_QUOTE(suspicion->service->name),
			LOG_QUOTE(suspicion->client));
	else
		log_warn("something looks wrong",
			"code=%s node=%s service=%s client=%s seen=%s%s",
			suspicion_word(suspicion->code),
			LOG_QUOTE(suspicion->service->node),
			LOG_QUOTE(suspicion->service->name), LOG_QUOTE(suspicion->client),
			LOG_QUOTE(text.sentence), changes);
}

/* Each once. Nodes may bring many at a time: then the rest waits for later reports. */
static void tell_suspicions(struct tell *tell, struct ledger *ledger)
{
	struct suspicions *all = &ledger_watch(ledger)->suspicions;
	const struct suspicion *suspicion;
	unsigned suppressed;

	while ((suspicion = suspicions_news(all)) != NULL &&
		log_limit_allows(&tell->suspicions, &suppressed)) {
		tell_suspicion(ledger, suspicion);
		suspicions_told(all, suspicion);
	}
}

static void tell_fill(enum bound bound, enum fill fill, uint64_t used, uint64_t max)
{
	if (fill == FILL_FULL)
		log_warn("a bound is reached: events of new names are rejected, known "
			 "ones go on",
			"bound=%s used=%" PRIu64 " max=%" PRIu64, bounds_name(bound),
			used, max);
	else
		log_warn("a bound is near: at its end events of new names are rejected",
			"bound=%s used=%" PRIu64 " max=%" PRIu64, bounds_name(bound),
			used, max);
}

/* Each step once on the way up, and again only after there was room. */
static void maybe_tell_fill(
	struct tell *tell, const struct bounds *bounds, enum bound bound, bool is_reached)
{
	uint64_t used = bounds->used.of[bound], max = bounds->max.of[bound];
	enum fill *told = &tell->fills[bound], now = FILL_FAR;

	if (bounds_is_near(used, max))
		now = is_reached ? FILL_FULL : FILL_NEAR;
	if (now > *told)
		tell_fill(bound, now, used, max);
	if (now > *told || bounds_is_far(used, max))
		*told = now;
}

/* Before a bound is reached and when it is: of all, and of what one node may take. */
static void tell_bounds(
	struct tell *tell, struct ledger *ledger, const char *node, unsigned reached)
{
	enum bound bound;

	for (size_t i = 0; i < BOUNDS; i++)
		maybe_tell_fill(tell, ledger_bounds(ledger), (enum bound)i,
			(reached & (1U << i)) != 0);
	if (ledger_tell_share(ledger, node, &bound))
		log_limited(LOG_WARN,
			"a node has nearly used its share of a bound: at its end events "
			"of its new names are rejected",
			"node=%s bound=%s", LOG_QUOTE(node), bounds_name(bound));
}

void tell_about(struct tell *tell, struct ledger *ledger, const char *node,
	const struct report *report)
{
	tell_rejects(node, report);
	tell_bounds(tell, ledger, node, report->bounds_reached);
	maybe_tell_saturated(tell, ledger);
	tell_suspicions(tell, ledger);
}
