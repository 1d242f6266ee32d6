#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ESCAPED_NUL "\\u0000"
#define ESCAPE_BYTES 6

/* What a document may become in memory: of GOST's it is some 8 times its length. One of
 * the shortest values, 1,1,1, would be 40 times, and a body is large already. */
#define TIMES_ITS_LENGTH 16
#define DOCUMENT_BYTES 65536 /* and that, for the short ones */
#define ALLOCATION_BYTES 16  /* what each costs besides */

/* cJSON's hooks are for all threads; what they note is each one's own. */
static _Thread_local bool is_short; /* an allocation has failed, nobody has asked since */
static _Thread_local bool is_dense; /* ... since the document may take no more */
static _Thread_local size_t room_bytes = SIZE_MAX;

static void *allocate(size_t bytes)
{
	void *memory;

	if (bytes > room_bytes || room_bytes - bytes < ALLOCATION_BYTES) {
		is_dense = true;
		return NULL;
	}
	if (room_bytes != SIZE_MAX)
		room_bytes -= bytes + ALLOCATION_BYTES;
	memory = malloc(bytes);
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

static void put_escape(char ret_escape[ESCAPE_BYTES + 1], char c)
{
	(void)snprintf(ret_escape, ESCAPE_BYTES + 1, "\\u00%02x", (unsigned)(c & 0x1f));
}

/* What a backslash escapes is no backslash of its own. */
static void swap_escapes(char *text, size_t len, const char *from, const char *to)
{
	for (size_t i = 0; i + ESCAPE_BYTES <= len; i++) {
		if (text[i] != '\\')
			continue;
		if (memcmp(text + i, from, ESCAPE_BYTES) == 0)
			memcpy(text + i, to, ESCAPE_BYTES);
		i++;
	}
}

/* A control character that is not in the body; if all are, the first. Of those whose
 * escape has no letters, so that it can be written in one way only. */
static char find_stand_in(const char *body, size_t len)
{
	static const char candidates[] = {1, 2, 3, 4, 5, 6, 7, 0x10, 0x11, 0x12, 0x13,
		0x14, 0x15, 0x16, 0x17, 0x18, 0x19};
	char escape[ESCAPE_BYTES + 1];

	for (size_t i = 0; i < sizeof(candidates); i++) {
		put_escape(escape, candidates[i]);
		if (memchr(body, candidates[i], len) == NULL &&
			memmem(body, len, escape, ESCAPE_BYTES) == NULL)
			return candidates[i];
	}
	return candidates[0];
}

/* A copy in which each escaped NUL is an escaped *ret_nul. NULL: none is there, or,
 * noted, memory is short. */
static char *mask_nul(const char *body, size_t len, char *ret_nul)
{
	char escape[ESCAPE_BYTES + 1];
	char *copy;

	*ret_nul = 0;
	if (memmem(body, len, ESCAPED_NUL, ESCAPE_BYTES) == NULL)
		return NULL;
	copy = allocate(len);
	if (copy == NULL)
		return NULL;
	memcpy(copy, body, len);
	*ret_nul = find_stand_in(body, len);
	put_escape(escape, *ret_nul);
	swap_escapes(copy, len, ESCAPED_NUL, escape);
	return copy;
}

void json_show_nul(char *text, char nul)
{
	char escape[ESCAPE_BYTES + 1];

	if (nul == 0)
		return;
	put_escape(escape, nul);
	swap_escapes(text, strlen(text), escape, ESCAPED_NUL);
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

int json_parse(const char *body, size_t len, cJSON **ret_document, char *ret_nul)
{
	cJSON *document = NULL;
	char *copy, nul;

	(void)json_was_short(); /* of what was built before */
	copy = mask_nul(body, len, &nul);
	is_dense = false;
	room_bytes = TIMES_ITS_LENGTH * len + DOCUMENT_BYTES;
	if (!is_short)
		document = parse_whole(copy != NULL ? copy : body, len);
	room_bytes = SIZE_MAX;
	free(copy);
	if (document == NULL && is_dense)
		return ERR_JSON_DENSE;
	if (document == NULL)
		return json_was_short() ? ERR_NOMEM : ERR_JSON;
	*ret_document = document;
	if (ret_nul != NULL)
		*ret_nul = nul;
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
