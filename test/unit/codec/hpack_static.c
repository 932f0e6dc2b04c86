/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/hpack_table.h"

#include <nghttp2/nghttp2.h>

#include "check.h"

TEST(the_static_table_is_the_one_that_others_have)
{
    nghttp2_hd_inflater *inflater;
    CHECK_INT(nghttp2_hd_inflate_new(&inflater), 0);
    for (size_t i = 1; i <= HPACK_N_STATIC; i++) {
        const nghttp2_nv *theirs = nghttp2_hd_inflate_get_table_entry(inflater, i);
        struct span name = { (const char *)theirs->name, theirs->namelen };
        struct span value = { (const char *)theirs->value, theirs->valuelen };
        CHECK(span_equals(hpack_static[i].name, name));
        CHECK(span_equals(hpack_static[i].value, value));
    }
    nghttp2_hd_inflate_del(inflater);
}

TEST(a_name_is_found_at_its_first_entry)
{
    for (uint8_t i = 1; i <= HPACK_N_STATIC; i++) {
        uint8_t first = hpack_static_find(hpack_static[i].name);
        CHECK(first >= 1 && first <= i);
        CHECK(span_equals(hpack_static[first].name, hpack_static[i].name));
        CHECK(first == 1 || !span_equals(hpack_static[first - 1].name, hpack_static[i].name));
        CHECK_INT(hpack_static[i].first, first);
    }
}

TEST(other_names_are_not_found)
{
    static const char *const others[] = { "",      "x",        ":",       ":pth",
                                          ":Path", "agf",      "cookies", "Cookie",
                                          "datf",  "x-cookie", "\xff",    "grpc-status" };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        CHECK_INT(hpack_static_find(span_of(others[i])), 0);
    CHECK_INT(hpack_static_find(SPAN_NULL), 0);
}
