/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/escape.h"
#include "codec/http1.h"
#include "codec/http1_scan.h"

/*
 * One byte moves the machine one step, so it does not matter where reads split the framing; data
 * and trailers are passed on in spans.
 *
 *   SIZE -> SIZE_MORE -> (EXTENSION_WAIT -> EXTENSION ->) SIZE_LF -> DATA -> DATA_CR -> DATA_LF -+
 *    ^                                                      |                                    |
 *    +------------------------------------------------------|------------------------------------+
 *                                                           | size 0
 *                        END <- END_LF <--- no trailers --- LAST
 *                         ^                                 |
 *                         |                                 v
 *                         +-- TRAILER_END_LF <- TRAILER -> NAME -> VALUE -> TRAILER_LF -+
 *                                                  ^                                    |
 *                                                  +------------------------------------+
 */
enum state {
    CHUNK_SIZE, /* zero: where a new decoder starts */
    CHUNK_SIZE_MORE,
    CHUNK_EXTENSION_WAIT, /* white space behind the size: a ";" must follow */
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_LAST, /* behind the line of the last chunk */
    CHUNK_END_LF,
    CHUNK_TRAILER, /* at the start of a line */
    CHUNK_TRAILER_NAME,
    CHUNK_TRAILER_VALUE,
    CHUNK_TRAILER_LF,
    CHUNK_TRAILER_END_LF,
    CHUNK_END,
    CHUNK_BAD,
};

#define MAX_OVERHEAD 16384u
#define MAX_CHUNK_SIZE ((uint64_t)INT64_MAX)

/* Bytes of framing are a debt that data pays back twice over: a stream may carry an extension with
 * each chunk for ever, but not be made of extensions. */
static bool add_overhead(struct http1_chunked *chunked)
{
    return ++chunked->overhead <= MAX_OVERHEAD;
}

static void pay_overhead(struct http1_chunked *chunked, uint64_t size)
{
    chunked->overhead -= size < chunked->overhead / 2 ? (uint32_t)size * 2 : chunked->overhead;
}

static enum state step_size(struct http1_chunked *chunked, char byte)
{
    int digit = hex_digit(byte);
    if (digit >= 0) {
        /* Leading zeros are legal and add nothing; overhead bounds them. */
        if (chunked->left > MAX_CHUNK_SIZE / 16 || !add_overhead(chunked))
            return CHUNK_BAD;
        chunked->left = chunked->left * 16 + (unsigned)digit;
        return CHUNK_SIZE_MORE;
    }
    if (chunked->state == CHUNK_SIZE)
        return CHUNK_BAD;
    if (byte == '\r')
        return CHUNK_SIZE_LF;
    if (byte == ';')
        return CHUNK_EXTENSION;
    return byte_is_blank(byte) ? CHUNK_EXTENSION_WAIT : CHUNK_BAD;
}

/* Text up to the end of the line, of an extension or of a trailer's value. */
static enum state step_text(struct http1_chunked *chunked, char byte, enum state at_cr)
{
    if (byte == '\r')
        return at_cr;
    if (!add_overhead(chunked) || ((uint8_t)byte < 0x20 && byte != '\t') || byte == 0x7f)
        return CHUNK_BAD;
    return (enum state)chunked->state;
}

static enum state step_trailer(struct http1_chunked *chunked, char byte)
{
    if (chunked->state == CHUNK_TRAILER && byte == '\r')
        return CHUNK_TRAILER_END_LF;
    if (chunked->state == CHUNK_TRAILER_NAME && byte == ':')
        return CHUNK_TRAILER_VALUE;
    return byte_is(byte, CLASS_TOKEN) && add_overhead(chunked) ? CHUNK_TRAILER_NAME : CHUNK_BAD;
}

static enum state step(struct http1_chunked *chunked, char byte)
{
    switch ((enum state)chunked->state) {
    case CHUNK_SIZE:
    case CHUNK_SIZE_MORE: return step_size(chunked, byte);
    case CHUNK_EXTENSION_WAIT:
        if (byte == ';')
            return CHUNK_EXTENSION;
        return byte_is_blank(byte) && add_overhead(chunked) ? CHUNK_EXTENSION_WAIT : CHUNK_BAD;
    case CHUNK_EXTENSION: return step_text(chunked, byte, CHUNK_SIZE_LF);
    case CHUNK_SIZE_LF:
        if (byte != '\n')
            return CHUNK_BAD;
        return chunked->left ? CHUNK_DATA : CHUNK_LAST;
    case CHUNK_DATA_CR: return byte == '\r' ? CHUNK_DATA_LF : CHUNK_BAD;
    case CHUNK_DATA_LF: return byte == '\n' ? CHUNK_SIZE : CHUNK_BAD;
    case CHUNK_LAST: return CHUNK_END_LF; /* a CR: others start the first trailer */
    case CHUNK_TRAILER:
    case CHUNK_TRAILER_NAME: return step_trailer(chunked, byte);
    case CHUNK_TRAILER_VALUE: return step_text(chunked, byte, CHUNK_TRAILER_LF);
    case CHUNK_TRAILER_LF: return byte == '\n' ? CHUNK_TRAILER : CHUNK_BAD;
    case CHUNK_TRAILER_END_LF:
    case CHUNK_END_LF: return byte == '\n' ? CHUNK_END : CHUNK_BAD;
    case CHUNK_DATA:
    case CHUNK_END:
    case CHUNK_BAD: break;
    }
    return CHUNK_BAD;
}

static struct span take_data(struct http1_chunked *chunked, struct span *bytes)
{
    size_t size = bytes->size < chunked->left ? bytes->size : (size_t)chunked->left;
    struct span data = { bytes->data, size };
    bytes->data += size;
    bytes->size -= size;
    chunked->left -= size;
    pay_overhead(chunked, size);
    if (!chunked->left)
        chunked->state = CHUNK_DATA_CR;
    return data;
}

/* One step; false where the wrong byte stays at the front. */
static bool take_byte(struct http1_chunked *chunked, struct span *bytes)
{
    chunked->state = step(chunked, *bytes->data);
    if (chunked->state == CHUNK_BAD)
        return false;
    bytes->data++;
    bytes->size--;
    return true;
}

/* The trailer section as far as `bytes` has it and it is right. */
static struct span take_trailers(struct http1_chunked *chunked, struct span *bytes)
{
    const char *start = bytes->data;
    while (bytes->size && chunked->state < CHUNK_END && take_byte(chunked, bytes))
        ;
    return (struct span){ start, (size_t)(bytes->data - start) };
}

int http1_chunked_decode(struct http1_chunked *chunked, struct span *bytes, struct span *ret_data)
{
    while (chunked->state < CHUNK_END && bytes->size) {
        if (chunked->state == CHUNK_DATA) {
            *ret_data = take_data(chunked, bytes);
            return HTTP1_CHUNK_DATA;
        }
        if (chunked->state == CHUNK_LAST && *bytes->data != '\r')
            chunked->state = CHUNK_TRAILER;
        if (chunked->state >= CHUNK_TRAILER) {
            *ret_data = take_trailers(chunked, bytes);
            if (ret_data->size)
                return HTTP1_CHUNK_TRAILER;
        } else {
            take_byte(chunked, bytes);
        }
    }
    if (chunked->state == CHUNK_BAD)
        return HTTP1_CHUNK_BAD;
    return chunked->state == CHUNK_END ? HTTP1_CHUNK_END : HTTP1_CHUNK_MORE;
}
