/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/app.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "codec/json.h"
#include "codec/semver.h"
#include "codec/uri.h"
#include "gateway/answers.h"
#include "gateway/app_file.h"

#define PAGE_MAX 1048576u
#define BASE64_SHA256_SIZE 44u

/* --- the page --- */

static void put_html(struct buf *page, struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        switch (text.data[i]) {
        case '&': buf_puts(page, "&amp;"); break;
        case '<': buf_puts(page, "&lt;"); break;
        case '>': buf_puts(page, "&gt;"); break;
        case '"': buf_puts(page, "&quot;"); break;
        default: buf_put(page, (struct span){ &text.data[i], 1 }); break;
        }
    }
}

/* A link to a file of the release, held to the bytes that were published. */
static void put_link(struct buf *page, const char *relation, const struct snapshot_release *release,
                     struct span path, struct span integrity)
{
    buf_printf(page, "<link rel=\"%s\" href=\"", relation);
    snapshot_put_file_url(page, release, path);
    buf_puts(page, "\"");
    if (integrity.size) {
        buf_puts(page, " integrity=\"");
        put_html(page, integrity);
        buf_puts(page, "\"");
    }
    buf_puts(page, ">\n");
}

/* import "<the first entry>", in a form that ends no script element. */
static void put_start(struct buf *page, const struct snapshot_release *release)
{
    CLEANUP(buf_fini) struct buf name = { .limit = PAGE_MAX };
    struct json_out json = { .buf = &name };
    json_text(&json, span_of(release->entries[0].name));
    buf_puts(page, "import ");
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '<') {
            buf_puts(page, "\\u003c");
        } else {
            buf_put(page, (struct span){ &name.data[i], 1 });
        }
    }
    buf_puts(page, ";");
}

/* Adds a script's source to the policy, by the hash of what stands between its tags. */
static void allow_script(struct buf *policy, struct span script)
{
    uint8_t digest[SHA256_SIZE];
    char text[BASE64_SHA256_SIZE + 1];
    hash_sha256(script, digest);
    hash_base64(digest, sizeof(digest), text);
    buf_printf(policy, " 'sha256-%s'", text);
}

static void put_head(struct buf *page, const struct view *view,
                     const struct snapshot_release *release)
{
    buf_puts(page,
             "<!doctype html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
             "<title>");
    put_html(page, release->title.size ? release->title : release->app);
    buf_puts(page, "</title>\n");
    for (unsigned i = 0; i < release->n_styles; i++) {
        const struct release_file *file = snapshot_file(
            view->snapshot, release->app, release->version, span_of(release->styles[i]));
        put_link(page, "stylesheet", release, span_of(release->styles[i]),
                 file ? span_of(file->integrity) : SPAN_NULL);
    }
}

/* The import map comes before everything that loads a module, as browsers demand. */
static void make_page(struct buf *page, struct buf *policy, const struct view *view,
                      const struct snapshot_release *release)
{
    buf_puts(policy, "script-src 'self'");
    put_head(page, view, release);
    struct span map = span_of(release->import_map ? release->import_map : "{}");
    buf_puts(page, "<script type=\"importmap\">");
    buf_put(page, map);
    buf_puts(page, "</script>\n");
    allow_script(policy, map);
    for (unsigned i = 0; i < release->n_entries; i++) {
        const struct release_entry *entry = &release->entries[i];
        const struct release_file *file =
            snapshot_file(view->snapshot, release->app, release->version, span_of(entry->path));
        const char *integrity = file ? file->integrity : entry->integrity;
        put_link(page, "modulepreload", release, span_of(entry->path), span_of(integrity));
    }
    buf_puts(page, "</head>\n<body>\n<div id=\"root\"></div>\n");
    if (release->n_entries) {
        buf_puts(page, "<script type=\"module\">");
        size_t start = page->size;
        put_start(page, release);
        allow_script(policy, span_from(buf_span(page), start));
        buf_puts(page, "</script>\n");
    }
    buf_puts(page, "</body>\n</html>\n");
    buf_puts(policy, "; object-src 'none'; base-uri 'none'");
}

static struct span make_etag(struct span body, char ret_etag[BOM_ID_SIZE + 3])
{
    uint8_t digest[SHA256_SIZE];
    hash_sha256(body, digest);
    ret_etag[0] = '"';
    hash_base32(digest, 10, ret_etag + 1);
    ret_etag[BOM_ID_SIZE + 1] = '"';
    ret_etag[BOM_ID_SIZE + 2] = '\0';
    return (struct span){ ret_etag, BOM_ID_SIZE + 2 };
}

/* A script, style or image that is not there must not be answered with a page. */
static bool wants_page(const struct request *request)
{
    struct span value = request_field(request, SPAN("sec-fetch-dest"));
    return !value.data || span_is(value, "document") || span_is(value, "iframe") ||
           span_is(value, "frame") || span_is(value, "empty");
}

static void answer_page(struct request *request, struct span app)
{
    const struct view *view = request->epoch->view;
    request_resolve(request);
    const struct snapshot_release *release = bom_release(request->bom, app);
    if (!release || !wants_page(request)) {
        answer_problem(request, 404,
                       release ? "this app has no such file"
                               : "no app of that name has a release for you");
        return;
    }
    CLEANUP(buf_fini) struct buf page = { .limit = PAGE_MAX };
    CLEANUP(buf_fini) struct buf policy = { .limit = 4096 };
    make_page(&page, &policy, view, release);
    if (page.is_full || policy.is_full) {
        answer_problem(request, 500, "the page of this release is larger than 1 MiB");
        return;
    }
    char memory[BOM_ID_SIZE + 3];
    struct span etag = make_etag(buf_span(&page), memory);
    bool is_known = request_has_etag(request, etag);
    struct answer answer = { .status = is_known ? 304 : 200, .is_page = true };
    answer_put(&answer, SPAN("Cache-Control"), SPAN("private, no-cache"));
    answer_put(&answer, SPAN("ETag"), etag);
    if (!is_known) {
        answer_put(&answer, SPAN("Content-Type"), SPAN("text/html; charset=utf-8"));
        answer_put(&answer, SPAN("Content-Security-Policy"), buf_span(&policy));
        answer_put(&answer, SPAN("X-Content-Type-Options"), SPAN("nosniff"));
    }
    request_answer(request, &answer, is_known ? SPAN_NULL : buf_span(&page));
}

/* --- files --- */

static void find_file(struct request *request, const struct snapshot_release *release,
                      struct span encoded)
{
    CLEANUP(buf_fini) struct buf memory = { 0 };
    struct span path = SPAN_NULL;
    IGNORE(buf_reserve(&memory, encoded.size + 1), "the buffer has no limit");
    const struct release_file *file = NULL;
    if (!uri_decode(encoded, memory.data, &path))
        file = snapshot_file(request->epoch->view->snapshot, release->app, release->version, path);
    if (file) {
        app_file_answer(request, file);
    } else {
        answer_problem(request, 404, "this release has no such file");
    }
}

static void redirect_to_page(struct request *request)
{
    CLEANUP(buf_fini) struct buf location = { .limit = 16384 };
    buf_put(&location, request->path);
    buf_puts(&location, "/");
    if (request->query.data) {
        buf_puts(&location, "?");
        buf_put(&location, request->query);
    }
    struct answer answer = { .status = 308, .is_public = true };
    answer_put(&answer, SPAN("Location"), buf_span(&location));
    request_answer(request, &answer, SPAN_NULL);
}

/* Who says not what it loads, and asks below a version, wants a file of a release we do not have. */
static bool is_file_of_release(const struct request *request, struct span version)
{
    struct semver ignored;
    return !request_field(request, SPAN("sec-fetch-dest")).data &&
           semver_parse(version, &ignored) == 0;
}

void app_answer(struct request *request, struct span rest)
{
    struct span method = request->exchange->head->method;
    if (!span_is(method, "GET") && !span_is(method, "HEAD")) {
        answer_read_only(request);
        return;
    }
    struct span app = span_cut(&rest, '/');
    if (!rest.data) {
        redirect_to_page(request);
        return;
    }
    struct span below = rest;
    struct span version = span_cut(&below, '/');
    const struct snapshot_release *release = NULL;
    if (below.data)
        release = snapshot_release(request->epoch->view->snapshot, app, version);
    if (release) {
        find_file(request, release, below);
    } else if (below.data && is_file_of_release(request, version)) {
        answer_problem(request, 404, "this app has no such release");
    } else {
        answer_page(request, app);
    }
}
