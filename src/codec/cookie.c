/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/cookie.h"

#include <inttypes.h>
#include <stdio.h>

#include "codec/http1_scan.h"

static bool next_pair(struct http_cookie_cursor *cursor, const struct http_head *head,
                      struct span *ret_pair)
{
    unsigned first = head->by_name[HTTP_COOKIE];
    if (cursor->next_field == 0)
        cursor->next_field = first ? first - 1 : head->n_fields;
    while (!cursor->rest.data) {
        while (cursor->next_field < head->n_fields &&
               head->fields[cursor->next_field].id != HTTP_COOKIE)
            cursor->next_field++;
        if (cursor->next_field >= head->n_fields)
            return false;
        cursor->rest = head->fields[cursor->next_field++].value;
    }
    *ret_pair = span_cut(&cursor->rest, ';');
    return true;
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && byte_is_blank(*at))
        at++;
    return at;
}

/* What stands behind "name=" in a pair; SPAN_NULL when the pair has another name, or none. */
static struct span value_of_pair(struct span pair, struct span name)
{
    const char *end = pair.data + pair.size, *at = skip_blanks(pair.data, end);
    if ((size_t)(end - at) <= name.size || *at != name.data[0] ||
        memcmp(at, name.data, name.size) != 0)
        return SPAN_NULL;
    at = skip_blanks(at + name.size, end);
    if (at == end || *at != '=')
        return SPAN_NULL;
    return (struct span){ at + 1, (size_t)(end - at - 1) };
}

struct span http_cookie_next(struct http_cookie_cursor *cursor, const struct http_head *head,
                             struct span name)
{
    struct span pair;
    while (next_pair(cursor, head, &pair)) {
        struct span value = value_of_pair(pair, name);
        if (!value.data)
            continue;
        value = span_trim(value);
        if (value.size >= 2 && value.data[0] == '"' && value.data[value.size - 1] == '"')
            value = (struct span){ value.data + 1, value.size - 2 };
        return value;
    }
    return SPAN_NULL;
}

static bool is_cookie_text(struct span text)
{
    if (!text.size)
        return true;
    const char *end = text.data + text.size;
    return scan_class(text.data, end, CLASS_COOKIE) == end;
}

void http_put_set_cookie(struct http1_out *out, const struct http_set_cookie *cookie)
{
    static const char *const same_site[] = {
        [HTTP_SAME_SITE_UNSET] = "",
        [HTTP_SAME_SITE_LAX] = "; SameSite=Lax",
        [HTTP_SAME_SITE_STRICT] = "; SameSite=Strict",
        [HTTP_SAME_SITE_NONE] = "; SameSite=None",
    };
    /* Paths may hold more than cookie values, but no path of ours does. */
    if (!http_is_token(cookie->name) || !is_cookie_text(cookie->value) ||
        !is_cookie_text(cookie->path)) {
        out->is_full = true;
        return;
    }
    http1_put(out, cookie->name);
    http1_put(out, SPAN("="));
    http1_put(out, cookie->value);
    if (cookie->path.size) {
        http1_put(out, SPAN("; Path="));
        http1_put(out, cookie->path);
    }
    if (cookie->has_max_age) {
        char text[40];
        snprintf(text, sizeof(text), "; Max-Age=%" PRIu64, cookie->max_age);
        http1_put(out, span_of(text));
    }
    http1_put(out, cookie->is_secure ? SPAN("; Secure") : SPAN_NULL);
    http1_put(out, cookie->is_http_only ? SPAN("; HttpOnly") : SPAN_NULL);
    http1_put(out, span_of(same_site[cookie->same_site]));
}
