#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Memory for nghttp2, which allocates a few small objects for every stream: blocks of a few sizes
 * that are kept for the next one when they are given back.
 *
 * Owns:     the blocks that are free. Those in use must be back before http2_slab_fini().
 * Threads:  none of its own.
 * Cost:     a few instructions, and the system's allocator when there is no free block.
 */

#include <nghttp2/nghttp2.h>

#define SLAB_CLASSES 7u /* 64 bytes to 4 KiB, each twice the one before */

struct slab_block;

struct http2_slab {
    nghttp2_mem mem; /* to give to nghttp2 */
    struct slab_block *first[SLAB_CLASSES];
    unsigned n[SLAB_CLASSES];
    size_t n_used; /* bytes in use, of all sizes */
};

void http2_slab_init(struct http2_slab *slab);
void http2_slab_fini(struct http2_slab *slab);
