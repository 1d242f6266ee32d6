#include "journal/command_record.h"
#include "base/limits.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_STATUS 599 /* of HTTP */
#define NODE_IS_ENABLED 0x01
#define NODE_HAS_SECRET 0x02
#define NODE_HAS_OLD_SECRET 0x04

static void encode_node(const struct effect *effect, struct buf *out)
{
	const struct node_kept *kept = &effect->kept;
	unsigned flags = (kept->is_enabled ? NODE_IS_ENABLED : 0) |
		(kept->has_secret ? NODE_HAS_SECRET : 0) |
		(kept->old_until_ms != 0 ? NODE_HAS_OLD_SECRET : 0);

	buf_put_u8(out, (uint8_t)flags);
	buf_put_u8(out, (uint8_t)kept->counters);
	buf_put_varint(out, kept->created_ms);
	buf_put_varint(out, kept->deleted_ms);
	buf_put_str(out, kept->note);
	if (kept->has_secret)
		buf_put(out, kept->secret, NODE_HASH_BYTES);
	if (kept->old_until_ms != 0) {
		buf_put_varint(out, kept->old_until_ms);
		buf_put(out, kept->old_secret, NODE_HASH_BYTES);
	}
}

/* What is shown to people, and to readers of JSON (rule 6). */
static const char *read_clean(struct reader *r)
{
	const char *text = reader_str(r);

	if (!text_is_clean(text, strlen(text)))
		r->ok = false;
	return text;
}

static void decode_hash(struct reader *r, uint8_t ret_hash[NODE_HASH_BYTES])
{
	const uint8_t *hash = reader_bytes(r, NODE_HASH_BYTES);

	if (hash != NULL)
		memcpy(ret_hash, hash, NODE_HASH_BYTES);
}

static void decode_node(struct reader *r, struct effect *effect)
{
	struct node_kept *kept = &effect->kept;
	unsigned flags = reader_u8(r), counters = reader_u8(r);

	*kept = (struct node_kept){.is_enabled = (flags & NODE_IS_ENABLED) != 0,
		.has_secret = (flags & NODE_HAS_SECRET) != 0,
		.counters = (enum node_counters)counters};
	if (counters > NODE_COUNTERS_CUMULATIVE)
		r->ok = false;
	kept->created_ms = reader_varint(r);
	kept->deleted_ms = reader_varint(r);
	if (snprintf(kept->note, sizeof(kept->note), "%s", read_clean(r)) >=
		(int)sizeof(kept->note))
		r->ok = false;
	if (kept->has_secret)
		decode_hash(r, kept->secret);
	if ((flags & NODE_HAS_OLD_SECRET) != 0) {
		kept->old_until_ms = reader_varint(r);
		decode_hash(r, kept->old_secret);
	}
	if (kept->created_ms > TIME_MAX_MS || kept->deleted_ms > TIME_MAX_MS ||
		kept->old_until_ms > TIME_MAX_MS)
		r->ok = false;
}

static void encode_open(const struct effect *effect, struct buf *out)
{
	buf_put_u8(out, effect->is_open);
}

static void decode_open(struct reader *r, struct effect *effect)
{
	effect->is_open = reader_u8(r) != 0;
}

/* What a kind of effect has beside its node; NULL: nothing. */
struct coding {
	void (*encode)(const struct effect *effect, struct buf *out);
	void (*decode)(struct reader *r, struct effect *effect);
};

static const struct coding codings[] = {
	[EFFECT_NODE] = {encode_node, decode_node},
	[EFFECT_FORGET_MARKS] = {NULL, NULL},
	[EFFECT_FORGET_NODE] = {NULL, NULL},
	[EFFECT_OPEN] = {encode_open, decode_open},
};

#define N_CODINGS (sizeof(codings) / sizeof(codings[0]))

void command_encode(const struct command *command, struct buf *out)
{
	buf_put_str(out, command->key);
	buf_put_str(out, command->actor);
	buf_put_str(out, command->verb);
	buf_put_str(out, command->subject);
	buf_put_str(out, command->arguments);
	buf_put_str(out, command->before);
	buf_put_str(out, command->after);
	buf_put_str(out, command->reason);
	buf_put_varint(out, command->status);
	buf_put_str(out, command->answer);
	buf_put_varint(out, command->n_effects);
	for (size_t i = 0; i < command->n_effects; i++) {
		const struct effect *effect = &command->effects[i];

		buf_put_u8(out, (uint8_t)effect->kind);
		buf_put_str(out, effect->node);
		if (codings[effect->kind].encode != NULL)
			codings[effect->kind].encode(effect, out);
	}
}

static void decode_effect(struct reader *r, struct effect *effect)
{
	unsigned kind = reader_u8(r);

	if (kind == 0 || kind >= N_CODINGS) {
		r->ok = false;
		return;
	}
	effect->kind = (enum effect_kind)kind;
	effect->node = read_clean(r);
	if (strlen(effect->node) > NAME_MAX_BYTES)
		r->ok = false;
	if (codings[kind].decode != NULL)
		codings[kind].decode(r, effect);
}

static void decode_texts(struct reader *r, struct command *command)
{
	uint64_t status;

	command->key = read_clean(r);
	command->actor = read_clean(r);
	command->verb = read_clean(r);
	command->subject = read_clean(r);
	command->arguments = reader_str(r);
	command->before = reader_str(r);
	command->after = reader_str(r);
	command->reason = read_clean(r);
	status = reader_varint(r);
	if (status > MAX_STATUS)
		r->ok = false;
	command->status = (unsigned)status;
	command->answer = reader_str(r);
}

int command_decode(struct reader *r, struct command **ret_command)
{
	struct command *command = calloc(1, sizeof(*command));
	uint64_t n;

	if (command == NULL)
		return ERR_NOMEM;
	decode_texts(r, command);
	n = reader_varint(r);
	/* An effect takes at least three bytes, so a count that promises more is a lie.
	 */
	if (!r->ok || n > (size_t)(r->end - r->at) / 3) {
		command_free(command);
		return ERR_JOURNAL_CORRUPT;
	}
	command->effects = calloc((size_t)n + 1, sizeof(*command->effects));
	if (command->effects == NULL) {
		command_free(command);
		return ERR_NOMEM;
	}
	for (; command->n_effects < n && r->ok; command->n_effects++)
		decode_effect(r, &command->effects[command->n_effects]);
	if (!r->ok || r->at != r->end) {
		command_free(command);
		return ERR_JOURNAL_CORRUPT;
	}
	*ret_command = command;
	return 0;
}

void command_free(struct command *command)
{
	if (command == NULL)
		return;
	free(command->effects);
	free(command);
}
