/* Memory for a program that does one thing and ends: without it, exit code 70. */
#ifndef TALLYD_CTL_MEM_H
#define TALLYD_CTL_MEM_H

#include <stdarg.h>
#include <stddef.h>

/* Never NULL; **returns owned**, to be freed with free(). */
void *mem_alloc(size_t bytes);
void *mem_resize(void *old, size_t bytes);
char *mem_copy(const char *text);
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *mem_vformat(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/* From now on cJSON allocates the same way, so that no member of a body can go missing.
 */
void mem_init_json(void);

#endif
