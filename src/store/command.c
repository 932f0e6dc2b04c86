/* SPDX-License-Identifier: Apache-2.0 */

#include "store/store.h"

/* Of those that contend for a key one wins each round, though not in turn: a newcomer that has seen
 * the last change may pass those who are being told of it. A command that loses this often is up
 * against writers that never rest; the caller hears it. */
#define COMMAND_TRIES_MAX 256u

static void command_try(struct store_command *command)
{
    CLEANUP(txn_fini) struct txn txn = { .ops_max = store_txn_ops_max(command->store) };
    int r = command->build(command, &txn);
    if (r) {
        command->on_done(command, r, false, 0);
        return;
    }
    if (!txn.n_ops) {
        command->on_done(command, 0, true, store_revision(command->store));
        return;
    }

    command->n_tries++;
    store_submit(command->store, &command->write, &txn);
}

static void on_write_done(struct store_write *write, int answer, int64_t revision)
{
    struct store_command *command = container_of(write, struct store_command, write);
    if (answer == STORE_CONFLICT && command->n_tries < COMMAND_TRIES_MAX)
        command_try(command);
    else
        command->on_done(command, answer, true, revision);
}

void store_run(struct store *store, struct store_command *command)
{
    command->store = store;
    command->n_tries = 0;
    command->write.on_done = on_write_done;
    command_try(command);
}
