/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What has to be written down, because it is to lie in the table or was Huffman-coded, is written
 * behind the table's last entry, where it stays if it becomes one. Everything else is read where it
 * came.
 */

#include "codec/hpack.h"

#include <assert.h>

#include "codec/hpack_bytes.h"
#include "codec/hpack_huffman.h"

#define N_UPDATES_MAX 2u /* the lowest size since the last block, and the last (section 4.2) */

void hpack_decoder_init(struct hpack_decoder *decoder, uint32_t max_table_size)
{
    assert(max_table_size >= HPACK_TABLE_SIZE_FIRST && max_table_size <= HPACK_TABLE_MAX);
    *decoder = (struct hpack_decoder){
        .table.max_size = HPACK_TABLE_SIZE_FIRST,
        .limit = max_table_size,
        .known = decoder->known_static,
    };
}

void hpack_decoder_fini(struct hpack_decoder *decoder)
{
    hpack_table_fini(&decoder->table);
}

/* A number or a string, and where it ends: NULL when it is broken. */
struct number {
    const char *end;
    uint32_t value;
};

struct text {
    const char *end;
    struct span span;
    bool is_coded;
};

/* What follows a prefix of ones (section 5.1). */
RARE static struct number take_more(const char *at, const char *end, uint32_t prefix)
{
    uint64_t sum = prefix;
    for (unsigned shift = 0; at < end && shift <= 28; shift += 7) {
        uint8_t byte = (uint8_t)*at++;
        sum += (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80) && sum <= UINT32_MAX)
            return (struct number){ at, (uint32_t)sum };
    }
    return (struct number){ NULL, 0 };
}

/* There is a byte; `mask` are the bits of the prefix in it. */
static inline struct number take_number(const char *at, const char *end, uint8_t mask)
{
    uint32_t value = (uint8_t)*at++ & mask;
    return likely(value < mask) ? (struct number){ at, value } : take_more(at, end, value);
}

/* Section 5.2. */
static inline struct text take_text(const char *at, const char *end)
{
    if (at == end)
        return (struct text){ .end = NULL };
    struct number size = take_number(at, end, 0x7f);
    if (!size.end || size.value > (size_t)(end - size.end))
        return (struct text){ .end = NULL };
    return (struct text){
        .end = size.end + size.value,
        .span = { size.end, size.value },
        .is_coded = *at & 0x80,
    };
}

/* The dynamic table's entry of an index: the newest is the first behind the static ones. */
static inline struct hpack_entry *entry_of(const struct hpack_table *table, uint32_t index)
{
    return hpack_table_get(table, table->n_ever + HPACK_N_STATIC - index);
}

static inline bool has_entry(const struct hpack_table *table, uint32_t index)
{
    return index - HPACK_N_STATIC - 1 < table->n;
}

static inline int give_indexed(struct hpack_decoder *decoder, uint32_t index,
                               struct hpack_field *ret_field)
{
    const struct hpack_table *table = &decoder->table;
    if (likely(has_entry(table, index))) {
        struct hpack_entry *entry = entry_of(table, index);
        decoder->known = &entry->known;
        *ret_field = (struct hpack_field){
            .name = hpack_entry_name(table, entry),
            .value = hpack_entry_value(table, entry),
            .static_name = entry->static_name,
            .known = entry->known,
        };
        return HPACK_FIELD;
    }
    if (index - 1 >= HPACK_N_STATIC)
        return HPACK_BROKEN;
    decoder->known = &decoder->known_static[index];
    *ret_field = (struct hpack_field){
        .name = hpack_static[index].name,
        .value = hpack_static[index].value,
        .static_name = hpack_static[index].first,
        .known = decoder->known_static[index],
    };
    return HPACK_FIELD;
}

/* A literal. A name that lies in the table moves when room is made. */
struct literal {
    struct text name, value;
    uint32_t index; /* of the name; 0: it is written out */
    uint8_t static_name;
};

static inline struct literal take_literal(const struct hpack_table *table, const char *at,
                                          const char *end, uint8_t mask)
{
    struct number number = take_number(at, end, mask);
    struct literal literal = { .name.end = number.end, .index = number.value };
    if (!number.end)
        return literal;
    uint32_t index = number.value;
    if (!index) {
        literal.name = take_text(number.end, end);
    } else if (index <= HPACK_N_STATIC) {
        literal.name.span = hpack_static[index].name;
        literal.static_name = hpack_static[index].first;
    } else if (likely(has_entry(table, index))) {
        literal.name.span = hpack_entry_name(table, entry_of(table, index));
        literal.static_name = entry_of(table, index)->static_name;
    } else {
        return literal;
    }
    if (literal.name.end)
        literal.value = take_text(literal.name.end, end);
    return literal;
}

static inline size_t bound_of(struct text text)
{
    return text.is_coded ? HPACK_HUFFMAN_BOUND(text.span.size) : text.span.size;
}

/* The text's bytes at `at`; returns their end, or NULL. */
static inline char *write_text(struct text text, char *at)
{
    if (text.is_coded)
        return hpack_huffman_decode(text.span, at);
    return hpack_copy(at, text.span);
}

/* Where the literal is to be written, with room for it. */
static inline char *make_room(struct hpack_table *table, struct literal *literal)
{
    hpack_table_reserve(table, bound_of(literal->name) + bound_of(literal->value));
    if (literal->index > HPACK_N_STATIC)
        literal->name.span = hpack_entry_name(table, entry_of(table, literal->index));
    return table->bytes + table->end;
}

static inline int give_indexing(struct hpack_decoder *decoder, struct literal literal,
                                struct hpack_field *ret_field)
{
    struct hpack_table *table = &decoder->table;
    char *at = make_room(table, &literal);
    char *middle = write_text(literal.name, at);
    char *end = middle ? write_text(literal.value, middle) : NULL;
    if (!end)
        return HPACK_BROKEN;

    struct span name = { at, (size_t)(middle - at) }, value = { middle, (size_t)(end - middle) };
    uint8_t static_name = literal.index ? literal.static_name : hpack_static_find(name);
    struct hpack_entry *entry = hpack_table_add(table, name.size, value.size, 0);
    decoder->known = decoder->known_static;
    if (likely(entry)) {
        entry->static_name = static_name;
        decoder->known = &entry->known;
    }
    *ret_field = (struct hpack_field){ .name = name, .value = value, .static_name = static_name };
    return HPACK_FIELD;
}

static inline int give_literal(struct hpack_decoder *decoder, struct literal literal,
                               struct hpack_field *ret_field)
{
    if (literal.name.is_coded || literal.value.is_coded) {
        char *at = make_room(&decoder->table, &literal);
        char *middle = literal.name.is_coded ? write_text(literal.name, at) : at;
        char *end = middle && literal.value.is_coded ? write_text(literal.value, middle) : middle;
        if (!end)
            return HPACK_BROKEN;
        if (literal.name.is_coded)
            literal.name.span = (struct span){ at, (size_t)(middle - at) };
        if (literal.value.is_coded)
            literal.value.span = (struct span){ middle, (size_t)(end - middle) };
    }
    decoder->known = decoder->known_static;
    *ret_field = (struct hpack_field){
        .name = literal.name.span,
        .value = literal.value.span,
        .static_name = literal.index ? literal.static_name : hpack_static_find(literal.name.span),
    };
    return HPACK_FIELD;
}

/* The end of the update, or NULL. */
RARE static const char *take_update(struct hpack_decoder *decoder, const char *at, const char *end)
{
    struct number size = take_number(at, end, 0x1f);
    if (decoder->is_inside || decoder->n_updates == N_UPDATES_MAX || size.value > decoder->limit)
        return NULL;
    if (size.end) {
        decoder->n_updates++;
        hpack_table_resize(&decoder->table, size.value);
    }
    return size.end;
}

static int finish_block(struct hpack_decoder *decoder)
{
    decoder->is_inside = false;
    decoder->n_updates = 0;
    decoder->known = decoder->known_static;
    if (unlikely(hpack_table_is_oversized(&decoder->table)))
        hpack_table_shrink(&decoder->table);
    return HPACK_END;
}

/* A literal field, indexed or not. */
static int next_literal(struct hpack_decoder *decoder, struct span *block,
                        struct hpack_field *ret_field)
{
    const char *at = block->data, *end = at + block->size;
    uint8_t first = (uint8_t)*at;
    bool is_indexing = first & 0x40;
    struct literal literal = take_literal(&decoder->table, at, end, is_indexing ? 0x3f : 0x0f);
    if (!literal.value.end)
        return HPACK_BROKEN;
    *block = (struct span){ literal.value.end, (size_t)(end - literal.value.end) };
    if (is_indexing)
        return give_indexing(decoder, literal, ret_field);
    int answer = give_literal(decoder, literal, ret_field);
    ret_field->is_never_indexed = first & 0x10;
    return answer;
}

int hpack_next(struct hpack_decoder *decoder, struct span *block, struct hpack_field *ret_field)
{
    const char *at = block->data, *end = at + block->size;
    while (at < end) {
        uint8_t first = (uint8_t)*at;
        if (likely(first & 0x80)) {
            struct number index = take_number(at, end, 0x7f);
            decoder->is_inside = true;
            if (unlikely(!index.end))
                return HPACK_BROKEN;
            *block = (struct span){ index.end, (size_t)(end - index.end) };
            return give_indexed(decoder, index.value, ret_field);
        }
        if (likely((first & 0xe0) != 0x20)) {
            decoder->is_inside = true;
            *block = (struct span){ at, (size_t)(end - at) };
            return next_literal(decoder, block, ret_field);
        }
        at = take_update(decoder, at, end);
        if (!at)
            return HPACK_BROKEN;
    }
    *block = (struct span){ end, 0 };
    return finish_block(decoder);
}
