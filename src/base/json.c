#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A copy in which each escaped NUL is an escaped U+0001. NULL: none is there, or
 * *ret_failed. */
static char *unmask_escaped_nul(const char *body, size_t len, bool *ret_failed)
{
	char *copy;

	*ret_failed = false;
	if (memmem(body, len, "\\u0000", 6) == NULL)
		return NULL;
	copy = malloc(len);
	if (copy == NULL) {
		*ret_failed = true;
		return NULL;
	}
	memcpy(copy, body, len);
	for (size_t i = 0; i + 6 <= len; i++) {
		if (copy[i] != '\\')
			continue;
		if (memcmp(copy + i, "\\u0000", 6) == 0)
			copy[i + 5] = '1';
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
	bool has_failed;
	char *copy = unmask_escaped_nul(body, len, &has_failed);
	cJSON *document;

	if (has_failed)
		return ERR_NOMEM;
	document = parse_whole(copy != NULL ? copy : body, len);
	free(copy);
	if (document == NULL)
		return ERR_JSON;
	*ret_document = document;
	return 0;
}

const cJSON *json_member(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNull(item) ? NULL : item;
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
