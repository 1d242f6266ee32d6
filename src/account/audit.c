/*
 * Commands as they were: the rows of `audit`, and those with a key, of which the last
 * COMMANDS_KEPT are remembered for COMMANDS_KEPT_MS.
 */
#include "account/internal.h"

#include <stdlib.h>
#include <string.h>

/* Copies `text` to *at, moves that behind it, and returns the copy. */
static const char *put(char **at, const char *text)
{
	const char *copy = *at;

	*at = stpcpy(*at, text) + 1;
	return copy;
}

static size_t size_of(const char *text)
{
	return strlen(text) + 1;
}

static struct audit_entry *audit_entry_new(const struct command *command)
{
	size_t size = size_of(command->actor) + size_of(command->verb) +
		size_of(command->subject) + size_of(command->before) +
		size_of(command->after) + size_of(command->reason) +
		size_of(command->key);
	struct audit_entry *entry = calloc(1, sizeof(*entry) + size);
	char *at;

	if (entry == NULL)
		return NULL;
	at = entry->texts;
	entry->actor = put(&at, command->actor);
	entry->verb = put(&at, command->verb);
	entry->subject = put(&at, command->subject);
	entry->before = put(&at, command->before);
	entry->after = put(&at, command->after);
	entry->reason = put(&at, command->reason);
	entry->key = put(&at, command->key);
	return entry;
}

static struct done_command *done_command_new(const struct command *command)
{
	size_t size = size_of(command->actor) + size_of(command->key) +
		size_of(command->answer);
	struct done_command *done = calloc(1, sizeof(*done) + size);
	char *at;

	if (done == NULL)
		return NULL;
	at = done->texts;
	done->actor = put(&at, command->actor);
	done->key = put(&at, command->key); /* behind it: the table's key is both */
	done->answer = put(&at, command->answer);
	done->status = command->status;
	return done;
}

int audit_prepare(struct command *command)
{
	command->in_audit = audit_entry_new(command);
	command->in_done = command->key[0] != '\0' ? done_command_new(command) : NULL;
	return command->in_audit == NULL ||
			(command->key[0] != '\0' && command->in_done == NULL)
		? ERR_NOMEM
		: 0;
}

void audit_forget(struct command *command)
{
	free(command->in_audit);
	free(command->in_done);
	command->in_audit = NULL;
	command->in_done = NULL;
}

static size_t key_len(const struct done_command *done)
{
	return (size_t)(done->answer - done->actor) - 1;
}

static void trim(struct audit *audit, uint64_t now_ms)
{
	struct done_command *oldest;

	while ((oldest = TAILQ_FIRST(&audit->done)) != NULL && !oldest->row.is_dirty &&
		!oldest->is_in_cut &&
		(HASH_COUNT(audit->by_key) > COMMANDS_KEPT ||
			oldest->at_ms + COMMANDS_KEPT_MS < now_ms)) {
		TAILQ_REMOVE(&audit->done, oldest, link);
		/* The analyzer does not see that it stands in the table. */
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
		HASH_DEL(audit->by_key, oldest);
		free(oldest);
	}
}

static void keep(struct audit *audit, struct done_command *done)
{
	TAILQ_INSERT_TAIL(&audit->done, done, link);
	HASH_ADD_KEYPTR(hh, audit->by_key, done->actor, key_len(done), done);
}

static void note(struct done_command *done, const struct origin *origin)
{
	done->seq = origin->seq;
	done->at_ms = origin->time_ms;
	memcpy(done->digest, origin->fingerprint, FINGERPRINT_BYTES);
}

void audit_apply(
	struct audit *audit, const struct command *command, const struct origin *origin)
{
	struct audit_entry *entry = command->in_audit;

	entry->seq = origin->seq;
	entry->at_ms = origin->time_ms;
	TAILQ_INSERT_TAIL(&audit->entries, entry, link);
	if (command->in_done == NULL)
		return;
	note(command->in_done, origin);
	keep(audit, command->in_done);
	dirty_mark(&audit->dirty_done, &command->in_done->row);
	trim(audit, origin->time_ms);
}

const struct done_command *ledger_find_command(
	const struct ledger *ledger, const char *actor, const char *key)
{
	char text[2 * NAME_MAX_BYTES + 2];
	size_t actor_len = strnlen(actor, NAME_MAX_BYTES);
	size_t key_bytes = strnlen(key, NAME_MAX_BYTES);
	struct done_command *done;

	memcpy(text, actor, actor_len);
	text[actor_len] = '\0';
	memcpy(text + actor_len + 1, key, key_bytes);
	HASH_FIND(hh, ledger->audit.by_key, text, actor_len + 1 + key_bytes, done);
	return done;
}

int ledger_load_command(
	struct ledger *ledger, const struct command *command, const struct origin *origin)
{
	struct done_command *done = done_command_new(command);

	if (done == NULL)
		return ERR_NOMEM;
	note(done, origin);
	keep(&ledger->audit, done);
	return 0;
}

void audit_init(struct audit *audit)
{
	TAILQ_INIT(&audit->entries);
	TAILQ_INIT(&audit->done);
	dirty_init(&audit->dirty_done);
}

static void free_entries(struct audit_list *entries)
{
	struct audit_entry *entry;

	while ((entry = TAILQ_FIRST(entries)) != NULL) {
		TAILQ_REMOVE(entries, entry, link);
		free(entry);
	}
}

void audit_done(struct audit *audit)
{
	struct done_command *done;

	free_entries(&audit->entries);
	HASH_CLEAR(hh, audit->by_key);
	while ((done = TAILQ_FIRST(&audit->done)) != NULL) {
		TAILQ_REMOVE(&audit->done, done, link);
		free(done);
	}
}

/* The rows of audit: the cut owns them, until they are committed. */

static bool is_dirty(const struct ledger *ledger)
{
	return !TAILQ_EMPTY(&ledger->audit.entries);
}

static int reserve(const struct ledger *ledger, struct cut *cut)
{
	(void)ledger;
	TAILQ_INIT(&cut->audit);
	return 0;
}

static void move(struct ledger *ledger, struct cut *cut)
{
	TAILQ_CONCAT(&cut->audit, &ledger->audit.entries, link);
}

static void done(struct cut *cut)
{
	free_entries(&cut->audit);
}

const struct row_kind *audit_rows(void)
{
	static const struct row_kind kind = {is_dirty, reserve, move, NULL, done};

	return &kind;
}

/* The rows of commands */

static bool is_done_dirty(const struct ledger *ledger)
{
	return ledger->audit.dirty_done.n > 0;
}

static int reserve_done(const struct ledger *ledger, struct cut *cut)
{
	cut->commands =
		calloc(ledger->audit.dirty_done.n + 1, sizeof(struct done_command *));
	return cut->commands != NULL ? 0 : ERR_NOMEM;
}

static void move_done(struct ledger *ledger, struct cut *cut)
{
	struct row *row;

	while ((row = dirty_take(&ledger->audit.dirty_done)) != NULL) {
		struct done_command *moved = ROW_OF(struct done_command, row);

		moved->is_in_cut = true;
		cut->commands[cut->n_commands++] = moved;
	}
}

static void done_committed(struct ledger *ledger, struct cut *cut)
{
	(void)ledger;
	for (size_t i = 0; i < cut->n_commands; i++)
		cut->commands[i]->is_in_cut = false;
}

static void done_done(struct cut *cut)
{
	free(cut->commands);
}

const struct row_kind *done_command_rows(void)
{
	static const struct row_kind kind = {
		is_done_dirty, reserve_done, move_done, done_committed, done_done};

	return &kind;
}
