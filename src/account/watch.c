/*
 * From a report to its services, its node and its series, and what of it to suspect.
 *
 * A suspicion is of a service: the first series that looks so gives its name to it. It is
 * over when the last of them has stopped looking so, when many reports of the service
 * have not confirmed it, and when the counters are taken for something else.
 */
#include "account/watch_internal.h"
#include "account/internal.h"

#include <stdlib.h>
#include <string.h>

/* Reports with traffic before something that is missing is missed. States come before
 * any traffic, where they come at all. */
#define PATIENCE WATCH_REPORTS
#define PATIENCE_STATES 3

/* So many reports of a service that do not confirm it are enough: those series have gone,
 * or have been mended by the restart that was before. */
#define FADES_AFTER 720
#define FADES_AFTER_RESTART (3 * WATCH_REPORTS)

/* One report under way. */
struct look {
	struct watch *watch;
	const struct watch_report *report;
	struct watch_node *node; /* NULL: memory was short */
	struct sender sender;
};

_Static_assert(N_SUSPICION_CODES <= 8, "service_watch.raised");

/* Suspicions of a service */

static bool is_raised(const struct service *service, enum suspicion_code code)
{
	return (service->watch.raised & 1u << code) != 0;
}

static bool maybe_raise(const struct look *look, struct suspicion *as, const char *client)
{
	return is_raised(as->service, as->code) ||
		suspicions_raise(
			&look->watch->suspicions, as, client, look->report->now_ms);
}

static void raise_of_service(
	const struct look *look, struct service *service, enum suspicion_code code)
{
	struct suspicion as = {.code = code, .service = service};

	(void)maybe_raise(look, &as, ""); /* without room, the next report tries again */
}

/* Of one code: no series looks so any more. */
static void clear_series(
	struct watch *watch, struct service *service, enum suspicion_code code)
{
	watch->n_suspect_series -= service->watch.n_suspect[code];
	service->watch.n_suspect[code] = 0;
	service->watch.n_cleared[code]++;
	service->watch.unconfirmed[code] = 0;
	suspicions_clear(&watch->suspicions, service, code);
}

/* What was seen of its series is void. What was suspected of them stays, until enough
 * reports have not confirmed it. */
static void begin_anew(struct watch *watch, struct service *service)
{
	struct service_watch *seen = &service->watch;

	for (int code = 0; code < N_SERIES_CODES; code++) {
		watch->n_suspect_series -= seen->n_suspect[code];
		seen->n_suspect[code] = 0;
		if (seen->unconfirmed[code] < FADES_AFTER - FADES_AFTER_RESTART)
			seen->unconfirmed[code] = FADES_AFTER - FADES_AFTER_RESTART;
	}
	seen->generation++;
	seen->rises = seen->falls = 0;
	seen->came_back = seen->mixed = seen->steady = 0;
}

/* Its counters are taken for something else. */
static void take_anew(struct watch *watch, struct service *service)
{
	for (int code = 0; code <= NO_STATES; code++)
		suspicions_clear(&watch->suspicions, service, code);
	begin_anew(watch, service);
}

static void copy_peer(const struct look *look, uint32_t hash, char *to)
{
	const struct watch_peer *peers = look->node != NULL ? look->node->peers : NULL;

	(void)strcpy(to, "another address");
	for (size_t i = 0; peers != NULL && i < WATCH_PEERS; i++)
		if (peers[i].hash == hash)
			memcpy(to, peers[i].text, SUSPICION_PEER_BYTES);
}

static void name_senders(
	const struct look *look, uint32_t other_peer, struct suspicion *suspicion)
{
	copy_peer(look, other_peer, suspicion->peers[0]);
	copy_peer(look, look->sender.peer, suspicion->peers[1]);
}

/* Series */

/* What is to be done about a service's own series depends on how its handler looks: that
 * one is to have had as many reports as show it. */
static bool waits_for_handler(const struct service *service)
{
	return service->kind == KIND_SERVICE && service->watch.n_traffic < PATIENCE &&
		service->other != NULL && service->other->watch.n_traffic > 0;
}

static void confirm(const struct look *look, struct service *service,
	const struct verdict *verdict, const char *client)
{
	struct service_watch *seen = &service->watch;
	struct suspicion as = {.code = verdict->looks,
		.service = service,
		.is_equal = verdict->is_equal};

	if (!is_raised(service, as.code)) {
		if (waits_for_handler(service))
			return;
		if (as.code == TWO_SENDERS)
			name_senders(look, verdict->other_peer, &as);
		if (!maybe_raise(look, &as, client))
			return;
	}
	seen->unconfirmed[as.code] = 0;
}

static void change_suspect(const struct look *look, struct service *service,
	struct watch_series *series, enum suspicion_code to)
{
	struct service_watch *seen = &service->watch;
	enum suspicion_code from = watch_series_suspect(series);

	if (from != N_SUSPICION_CODES && watch_series_is_counted(series, seen)) {
		look->watch->n_suspect_series--;
		if (--seen->n_suspect[from] == 0)
			clear_series(look->watch, service, from);
	}
	watch_series_set_suspect(series, to, seen);
	if (to != N_SUSPICION_CODES) {
		look->watch->n_suspect_series++;
		seen->n_suspect[to]++;
	}
}

static void look_at_series(const struct look *look, const struct booking *booking)
{
	struct service *service = booking->in_service;
	struct watch_series *series =
		watch_series_get(&look->watch->table, booking, look->report->now_ms);
	struct verdict verdict;

	if (series == NULL)
		return;
	if (booking->has_mark)
		verdict = watch_series_cumulative(
			series, booking, &look->sender, &service->watch);
	else
		verdict = watch_series_delta(series, &booking->counters, &service->watch);
	if (verdict.looks != N_SUSPICION_CODES)
		confirm(look, service, &verdict, booking->client);
	/* What could not be listed is not suspected: it will be tried again. */
	if (verdict.looks != N_SUSPICION_CODES && !is_raised(service, verdict.looks))
		return;
	if (verdict.looks != watch_series_suspect(series) ||
		!watch_series_is_counted(series, &service->watch))
		change_suspect(look, service, series, verdict.looks);
}

/* Services */

static bool has_traffic(const struct service *service)
{
	const struct counters *last = &service->last;

	return service->watch.n_traffic > 0 || last->input_bytes > 0 ||
		last->output_bytes > 0 || last->total_conns > 0;
}

static bool announced(const struct service *service)
{
	return service->watch.has_announced ||
		(service->state[0] != '\0' && !service->watch.is_fresh);
}

static bool has_announced_itself(const struct service *service)
{
	return announced(service) ||
		(service->other != NULL && announced(service->other));
}

static void shift_windows(struct service_watch *seen, uint32_t peer)
{
	bool came_back = peer != seen->peer && peer == seen->prev_peer;

	seen->came_back = (uint16_t)((seen->came_back << 1 | came_back) & WATCH_WINDOW);
	seen->mixed = (uint16_t)(seen->mixed << 1 & WATCH_WINDOW);
	seen->steady = (uint16_t)(seen->steady << 1 & WATCH_WINDOW);
	if (peer == seen->peer)
		return;
	seen->prev_peer = seen->peer;
	seen->peer = peer;
}

static void fade(struct watch *watch, struct service *service)
{
	for (int code = 0; code < N_SERIES_CODES; code++)
		if (is_raised(service, code) &&
			++service->watch.unconfirmed[code] > FADES_AFTER)
			clear_series(watch, service, code);
}

static void look_at_mode(const struct look *look, struct service *service)
{
	struct service_watch *seen = &service->watch;
	uint8_t mode = (uint8_t)(1 + look->report->mode);

	if (seen->mode == mode && seen->epoch == (uint32_t)service->epoch.number)
		return;
	if (seen->mode == mode)
		begin_anew(look->watch, service);
	else if (seen->mode != 0)
		take_anew(look->watch, service);
	seen->mode = mode;
	seen->epoch = (uint32_t)service->epoch.number;
}

static void count_traffic(const struct look *look, struct service *service)
{
	if (service->watch.n_traffic == PATIENCE)
		return;
	if (++service->watch.n_traffic == PATIENCE && service->kind == KIND_HANDLER &&
		look->node != NULL)
		look->node->n_settled++;
}

/* Once for each report that it is in. */
static void begin_service(const struct look *look, struct service *service)
{
	struct service_watch *seen = &service->watch;

	if (seen->report == look->watch->n_reports)
		return;
	seen->report = look->watch->n_reports;
	look_at_mode(look, service);
	count_traffic(look, service);
	shift_windows(seen, look->sender.peer);
	if (seen->raised != 0)
		fade(look->watch, service);
	suspicions_clear(&look->watch->suspicions, service, STATES_ONLY);
	if (service->other != NULL)
		suspicions_clear(&look->watch->suspicions, service->other, STATES_ONLY);
	if (service->kind == KIND_HANDLER && service->other != NULL)
		suspicions_clear(&look->watch->suspicions, service->other, SERVICE_ONLY);
}

/* Two addresses take turns, half of the reports come back to the one before, and each
 * series has stayed with its own. One GOST that has two addresses sends a series from
 * both. */
static bool by_turns(const struct service_watch *seen)
{
	return __builtin_popcount(seen->came_back) >= WATCH_REPORTS / 2 &&
		__builtin_popcount(seen->steady) >= WATCH_REPORTS / 2 && seen->mixed == 0;
}

static void look_at_turns(const struct look *look, struct service *service)
{
	struct service_watch *seen = &service->watch;
	struct suspicion as = {
		.code = TWO_SENDERS, .service = service, .is_by_turns = true};

	if (by_turns(seen)) {
		name_senders(look, seen->prev_peer, &as);
		if (maybe_raise(look, &as, ""))
			seen->unconfirmed[TWO_SENDERS] = 0;
	} else if (seen->came_back == 0 && seen->n_suspect[TWO_SENDERS] == 0) {
		suspicions_clear(&look->watch->suspicions, service, TWO_SENDERS);
	}
}

static bool lacks_states(const struct look *look, const struct service *service)
{
	bool is_shown_by_handler = service->kind == KIND_SERVICE &&
		service->other != NULL && has_traffic(service->other);

	return look->report->mode == COUNTERS_CUMULATIVE &&
		service->watch.n_traffic >= PATIENCE_STATES && !is_shown_by_handler &&
		!has_announced_itself(service);
}

/* What is missing; behind the last of its events. */
static void end_service(const struct look *look, struct service *service)
{
	const struct service_watch *seen = &service->watch;

	if (look->report->mode == COUNTERS_CUMULATIVE)
		look_at_turns(look, service);
	if (lacks_states(look, service))
		raise_of_service(look, service, NO_STATES);
	if (seen->n_traffic < PATIENCE)
		return;
	if (service->kind == KIND_SERVICE &&
		(service->other == NULL || !has_traffic(service->other)))
		raise_of_service(look, service, SERVICE_ONLY);
	if (service->kind == KIND_HANDLER && !seen->has_client)
		raise_of_service(look, service, NO_CLIENT);
}

static void look_at_state(const struct look *look, struct service *service)
{
	struct service *both[] = {service, service->other};

	service->watch.has_announced = true;
	suspicions_clear(&look->watch->suspicions, service, STATES_ONLY);
	for (size_t i = 0; i < 2; i++) {
		if (both[i] == NULL)
			continue;
		suspicions_clear(&look->watch->suspicions, both[i], NO_STATES);
		if (both[i]->watch.mode != 0)
			look_at_mode(look, both[i]);
	}
}

static void look_at_traffic(const struct look *look, const struct booking *booking)
{
	struct service *service = booking->in_service;

	begin_service(look, service);
	if (service->kind == KIND_HANDLER && booking->client[0] != '\0' &&
		!service->watch.has_client) {
		service->watch.has_client = true;
		suspicions_clear(&look->watch->suspicions, service, NO_CLIENT);
	}
	look_at_series(look, booking);
}

static void note_in_node(struct watch_node *node, const struct booking *booking)
{
	if (booking->state[0] != '\0') {
		node->has_states = true;
		return;
	}
	node->has_handler |= booking->kind == KIND_HANDLER;
	node->has_service |= booking->kind == KIND_SERVICE;
	node->has_users |= booking_names_user(booking);
}

/* Bookings whose place in the table the processor fetches before it is looked at. */
#define AHEAD 8

static void look_at_bookings(const struct look *look)
{
	const struct bookings *bookings = look->report->bookings;

	for (size_t i = 0; i < bookings->n; i++) {
		const struct booking *booking = &bookings->list[i];
		struct service *service = booking->in_service;
		bool is_last = i + 1 == bookings->n ||
			bookings->list[i + 1].in_service != service;

		if (i + AHEAD < bookings->n)
			watch_series_fetch(&look->watch->table, booking + AHEAD);
		if (look->node != NULL)
			note_in_node(look->node, booking);
		if (booking->state[0] != '\0')
			look_at_state(look, service);
		else
			look_at_traffic(look, booking);
		if (is_last && service->watch.report == look->watch->n_reports)
			end_service(look, service);
	}
}

/* Nodes */

static void forget(struct watch *watch, struct watch_node *node)
{
	LIST_REMOVE(node, in_bucket);
	TAILQ_REMOVE(&watch->by_use, node, link);
	watch->n_nodes--;
	free(node);
}

static size_t bucket_of(const char *name)
{
	return hash_bytes(name, strlen(name)) % WATCH_NODE_BUCKETS;
}

static struct watch_node *find_node(const struct watch *watch, const char *name)
{
	struct watch_node *node;

	LIST_FOREACH (node, &watch->nodes[bucket_of(name)], in_bucket)
		if (strcmp(node->name, name) == 0)
			return node;
	return NULL;
}

static struct watch_node *get_node(struct watch *watch, const char *name)
{
	struct watch_node *node = find_node(watch, name);
	size_t len = strlen(name);

	if (node != NULL) {
		TAILQ_REMOVE(&watch->by_use, node, link);
		TAILQ_INSERT_TAIL(&watch->by_use, node, link);
		return node;
	}
	if (watch->n_nodes == WATCH_MAX_NODES)
		forget(watch, TAILQ_FIRST(&watch->by_use));
	node = calloc(1, sizeof(*node) + len + 1);
	if (node == NULL)
		return NULL;
	memcpy(node->name, name, len);
	LIST_INSERT_HEAD(&watch->nodes[bucket_of(name)], node, in_bucket);
	TAILQ_INSERT_TAIL(&watch->by_use, node, link);
	watch->n_nodes++;
	return node;
}

/* It becomes the first; the last of others gives way. */
static void note_peer(struct watch_node *node, uint32_t hash, const char *peer)
{
	size_t at = 0;

	if (node->peers[0].hash == hash)
		return;
	while (at < WATCH_PEERS - 1 && node->peers[at].hash != hash)
		at++;
	memmove(&node->peers[1], &node->peers[0], at * sizeof(node->peers[0]));
	node->peers[0] = (struct watch_peer){.hash = hash};
	strncpy(node->peers[0].text, peer, SUSPICION_PEER_BYTES - 1);
}

/* The watch */

/* Half as much again, while the table grows; names of any length. */
_Static_assert(WATCH_MAX_SERIES *WATCH_SERIES_BYTES * 3 / 2 + WATCH_MAX_NODES * 700 +
			2 * SUSPICIONS_MAX *
				(sizeof(struct suspicion) + NAME_MAX_BYTES + 32) <
		WATCH_MAX_BYTES,
	"what the header says");
_Static_assert(sizeof(struct watch_node) + NAME_MAX_BYTES + 32 < 700, "as said above");

void watch_init(struct watch *watch)
{
	*watch = (struct watch){0};
	suspicions_init(&watch->suspicions);
	TAILQ_INIT(&watch->by_use);
}

void watch_done(struct watch *watch)
{
	while (!TAILQ_EMPTY(&watch->by_use))
		forget(watch, TAILQ_FIRST(&watch->by_use));
	suspicions_done(&watch->suspicions);
	watch_table_done(&watch->table);
}

void watch_see(struct watch *watch, const struct watch_report *report)
{
	struct look look = {.watch = watch,
		.report = report,
		.node = get_node(watch, report->node),
		.sender = {(uint32_t)report->conn,
			hash_bytes(report->peer, strlen(report->peer)) | 1}};

	watch->n_reports++;
	if (look.node != NULL) {
		look.node->mode = report->mode;
		note_peer(look.node, look.sender.peer, report->peer);
	}
	look_at_bookings(&look);
}

void watch_forget_node(struct ledger *ledger, const char *name, bool is_fresh)
{
	struct watch *watch = &ledger->watch;
	struct watch_node *node = find_node(watch, name);
	struct service *service = ledger->services.table;

	if (watch->n_reports == 0)
		return;
	for (; service != NULL; service = service->hh.next) {
		if (strcmp(service->node, name) != 0)
			continue;
		begin_anew(watch, service);
		for (int code = 0; code < N_SUSPICION_CODES; code++)
			suspicions_clear(&watch->suspicions, service, code);
		service->watch = (struct service_watch){
			.generation = service->watch.generation,
			.has_announced = service->watch.has_announced && !is_fresh,
			.is_fresh = service->watch.is_fresh || is_fresh};
	}
	if (node != NULL)
		node->n_settled = 0;
	if (node != NULL && is_fresh)
		forget(watch, node);
}

/* Announced itself, without any traffic, and something could come of it. */
static bool seems_quiet(const struct ledger *ledger, const struct watch_node *seen)
{
	const struct node *node = ledger_find_node(ledger, seen->name);

	return seen->has_states && !seen->has_handler && !seen->has_service &&
		(node == NULL || (node->kept.deleted_ms == 0 && node->kept.is_enabled));
}

/* Which nodes are quiet, and what is suspected of others is over. */
static void mark_quiet(struct ledger *ledger)
{
	struct watch *watch = &ledger->watch;
	struct service *service = ledger->services.table;
	struct watch_node *node;

	TAILQ_FOREACH (node, &watch->by_use, link)
		node->is_quiet = seems_quiet(ledger, node);
	for (; service != NULL; service = service->hh.next) {
		node = find_node(watch, service->node);
		if (node != NULL && has_traffic(service))
			node->is_quiet = false;
	}
	for (service = ledger->services.table; service != NULL;
		service = service->hh.next) {
		node = find_node(watch, service->node);
		if (node == NULL || !node->is_quiet)
			suspicions_clear(&watch->suspicions, service, STATES_ONLY);
		else if (is_raised(service, STATES_ONLY))
			node->is_quiet = false; /* once is enough */
	}
}

static bool is_ready_for_long(const struct service *service, uint64_t now_ms)
{
	return service->kind == KIND_SERVICE && service->watch.has_announced &&
		strcmp(service->state, "ready") == 0 && now_ms > service->updated_ms &&
		now_ms - service->updated_ms >= WATCH_QUIET_MS;
}

void watch_find_quiet(struct ledger *ledger, uint64_t now_ms)
{
	struct watch *watch = &ledger->watch;
	struct service *service = ledger->services.table;

	if (now_ms - watch->quiet_ms < 1000)
		return;
	watch->quiet_ms = now_ms;
	mark_quiet(ledger);
	for (; service != NULL; service = service->hh.next) {
		struct suspicion as = {.code = STATES_ONLY, .service = service};
		struct watch_node *node;

		if (!is_ready_for_long(service, now_ms))
			continue;
		node = find_node(watch, service->node);
		/* Nobody gives way to it: whoever reports matters more. */
		if (node != NULL && node->is_quiet &&
			watch->suspicions.n < SUSPICIONS_MAX &&
			suspicions_raise(&watch->suspicions, &as, "", now_ms))
			node->is_quiet = false; /* once for each node */
	}
}

const struct watch_node *watch_find_node(const struct watch *watch, const char *name)
{
	return find_node(watch, name);
}
