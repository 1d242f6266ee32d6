/*
 * Files of our own, in folders where whoever has the right may have put something else: a
 * FIFO, which would make us wait for ever, a folder, a device.
 */
#ifndef TALLYD_BASE_FILE_H
#define TALLYD_BASE_FILE_H

#include <sys/types.h>

/* As openat(), of a regular file: no link is followed, nothing is waited for, and the
 * descriptor is not inherited. `mode` is for O_CREAT. -1 with errno; EINVAL: it is no
 * regular file. */
int file_open(int dir_fd, const char *name, int flags, mode_t mode);

/* What stands there and is no regular file, as "a FIFO", "a symbolic link"; NULL: such a
 * file does, or nothing, or it cannot be looked at. */
const char *file_strange(int dir_fd, const char *name);

#endif
