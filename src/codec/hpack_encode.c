/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A field is looked for in two steps: is it what was said last under its name, and if not, is it
 * anything that is in the table? Both go by a hash to one place each, which is taken by whatever
 * comes later; so nothing is ever searched, and what is overlooked costs some bytes only.
 *
 * A name whose values are new each time (a trace, a length, a date) would push everything else out
 * of the table. So it is counted how often a name's value was not there. From the fifth time on
 * the value is written out, and later not even looked for, but for every sixteenth: should values
 * have come to repeat, they get in by and by. Callers need not know which names are such.
 *
 * Entries are kept as lines of HTTP/1.1, "name: value" CR LF, so that one that comes again can be
 * compared as it is. Lines mostly come in the same order, so the one that followed the last one is
 * tried first; else a line's place goes by its beginning, middle and end.
 */

#include "codec/hpack.h"

#include <assert.h>

#include "base/mem.h"
#include "codec/hpack_bytes.h"

#define N_NAMES 128u
#define N_FIELDS 256u
#define N_LINES 256u
#define N_NEXT 128u
#define LINE_MORE 4u          /* bytes of a line besides name and value */
#define LINE_SCANNED 16u      /* of fewer bytes none is looked for */
#define MISSES_INDEXED 4u     /* so often a value may be new */
#define MISSES_TRIED 16u      /* and then one in so many gets in */
#define MISSES_LOOKED_FOR 16u /* and from then on only those are looked for */

struct name_slot {
    uint16_t check;    /* more of the name's hash */
    uint16_t number;   /* of the last entry that had the name; maybe it is no longer there */
    uint16_t n_missed; /* values that were not in the table, of the last ones */
};

/* Of entries' numbers the lower half is kept: what is found is compared, and no table holds as
 * many. */
struct hpack_index {
    struct name_slot names[N_NAMES];
    uint16_t fields[N_FIELDS];
    uint16_t lines[N_LINES];
    uint16_t next[N_NEXT + 1]; /* by an entry, the line that came behind it; then a block's first */
};

void hpack_encoder_init(struct hpack_encoder *encoder, uint32_t max_table_size)
{
    assert(max_table_size <= HPACK_TABLE_MAX);
    *encoder = (struct hpack_encoder){
        .table.max_size = HPACK_TABLE_SIZE_FIRST,
        .limit = max_table_size,
        .lowest = UINT32_MAX,
    };
    hpack_encoder_allow(encoder, HPACK_TABLE_SIZE_FIRST);
}

void hpack_encoder_fini(struct hpack_encoder *encoder)
{
    hpack_table_fini(&encoder->table);
    free(encoder->index);
    encoder->index = NULL;
}

void hpack_encoder_allow(struct hpack_encoder *encoder, uint32_t size)
{
    if (size > encoder->limit)
        size = encoder->limit;
    if (size == encoder->table.max_size)
        return;
    hpack_table_resize(&encoder->table, size);
    encoder->has_update = true;
    if (size < encoder->lowest)
        encoder->lowest = size;
}

/* --- bytes (RFC 7541 section 5) --- */

RARE static char *put_long_number(char *at, uint8_t first, uint8_t mask, size_t value)
{
    *at++ = (char)(first | mask);
    value -= mask;
    for (; value >= 0x80; value >>= 7)
        *at++ = (char)(value | 0x80);
    *at++ = (char)value;
    return at;
}

static inline char *put_number(char *at, uint8_t first, uint8_t mask, size_t value)
{
    if (unlikely(value >= mask))
        return put_long_number(at, first, mask, value);
    *at++ = (char)(first | value);
    return at;
}

static inline char *put_text(char *at, struct span text)
{
    return hpack_copy(put_number(at, 0, 0x7f, text.size), text);
}

/* A literal: `first` says of which kind, `mask` are the bits of the name's index. */
static inline char *put_literal(char *at, uint8_t first, uint8_t mask, uint32_t name_index,
                                struct span name, struct span value)
{
    at = put_number(at, first, mask, name_index);
    if (!name_index)
        at = put_text(at, name);
    return put_text(at, value);
}

char *hpack_begin(struct hpack_encoder *encoder, char *at)
{
    encoder->line = N_NEXT;
    if (likely(!encoder->has_update))
        return at;
    uint32_t size = encoder->table.max_size;
    if (encoder->lowest < size)
        at = put_number(at, 0x20, 0x1f, encoder->lowest);
    encoder->lowest = UINT32_MAX;
    encoder->has_update = false;
    return put_number(at, 0x20, 0x1f, size);
}

/* --- finding --- */

#define MIX 0x9e3779b97f4a7c15u /* odd, and its bits are nowhere regular */

/* The upper bits are the good ones. */
static inline uint64_t hash_name(struct span name)
{
    uint64_t word = name.size;
    if (likely(name.size >= 8))
        word += hpack_load_8(name.data) ^ hpack_load_8(name.data + name.size - 8) * (MIX << 1 | 1);
    else
        word += hpack_load_few(name.data, name.size);
    return word * MIX;
}

static inline uint64_t hash_value(uint64_t hash, struct span value)
{
    hash += value.size;
    if (value.size < 8)
        return ((hash ^ hash >> 32) + hpack_load_few(value.data, value.size)) * MIX;
    for (size_t at = 0; at + 8 < value.size; at += 8)
        hash = ((hash ^ hash >> 32) + hpack_load_8(value.data + at)) * MIX;
    return ((hash ^ hash >> 32) + hpack_load_8(value.data + value.size - 8)) * MIX;
}

/* How many entries came since that number, itself included; more than there are: it is gone. */
static inline uint32_t age_of(const struct hpack_table *table, uint16_t number)
{
    return (uint16_t)(table->n_ever - 1 - number) + 1u;
}

static inline struct hpack_entry *entry_of(const struct hpack_table *table, uint16_t number)
{
    uint32_t age = age_of(table, number);
    return age <= table->n ? hpack_table_get(table, table->n_ever - age) : NULL;
}

static inline uint32_t index_of(const struct hpack_table *table, uint16_t number)
{
    return HPACK_N_STATIC + age_of(table, number);
}

static inline bool has_name(const struct hpack_table *table, const struct hpack_entry *entry,
                            struct span name)
{
    return entry->name_size == name.size &&
           hpack_are_equal(table->bytes + entry->at, name.data, name.size);
}

static inline bool has_value(const struct hpack_table *table, const struct hpack_entry *entry,
                             struct span value)
{
    return entry->value_size == value.size &&
           hpack_are_equal(table->bytes + entry->at + entry->name_size + 2, value.data, value.size);
}

/* The static entry with this name and value, or 0; `first` is the first with the name. */
static uint32_t find_static(uint8_t first, struct span value)
{
    for (uint32_t i = first; i <= HPACK_N_STATIC && hpack_static[i].first == first; i++) {
        if (span_equals(hpack_static[i].value, value))
            return i;
    }
    return 0;
}

/* --- putting --- */

/* Where the name's last entry is noted: at one of two places. When both are other names' the
 * one that was there longer goes. */
static inline struct name_slot *slot_of(struct hpack_encoder *encoder, uint64_t hash)
{
    struct name_slot *slots = encoder->index->names + (hash >> 58) * 2;
    uint16_t check = (uint16_t)(hash >> 42);
    if (likely(slots[0].check == check))
        return &slots[0];
    if (likely(slots[1].check == check))
        return &slots[1];
    slots[1] = slots[0];
    slots[0] = (struct name_slot){
        .check = check,
        .number = (uint16_t)(encoder->table.n_ever - 1 - encoder->table.n),
    };
    return &slots[0];
}

/* Values of that name are new each time, and it is not yet time to try again. */
static inline bool is_churning(const struct name_slot *slot)
{
    return slot->n_missed >= MISSES_INDEXED && slot->n_missed % MISSES_TRIED;
}

/* One that takes most of the table is not worth what it pushes out. */
static inline bool is_too_large(const struct hpack_table *table, size_t size)
{
    return size + HPACK_ENTRY_OVERHEAD > (size_t)table->max_size * 3 / 4;
}

static void add(struct hpack_table *table, struct span name, struct span value)
{
    hpack_table_reserve(table, name.size + value.size + LINE_MORE);
    char *at = hpack_copy(table->bytes + table->end, name);
    at = hpack_copy(at, SPAN(": "));
    hpack_copy(hpack_copy(at, value), SPAN("\r\n"));
    const struct hpack_entry *entry = hpack_table_add(table, name.size, value.size, LINE_MORE);
    assert(entry);
    (void)entry;
}

/* A field that is not what its name had last. The name's index may be that of its last entry. */
RARE static char *put_other(struct hpack_encoder *encoder, char *at, struct name_slot *slot,
                            uint32_t name_index, struct span name, struct span value)
{
    struct hpack_table *table = &encoder->table;
    uint8_t first = hpack_static_find(name);
    if (first)
        name_index = first;
    if (slot->n_missed > MISSES_LOOKED_FOR && slot->n_missed % MISSES_TRIED) {
        slot->n_missed++;
        return put_literal(at, 0, 0x0f, name_index, name, value);
    }
    uint16_t *number = &encoder->index->fields[hash_value(hash_name(name), value) >> 56];
    const struct hpack_entry *entry = entry_of(table, *number);
    if (entry && has_name(table, entry, name) && has_value(table, entry, value)) {
        slot->n_missed = 0;
        encoder->last = slot->number = *number;
        return put_number(at, 0x80, 0x7f, index_of(table, *number));
    }
    uint32_t whole = first ? find_static(first, value) : 0;
    if (whole)
        return put_number(at, 0x80, 0x7f, whole);
    bool is_left_out = is_churning(slot);
    slot->n_missed++;
    if (is_left_out || is_too_large(table, name.size + value.size))
        return put_literal(at, 0, 0x0f, name_index, name, value);

    at = put_literal(at, 0x40, 0x3f, name_index, name, value);
    encoder->last = *number = slot->number = (uint16_t)table->n_ever;
    add(table, name, value);
    return at;
}

/* Without a table, or for nobody's table. */
static char *put_plain(char *at, uint8_t first, struct span name, struct span value)
{
    return put_literal(at, first, 0x0f, hpack_static_find(name), name, value);
}

char *hpack_put(struct hpack_encoder *encoder, char *at, struct span name, struct span value,
                enum hpack_indexing how)
{
    assert(name.size <= HPACK_STRING_MAX && value.size <= HPACK_STRING_MAX);
    if (how != HPACK_INDEXED)
        return put_plain(at, how == HPACK_NEVER ? 0x10 : 0, name, value);
    if (unlikely(!encoder->index))
        encoder->index = mem_new(struct hpack_index);

    struct hpack_table *table = &encoder->table;
    struct name_slot *slot = slot_of(encoder, hash_name(name));
    const struct hpack_entry *entry = entry_of(table, slot->number);
    uint32_t name_index = 0;
    if (likely(entry) && likely(has_name(table, entry, name))) {
        name_index = index_of(table, slot->number);
        if (likely(has_value(table, entry, value))) {
            slot->n_missed = 0;
            encoder->last = slot->number;
            return put_number(at, 0x80, 0x7f, name_index);
        }
    }
    return put_other(encoder, at, slot, name_index, name, value);
}

/* --- lines --- */

/* The line has eight bytes at least. */
static inline uint8_t line_slot(struct span line)
{
    uint64_t first = hpack_load_8(line.data), last = hpack_load_8(line.data + line.size - 8);
    uint64_t hash = (first + last * MIX + line.size) * MIX;
    hash = (hash ^ hash >> 32) + hpack_load_8(line.data + (line.size - 8) / 2);
    return (uint8_t)(hash * MIX >> 56);
}

/* Whether the first of the lines is that entry. */
static inline bool is_line(const struct hpack_encoder *encoder, uint16_t number, struct span lines,
                           struct hpack_line *ret_line)
{
    const struct hpack_table *table = &encoder->table;
    const struct hpack_entry *entry = entry_of(table, number);
    if (unlikely(!entry || lines.data[0] == ':'))
        return false; /* what looks like a pseudo-field is no line, though one may be in the table */
    size_t name_size = entry->name_size, value_size = entry->value_size;
    size_t size = name_size + value_size + LINE_MORE;
    if (size > lines.size || !hpack_are_equal(table->bytes + entry->at, lines.data, size))
        return false;
    ret_line->name = (struct span){ lines.data, name_size };
    ret_line->value = (struct span){ lines.data + name_size + 2, value_size };
    ret_line->number = number;
    ret_line->is_found = true;
    return true;
}

bool hpack_guess_line(const struct hpack_encoder *encoder, const struct hpack_line *after,
                      struct span lines, struct hpack_line *ret_line)
{
    const struct hpack_index *index = encoder->index;
    if (unlikely(!index))
        return false;
    uint16_t number = index->next[after ? after->number % N_NEXT : N_NEXT];
    ret_line->slot = HPACK_NO_SLOT;
    return is_line(encoder, number, lines, ret_line);
}

bool hpack_find_line(const struct hpack_encoder *encoder, struct span line,
                     struct hpack_line *ret_line)
{
    if (unlikely(line.size < 8 || !encoder->index))
        return false;
    ret_line->slot = line_slot(line);
    return is_line(encoder, encoder->index->lines[ret_line->slot], line, ret_line);
}

static inline void note_next(struct hpack_encoder *encoder, uint16_t number)
{
    encoder->index->next[encoder->line] = number;
    encoder->line = number % N_NEXT;
}

char *hpack_put_line(struct hpack_encoder *encoder, char *at, const struct hpack_line *line)
{
    if (likely(line->is_found && age_of(&encoder->table, line->number) <= encoder->table.n)) {
        note_next(encoder, line->number);
        return put_number(at, 0x80, 0x7f, index_of(&encoder->table, line->number));
    }
    at = hpack_put(encoder, at, line->name, line->value, HPACK_INDEXED);
    if (line->slot != HPACK_NO_SLOT) {
        encoder->index->lines[line->slot] = encoder->last;
        note_next(encoder, encoder->last);
    }
    return at;
}
