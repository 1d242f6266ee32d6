/*
 * Which refusals have been said already: the first lines of each kind are written, then
 * one a minute with the number of those that were not. GOST repeats what is refused each
 * second, for days. Memory never grows; pure, knows no time of its own.
 */
#ifndef TALLYD_HTTP_HUSH_H
#define TALLYD_HTTP_HUSH_H

#include <stdbool.h>
#include <stdint.h>

#define HUSH_LINES 3 /* at first */
#define HUSH_PAUSE_MS 60000
#define HUSH_FORGET_MS 600000 /* without one of its kind it begins anew */
#define HUSH_KINDS 64

/* Where no place is left, the kind that was not seen for longest is forgotten. */
struct hush {
	struct hushed {
		unsigned key[2];
		unsigned lines, suppressed;
		uint64_t seen_ms; /* 0: the place is free */
		uint64_t said_ms;
	} kinds[HUSH_KINDS];
};

/* The place of a kind: of one code, peer and node. `now_ms` is not 0. */
struct hushed *hush_find(
	struct hush *hush, int code, const char *peer, const char *node, uint64_t now_ms);

/* Whether a line of it is due. One that is not is counted. */
bool hush_is_due(struct hushed *kind, uint64_t now_ms);

/* It was written. Returns how many were not since the last one. */
unsigned hush_said(struct hushed *kind, uint64_t now_ms);

#endif
