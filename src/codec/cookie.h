#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Cookies on the wire (RFC 6265): reading Cookie, writing Set-Cookie. What a cookie means is the
 * gateway's.
 *
 * Threads: any. No allocation.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "codec/http1.h"

/* Where a search goes on; zero is its start. */
struct http_cookie_cursor {
    unsigned next_field;
    struct span rest;
};

/* The value of the next cookie of that name in all Cookie fields of the head, SPAN_NULL when there
 * is none any more. Read as tolerantly as section 5.4 lets browsers write: pairs without "=" are
 * skipped, quotes around a value are not part of it. Several of one name are legal, and their
 * order means nothing. */
struct span http_cookie_next(struct http_cookie_cursor *cursor, const struct http_head *head,
                             struct span name);

enum http_same_site {
    HTTP_SAME_SITE_UNSET,
    HTTP_SAME_SITE_LAX,
    HTTP_SAME_SITE_STRICT,
    HTTP_SAME_SITE_NONE,
};

struct http_set_cookie {
    struct span name, value;
    struct span path; /* empty: the directory of the request */
    uint64_t max_age; /* seconds, if has_max_age; 0 deletes the cookie */
    enum http_same_site same_site;
    bool has_max_age; /* without one it ends with the browser's session */
    bool is_secure, is_http_only;
};

/* Writes the value of a Set-Cookie field. A name, value or path that section 4.1.1 does not allow
 * sets is_full. */
void http_put_set_cookie(struct http1_out *out, const struct http_set_cookie *cookie);
