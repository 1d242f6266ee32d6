/* --dump-journal: each record as a line of JSON. */
#include "account/node_json.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "journal/fold.h"
#include "pipeline/recover.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void add_proved(cJSON *line, const struct origin *origin)
{
	cJSON *array = cJSON_AddArrayToObject(line, "proved");
	char text[24];

	for (size_t i = 0; i < origin->n_proved; i++) {
		(void)snprintf(text, sizeof(text), "%" PRIu64, origin->proved[i]);
		json_add_to_array(array, cJSON_CreateRaw(text));
	}
}

static void add_mark(cJSON *booking, const struct mark *mark)
{
	cJSON *object = cJSON_AddObjectToObject(booking, "mark");

	json_add_u64(object, "inputBytes", mark->input_bytes);
	json_add_u64(object, "outputBytes", mark->output_bytes);
	json_add_u64(object, "totalConns", mark->total_conns);
	json_add_u64(object, "epoch", mark->epoch);
}

static void add_booking(cJSON *array, const struct booking *booking)
{
	cJSON *object = cJSON_CreateObject();

	(void)cJSON_AddStringToObject(
		object, "kind", booking->kind == KIND_SERVICE ? "service" : "handler");
	(void)cJSON_AddStringToObject(object, "service", booking->service);
	if (booking->client[0] != '\0')
		(void)cJSON_AddStringToObject(object, "client", booking->client);
	if (booking->state[0] != '\0') {
		(void)cJSON_AddStringToObject(object, "state", booking->state);
	} else {
		json_add_u64(object, "inputBytes", booking->counters.input_bytes);
		json_add_u64(object, "outputBytes", booking->counters.output_bytes);
		json_add_u64(object, "totalConns", booking->counters.total_conns);
		json_add_u64(object, "currentConns", booking->counters.current_conns);
		json_add_u64(object, "totalErrs", booking->counters.total_errs);
	}
	if (booking->has_mark)
		add_mark(object, &booking->mark);
	json_add_to_array(array, object);
}

static void add_report(cJSON *line, const struct record *record)
{
	char fingerprint[2 * FINGERPRINT_BYTES + 1];
	cJSON *bookings;

	for (size_t i = 0; i < FINGERPRINT_BYTES; i++)
		(void)sprintf(fingerprint + 2 * i, "%02x", record->origin.fingerprint[i]);
	json_add_u64(line, "connection", record->origin.conn);
	(void)cJSON_AddStringToObject(line, "fingerprint", fingerprint);
	(void)cJSON_AddStringToObject(line, "node", record->node);
	if (record->origin.repeats != 0)
		json_add_u64(line, "repeats", record->origin.repeats);
	if (record->origin.n_proved > 0)
		add_proved(line, &record->origin);
	bookings = cJSON_AddArrayToObject(line, "bookings");
	for (size_t i = 0; i < record->bookings.n && record->origin.repeats == 0; i++)
		add_booking(bookings, &record->bookings.list[i]);
}

static void add_effect(cJSON *array, const struct effect *effect)
{
	static const char *const names[] = {[EFFECT_NODE] = "node",
		[EFFECT_FORGET_MARKS] = "forgetMarks",
		[EFFECT_FORGET_NODE] = "forgetNode",
		[EFFECT_OPEN] = "open"};
	cJSON *object = cJSON_CreateObject(), *node;

	(void)cJSON_AddStringToObject(object, "effect", names[effect->kind]);
	if (effect->node[0] != '\0')
		(void)cJSON_AddStringToObject(object, "node", effect->node);
	if (effect->kind == EFFECT_NODE) {
		node = node_to_json(effect->node, &effect->kept);
		if (!cJSON_AddItemToObject(object, "sets", node))
			cJSON_Delete(node);
	} else if (effect->kind == EFFECT_OPEN) {
		(void)cJSON_AddBoolToObject(object, "open", effect->is_open);
	}
	json_add_to_array(array, object);
}

/* As cJSON prints it, which is how tallyd has written it: cJSON reads much else. */
static bool is_json(const char *text)
{
	cJSON *json = cJSON_Parse(text);
	char *again = json != NULL ? cJSON_PrintUnformatted(json) : NULL;
	bool is_same = again != NULL && strcmp(again, text) == 0;

	cJSON_Delete(json);
	cJSON_free(again);
	return is_same && text_is_clean(text, strlen(text));
}

/* Texts that are JSON are shown as such. */
static void add_json(cJSON *object, const char *name, const char *text)
{
	if (is_json(text))
		(void)cJSON_AddRawToObject(object, name, text);
	else if (text[0] != '\0')
		(void)cJSON_AddStringToObject(object, name, text);
}

static void add_command(cJSON *line, const struct command *command)
{
	cJSON *effects;

	(void)cJSON_AddStringToObject(line, "verb", command->verb);
	(void)cJSON_AddStringToObject(line, "actor", command->actor);
	(void)cJSON_AddStringToObject(line, "subject", command->subject);
	if (command->key[0] != '\0')
		(void)cJSON_AddStringToObject(line, "key", command->key);
	add_json(line, "arguments", command->arguments);
	if (command->reason[0] != '\0')
		(void)cJSON_AddStringToObject(line, "reason", command->reason);
	add_json(line, "answer", command->answer);
	effects = cJSON_AddArrayToObject(line, "effects");
	for (size_t i = 0; i < command->n_effects; i++)
		add_effect(effects, &command->effects[i]);
}

static int dump_record(void *arg, struct record *record)
{
	cJSON *line = cJSON_CreateObject();
	char *text;

	json_add_u64(line, "seq", record->origin.seq);
	json_add_u64(line, "syncedSeq", record->synced_seq);
	json_add_u64(line, "time", record->origin.time_ms);
	if (record->command != NULL)
		add_command(line, record->command);
	else
		add_report(line, record);
	text = json_print(line);
	cJSON_Delete(line);
	if (text == NULL)
		return ERR_NOMEM;
	text_make_clean(text, strlen(text)); /* a record may hold what no tallyd writes */
	(void)fprintf(arg, "%s\n", text);    /* looked at with ferror() at the end */
	free(text);
	return 0;
}

int recover_dump(int dir_fd, FILE *out, struct errmsg *ret_msg)
{
	struct fold_options options = {.shows_all = true};
	struct fold_result result;
	int code = journal_fold(dir_fd, &options, dump_record, out, &result, ret_msg);

	if (code == 0 && (fflush(out) != 0 || ferror(out)))
		return err_set(
			ret_msg, ERR_JOURNAL_IO, "the output cannot be written: %m");
	if (code == 0 && result.n_lost > 0)
		log_warn("parts of the journal cannot be read",
			"places=%zu last_place=%s", result.n_lost,
			LOG_QUOTE(result.remark.text));
	return code;
}
