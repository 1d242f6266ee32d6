/* What the kernel's TCP can tell of a connection (tcp(7), TCP_INFO). */
#ifndef TALLYD_HTTP_TCP_H
#define TALLYD_HTTP_TCP_H

#include <stdint.h>

/* Bytes received so far, also those not read yet; 0 if `fd` is not TCP. */
uint64_t tcp_received_bytes(int fd);

#endif
