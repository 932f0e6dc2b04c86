/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/field_rules.h"

#include "head.h"

static const struct gateway_field set[] = { { "X-Env", "prod" },
                                            { "Authorization", "Basic eA==" } };
static const struct gateway_field add[] = { { "Link", "</a>" }, { "Link", "</b>" } };
static const char *const removed[] = { "X-Debug", "Server" };
static const struct gateway_field_rules settings = { { set, 2 }, { add, 2 }, { removed, 2 } };

TEST(what_is_set_or_removed_is_taken_out)
{
    struct arena arena = { 0 };
    struct field_rules rules;
    field_rules_compile(&settings, &arena, &rules);
    struct http_head head;
    parse_request(
        "GET / HTTP/1.1\r\nHost: x\r\nx-ENV: a\r\nX-Env: b\r\nauthorization: c\r\nX-Debug: d\r\n"
        "Server: e\r\nLink: f\r\nX-Environment: g\r\n\r\n",
        &head);
    static const bool expected[] = { false, true, true, true, true, true, false, false };
    CHECK_INT(head.n_fields, sizeof(expected) / sizeof(expected[0]));
    for (unsigned i = 0; i < head.n_fields; i++)
        CHECK_INT(field_rules_take_out(&rules, &head.fields[i]), expected[i]);
    arena_fini(&arena);
}

TEST(what_is_set_or_added_comes_in_order)
{
    struct arena arena = { 0 };
    struct field_rules rules;
    field_rules_compile(&settings, &arena, &rules);
    CHECK(span_is(rules.lines,
                  "X-Env: prod\r\nAuthorization: Basic eA==\r\nLink: </a>\r\nLink: </b>\r\n"));
    CHECK_INT(rules.n_fields, 4);
    CHECK(span_is(rules.fields[3].value, "</b>"));
    arena_fini(&arena);
}

TEST(no_rules_change_nothing)
{
    struct arena arena = { 0 };
    struct field_rules rules;
    field_rules_compile(&(struct gateway_field_rules){ 0 }, &arena, &rules);
    CHECK_INT(rules.known, 0);
    CHECK_INT(rules.n_names, 0);
    CHECK_INT(rules.lines.size, 0);
    arena_fini(&arena);
}
