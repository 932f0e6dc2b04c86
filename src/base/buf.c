/* SPDX-License-Identifier: Apache-2.0 */

#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

#define BUF_FIRST_CAPACITY 64u
#define BUF_READ_SIZE 16384u

void buf_fini(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){ .limit = buf->limit };
}

void buf_clear(struct buf *buf)
{
    buf->size = 0;
    buf->is_full = false;
}

int buf_reserve(struct buf *buf, size_t size)
{
    size_t needed;
    if (__builtin_add_overflow(buf->size, size, &needed))
        return BUF_FULL;
    if (buf->limit && needed > buf->limit)
        return BUF_FULL;
    if (needed <= buf->capacity)
        return 0;

    size_t capacity = buf->capacity ? buf->capacity : BUF_FIRST_CAPACITY;
    while (capacity < needed)
        capacity *= 2;
    buf->data = mem_resize(buf->data, capacity, 1);
    buf->capacity = capacity;
    return 0;
}

int buf_append(struct buf *buf, struct span bytes)
{
    int r = buf_reserve(buf, bytes.size);
    if (r)
        return r;

    if (bytes.size)
        memcpy(buf->data + buf->size, bytes.data, bytes.size);
    buf->size += bytes.size;
    return 0;
}

void buf_consume(struct buf *buf, size_t size)
{
    buf->size -= size;
    if (buf->size)
        memmove(buf->data, buf->data + size, buf->size);
}

int buf_read_all(struct buf *buf, int fd)
{
    for (;;) {
        char chunk[BUF_READ_SIZE];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_origin(-errno);
        if (n == 0)
            return 0;

        int r = buf_append(buf, (struct span){ chunk, (size_t)n });
        if (r)
            return r;
    }
}

void buf_put(struct buf *buf, struct span bytes)
{
    if (!buf->is_full && buf_append(buf, bytes) == BUF_FULL)
        buf->is_full = true;
}

void buf_puts(struct buf *buf, const char *text)
{
    buf_put(buf, span_of(text));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (size < 0)
        return;
    if ((size_t)size < sizeof(text)) {
        buf_put(buf, (struct span){ text, (size_t)size });
        return;
    }

    char *longer = NULL;
    va_start(args, format);
    size = vasprintf(&longer, format, args);
    va_end(args);
    if (size < 0)
        mem_exhausted(0);
    buf_put(buf, (struct span){ longer, (size_t)size });
    free(longer);
}

char *buf_take_text(struct buf *buf)
{
    char *text = mem_resize(buf->data, buf->size + 1, 1);
    text[buf->size] = '\0';
    *buf = (struct buf){ .limit = buf->limit };
    return text;
}
