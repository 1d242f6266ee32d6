/*
 * The list, and the words. A text of the table holds `{who}` (the series), `{service}`,
 * `{node}`, `{node$}` (as a word for a shell), and the addresses `{a}` and `{b}`.
 */
#include "account/suspicion.h"
#include "account/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The list */

void suspicions_init(struct suspicions *suspicions)
{
	*suspicions = (struct suspicions){0};
	TAILQ_INIT(&suspicions->listed);
	TAILQ_INIT(&suspicions->over);
}

static void free_list(struct suspicion_list *list)
{
	struct suspicion *suspicion;

	while ((suspicion = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, suspicion, link);
		free(suspicion);
	}
}

void suspicions_done(struct suspicions *suspicions)
{
	free_list(&suspicions->listed);
	free_list(&suspicions->over);
}

/* Off the list; it is the caller's. */
static void unlist(struct suspicions *suspicions, struct suspicion *suspicion)
{
	suspicion->service->watch.raised &= (uint8_t) ~(1u << suspicion->code);
	TAILQ_REMOVE(&suspicions->listed, suspicion, link);
	suspicions->n--;
	suspicions->n_untold -= !suspicion->is_told;
}

/* It is over, but whoever was told of it is to hear that, too. */
static void retire(struct suspicions *suspicions, struct suspicion *suspicion)
{
	struct suspicion *oldest;

	unlist(suspicions, suspicion);
	if (!suspicion->is_told) {
		free(suspicion);
		return;
	}
	if (suspicions->n_over == SUSPICIONS_MAX) {
		oldest = TAILQ_FIRST(&suspicions->over);
		suspicions_told(suspicions, oldest);
	}
	suspicion->is_over = true;
	TAILQ_INSERT_TAIL(&suspicions->over, suspicion, link);
	suspicions->n_over++;
}

/* Whose service has been silent for longest gives way; nobody knows that it is right
 * again. False: all of them report. */
static bool make_room(struct suspicions *suspicions, uint64_t now_ms)
{
	uint64_t heard_ms = now_ms - SUSPICION_IDLE_MS;
	struct suspicion *suspicion, *silent = NULL;

	TAILQ_FOREACH (suspicion, &suspicions->listed, link) {
		if (suspicion->service->updated_ms < heard_ms) {
			heard_ms = suspicion->service->updated_ms;
			silent = suspicion;
		}
	}
	if (silent == NULL)
		return false;
	unlist(suspicions, silent);
	free(silent);
	return true;
}

bool suspicions_raise(struct suspicions *suspicions, const struct suspicion *as,
	const char *client, uint64_t now_ms)
{
	size_t len = strlen(client);
	struct suspicion *suspicion;

	if (suspicions->n == SUSPICIONS_MAX && !make_room(suspicions, now_ms))
		return false;
	suspicion = calloc(1, sizeof(*suspicion) + len + 1);
	if (suspicion == NULL)
		return false;
	*suspicion = *as;
	memcpy(suspicion->client, client, len + 1);
	suspicion->since_ms = now_ms;
	suspicion->service->watch.raised |= (uint8_t)(1u << as->code);
	TAILQ_INSERT_TAIL(&suspicions->listed, suspicion, link);
	suspicions->n++;
	suspicions->n_untold++;
	return true;
}

void suspicions_clear(
	struct suspicions *suspicions, struct service *service, enum suspicion_code code)
{
	struct suspicion *suspicion;

	if ((service->watch.raised & 1u << code) == 0)
		return;
	TAILQ_FOREACH (suspicion, &suspicions->listed, link) {
		if (suspicion->service == service && suspicion->code == code) {
			retire(suspicions, suspicion);
			return;
		}
	}
}

const struct suspicion *suspicions_news(const struct suspicions *suspicions)
{
	const struct suspicion *suspicion = TAILQ_FIRST(&suspicions->over);

	if (suspicion != NULL || suspicions->n_untold == 0)
		return suspicion;
	TAILQ_FOREACH (suspicion, &suspicions->listed, link)
		if (!suspicion->is_told)
			return suspicion;
	return NULL;
}

void suspicions_told(struct suspicions *suspicions, const struct suspicion *suspicion)
{
	/* Const is the promise of whoever asks; the list owns it. */
	struct suspicion *own = (struct suspicion *)suspicion;

	if (own->is_over) {
		TAILQ_REMOVE(&suspicions->over, own, link);
		suspicions->n_over--;
		free(own);
		return;
	}
	own->is_told = true;
	suspicions->n_untold--;
}

/* The words */

static const char *const code_words[] = {"looks-cumulative", "looks-delta", "two-senders",
	"no-states", "service-only", "no-client", "states-only"};

const char *suspicion_word(enum suspicion_code code)
{
	return code_words[code];
}

/* When a line is right: if all of these hold. */
enum {
	ALWAYS = 0,
	IF_HANDLER = 1,      /* the series is of the handler */
	IF_SERVICE = 2,      /* ... of the service as a whole */
	IF_NODE = 4,         /* made with tallyctl: its counters are set there */
	IF_NAME = 8,         /* it only reports: they are in its address */
	IF_DELTA = 16,       /* its reports are taken for deltas */
	IF_CUMULATIVE = 32,  /* ... for cumulative counters */
	IF_SOME_RIGHT = 64,  /* users of the node look right as they are taken */
	IF_NONE_RIGHT = 128, /* none does: how they are taken may be changed */
};

struct line {
	unsigned when;
	const char *text;
};

struct words {
	const char *sentence;
	struct line change[SUSPICION_LINES_MAX + 3];
};

#define AUTO_LINE                                                                        \
	{                                                                                \
		IF_HANDLER,                                                              \
			"observer.resetTraffic: true   # in the metadata of every "      \
			"handler of that GOST, and of every service with enableStats, "  \
			"if the handler of {service} is auto; and counters of {node} "   \
			"are delta then"                                                 \
	}

#define DELTA_LINES                                                                      \
	{IF_SOME_RIGHT | IF_HANDLER,                                                     \
		"observer.resetTraffic: false   # in the metadata of the handler of "    \
		"{service}, if that is not auto: {node} is cumulative, and its other "   \
		"handlers are right so"},                                                \
		{IF_SOME_RIGHT | IF_SERVICE,                                             \
			"observer.resetTraffic: false   # in the metadata of the "       \
			"service {service} itself: {node} is cumulative, and its "       \
			"handlers do not reset"},                                        \
		{IF_NONE_RIGHT | IF_NODE,                                                \
			"tallyctl node set {node$} --counters delta   # if its GOST "    \
			"has observer.resetTraffic: true wherever it reports"},          \
	{                                                                                \
		IF_NONE_RIGHT | IF_NAME,                                                 \
			"counters=delta   # behind the ? of the observer's addr, if "    \
			"its GOST has observer.resetTraffic: true wherever it reports"   \
	}

#define CUMULATIVE_LINES                                                                 \
	{IF_HANDLER,                                                                     \
		"observer.resetTraffic: true   # in the metadata of the handler of "     \
		"{service}, beside observer.period"},                                    \
		{IF_SERVICE,                                                             \
			"observer.resetTraffic: true   # in the metadata of the "        \
			"service {service} itself, beside enableStats"},                 \
		{IF_NONE_RIGHT | IF_NODE,                                                \
			"tallyctl node set {node$} --counters cumulative   # instead, "  \
			"if that GOST cannot reset its counters: while it is stopped, "  \
			"or this adds once more all that it has counted since its "      \
			"start"},                                                        \
	{                                                                                \
		IF_NONE_RIGHT | IF_NAME,                                                 \
			"counters=cumulative   # instead, behind the ? of the "          \
			"observer's addr, if that GOST cannot reset its counters"        \
	}

enum words_row {
	/* As enum suspicion_code, and what those of series may also be. */
	TWO_AT_ONE_ADDRESS = N_SUSPICION_CODES,
	TWO_BY_TURNS,
	STANDS_STILL,
	SERVICE_LOOKS_CUMULATIVE,
	SERVICE_LOOKS_DELTA,
	N_WORDS
};

static const struct words table[N_WORDS] = {
	[LOOKS_CUMULATIVE] =
		{"In 12 reports in a row the bytes of {who} have only grown, as counters "
		 "do that GOST does not reset: then each is added up as if it were new, "
		 "and far too much is booked. Or each time more was sent than the time "
		 "before: then all is right.",
			{CUMULATIVE_LINES}},
	[SERVICE_LOOKS_CUMULATIVE] =
		{"In 12 reports in a row the bytes of the service {who} as a whole have "
		 "only grown, as counters do that GOST does not reset: then its own "
		 "total is far too large; users are counted apart. Or each time more "
		 "was sent than the time before: then all is right.",
			{CUMULATIVE_LINES}},
	[LOOKS_DELTA] =
		{"In 3 of 12 reports the counters of {who} were lower than before and "
		 "nothing had restarted: its GOST resets them, or its handler is auto, "
		 "whose parts share one name. Bytes are booked wrongly.",
			{DELTA_LINES, AUTO_LINE}},
	[SERVICE_LOOKS_DELTA] =
		{"In 3 of 12 reports the counters of the service {who} as a whole were "
		 "lower than before and nothing had restarted: its GOST resets them. Its "
		 "own total is wrong; users are counted apart.",
			{DELTA_LINES}},
	[STANDS_STILL] =
		{"In 8 reports in a row {who} had new connections and the very same "
		 "bytes as before: its GOST resets its counters, and what is equal is "
		 "booked once. Or those connections carried nothing: then all is right.",
			{DELTA_LINES}},
	[TWO_SENDERS] =
		{"The counters of {who} fall and come back: two GOSTs, at {a} and at "
		 "{b}, report under the one name {node} and are taken for one. Bytes "
		 "are booked wrongly.",
			{{ALWAYS,
				"tallyctl node add NAME --counters cumulative   # one "
				"node for each GOST: put the addr that it prints into "
				"that GOST"}}},
	[TWO_AT_ONE_ADDRESS] =
		{"The counters of {who} fall and come back: two GOSTs at {a} report "
		 "under the one name {node}, or it is one whose handler is auto. They "
		 "are taken for one, and bytes are booked wrongly.",
			{{ALWAYS,
				 "tallyctl node add NAME --counters cumulative   # one "
				 "node for each GOST: put the addr that it prints into "
				 "that GOST"},
				AUTO_LINE}},
	[TWO_BY_TURNS] =
		{"Two GOSTs, at {a} and at {b}, report {service} by turns under the one "
		 "name {node}: when one of them restarts, all bytes of the other are "
		 "booked again.",
			{{ALWAYS,
				"tallyctl node add NAME --counters cumulative   # one "
				"node for each GOST: put the addr that it prints into "
				"that GOST"}}},
	[NO_STATES] =
		{"{service} of {node} reports cumulative counters, but has never "
		 "announced itself (running, ready): when its GOST restarts, that is "
		 "not seen, and bytes are missing.",
			{{ALWAYS,
				 "observer: NAME   # beside addr of the service "
				 "{service}: the NAME that its handler has; without "
				 "enableStats"},
				{ALWAYS,
					"restart GOST once   # if the line is there: its "
					"last start was not heard, or was refused"}}},
	[SERVICE_ONLY] =
		{"{service} of {node} reports its bytes as a whole, but its handler "
		 "reports nothing: no user is counted. Or its handler is one that has no "
		 "users, as forward and ss: then all is right.",
			{{ALWAYS,
				 "observer: NAME   # in the handler of {service}, where "
				 "its auther is; if it has users"},
				{IF_DELTA,
					"observer.resetTraffic: true   # in the "
					"metadata of that handler"}}},
	[NO_CLIENT] = {"The handler of {service} of {node} reports bytes, but never a "
		       "client: no user is counted.",
		{{ALWAYS,
			"auther: NAME   # in the handler of {service}: without one "
			"GOST knows no users"}}},
	[STATES_ONLY] =
		{"{service} of {node} was ready more than 10 minutes ago, and since "
		 "tallyd knows {node} it has sent only states, never bytes: nobody uses "
		 "it, or its observer stands in the service alone, or its handler has no "
		 "users.",
			{{ALWAYS,
				 "observer: NAME   # in the handler of {service}, beside "
				 "its auther, if somebody uses it"},
				{IF_DELTA,
					"observer.resetTraffic: true   # in the "
					"metadata of that handler"},
				{IF_DELTA,
					"enableStats: true   # instead, in the metadata "
					"of the service {service}, if its handler is "
					"forward or ss; with observer.resetTraffic: true "
					"beside it"},
				{IF_CUMULATIVE,
					"enableStats: true   # instead, in the metadata "
					"of the service {service}, if its handler is "
					"forward or ss"}}},
};

static const struct words *words_of(const struct suspicion *suspicion)
{
	if (suspicion->code == TWO_SENDERS && suspicion->is_by_turns)
		return &table[TWO_BY_TURNS];
	if (suspicion->code == TWO_SENDERS &&
		strcmp(suspicion->peers[0], suspicion->peers[1]) == 0)
		return &table[TWO_AT_ONE_ADDRESS];
	if (suspicion->code == LOOKS_DELTA && suspicion->is_equal)
		return &table[STANDS_STILL];
	if (suspicion->code == LOOKS_DELTA && suspicion->service->kind == KIND_SERVICE)
		return &table[SERVICE_LOOKS_DELTA];
	if (suspicion->code == LOOKS_CUMULATIVE &&
		suspicion->service->kind == KIND_SERVICE)
		return &table[SERVICE_LOOKS_CUMULATIVE];
	return &table[suspicion->code];
}

struct text {
	char *at;
	size_t room; /* without the NUL */
};

static void put(struct text *text, const char *more, size_t len)
{
	if (len > text->room)
		len = text->room;
	memcpy(text->at, more, len);
	text->at += len;
	text->room -= len;
	*text->at = '\0';
}

static void put_string(struct text *text, const char *more)
{
	put(text, more, strlen(more));
}

/* As one word for a shell, whatever it holds. */
static void put_word(struct text *text, const char *word)
{
	if (strspn(word,
		    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		    "0123456789-._") == strlen(word)) {
		put_string(text, word);
		return;
	}
	put_string(text, "'");
	for (; *word != '\0'; word++)
		if (*word == '\'')
			put_string(text, "'\\''");
		else
			put(text, word, 1);
	put_string(text, "'");
}

static void put_who(struct text *text, const struct suspicion *suspicion)
{
	if (suspicion->client[0] != '\0') {
		put_string(text, suspicion->client);
		put_string(text, " on ");
	}
	put_string(text, suspicion->service->name);
	put_string(text, " of ");
	put_string(text, suspicion->service->node);
}

static void put_named(struct text *text, const char *name, size_t len,
	const struct suspicion *suspicion)
{
	static const char *const names[] = {"who", "service", "node", "node$", "a", "b"};
	size_t i = 0;

	while (strlen(names[i]) != len || strncmp(names[i], name, len) != 0)
		i++;
	if (i == 0)
		put_who(text, suspicion);
	else if (i == 1)
		put_string(text, suspicion->service->name);
	else if (i == 2)
		put_string(text, suspicion->service->node);
	else if (i == 3)
		put_word(text, suspicion->service->node);
	else
		put_string(text, suspicion->peers[i - 4]);
}

static void fill(char to[SUSPICION_TEXT_BYTES], const char *from,
	const struct suspicion *suspicion)
{
	struct text text = {to, SUSPICION_TEXT_BYTES - 1};

	to[0] = '\0';
	while (*from != '\0') {
		size_t len = strcspn(from, "{");

		put(&text, from, len);
		from += len;
		if (*from == '{') {
			len = strcspn(++from, "}");
			put_named(&text, from, len, suspicion);
			from += len + 1;
		}
	}
}

/* Of one that has brought no bytes, its node's states say it. */
static bool is_cumulative(const struct ledger *ledger, const struct service *service)
{
	const struct watch_node *node = watch_find_node(&ledger->watch, service->node);

	if (service->watch.mode != 0 || node == NULL)
		return service->watch.mode == 1 + COUNTERS_CUMULATIVE;
	return node->mode == COUNTERS_CUMULATIVE;
}

/* How many of the node's handlers are suspected, and of those that have reported often
 * enough to be. */
static unsigned count_wrong(const struct watch *watch, const char *node,
	enum suspicion_code code, unsigned *ret_n)
{
	const struct suspicion *listed;
	unsigned n_settled = 0;

	*ret_n = 0;
	TAILQ_FOREACH (listed, &watch->suspicions.listed, link) {
		const struct service *service = listed->service;

		if (listed->code != code || service->kind != KIND_HANDLER ||
			strcmp(service->node, node) != 0)
			continue;
		++*ret_n;
		n_settled += service->watch.n_traffic == WATCH_REPORTS;
	}
	return n_settled;
}

/* Whether the node's users look right in the mode that it has: a handler has shown how it
 * looks, and is not suspected of the same. A service as a whole does not tell of users,
 * so beside handlers it leaves the mode alone until one of them is suspected. */
static bool are_users_right(
	const struct ledger *ledger, const struct suspicion *suspicion)
{
	const struct service *service = suspicion->service;
	const struct watch_node *node = watch_find_node(&ledger->watch, service->node);
	unsigned n;
	unsigned n_settled =
		count_wrong(&ledger->watch, service->node, suspicion->code, &n);

	/* Of a node that was forgotten and came back, it is not known. */
	if (node == NULL || node->n_settled != n_settled)
		return true;
	return service->kind == KIND_SERVICE && n == 0 &&
		(node->has_handler || service->other != NULL);
}

/* All that holds. */
static unsigned facts_of(const struct ledger *ledger, const struct suspicion *suspicion)
{
	const struct service *service = suspicion->service;
	const struct node *node = ledger_find_node(ledger, service->node);
	unsigned facts = 0;

	facts |= service->kind == KIND_HANDLER ? IF_HANDLER : IF_SERVICE;
	facts |= node != NULL && node->kept.deleted_ms == 0 ? IF_NODE : IF_NAME;
	facts |= is_cumulative(ledger, service) ? IF_CUMULATIVE : IF_DELTA;
	facts |= are_users_right(ledger, suspicion) ? IF_SOME_RIGHT : IF_NONE_RIGHT;
	return facts;
}

void suspicion_describe(const struct ledger *ledger, const struct suspicion *suspicion,
	struct suspicion_text *ret_text)
{
	const struct words *words = words_of(suspicion);
	unsigned facts = facts_of(ledger, suspicion);

	fill(ret_text->sentence, words->sentence, suspicion);
	ret_text->n_change = 0;
	for (const struct line *line = words->change; line->text != NULL; line++)
		if (ret_text->n_change < SUSPICION_LINES_MAX &&
			(line->when & facts) == line->when)
			fill(ret_text->change[ret_text->n_change++], line->text,
				suspicion);
}
