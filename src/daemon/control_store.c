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
static int open_with(struct control *control, struct store_settings *settings,
                     struct problem *problem)
{
    CLEANUP(arena_fini) struct arena arena = { 0 };
    struct store_etcd_settings etcd = { 0 };
    int r = 0;
    if (control->settings->etcd.endpoints) {
        r = settings_read_etcd(&control->settings->etcd, &arena, &etcd, problem);
        settings->etcd = &etcd;
    }
    if (!r)
        r = store_open(control->loop, settings, &control->rooms.store, problem);
    tls_client_unref(etcd.tls);
    return r;
}

int control_open_store(struct control *control, struct problem *problem)
{
    struct store_settings settings = { .path = control->settings->data, .keep_revisions = 10000 };
    int r = open_with(control, &settings, problem);
    if (r < 0 && !problem->text[0])
        problem_set(problem, "data", "the store in %s cannot be opened: %s",
                    control->settings->data, strerror(-r));
    return r ? CONTROL_REFUSED : 0;
}
