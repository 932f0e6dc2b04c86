/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Bodies: JSON objects held to the field tables of the spec. A field that nobody knows, is absent
 * though required, or has the wrong shape is refused with its path, what was found and what is
 * accepted; after that, readers need no checks.
 */

#include "api/call.h"

#include "codec/uri.h"

static const char *const kind_accepts[] = {
    [API_TEXT] = "a text",
    [API_BOOL] = "true or false",
    [API_UINT] = "a whole number from 0 on",
    [API_PERCENT] = "a number from 0 to 100",
    [API_DURATION] = "a duration such as \"10s\" or \"1h30m\"",
    [API_MAP] = "an object whose values are texts",
    [API_TEXTS] = "a list of texts",
    [API_OBJECTS] = "a list of objects",
};

static bool check_object(json_t *object, const struct api_field *fields, const char *path,
                         struct problem *problem);

static void refuse(struct problem *problem, const char *path, const json_t *found,
                   const char *accepts)
{
    char *text = found ? json_dumps(found, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    problem_set(problem, path, "is %.100s; %s is accepted", text ? text : "absent", accepts);
    free(text);
}

static bool is_text(const json_t *value)
{
    return json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value);
}

static bool is_map(json_t *value)
{
    if (!json_is_object(value))
        return false;
    const char *key;
    json_t *member;
    json_object_foreach(value, key, member)
    {
        if (!is_text(member))
            return false;
    }
    return true;
}

static bool is_texts(const json_t *value)
{
    if (!json_is_array(value))
        return false;
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!is_text(json_array_get(value, i)))
            return false;
    }
    return true;
}

static bool is_duration(const json_t *value)
{
    nsec duration;
    return is_text(value) && !duration_parse(span_of(json_string_value(value)), &duration);
}

/* 30 or "30": a duration that lacks its unit. */
static bool is_count(const json_t *value)
{
    uint64_t count;
    return json_is_number(value) ||
           (is_text(value) && span_to_uint(span_of(json_string_value(value)), UINT64_MAX, &count));
}

static bool has_kind(json_t *value, enum api_kind kind)
{
    switch (kind) {
    case API_TEXT: return is_text(value);
    case API_BOOL: return json_is_boolean(value);
    case API_UINT: return json_is_integer(value) && json_integer_value(value) >= 0;
    case API_PERCENT:
        return json_is_number(value) && json_number_value(value) >= 0 &&
               json_number_value(value) <= 100;
    case API_DURATION: return is_duration(value);
    case API_MAP: return is_map(value);
    case API_TEXTS: return is_texts(value);
    case API_OBJECTS: return json_is_array(value);
    }
    return false;
}

static bool check_field(json_t *value, const struct api_field *field, const char *path,
                        struct problem *problem)
{
    if (field->kind == API_DURATION && is_count(value)) {
        refuse(problem, path, value,
               "the unit is missing: a duration such as \"10s\" or \"1h30m\"");
        return false;
    }
    if (!has_kind(value, field->kind)) {
        refuse(problem, path, value, kind_accepts[field->kind]);
        return false;
    }
    if (field->kind != API_OBJECTS)
        return true;

    for (size_t i = 0; i < json_array_size(value); i++) {
        char below[160];
        snprintf(below, sizeof(below), "%.130s[%zu]", path, i);
        if (!check_object(json_array_get(value, i), field->fields, below, problem))
            return false;
    }
    return true;
}

static void name_fields(const struct api_field *fields, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (; fields->name && used < size; fields++) {
        int n = snprintf(text + used, size - used, "%s%s", used ? ", " : "", fields->name);
        used += n > 0 ? (size_t)n : 0;
    }
}

static bool check_names(json_t *object, const struct api_field *fields, const char *path,
                        struct problem *problem)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        const struct api_field *field = fields;
        while (field->name && strcmp(field->name, name) != 0)
            field++;

        char below[160];
        snprintf(below, sizeof(below), "%.100s%s%.50s", path, *path ? "." : "", name);
        if (!field->name) {
            char known[200];
            name_fields(fields, known, sizeof(known));
            problem_set(problem, below, "is not known here; accepted are %s", known);
            return false;
        }
        if (!check_field(value, field, below, problem))
            return false;
    }
    return true;
}

static bool check_object(json_t *object, const struct api_field *fields, const char *path,
                         struct problem *problem)
{
    if (!json_is_object(object)) {
        refuse(problem, *path ? path : "the body", object, "an object");
        return false;
    }
    if (!check_names(object, fields, path, problem))
        return false;

    for (; fields->name; fields++) {
        if (!fields->is_required || json_object_get(object, fields->name))
            continue;
        char below[160];
        snprintf(below, sizeof(below), "%.100s%s%.50s", path, *path ? "." : "", fields->name);
        refuse(problem, below, NULL, kind_accepts[fields->kind]);
        return false;
    }
    return true;
}

bool api_body_check(struct api_call *call, struct problem *ret_problem)
{
    if (!call->route->body) {
        call->body = json_object();
        return true;
    }
    if (call->bytes.size == 0) {
        call->body = json_object();
        return check_object(call->body, call->route->body, "", ret_problem);
    }

    json_error_t error;
    call->body = json_loadb(call->bytes.data, call->bytes.size, JSON_REJECT_DUPLICATES, &error);
    if (!call->body) {
        ret_problem->line = error.line > 0 ? (unsigned)error.line : 0;
        problem_set(ret_problem, "the body", "is no JSON: line %d, column %d: %s", error.line,
                    error.column, error.text);
        return false;
    }
    return check_object(call->body, call->route->body, "", ret_problem);
}

struct span api_text(const json_t *object, const char *name)
{
    return span_of(json_string_value(json_object_get(object, name)));
}

uint64_t api_uint(const json_t *object, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(object, name));
}

nsec api_duration(const json_t *object, const char *name)
{
    nsec duration = 0;
    if (duration_parse(api_text(object, name), &duration))
        return 0;
    return duration;
}

uint32_t api_pct_milli(const json_t *object, const char *name)
{
    return (uint32_t)(json_number_value(json_object_get(object, name)) * 1000 + 0.5);
}

struct span api_query(struct api_call *call, const char *name)
{
    struct span raw = uri_query_value(call->query, span_of(name));
    if (!raw.data)
        return SPAN_NULL;

    struct span value;
    char *memory = arena_alloc(&call->arena, raw.size + 1, 1);
    return uri_decode(raw, memory, &value) ? SPAN_NULL : value;
}

/* Whether a list of names, with spaces between them, has this one. */
static bool has_name(const char *names, struct span name)
{
    struct span rest = span_of(names);
    while (rest.data) {
        if (span_equals(span_cut(&rest, ' '), name))
            return true;
    }
    return false;
}

/* A parameter that nobody reads would be a wish that is silently not met: ?dryrun=1. */
bool api_query_check(const struct api_call *call, struct problem *ret_problem)
{
    struct span rest = call->query;
    const char *known = call->route->query;
    while (rest.data) {
        struct span value = span_cut(&rest, '&'), name = span_cut(&value, '=');
        if (!name.size && !value.data)
            continue;
        char path[80];
        snprintf(path, sizeof(path), "%.*s", SPAN_ARG(span_first(name, sizeof(path) - 1)));
        if (!name.size || !has_name(known, name)) {
            problem_set(ret_problem, path, "is no parameter of this; accepted %s%s",
                        !*known              ? "is none"
                        : strchr(known, ' ') ? "are "
                                             : "is ",
                        known);
            return false;
        }
        if (uri_query_value(rest, name).data) {
            problem_set(ret_problem, path, "is given twice; once is accepted");
            return false;
        }
    }
    return true;
}

bool api_major(struct span text, uint32_t *ret_major)
{
    uint64_t major;
    if (!span_to_uint(text, UINT32_MAX - 1, &major))
        return false;
    *ret_major = (uint32_t)major;
    return true;
}

int api_expires(const struct api_call *call, nsec by_default, unix_msec *ret_expires,
                struct problem *problem)
{
    struct span text = api_text(call->body, "expires");
    unix_msec wall = loop_wall(call->loop);
    nsec duration = by_default;

    if (span_is(text, "never")) {
        *ret_expires = 0;
        return 0;
    }
    if (text.data && !time_parse(text, ret_expires) && *ret_expires > wall)
        return 0;
    if (!text.data || !duration_parse(text, &duration)) {
        *ret_expires = wall + (unix_msec)(duration / NSEC_PER_MSEC);
        return 0;
    }
    problem_set(
        problem, "expires",
        "is \"%.*s\"; a time to come (RFC 3339: \"2030-12-31T18:00:00Z\"), a duration such as "
        "\"30d\", or \"never\" is accepted",
        SPAN_ARG(text));
    return 400;
}

bool api_since(const struct api_call *call, struct span text, unix_msec *ret_since)
{
    nsec ago;
    if (!time_parse(text, ret_since))
        return true;
    if (duration_parse(text, &ago))
        return false;
    *ret_since = loop_wall(call->loop) - (unix_msec)(ago / NSEC_PER_MSEC);
    return true;
}
