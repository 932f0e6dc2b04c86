/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the control loop opens of the data directory, and of an etcd: secrets and the store.
 */

#include <fcntl.h>

#include "daemon/control_state.h"
#include "daemon/settings_store.h"
#include "io/file.h"

int control_make_data(const struct control *control, struct problem *problem)
{
    int r = dir_make(AT_FDCWD, control->settings->data, 0750);
    if (r) {
        problem_set(problem, "data", "%s cannot be made: %s", control->settings->data,
                    strerror(-r));
        return CONTROL_REFUSED;
    }
    return 0;
}

int control_open_secrets(struct control *control, struct problem *problem)
{
    CLEANUP(fd_closep) int dir = open(control->settings->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        problem_set(problem, "data", "%s cannot be opened: %s", control->settings->data,
                    strerror(errno));
        return CONTROL_REFUSED;
    }
    int r = secrets_token(dir, control->token, problem);
    if (!r)
        r = secrets_cookie_keys(dir, &control->keys, problem);
    if (r < 0)
        problem_set(problem, "data", "the secrets in %s cannot be kept: %s",
                    control->settings->data, strerror(-r));
    return r ? CONTROL_REFUSED : 0;
}

/* Its files are read anew each time: the password, or a certificate, may be another by now. */
static int open_store(struct control *control, struct problem *problem)
{
    struct store_settings settings = { .path = control->settings->data, .keep_revisions = 10000 };
    CLEANUP(arena_fini) struct arena arena = { 0 };
    struct store_etcd_settings etcd = { 0 };
    int r = 0;
    if (control->settings->etcd.endpoints) {
        r = settings_read_etcd(&control->settings->etcd, &arena, &etcd, problem);
        settings.etcd = &etcd;
    }
    if (!r)
        r = store_open(control->loop, &settings, &control->rooms.store, problem);
    tls_client_unref(etcd.tls);
    return r;
}

int control_open_store(struct control *control, struct problem *problem)
{
    int r = open_store(control, problem);
    if (r < 0 && !problem->text[0])
        problem_set(problem, "data", "the store in %s cannot be opened: %s",
                    control->settings->data, strerror(-r));
    return r ? CONTROL_REFUSED : 0;
}

/* --- keys of the cookie that a cluster shares --- */

#define SHARE_WITHIN (10 * NSEC_PER_SEC)

static void on_shared(struct store_write *write, int answer, int64_t revision)
{
    (void)revision;
    struct control_sharing *sharing = container_of(write, struct control_sharing, write);
    sharing->answer = answer;
    sharing->is_done = true;
}

/* Ours are everybody's, unless somebody was first. The store is closed when this fails, and only
 * then may the write still be on its way. */
static int share_keys(struct control *control)
{
    CLEANUP(txn_fini) struct txn txn = { 0 };
    char text[COOKIE_KEYS_TEXT];
    size_t size = secrets_write_cookie_keys(&control->keys, text);
    struct control_sharing *sharing = &control->sharing;
    txn_expect(&txn, SPAN(COOKIE_KEYS_KEY), 0);
    txn_put(&txn, SPAN(COOKIE_KEYS_KEY), (struct span){ text, size });
    sharing->write.on_done = on_shared;
    store_submit(control->rooms.store, &sharing->write, &txn);
    explicit_bzero(text, sizeof(text));
    nsec end = clock_now(loop_clock(control->loop)) + SHARE_WITHIN;
    int r = 0;
    while (!r && !sharing->is_done)
        r = clock_now(loop_clock(control->loop)) < end ? loop_turn(control->loop, NSEC_PER_SEC)
                                                       : -ETIMEDOUT;
    return r ? r : sharing->answer;
}

int control_share_secrets(struct control *control, struct problem *problem)
{
    if (!store_writer_id(control->rooms.store)[0])
        return 0;
    if (!store_find(control->rooms.store, SPAN(COOKIE_KEYS_KEY)))
        IGNORE(share_keys(control), "whether they are there is seen next");
    const struct store_entry *entry = store_find(control->rooms.store, SPAN(COOKIE_KEYS_KEY));
    if (!entry) {
        problem_set(problem, "store.etcd", "does not take the keys of the cookie: %s",
                    store_trouble(control->rooms.store));
        return CONTROL_REFUSED;
    }
    int r = secrets_read_cookie_keys(entry->value, "store.etcd: " COOKIE_KEYS_KEY, &control->keys,
                                     problem);
    return r ? CONTROL_REFUSED : 0;
}
