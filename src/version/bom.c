/* SPDX-License-Identifier: Apache-2.0 */

/*
 * BOMs of one cache. Equal content is one object: whatever leads to it, by a choice or by an id from
 * the store, the canonical JSON is made or taken, hashed, and found again by its id.
 */

#include "version/bom.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "codec/json.h"
#include "version/bom_text.h"
#include "version/snapshot.h"

#define BOM_ID_BYTES 10u

/* Many BOMs differ in builds only; the contracts by service, the largest part, are shared. */
struct contract_array {
    struct map_node node;
    uint32_t contract_of[];
};

/* An open page's BOM and the customer's of now make a third. */
struct page_bom {
    struct map_node node; /* by its key */
    struct {
        const struct bom *page, *now;
    } key;
    const struct bom *bom;
};

struct cached_bom {
    struct map_node node; /* by id */
    struct bom bom;
};

void bom_id_format(struct span json, char ret_id[BOM_ID_SIZE + 1])
{
    uint8_t digest[SHA256_SIZE];
    hash_sha256(json, digest);
    hash_base32(digest, BOM_ID_BYTES, ret_id);
}

struct bom_cache *bom_cache_new(const struct version_snapshot *snapshot)
{
    struct bom_cache *cache = mem_new(struct bom_cache);
    cache->snapshot = snapshot;
    map_init(&cache->boms);
    map_init(&cache->choices);
    map_init(&cache->contracts);
    map_init(&cache->pages);
    return cache;
}

struct bom_cache *bom_cache_free(struct bom_cache *cache)
{
    if (!cache)
        return NULL;

    map_fini(&cache->boms);
    map_fini(&cache->choices);
    map_fini(&cache->contracts);
    map_fini(&cache->pages);
    arena_fini(&cache->arena);
    free(cache);
    return NULL;
}

static int by_contract_name(const void *a, const void *b, void *owner)
{
    const struct bom_build *x = a, *y = b;
    const struct bom_cache *cache = owner;
    return span_compare(snapshot_contract_at(cache->snapshot, x->contract)->name,
                        snapshot_contract_at(cache->snapshot, y->contract)->name);
}

/* Canonical: builds were sorted, services are gone through by name, apps come in order. */
static void parts_format(const struct version_snapshot *snapshot, const struct bom_parts *parts,
                         struct buf *text)
{
    struct json_out out = { .buf = text };
    json_open(&out, '{');
    json_key(&out, SPAN("builds"));
    json_open(&out, '{');
    for (unsigned i = 0; i < parts->n_builds; i++) {
        json_key(&out, snapshot->contracts[parts->builds[i].contract].name);
        json_text(&out, snapshot->builds[parts->builds[i].build].build.version);
    }
    json_close(&out, '}');
    json_key(&out, SPAN("contracts"));
    json_open(&out, '{');
    for (unsigned i = 0; i < snapshot->n_services; i++) {
        uint32_t service = snapshot->services_sorted[i];
        if (parts->contract_of[service] == NO_INDEX)
            continue;
        json_key(&out, snapshot->services[service].service.name);
        json_uint(&out, snapshot->contracts[parts->contract_of[service]].major);
    }
    json_close(&out, '}');
    json_key(&out, SPAN("releases"));
    json_open(&out, '{');
    for (unsigned i = 0; i < parts->n_releases; i++) {
        json_key(&out, parts->releases[i]->app);
        json_text(&out, parts->releases[i]->version);
    }
    json_close(&out, '}');
    json_close(&out, '}');
}

static const uint32_t *contract_array_intern(struct bom_cache *cache, const uint32_t *contract_of)
{
    size_t size = cache->snapshot->n_services * sizeof(uint32_t);
    struct contract_array *array =
        map_find_as(&cache->contracts, ((struct span){ (const char *)contract_of, size }),
                    struct contract_array, node);
    if (array)
        return array->contract_of;

    array = arena_alloc(&cache->arena, 1, sizeof(*array) + size);
    memcpy(array->contract_of, contract_of, size);
    map_add(&cache->contracts, &array->node,
            (struct span){ (const char *)array->contract_of, size });
    return array->contract_of;
}

/* What the store knew when the snapshot was made. */
static const struct known_bom *known_bom_find(const struct version_snapshot *snapshot,
                                              struct span id)
{
    return map_find_as(&snapshot->base->boms, id, struct known_bom, node);
}

/* Copies everything: the parts are scratch memory of the caller. */
static const struct bom *bom_add(struct bom_cache *cache, struct span json, const char *id,
                                 const struct bom_parts *parts)
{
    struct cached_bom *cached = arena_new(&cache->arena, struct cached_bom);
    struct bom *bom = &cached->bom;
    memcpy(bom->id, id, BOM_ID_SIZE);
    bom->json = arena_span_dup(&cache->arena, json);
    const struct known_bom *known = known_bom_find(cache->snapshot, span_of(bom->id));
    bom->is_kept = known && cache->snapshot->wall - known->last_assigned < BOM_FRESH_MSEC;

    bom->releases =
        arena_new_array(&cache->arena, const struct snapshot_release *, parts->n_releases);
    for (unsigned i = 0; i < parts->n_releases; i++)
        bom->releases[i] = parts->releases[i];
    bom->n_releases = parts->n_releases;
    struct bom_build *builds = arena_new_array(&cache->arena, struct bom_build, parts->n_builds);
    if (parts->n_builds)
        memcpy(builds, parts->builds, parts->n_builds * sizeof(builds[0]));
    bom->builds = builds;
    bom->n_builds = parts->n_builds;
    bom->contract_of = contract_array_intern(cache, parts->contract_of);
    map_add(&cache->boms, &cached->node, span_of(bom->id));
    return bom;
}

const struct bom *bom_of_parts(struct bom_cache *cache, struct bom_parts *parts)
{
    if (parts->n_builds) {
        qsort_r(parts->builds, parts->n_builds, sizeof(parts->builds[0]), by_contract_name, cache);
    }
    CLEANUP(buf_fini) struct buf json = { 0 };
    parts_format(cache->snapshot, parts, &json);
    char id[BOM_ID_SIZE + 1];
    bom_id_format(buf_span(&json), id);
    struct cached_bom *cached = map_find_as(&cache->boms, span_of(id), struct cached_bom, node);
    return cached ? &cached->bom : bom_add(cache, buf_span(&json), id, parts);
}

/* Contracts are interned: equal ones are the same array. */
static bool is_same_page(const struct bom *page, const struct bom *now)
{
    if (page->contract_of != now->contract_of || page->n_releases != now->n_releases)
        return false;
    for (unsigned i = 0; i < page->n_releases; i++) {
        if (page->releases[i] != now->releases[i])
            return false;
    }
    return true;
}

const struct bom *version_bom_of_page(struct bom_cache *cache, const struct bom *page,
                                      const struct bom *now)
{
    if (page == now || is_same_page(page, now))
        return now;

    struct page_bom wanted = { .key = { page, now } };
    struct span key = { (const char *)&wanted.key, sizeof(wanted.key) };
    struct page_bom *made = map_find_as(&cache->pages, key, struct page_bom, node);
    if (made)
        return made->bom;

    made = arena_new(&cache->arena, struct page_bom);
    made->key = wanted.key;
    CLEANUP(arena_fini) struct arena scratch = { 0 };
    unsigned n_services = cache->snapshot->n_services;
    struct bom_parts parts = {
        .releases = page->releases,
        .n_releases = page->n_releases,
        .contract_of = arena_new_array(&scratch, uint32_t, n_services),
        .builds = arena_new_array(&scratch, struct bom_build, now->n_builds),
        .n_builds = now->n_builds,
    };
    memcpy(parts.contract_of, page->contract_of, n_services * sizeof(uint32_t));
    if (now->n_builds)
        memcpy(parts.builds, now->builds, now->n_builds * sizeof(parts.builds[0]));
    made->bom = bom_of_parts(cache, &parts);
    map_add(&cache->pages, &made->node,
            (struct span){ (const char *)&made->key, sizeof(made->key) });
    return made->bom;
}

/* --- BOMs of the store, compiled against this snapshot --- */

struct bom_reading {
    const struct version_snapshot *snapshot;
    struct arena arena;
    struct bom_parts parts;
    unsigned builds_capacity;
};

static void reading_fini(struct bom_reading *reading)
{
    arena_fini(&reading->arena);
    free(reading->parts.builds);
}

/* What the snapshot does not know any more cannot be reached; it is left out. */
static void on_bom_build(struct bom_text *text, struct span contract, struct span build)
{
    struct bom_reading *reading = text->owner;
    struct span major_text = contract;
    struct span service = span_cut(&major_text, '@');
    uint64_t major;
    if (!span_to_uint(major_text, UINT32_MAX, &major))
        return;

    struct bom_build found = {
        .contract = snapshot_contract(
            reading->snapshot, snapshot_service(reading->snapshot, service), (uint32_t)major),
        .build = snapshot_build(reading->snapshot, service, build),
    };
    if (found.contract == NO_INDEX || found.build == NO_INDEX)
        return;
    mem_grow(reading->parts.builds, reading->parts.n_builds, reading->builds_capacity);
    reading->parts.builds[reading->parts.n_builds++] = found;
}

static void on_bom_contract(struct bom_text *text, struct span service, uint32_t major)
{
    struct bom_reading *reading = text->owner;
    uint32_t index = snapshot_service(reading->snapshot, service);
    if (index != NO_INDEX)
        reading->parts.contract_of[index] = snapshot_contract(reading->snapshot, index, major);
}

static void on_bom_release(struct bom_text *text, struct span app, struct span release)
{
    struct bom_reading *reading = text->owner;
    const struct snapshot_release *found = snapshot_release(reading->snapshot, app, release);
    if (!found || reading->parts.n_releases == reading->snapshot->base->n_apps)
        return;
    reading->parts.releases[reading->parts.n_releases++] = found;
}

/* The previous hop, or the page a browser shows, was under this BOM: it must mean the same here,
 * even when nobody would be given it now. */
const struct bom *version_bom(struct bom_cache *cache, struct span id)
{
    struct cached_bom *cached = map_find_as(&cache->boms, id, struct cached_bom, node);
    if (cached)
        return &cached->bom;
    const struct known_bom *known = known_bom_find(cache->snapshot, id);
    if (!known)
        return NULL;

    /* The record comes from the store, its id from a request: the content must prove it. */
    char proven[BOM_ID_SIZE + 1];
    bom_id_format(known->json, proven);
    if (!span_is(id, proven))
        return NULL;

    CLEANUP(reading_fini) struct bom_reading reading = { .snapshot = cache->snapshot };
    unsigned n_services = cache->snapshot->n_services;
    reading.parts.releases = arena_new_array(&reading.arena, const struct snapshot_release *,
                                             cache->snapshot->base->n_apps);
    reading.parts.contract_of = arena_new_array(&reading.arena, uint32_t, n_services);
    memset(reading.parts.contract_of, 0xff, n_services * sizeof(uint32_t));
    struct bom_text text = {
        .owner = &reading,
        .on_build = on_bom_build,
        .on_contract = on_bom_contract,
        .on_release = on_bom_release,
    };
    if (bom_text_parse(&text, known->json))
        return NULL;
    return bom_add(cache, known->json, proven, &reading.parts);
}

/* --- reading --- */

const struct snapshot_release *bom_release(const struct bom *bom, struct span app)
{
    for (unsigned i = 0; i < bom->n_releases; i++) {
        if (span_equals(bom->releases[i]->app, app))
            return bom->releases[i];
    }
    return NULL;
}

uint32_t bom_contract(const struct version_snapshot *snapshot, const struct bom *bom,
                      uint32_t service)
{
    if (service == NO_INDEX)
        return NO_INDEX;
    uint32_t contract = bom->contract_of[service];
    return contract != NO_INDEX ? contract : snapshot->services[service].service.default_contract;
}

uint32_t bom_build(const struct version_snapshot *snapshot, const struct bom *bom,
                   uint32_t contract)
{
    if (contract == NO_INDEX)
        return NO_INDEX;
    for (unsigned i = 0; i < bom->n_builds; i++) {
        if (bom->builds[i].contract == contract)
            return bom->builds[i].build;
    }
    return snapshot->contracts[contract].baseline;
}
