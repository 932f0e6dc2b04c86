/* SPDX-License-Identifier: Apache-2.0 */

#include "version/snapshot.h"

#include "base/arena.h"
#include "base/buf.h"
#include "codec/json.h"

static void put_url(struct buf *url, const struct snapshot_release *release, const char *path)
{
    buf_clear(url);
    buf_printf(url, "/apps/%.*s/%.*s/%s", SPAN_ARG(release->app), SPAN_ARG(release->version), path);
}

/* "<" stands in strings only, where an escape means the same. */
static struct span escape_html(struct arena *arena, struct span json)
{
    CLEANUP(buf_fini) struct buf escaped = { 0 };
    while (json.data) {
        struct span part = span_cut(&json, '<');
        buf_put(&escaped, part);
        if (json.data)
            buf_puts(&escaped, "\\u003c");
    }
    return arena_span_dup(arena, buf_span(&escaped));
}

/* Whether an earlier entry has the same file; a URL is named once. */
static bool path_was_seen(const struct snapshot_release *release, unsigned i)
{
    for (unsigned j = 0; j < i; j++) {
        if (strcmp(release->entries[j].path, release->entries[i].path) == 0)
            return true;
    }
    return false;
}

/* Keys stand in the order of the manifest, so the same release gives the same bytes. */
const char *import_map_format(struct arena *arena, const struct snapshot_release *release)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    CLEANUP(buf_fini) struct buf url = { 0 };
    struct json_out out = { .buf = &text };

    json_open(&out, '{');
    json_key(&out, SPAN("imports"));
    json_open(&out, '{');
    for (unsigned i = 0; i < release->n_entries; i++) {
        put_url(&url, release, release->entries[i].path);
        json_key(&out, span_of(release->entries[i].name));
        json_text(&out, buf_span(&url));
    }
    json_close(&out, '}');
    json_key(&out, SPAN("integrity"));
    json_open(&out, '{');
    for (unsigned i = 0; i < release->n_entries; i++) {
        if (path_was_seen(release, i))
            continue;
        put_url(&url, release, release->entries[i].path);
        json_key(&out, buf_span(&url));
        json_text(&out, span_of(release->entries[i].integrity));
    }
    json_close(&out, '}');
    json_close(&out, '}');
    return escape_html(arena, buf_span(&text)).data;
}
