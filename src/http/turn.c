/*
 * What a turn of the loop may take, so that nobody is held up by many. libmicrohttpd goes
 * through all connections that have something to read, one after the other; whoever comes
 * when the turn's time is used up sleeps, and is woken in a later turn, in the order in
 * which they came. So a request that takes long only ends its turn. Of a connection at
 * most one request begins in a turn.
 *
 * Reports come first. Questions wait behind them, and so does who has sent several
 * requests at once: they were sent before an answer could be read, as no GOST does. These
 * have less of the turn; if that is used up, one of them goes all the same, so that none
 * waits for ever.
 */
#include "base/clock.h"
#include "http/internal.h"

#include <string.h>

/* Together with a slice of a large report, half of what may hold up an answer. */
static const uint64_t limits_us[PLACES] = {[PLACE_FIRST] = 1500, [PLACE_LAST] = 500};

/* At a time. Those for whom there is no time any more fall asleep again. */
#define MAX_WOKEN 8

static bool has_time(const struct turns *turns, enum turn_place place)
{
	return turns->began_us == 0 || clock_us() - turns->began_us < limits_us[place];
}

/* Its place is as it was: few are before it, of those that were woken with it. */
static void keep_place(struct connections *asleep, struct connection *connection)
{
	struct connection *next = TAILQ_FIRST(asleep);

	while (next != NULL && next->came < connection->came)
		next = TAILQ_NEXT(next, turn_link);
	if (next != NULL)
		TAILQ_INSERT_BEFORE(next, connection, turn_link);
	else
		TAILQ_INSERT_TAIL(asleep, connection, turn_link);
}

static void fall_asleep(
	struct connection *connection, enum turn_place place, bool was_woken)
{
	struct turns *turns = &connection->server->turns;

	connection->place = place;
	connection->is_asleep = true;
	turns->n_newcomers += turn_is_newcomer(connection) ? 1 : 0;
	connection->slept_turn = turns->number;
	if (was_woken) {
		keep_place(&turns->asleep[place], connection);
	} else {
		connection->came = ++turns->n_came;
		TAILQ_INSERT_TAIL(&turns->asleep[place], connection, turn_link);
	}
	MHD_suspend_connection(connection->mhd);
}

static void wake(struct connection *connection)
{
	struct turns *turns = &connection->server->turns;

	TAILQ_REMOVE(&turns->asleep[connection->place], connection, turn_link);
	turns->n_newcomers -= turn_is_newcomer(connection) ? 1 : 0;
	connection->is_asleep = false;
	connection->was_woken = connection->request == NULL;
	MHD_resume_connection(connection->mhd);
}

bool turn_is_newcomer(const struct connection *connection)
{
	return connection->request == NULL && connection->ended_run == 0;
}

/* As far as it matters here. */
static bool looks_like_report(const char *url)
{
	return strstr(url, "/observer") != NULL;
}

/* Who was woken in vain sleeps again; but the first of each place goes in each turn,
 * though libmicrohttpd may come to it last. */
static bool may_go(const struct connection *connection, enum turn_place place)
{
	const struct turns *turns = &connection->server->turns;

	if (connection->was_woken)
		return connection->is_first || has_time(turns, place);
	return !connection->is_hasty && TAILQ_EMPTY(&turns->asleep[place]) &&
		connection->begun_turn != turns->number && has_time(turns, place);
}

bool turn_takes_request(struct connection *connection, const char *url)
{
	const struct turns *turns = &connection->server->turns;
	bool was_woken = connection->was_woken, may_begin;
	enum turn_place place = connection->place;

	if (!was_woken) {
		/* In the same run nothing is read yet that came behind the answer. */
		connection->is_hasty =
			connection->ended_run == connection->server->n_runs;
		if (connection->is_hasty) /* so no GOST: it gives way before one */
			connection_set_proven(connection, false);
		place = connection->is_hasty || !looks_like_report(url) ? PLACE_LAST
									: PLACE_FIRST;
	}
	may_begin = may_go(connection, place);
	connection->was_woken = false;
	if (!may_begin) {
		fall_asleep(connection, place, was_woken);
		return false;
	}
	connection->begun_turn = turns->number;
	if (was_woken) /* what it has waited is not its own time */
		connection_enter(connection, CONN_READING);
	return true;
}

void turn_took_bytes(struct connection *connection)
{
	/* Of a body in chunks there may be more that is handed over all the same. */
	if (connection->is_asleep || has_time(&connection->server->turns, PLACE_FIRST))
		return;
	connection->is_hasty = false;
	fall_asleep(connection, PLACE_FIRST, false);
}

void turn_begin(struct http_server *server)
{
	if (server->turns.began_us == 0)
		server->turns.began_us = clock_us();
}

bool turn_wake(struct http_server *server, enum turn_place place)
{
	struct turns *turns = &server->turns;
	struct connection *connection;
	unsigned n = 0, max = has_time(turns, place) ? MAX_WOKEN : 1;

	if (max == 1 && turns->has_woken[place])
		return false;
	while (n < max && (connection = TAILQ_FIRST(&turns->asleep[place])) != NULL &&
		connection->slept_turn != turns->number) {
		wake(connection);
		connection->is_first = !turns->has_woken[place];
		turns->has_woken[place] = true;
		n++;
	}
	return n > 0;
}

bool turn_end(struct http_server *server)
{
	struct turns *turns = &server->turns;

	turns->number++;
	turns->began_us = 0;
	turns->has_woken[PLACE_FIRST] = turns->has_woken[PLACE_LAST] = false;
	return !TAILQ_EMPTY(&turns->asleep[PLACE_FIRST]) ||
		!TAILQ_EMPTY(&turns->asleep[PLACE_LAST]);
}

void turn_leave(struct connection *connection)
{
	if (connection->is_asleep)
		wake(connection);
}

void turns_close(struct http_server *server)
{
	for (int place = 0; place < PLACES; place++)
		while (!TAILQ_EMPTY(&server->turns.asleep[place]))
			connection_cut(TAILQ_FIRST(&server->turns.asleep[place]));
}

void turns_init(struct http_server *server)
{
	server->turns.number = 1;
	for (int place = 0; place < PLACES; place++)
		TAILQ_INIT(&server->turns.asleep[place]);
}
