#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * CRC-32C (Castagnoli; RFC 3720, appendix B.4): the checksum of what is stored, and of a PROXY header.
 *
 * Threads: any. Cost: O(size).
 */

#include <stdint.h>

#include "base/span.h"

/* Goes on from `crc`, the result for the bytes before; 0 at the start. */
uint32_t crc32c(uint32_t crc, struct span bytes);
