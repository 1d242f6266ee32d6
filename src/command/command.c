/*
 * One struct waiting per command that is applied and not yet on disk, in one queue by
 * sequence. A repetition of a key waits there too, for the sequence of the first.
 */
#include "command/command.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "command/verb.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define MAX_REASON_BYTES 500
#define TICK_MS UINT64_C(3600000)

/* A repetition may be older than what waits, so the queue is not sorted; it is short. */
struct waiting {
	uint64_t seq;
	unsigned status;
	char *json;
	command_done_cb on_done;
	void *arg;
	TAILQ_ENTRY(waiting) link;
};

struct commands {
	struct command_parts parts;
	enum counter_mode counters;
	uint64_t secret_grace_ms;
	TAILQ_HEAD(, waiting) queue;
	uv_prepare_t end_of_turn;
	uv_timer_t tick;
	unsigned n_open_handles;
	bool is_stopping;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

void commands_set_secret_grace(struct commands *commands, uint64_t ms)
{
	commands->secret_grace_ms = ms;
}

void commands_set_counters(struct commands *commands, enum counter_mode counters)
{
	commands->counters = counters;
}

static void waiting_free(struct waiting *waiting)
{
	if (waiting == NULL)
		return;
	if (waiting->json != NULL) /* it may hold a secret */
		explicit_bzero(waiting->json, strlen(waiting->json));
	free(waiting->json);
	free(waiting);
}

static void advance(struct commands *commands)
{
	struct waiting *waiting, *next;
	struct journal_stats journal;

	journal_get_stats(commands->parts.journal, &journal);
	for (waiting = TAILQ_FIRST(&commands->queue); waiting != NULL; waiting = next) {
		next = TAILQ_NEXT(waiting, link);
		if (waiting->seq > journal.synced_seq)
			continue;
		TAILQ_REMOVE(&commands->queue, waiting, link);
		waiting->on_done(waiting->arg, waiting->status, waiting->json);
		waiting_free(waiting);
	}
}

static void on_end_of_turn(uv_prepare_t *prepare)
{
	struct commands *commands = prepare->data;

	if (!TAILQ_EMPTY(&commands->queue))
		advance(commands);
}

/* Has it answered when `seq` is synced. Takes the waiting. */
static void wait_for(struct commands *commands, struct waiting *waiting, uint64_t seq)
{
	waiting->seq = seq;
	TAILQ_INSERT_TAIL(&commands->queue, waiting, link);
	journal_want_sync(commands->parts.journal);
}

/* "" for NULL. NULL: memory is short. */
static char *print(const cJSON *json)
{
	return json != NULL ? json_print(json) : strdup("");
}

/* An unknown member would be taken for nothing, in silence; so would a second one of a
 * name. */
static int check_members(const cJSON *arguments, const char *members, struct errmsg *msg)
{
	const cJSON *item;

	cJSON_ArrayForEach (item, arguments) {
		const char *name = item->string;

		if (strcmp(name, "reason") != 0 && text_index_in(members, name) < 0)
			return err_set(msg, ERR_PARAM,
				"there is no member `%.64s` here; there are: %s%sreason",
				name, members, members[0] != '\0' ? "," : "");
		if (cJSON_GetObjectItemCaseSensitive(arguments, name) != item)
			return err_set(
				msg, ERR_PARAM, "the member `%s` is there twice", name);
	}
	return 0;
}

/* An empty body is an object without members. The document is the caller's. */
static int read_arguments(
	const struct command_request *request, cJSON **ret_arguments, struct errmsg *msg)
{
	cJSON *arguments = NULL;
	const char *body = request->len > 0 ? request->body : "{}";
	int code = json_parse(body, request->len > 0 ? request->len : 2, &arguments);

	if (code != 0)
		return err_set(msg, code, "%s", err_text(code));
	if (!cJSON_IsObject(arguments))
		code = err_set(msg, ERR_JSON, "the body is not a JSON object");
	else
		code = check_members(arguments, request->verb->members, msg);
	if (code != 0)
		cJSON_Delete(arguments);
	else
		*ret_arguments = arguments;
	return code;
}

/* What the record tells of the arguments: all but a secret. NULL: memory is short. */
static char *print_arguments(cJSON *arguments)
{
	cJSON *masked;

	if (cJSON_GetObjectItemCaseSensitive(arguments, "secret") == NULL)
		return print(arguments);
	masked = cJSON_CreateString("***");
	if (masked == NULL ||
		!cJSON_ReplaceItemInObjectCaseSensitive(arguments, "secret", masked)) {
		cJSON_Delete(masked);
		return NULL;
	}
	return print(arguments);
}

static void act_done(struct act *act)
{
	cJSON_Delete(act->before);
	cJSON_Delete(act->after);
	cJSON_Delete(act->answer);
	cJSON_Delete(act->answer_once);
}

/* The texts of the record, owned. */
struct texts {
	char *arguments, *before, *after, *answer;
};

static void texts_done(struct texts *texts)
{
	free(texts->arguments);
	free(texts->before);
	free(texts->after);
	free(texts->answer);
}

/* Offline there is no journal: the sequence goes on all the same. */
static int append(struct commands *commands, struct record *record)
{
	if (commands->parts.journal != NULL)
		return journal_append(commands->parts.journal, record);
	record->origin.seq = ledger_seq(commands->parts.ledger) + 1;
	return 0;
}

static int write_and_apply(
	struct commands *commands, struct command *command, struct origin *origin)
{
	struct record record = {.origin = *origin, .command = command};
	int code = ledger_prepare_command(commands->parts.ledger, command);

	if (code == 0)
		code = append(commands, &record);
	if (code == 0)
		ledger_apply_command(commands->parts.ledger, command, &record.origin);
	else
		ledger_forget_command(command);
	*origin = record.origin;
	return code;
}

static void log_done(const struct command *command, uint64_t seq)
{
	log_info("command", "verb=%s subject=%s actor=%s seq=%" PRIu64, command->verb,
		LOG_QUOTE(command->subject), LOG_QUOTE(command->actor), seq);
}

/* From checked effects to a record that is applied, and an answer that waits. */
static int carry_out(struct commands *commands, const struct command_request *request,
	struct act *act, cJSON *arguments, struct origin *origin, struct waiting *waiting)
{
	struct texts texts = {.before = print(act->before),
		.after = print(act->after),
		.answer = print(act->answer)};
	struct command command = {.key = request->key,
		.actor = request->actor,
		.verb = request->verb->name,
		.subject = act->subject_made[0] != '\0' ? act->subject_made
							: request->subject,
		.status = act->status,
		.effects = act->effects,
		.n_effects = act->n_effects};
	int code = act_text(act, "reason", MAX_REASON_BYTES, &command.reason);

	waiting->status = act->status;
	waiting->json = print(act->answer_once != NULL ? act->answer_once : act->answer);
	texts.arguments = print_arguments(arguments);
	command.arguments = texts.arguments;
	command.before = texts.before;
	command.after = texts.after;
	command.answer = texts.answer;
	if (code == 0 &&
		(texts.arguments == NULL || texts.before == NULL || texts.after == NULL ||
			texts.answer == NULL || waiting->json == NULL))
		code = ERR_NOMEM;
	if (code == 0)
		code = write_and_apply(commands, &command, origin);
	if (code == 0)
		log_done(&command, origin->seq);
	texts_done(&texts);
	return code;
}

static int check_and_carry_out(struct commands *commands,
	const struct command_request *request, struct origin *origin,
	struct waiting *waiting, struct errmsg *msg)
{
	cJSON *arguments = NULL;
	struct act act = {.ledger = commands->parts.ledger,
		.observer_host = commands->parts.observer_host,
		.counters = commands->counters,
		.secret_grace_ms = commands->secret_grace_ms,
		.now_ms = origin->time_ms,
		.subject = request->subject,
		.status = 200,
		.msg = msg};
	int code = read_arguments(request, &arguments, msg);

	if (code != 0)
		return code;
	act.arguments = arguments;
	code = request->verb->check(&act);
	if (code == 0 && (act.is_short || json_was_short()))
		code = err_set(msg, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	if (code == 0) {
		(void)err_set(msg, 0, "%s", "");
		code = carry_out(commands, request, &act, arguments, origin, waiting);
		if (code != 0 && msg->text[0] == '\0')
			(void)err_set(msg, code, "%s", err_text(code));
	}
	act_done(&act);
	cJSON_Delete(arguments);
	return code;
}

/* Of verb, subject and body: the same key may not ask for something else. */
static void digest_of(const struct commands *commands,
	const struct command_request *request, uint8_t ret_digest[FINGERPRINT_BYTES])
{
	crypto_generichash_state state;

	/* None of these can fail with these lengths. */
	(void)crypto_generichash_init(
		&state, commands->parts.digest_key, COMMAND_KEY_BYTES, FINGERPRINT_BYTES);
	(void)crypto_generichash_update(&state,
		(const unsigned char *)request->verb->name,
		strlen(request->verb->name) + 1);
	(void)crypto_generichash_update(&state, (const unsigned char *)request->subject,
		strlen(request->subject) + 1);
	(void)crypto_generichash_update(
		&state, (const unsigned char *)request->body, request->len);
	(void)crypto_generichash_final(&state, ret_digest, FINGERPRINT_BYTES);
}

static int check_key(const char *key, struct errmsg *msg)
{
	if (strlen(key) > COMMAND_KEY_MAX_BYTES || !text_is_clean(key, strlen(key)))
		return err_set(msg, ERR_PARAM,
			"Idempotency-Key is not 1 to %d bytes of UTF-8 without control "
			"characters",
			COMMAND_KEY_MAX_BYTES);
	return 0;
}

/* It was done before: as the first was answered. */
static int repeat(struct commands *commands, const struct done_command *done,
	const struct origin *origin, struct waiting *waiting, struct errmsg *msg)
{
	if (memcmp(done->digest, origin->fingerprint, FINGERPRINT_BYTES) != 0)
		return err_set(msg, ERR_KEY_REUSED,
			"this Idempotency-Key was used for another request; take a new "
			"one");
	waiting->json = strdup(done->answer);
	waiting->status = done->status;
	if (waiting->json == NULL)
		return err_set(msg, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	wait_for(commands, waiting, done->seq);
	return 0;
}

/* NULL: it is new, has no key, or its key is too old to be remembered. */
static const struct done_command *find_done(const struct commands *commands,
	const struct command_request *request, uint64_t now_ms)
{
	const struct done_command *done = request->key[0] != '\0'
		? ledger_find_command(
			  commands->parts.ledger, request->actor, request->key)
		: NULL;

	return done != NULL && done->at_ms + COMMANDS_KEPT_MS >= now_ms ? done : NULL;
}

int commands_submit(struct commands *commands, const struct command_request *request,
	command_done_cb on_done, void *arg, struct errmsg *ret_msg)
{
	const struct done_command *done = NULL;
	struct origin origin = {.time_ms = clock_wall_ms()};
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	int code = waiting == NULL ? ERR_NOMEM : 0;

	if (code == 0 && commands->is_stopping)
		code = ERR_STOPPING;
	if (code != 0) {
		free(waiting);
		return err_set(ret_msg, code, "%s", err_text(code));
	}
	waiting->on_done = on_done;
	waiting->arg = arg;
	digest_of(commands, request, origin.fingerprint);
	code = check_key(request->key, ret_msg);
	if (code == 0)
		done = find_done(commands, request, origin.time_ms);
	if (done != NULL) {
		code = repeat(commands, done, &origin, waiting, ret_msg);
	} else if (code == 0) {
		code = check_and_carry_out(commands, request, &origin, waiting, ret_msg);
		if (code == 0)
			wait_for(commands, waiting, origin.seq);
	}
	if (code != 0)
		waiting_free(waiting);
	return code;
}

static void nobody_waits(void *arg, unsigned status, const char *json)
{
	(void)arg;
	(void)status;
	(void)json;
}

/* For what nobody waits for: the clock, and the start. */
static int do_unasked(struct commands *commands, const struct verb *verb,
	const char *actor, const char *subject, const char *body, struct errmsg *ret_msg)
{
	struct command_request request = {verb, actor, "", subject, body, strlen(body)};

	return commands_submit(commands, &request, nobody_waits, NULL, ret_msg);
}

/* A deleted node has been kept for long enough. A slice at a time is not needed: there
 * are few. */
static void on_tick(uv_timer_t *timer)
{
	struct commands *commands = timer->data;
	const struct ledger *ledger = commands->parts.ledger;
	uint64_t now = clock_wall_ms();
	const struct node *node = ledger_next_node(ledger, NULL);
	struct errmsg msg;

	for (; node != NULL; node = ledger_next_node(ledger, node))
		if (node->kept.deleted_ms != 0 &&
			node->kept.deleted_ms + NODE_KEPT_MS <= now &&
			do_unasked(commands, verb_find("node.forget"), "clock",
				node->name, "", &msg) != 0)
			log_limited(LOG_WARN, "a deleted node cannot be forgotten yet",
				"node=%s reason=%s", LOG_QUOTE(node->name),
				LOG_QUOTE(msg.text));
}

struct commands *commands_new(uv_loop_t *loop, const struct command_parts *parts)
{
	struct commands *commands = calloc(1, sizeof(*commands));

	if (commands == NULL)
		return NULL;
	commands->parts = *parts;
	TAILQ_INIT(&commands->queue);
	/* None of these can fail: a start only for a NULL callback. */
	(void)uv_prepare_init(loop, &commands->end_of_turn);
	(void)uv_timer_init(loop, &commands->tick);
	commands->end_of_turn.data = commands->tick.data = commands;
	commands->n_open_handles = 2;
	(void)uv_prepare_start(&commands->end_of_turn, on_end_of_turn);
	(void)uv_timer_start(&commands->tick, on_tick, 0, TICK_MS);
	return commands;
}

int commands_first_node(struct commands *commands, const char *name, const char *secret,
	struct errmsg *ret_msg)
{
	cJSON *arguments = cJSON_CreateObject();
	char *body = NULL;
	int code = ERR_NOMEM;

	if (cJSON_AddStringToObject(arguments, "name", name) != NULL &&
		cJSON_AddStringToObject(arguments, "secret", secret) != NULL)
		body = print(arguments);
	if (body != NULL) {
		code = do_unasked(
			commands, verb_find("node.first"), "start", "", body, ret_msg);
		explicit_bzero(body, strlen(body));
	}
	free(body);
	cJSON_Delete(arguments);
	return body != NULL ? code : err_set(ret_msg, code, "%s", err_text(code));
}

int command_do_offline(struct ledger *ledger, const struct command_request *given,
	struct errmsg *ret_msg)
{
	struct commands commands = {.parts = {.ledger = ledger, .observer_host = ""}};
	struct command_request request = *given;
	struct origin origin = {.time_ms = clock_wall_ms()};
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	int code = ERR_NOMEM;

	if (waiting == NULL)
		return err_set(ret_msg, code, "%s", err_text(code));
	request.actor = "command line";
	request.key = "";
	digest_of(&commands, &request, origin.fingerprint);
	code = check_and_carry_out(&commands, &request, &origin, waiting, ret_msg);
	waiting_free(waiting);
	return code;
}

void commands_stop(struct commands *commands)
{
	commands->is_stopping = true;
}

static void forget_waiting(struct commands *commands)
{
	struct waiting *waiting;

	while ((waiting = TAILQ_FIRST(&commands->queue)) != NULL) {
		TAILQ_REMOVE(&commands->queue, waiting, link);
		waiting_free(waiting);
	}
}

static void finish_close(uv_handle_t *handle)
{
	struct commands *commands = handle->data;

	commands->n_open_handles--;
	if (commands->n_open_handles == 0)
		commands->on_closed(commands->on_closed_arg);
}

void commands_close(struct commands *commands, void (*on_closed)(void *arg), void *arg)
{
	commands->on_closed = on_closed;
	commands->on_closed_arg = arg;
	forget_waiting(commands);
	uv_close((uv_handle_t *)&commands->end_of_turn, finish_close);
	uv_close((uv_handle_t *)&commands->tick, finish_close);
}

void commands_free(struct commands *commands)
{
	if (commands == NULL)
		return;
	forget_waiting(commands);
	free(commands);
}
