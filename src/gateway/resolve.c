/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/resolve.h"

#include <stdio.h>

#include "codec/json.h"
#include "codec/uri.h"
#include "gateway/answers.h"

#define RESOLVE_BODY_MAX 1048576u

/* The contracts the BOM names; a service it does not name is reached by its default. */
static void put_contracts(struct json_out *json, const struct request *request)
{
    const struct version_snapshot *snapshot = request->epoch->view->snapshot;
    json_key(json, SPAN("contracts"));
    json_open(json, '{');
    for (uint32_t i = 0; i < snapshot_n_services(snapshot); i++) {
        uint32_t contract = request->bom->contract_of[i];
        if (contract == NO_INDEX)
            continue;
        json_key(json, snapshot_service_at(snapshot, i)->name);
        json_uint(json, snapshot_contract_at(snapshot, contract)->major);
    }
    json_close(json, '}');
}

static void put_resolution(struct buf *body, const struct request *request,
                           const struct snapshot_release *release)
{
    struct json_out json = { .buf = body };
    json_open(&json, '{');
    json_key(&json, SPAN("bom"));
    json_text(&json, bom_id(request->bom));
    json_key(&json, SPAN("reason"));
    json_text(&json, span_of(resolve_reason_name(request->reason)));
    put_contracts(&json, request);
    CLEANUP(buf_fini) struct buf map = { .limit = 512 };
    buf_printf(&map, "/.sarsen/bom/%s/importmap.json", request->bom->id);
    if (release) {
        json_key(&json, SPAN("app"));
        json_text(&json, release->app);
        json_key(&json, SPAN("release"));
        json_text(&json, release->version);
        buf_printf(&map, "?app=%.*s", SPAN_ARG(release->app));
    }
    json_key(&json, SPAN("importmap"));
    json_text(&json, buf_span(&map));
    json_close(&json, '}');
}

static void answer_resolve(struct request *request)
{
    request_resolve(request);
    struct span app = uri_query_value(request->query, SPAN("app"));
    const struct snapshot_release *release = NULL;
    if (app.size) {
        release = bom_release(request->bom, app);
        if (!release) {
            answer_problem(request, 404, "no app of that name has a release for you");
            return;
        }
    }
    char etag[BOM_ID_SIZE + 3];
    int size = snprintf(etag, sizeof(etag), "\"%s\"", request->bom->id);
    struct span tag = { etag, (size_t)size };
    bool is_known = request_has_etag(request, tag);
    struct answer answer = { .status = is_known ? 304 : 200 };
    answer_put(&answer, SPAN("Cache-Control"), SPAN("private, no-cache"));
    answer_put(&answer, SPAN("ETag"), tag);
    if (!is_known)
        answer_put(&answer, SPAN("Content-Type"), SPAN("application/json"));
    CLEANUP(buf_fini) struct buf body = { .limit = RESOLVE_BODY_MAX };
    if (!is_known)
        put_resolution(&body, request, release);
    request_answer(request, &answer, buf_span(&body));
}

/* An import map of several releases; where two of them name the same module, the first one's
 * stands, for a page has one map. */
static bool is_named_before(const struct bom *bom, unsigned at, const char *name)
{
    for (unsigned i = 0; i < at; i++) {
        for (unsigned k = 0; k < bom->releases[i]->n_entries; k++) {
            if (strcmp(bom->releases[i]->entries[k].name, name) == 0)
                return true;
        }
    }
    return false;
}

static void put_entries(struct json_out *json, const struct bom *bom, bool is_integrity)
{
    CLEANUP(buf_fini) struct buf url = { .limit = 4096 };
    for (unsigned i = 0; i < bom->n_releases; i++) {
        const struct snapshot_release *release = bom->releases[i];
        for (unsigned k = 0; k < release->n_entries; k++) {
            const struct release_entry *entry = &release->entries[k];
            bool has_integrity = entry->integrity && entry->integrity[0];
            if (is_named_before(bom, i, entry->name) || (is_integrity && !has_integrity))
                continue;
            buf_clear(&url);
            snapshot_put_file_url(&url, release, span_of(entry->path));
            json_key(json, is_integrity ? buf_span(&url) : span_of(entry->name));
            json_text(json, is_integrity ? span_of(entry->integrity) : buf_span(&url));
        }
    }
}

static void put_merged_map(struct buf *body, const struct bom *bom)
{
    struct json_out json = { .buf = body };
    json_open(&json, '{');
    json_key(&json, SPAN("imports"));
    json_open(&json, '{');
    put_entries(&json, bom, false);
    json_close(&json, '}');
    json_key(&json, SPAN("integrity"));
    json_open(&json, '{');
    put_entries(&json, bom, true);
    json_close(&json, '}');
    json_close(&json, '}');
}

/* A BOM that was assigned a moment ago may be known to the customer's own resolution only, until
 * it has been kept. */
static const struct bom *find_bom(struct request *request, struct span id)
{
    const struct bom *bom = version_bom(request->epoch->boms, id);
    if (bom)
        return bom;
    request_resolve(request);
    return span_equals(bom_id(request->bom), id) ? request->bom : NULL;
}

static void answer_import_map(struct request *request, struct span id)
{
    const struct bom *bom = find_bom(request, id);
    struct span app = uri_query_value(request->query, SPAN("app"));
    const struct snapshot_release *release = bom && app.size ? bom_release(bom, app) : NULL;
    if (!bom || (app.size && !release)) {
        answer_problem(request, 404,
                       bom ? "this BOM has no release of that app" : "no BOM of that id is known");
        return;
    }
    struct answer answer = { .status = 200, .is_public = true };
    answer_put(&answer, SPAN("Cache-Control"), SPAN("public, max-age=31536000, immutable"));
    answer_put(&answer, SPAN("Content-Type"), SPAN("application/importmap+json"));
    CLEANUP(buf_fini) struct buf body = { .limit = RESOLVE_BODY_MAX };
    if (app.size) {
        buf_puts(&body, release->import_map);
    } else if (bom->n_releases == 1) {
        buf_puts(&body, bom->releases[0]->import_map);
    } else {
        put_merged_map(&body, bom);
    }
    request_answer(request, &answer, buf_span(&body));
}

void resolve_answer(struct request *request)
{
    struct span method = request->exchange->head->method;
    struct span rest = span_from(request->path, sizeof("/.sarsen"));
    if (!span_is(method, "GET") && !span_is(method, "HEAD")) {
        answer_read_only(request);
        return;
    }
    if (span_is(rest, "resolve")) {
        answer_resolve(request);
        return;
    }
    struct span kind = span_cut(&rest, '/');
    struct span id = span_cut(&rest, '/');
    if (span_is(kind, "bom") && span_is(rest, "importmap.json")) {
        answer_import_map(request, id);
    } else {
        answer_problem(request, 404, "nothing of Sarsen answers here");
    }
}
