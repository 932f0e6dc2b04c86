/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What becomes due by itself on the control loop: instances whose TTL is over (control_expire.c), the
 * end of the trust in who is critical, and the steps of rollouts, which in a cluster the elected
 * process makes.
 */

#include "base/mem.h"
#include "daemon/control_state.h"

void timer_start_wall(struct timer *timer, struct loop *loop, unix_msec at)
{
    unix_msec left = at - loop_wall(loop);
    timer_start(timer, loop, loop_now(loop) + (left > 0 ? (nsec)left * NSEC_PER_MSEC : 0));
}

static int build_advance(struct store_command *command, struct txn *txn)
{
    struct control *control = container_of(command, struct control, advance_command);
    struct rollout_context context = rooms_rollout_context(&control->rooms);
    if (!cluster_is_elected(&control->cluster) || !rollout_due(&context, txn))
        return 1;
    cluster_fence(&control->cluster, txn);
    return 0;
}

static void advance(struct control *control);

static void on_advanced(struct store_command *command, int answer, bool is_store_answer,
                        int64_t revision)
{
    (void)revision;
    struct control *control = container_of(command, struct control, advance_command);
    control->is_advancing = false;
    if (!answer) {
        advance(control);
        return;
    }
    unix_msec due = rollout_next_due(control->rooms.rollouts);
    if (control->is_holding)
        return;
    if (is_store_answer)
        timer_start(&control->advance, control->loop, loop_now(control->loop) + NSEC_PER_SEC);
    else if (due)
        timer_start_wall(&control->advance, control->loop, due);
    else
        timer_stop(&control->advance);
}

/* Makes the changes that are due in rollouts, one after the other. */
static void advance(struct control *control)
{
    if (control->is_advancing || control->is_holding || !cluster_is_elected(&control->cluster))
        return;
    control->is_advancing = true;
    control->advance_command.build = build_advance;
    control->advance_command.on_done = on_advanced;
    store_run(control->rooms.store, &control->advance_command);
}

static void plan_trust(struct control *control)
{
    nsec end = registry_next_trust_end(control->rooms.registry);
    if (end == NSEC_NEVER)
        timer_stop(&control->trust);
    else
        timer_start(&control->trust, control->loop, end);
}

static void on_advance_due(struct timer *timer)
{
    advance(container_of(timer, struct control, advance));
}

/* What a panic uses changes without a change of a record. */
static void on_trust_ends(struct timer *timer)
{
    struct control *control = container_of(timer, struct control, trust);
    if (registry_end_trust(control->rooms.registry, loop_now(control->loop)))
        task_defer(&control->publish, control->loop);
    plan_trust(control);
}

/* --- in a cluster --- */

/* Deadlines and checks of what nobody owns are ours now, or another's. */
static void on_elected(struct cluster *cluster)
{
    struct control *control = container_of(cluster, struct control, cluster);
    control_owners_changed(control);
    if (!cluster_is_elected(cluster))
        timer_stop(&control->advance);
    control_due(control);
}

/* Heartbeats that came to others could not be written, and none of theirs could be seen here. */
static void on_back(struct cluster *cluster)
{
    struct control *control = container_of(cluster, struct control, cluster);
    registry_forgive(control->rooms.registry, loop_now(control->loop));
    control_faces_forgive(control);
    control_keep_boms(control);
    control_due(control);
}

void control_owners_changed(struct control *control)
{
    if (control->health)
        health_changed(control->health);
    control_faces_owners_changed(control);
}

void control_open_cluster(struct control *control)
{
    control->cluster.on_elected = on_elected;
    control->cluster.on_back = on_back;
    cluster_open(&control->cluster, control->loop, control->rooms.store, control->rooms.registry);
}

/* Where others reach the management API: by the host's name where it listens everywhere. */
void control_start_cluster(struct control *control)
{
    char text[ADDRESS_TEXT_MAX], name[256];
    const char *scheme = control->api_tls ? "https" : "http";
    control_api_text(control, text, sizeof(text));
    CLEANUP(mem_freep)
    char *url = control_has_own_name(control, name)
                    ? mem_format("%s://%s%s", scheme, name, strrchr(text, ':'))
                    : mem_format("%s://%s", scheme, text);
    cluster_start(&control->cluster, url);
}

void control_due_init(struct control *control)
{
    expiry_init(&control->expiry, &control->cluster, &control->stall);
    control->advance.on_due = on_advance_due;
    control->trust.on_due = on_trust_ends;
}

void control_due(struct control *control)
{
    expiry_plan(&control->expiry);
    plan_trust(control);
    advance(control);
}

void control_due_stop(struct control *control)
{
    expiry_stop(&control->expiry);
    timer_stop(&control->trust);
    timer_stop(&control->advance);
}
