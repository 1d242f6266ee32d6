#define HASH_NONFATAL_OOM 1
#include "account/account.h"
#include "account/internal.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* A name that this report is the first to bring. */
struct newcomer {
	UT_hash_handle hh; /* by the name, which the event owns */
};

/* What a report brings that is new, where that has to be counted: bounds are near. */
struct newcomers {
	const struct ledger *ledger;
	const char *node;
	const struct tenant *tenant; /* NULL: the node is new itself */
	struct newcomer *users;
	struct newcomer *services[2]; /* by kind */
	bool counts_series;
	struct usage more;
};

static struct newcomer *find(struct newcomer *set, const char *name)
{
	struct newcomer *found;

	HASH_FIND_STR(set, name, found);
	return found;
}

static int add(struct newcomer **set, const char *name)
{
	struct newcomer *newcomer = calloc(1, sizeof(*newcomer));

	if (newcomer == NULL)
		return ERR_NOMEM;
	HASH_ADD_KEYPTR(hh, *set, name, strlen(name), newcomer);
	if (HASH_IS_ADDED(newcomer))
		return 0;
	free(newcomer);
	return ERR_NOMEM;
}

static void clear(struct newcomer **set)
{
	struct newcomer *newcomer, *next;

	HASH_ITER(hh, *set, newcomer, next)
	{
		HASH_DEL(*set, newcomer);
		free(newcomer);
	}
}

static void newcomers_done(struct newcomers *newcomers)
{
	clear(&newcomers->users);
	clear(&newcomers->services[KIND_HANDLER]);
	clear(&newcomers->services[KIND_SERVICE]);
}

static bool names_user(const struct event *event)
{
	return event->type == EVENT_STATS && event->kind == KIND_HANDLER &&
		event->client[0] != '\0';
}

bool booking_names_user(const struct booking *booking)
{
	return booking->state[0] == '\0' && booking->kind == KIND_HANDLER &&
		booking->client[0] != '\0';
}

/* Whether the event brings a user, a service, a series that nobody has brought before:
 * what is only prepared is counted already. A series that comes twice is new twice: it is
 * only a bound. */
struct arrivals {
	bool user, service, series;
};

static struct arrivals arrivals_of(
	const struct newcomers *newcomers, const struct event *event)
{
	const struct ledger *ledger = newcomers->ledger;
	const char *node = newcomers->node, *service = event->service;

	return (struct arrivals){
		.user = names_user(event) &&
			users_find(&ledger->users, event->client) == NULL &&
			find(newcomers->users, event->client) == NULL,
		.service = services_find(&ledger->services, node, event->kind, service) ==
				NULL &&
			find(newcomers->services[event->kind], service) == NULL,
		.series = newcomers->counts_series && event->type == EVENT_STATS &&
			!ledger_has_series(
				ledger, node, event->kind, service, event->client),
	};
}

static struct usage cost_of(const struct newcomers *newcomers, const struct event *event,
	const struct arrivals *arrivals)
{
	size_t client_len = strlen(event->client);
	struct usage cost = {{0, arrivals->user, arrivals->service}};

	if (arrivals->user)
		cost.of[BOUND_MEMORY] += user_bytes(client_len);
	if (arrivals->series)
		cost.of[BOUND_MEMORY] += series_bytes(client_len);
	if (arrivals->service)
		cost.of[BOUND_MEMORY] +=
			service_bytes(strlen(newcomers->node), strlen(event->service));
	return cost;
}

static struct usage sum_of(const struct usage *a, const struct usage *b)
{
	struct usage sum;

	for (size_t i = 0; i < BOUNDS; i++)
		sum.of[i] = a->of[i] + b->of[i];
	return sum;
}

/* Whether the event fits under the bounds; *ret_reason is why not. 0 or ERR_NOMEM. */
static int check_room(struct newcomers *newcomers, const struct event *event,
	struct report *report, const char **ret_reason)
{
	struct arrivals arrivals = arrivals_of(newcomers, event);
	struct usage cost = cost_of(newcomers, event, &arrivals);
	struct usage more = sum_of(&newcomers->more, &cost);
	enum bound bound = BOUND_MEMORY;
	int code = 0;

	*ret_reason = NULL;
	if (!arrivals.user && !arrivals.service && !arrivals.series)
		return 0;
	*ret_reason = bounds_refusal(
		&newcomers->ledger->bounds, newcomers->tenant, &more, &bound);
	if (*ret_reason != NULL) {
		report->bounds_reached |= 1U << bound;
		return 0;
	}
	newcomers->more = more;
	if (arrivals.user)
		code = add(&newcomers->users, event->client);
	if (arrivals.service && code == 0)
		code = add(&newcomers->services[event->kind], event->service);
	return code;
}

/* Whether the report fits if everything in it is new and has the longest of names. */
static bool surely_fits(const struct ledger *ledger, size_t n_events)
{
	uint64_t event_bytes = user_bytes(NAME_MAX_BYTES) + series_bytes(NAME_MAX_BYTES) +
		service_bytes(NAME_MAX_BYTES, NAME_MAX_BYTES);
	struct usage more = {{(n_events + 1) * event_bytes, n_events, n_events}};

	return bounds_are_far(&ledger->bounds, &more);
}

static void append(
	struct bookings *bookings, enum counter_mode mode, const struct event *event)
{
	bookings->list[bookings->n++] = (struct booking){
		.kind = event->kind,
		.service = event->service,
		.client = event->client,
		.counters = event->counters,
		.lacks_conns = event->lacks_conns,
		.state = event->state,
		.has_mark = mode == COUNTERS_CUMULATIVE && event->type == EVENT_STATS,
	};
	bookings->n_stats += event->type == EVENT_STATS;
}

static int book_exactly(struct newcomers *newcomers, enum counter_mode mode,
	struct report *report, size_t end, size_t *at, struct bookings *bookings)
{
	int code = 0;

	for (; *at < end && code == 0; ++*at) {
		const struct event *event = &report->events[*at];
		const char *reason;

		code = check_room(newcomers, event, report, &reason);
		if (code == 0 && reason == NULL)
			append(bookings, mode, event);
		else if (code == 0)
			report_reject(report, reason, event->client);
	}
	return code;
}

int account_book_some(const struct ledger *ledger, const char *node,
	enum counter_mode mode, struct report *report, size_t n, size_t *at,
	struct bookings *bookings)
{
	size_t left = report->n_events - *at, end = *at + (n < left ? n : left);
	struct newcomers newcomers = {.ledger = ledger,
		.node = node,
		.counts_series = mode == COUNTERS_CUMULATIVE};
	int code;

	if (bookings->list == NULL)
		bookings->list = malloc((report->n_events + 1) * sizeof(*bookings->list));
	if (bookings->list == NULL)
		return ERR_NOMEM;
	if (surely_fits(ledger, end - *at)) {
		for (; *at < end; ++*at)
			append(bookings, mode, &report->events[*at]);
		return 0;
	}
	newcomers.tenant = bounds_find(&ledger->bounds, node);
	code = book_exactly(&newcomers, mode, report, end, at, bookings);
	newcomers_done(&newcomers);
	return code;
}

int account_book(const struct ledger *ledger, const char *node, enum counter_mode mode,
	struct report *report, struct bookings *ret_bookings)
{
	struct bookings bookings = {0};
	size_t at = 0;
	int code = account_book_some(
		ledger, node, mode, report, report->n_events, &at, &bookings);

	if (code != 0)
		bookings_done(&bookings);
	else
		*ret_bookings = bookings;
	return code;
}

void bookings_done(struct bookings *bookings)
{
	free(bookings->list);
	*bookings = (struct bookings){0};
}
