/* Paths of the API: names in them come from people and are percent-encoded. */
#ifndef TALLYD_CTL_PATH_H
#define TALLYD_CTL_PATH_H

/* `before`, then `name` percent-encoded but for RFC 3986's unreserved characters, then
 * `after`. **Returns owned.** */
char *path_make(const char *before, const char *name, const char *after);

#endif
