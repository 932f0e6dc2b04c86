/* SPDX-License-Identifier: Apache-2.0 */

#include "base/buf.h"

#include <fcntl.h>

#include "check.h"

TEST(appending_and_consuming)
{
    struct buf buf = { .limit = 0 };
    for (int i = 0; i < 1000; i++)
        CHECK_INT(buf_append(&buf, SPAN("0123456789")), BUF_OK);
    CHECK_INT(buf.size, 10000);
    buf_consume(&buf, 9995);
    CHECK(span_is(buf_span(&buf), "56789"));
    buf_consume(&buf, 5);
    CHECK_INT(buf.size, 0);
    CHECK_INT(buf_append(&buf, SPAN_NULL), BUF_OK);
    buf_fini(&buf);
    CHECK(!buf.data && !buf.capacity);
}

TEST(limit)
{
    struct buf buf = { .limit = 4 };
    CHECK_INT(buf_append(&buf, SPAN("abc")), BUF_OK);
    CHECK_INT(buf_append(&buf, SPAN("de")), BUF_FULL);
    CHECK_INT(buf_reserve(&buf, SIZE_MAX), BUF_FULL);
    CHECK(span_is(buf_span(&buf), "abc"));
    CHECK_INT(buf_append(&buf, SPAN("d")), BUF_OK);
    CHECK_INT(buf_append(&buf, SPAN("e")), BUF_FULL);

    /* The writers remember that something is missing, and write nothing behind the gap. */
    buf_clear(&buf);
    buf_puts(&buf, "abc");
    CHECK(!buf.is_full);
    buf_puts(&buf, "de");
    buf_puts(&buf, "f");
    CHECK(buf.is_full);
    CHECK(span_is(buf_span(&buf), "abc"));
    buf_clear(&buf);
    CHECK(!buf.is_full);
    buf_fini(&buf);
    CHECK_INT(buf.limit, 4);
}

TEST(printing)
{
    struct buf buf = { .limit = 0 };
    char filler[1001];
    memset(filler, 'x', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = 0;
    buf_printf(&buf, "%d-%s", 42, "a");
    buf_put(&buf, SPAN("|"));
    for (int size = 510; size < 514; size++)
        buf_printf(&buf, "%.*s", size, filler); /* around the size of its first attempt */
    buf_printf(&buf, "%s", filler);
    CHECK_INT(buf.size, 5 + 510 + 511 + 512 + 513 + 1000);
    char *text = buf_take_text(&buf);
    CHECK_INT(strlen(text), 5 + 510 + 511 + 512 + 513 + 1000);
    CHECK(strncmp(text, "42-a|xxx", 8) == 0);
    CHECK(!buf.data && !buf.size);
    free(text);
    text = buf_take_text(&buf);
    CHECK_STR(text, "");
    free(text);
}

TEST(reading_a_descriptor)
{
    int ends[2];
    CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
    CHECK_INT(write(ends[1], "some text", 9), 9);
    close(ends[1]);
    struct buf buf = { .limit = 100 };
    CHECK_INT(buf_read_all(&buf, ends[0]), BUF_OK);
    CHECK(span_is(buf_span(&buf), "some text"));
    close(ends[0]);
    CHECK(buf_read_all(&buf, ends[0]) < 0);
    buf_fini(&buf);

    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    struct buf small = { .limit = 100000 };
    CHECK_INT(buf_read_all(&small, zero), BUF_FULL);
    close(zero);
    buf_fini(&small);
}
