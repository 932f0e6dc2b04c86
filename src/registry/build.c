/* SPDX-License-Identifier: Apache-2.0 */

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "registry/fold.h"

#define DIGEST_MAX 160u

/* What a build is, checked and in canonical order. */
struct build_content {
    uint32_t provides[BUILD_PROVIDES_MAX];
    unsigned n_provides;
    struct span digest;
};

static int provides_check(const struct build_spec *spec, struct problem *problem)
{
    if (spec->n_provides > BUILD_PROVIDES_MAX) {
        problem_set(problem, "provides", "names %u contracts; up to %u are accepted",
                    spec->n_provides, BUILD_PROVIDES_MAX);
        return REGISTRY_INVALID;
    }
    for (unsigned i = 1; i < spec->n_provides; i++) {
        for (unsigned k = 0; k < i; k++) {
            if (spec->provides[i] != spec->provides[k])
                continue;
            char path[32];
            snprintf(path, sizeof(path), "provides[%u]", i);
            problem_set(problem, path,
                        "is %.*s@%" PRIu32 ", as provides[%u] is; each contract is accepted once",
                        QUOTE(spec->service), spec->provides[i], k);
            return REGISTRY_INVALID;
        }
    }
    return 0;
}

static void provides_sort(uint32_t *majors, unsigned n)
{
    for (unsigned i = 1; i < n; i++) {
        uint32_t major = majors[i];
        unsigned k = i;
        for (; k > 0 && majors[k - 1] > major; k--)
            majors[k] = majors[k - 1];
        majors[k] = major;
    }
}

static int build_content_check(const struct build_spec *spec, const char *version_path,
                               struct build_content *ret_content, struct problem *problem)
{
    struct semver semver;
    if (spec->version.size > SEMVER_TEXT_MAX || semver_parse(spec->version, &semver) != SEMVER_OK) {
        problem_set(problem, version_path,
                    "is \"%.*s\"; a semantic version such as 3.15.0 or 3.15.0-rc.1 of at most %u "
                    "characters is accepted",
                    QUOTE(spec->version), SEMVER_TEXT_MAX);
        return REGISTRY_INVALID;
    }
    if (spec->digest.size > DIGEST_MAX || !text_is_visible(spec->digest)) {
        problem_set(problem, "digest",
                    "is \"%.*s\"; up to %u visible ASCII characters such as \"sha256:9f86…\" are "
                    "accepted",
                    QUOTE(spec->digest), DIGEST_MAX);
        return REGISTRY_INVALID;
    }
    int r = provides_check(spec, problem);
    if (r)
        return r;

    *ret_content = (struct build_content){ .provides = { semver.major },
                                           .n_provides = 1,
                                           .digest = spec->digest };
    if (spec->n_provides) {
        memcpy(ret_content->provides, spec->provides, spec->n_provides * sizeof(spec->provides[0]));
        ret_content->n_provides = spec->n_provides;
        provides_sort(ret_content->provides, ret_content->n_provides);
    }
    return 0;
}

static char *provides_text(struct arena *arena, const struct build_spec *spec,
                           const uint32_t *majors, size_t n)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    for (size_t i = 0; i < n; i++)
        buf_printf(&text, "%s%.*s@%" PRIu32, i ? ", " : "", SPAN_ARG(spec->service), majors[i]);
    return record_text(arena, buf_span(&text));
}

/* Whether the record says the same; then *ret_digest is the one that stands. A digest may be told
 * later, and never changes. */
static int build_compare(const struct build_spec *spec, const struct build_content *content,
                         const Registry__BuildRecord *record, struct txn *txn,
                         struct problem *problem)
{
    if (record->n_provides != content->n_provides ||
        memcmp(record->provides, content->provides,
               content->n_provides * sizeof(content->provides[0])) != 0) {
        problem_set(problem, "provides",
                    "is %s, but build %.*s@%.*s provides %s; a build does not change, a new "
                    "version may",
                    provides_text(&txn->arena, spec, content->provides, content->n_provides),
                    QUOTE(spec->service), QUOTE(spec->version),
                    provides_text(&txn->arena, spec, record->provides, record->n_provides));
        return REGISTRY_REFUSED;
    }
    if (record->digest[0] && content->digest.size && !span_is(content->digest, record->digest)) {
        problem_set(problem, "digest",
                    "is \"%.*s\", but build %.*s@%.*s has \"%.64s\"; a build does not change, a "
                    "new version may",
                    QUOTE(content->digest), QUOTE(spec->service), QUOTE(spec->version),
                    record->digest);
        return REGISTRY_REFUSED;
    }
    return 0;
}

static void build_write(const struct build_spec *spec, Registry__BuildRecord *record,
                        struct span digest, struct txn *txn)
{
    if (digest.size)
        record->digest = record_text(&txn->arena, digest);
    txn_put(txn, build_key(&txn->arena, spec->service, spec->version),
            txn_pack(txn, &record->base));
}

/* The build exists: in the registry, or earlier in this transaction. */
static int build_put_again(const struct build_spec *spec, const struct build_content *content,
                           Registry__BuildRecord *record, struct txn *txn, struct problem *problem)
{
    int r = build_compare(spec, content, record, txn, problem);
    if (r)
        return r;

    bool has_news = grpc_names_merge(spec, record, &txn->arena);
    bool is_told = content->digest.size && !record->digest[0];
    if (has_news || is_told)
        build_write(spec, record, is_told ? content->digest : SPAN_NULL, txn);
    return 0;
}

static int build_put_pending(const struct build_spec *spec, const struct build_content *content,
                             struct span pending, struct txn *txn, struct problem *problem)
{
    Registry__BuildRecord *record =
        registry__build_record__unpack(NULL, pending.size, (const uint8_t *)pending.data);
    if (!record)
        return err_origin(-EBADMSG);

    /* The copy borrows the arrays and may get a digest that the arena owns. */
    Registry__BuildRecord copy = *record;
    int r = build_put_again(spec, content, &copy, txn, problem);
    registry__build_record__free_unpacked(record, NULL);
    return r;
}

int build_announce(const struct registry *registry, const struct build_spec *spec,
                   const char *version_path, unix_msec wall, struct txn *txn,
                   struct problem *problem)
{
    struct build_content content;
    int r = build_content_check(spec, version_path, &content, problem);
    if (r)
        return r;
    r = service_announce(registry, spec->service, wall, txn, problem);
    if (!r && spec->n_grpc_services)
        r = grpc_names_check(registry, spec, problem);
    if (r)
        return r;

    const struct service *service = service_find(registry, spec->service);
    struct build *build = service ? build_find(service, spec->version) : NULL;
    struct span key = build_key(&txn->arena, spec->service, spec->version);
    struct span pending = txn_pending(txn, key);
    if (pending.data)
        return build_put_pending(spec, &content, pending, txn, problem);

    txn_expect(txn, key, build ? build->mod_revision : 0);
    Registry__BuildRecord record;
    registry__build_record__init(&record);
    if (build && build->mod_revision) {
        record.created = build->created;
        record.provides = build->provides;
        record.n_provides = build->n_provides;
        record.digest = build->digest;
        record.grpc_services = build->grpc_services;
        record.n_grpc_services = build->n_grpc_services;
        return build_put_again(spec, &content, &record, txn, problem);
    }
    if (service && service->builds.n_nodes >= SERVICE_BUILDS_MAX) {
        problem_set(problem, version_path, "would be one more than the %u builds a service has",
                    SERVICE_BUILDS_MAX);
        return REGISTRY_FULL;
    }

    record.created = wall;
    record.provides = content.provides;
    record.n_provides = content.n_provides;
    grpc_names_merge(spec, &record, &txn->arena);
    build_write(spec, &record, content.digest, txn);
    service_write(registry, spec->service, wall, txn); /* see service_delete() */
    return 0;
}

int build_put(const struct registry *registry, const struct build_spec *spec, unix_msec wall,
              struct txn *txn, struct problem *problem)
{
    return build_announce(registry, spec, "version", wall, txn, problem);
}
