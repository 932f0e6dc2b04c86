/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/field_rules.h"

_Static_assert(HTTP_N_NAMES <= 64, "a set of names is a word");

static void take_out(struct field_rules *rules, struct span *names, struct span name)
{
    enum http_name id = http_name_find(name);
    if (id != HTTP_OTHER) {
        rules->known |= (uint64_t)1 << id;
    } else {
        names[rules->n_names++] = name;
    }
}

static void put_in(struct field_rules *rules, struct http_out_field *fields, struct arena *arena,
                   const struct gateway_fields *from)
{
    for (unsigned i = 0; i < from->n; i++) {
        fields[rules->n_fields++] = (struct http_out_field){
            arena_span_dup(arena, span_of(from->fields[i].name)),
            arena_span_dup(arena, span_of(from->fields[i].value)),
        };
    }
}

static struct span make_lines(const struct field_rules *rules, struct arena *arena)
{
    size_t capacity = 0;
    for (unsigned i = 0; i < rules->n_fields; i++)
        capacity += rules->fields[i].name.size + rules->fields[i].value.size + sizeof(": \r\n");
    struct http1_out out = { .data = arena_alloc(arena, capacity + 1, 1), .capacity = capacity };
    for (unsigned i = 0; i < rules->n_fields; i++)
        http1_put_field(&out, rules->fields[i].name, rules->fields[i].value);
    return (struct span){ out.data, out.size };
}

void field_rules_compile(const struct gateway_field_rules *settings, struct arena *arena,
                         struct field_rules *ret_rules)
{
    const struct gateway_fields *set = &settings->set, *add = &settings->add;
    struct field_rules *rules = ret_rules;
    *rules = (struct field_rules){ 0 };
    unsigned n_names = set->n + settings->remove.n;
    struct span *names = arena_new_array(arena, struct span, n_names + 1);
    rules->names = names;
    for (unsigned i = 0; i < set->n; i++)
        take_out(rules, names, arena_span_dup(arena, span_of(set->fields[i].name)));
    for (unsigned i = 0; i < settings->remove.n; i++)
        take_out(rules, names, arena_span_dup(arena, span_of(settings->remove.texts[i])));

    struct http_out_field *fields =
        arena_new_array(arena, struct http_out_field, set->n + add->n + 1);
    rules->fields = fields;
    put_in(rules, fields, arena, set);
    put_in(rules, fields, arena, add);
    rules->lines = make_lines(rules, arena);
}

bool field_rules_name(const struct field_rules *rules, struct span name)
{
    for (unsigned i = 0; i < rules->n_names; i++) {
        if (span_equals_nocase(rules->names[i], name))
            return true;
    }
    return false;
}
