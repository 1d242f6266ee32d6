/* Telling systemd, if it started us, how far we are: sd_notify(3), without its library.
 */
#ifndef TALLYD_APP_NOTIFY_H
#define TALLYD_APP_NOTIFY_H

/* Sends e.g. "READY=1" to the socket in NOTIFY_SOCKET; nothing happens where there is
 * none. */
void notify_systemd(const char *state);

#endif
