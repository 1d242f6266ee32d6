/* What looks wrong, as status and nodes show it. */
#ifndef TALLYD_API_SUSPICIONS_H
#define TALLYD_API_SUSPICIONS_H

#include "account/ledger.h"
#include "api/json.h"

/* The member `suspicions` of `object`: those of the node, or all (NULL). */
void suspicions_add(cJSON *object, struct ledger *ledger, const char *node);

#endif
