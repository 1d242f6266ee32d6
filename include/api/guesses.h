/*
 * Wrong credentials, counted per address, in memory that never grows: whoever sends more
 * than a few is answered late. Who is right never comes here. Knows no time of its own.
 */
#ifndef TALLYD_API_GUESSES_H
#define TALLYD_API_GUESSES_H

#include <stdint.h>

#define GUESSES_FREE 5 /* so many wrong ones cost no time */
#define GUESSES_MEMORY_MS 60000
#define GUESSES_STEP_MS 250
#define GUESSES_MAX_DELAY_MS 1000

#define GUESSES_SETS 256
#define GUESSES_WAYS 4

/* Where no place is left, the address that has been silent for longest is forgotten. */
struct guesses {
	struct guesser {
		uint8_t key[16];  /* an address; of IPv6 its /64 */
		uint64_t last_ms; /* 0: the place is free */
		unsigned count;
	} table[GUESSES_SETS][GUESSES_WAYS];
};

/* Notes a wrong credential from `address`, as text, and returns how long its answer is to
 * wait. An address without one for GUESSES_MEMORY_MS begins anew. */
unsigned guesses_note(struct guesses *guesses, const char *address, uint64_t now_ms);

#endif
