/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/settings_rules.h"

#include "check.h"

static struct settings *settings;

static const char *parse(const char *yaml)
{
    static char text[600];
    struct problem problem = { 0 };
    settings = settings_free(settings);
    if (settings_parse(span_of(yaml), NULL, &settings, &problem) == 0)
        return "";
    snprintf(text, sizeof(text), "%u: %s %s", problem.line, problem.path, problem.text);
    return text;
}

TEST(rules_as_they_are_written)
{
    CHECK_STR(
        parse("registration:\n"
              "  rules:\n"
              "  - { service: 'pay*', from: id, match: '.*-v(\\d+)', version: $1.0 }\n"
              "  - { service: kitex, protocol: thrift, override: true }\n"
              "  - { from: meta.Image, match: '.*:(.*)', version: $1, protocol: grpc+tls }\n"),
        "");
    CHECK_INT(settings->rules.n, 3);
    const struct consul_rule *rules = settings->rules.rules;
    CHECK_STR(rules[0].service, "pay*");
    CHECK_INT(rules[0].from, FROM_ID);
    CHECK(pattern_matches(rules[0].match, SPAN("pay-v7")));
    CHECK_STR(rules[0].version, "$1.0");
    CHECK(!rules[0].protocol && !rules[0].overrides);
    CHECK(!rules[1].match && !rules[1].version && rules[1].overrides);
    CHECK_STR(rules[1].protocol, "thrift");
    CHECK(!rules[2].service);
    CHECK_INT(rules[2].from, FROM_META);
    CHECK_STR(rules[2].key, "Image");
    CHECK_STR(parse("registration.rules: []\n"), "");
    CHECK_INT(settings->rules.n, 0);
    settings = settings_free(settings);
}

#define RULE(text) parse("registration:\n  rules:\n  - { " text " }\n")

TEST(each_refusal_says_where_and_what)
{
    CHECK_STR(parse("registration: { rules: x }"),
              "1: registration.rules is \"x\"; a list of rules is accepted");
    CHECK_STR(parse("registration.rules:\n- x\n"),
              "2: registration.rules is \"x\"; a section with version or protocol is accepted");
    CHECK_STR(RULE("service: a"),
              "3: registration.rules has a rule that says nothing; version, protocol, or both are "
              "needed");
    CHECK_STR(RULE("version: 1.0"),
              "3: registration.rules has a rule that holds for everything; service, match, or both "
              "are needed");
    CHECK_STR(RULE("match: a, version: 1.0"),
              "3: from is missing; what `match` matches is one of id, name, address, tag or "
              "meta.KEY");
    CHECK_STR(RULE("service: a, from: id, version: 1.0"),
              "3: match is missing; `from` needs what to match");
    CHECK_STR(RULE("from: host, match: a, version: 1.0"),
              "3: from is \"host\"; id, name, address, tag or meta.KEY is accepted");
    CHECK_STR(RULE("from: meta., match: a, version: 1.0"),
              "3: from is \"meta.\"; id, name, address, tag or meta.KEY is accepted");
    CHECK_STR(RULE("from: id, match: 'a(b', version: 1.0"),
              "3: match is wrong at byte 4: missing closing parenthesis");
    CHECK_STR(RULE("from: id, match: '(a)', version: $2"),
              "3: version is \"$2\"; a version, or one with groups that `match` has, such as $1.$2 "
              "is accepted");
    CHECK_STR(RULE("service: a, version: $1"),
              "3: version is \"$1\"; a version, or one with groups that `match` has, such as $1.$2 "
              "is accepted");
    CHECK_STR(RULE("service: a, version: latest"),
              "3: version is \"latest\"; a version, or one with groups that `match` has, such as "
              "$1.$2 is accepted");
    CHECK_STR(RULE("service: a, protocol: Thrift"),
              "3: protocol is \"Thrift\"; up to 16 small letters, digits and +, such as grpc or "
              "thrift is accepted");
    CHECK_STR(RULE("service: a, version: 1, override: 1"),
              "3: override is \"1\"; true, false is accepted");
    CHECK_STR(RULE("service: a, builds: 1"),
              "3: builds is not known in a rule; accepted are service, from, match, version, "
              "protocol and override");
    CHECK_STR(RULE("service: '', version: 1"),
              "3: service is \"\"; a name, in which * is any text is accepted");
}

TEST(there_is_an_end_to_them)
{
    static char yaml[16384] = "registration.rules:\n";
    size_t size = strlen(yaml);
    for (unsigned i = 0; i < CONSUL_RULES_MAX + 1; i++)
        size += (size_t)sprintf(yaml + size, "- { service: s%u, version: 1 }\n", i);
    CHECK_STR(parse(yaml), "2: registration.rules is \"longer\"; 256 at most is accepted");
}
