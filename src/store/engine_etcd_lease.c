/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Leases that etcd keeps: asked for again every third of their TTL, all on one stream.
 *
 * Who holds one must know that it is over no later than etcd does. etcd counts from when it got
 * the request that it answered, so here the time counts from when that was sent.
 */

#include "base/mem.h"
#include "store/engine_etcd.h"
#include "store/lease.h"

static void lease_lost(struct lease *lease)
{
    struct store_lease *owner = steal(lease->owner);
    lease_free(lease);
    if (!owner)
        return;
    owner->inside = NULL;
    owner->id = 0;
    owner->on_lost(owner);
}

/* Its time is over. Who has not even been told yet that it was granted, is told that it was not. */
static void lease_end_here(struct lease *lease)
{
    if (list_is_empty(&lease->task.link)) {
        lease_lost(lease);
        return;
    }
    lease->id = 0;
    lease_answer(lease, STORE_READ_ONLY);
}

/* --- kept alive --- */

static void lease_ask(struct etcd *etcd, struct lease *lease, nsec now)
{
    Etcd__LeaseKeepAliveRequest request = ETCD__LEASE_KEEP_ALIVE_REQUEST__INIT;
    request.id = lease->id;
    etcd_send(&etcd->leases, &request.base);
    if (!lease->asked_at)
        lease->asked_at = now; /* an answer is to the oldest question that has none */
    lease->ask_at = now + lease->ttl / 3;
}

static void keep_on_message(struct grpc_call *call, struct span message)
{
    struct etcd *etcd = container_of(call, struct etcd, leases);
    Etcd__LeaseKeepAliveResponse *response =
        etcd__lease_keep_alive_response__unpack(NULL, message.size, (const uint8_t *)message.data);
    struct lease *lease = response ? lease_find(etcd->store, response->id) : NULL;
    bool is_gone = response && response->ttl <= 0;
    etcd__lease_keep_alive_response__free_unpacked(response, NULL);
    if (!lease)
        return;
    if (is_gone) {
        lease_lost(lease);
    } else if (lease->asked_at) {
        lease->until = lease->asked_at + lease->ttl;
        lease->asked_at = 0;
    }
}

static void keep_on_end(struct grpc_call *call, enum grpc_status status, struct span text)
{
    etcd_break_by(container_of(call, struct etcd, leases), "keeps no leases", status, text);
}

/* The stream is there while there is something to say on it. */
static void keep_open(struct etcd *etcd)
{
    static const struct grpc_call_ops ops = { keep_on_message, keep_on_end };
    if (etcd->leases.is_open)
        return;
    etcd->leases.ops = &ops;
    struct grpc_target target = etcd_target(etcd);
    grpc_call_start(&etcd->leases, &target, "/etcdserverpb.Lease/LeaseKeepAlive", NSEC_NEVER,
                    etcd->loop);
}

void etcd_lease_on_live(struct etcd *etcd)
{
    nsec now = loop_now(etcd->loop);
    list_each (link, &etcd->store->leases) {
        struct lease *lease = container_of(link, struct lease, link);
        if (!lease->id)
            continue;
        keep_open(etcd);
        lease->asked_at = 0; /* what was asked on the connection before is not answered here */
        lease_ask(etcd, lease, now);
    }
}

void etcd_lease_on_tick(struct etcd *etcd, nsec now)
{
    struct list round, *link;
    list_init(&round);
    list_move_all(&round, &etcd->store->leases);
    while ((link = list_take_first(&round))) { /* callbacks grant and end others */
        struct lease *lease = container_of(link, struct lease, link);
        list_add_last(&etcd->store->leases, link);
        if (!lease->id || lease->call.is_open) /* the end of its answer is still to come */
            continue;
        if (now + ETCD_TICK >= lease->until) { /* the next look would be too late */
            lease_end_here(lease);
        } else if (etcd->phase == ETCD_LIVE && now >= lease->ask_at) {
            keep_open(etcd);
            lease_ask(etcd, lease, now);
        }
    }
}

/* --- granted --- */

static void grant_on_message(struct grpc_call *call, struct span message)
{
    struct lease *lease = container_of(call, struct lease, call);
    Etcd__LeaseGrantResponse *response =
        etcd__lease_grant_response__unpack(NULL, message.size, (const uint8_t *)message.data);
    if (response && response->id > 0 && response->ttl > 0) {
        lease->id = response->id;
        lease->ttl = (nsec)response->ttl * NSEC_PER_SEC; /* etcd raises what is very short */
    }
    etcd__lease_grant_response__free_unpacked(response, NULL);
}

static void grant_on_end(struct grpc_call *call, enum grpc_status status, struct span text)
{
    (void)text;
    struct lease *lease = container_of(call, struct lease, call);
    struct etcd *etcd = lease->store->etcd;
    if (!lease->owner) { /* given up in between */
        etcd_lease_end(etcd, lease);
        return;
    }
    lease->until = lease->asked_at + lease->ttl;
    lease->asked_at = 0;
    lease->ask_at = loop_now(etcd->loop) + lease->ttl / 3;
    lease_answer(lease, status == GRPC_OK && lease->id ? 0 : STORE_READ_ONLY);
}

void etcd_lease_grant(struct etcd *etcd, struct lease *lease)
{
    static const struct grpc_call_ops ops = { grant_on_message, grant_on_end };
    if (etcd->phase != ETCD_LIVE) {
        lease_answer(lease, STORE_READ_ONLY);
        return;
    }
    lease->asked_at = loop_now(etcd->loop);
    lease->call.ops = &ops;
    struct grpc_target target = etcd_target(etcd);
    grpc_call_start(&lease->call, &target, "/etcdserverpb.Lease/LeaseGrant", etcd->patience,
                    etcd->loop);
    Etcd__LeaseGrantRequest request = ETCD__LEASE_GRANT_REQUEST__INIT;
    request.ttl = (int64_t)((lease->ttl + NSEC_PER_SEC - 1) / NSEC_PER_SEC);
    etcd_send(&lease->call, &request.base);
    grpc_call_finish(&lease->call);
}

/* --- given up --- */

static void end_on_message(struct grpc_call *call, struct span message)
{
    (void)call, (void)message;
}

/* One that could not be given up ends by itself. */
static void end_on_end(struct grpc_call *call, enum grpc_status status, struct span text)
{
    (void)status, (void)text;
    lease_free(container_of(call, struct lease, call));
}

void etcd_lease_end(struct etcd *etcd, struct lease *lease)
{
    static const struct grpc_call_ops ops = { end_on_message, end_on_end };
    if (lease->call.is_open)
        return; /* it is being granted; then we are asked again */
    if (!lease->id || etcd->phase != ETCD_LIVE) {
        lease_free(lease);
        return;
    }
    lease->call.ops = &ops;
    struct grpc_target target = etcd_target(etcd);
    grpc_call_start(&lease->call, &target, "/etcdserverpb.Lease/LeaseRevoke", etcd->patience,
                    etcd->loop);
    Etcd__LeaseRevokeRequest request = ETCD__LEASE_REVOKE_REQUEST__INIT;
    request.id = lease->id;
    lease->id = 0; /* nobody asks for it any more */
    etcd_send(&lease->call, &request.base);
    grpc_call_finish(&lease->call);
}

void etcd_lease_on_reset(struct etcd *etcd)
{
    grpc_call_cancel(&etcd->leases);
    list_each_safe (link, &etcd->store->leases) {
        struct lease *lease = container_of(link, struct lease, link);
        if (!lease->call.is_open)
            continue;
        grpc_call_cancel(&lease->call);
        if (!lease->owner) {
            lease_free(lease);
            continue;
        }
        lease->id = 0; /* the answer may be here but for its end; such a lease ends by itself */
        lease_answer(lease, STORE_READ_ONLY);
    }
}
