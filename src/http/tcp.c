/*
 * What TCP knows of a connection. In a file of its own: linux/tcp.h has the counters that
 * glibc 2.36 lacks, and cannot be included beside netinet/tcp.h, which uv.h brings.
 */
#include "http/tcp.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* The kernel's states, as in its net/tcp_states.h; glibc's header has them, see above. */
enum {
	STATE_ESTABLISHED = 1,
	STATE_TIME_WAIT = 6,
	STATE_CLOSE,
	STATE_CLOSE_WAIT,
	STATE_LAST_ACK,
	STATE_CLOSING = 11,
};

bool tcp_look(int fd, struct tcp_view *ret_view)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return false;
	*ret_view = (struct tcp_view){.received = info.tcpi_bytes_received,
		.written = info.tcpi_bytes_sent - info.tcpi_bytes_retrans +
			info.tcpi_notsent_bytes,
		.acked = info.tcpi_bytes_acked,
		.is_open = info.tcpi_state == STATE_ESTABLISHED,
		.has_peer_ended = (info.tcpi_state >= STATE_TIME_WAIT &&
					  info.tcpi_state <= STATE_LAST_ACK) ||
			info.tcpi_state == STATE_CLOSING,
		.is_over = info.tcpi_state == STATE_CLOSE};
	return true;
}
