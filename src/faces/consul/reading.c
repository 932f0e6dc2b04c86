/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/reading.h"

#include "faces/consul/version.h"

#define PROTOCOL_MAX 16u

/* What frameworks say of how an instance is spoken to. */
struct spoken {
    struct span word;    /* SPAN_NULL: nothing */
    struct span address; /* of a URL; SPAN_NULL: nothing */
    bool is_secure;
};

/* "protocol:thrift", as those of CloudWeGo write their tags. */
static struct span protocol_of_tags(const struct consul_saying *saying)
{
    struct span prefix = SPAN("protocol");
    for (size_t i = 0; i < saying->n_tags; i++) {
        struct span tag = saying->tags[i];
        if (!span_starts_with(tag, prefix) || tag.size < prefix.size + 2)
            continue;
        char between = tag.data[prefix.size];
        if (between == ':' || between == '=')
            return span_from(tag, prefix.size + 1);
    }
    return SPAN_NULL;
}

/* An address that is a URL of the scheme it is named by, as Kratos has them: what is behind "://". */
static bool find_url(const Consul__ServiceRecord *record, const char *scheme, struct span *ret_rest)
{
    for (size_t i = 0; i < record->n_tagged; i++) {
        struct span url = span_of(record->tagged[i]->address);
        struct span after = span_from(url, strlen(scheme));
        if (strcmp(record->tagged[i]->name, scheme) != 0 ||
            !span_starts_with(url, span_of(scheme)) || !span_starts_with(after, SPAN("://")) ||
            after.size <= 3)
            continue;
        *ret_rest = span_from(after, 3);
        return true;
    }
    return false;
}

static const char *const schemes[] = { "http", "https", "grpc" };
#define N_SCHEMES (sizeof(schemes) / sizeof(schemes[0]))

static bool take_url(const Consul__ServiceRecord *record, const char *scheme, struct spoken *spoken)
{
    struct span rest;
    if (!find_url(record, scheme, &rest))
        return false;
    spoken->address = span_first(rest, strcspn(rest.data, "/?"));
    spoken->is_secure = strstr(rest.data, "isSecure=true") != NULL;
    spoken->word = span_of(scheme);
    return true;
}

/* Such a URL, a word of the metadata, or a tag. */
static struct spoken find_spoken(const Consul__ServiceRecord *record,
                                 const struct consul_saying *saying)
{
    struct spoken spoken = { .word = protocol_of_tags(saying) };
    for (size_t i = 0; i < saying->n_meta; i++) {
        struct span key = saying->meta[i].key, value = saying->meta[i].value;
        if (span_equals_nocase(key, SPAN("protocol")) && value.size)
            spoken.word = value;
        spoken.is_secure |= span_equals_nocase(key, SPAN("secure")) && span_is(value, "true");
    }
    size_t i = 0;
    while (i < N_SCHEMES && !take_url(record, schemes[i], &spoken))
        i++;
    return spoken;
}

/* What a rule says holds, and where there is a URL for it, requests go there. */
static struct spoken overridden(const Consul__ServiceRecord *record, struct span word)
{
    struct spoken spoken = { 0 };
    for (size_t i = 0; i < N_SCHEMES; i++) {
        struct span rest = word, scheme = span_cut(&rest, '+');
        if (span_is(scheme, schemes[i]) && take_url(record, schemes[i], &spoken))
            break;
    }
    spoken.word = word;
    return spoken;
}

/* A word of the registry's: in small letters, and without what it has not. Whoever says "HTTP/1.1"
 * is registered all the same, and listed. */
static struct span word_of(struct arena *arena, struct span word)
{
    char *text = arena_alloc(arena, PROTOCOL_MAX + 1, 1);
    size_t size = 0;
    for (size_t i = 0; i < word.size && size < PROTOCOL_MAX; i++) {
        char c = word.data[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c + ('a' - 'A'));
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+')
            text[size++] = c;
    }
    return (struct span){ text, size };
}

static struct span protocol_of(struct arena *arena, const struct spoken *spoken,
                               const struct consul_rules *rules, const struct consul_saying *saying)
{
    struct span word = word_of(arena, spoken->word);
    if (!word.size)
        word = consul_rules_protocol(rules, false, saying);
    if (!word.size)
        word = SPAN("http");
    if (spoken->is_secure && span_is(word, "http"))
        return SPAN("https");
    return spoken->is_secure && span_is(word, "grpc") ? SPAN("grpc+tls") : word;
}

/* An address without brackets may be of IPv6. */
static struct span address_of(struct arena *arena, const Consul__ServiceRecord *record)
{
    bool is_ipv6 = strchr(record->address, ':') && record->address[0] != '[';
    return span_of(
        arena_format(arena, is_ipv6 ? "[%s]:%u" : "%s:%u", record->address, record->port));
}

static struct consul_saying saying_of(struct arena *arena, const Consul__ServiceRecord *record)
{
    struct span *tags = arena_new_array(arena, struct span, record->n_tags + 1);
    struct consul_pair *pairs = arena_new_array(arena, struct consul_pair, record->n_meta + 1);
    for (size_t i = 0; i < record->n_tags; i++)
        tags[i] = span_of(record->tags[i]);
    for (size_t i = 0; i < record->n_meta; i++)
        pairs[i] =
            (struct consul_pair){ span_of(record->meta[i]->key), span_of(record->meta[i]->value) };
    return (struct consul_saying){
        .name = span_of(record->name),
        .service = span_of(record->service),
        .id = span_of(record->instance),
        .address = address_of(arena, record),
        .tags = tags,
        .n_tags = record->n_tags,
        .meta = pairs,
        .n_meta = record->n_meta,
    };
}

static struct span version_of(struct arena *arena, const struct consul_rules *rules,
                              const struct consul_saying *saying)
{
    char *text = arena_alloc(arena, SEMVER_TEXT_MAX, 1);
    size_t size = consul_rules_version(rules, true, saying, text);
    if (!size)
        size = consul_version_find(saying, text);
    if (!size)
        size = consul_rules_version(rules, false, saying, text);
    return (struct span){ text, size };
}

void consul_instance_read(struct arena *arena, const Consul__ServiceRecord *record,
                          const struct consul_rules *rules, struct instance_spec *ret_spec)
{
    struct consul_saying saying = saying_of(arena, record);
    struct span ruled = consul_rules_protocol(rules, true, &saying);
    struct spoken spoken = ruled.data ? overridden(record, ruled) : find_spoken(record, &saying);
    struct instance_meta *meta = arena_new_array(arena, struct instance_meta, record->n_meta + 1);
    for (size_t i = 0; i < record->n_meta; i++)
        meta[i] = (struct instance_meta){ record->meta[i]->key, record->meta[i]->value };
    struct span service = span_of(record->service);
    *ret_spec = (struct instance_spec){
        .service = service,
        .id = span_of(record->instance),
        .address = spoken.address.data ? spoken.address : saying.address,
        .protocol = protocol_of(arena, &spoken, rules, &saying),
        .build = { .service = service, .version = version_of(arena, rules, &saying) },
        .meta = meta,
        .n_meta = (unsigned)record->n_meta,
    };
}
