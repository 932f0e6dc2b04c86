/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/filter.h"

#include <stdio.h>

#include "check.h"
#include "fake/clock.h"

#define ENTRY                                                                                      \
    "{\"Node\":{\"Node\":\"n1\",\"Meta\":{\"os\":\"linux\"}},"                                     \
    "\"Service\":{\"ID\":\"web-1\",\"Service\":\"web\",\"Tags\":[\"v2\",\"blue\"],\"Port\":8080,"  \
    "\"Meta\":{\"zone\":\"eu\",\"a b\":\"c\"},\"Weights\":{\"Passing\":10,\"Warning\":1},"         \
    "\"Address\":\"\",\"EnableTagOverride\":false},"                                               \
    "\"Checks\":[{\"CheckID\":\"serfHealth\",\"Status\":\"passing\"},"                             \
    "{\"CheckID\":\"c1\",\"Status\":\"critical\"}]}"

static struct problem problem;

/* 1: it has it, 0: it has not, -1: it is no filter. */
static int has(const char *text)
{
    CLEANUP(arena_fini) struct arena arena = { 0 };
    struct consul_filter *filter = NULL;
    struct fake_clock clock;
    fake_clock_init(&clock);
    if (consul_filter_parse(&arena, span_of(text), &clock.clock, &filter, &problem))
        return -1;
    return consul_filter_has(filter, SPAN(ENTRY));
}

TEST(what_a_filter_has)
{
    static const char *const texts[] = {
        "Service.Meta.zone == eu",
        "Service.Meta[\"a b\"] == c",
        "Service.Port == 8080 and Service.EnableTagOverride == false",
        "Service.Weights.Passing != 1",
        "\"v2\" in Service.Tags and \"red\" not in Service.Tags",
        "Service.Tags contains blue",
        "zone in Service.Meta",
        "eb in Service.Service",
        "Service.Address is empty and Service.Tags is not empty",
        "Service.Meta.none is empty and Service.Meta.none != x",
        "Service.ID matches `^web-[0-9]+$`",
        "Service.ID not matches \"^db\"",
        "Checks.Status == critical and Checks.Status == passing",
        "Checks.Status != passing",
        "not (Node.Node == n2 or Node.Meta.os == bsd)",
        "Node.Meta.os==linux",
        "Service.Tags is not empty or Node.Node == n2 and Node.Node == n3",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (has(texts[i]) != 1)
            printf("# %s: %s\n", texts[i], problem.text);
        CHECK_INT(has(texts[i]), 1);
    }
}

TEST(what_a_filter_does_not_have)
{
    static const char *const texts[] = {
        "Service.Meta.zone == EU",
        "Service.Meta.none == eu",
        "Service.Tags contains lue",
        "Service.Port is empty",
        "Service.ID matches \"^(w+)+$\"",
        "Checks.Status == warning",
        "Checks is empty",
        "not Service.Service == web",
        "Node.Node == n1 and Node.Node == n2",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        CHECK_INT(has(texts[i]), 0);
}

TEST(what_is_no_filter)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        { "Service.Port", "an operator" },
        { "(Service.Port == 1", "\")\"" },
        { "Service.Port ==", "a value" },
        { "Service.Prot == 1", "is not valid" },
        { "Service..Port == 1", "is not valid" },
        { "not", "a selector" },
        { "Node is full", "\"empty\"" },
        { "Node == a Node", "the end" },
        { "Service.ID matches \"(\"", "regular expression" },
        { "Meta[\"a == b", "" },
        { "Service.Service == \"web", "does not end" },
        { "Service.Port == 1 `", "does not end" },
        { "", "a selector" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (has(rows[i].text) != -1)
            printf("# %s is a filter\n", rows[i].text);
        CHECK_INT(has(rows[i].text), -1);
        CHECK(strstr(problem.text, rows[i].why));
    }
    char deep[200];
    memset(deep, '(', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    CHECK_INT(has(deep), -1);
}

TEST(what_a_filter_does_not_have_is_taken_back)
{
    CLEANUP(arena_fini) struct arena arena = { 0 };
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct json_out out = { .buf = &text };
    struct consul_filter *filter = NULL;
    CHECK_INT(consul_filter_parse(&arena, SPAN("Port != 2"), NULL, &filter, &problem), 0);
    json_open(&out, '{');
    for (unsigned port = 1; port <= 3; port++) {
        struct filter_mark mark =
            consul_filter_begin_member(&out, port == 1 ? SPAN("{") : SPAN("x"));
        json_open(&out, '{');
        json_key(&out, SPAN("Port"));
        json_uint(&out, port);
        json_close(&out, '}');
        CHECK(consul_filter_end(filter, &out, mark) == (port != 2));
    }
    json_close(&out, '}');
    buf_put(&text, SPAN("\0"));
    CHECK_STR(text.data, "{\"{\":{\"Port\":1},\"x\":{\"Port\":3}}");
}

/* --- how much work it may be --- */

/* Ten milliseconds pass between two looks at it. */
static nsec slow_now(struct clock *clock)
{
    return container_of(clock, struct fake_clock, clock)->now += 10 * NSEC_PER_MSEC;
}

static struct consul_filter *slow_filter(struct arena *arena, struct fake_clock *clock,
                                         const char *text)
{
    struct consul_filter *filter = NULL;
    fake_clock_init(clock);
    clock->clock.now = slow_now;
    CHECK_INT(consul_filter_parse(arena, span_of(text), &clock->clock, &filter, &problem), 0);
    CHECK(!consul_filter_gave_up(filter));
    return filter;
}

TEST(all_matches_together_have_a_time)
{
    CLEANUP(arena_fini) struct arena arena = { 0 };
    struct fake_clock clock;
    struct consul_filter *filter =
        slow_filter(&arena, &clock, "Service.Port == 1 or Service.ID matches \"^web\"");
    for (unsigned i = 0; i < 5; i++) {
        CHECK(consul_filter_has(filter, SPAN(ENTRY)));
        CHECK(!consul_filter_gave_up(filter));
    }
    consul_filter_has(filter, SPAN(ENTRY));
    CHECK(consul_filter_gave_up(filter));
    CHECK(!consul_filter_has(filter, SPAN(ENTRY)));
    CHECK(!consul_filter_gave_up(NULL));
}

TEST(a_match_that_is_given_up_is_no_answer)
{
    CLEANUP(arena_fini) struct arena arena = { 0 };
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct fake_clock clock;
    buf_puts(&text, "{\"Output\":\"");
    for (unsigned i = 0; i < 4096; i++)
        buf_puts(&text, "a");
    buf_puts(&text, "\"}");
    struct consul_filter *filter =
        slow_filter(&arena, &clock, "not Output matches \"(?:a|a|a){8}[bc]\"");
    consul_filter_has(filter, buf_span(&text));
    CHECK(consul_filter_gave_up(filter));
    CHECK(!consul_filter_has(filter, SPAN("{}")));
}
