/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Other systems' protocols over our rooms, as the control loop has them: opened with the store,
 * served with the management API, and made anew when the store was another process's meanwhile.
 */

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/control_state.h"
#include "daemon/takeover.h"
#include "faces/consul/consul.h"

#define INSTANCE_PREFIX REGISTRY_PREFIX "instance/"
#define SERVICE_PREFIX REGISTRY_PREFIX "service/"
#define OWNER_PREFIX REGISTRY_PREFIX "owner/"

int control_bind_faces(struct control *control, struct problem *problem)
{
    const struct settings *settings = control->settings;
    if (!settings->consul_listen)
        return 0;
    int r = control_listen_at(control, span_of(settings->consul_listen), USE_CONSUL, problem,
                              &control->consul_fd);
    if (r <= 0 || !settings->consul_is_optional)
        return r;
    log_info("daemon", "the Consul API is not served: its address is taken", "address",
             settings->consul_listen);
    return 0;
}

static const struct tls_client *upstream_tls(void *owner)
{
    const struct control *control = owner;
    return gateway_upstream_tls(control->rooms.gateway);
}

static void fence(void *owner, struct txn *txn)
{
    const struct control *control = owner;
    cluster_fence(&control->cluster, txn);
}

/* One that has just come back counts when that was seen, for then all get their time anew. What comes
 * of it cannot be written on a full disk. */
static bool on_judge(void *owner)
{
    struct control *control = owner;
    stall_look(&control->stall);
    return !cluster_is_away(&control->cluster) && !control->cluster.was_away &&
           !store_is_read_only(control->rooms.store);
}

void control_open_faces(struct control *control)
{
    if (control->consul_fd < 0)
        return;
    if (gethostname(control->node, sizeof(control->node) - 1) || !control->node[0])
        snprintf(control->node, sizeof(control->node), "sarsen");
    const struct consul_settings settings = {
        .token = control->token,
        .node = control->node,
        .datacenter = "dc1",
        .is_open = !control->settings->auth_required,
        .is_settled = &control->rooms.is_settled,
        .health_networks = &control->rooms.health_networks,
        .upstream_tls = upstream_tls,
        .fence = fence,
        .on_judge = on_judge,
        .owner = control,
    };
    const struct consul_rooms rooms = {
        .store = control->rooms.store,
        .registry = control->rooms.registry,
        .version = control->rooms.version,
        .auth = control->rooms.auth,
    };
    control->consul = consul_new(control->loop, &rooms, &settings);
    control_load(control, SPAN(CONSUL_PREFIX));
    consul_set_rules(control->consul, &control->settings->rules);
}

int control_serve_faces(struct control *control)
{
    return control->consul ? err_trace(consul_listen(control->consul, control->consul_fd)) : 0;
}

/* What the registry has taken. */
static void tell_registry(struct consul *consul, const struct store_event *event)
{
    struct span key = event->entry.key;
    if (span_starts_with(key, SPAN(SERVICE_PREFIX)) && event->kind == TXN_DELETE)
        consul_service_gone(consul, span_from(key, strlen(SERVICE_PREFIX)));
    if (span_starts_with(key, SPAN(INSTANCE_PREFIX))) {
        struct span instance = span_from(key, strlen(INSTANCE_PREFIX));
        consul_instance_changed(consul, instance);
        if (event->kind == TXN_DELETE)
            consul_instance_gone(consul, instance);
    }
    if (span_starts_with(key, SPAN(OWNER_PREFIX)))
        consul_owners_changed(consul);
}

int control_tell_faces(struct control *control, const struct store_event *event)
{
    if (!control->consul)
        return 0;
    if (span_starts_with(event->entry.key, SPAN(CONSUL_PREFIX)))
        return err_trace(consul_apply(control->consul, event));
    tell_registry(control->consul, event);
    return 0;
}

void control_reload_faces(struct control *control)
{
    if (control->consul)
        consul_set_rules(control->consul, &control->settings->rules);
}

void control_faces_changed(struct control *control)
{
    if (control->consul)
        consul_changed(control->consul);
}

void control_faces_owners_changed(struct control *control)
{
    if (control->consul)
        consul_owners_changed(control->consul);
}

void control_faces_forgive(struct control *control)
{
    if (control->consul)
        consul_forgive(control->consul);
}

void control_faces_settled(struct control *control)
{
    if (control->consul)
        consul_settled(control->consul);
}

void control_drain_faces(struct control *control, bool has_heir)
{
    if (control->consul)
        consul_drain(control->consul, has_heir);
}

void control_close_faces(struct control *control)
{
    control->consul = consul_free(control->consul);
}
