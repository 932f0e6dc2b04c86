/* SPDX-License-Identifier: Apache-2.0 */

#include "version/snapshot.h"

#include "base/arena.h"
#include "base/buf.h"
#include "codec/json.h"

/* No escapes: only characters that stand in a path for themselves are accepted when a file is
 * sent. Pages, import maps and integrity must name a file by the same bytes, or a browser takes
 * them for two. */
void snapshot_put_file_url(struct buf *url, const struct snapshot_release *release,
                           struct span path)
{
    buf_printf(url, "/apps/%.*s/%.*s/%.*s", SPAN_ARG(release->app), SPAN_ARG(release->version),
               SPAN_ARG(path));
}

static void set_url(struct buf *url, const struct snapshot_release *release, const char *path)
{
    buf_clear(url);
    snapshot_put_file_url(url, release, span_of(path));
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
        set_url(&url, release, release->entries[i].path);
        json_key(&out, span_of(release->entries[i].name));
        json_text(&out, buf_span(&url));
    }
    json_close(&out, '}');
    json_key(&out, SPAN("integrity"));
    json_open(&out, '{');
    for (unsigned i = 0; i < release->n_entries; i++) {
        if (path_was_seen(release, i))
            continue;
        set_url(&url, release, release->entries[i].path);
        json_key(&out, buf_span(&url));
        json_text(&out, span_of(release->entries[i].integrity));
    }
    json_close(&out, '}');
    json_close(&out, '}');
    return escape_html(arena, buf_span(&text)).data;
}
