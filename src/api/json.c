/* SPDX-License-Identifier: Apache-2.0 */

#include "api/call.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "codec/semver.h"

json_t *api_json_time(unix_msec time)
{
    if (!time)
        return json_null();
    char text[TIME_TEXT_MAX];
    time_format(time, text);
    return json_string(text);
}

json_t *api_json_duration(nsec duration)
{
    if (!duration)
        return json_null();
    char text[TIME_TEXT_MAX];
    duration_format(duration, text);
    return json_string(text);
}

json_t *api_json_span(struct span span)
{
    return json_stringn(span.data ? span.data : "", span.size);
}

json_t *api_json_sentence(const char *text)
{
    CLEANUP(buf_fini) struct buf kept = { 0 };
    while (*text) {
        size_t size = utf8_size(text);
        buf_put(&kept, (struct span){ text, size });
        text += size ? size : 1;
    }
    return json_stringn(kept.size ? kept.data : "", kept.size);
}

bool api_is_text(struct span text)
{
    struct utf8 utf8 = { 0 };
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        if (byte < 0x20 || byte == 0x7f || !utf8_take(&utf8, byte))
            return false;
    }
    return utf8.n_left == 0;
}

/* --- order --- */

struct sorted {
    struct span key;
    struct semver semver;
    bool is_version;
    json_t *value;
};

static int compare(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    if (x->is_version && y->is_version)
        return semver_compare(&x->semver, &y->semver);
    return span_compare(x->key, y->key);
}

json_t *api_sorted(json_t *list, const char *member)
{
    size_t n = json_array_size(list);
    struct sorted *rows = mem_new_array(struct sorted, n);
    json_t *result = json_array();
    for (size_t i = 0; i < n; i++) {
        struct sorted *row = &rows[i];
        row->value = json_array_get(list, i);
        const json_t *key = member ? json_object_get(row->value, member) : row->value;
        row->key = span_of(json_string_value(key));
        row->is_version = !semver_parse(row->key, &row->semver);
    }
    if (n)
        qsort(rows, n, sizeof(rows[0]), compare);
    for (size_t i = 0; i < n; i++)
        json_array_append(result, rows[i].value);
    json_decref(list);
    free(rows);
    return result;
}

json_t *api_json_health(const struct health_check *health)
{
    if (health->kind == HEALTH_NONE)
        return json_null();
    json_t *json =
        json_pack("{s:o, s:o, s:i, s:i}", "interval", api_json_duration(health->interval),
                  "timeout", api_json_duration(health->timeout), "failures", (int)health->failures,
                  "passes", (int)health->passes);
    const char *word = health_kind_word(health->kind);
    json_object_set_new(json, word,
                        health->kind == HEALTH_TCP ? json_string("true")
                                                   : api_json_span(health->target));
    if (health->port)
        json_object_set_new(json, "port", json_integer(health->port));
    if (health_has_status(health->kind)) {
        char status[HEALTH_STATUS_MAX];
        health_status_format(health, status);
        json_object_set_new(json, "status", json_string(status));
    }
    return json;
}
