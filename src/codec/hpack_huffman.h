#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B), one way: we only read it.
 * Private to codec.
 */

#include "base/compiler.h"
#include "base/span.h"

/* No code is shorter than five bits. */
#define HPACK_HUFFMAN_BOUND(size) ((size)*8 / 5)

/* Writes at most HPACK_HUFFMAN_BOUND(text.size) bytes and returns the end of them, or NULL when the
 * text has EOS in it or does not end as it must. */
char *hpack_huffman_decode(struct span text, char *out) MUST_CHECK;
