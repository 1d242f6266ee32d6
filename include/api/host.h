/*
 * Whether a request's Host is a name of ours. A page whose name its owner lets resolve to
 * 127.0.0.1 (DNS rebinding) reaches us from a browser, and is to it the same site.
 */
#ifndef TALLYD_API_HOST_H
#define TALLYD_API_HOST_H

#include <stdbool.h>

/*
 * True for a loopback name or address, `own_ip` ("": unknown), an address of the comma
 * list `listen`, and a name of the comma list `hostnames`, each whatever the port.
 */
bool host_is_ours(
	const char *host, const char *own_ip, const char *listen, const char *hostnames);

#endif
