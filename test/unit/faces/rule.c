/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/rule.h"

#include "check.h"

static struct arena arena;

static struct pattern *pattern_of(const char *text)
{
    struct pattern *pattern;
    struct problem problem;
    CHECK_INT(pattern_parse(&arena, span_of(text), PATTERN_WHOLE, &pattern, &problem), 0);
    return pattern;
}

static const struct span tags[] = { SPAN("primary"), SPAN("release-7"), SPAN("release-1.4.2") };
static const struct consul_pair meta[] = { { SPAN("Zone"), SPAN("eu") },
                                           { SPAN("Image"), SPAN("pay:2.5-slim") } };
static const struct consul_saying saying = {
    .name = SPAN("Pay.Ments"),
    .service = SPAN("pay-ments"),
    .id = SPAN("pay-v3.1-abc"),
    .address = SPAN("10.2.0.1:8080"),
    .tags = tags,
    .n_tags = 3,
    .meta = meta,
    .n_meta = 2,
};

static const char *version_by(const struct consul_rule *rules, size_t n, bool overrides)
{
    static char text[SEMVER_TEXT_MAX + 1];
    const struct consul_rules all = { rules, n };
    text[consul_rules_version(&all, overrides, &saying, text)] = '\0';
    return text;
}

static const char *version(const char *service, enum consul_source from, const char *key,
                           const char *match, const char *form)
{
    const struct consul_rule rule = { .service = service,
                                      .from = from,
                                      .key = key,
                                      .match = match ? pattern_of(match) : NULL,
                                      .version = form };
    return version_by(&rule, 1, false);
}

TEST(each_source)
{
    CHECK_STR(version(NULL, FROM_ID, NULL, ".*-v(\\d+\\.\\d+)-.*", "$1"), "3.1.0");
    CHECK_STR(version(NULL, FROM_NAME, NULL, "Pay\\.Ments", "4"), "4.0.0");
    CHECK_STR(version(NULL, FROM_ADDRESS, NULL, "10\\.(\\d+)\\..*", "$1.0.0"), "2.0.0");
    CHECK_STR(version(NULL, FROM_TAG, NULL, "release-(\\d+\\..*)", "$1"), "1.4.2");
    CHECK_STR(version(NULL, FROM_TAG, NULL, "release-(.*)", "$1"), "7.0.0");
    CHECK_STR(version(NULL, FROM_META, "image", ".*:([^-]*).*", "$1"), "2.5.0");
    CHECK_STR(version(NULL, FROM_META, "none", ".*", "1"), "");
    CHECK_STR(version(NULL, FROM_ID, NULL, NULL, "1.9"), "1.9.0");
    CHECK_STR(version(NULL, FROM_ID, NULL, "v(\\d+)", "$1"), ""); /* all of it, not a part */
    CHECK_STR(version(NULL, FROM_ID, NULL, ".*", "$0"), "");      /* what is no version is none */
    arena_fini(&arena);
}

TEST(a_service_by_its_name)
{
    static const char *const good[] = { NULL,        "*",      "pay*", "PAY.ments",
                                        "pay-ments", "*ments", "p*s",  "p*a*n*" };
    static const char *const bad[] = { "", "pay", "*pay", "pays*", "p*x", "pay-ments-2", "p?y*" };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK_STR(version(good[i], FROM_ID, NULL, NULL, "1"), "1.0.0");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_STR(version(bad[i], FROM_ID, NULL, NULL, "1"), "");
}

TEST(the_first_that_says_something_counts)
{
    const struct consul_rule rules[] = {
        { .service = "other", .version = "1" },
        { .protocol = "thrift" },
        { .match = pattern_of(".*"), .version = "$0" },
        { .version = "5", .overrides = true },
        { .version = "2" },
        { .version = "3" },
    };
    CHECK_STR(version_by(rules, 6, false), "2.0.0");
    CHECK_STR(version_by(rules, 6, true), "5.0.0");
    CHECK_STR(version_by(rules, 0, false), "");
    arena_fini(&arena);
}

TEST(protocols)
{
    const struct consul_rule rules[] = {
        { .service = "other", .protocol = "grpc" },
        { .from = FROM_TAG, .match = pattern_of("primary"), .protocol = "thrift" },
        { .protocol = "http" },
    };
    const struct consul_rules all = { rules, 3 };
    CHECK(span_is(consul_rules_protocol(&all, false, &saying), "thrift"));
    CHECK(!consul_rules_protocol(&all, true, &saying).data);
    CHECK(!consul_rules_protocol(NULL, false, &saying).data);
    arena_fini(&arena);
}

static struct buf written_of(const struct consul_rule *rules, size_t n)
{
    const struct consul_rules all = { rules, n };
    struct buf text = { 0 };
    consul_rules_write(&all, &text);
    return text;
}

TEST(rules_are_told_from_others)
{
    const struct consul_rule rules[][2] = {
        { { .version = "1" } },
        { { .version = "2" } },
        { { .protocol = "1" } },
        { { .version = "1", .overrides = true } },
        { { .version = "1", .service = "" } },
        { { .version = "1", .service = "a" } },
        { { .version = "1", .service = ",1:a" } },
        { { .version = "1", .match = pattern_of("a") } },
        { { .version = "1", .match = pattern_of("b") } },
        { { .version = "1", .match = pattern_of("a"), .from = FROM_TAG } },
        { { .version = "1", .match = pattern_of("a"), .from = FROM_META, .key = "a" } },
        { { .version = "1", .match = pattern_of("a"), .from = FROM_META, .key = "b" } },
        { { .version = "1" }, { .version = "2" } },
        { { .version = "2" }, { .version = "1" } },
    };
    const size_t n = sizeof(rules) / sizeof(rules[0]);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            CLEANUP(buf_fini) struct buf one = written_of(rules[i], i < n - 2 ? 1 : 2);
            CLEANUP(buf_fini) struct buf other = written_of(rules[j], j < n - 2 ? 1 : 2);
            CHECK(span_equals(buf_span(&one), buf_span(&other)) == (i == j));
        }
    }
    CLEANUP(buf_fini) struct buf none = { 0 };
    consul_rules_write(NULL, &none);
    CHECK_INT(none.size, 0);
    arena_fini(&arena);
}
