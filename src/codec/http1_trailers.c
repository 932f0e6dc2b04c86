/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/http1_meaning.h"
#include "codec/http1_names.h"

/* Longer than any name that is forbidden. */
#define FOLDED_MAX 32u

/* To a Rack or CGI application "Content_Length" is a forbidden name too. */
static struct span fold_name(struct span name, char memory[FOLDED_MAX])
{
    size_t size = name.size < FOLDED_MAX ? name.size : FOLDED_MAX;
    for (size_t i = 0; i < size; i++)
        memory[i] = (char)(name.data[i] == '_' ? '-' : name.data[i]);
    return (struct span){ memory, size };
}

/* Whether a field may stand behind a body and be passed on (RFC 9110 section 6.5.1). Names we
 * know are all forbidden there, except two; so are whole families of others. */
static bool is_trailer(const struct http_field *field)
{
    static const struct span families[] = {
        SPAN("content-"),
        SPAN("proxy-"),
        SPAN("sarsen-"),
        SPAN("x-forwarded-"),
    };
    static const struct span names[] = {
        SPAN("authentication-info"),
        SPAN("if-range"),
        SPAN("if-unmodified-since"),
        SPAN("pragma"),
        SPAN("range"),
        SPAN("retry-after"),
        SPAN("warning"),
        SPAN("www-authenticate"),
        SPAN("x-real-ip"),
    };
    if (field->id != HTTP_OTHER)
        return field->id == HTTP_ETAG || field->id == HTTP_GRPC_STATUS;
    char memory[FOLDED_MAX];
    struct span name = field->name;
    if (field->has_underscore) {
        name = fold_name(name, memory);
        if (http_name_find(name) != HTTP_OTHER)
            return false;
    }
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (span_equals_nocase(span_first(name, families[i].size), families[i]))
            return false;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (http1_value_is(name, names[i]))
            return false;
    }
    return true;
}

void http1_drop_forbidden_trailers(struct http_head *head)
{
    unsigned n_kept = 0;
    memset(head->by_name, 0, sizeof(head->by_name));
    for (unsigned i = 0; i < head->n_fields; i++) {
        struct http_field field = head->fields[i];
        if (!is_trailer(&field))
            continue;
        head->fields[n_kept++] = field;
        if (field.id != HTTP_OTHER && !head->by_name[field.id])
            head->by_name[field.id] = (uint8_t)n_kept;
    }
    head->n_fields = n_kept;
}
