#include "base/json.h"
#include "base/json_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ESCAPED_NUL "\\u0000"
#define STAND_IN "\\u0001"
#define ESCAPE_BYTES 6

/* cJSON's hooks are for all threads; what they note is each one's own. */
static _Thread_local bool is_short; /* an allocation has failed, nobody has asked since */

static void *allocate(size_t bytes)
{
	void *memory = malloc(bytes);

	if (memory == NULL)
		is_short = true;
	return memory;
}

void json_init(void)
{
	cJSON_Hooks hooks = {allocate, free};

	cJSON_InitHooks(&hooks);
}

bool json_was_short(void)
{
	bool was_short = is_short;

	is_short = false;
	return was_short;
}

char *json_print(const cJSON *json)
{
	char *text = cJSON_PrintUnformatted(json);

	if (!json_was_short())
		return text;
	free(text);
	return NULL;
}

/* A copy in which each escaped NUL is another control character. NULL: none is there, or,
 * noted, memory is short. */
static char *mask_nul(const char *body, size_t len)
{
	char *copy;

	if (memmem(body, len, ESCAPED_NUL, ESCAPE_BYTES) == NULL)
		return NULL;
	copy = allocate(len);
	if (copy == NULL)
		return NULL;
	memcpy(copy, body, len);
	for (size_t i = 0; i + ESCAPE_BYTES <= len; i++) {
		if (copy[i] != '\\')
			continue;
		if (memcmp(copy + i, ESCAPED_NUL, ESCAPE_BYTES) == 0)
			memcpy(copy + i, STAND_IN, ESCAPE_BYTES);
		i++; /* what a backslash escapes is no backslash of its own */
	}
	return copy;
}

static cJSON *parse_whole(const char *body, size_t len)
{
	const char *end = NULL;
	cJSON *document;

	if (memchr(body, '\0', len) != NULL)
		return NULL;
	document = cJSON_ParseWithLengthOpts(body, len, &end, 0);
	if (document == NULL)
		return NULL;
	for (; end < body + len; end++) {
		if (*end != ' ' && *end != '\t' && *end != '\r' && *end != '\n') {
			cJSON_Delete(document);
			return NULL;
		}
	}
	return document;
}

int json_parse(const char *body, size_t len, cJSON **ret_document)
{
	cJSON *document = NULL;
	char *copy;

	if (json_text_is_dense(body, len))
		return ERR_JSON_DENSE;
	(void)json_was_short(); /* of what was built before */
	copy = mask_nul(body, len);
	if (!is_short)
		document = parse_whole(copy != NULL ? copy : body, len);
	free(copy);
	if (document == NULL)
		return json_was_short() ? ERR_NOMEM : ERR_JSON;
	*ret_document = document;
	return 0;
}

const cJSON *json_member(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNull(item) ? NULL : item;
}

void json_add_to_array(cJSON *array, cJSON *item)
{
	if (!cJSON_AddItemToArray(array, item))
		cJSON_Delete(item);
}

bool json_add_u64(cJSON *object, const char *name, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return cJSON_AddRawToObject(object, name, text) != NULL;
}

void json_add_decimal(cJSON *object, const char *name, double value)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%.10g", round(value * 1000) / 1000);
	(void)cJSON_AddRawToObject(object, name, text);
}
