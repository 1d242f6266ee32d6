/* What is known of an answer: whether it has arrived. */
#ifndef TALLYD_BASE_DELIVERY_H
#define TALLYD_BASE_DELIVERY_H

#include <stdint.h>

/* LOST: it has not arrived and cannot any more, or who could know has gone. */
enum delivery { DELIVERY_UNDECIDED, DELIVERY_ARRIVED, DELIVERY_LOST };

/* Looks at the answer to what that connection brought last. */
typedef enum delivery (*delivery_cb)(void *arg, uint64_t connection);

#endif
