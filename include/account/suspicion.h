/*
 * Suspicions: what looks wrong in the reports of a service, and the words for it. One
 * table gives the sentence and the lines to change, so that log, status, API and tallyctl
 * say the same. Who finds them is watch.h. Pure.
 *
 * At most SUSPICIONS_MAX are listed. When the list is full, one whose service has been
 * silent for SUSPICION_IDLE_MS gives way, the longest first; without such a one, what is
 * new is not listed until there is room.
 */
#ifndef TALLYD_ACCOUNT_SUSPICION_H
#define TALLYD_ACCOUNT_SUSPICION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define SUSPICIONS_MAX 256
#define SUSPICION_IDLE_MS 60000
#define SUSPICION_PEER_BYTES 46 /* an address as text; INET6_ADDRSTRLEN */

struct ledger;
struct service;

/* The first three are of series. */
enum suspicion_code {
	LOOKS_CUMULATIVE, /* taken for deltas, and they only grow */
	LOOKS_DELTA,      /* taken for cumulative, and they fall or stand still */
	TWO_SENDERS,      /* under one name */
	NO_STATES,        /* cumulative, and has never announced itself */
	SERVICE_ONLY,     /* no handler has ever reported */
	NO_CLIENT,        /* a handler that names no users */
	STATES_ONLY,      /* a node that has announced itself, and has brought no bytes */
	N_SUSPICION_CODES
};
#define N_SERIES_CODES (TWO_SENDERS + 1)

struct suspicion {
	enum suspicion_code code;
	struct service *service; /* whose node and name are its; never freed before */
	uint64_t since_ms;       /* since 1970 */
	bool is_by_turns; /* TWO_SENDERS: no series falls, but their addresses alternate
			   */
	bool is_equal;    /* LOOKS_DELTA: no value falls, but they stand still */
	bool is_told, is_over;
	char peers[2][SUSPICION_PEER_BYTES]; /* TWO_SENDERS; may be equal */
	TAILQ_ENTRY(suspicion) link;
	char client[]; /* of the series that was the first to look so, or "" */
};

TAILQ_HEAD(suspicion_list, suspicion);

struct suspicions {
	struct suspicion_list listed; /* the oldest first */
	struct suspicion_list over;   /* were told, and are no more: to be told, too */
	size_t n, n_over, n_untold;
};

void suspicions_init(struct suspicions *suspicions);
void suspicions_done(struct suspicions *suspicions);

/* Lists a copy of `as` with that client. False: there is no room, or memory is short.
 * Which suspicions a service has is noted in its watch. */
bool suspicions_raise(struct suspicions *suspicions, const struct suspicion *as,
	const char *client, uint64_t now_ms);

/* It is no more, if it was listed. */
void suspicions_clear(
	struct suspicions *suspicions, struct service *service, enum suspicion_code code);

/* What nobody was told of yet, that it is or that it is over; NULL: nothing. */
const struct suspicion *suspicions_news(const struct suspicions *suspicions);
void suspicions_told(struct suspicions *suspicions, const struct suspicion *suspicion);

/* "looks-cumulative" */
const char *suspicion_word(enum suspicion_code code);

/* One sentence that says what is seen, and the lines to change, of GOST's configuration
 * or for a shell. All of it is one line each, without control characters. */
#define SUSPICION_LINES_MAX 3
#define SUSPICION_TEXT_BYTES 1536
struct suspicion_text {
	char sentence[SUSPICION_TEXT_BYTES];
	char change[SUSPICION_LINES_MAX][SUSPICION_TEXT_BYTES];
	size_t n_change;
};

void suspicion_describe(const struct ledger *ledger, const struct suspicion *suspicion,
	struct suspicion_text *ret_text);

#endif
