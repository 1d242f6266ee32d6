#include "account/account.h"
#include "account/ledger.h"

#include <stdlib.h>
#include <string.h>

/* A name that this report is the first to bring. */
struct newcomer {
	UT_hash_handle hh; /* by the name, which the event owns */
};

struct newcomers {
	struct newcomer *users;
	struct newcomer *services[2]; /* by kind */
	bool counts_series;           /* their bound is near */
	size_t n_series; /* one that comes twice counts twice: it is only a bound */
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
	return 0;
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

/* Whether the event fits under the bounds; *ret_reason is why not. 0 or ERR_NOMEM. */
static int check_room(const struct ledger *ledger, const char *node,
	const struct event *event, struct newcomers *newcomers, const char **ret_reason)
{
	struct newcomer **services = &newcomers->services[event->kind];
	bool is_new_user = names_user(event) &&
		ledger_find_user(ledger, event->client) == NULL &&
		find(newcomers->users, event->client) == NULL;
	bool is_new_service =
		!ledger_has_service(ledger, node, event->kind, event->service) &&
		find(*services, event->service) == NULL;
	bool is_new_series = newcomers->counts_series && event->type == EVENT_STATS &&
		!ledger_has_series(
			ledger, node, event->kind, event->service, event->client);
	size_t n_services = HASH_COUNT(newcomers->services[KIND_HANDLER]) +
		HASH_COUNT(newcomers->services[KIND_SERVICE]);

	*ret_reason = NULL;
	if (is_new_user &&
		!ledger_has_room_for_users(ledger, HASH_COUNT(newcomers->users) + 1))
		*ret_reason = "max_users is reached";
	else if (is_new_service && !ledger_has_room_for_services(ledger, n_services + 1))
		*ret_reason = "there are too many services";
	else if (is_new_series &&
		!ledger_has_room_for_series(ledger, newcomers->n_series + 1))
		*ret_reason = "there are too many series of cumulative counters";
	if (*ret_reason != NULL)
		return 0;
	newcomers->n_series += is_new_series;
	if (is_new_user && add(&newcomers->users, event->client) != 0)
		return ERR_NOMEM;
	return is_new_service ? add(services, event->service) : 0;
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

int account_book(const struct ledger *ledger, const char *node, enum counter_mode mode,
	struct report *report, struct bookings *ret_bookings)
{
	struct bookings bookings = {0};
	struct newcomers newcomers = {.counts_series = mode == COUNTERS_CUMULATIVE &&
			!ledger_has_room_for_series(ledger, report->n_events)};
	int code = 0;

	bookings.list = calloc(report->n_events + 1, sizeof(*bookings.list));
	if (bookings.list == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < report->n_events && code == 0; i++) {
		const struct event *event = &report->events[i];
		const char *reason;

		code = check_room(ledger, node, event, &newcomers, &reason);
		if (code == 0 && reason == NULL)
			append(&bookings, mode, event);
		else if (code == 0)
			report_reject(report, reason, event->client);
	}
	newcomers_done(&newcomers);
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
