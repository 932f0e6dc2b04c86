#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The fields of HTTP/2 as bytes and back: HPACK (RFC 7541).
 *
 * Each direction of a connection has a table of fields that both ends keep alike, so every block
 * must be decoded whole and in order, whatever becomes of its stream, and what was put must be
 * sent. What a field may say is the caller's to know; whatever the two ends would read differently
 * ends the connection (HPACK_BROKEN, COMPRESSION_ERROR).
 *
 * What is put is never Huffman-coded: it would save few bytes on links inside a data centre and
 * cost both ends several instructions for each. What comes in may be.
 *
 * Owns:     the tables' memory, none before the first field goes into them; at most about three
 *           times the table's size, and what the longest Huffman-coded field of a block needs.
 * Borrows:  nothing past a call.
 * Threads:  none of its own.
 * Cost:     O(bytes of the field). However many fields the tables hold, finding one is O(1).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"
#include "codec/hpack_table.h"

/* What a table may hold at most, for either side of this. */
#define HPACK_TABLE_MAX 65535u

/* --- in --- */

struct hpack_field {
    struct span name, value; /* the name may have capitals, and either may have any byte at all */

    /* The first entry of the static table (RFC 7541 appendix A) that has this name, however the name
     * was written; 0 when none has. It saves the caller from comparing names. */
    uint8_t static_name;

    /* What hpack_know() was told of this name and value; else 0. */
    uint8_t known;
    bool is_never_indexed; /* whoever passes it on must keep it so */
};

/* Zeroed it holds no memory, but is of no use before hpack_decoder_init(). */
struct hpack_decoder {
    struct hpack_table table;
    uint8_t *known; /* where hpack_know() writes */
    uint32_t limit; /* of what the peer may make of the table's size */
    uint8_t n_updates;
    bool is_inside;                           /* a block was begun with a field */
    uint8_t known_static[HPACK_N_STATIC + 1]; /* [0] is for what is in no table */
};

/* `max_table_size` is what our SETTINGS_HEADER_TABLE_SIZE says, 4,096 to HPACK_TABLE_MAX: peers go
 * by the former until they have seen it. */
void hpack_decoder_init(struct hpack_decoder *decoder, uint32_t max_table_size);
void hpack_decoder_fini(struct hpack_decoder *decoder);

enum hpack_answer {
    HPACK_FIELD,
    HPACK_END,    /* of the block; the next call begins another */
    HPACK_BROKEN, /* from now on nothing can be decoded */
};

/* Takes one field off a whole block (HEADERS and its CONTINUATIONs, joined). Its spans are good
 * until the next call, or the block goes. */
int hpack_next(struct hpack_decoder *decoder, struct span *block, struct hpack_field *ret_field)
    MUST_CHECK;

/* The caller has looked at the bytes of the field that came last, and remembers this of them, not 0:
 * it comes back with each later field that refers to the same entry of a table. Only what follows
 * from name and value alone is worth remembering. */
static inline void hpack_know(struct hpack_decoder *decoder, uint8_t what)
{
    *decoder->known = what;
}

/* --- out --- */

enum hpack_indexing {
    HPACK_INDEXED, /* by what was there before, or so that it may be referred to, if it is worth it */
    HPACK_LITERAL, /* it lies in no table */
    HPACK_NEVER,   /* and nobody behind the peer may put it into one: secrets, whose guesses the
                      size of what is sent would confirm */
};

struct hpack_encoder {
    struct hpack_table table;
    struct hpack_index *index; /* NULL until something is indexed */
    uint32_t limit;            /* of what we make of the table's size */
    uint32_t lowest;           /* size since the last block */
    uint16_t last;             /* number of the entry that was put or referred to last */
    uint16_t line;             /* of the line that was put last */
    bool has_update;
};

/* `max_table_size` is what we are willing to use, at most HPACK_TABLE_MAX. */
void hpack_encoder_init(struct hpack_encoder *encoder, uint32_t max_table_size);
void hpack_encoder_fini(struct hpack_encoder *encoder);

/* The peer's SETTINGS_HEADER_TABLE_SIZE, once it is acknowledged. The next block says what was made
 * of it. */
void hpack_encoder_allow(struct hpack_encoder *encoder, uint32_t size);

/* The most that one field, and the beginning of a block, take. */
#define HPACK_FIELD_BOUND(name_size, value_size) ((name_size) + (value_size) + 18u)
#define HPACK_BEGIN_BOUND 12u

/* A block is made by one hpack_begin() and any number of puts; each writes at `at` and returns the
 * end of what it wrote. What was put into the table must reach the peer: look at all the fields of
 * a message before the first of them is put. */
char *hpack_begin(struct hpack_encoder *encoder, char *at) MUST_CHECK;

/* `name` in small letters. Both at most HPACK_STRING_MAX bytes. */
char *hpack_put(struct hpack_encoder *encoder, char *at, struct span name, struct span value,
                enum hpack_indexing how) MUST_CHECK;

#define HPACK_STRING_MAX ((size_t)1 << 28)

/* A line of HTTP/1.1, "name: value" CR LF, as a field. One that is found was put before in the very
 * same bytes: what was looked at then need not be looked at again. */
struct hpack_line {
    struct span name, value;
    uint16_t slot;   /* where it is noted once it is put */
    uint16_t number; /* of the entry */
    bool is_found;
};

#define HPACK_NO_SLOT UINT16_MAX /* for a field that was no line */

/* Whether the first of some lines is the one that followed `after`, the line that was found last in
 * this message, or NULL, the last time. */
bool hpack_guess_line(const struct hpack_encoder *encoder, const struct hpack_line *after,
                      struct span lines, struct hpack_line *ret_line) MUST_CHECK;

/* Whether that line, of which all else is filled in, lies in the table. */
bool hpack_find_line(const struct hpack_encoder *encoder, struct span line,
                     struct hpack_line *ret_line) MUST_CHECK;

/* As hpack_put() with HPACK_INDEXED, also when the entry has gone meanwhile. */
char *hpack_put_line(struct hpack_encoder *encoder, char *at, const struct hpack_line *line)
    MUST_CHECK;

/* A field that is in the static table as it is: the cheapest of all. */
enum hpack_static_field {
    HPACK_NO_FIELD = 0,
    HPACK_METHOD_GET = 2,
    HPACK_METHOD_POST = 3,
    HPACK_PATH_SLASH = 4,
    HPACK_SCHEME_HTTP = 6,
    HPACK_SCHEME_HTTPS = 7,
    HPACK_STATUS_200 = 8,
    HPACK_STATUS_204 = 9,
    HPACK_STATUS_206 = 10,
    HPACK_STATUS_304 = 11,
    HPACK_STATUS_400 = 12,
    HPACK_STATUS_404 = 13,
    HPACK_STATUS_500 = 14,
};

static inline char *hpack_put_static(char *at, enum hpack_static_field field)
{
    *at++ = (char)(0x80u | field);
    return at;
}
