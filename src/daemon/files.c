/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/files.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "api/api.h"
#include "base/arena.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/timefmt.h"
#include "http/client.h"
#include "io/resolver.h"
#include "io/tls.h"

#define PAUSE_MIN (200 * NSEC_PER_MSEC)
#define PAUSE_MAX (30 * NSEC_PER_SEC)
#define ANSWER_WITHIN (10 * NSEC_PER_SEC)
#define WARN_AFTER 5u /* rounds */

struct files {
    struct loop *loop;
    struct store *store;
    const struct registry *registry;
    struct resolver *resolver;
    struct http_pool *pool;
    struct tls_client *tls; /* made when somebody is spoken to over it */
    char secret[API_MEMBER_SECRET_SIZE];
    size_t secret_size;
    struct map fetches; /* struct fetch by SHA-256 */
    struct heap waiting;
    struct timer timer; /* of the first that waits */
    files_names_fn fill_names;
    void *names_owner;
    bool is_unnamed; /* something may be */
    unsigned n_running;
    char why[96];      /* for the log, where it takes more than a fixed text */
    size_t *n_missing; /* the owner's */
};

struct files_names {
    struct map map; /* of nothing but keys */
    struct arena arena;
};

struct fetch {
    struct map_node node;
    struct heap_node turn; /* while it waits */
    struct files *files;   /* NULL: it is over, but the store has its blob still */
    char sha256[65];
    uint64_t size, n_received;
    unsigned n_tries;
    bool is_running, is_keeping;
    bool is_tls;
    unsigned round; /* of the members, from 0 */
    struct resolver_request resolving;
    struct http_call call;
    struct blob_writer *writer;
};

static void plan(struct files *files)
{
    *files->n_missing = files->fetches.n_nodes;
    if (files->n_running < FILES_AT_ONCE && files->waiting.n_nodes && files->secret_size)
        timer_start(&files->timer, files->loop, files->waiting.nodes[0]->at);
    else
        timer_stop(&files->timer);
}

/* --- the end of a try --- */

static void fetch_stop(struct fetch *fetch)
{
    resolver_cancel(&fetch->resolving);
    http_call_cancel(&fetch->call);
    fetch->writer = blob_free(fetch->writer);
    if (fetch->is_running)
        fetch->files->n_running--;
    fetch->is_running = false;
}

static void fetch_end(struct fetch *fetch)
{
    struct files *files = fetch->files;
    fetch_stop(fetch);
    heap_remove(&files->waiting, &fetch->turn);
    map_remove(&files->fetches, &fetch->node);
    free(fetch);
    plan(files);
}

static bool is_other(const struct files *files, const struct owner *owner)
{
    return owner->mod_revision && owner != registry_self(files->registry);
}

static bool can_be_asked(const struct files *files, const struct owner *owner)
{
    return is_other(files, owner) && registry_reaches(files->registry, owner);
}

static unsigned count_members(const struct files *files)
{
    unsigned n = 0;
    map_each (node, registry_owners(files->registry))
        n += can_be_asked(files, container_of(node, struct owner, node));
    return n;
}

/* Before we are a member ourselves it is not known. */
static bool has_unreachable(const struct files *files)
{
    if (!registry_self(files->registry))
        return false;
    map_each (node, registry_owners(files->registry)) {
        const struct owner *owner = container_of(node, struct owner, node);
        if (is_other(files, owner) && !can_be_asked(files, owner))
            return true;
    }
    return false;
}

/* The next member is asked at once; when all were, there is a pause. Who is alone has to wait for
 * members, who end it, see files_members_changed(). */
static void fetch_again(struct fetch *fetch, const char *why)
{
    struct files *files = fetch->files;
    unsigned n_members = count_members(files), round = n_members ? fetch->n_tries / n_members : 0;
    nsec pause = n_members ? 0 : PAUSE_MAX;
    fetch_stop(fetch);
    if (n_members && fetch->n_tries % n_members == 0) {
        pause = round < 8 ? PAUSE_MIN << round : PAUSE_MAX;
        pause = pause < PAUSE_MAX ? pause : PAUSE_MAX;
    }
    bool is_time =
        n_members ? pause && round == WARN_AFTER : fetch->n_tries == 1 && has_unreachable(files);
    if (is_time)
        log_warn("daemon", "no member gives a file that a release names", "sha256", fetch->sha256,
                 "why", why);
    heap_set(&files->waiting, &fetch->turn, loop_now(files->loop) + pause);
    plan(files);
}

/* --- the call --- */

/* Their answers say what time it is there. */
static const char *refusal_text(struct files *files, const struct http_head *head)
{
    unix_msec theirs, ours = loop_wall(files->loop);
    if (head->status == 404)
        return "they do not have it";
    if (head->status != 401 || time_parse_http(http_head_value(head, HTTP_DATE), &theirs))
        return "they refuse";
    snprintf(files->why, sizeof(files->why), "they refuse; our clock is %" PRId64 " s %s theirs",
             (ours < theirs ? theirs - ours : ours - theirs) / 1000,
             ours < theirs ? "behind" : "ahead of");
    return files->why;
}

static void on_kept(void *owner, int answer, const struct blob *blob)
{
    (void)blob;
    struct fetch *fetch = owner;
    fetch->is_keeping = false;
    if (!fetch->files)
        free(fetch);
    else if (answer)
        fetch_again(fetch, "the disk takes no more");
    else
        fetch_end(fetch);
}

static void on_response(struct http_call *call, const struct http_head *head)
{
    struct fetch *fetch = container_of(call, struct fetch, call);
    if (head->status != 200)
        fetch_again(fetch, refusal_text(fetch->files, head));
    else if (blob_create(fetch->files->store, &fetch->writer))
        fetch_again(fetch, "the disk takes no more");
}

static void on_body(struct http_call *call, struct span bytes)
{
    struct fetch *fetch = container_of(call, struct fetch, call);
    fetch->n_received += bytes.size;
    if (fetch->n_received > fetch->size)
        fetch_again(fetch, "more bytes came than it has");
    else if (blob_append(fetch->writer, bytes))
        fetch_again(fetch, "the disk takes no more");
}

static void on_end(struct http_call *call)
{
    struct fetch *fetch = container_of(call, struct fetch, call);
    if (strcmp(blob_seal(fetch->writer)->sha256, fetch->sha256) != 0) {
        fetch_again(fetch, "other bytes came");
        return;
    }
    struct blob_writer *writer = steal(fetch->writer);
    fetch->is_keeping = true;
    blob_finish(writer, on_kept, fetch);
}

static void on_fault(struct http_call *call, enum http_fault fault)
{
    (void)fault;
    fetch_again(container_of(call, struct fetch, call), "they could not be spoken to");
}

static const struct tls_client *tls_of(struct files *files)
{
    const struct tls_client_settings settings = { .is_unverified = true };
    struct problem problem = { 0 };
    if (!files->tls)
        IGNORE(tls_client_new(&settings, &files->tls, &problem), "then it is tried in plain text");
    return files->tls;
}

static void call_member(struct fetch *fetch, const struct address *address)
{
    static const struct http_call_ops ops = {
        .on_response = on_response,
        .on_body = on_body,
        .on_end = on_end,
        .on_fault = on_fault,
    };
    struct files *files = fetch->files;
    char path[96], proof[API_MEMBER_PROOF_MAX], host[ADDRESS_TEXT_MAX];
    snprintf(path, sizeof(path), "/v1/blobs/%s", fetch->sha256);
    api_member_proof((struct span){ files->secret, files->secret_size }, SPAN("GET"), span_of(path),
                     loop_wall(files->loop), proof);
    address_format(address, host);
    const struct http_out_field fields[] = {
        { SPAN("Host"), span_of(host) },
        { SPAN("Authorization"), span_of(proof) },
    };
    const struct http_message message = {
        .method = SPAN("GET"),
        .target = span_of(path),
        .fields = fields,
        .n_fields = sizeof(fields) / sizeof(fields[0]),
    };
    fetch->n_received = 0;
    fetch->call = (struct http_call){
        .ops = &ops,
        .answer_timeout = ANSWER_WITHIN,
        .tls = fetch->is_tls ? tls_of(files) : NULL,
    };
    http_call_start(files->pool, &fetch->call, address, &message,
                    loop_now(files->loop) + ANSWER_WITHIN);
}

static void on_resolved(struct resolver_request *request, const struct resolver_result *result)
{
    struct fetch *fetch = container_of(request, struct fetch, resolving);
    if (result->answer)
        fetch_again(fetch, resolver_answer_text(result->answer));
    else
        call_member(fetch, &result->addresses[fetch->round % result->n_addresses]);
}

/* Members in their order, each try the next one; each file begins at another. */
static const struct owner *choose_member(struct fetch *fetch)
{
    const struct registry *registry = fetch->files->registry;
    unsigned n_members = count_members(fetch->files);
    if (!n_members)
        return NULL;
    fetch->round = fetch->n_tries / n_members;
    unsigned left = (fetch->n_tries + (unsigned char)fetch->sha256[0]) % n_members;
    map_each (node, registry_owners(registry)) {
        const struct owner *owner = container_of(node, struct owner, node);
        if (can_be_asked(fetch->files, owner) && left-- == 0)
            return owner;
    }
    return NULL;
}

static void fetch_start(struct fetch *fetch)
{
    struct files *files = fetch->files;
    const struct owner *owner = choose_member(fetch);
    fetch->n_tries++;
    fetch->is_running = true;
    files->n_running++;
    if (!owner) {
        fetch_again(fetch, "the API of the others listens on loopback alone");
        return;
    }
    struct span url = span_of(owner->api);
    fetch->is_tls = span_starts_with(url, SPAN("https://"));
    url = span_from(url, fetch->is_tls ? strlen("https://") : strlen("http://"));
    fetch->resolving.on_resolved = on_resolved;
    resolver_ask(files->resolver, &fetch->resolving, url, loop_now(files->loop) + ANSWER_WITHIN);
}

void files_name(struct files_names *names, const struct release_file *file)
{
    struct span sha256 = span_of(file->sha256);
    if (!map_find(&names->map, sha256))
        map_add(&names->map, arena_new(&names->arena, struct map_node), sha256);
}

/* All at once, as each look goes over all releases. What is on its way to the disk ends by itself,
 * or is looked at again. */
static void drop_unnamed(struct files *files)
{
    struct files_names names = { 0 };
    if (!files->is_unnamed)
        return;
    files->is_unnamed = false;
    map_init(&names.map);
    files->fill_names(files->names_owner, &names);
    map_each (node, &files->fetches) {
        struct fetch *fetch = container_of(node, struct fetch, node);
        if (map_find(&names.map, span_of(fetch->sha256)))
            continue;
        if (fetch->is_keeping)
            files->is_unnamed = true;
        else
            fetch_end(fetch);
    }
    map_fini(&names.map);
    arena_fini(&names.arena);
}

static void on_due(struct timer *timer)
{
    struct files *files = container_of(timer, struct files, timer);
    nsec now = loop_now(files->loop);
    drop_unnamed(files);
    while (files->n_running < FILES_AT_ONCE && files->waiting.n_nodes &&
           files->waiting.nodes[0]->at <= now) {
        struct fetch *fetch = container_of(files->waiting.nodes[0], struct fetch, turn);
        heap_remove(&files->waiting, &fetch->turn);
        fetch_start(fetch);
    }
    plan(files);
}

/* --- what is wanted --- */

static bool is_here(const struct files *files, struct span sha256)
{
    uint64_t size;
    int fd = blob_open(files->store, sha256, &size);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

void files_want(struct files *files, const struct release_file *file)
{
    struct span sha256 = span_of(file->sha256);
    if (map_find(&files->fetches, sha256) || is_here(files, sha256))
        return;
    struct fetch *fetch = mem_new(struct fetch);
    fetch->files = files;
    snprintf(fetch->sha256, sizeof(fetch->sha256), "%s", file->sha256);
    fetch->size = file->size;
    map_add(&files->fetches, &fetch->node, span_of(fetch->sha256));
    heap_set(&files->waiting, &fetch->turn, loop_now(files->loop));
    plan(files);
}

void files_unname(struct files *files)
{
    files->is_unnamed = files->fetches.n_nodes > 0;
}

void files_members_changed(struct files *files)
{
    map_each (node, &files->fetches) {
        struct fetch *fetch = container_of(node, struct fetch, node);
        fetch->n_tries = 0;
        if (heap_has(&fetch->turn))
            heap_set(&files->waiting, &fetch->turn, loop_now(files->loop));
    }
    plan(files);
}

void files_set_secret(struct files *files, struct span secret)
{
    files->secret_size = secret.size == sizeof(files->secret) ? secret.size : 0;
    if (files->secret_size)
        memcpy(files->secret, secret.data, secret.size);
    plan(files);
}

/* --- life --- */

struct files *files_new(struct loop *loop, struct store *store, const struct registry *registry,
                        size_t *n_missing)
{
    struct http_pool_settings settings = http_pool_settings_default;
    struct files *files = mem_new(struct files);
    settings.stall_timeout = ANSWER_WITHIN;
    files->loop = loop;
    files->store = store;
    files->registry = registry;
    files->n_missing = n_missing;
    files->resolver = resolver_new(loop, NULL);
    files->pool = http_pool_new(loop, &settings);
    files->timer.on_due = on_due;
    map_init(&files->fetches);
    return files;
}

void files_set_names(struct files *files, files_names_fn fill_names, void *owner)
{
    files->fill_names = fill_names;
    files->names_owner = owner;
}

struct files *files_free(struct files *files)
{
    if (!files)
        return NULL;
    timer_stop(&files->timer);
    *files->n_missing = 0;
    map_each (node, &files->fetches) {
        struct fetch *fetch = container_of(node, struct fetch, node);
        fetch_stop(fetch);
        heap_remove(&files->waiting, &fetch->turn);
        map_remove(&files->fetches, &fetch->node);
        fetch->files = NULL;
        if (!fetch->is_keeping)
            free(fetch);
    }
    map_fini(&files->fetches);
    heap_fini(&files->waiting);
    http_pool_free(files->pool);
    resolver_free(files->resolver);
    tls_client_unref(files->tls);
    free(files);
    return NULL;
}
