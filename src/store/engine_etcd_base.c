/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>

#include "store/engine_etcd.h"

static ProtobufCBinaryData base_key(const struct etcd *etcd, struct arena *arena)
{
    return etcd_key(etcd, arena, "b/", SPAN("revision"));
}

/* It is the first of all keys, so a first page has it when there is one. */
bool etcd_base_take(struct etcd *etcd, const Etcd__RangeResponse *page)
{
    CLEANUP(arena_fini) struct arena arena = { 0 };
    uint64_t base = 0;
    if (page->n_kvs &&
        span_equals(etcd_span(page->kvs[0]->key), etcd_span(base_key(etcd, &arena))) &&
        !span_to_uint(etcd_span(page->kvs[0]->value), INT64_MAX / 2, &base)) {
        etcd_break(etcd, "has a b/revision below %s that is no number", etcd->prefix);
        return false;
    }
    if (etcd->is_loaded && (int64_t)base != etcd->base) {
        etcd_break(etcd, "was copied to while it was in use; restart to take it as it is");
        return false;
    }
    etcd->base = (int64_t)base;
    return true;
}

static void raise_on_message(struct grpc_call *call, struct span message)
{
    (void)call, (void)message;
}

static void raise_on_end(struct grpc_call *call, enum grpc_status status, struct span text)
{
    struct etcd *etcd = container_of(call, struct etcd, ask);
    if (status != GRPC_OK)
        etcd_break_by(etcd, "takes no writes", status, text);
    else
        etcd_load(etcd);
}

/* Compared with the epoch, as all that we write: one that comes late changes nothing. */
bool etcd_base_raise(struct etcd *etcd)
{
    static const struct grpc_call_ops ops = { raise_on_message, raise_on_end };
    if (etcd->is_loaded || etcd->load_revision >= etcd->first_revision)
        return false;
    CLEANUP(arena_fini) struct arena arena = { 0 };
    int64_t base = etcd->base + etcd->first_revision - etcd->load_revision;
    const char *text = arena_format(&arena, "%lld", (long long)base);
    Etcd__Compare *compare = etcd_compare_new(
        etcd, &arena, etcd_key(etcd, &arena, "e/", span_of(etcd->id)), etcd->load_epoch);
    Etcd__Op *put = etcd_put_new(&arena, base_key(etcd, &arena), span_of(text));
    Etcd__TxnRequest request = ETCD__TXN_REQUEST__INIT;
    request.compare = &compare;
    request.n_compare = 1;
    request.success = &put;
    request.n_success = 1;

    etcd->ask.ops = &ops;
    etcd->phase_since = etcd_time(etcd);
    struct grpc_target target = etcd_target(etcd);
    grpc_call_start(&etcd->ask, &target, "/etcdserverpb.KV/Txn", etcd->patience, etcd->loop);
    etcd_send(&etcd->ask, &request.base);
    grpc_call_finish(&etcd->ask);
    return true;
}
