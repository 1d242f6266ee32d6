/*
 * A host called two-addresses, which has ::1 and, behind it, 127.0.0.1: what localhost is
 * on many machines. Preloaded (ld.so(8)).
 */
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
	struct addrinfo **ret_list)
{
	__typeof__(&getaddrinfo) real =
		(__typeof__(&getaddrinfo))dlsym(RTLD_NEXT, "getaddrinfo");
	int code;

	if (node == NULL || strcmp(node, "two-addresses") != 0)
		return real(node, service, hints, ret_list);
	code = real("::1", service, hints, ret_list);
	return code != 0 ? code
			 : real("127.0.0.1", service, hints, &(*ret_list)->ai_next);
}
