/*
 * How much memory this process may use: the machine's, and the limits of its cgroup and
 * of those above it (v2: memory.max and memory.high; v1: memory.limit_in_bytes),
 * whichever is smallest.
 */
#ifndef TALLYD_APP_MEMORY_H
#define TALLYD_APP_MEMORY_H

#include "account/ledger.h"

/* `root` is put before /proc/self/cgroup and /sys/fs/cgroup: "", or a test's folder. */
uint64_t memory_limit(const char *root);

/*
 * Bounds the ledger: by `max_memory`, or where that is OPTION_AUTO, by a quarter of the
 * limit, or of RLIMIT_AS if that is less. The rest is for what comes and goes beside it:
 * the cut of a flush (up to a quarter of the ledger), a report and its JSON (ten times
 * its size), SQLite, the page cache, and Redis on the same machine. More than seven
 * eighths of the limit are not loaded: a sentence is better than being killed by the
 * kernel again and again. (RLIMIT_AS kills nobody.)
 */
void memory_bound(struct ledger *ledger, uint64_t max_memory);

/* For the bodies of requests: `max_body_memory`, or an eighth of what there is. */
uint64_t memory_for_bodies(uint64_t max_body_memory);

#endif
