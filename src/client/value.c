/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A sarsen_value is jansson's json_t under another name, so that a host need not know jansson.
 */

#include "client/client.h"

static const json_t *json_of(const sarsen_value *value)
{
    return (const json_t *)value;
}

bool json_is_exhausted(const json_error_t *error)
{
    return json_error_code(error) == json_error_out_of_memory || !error->text[0];
}

int sarsen_value_parse(const char *json, size_t size, sarsen_value **ret_value)
{
    json_error_t error;
    json_t *value = json_loadb(json, size, JSON_DECODE_ANY, &error);
    if (!value)
        return json_is_exhausted(&error) ? SARSEN_ENOMEM : SARSEN_EINVALID;
    *ret_value = (sarsen_value *)value;
    return 0;
}

void sarsen_value_free(sarsen_value *value)
{
    json_decref((json_t *)value);
}

const sarsen_value *sarsen_value_get(const sarsen_value *object, const char *name)
{
    return (const sarsen_value *)json_object_get(json_of(object), name);
}

const sarsen_value *sarsen_value_at(const sarsen_value *array, size_t index)
{
    return (const sarsen_value *)json_array_get(json_of(array), index);
}

size_t sarsen_value_size(const sarsen_value *value)
{
    return json_is_array(json_of(value)) ? json_array_size(json_of(value))
                                         : json_object_size(json_of(value));
}

const char *sarsen_value_name(const sarsen_value *object, size_t index)
{
    union {
        const sarsen_value *value;
        json_t *json;
    } u = { object }; /* jansson iterates over what it may change; we do not */
    void *at = json_object_iter(u.json);
    while (at && index--)
        at = json_object_iter_next(u.json, at);
    return at ? json_object_iter_key(at) : NULL;
}

const char *sarsen_value_text(const sarsen_value *value)
{
    const char *text = json_string_value(json_of(value));
    return text ? text : "";
}

double sarsen_value_number(const sarsen_value *value)
{
    return json_number_value(json_of(value));
}

bool sarsen_value_is_true(const sarsen_value *value)
{
    return json_is_true(json_of(value));
}

bool sarsen_value_is_text(const sarsen_value *value)
{
    return json_is_string(json_of(value));
}

bool sarsen_value_is_number(const sarsen_value *value)
{
    return json_is_number(json_of(value));
}

bool sarsen_value_is_array(const sarsen_value *value)
{
    return json_is_array(json_of(value));
}

static int on_dump(const char *text, size_t size, void *owner)
{
    return bytes_add(owner, text, size);
}

int bytes_add_json(struct bytes *bytes, const json_t *json, size_t flags)
{
    if (json_dump_callback(json, on_dump, bytes, flags))
        return SARSEN_ENOMEM;
    return bytes_add(bytes, "", 1);
}

char *sarsen_value_json(const sarsen_value *value)
{
    struct bytes bytes = { .memory = &client_memory_system };
    if (bytes_add_json(&bytes, json_of(value), JSON_INDENT(2) | JSON_ENCODE_ANY))
        bytes_fini(&bytes);
    return bytes.data;
}
