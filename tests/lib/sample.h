/* Bookings, records and segment files in a few words. */
#ifndef TALLYD_TESTS_SAMPLE_H
#define TALLYD_TESTS_SAMPLE_H

#include "account/cut.h"
#include "journal/record.h"
#include "lib/tempdir.h"

/* Traffic of a handler; `client` may be "". Strings are borrowed. */
struct booking sample_traffic(
	const char *service, const char *client, uint64_t input, uint64_t output);

/* Prepares and applies one booking of node "n", service "s", as the ledger's next
 * sequence. */
void sample_book(
	struct ledger *ledger, const char *client, uint64_t input, uint64_t output);

/* A command of nobody's, about `subject`, with what every text may be. Borrows. */
struct command sample_command(const char *verb, const char *key, const char *subject,
	struct effect *effects, size_t n_effects);

/* Prepares and applies it as the ledger's next sequence. */
void sample_do(struct ledger *ledger, struct command *command, uint64_t time_ms);

/* A node with every member set, told apart by `i`. */
struct node_kept sample_node(unsigned i);

/* A user name that is valid until eight calls later: "u00012". */
const char *sample_name(unsigned i);

/* What another program does to a database, one number that it finds there, and all the
 * rows that these queries give, as text that the caller frees. */
void sample_sql(const char *path, const char *sql);
int64_t sample_number(const char *path, const char *sql);
char *sample_rows(const char *path, const char *queries);

/* A segment in memory: begin, add, write. */
struct sample_segment {
	struct buf buf;
};

void sample_begin(
	struct sample_segment *segment, uint64_t first_seq, uint64_t synced_seq);

/* One record of node "n" with one booking: user "u", `seq` bytes in. */
void sample_add(struct sample_segment *segment, uint64_t seq, uint64_t synced_seq);
void sample_add_bytes(struct sample_segment *segment, const void *bytes, size_t len);

/* Writes it as that file, and is empty again. */
void sample_write(
	struct sample_segment *segment, const struct tempdir *dir, uint64_t number);

/* The bytes that sample_add() takes for any seq below 128. */
size_t sample_record_size(void);

#endif
