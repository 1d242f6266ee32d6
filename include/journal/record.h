/*
 * One journal record: how an accepted report, or a command, looks on disk.
 *
 *     length u32 | crc u32 | seq u64 | synced_seq u64 | conn u64 | time_ms u64 |
 *         fingerprint 16 | payload
 *
 * Little-endian. `length` counts the payload; its highest bit says that this is a
 * command, see command_record.h. The CRC-32C covers length and all that follows the CRC.
 * `synced_seq` is the highest sequence known to be on stable storage when this was
 * written: what tells a crash's torn tail from corruption. Connection and fingerprint
 * (XXH3-128 of the body) are what a repeated report is recognised by: a later record of a
 * connection proves that the earlier one was answered, and a record also names
 * connections for which TCP has proved it since the last. A command has no connection,
 * and its fingerprint is the digest of what was asked for. Pure.
 */
#ifndef TALLYD_JOURNAL_RECORD_H
#define TALLYD_JOURNAL_RECORD_H

#include "account/account.h"
#include "account/command.h"
#include "base/buf.h"

#define RECORD_HEAD_BYTES 56
#define RECORD_MAX_PAYLOAD (UINT32_C(256) << 20)
#define RECORD_IS_COMMAND (UINT32_C(1) << 31)

/* A repeat has one booking, of the service in whose stream it stands, which adds nothing.
 */
struct record {
	struct origin origin;
	uint64_t synced_seq;
	const char *node; /* NULL: it is a command */
	struct bookings bookings;
	struct command *command; /* NULL: it is a report. record_decode() makes it, and
				    record_done() frees only such a one */
	bool owns_command;
	uint64_t *proved; /* what origin.proved points to, if record_decode() made it */
};

/* Appends the record to `out`. The outcome is buf_ok(out). */
void record_encode(const struct record *record, struct buf *out);

enum record_check { RECORD_WHOLE, RECORD_SHORT, RECORD_BAD };

/*
 * Looks whether `len` bytes begin with a whole record; if so says its full size and
 * sequences. RECORD_SHORT: they end too early. RECORD_BAD: length or checksum is wrong.
 */
enum record_check record_check(const uint8_t *bytes, size_t len, size_t *ret_size,
	uint64_t *ret_seq, uint64_t *ret_synced_seq);

/*
 * Decodes a record that record_check() found whole. Its strings borrow from `bytes`; it
 * is freed with record_done(). 0, ERR_NOMEM, or ERR_JOURNAL_CORRUPT if the payload is not
 * ours.
 */
int record_decode(
	const uint8_t *bytes, size_t size, struct record *ret_record) MUST_CHECK;
void record_done(struct record *record);

#endif
