#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Properties of parsed heads that requests and responses share.
 */

#include "codec/http1.h"
#include "property.h"

static inline bool is_inside(struct span part, struct span whole)
{
    return !part.size ||
           (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static inline void check_fields(const struct http_head *head, struct span bytes)
{
    PROPERTY(head->size <= bytes.size && head->size >= 4);
    PROPERTY(memcmp(bytes.data + head->size - 4, "\r\n\r\n", 4) == 0);
    PROPERTY(head->n_fields <= HTTP1_MAX_FIELDS);
    uint8_t first[HTTP_N_NAMES] = { 0 };
    for (unsigned i = 0; i < head->n_fields; i++) {
        const struct http_field *field = &head->fields[i];
        PROPERTY(is_inside(field->name, bytes) && is_inside(field->value, bytes));
        PROPERTY(http_is_token(field->name) && http_is_field_value(field->value));
        PROPERTY(http_name_find(field->name) == field->id);
        if (field->id != HTTP_OTHER)
            PROPERTY(span_equals_nocase(field->name, http_name_text(field->id)));
        PROPERTY(field->has_underscore == (span_find(field->name, '_') < field->name.size));
        struct span line = http_field_line(field);
        if (field->is_canonical)
            PROPERTY(memcmp(field->value.data - 2, ": ", 2) == 0 && is_inside(line, bytes) &&
                     memcmp(line.data + line.size - 2, "\r\n", 2) == 0);
        if (!first[field->id])
            first[field->id] = (uint8_t)(i + 1);
    }
    first[HTTP_OTHER] = 0;
    PROPERTY(memcmp(first, head->by_name, sizeof(first)) == 0);
}

static inline void put_fields(struct http1_out *out, const struct http_head *head)
{
    for (unsigned i = 0; i < head->n_fields; i++)
        http1_put_parsed(out, &head->fields[i]);
    http1_put_end(out);
    PROPERTY(!out->is_full);
}

/* What was parsed, written and parsed again means the same. */
static inline void check_same(const struct http_head *a, const struct http_head *b)
{
    PROPERTY(span_equals(a->method, b->method) && span_equals(a->target, b->target));
    PROPERTY(span_equals(a->path_and_query, b->path_and_query));
    PROPERTY(span_equals(a->authority, b->authority) && a->form == b->form);
    PROPERTY(a->status == b->status && a->framing == b->framing);
    PROPERTY(a->framing != HTTP_BODY_LENGTH || a->content_length == b->content_length);
    PROPERTY(a->n_fields == b->n_fields && a->accepts_trailers == b->accepts_trailers);
    for (unsigned i = 0; i < a->n_fields; i++) {
        PROPERTY(span_equals(a->fields[i].name, b->fields[i].name));
        PROPERTY(span_equals(a->fields[i].value, b->fields[i].value));
        PROPERTY(a->fields[i].is_hop_by_hop == b->fields[i].is_hop_by_hop);
    }
}
