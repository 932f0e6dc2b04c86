/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What has to be written down, because it is to lie in the table or was Huffman-coded, is written
 * behind the table's last entry, where it stays if it becomes one. Everything else is read where it
 * came.
 */

#include "codec/hpack.h"

#include <assert.h>

#include "codec/hpack_huffman.h"

#define N_UPDATES_MAX 2u /* the lowest size since the last block, and the last (section 4.2) */

/* A string as it came (section 5.2). */
struct text {
    struct span span;
    bool is_coded;
};

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

/* What follows a prefix of ones (section 5.1). */
RARE static bool take_more(struct span *block, uint32_t *value)
{
    uint64_t sum = *value;
    for (unsigned shift = 0; block->size && shift <= 28; shift += 7) {
        uint8_t byte = (uint8_t)*block->data++;
        block->size--;
        sum += (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *value = (uint32_t)sum;
            return sum <= UINT32_MAX;
        }
    }
    return false;
}

/* The block is not empty; `mask` are the bits of the prefix. */
static inline bool take_number(struct span *block, uint8_t mask, uint32_t *ret_value)
{
    *ret_value = (uint8_t)*block->data++ & mask;
    block->size--;
    return likely(*ret_value < mask) || take_more(block, ret_value);
}

static inline bool take_text(struct span *block, struct text *ret_text)
{
    uint32_t size;
    if (!block->size)
        return false;
    ret_text->is_coded = *block->data & 0x80;
    if (!take_number(block, 0x7f, &size) || size > block->size)
        return false;
    ret_text->span = span_first(*block, size);
    block->data += size;
    block->size -= size;
    return true;
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

/* A literal's name, which may be that of an entry. */
struct name {
    struct text text; /* of an entry, it may move when room is made */
    uint32_t index;   /* 0: it is written out */
    uint8_t static_name;
};

static inline bool take_name(const struct hpack_table *table, struct span *block, uint8_t mask,
                             struct name *ret_name)
{
    *ret_name = (struct name){ .index = 0 };
    if (!take_number(block, mask, &ret_name->index))
        return false;
    uint32_t index = ret_name->index;
    if (!index)
        return take_text(block, &ret_name->text);
    if (index <= HPACK_N_STATIC) {
        ret_name->text.span = hpack_static[index].name;
        ret_name->static_name = hpack_static[index].first;
        return true;
    }
    if (!has_entry(table, index))
        return false;
    const struct hpack_entry *entry = entry_of(table, index);
    ret_name->static_name = entry->static_name;
    ret_name->text.span = hpack_entry_name(table, entry);
    return true;
}

static inline size_t text_bound(struct text text)
{
    return text.is_coded ? HPACK_HUFFMAN_BOUND(text.span.size) : text.span.size;
}

/* The text's bytes at `at`; returns their end, or NULL. */
static inline char *write_text(struct text text, char *at)
{
    if (text.is_coded)
        return hpack_huffman_decode(text.span, at);
    if (text.span.size)
        memcpy(at, text.span.data, text.span.size);
    return at + text.span.size;
}

/* Makes room for what is to be written. A name that lies in the table moves with it. */
static inline char *make_room(struct hpack_table *table, struct name *name, size_t size)
{
    hpack_table_reserve(table, size);
    if (name->index > HPACK_N_STATIC)
        name->text.span = hpack_entry_name(table, entry_of(table, name->index));
    return table->bytes + table->end;
}

static int take_indexing(struct hpack_decoder *decoder, struct span *block,
                         struct hpack_field *ret_field)
{
    struct hpack_table *table = &decoder->table;
    struct text value;
    struct name name;
    if (!take_name(table, block, 0x3f, &name) || !take_text(block, &value))
        return HPACK_BROKEN;
    char *at = make_room(table, &name, text_bound(name.text) + text_bound(value));
    char *middle = write_text(name.text, at);
    char *end = middle ? write_text(value, middle) : NULL;
    if (!end)
        return HPACK_BROKEN;

    size_t name_size = (size_t)(middle - at), value_size = (size_t)(end - middle);
    struct hpack_entry *entry = hpack_table_add(table, name_size, value_size);
    if (!name.index)
        name.static_name = hpack_static_find((struct span){ at, name_size });
    decoder->known = decoder->known_static;
    if (entry) {
        entry->static_name = name.static_name;
        decoder->known = &entry->known;
    }
    *ret_field = (struct hpack_field){
        .name = { at, name_size },
        .value = { middle, value_size },
        .static_name = name.static_name,
    };
    return HPACK_FIELD;
}

static int take_literal(struct hpack_decoder *decoder, struct span *block,
                        struct hpack_field *ret_field)
{
    struct hpack_table *table = &decoder->table;
    bool is_never_indexed = *block->data & 0x10;
    struct text value;
    struct name name;
    if (!take_name(table, block, 0x0f, &name) || !take_text(block, &value))
        return HPACK_BROKEN;
    if (name.text.is_coded || value.is_coded) {
        char *at = make_room(table, &name, text_bound(name.text) + text_bound(value));
        char *middle = name.text.is_coded ? write_text(name.text, at) : at;
        char *end = middle && value.is_coded ? write_text(value, middle) : middle;
        if (!end)
            return HPACK_BROKEN;
        if (name.text.is_coded)
            name.text.span = (struct span){ at, (size_t)(middle - at) };
        if (value.is_coded)
            value.span = (struct span){ middle, (size_t)(end - middle) };
    }
    if (!name.index)
        name.static_name = hpack_static_find(name.text.span);
    decoder->known = decoder->known_static;
    *ret_field = (struct hpack_field){
        .name = name.text.span,
        .value = value.span,
        .static_name = name.static_name,
        .is_never_indexed = is_never_indexed,
    };
    return HPACK_FIELD;
}

static int take_update(struct hpack_decoder *decoder, struct span *block)
{
    uint32_t size;
    if (decoder->is_inside || decoder->n_updates == N_UPDATES_MAX ||
        !take_number(block, 0x1f, &size) || size > decoder->limit)
        return HPACK_BROKEN;
    decoder->n_updates++;
    hpack_table_resize(&decoder->table, size);
    return HPACK_FIELD;
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

int hpack_next(struct hpack_decoder *decoder, struct span *block, struct hpack_field *ret_field)
{
    while (block->size) {
        uint8_t first = (uint8_t)*block->data;
        if (unlikely((first & 0xe0) == 0x20)) {
            if (take_update(decoder, block))
                return HPACK_BROKEN;
            continue;
        }
        decoder->is_inside = true;
        if (likely(first & 0x80)) {
            uint32_t index;
            return take_number(block, 0x7f, &index) ? give_indexed(decoder, index, ret_field)
                                                    : HPACK_BROKEN;
        }
        return first & 0x40 ? take_indexing(decoder, block, ret_field)
                            : take_literal(decoder, block, ret_field);
    }
    return finish_block(decoder);
}
