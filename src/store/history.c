/* SPDX-License-Identifier: Apache-2.0 */

#include "store/history.h"

#include "base/mem.h"
#include "store/bytes.h"
#include "store/record.h"

struct piece {
    struct list link;
    int64_t revision;
    struct buf record;
};

void history_init(struct history *history)
{
    *history = (struct history){ 0 };
    list_init(&history->pieces);
}

static struct piece *oldest(const struct history *history)
{
    return container_of(history->pieces.next, struct piece, link);
}

static void drop_oldest(struct history *history)
{
    struct piece *piece = oldest(history);
    list_remove(&piece->link);
    history->n_pieces--;
    history->size -= piece->record.size;
    buf_fini(&piece->record);
    free(piece);
}

void history_clear(struct history *history)
{
    while (history->n_pieces)
        drop_oldest(history);
}

void history_add(struct history *history, const struct store_event *events, size_t n_events,
                 int64_t revision)
{
    struct piece *piece = mem_new(struct piece);
    piece->revision = revision;
    const struct record record = { .events = events, .n_events = n_events };
    record_encode(&record, &piece->record);
    list_add_last(&history->pieces, &piece->link);
    history->n_pieces++;
    history->size += piece->record.size;
}

int64_t history_newest(const struct history *history)
{
    return history->n_pieces ? container_of(history->pieces.prev, struct piece, link)->revision : 0;
}

int64_t history_trim(struct history *history, int64_t keep, int64_t awaited)
{
    int64_t dropped = 0;
    while (history->n_pieces > (size_t)keep ||
           (history->size > HISTORY_SIZE_MAX && history->n_pieces > 1)) {
        int64_t revision = oldest(history)->revision;
        if (revision >= awaited)
            break;
        dropped = revision;
        drop_oldest(history);
    }
    return dropped;
}

void history_read(const struct history *history, int64_t from, size_t size, struct buf *bytes)
{
    list_each (link, &history->pieces) {
        const struct piece *piece = container_of(link, struct piece, link);
        if (piece->revision < from)
            continue;
        if (bytes->size >= size)
            return;
        bytes_put(bytes, (uint64_t)piece->revision, 8);
        bytes_put(bytes, piece->record.size, 4);
        buf_put(bytes, buf_span(&piece->record));
    }
}
