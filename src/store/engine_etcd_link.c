/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From no connection to a live one:
 *
 *   WAITING ─► RESOLVING ─► SIGNING_IN ─► CLAIMING ─► LOADING ─► FOLLOWING ─► CATCHING_UP ─► LIVE
 *                          (with a user)  └── when there is nothing to ──┘
 *                                             go on from
 *
 * Whatever goes wrong leads back to WAITING, and from there to the next endpoint: at once for
 * those that have not failed yet, after a pause when all of them have.
 */

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "store/engine_etcd.h"
#include "store/lease.h"

#define PAUSE_MIN (200 * NSEC_PER_MSEC)
#define PAUSE_MAX (1 * NSEC_PER_SEC)

struct grpc_target etcd_target(const struct etcd *etcd)
{
    return (struct grpc_target){
        .pool = etcd->pool,
        .address = &etcd->address,
        .tls = etcd->endpoints[etcd->endpoint].tls,
        .authority = span_of(etcd->endpoints[etcd->endpoint].text),
        .token = buf_span(&etcd->token),
    };
}

void etcd_send(struct grpc_call *call, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    CLEANUP(mem_freep) uint8_t *bytes = mem_zalloc(1, GRPC_FRAME_HEAD + size);
    protobuf_c_message_pack(message, bytes + GRPC_FRAME_HEAD);
    grpc_call_send(call, (struct span){ (const char *)bytes, GRPC_FRAME_HEAD + size });
}

ProtobufCBinaryData etcd_key(const struct etcd *etcd, struct arena *arena, const char *kind,
                             struct span rest)
{
    size_t n_before = strlen(etcd->prefix) + strlen(kind);
    char *key = arena_alloc(arena, 1, n_before + rest.size + 1);
    snprintf(key, n_before + 1, "%s%s", etcd->prefix, kind);
    if (rest.size)
        memcpy(key + n_before, rest.data, rest.size);
    return (ProtobufCBinaryData){ n_before + rest.size, (uint8_t *)key };
}

bool etcd_is_linked(const struct etcd *etcd)
{
    return etcd->phase != ETCD_WAITING;
}

static void etcd_set_phase(struct etcd *etcd, enum etcd_phase phase)
{
    etcd->phase = phase;
    etcd->phase_since = etcd_time(etcd);
}

/* --- the end of a connection --- */

static void etcd_drop(struct etcd *etcd)
{
    if (!etcd_is_linked(etcd))
        return;
    nsec now = loop_now(etcd->loop);
    if (etcd->phase == ETCD_LIVE)
        etcd->down_since = now;
    etcd_set_phase(etcd, ETCD_WAITING);
    etcd->store->is_read_only = true;
    resolver_cancel(&etcd->resolving);
    grpc_call_cancel(&etcd->ask);
    grpc_call_cancel(&etcd->watch);
    grpc_call_cancel(&etcd->leases);
    task_cancel(&etcd->follow);
    buf_clear(&etcd->token); /* it may be why: a member that was started anew knows none */

    etcd->endpoint = (etcd->endpoint + 1) % etcd->n_endpoints;
    etcd->next_try = now;
    if (++etcd->n_failed >= etcd->n_endpoints) {
        unsigned n_rounds = etcd->n_failed / etcd->n_endpoints;
        nsec pause = PAUSE_MIN * n_rounds;
        etcd->next_try = now + (pause < PAUSE_MAX ? pause : PAUSE_MAX);
    }
    /* Not from inside a callback of the pool's. */
    task_defer(&etcd->reset, etcd->loop);
}

void etcd_break(struct etcd *etcd, const char *format, ...)
{
    if (!etcd_is_linked(etcd))
        return;
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    snprintf(etcd->trouble, sizeof(etcd->trouble), "%.40s %s", etcd->endpoints[etcd->endpoint].text,
             text);
    etcd_drop(etcd);
}

void etcd_break_by(struct etcd *etcd, const char *what, enum grpc_status status, struct span text)
{
    etcd_break(etcd, "%s: %.*s (status %u)", what, SPAN_ARG(text), (unsigned)status);
}

void etcd_link_on_reset(struct task *task)
{
    struct etcd *etcd = container_of(task, struct etcd, reset);
    etcd_write_on_reset(etcd);
    etcd_lease_on_reset(etcd);
    etcd->pool = http_pool_free(etcd->pool);
    etcd_load_fini(etcd);
    etcd_batch_clear(&etcd->batch);
    if (loop_now(etcd->loop) >= etcd->next_try)
        etcd_link_start(etcd);
}

/* --- its beginning --- */

static void etcd_on_signed_in(struct etcd *etcd)
{
    if (etcd->must_load)
        etcd_claim(etcd, ETCD_CLAIMING);
    else {
        etcd_set_phase(etcd, ETCD_FOLLOWING);
        etcd_follow(etcd);
    }
}

static void sign_in_on_message(struct grpc_call *call, struct span message)
{
    struct etcd *etcd = container_of(call, struct etcd, ask);
    Etcd__AuthenticateResponse *response =
        etcd__authenticate_response__unpack(NULL, message.size, (const uint8_t *)message.data);
    if (!response)
        return;
    buf_clear(&etcd->token);
    buf_puts(&etcd->token, response->token);
    etcd__authenticate_response__free_unpacked(response, NULL);
}

static void sign_in_on_end(struct grpc_call *call, enum grpc_status status, struct span text)
{
    struct etcd *etcd = container_of(call, struct etcd, ask);
    /* A cluster without users takes requests without a token. */
    bool is_needless = status == GRPC_FAILED_PRECONDITION;
    if (status != GRPC_OK && !is_needless)
        etcd_break_by(etcd, "does not let us in", status, text);
    else
        etcd_on_signed_in(etcd);
}

static void etcd_sign_in(struct etcd *etcd)
{
    static const struct grpc_call_ops ops = { sign_in_on_message, sign_in_on_end };
    etcd_set_phase(etcd, ETCD_SIGNING_IN);
    etcd->ask.ops = &ops;
    struct grpc_target target = etcd_target(etcd);
    grpc_call_start(&etcd->ask, &target, "/etcdserverpb.Auth/Authenticate", etcd->patience,
                    etcd->loop);
    Etcd__AuthenticateRequest request;
    etcd__authenticate_request__init(&request);
    request.name = etcd->user;
    request.password = etcd->password;
    etcd_send(&etcd->ask, &request.base);
    grpc_call_finish(&etcd->ask);
}

void etcd_link_start(struct etcd *etcd)
{
    if (etcd->is_closing || !list_is_empty(&etcd->reset.link))
        return;
    struct http_pool_settings settings = http_pool_settings_default;
    settings.http2_streams = 2 * ETCD_SLOTS;
    etcd->pool = http_pool_new(etcd->loop, &settings);
    etcd->heard_at = etcd->asked_at = etcd_time(etcd);
    etcd_set_phase(etcd, ETCD_RESOLVING);
    etcd_resolve(etcd);
}

void etcd_on_resolved(struct etcd *etcd)
{
    if (etcd->user && !etcd->token.size)
        etcd_sign_in(etcd);
    else
        etcd_on_signed_in(etcd);
}

/* --- epochs --- */

/* What a cluster says that is not the one we know, or has been put back to an older state: what was
 * acknowledged may be missing there, so nothing of it is taken. */
static bool etcd_header_fits(struct etcd *etcd, const Etcd__Header *header)
{
    if (!header)
        return false;
    if (etcd->cluster_id && header->cluster_id != etcd->cluster_id) {
        etcd_break(etcd, "belongs to another cluster than before; restart to take it as it is");
        return false;
    }
    if (etcd_revision_from(etcd, header->revision) <= etcd->store->revision) {
        etcd_break(etcd,
                   "is at revision %lld, which had reached %lld: it was put back to an older "
                   "state; restart to take it as it is",
                   (long long)etcd_revision_from(etcd, header->revision),
                   (long long)etcd->store->revision);
        return false;
    }
    etcd->cluster_id = header->cluster_id;
    return true;
}

static bool text_has(struct span text, const char *part)
{
    return text.data && memmem(text.data, text.size, part, strlen(part)) != NULL;
}

static void claim_on_message(struct grpc_call *call, struct span message)
{
    struct etcd *etcd = container_of(call, struct etcd, ask);
    Etcd__PutResponse *response =
        etcd__put_response__unpack(NULL, message.size, (const uint8_t *)message.data);
    /* When it has come by the watch already, the revision is ours. */
    if (response && etcd->phase != ETCD_LIVE)
        etcd_header_fits(etcd, response->header);
    etcd__put_response__free_unpacked(response, NULL);
}

/* The watch tells that it is gone. */
static void unclaim_on_message(struct grpc_call *call, struct span message)
{
    (void)call, (void)message;
}

static void unclaim_on_end(struct grpc_call *call, enum grpc_status status, struct span text)
{
    if (status != GRPC_OK)
        etcd_break_by(container_of(call, struct etcd, ask), "takes no writes", status, text);
}

/* An etcd that is full takes no epoch, but it removes keys: without one, what was sent under it is
 * not done any more either, and those who wait can be told. */
static void etcd_unclaim(struct etcd *etcd)
{
    static const struct grpc_call_ops ops = { unclaim_on_message, unclaim_on_end };
    etcd_set_phase(etcd, ETCD_CATCHING_UP);
    etcd->ask.ops = &ops;
    struct grpc_target target = etcd_target(etcd);
    grpc_call_start(&etcd->ask, &target, "/etcdserverpb.KV/DeleteRange", etcd->patience,
                    etcd->loop);
    CLEANUP(arena_fini) struct arena arena = { 0 };
    Etcd__DeleteRequest request = ETCD__DELETE_REQUEST__INIT;
    request.key = etcd_key(etcd, &arena, "e/", span_of(etcd->id));
    etcd_send(&etcd->ask, &request.base);
    grpc_call_finish(&etcd->ask);
}

static void claim_on_end(struct grpc_call *call, enum grpc_status status, struct span text)
{
    struct etcd *etcd = container_of(call, struct etcd, ask);
    bool is_full = status == GRPC_RESOURCE_EXHAUSTED && text_has(text, "space");
    if (is_full && etcd->phase == ETCD_CATCHING_UP && !list_is_empty(&etcd->flying)) {
        etcd_unclaim(etcd);
        return;
    }
    if (status != GRPC_OK) {
        etcd_break_by(etcd, "takes no writes", status, text);
        return;
    }
    if (etcd->phase != ETCD_CLAIMING)
        return;
    etcd_set_phase(etcd, ETCD_LOADING);
    etcd_load(etcd);
}

void etcd_claim(struct etcd *etcd, enum etcd_phase phase)
{
    static const struct grpc_call_ops ops = { claim_on_message, claim_on_end };
    etcd_set_phase(etcd, phase);
    etcd->ask.ops = &ops;
    struct grpc_target target = etcd_target(etcd);
    grpc_call_start(&etcd->ask, &target, "/etcdserverpb.KV/Put", etcd->patience, etcd->loop);

    CLEANUP(arena_fini) struct arena arena = { 0 };
    snprintf(etcd->claim, sizeof(etcd->claim), "%s.%llu", etcd->nonce,
             (unsigned long long)++etcd->n_writes);
    Etcd__PutRequest request = ETCD__PUT_REQUEST__INIT;
    request.key = etcd_key(etcd, &arena, "e/", span_of(etcd->id));
    request.value = etcd_bytes(span_of(etcd->claim));
    etcd_send(&etcd->ask, &request.base);
    grpc_call_finish(&etcd->ask);
}

/* --- what happened --- */

void etcd_on_loaded(struct etcd *etcd)
{
    etcd_set_phase(etcd, ETCD_FOLLOWING);
    etcd_follow(etcd);
}

void etcd_on_created(struct etcd *etcd)
{
    if (etcd->phase == ETCD_FOLLOWING)
        etcd_claim(etcd, ETCD_CATCHING_UP);
}
