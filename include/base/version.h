/* The version of both programs. */
#ifndef TALLYD_BASE_VERSION_H
#define TALLYD_BASE_VERSION_H

#define TALLYD_VERSION "0.1.0"

#endif
