/* SPDX-License-Identifier: Apache-2.0 */

#include "version/bom_text.h"

static bool take(struct span *json, const char *token)
{
    if (!span_starts_with(*json, span_of(token)))
        return false;
    *json = span_from(*json, strlen(token));
    return true;
}

static bool take_string(struct span *json, struct span *ret_string)
{
    if (!take(json, "\""))
        return false;
    size_t end = span_find(*json, '"');
    struct span string = span_first(*json, end);
    if (end == json->size || span_find(string, '\\') < string.size)
        return false;
    *ret_string = string;
    *json = span_from(*json, end + 1);
    return true;
}

static bool take_number(struct span *json, uint32_t *ret_number)
{
    size_t size = 0;
    while (size < json->size && json->data[size] >= '0' && json->data[size] <= '9')
        size++;
    uint64_t number;
    if (!span_to_uint(span_first(*json, size), UINT32_MAX, &number))
        return false;
    *ret_number = (uint32_t)number;
    *json = span_from(*json, size);
    return true;
}

enum member_kind {
    MEMBER_BUILD,
    MEMBER_CONTRACT,
    MEMBER_RELEASE,
};

static bool take_member(struct bom_text *text, enum member_kind kind, struct span *json)
{
    struct span key, value;
    uint32_t number;
    if (!take_string(json, &key) || !take(json, ":"))
        return false;
    switch (kind) {
    case MEMBER_CONTRACT:
        if (!take_number(json, &number))
            return false;
        text->on_contract(text, key, number);
        return true;
    case MEMBER_BUILD:
        if (!take_string(json, &value))
            return false;
        text->on_build(text, key, value);
        return true;
    case MEMBER_RELEASE:
        if (!take_string(json, &value))
            return false;
        text->on_release(text, key, value);
        return true;
    }
    return false;
}

static bool take_members(struct bom_text *text, enum member_kind kind, struct span *json)
{
    if (take(json, "}"))
        return true;
    do {
        if (!take_member(text, kind, json))
            return false;
    } while (take(json, ","));
    return take(json, "}");
}

int bom_text_parse(struct bom_text *text, struct span json)
{
    bool is_whole = take(&json, "{\"builds\":{") && take_members(text, MEMBER_BUILD, &json) &&
                    take(&json, ",\"contracts\":{") && take_members(text, MEMBER_CONTRACT, &json) &&
                    take(&json, ",\"releases\":{") && take_members(text, MEMBER_RELEASE, &json) &&
                    take(&json, "}") && json.size == 0;
    return is_whole ? 0 : BOM_TEXT_BAD;
}
