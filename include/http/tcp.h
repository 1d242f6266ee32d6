/* What the kernel's TCP can tell of a connection (tcp(7), TCP_INFO). */
#ifndef TALLYD_HTTP_TCP_H
#define TALLYD_HTTP_TCP_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_view {
	uint64_t received; /* bytes, also those not read yet; a FIN counts as one */
	uint64_t written;  /* bytes that it was given to send, whatever became of them */
	uint64_t acked;    /* of them, and our own FIN as one */
	bool is_open;      /* neither side has ended it */
	bool has_peer_ended; /* its FIN or a reset has come */
	bool is_over;        /* both sides have ended it, or it was reset */
};

/* False if `fd` is not TCP. */
bool tcp_look(int fd, struct tcp_view *ret_view);

#endif
