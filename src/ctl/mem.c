#include "ctl/mem.h"
#include "base/err.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_exit(void *memory)
{
	if (memory == NULL) {
		(void)fputs(
			"tallyctl: out of memory\n", stderr); /* nothing is left to do */
		exit(EXIT_SOFTWARE);
	}
	return memory;
}

void *mem_alloc(size_t bytes)
{
	return or_exit(malloc(bytes > 0 ? bytes : 1));
}

void *mem_resize(void *old, size_t bytes)
{
	return or_exit(realloc(old, bytes > 0 ? bytes : 1));
}

char *mem_copy(const char *text)
{
	return or_exit(strdup(text));
}

char *mem_vformat(const char *format, va_list args)
{
	char *text = NULL;
	int len = vasprintf(&text, format, args);

	return or_exit(len < 0 ? NULL : text);
}

char *mem_format(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = mem_vformat(format, args);
	va_end(args);
	return text;
}

void mem_init_json(void)
{
	cJSON_Hooks hooks = {mem_alloc, free};

	cJSON_InitHooks(&hooks);
}
