#include "ctl/member.h"
#include "ctl/mem.h"

#include <stddef.h>
#include <stdlib.h>

const char *member_text(const cJSON *object, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

bool member_u64(const cJSON *object, const char *name, uint64_t *ret_value)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	if (!cJSON_IsNumber(item))
		return false;
	if (!(item->valuedouble >= 0)) /* NaN too */
		*ret_value = 0;
	else if (item->valuedouble >= 0x1p64)
		*ret_value = UINT64_MAX;
	else
		*ret_value = (uint64_t)item->valuedouble;
	return true;
}

uint64_t member_u64_or_0(const cJSON *object, const char *name)
{
	uint64_t value = 0;

	(void)member_u64(object, name, &value);
	return value;
}

bool member_bool(const cJSON *object, const char *name, bool *ret_value)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	if (!cJSON_IsBool(item))
		return false;
	*ret_value = cJSON_IsTrue(item);
	return true;
}

bool member_is_true(const cJSON *object, const char *name)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

char *member_texts(const cJSON *object, const char *name)
{
	const cJSON *item;
	char *texts = mem_copy("");

	cJSON_ArrayForEach (item, cJSON_GetObjectItemCaseSensitive(object, name)) {
		const char *text = cJSON_GetStringValue(item);
		char *longer;

		if (text == NULL)
			continue;
		longer = mem_format("%s%s%s", texts, texts[0] != '\0' ? ", " : "", text);
		free(texts);
		texts = longer;
	}
	return texts;
}

const cJSON *member_object(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsObject(item) ? item : NULL;
}
