#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A growable byte buffer with a hard limit.
 *
 *   struct buf text = { .limit = 4096 };   zero is a valid empty buffer, limit 0 = no limit
 *
 * Growing past the limit is the answer BUF_FULL and changes nothing. The writers without
 * MUST_CHECK are for text of our own making: past the limit they set `is_full`, once and for all,
 * and the caller asks at the end.
 *
 * Owns:  its bytes. Cost: appending is amortised O(1).
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/span.h"

struct buf {
    char *data;
    size_t size, capacity, limit;
    bool is_full;
};

enum buf_answer {
    BUF_OK,
    BUF_FULL, /* the limit is reached */
};

void buf_fini(struct buf *buf);

/* Empties it and keeps the memory. */
void buf_clear(struct buf *buf);

static inline struct span buf_span(const struct buf *buf)
{
    return (struct span){ buf->data, buf->size };
}

/* Room for `size` more bytes behind data + size. Answers: BUF_FULL. */
int buf_reserve(struct buf *buf, size_t size) MUST_CHECK;

/* Answers: BUF_FULL. */
int buf_append(struct buf *buf, struct span bytes) MUST_CHECK;

/* Removes `size` bytes from the front. O(n): for buffers that are emptied in few steps. */
void buf_consume(struct buf *buf, size_t size);

/* Reads the descriptor to its end. Answers: BUF_FULL. */
int buf_read_all(struct buf *buf, int fd) MUST_CHECK;

void buf_put(struct buf *buf, struct span bytes);
void buf_puts(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

/* The text with a NUL behind it, given away; the buffer is empty after. */
char *buf_take_text(struct buf *buf);
