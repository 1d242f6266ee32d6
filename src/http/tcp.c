/*
 * What TCP knows of a connection. In a file of its own: linux/tcp.h has the counters that
 * glibc 2.36 lacks, and cannot be included beside netinet/tcp.h, which uv.h brings.
 */
#include "http/tcp.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

uint64_t tcp_received_bytes(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return 0;
	return info.tcpi_bytes_received;
}
