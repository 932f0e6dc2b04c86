/* SPDX-License-Identifier: Apache-2.0 */

/*
 * In a cluster: the other members learn when a contract was used here. At most one transaction is
 * under way, and the next comes two seconds later; most of the time there is nothing to tell.
 */

#include "daemon/control_state.h"

#define SHARE_EVERY (2 * NSEC_PER_SEC)

static int build_share(struct store_command *command, struct txn *txn)
{
    const struct control *control = container_of(command, struct control, share_command);
    const struct rooms *rooms = &control->rooms;
    usage_share(rooms->usage, rooms->retire_window, loop_wall(control->loop),
                cluster_is_elected(&control->cluster), txn);
    return txn->n_ops == 0;
}

/* What was not written is still to be told. */
static void on_shared(struct store_command *command, int answer, bool is_store_answer,
                      int64_t revision)
{
    (void)answer, (void)is_store_answer, (void)revision;
    container_of(command, struct control, share_command)->is_sharing = false;
}

void control_share_usage(struct control *control)
{
    nsec now = loop_now(control->loop);
    bool is_time = now >= control->share_at || control->is_stopping;
    if (!usage_self(control->rooms.usage) || !is_time || control->is_sharing ||
        control->is_holding || store_is_read_only(control->rooms.store))
        return;
    control->share_at = now + SHARE_EVERY;
    control->is_sharing = true;
    control->share_command.build = build_share;
    control->share_command.on_done = on_shared;
    store_run(control->rooms.store, &control->share_command);
}
