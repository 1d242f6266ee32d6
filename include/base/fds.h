/*
 * Descriptors 0, 1 and 2. If one is closed at the start, the next file or socket that is
 * opened takes its number, and what is meant for stderr is written into that.
 */
#ifndef TALLYD_BASE_FDS_H
#define TALLYD_BASE_FDS_H

/* Has those that are closed lead to /dev/null, for the wrong direction: reading and
 * writing fail as they do on a closed one. The first thing in main(). */
void fds_open_standard(void);

#endif
