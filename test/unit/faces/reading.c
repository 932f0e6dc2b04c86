/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/reading.h"

#include "check.h"

static struct arena arena;

static char *copy(struct span text)
{
    return arena_format(&arena, "%.*s", SPAN_ARG(text));
}

/* Texts with "=" are metadata, with "://" a tagged address of that scheme, the others tags. */
static struct instance_spec read_by(const struct consul_rules *rules, const char *texts)
{
    Consul__ServiceRecord record;
    consul__service_record__init(&record);
    record.name = record.service = arena_strdup(&arena, "pay");
    record.instance = arena_strdup(&arena, "pay-1");
    record.address = arena_strdup(&arena, "10.0.0.1");
    record.port = 80;
    record.tags = arena_new_array(&arena, char *, 8);
    record.meta = arena_new_array(&arena, Consul__MetaRecord *, 8);
    record.tagged = arena_new_array(&arena, Consul__AddressRecord *, 8);
    struct span rest = span_of(texts);
    while (rest.size) {
        struct span text = span_cut(&rest, ' '), value = text, scheme = text;
        struct span key = span_cut(&value, '='), name = span_cut(&scheme, ':');
        if (scheme.data && span_starts_with(scheme, SPAN("//"))) {
            Consul__AddressRecord *address = arena_new(&arena, Consul__AddressRecord);
            consul__address_record__init(address);
            address->name = copy(name);
            address->address = copy(text);
            record.tagged[record.n_tagged++] = address;
        } else if (value.data) {
            Consul__MetaRecord *pair = arena_new(&arena, Consul__MetaRecord);
            consul__meta_record__init(pair);
            pair->key = copy(key);
            pair->value = copy(value);
            record.meta[record.n_meta++] = pair;
        } else {
            record.tags[record.n_tags++] = copy(text);
        }
    }
    struct instance_spec spec;
    consul_instance_read(&arena, &record, rules, &spec);
    return spec;
}

static const char *spoken(const struct consul_rules *rules, const char *texts)
{
    static char text[64];
    struct instance_spec spec = read_by(rules, texts);
    snprintf(text, sizeof(text), "%.*s %.*s", SPAN_ARG(spec.protocol), SPAN_ARG(spec.address));
    arena_fini(&arena);
    return text;
}

TEST(how_an_instance_is_spoken_to)
{
    CHECK_STR(spoken(NULL, ""), "http 10.0.0.1:80");
    CHECK_STR(spoken(NULL, "protocol:thrift"), "thrift 10.0.0.1:80");
    CHECK_STR(spoken(NULL, "protocolx protocol: protocol:TTHeader"), "ttheader 10.0.0.1:80");
    CHECK_STR(spoken(NULL, "protocol:thrift Protocol=grpc"), "grpc 10.0.0.1:80");
    CHECK_STR(spoken(NULL, "protocol=grpc secure=true"), "grpc+tls 10.0.0.1:80");
    CHECK_STR(spoken(NULL, "secure=true"), "https 10.0.0.1:80");
    CHECK_STR(spoken(NULL, "secure=false"), "http 10.0.0.1:80");
    CHECK_STR(spoken(NULL, "grpc://10.0.0.2:90?isSecure=false http://10.0.0.2:91?isSecure=false"),
              "http 10.0.0.2:91");
    CHECK_STR(spoken(NULL, "grpc://10.0.0.2:90?isSecure=true"), "grpc+tls 10.0.0.2:90");
    CHECK_STR(spoken(NULL, "protocol=mucp"), "mucp 10.0.0.1:80");
}

/* What the registry has no word for is no reason to refuse a registration. */
TEST(a_word_is_made_one_of_the_registry)
{
    CHECK_STR(spoken(NULL, "protocol:tt-header_framed"), "ttheaderframed 10.0.0.1:80");
    CHECK_STR(spoken(NULL, "protocol:a-name-that-is-longer-than-any"),
              "anamethatislonge 10.0.0.1:80");
    CHECK_STR(spoken(NULL, "protocol:--"), "http 10.0.0.1:80");
}

TEST(rules_come_behind_what_is_said_unless_they_override)
{
    const struct consul_rule behind = { .version = "9", .protocol = "thrift" };
    const struct consul_rule before = { .version = "9", .protocol = "thrift", .overrides = true };
    const struct consul_rules b = { &behind, 1 }, o = { &before, 1 };
    CHECK_STR(spoken(&b, ""), "thrift 10.0.0.1:80");
    CHECK_STR(spoken(&b, "protocol=grpc"), "grpc 10.0.0.1:80");
    CHECK_STR(spoken(&o, "protocol=grpc secure=true"), "thrift 10.0.0.1:80");
    CHECK(span_is(read_by(NULL, "").build.version, ""));
    CHECK(span_is(read_by(&b, "").build.version, "9.0.0"));
    CHECK(span_is(read_by(&b, "version=latest").build.version, "9.0.0"));
    CHECK(span_is(read_by(&b, "version=1.2").build.version, "1.2.0"));
    CHECK(span_is(read_by(&o, "version=1.2").build.version, "9.0.0"));
    arena_fini(&arena);
}

/* Kratos registers a URL for each of its servers; which of them is called is the operator's. */
TEST(a_rule_that_overrides_chooses_among_urls)
{
    static const char both[] =
        "http://10.0.0.2:91?isSecure=false grpc://10.0.0.2:90?isSecure=true secure=true";
    const struct consul_rule rule = { .protocol = "grpc", .overrides = true };
    const struct consul_rule tls = { .protocol = "grpc+tls", .overrides = true };
    const struct consul_rule other = { .protocol = "thrift", .overrides = true };
    const struct consul_rules rules = { &rule, 1 }, with_tls = { &tls, 1 }, others = { &other, 1 };
    CHECK_STR(spoken(&rules, both), "grpc+tls 10.0.0.2:90");
    CHECK_STR(spoken(&with_tls, both), "grpc+tls 10.0.0.2:90");
    CHECK_STR(spoken(&others, both), "thrift 10.0.0.1:80");
    CHECK_STR(spoken(&rules, "http://10.0.0.2:91?isSecure=false"), "grpc 10.0.0.1:80");
}
