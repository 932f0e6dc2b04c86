#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The header of the PROXY protocol, version 2 (HAProxy's proxy-protocol.txt, section 2.2): whom a
 * load balancer connects for, told in front of everything else.
 *
 *   0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A | version and command | family | size, 2 B | addresses, TLVs
 *
 * Version 1, a line of text, is refused: who speaks it speaks version 2 as well, and a listener
 * that guessed could be told anything.
 *
 * Threads: any. No allocation.
 */

#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

#define PROXY_HEADER_START 16u /* bytes that tell how many follow */
#define PROXY_HEADER_MAX 4096u /* of all of it; certificates do not belong here */

enum proxy_family {
    PROXY_NOBODY, /* a check of the balancer's own, or a family that we do not know */
    PROXY_IPV4,
    PROXY_IPV6,
    PROXY_UNIX,
};

struct proxy_header {
    enum proxy_family family;
    struct span source; /* 4 or 16 bytes, in network order; empty without a family of these */
    uint16_t source_port;
};

enum proxy_answer {
    PROXY_OK,
    PROXY_BAD,
};

/* The size of the whole header, from its first PROXY_HEADER_START bytes. Answers: PROXY_BAD, where
 * it is none of version 2, or too long. */
int proxy_header_size(struct span start, size_t *ret_size) MUST_CHECK;

/* The whole header. The checksum is verified where there is one. Answers: PROXY_BAD. */
int proxy_header_decode(struct span header, struct proxy_header *ret_header) MUST_CHECK;
