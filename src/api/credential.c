#include "api/credential.h"
#include "base/text.h"

#include <sodium.h>
#include <string.h>
#include <strings.h>

const char *credential_of_scheme(const char *header, const char *scheme, size_t *ret_len)
{
	size_t n = strlen(scheme), len;

	if (strncasecmp(header, scheme, n) != 0 ||
		(header[n] != ' ' && header[n] != '\t'))
		return NULL;
	header += n;
	header += strspn(header, " \t");
	len = strlen(header);
	while (len > 0 && (header[len - 1] == ' ' || header[len - 1] == '\t'))
		len--;
	*ret_len = len;
	return header;
}

/* Into credential->text; false if it is of no known scheme, too long, or no base64. */
static bool decode(const char *header, struct credential *credential)
{
	size_t len;
	const char *value = credential_of_scheme(header, "Basic", &len);

	if (value != NULL)
		return len <= CREDENTIAL_MAX_BYTES &&
			sodium_base642bin((unsigned char *)credential->text,
				CREDENTIAL_MAX_BYTES, value, len, NULL, &credential->len,
				NULL, sodium_base64_VARIANT_ORIGINAL) == 0;
	value = credential_of_scheme(header, "Bearer", &len);
	if (value == NULL || len > CREDENTIAL_MAX_BYTES)
		return false;
	memcpy(credential->text, value, len);
	credential->len = len;
	return true;
}

static bool split(struct credential *credential)
{
	char *colon = memchr(credential->text, ':', credential->len);

	credential->text[credential->len] = '\0';
	if (colon == NULL || colon == credential->text ||
		!text_is_clean(credential->text, credential->len))
		return false;
	*colon = '\0';
	credential->name = credential->text;
	credential->secret = colon + 1;
	credential->secret_len = credential->len - (size_t)(colon + 1 - credential->text);
	return credential->secret_len > 0 && text_is_name(credential->name);
}

bool credential_parse(const char *header, struct credential *ret_credential)
{
	ret_credential->len = 0;
	if (decode(header, ret_credential) && split(ret_credential))
		return true;
	sodium_memzero(ret_credential->text, sizeof(ret_credential->text));
	return false;
}

void credential_wipe(struct credential *credential)
{
	sodium_memzero(credential->text, credential->len + 1);
}
