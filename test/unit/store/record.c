/* SPDX-License-Identifier: Apache-2.0 */

#include "store/record.h"

#include "base/mem.h"
#include "check.h"

static void encode_sample(struct buf *bytes)
{
    const struct store_event events[] = {
        { TXN_PUT, { .key = SPAN("a"), .value = SPAN("1"), .create_revision = 5, .version = 2 } },
        { TXN_DELETE, { .key = SPAN("bb") } },
    };
    record_encode(&(struct record){ .state_sum = UINT64_MAX, .events = events, .n_events = 2 },
                  bytes);
}

TEST(a_record_comes_back_as_it_was)
{
    struct buf bytes = { 0 };
    encode_sample(&bytes);
    struct arena arena = { 0 };
    struct record record;
    CHECK_INT(record_decode(buf_span(&bytes), 7, &arena, &record), 0);
    CHECK(record.state_sum == UINT64_MAX);
    CHECK_INT(record.n_events, 2);
    const struct store_event *put = &record.events[0], *delete = &record.events[1];
    CHECK_INT(put->kind, TXN_PUT);
    CHECK(span_is(put->entry.key, "a"));
    CHECK(span_is(put->entry.value, "1"));
    CHECK_INT(put->entry.create_revision, 5);
    CHECK_INT(put->entry.mod_revision, 7);
    CHECK_INT(put->entry.version, 2);
    CHECK_INT(delete->kind, TXN_DELETE);
    CHECK(span_is(delete->entry.key, "bb"));
    CHECK_INT(delete->entry.mod_revision, 7);
    arena_fini(&arena);
    buf_fini(&bytes);
}

TEST(a_record_cut_anywhere_or_continued_is_bad)
{
    struct buf bytes = { 0 };
    encode_sample(&bytes);
    struct arena arena = { 0 };
    struct record record;
    for (size_t size = 0; size < bytes.size; size++) {
        char *copy = mem_span_dup(span_first(buf_span(&bytes), size)); /* ends where it ends */
        CHECK_INT(record_decode((struct span){ copy, size }, 1, &arena, &record), RECORD_BAD);
        free(copy);
    }
    buf_puts(&bytes, "x");
    CHECK_INT(record_decode(buf_span(&bytes), 1, &arena, &record), RECORD_BAD);
    arena_fini(&arena);
    buf_fini(&bytes);
}

TEST(hostile_counts_and_sizes_are_bad)
{
    static const struct {
        size_t at;
        char byte;
    } cases[] = {
        { 0, 2 },     /* an unknown format */
        { 12, 0x7f }, /* two thousand million events */
        { 9, 1 },     /* fewer events than there are */
        { 9, 3 },     /* more */
        { 13, 0 },    /* a kind that does not exist */
        { 15, 0x7f }, /* a key longer than the record */
        { 19, 0x7f }, /* a value longer than the record */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct buf bytes = { 0 };
        encode_sample(&bytes);
        bytes.data[cases[i].at] = cases[i].byte;
        struct arena arena = { 0 };
        struct record record;
        CHECK_INT(record_decode(buf_span(&bytes), 1, &arena, &record), RECORD_BAD);
        arena_fini(&arena);
        buf_fini(&bytes);
    }
}

TEST(the_chain_depends_on_all_it_is_made_of)
{
    uint32_t chain = record_chain(1, 2, SPAN("x"));
    CHECK(chain != record_chain(2, 2, SPAN("x")));
    CHECK(chain != record_chain(1, 3, SPAN("x")));
    CHECK(chain != record_chain(1, 2, SPAN("y")));
    CHECK(chain == record_chain(1, 2, SPAN("x")));
}
