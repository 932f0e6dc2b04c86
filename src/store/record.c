/* SPDX-License-Identifier: Apache-2.0 */

#include "store/record.h"

#include "base/crc32c.h"
#include "base/hash.h"
#include "store/bytes.h"

#define RECORD_FORMAT 1u

/* Kinds have numbers of their own on disk, none of them 0. */
enum {
    RECORD_PUT = 1,
    RECORD_DELETE = 2,
};

/* An event without key and value: what bounds the number of events in a record. */
#define RECORD_EVENT_SIZE (1u + 2u + 4u + 8u + 8u)

void record_encode(const struct record *record, struct buf *bytes)
{
    bytes_put(bytes, RECORD_FORMAT, 1);
    bytes_put(bytes, record->state_sum, 8);
    bytes_put(bytes, record->n_events, 4);
    for (size_t i = 0; i < record->n_events; i++) {
        const struct store_event *event = &record->events[i];
        bytes_put(bytes, event->kind == TXN_PUT ? RECORD_PUT : RECORD_DELETE, 1);
        bytes_put(bytes, event->entry.key.size, 2);
        bytes_put(bytes, event->entry.value.size, 4);
        bytes_put(bytes, (uint64_t)event->entry.create_revision, 8);
        bytes_put(bytes, (uint64_t)event->entry.version, 8);
        buf_put(bytes, event->entry.key);
        buf_put(bytes, event->entry.value);
    }
}

static bool event_decode(struct bytes_reader *reader, int64_t revision, struct store_event *event)
{
    uint64_t kind = bytes_take_number(reader, 1);
    size_t key_size = bytes_take_number(reader, 2);
    size_t value_size = bytes_take_number(reader, 4);
    event->kind = kind == RECORD_PUT ? TXN_PUT : TXN_DELETE;
    event->entry.create_revision = (int64_t)bytes_take_number(reader, 8);
    event->entry.version = (int64_t)bytes_take_number(reader, 8);
    event->entry.mod_revision = revision;
    event->entry.key = bytes_take(reader, key_size);
    event->entry.value = bytes_take(reader, value_size);
    return !reader->is_short && (kind == RECORD_PUT || kind == RECORD_DELETE);
}

int record_decode(struct span bytes, int64_t revision, struct arena *arena,
                  struct record *ret_record)
{
    struct bytes_reader reader = { .rest = bytes };
    uint64_t format = bytes_take_number(&reader, 1);
    uint64_t state_sum = bytes_take_number(&reader, 8);
    size_t n_events = bytes_take_number(&reader, 4);
    if (format != RECORD_FORMAT || n_events > reader.rest.size / RECORD_EVENT_SIZE)
        return RECORD_BAD;

    struct store_event *events = arena_new_array(arena, struct store_event, n_events);
    for (size_t i = 0; i < n_events; i++) {
        if (!event_decode(&reader, revision, &events[i]))
            return RECORD_BAD;
    }
    if (reader.is_short || reader.rest.size)
        return RECORD_BAD;

    *ret_record = (struct record){ .state_sum = state_sum, .events = events, .n_events = n_events };
    return 0;
}

uint32_t record_chain(uint32_t chain, int64_t revision, struct span bytes)
{
    char head[12];
    bytes_set(head, chain, 4);
    bytes_set(head + 4, (uint64_t)revision, 8);
    return crc32c(crc32c(0, (struct span){ head, sizeof(head) }), bytes);
}

uint64_t record_entry_hash(const struct store_entry *entry)
{
    char numbers[40];
    bytes_set(numbers, hash_xxh3(entry->key), 8);
    bytes_set(numbers + 8, hash_xxh3(entry->value), 8);
    bytes_set(numbers + 16, (uint64_t)entry->create_revision, 8);
    bytes_set(numbers + 24, (uint64_t)entry->mod_revision, 8);
    bytes_set(numbers + 32, (uint64_t)entry->version, 8);
    return hash_xxh3((struct span){ numbers, sizeof(numbers) });
}
