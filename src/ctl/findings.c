#include "ctl/findings.h"
#include "ctl/mem.h"
#include "ctl/member.h"
#include "ctl/path.h"
#include "ctl/term.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const level_names[] = {"ok", "warning", "problem"};

static bool is_of_level(const cJSON *finding, enum level level)
{
	const char *name = member_text(finding, "level");

	return name != NULL && strcmp(name, level_names[level]) == 0;
}

static bool is_same(const cJSON *finding, const char *member, const char *text)
{
	const char *theirs = member_text(finding, member);

	return theirs != NULL && strcmp(theirs, text) == 0;
}

static bool has(const cJSON *findings, const char *member, const char *text)
{
	const cJSON *finding;

	cJSON_ArrayForEach (finding, findings) {
		if (is_same(finding, member, text))
			return true;
	}
	return false;
}

cJSON *finding_add(cJSON *findings, enum level level, const char *code, char *sentence)
{
	cJSON *finding = NULL;

	if (!has(findings, "sentence", sentence)) {
		finding = cJSON_CreateObject(); /* memory: see mem.h */
		(void)cJSON_AddStringToObject(finding, "level", level_names[level]);
		(void)cJSON_AddStringToObject(finding, "code", code);
		(void)cJSON_AddStringToObject(finding, "sentence", sentence);
		(void)cJSON_AddArrayToObject(finding, "change");
		(void)cJSON_AddItemToArray(findings, finding);
	}
	free(sentence);
	return finding;
}

void finding_change(cJSON *finding, const char *format, ...)
{
	va_list args;
	char *line;

	if (finding == NULL)
		return;
	va_start(args, format);
	line = mem_vformat(format, args);
	va_end(args);
	(void)cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(finding, "change"),
		cJSON_CreateString(line));
	free(line);
}

/* A name as one word of a shell. **Returns owned.** */
static char *shell_word(const char *name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	char *word, *out;

	if (name[0] != '\0' && name[0] != '-' && name[strspn(name, plain)] == '\0')
		return mem_copy(name);
	word = mem_alloc(4 * strlen(name) + 3);
	out = stpcpy(word, "'");
	for (; *name != '\0'; name++) {
		if (*name == '\'')
			out = stpcpy(out, "'\\''");
		else
			*out++ = *name;
	}
	(void)strcpy(out, "'");
	return word;
}

void finding_change_command(cJSON *finding, const char *line, const char *node)
{
	const char *hole = strstr(line, "NODE");
	char *word = shell_word(node);

	finding_change(finding, "%.*s%s%s", (int)(hole - line), line, word, hole + 4);
	free(word);
}

void finding_change_addr(cJSON *finding, const char *node)
{
	char *encoded = path_make("", node, "");

	finding_change(finding, "addr: http://%s:SECRET@HOST:PORT/observer", encoded);
	free(encoded);
}

void finding_take(cJSON *findings, cJSON *finding)
{
	const char *sentence = member_text(finding, "sentence");
	bool has_level = false;

	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
		has_level = has_level || is_of_level(finding, (enum level)i);
	if (has_level && sentence != NULL && member_text(finding, "code") != NULL)
		(void)cJSON_AddItemToArray(findings, finding);
	else
		cJSON_Delete(finding);
}

bool findings_has(const cJSON *findings, const char *code)
{
	return has(findings, "code", code);
}

void findings_move(cJSON *findings, const char *code, cJSON *to)
{
	cJSON *finding = findings->child, *next;

	for (; finding != NULL; finding = next) {
		next = finding->next;
		if (code == NULL || is_same(finding, "code", code))
			(void)cJSON_AddItemToArray(
				to, cJSON_DetachItemViaPointer(findings, finding));
	}
}

size_t findings_count(const cJSON *findings, enum level level)
{
	const cJSON *finding;
	size_t n = 0;

	cJSON_ArrayForEach (finding, findings) {
		n += is_of_level(finding, level);
	}
	return n;
}

static void print_lines(const cJSON *lines, const char *before, FILE *out)
{
	const cJSON *line;

	cJSON_ArrayForEach (line, lines) {
		char *safe = term_safe(cJSON_IsString(line) ? line->valuestring : "?");

		(void)fprintf(out, "%s%s\n", before, safe); /* see findings_print() */
		free(safe);
	}
}

void findings_print(const cJSON *findings, enum level level, FILE *out)
{
	const cJSON *finding;

	cJSON_ArrayForEach (finding, findings) {
		char *safe;

		if (!is_of_level(finding, level))
			continue;
		safe = term_safe(member_text(finding, "sentence"));
		/* looked at with ferror() at the end */
		(void)fprintf(out, "%s: %s\n", level_names[level], safe);
		free(safe);
		print_lines(
			cJSON_GetObjectItemCaseSensitive(finding, "log"), "  | ", out);
		print_lines(
			cJSON_GetObjectItemCaseSensitive(finding, "change"), "    ", out);
		if (level != LEVEL_OK)
			(void)fputc('\n', out);
	}
}
