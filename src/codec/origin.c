/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/origin.h"

#define ANY_LABEL "*."

/* A scheme and a host with the port that is not the scheme's. */
struct origin {
    bool is_tls;
    struct span authority;
};

/* A scheme's own port says nothing. */
static struct span without_port(struct span authority, bool is_tls)
{
    struct span port = is_tls ? SPAN(":443") : SPAN(":80");
    if (span_ends_with(authority, port))
        authority.size -= port.size;
    return authority;
}

static bool origin_parse(struct span text, struct origin *ret_origin)
{
    bool is_tls = span_equals_nocase(span_first(text, 8), SPAN("https://"));
    if (!is_tls && !span_equals_nocase(span_first(text, 7), SPAN("http://")))
        return false;
    struct span authority = span_from(text, is_tls ? 8 : 7);
    *ret_origin = (struct origin){ is_tls, without_port(authority, is_tls) };
    return authority.size > 0;
}

static bool is_matched(const struct origin *origin, struct span pattern)
{
    struct origin wanted;
    if (span_is(pattern, "*"))
        return true;
    if (!origin_parse(pattern, &wanted) || wanted.is_tls != origin->is_tls)
        return false;
    struct span name = origin->authority;
    if (span_starts_with(wanted.authority, SPAN(ANY_LABEL))) {
        size_t label = span_find(name, '.');
        if (!label || label == name.size)
            return false;
        name = span_from(name, label);
        wanted.authority = span_from(wanted.authority, 1);
    }
    return span_equals_nocase(name, wanted.authority);
}

bool origin_is_allowed(struct span origin, struct span authority, struct span list)
{
    struct origin asked = { 0 };
    bool is_one = origin_parse(origin, &asked);
    if (is_one && span_equals_nocase(asked.authority, without_port(authority, asked.is_tls)))
        return true;
    while (list.size) {
        struct span member = span_trim(span_cut(&list, ','));
        if (span_is(member, "*") || (is_one && is_matched(&asked, member)))
            return true;
    }
    return false;
}

static bool is_host_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == ':' ||
           c == '[' || c == ']';
}

static bool pattern_is_valid(struct span pattern)
{
    struct origin origin;
    if (span_is(pattern, "*"))
        return true;
    if (!origin_parse(pattern, &origin))
        return false;
    struct span name = origin.authority;
    if (span_starts_with(name, SPAN(ANY_LABEL)))
        name = span_from(name, sizeof(ANY_LABEL) - 1);
    for (size_t i = 0; i < name.size; i++) {
        if (!is_host_byte(name.data[i]))
            return false;
    }
    return name.size > 0;
}

bool origins_are_valid(struct span list)
{
    while (list.size) {
        if (!pattern_is_valid(span_trim(span_cut(&list, ','))))
            return false;
    }
    return true;
}
