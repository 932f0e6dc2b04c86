/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control_cluster.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"

#define AGAIN NSEC_PER_SEC
#define LOOK_EVERY NSEC_PER_SEC

/* --- being there --- */

static void ask_again(struct cluster *cluster)
{
    timer_start(&cluster->again, cluster->loop, loop_now(cluster->loop) + AGAIN);
}

static int build_owner(struct store_command *command, struct txn *txn)
{
    struct cluster *cluster = container_of(command, struct cluster, command);
    if (!cluster->is_running || !cluster->lease.id)
        return 1;
    owner_put(cluster->registry, span_of(cluster->host), span_of(cluster->api), cluster->since,
              &cluster->lease, txn);
    return 0;
}

static void on_owner_put(struct store_command *command, int answer, bool is_store_answer,
                         int64_t revision)
{
    (void)is_store_answer;
    (void)revision;
    struct cluster *cluster = container_of(command, struct cluster, command);
    cluster->is_writing = false;
    if (answer && cluster->is_running)
        ask_again(cluster);
}

static void put_owner(struct cluster *cluster)
{
    if (cluster->is_writing || !cluster->lease.id)
        return;
    cluster->is_writing = true;
    cluster->command.build = build_owner;
    cluster->command.on_done = on_owner_put;
    store_run(cluster->store, &cluster->command);
}

static void on_granted(struct store_lease *lease, int answer)
{
    struct cluster *cluster = container_of(lease, struct cluster, lease);
    cluster->is_asking = false;
    if (!cluster->is_running)
        return;
    if (answer)
        ask_again(cluster);
    else
        put_owner(cluster);
}

static void on_lease_lost(struct store_lease *lease)
{
    struct cluster *cluster = container_of(lease, struct cluster, lease);
    log_warn("cluster", "this process is not seen as a member: its lease is over", "why",
             store_trouble(cluster->store));
    if (cluster->is_running)
        ask_again(cluster);
}

static void on_again(struct timer *timer)
{
    struct cluster *cluster = container_of(timer, struct cluster, again);
    if (cluster->lease.id) {
        put_owner(cluster);
    } else if (!cluster->is_asking) {
        cluster->is_asking = true;
        store_lease_grant(cluster->store, &cluster->lease, OWNER_TTL);
    }
}

/* --- being elected --- */

static void tell_elected(struct cluster *cluster, bool is_elected)
{
    log_info("cluster", is_elected ? "elected: does what one must do" : "elected no longer");
    registry_set_elected(cluster->registry, is_elected, loop_now(cluster->loop));
    cluster->on_elected(cluster);
}

static void on_held(struct store_election *election, int64_t token)
{
    (void)token;
    tell_elected(container_of(election, struct cluster, election), true);
}

static void on_election_lost(struct store_election *election)
{
    tell_elected(container_of(election, struct cluster, election), false);
}

/* The memory is ours for as long as the store. */
static void on_ended(struct store_election *election)
{
    (void)election;
}

bool cluster_is_elected(const struct cluster *cluster)
{
    return cluster->is_alone || (cluster->is_running && cluster->election.token);
}

void cluster_fence(const struct cluster *cluster, struct txn *txn)
{
    if (!cluster->is_alone && cluster_is_elected(cluster) && txn->n_ops)
        txn_expect(txn, cluster->election.key, cluster->election.token);
}

/* --- an etcd that comes and goes --- */

bool cluster_is_away(const struct cluster *cluster)
{
    return !cluster->is_alone && cluster->store && store_is_read_only(cluster->store);
}

static void on_look(struct timer *timer)
{
    struct cluster *cluster = container_of(timer, struct cluster, look);
    timer_start(timer, cluster->loop, loop_now(cluster->loop) + LOOK_EVERY);
    bool is_away = cluster_is_away(cluster), is_back = cluster->was_away && !is_away;
    if (is_away && !cluster->was_away)
        log_warn("cluster", "the etcd is away: what is known goes on, nothing new is written",
                 "why", store_trouble(cluster->store));
    cluster->was_away = is_away;
    if (!is_back)
        return;
    log_info("cluster", "the etcd is back: every instance has a full period again");
    cluster->on_back(cluster);
}

/* Somebody took our key away, or its lease was over before we knew. */
void cluster_changed(struct cluster *cluster)
{
    if (cluster->is_running && !cluster->is_alone && !registry_self(cluster->registry))
        put_owner(cluster);
}

/* --- life --- */

void cluster_open(struct cluster *cluster, struct loop *loop, struct store *store,
                  struct registry *registry)
{
    cluster->loop = loop;
    cluster->store = store;
    cluster->registry = registry;
    cluster->is_alone = !store_writer_id(store)[0];
    cluster->again.on_due = on_again;
    cluster->look.on_due = on_look;
    registry_set_self(registry, span_of(store_writer_id(store)));
    if (cluster->is_alone)
        return;
    if (gethostname(cluster->host, sizeof(cluster->host) - 1) || !cluster->host[0])
        snprintf(cluster->host, sizeof(cluster->host), "sarsen");
    registry_set_host(registry, span_of(cluster->host));
}

void cluster_start(struct cluster *cluster, const char *api)
{
    if (cluster->is_alone || cluster->is_running)
        return;
    snprintf(cluster->api, sizeof(cluster->api), "%s", api);
    cluster->since = loop_wall(cluster->loop);
    cluster->is_running = true;
    cluster->is_asking = cluster->was_away = false;
    cluster->lease = (struct store_lease){ .on_granted = on_granted, .on_lost = on_lease_lost };
    cluster->election = (struct store_election){
        .key = SPAN(REGISTRY_ELECTED_KEY),
        .name = span_of(store_writer_id(cluster->store)),
        .ttl = OWNER_TTL,
        .on_held = on_held,
        .on_lost = on_election_lost,
        .on_ended = on_ended,
    };
    on_again(&cluster->again);
    store_elect(cluster->store, cluster->loop, &cluster->election);
    timer_start(&cluster->look, cluster->loop, loop_now(cluster->loop) + LOOK_EVERY);
}

/* Nobody waits for it: what does not get there ends with its lease. */
static void on_left(struct store_write *write, int answer, int64_t revision)
{
    (void)write, (void)answer, (void)revision;
}

void cluster_stop(struct cluster *cluster, bool has_heir)
{
    if (!cluster->is_running)
        return;
    CLEANUP(txn_fini) struct txn txn = { 0 };
    const struct owner *self = registry_self(cluster->registry);
    bool was_elected = cluster_is_elected(cluster);
    if (was_elected) {
        txn_expect(&txn, cluster->election.key, cluster->election.token);
        txn_delete(&txn, cluster->election.key);
    }
    if (!has_heir && self)
        owner_delete(cluster->registry, &txn);
    cluster->is_running = false;
    timer_stop(&cluster->again);
    timer_stop(&cluster->look);
    store_election_end(&cluster->election);
    if (was_elected)
        registry_set_elected(cluster->registry, false, loop_now(cluster->loop));
    cluster->leave.on_done = on_left;
    if (txn.n_ops)
        store_submit(cluster->store, &cluster->leave, &txn);
    if (!has_heir)
        store_lease_end(&cluster->lease);
}
