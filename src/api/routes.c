#include "api/api.h"

#include <stddef.h>

const struct http_route *api_routes(void)
{
	static const struct http_route routes[] = {
		{"POST", "/observer", api_observer, 0},
		{"GET", "/throttle-sync-status", api_status, HTTP_LOCAL_ONLY},
		{"POST", "/force-sync", api_force_sync, HTTP_LOCAL_ONLY | HTTP_MAY_WAIT},
		{"GET", "/users/{}/traffic", api_user_traffic, HTTP_LOCAL_ONLY},
		{"GET", "/livez", api_livez, 0},
		{"GET", "/healthz", api_livez, 0},
		{"GET", "/readyz", api_readyz, 0},
		{"GET", "/version", api_version, HTTP_LOCAL_ONLY},
		{NULL, NULL, NULL, 0},
	};

	return routes;
}
