/*
 * CRC-32C (Castagnoli), as in RFC 3720 appendix B.4: what guards each journal record.
 * Debian's library for it is C++; these 40 lines keep libstdc++ out of the process.
 */
#ifndef TALLYD_BASE_CRC32C_H
#define TALLYD_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of `bytes`; chain by passing an earlier result as `crc`, else 0. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t len);

#endif
