/* SPDX-License-Identifier: Apache-2.0 */

#include "store/engine_etcd.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "io/file.h"
#include "store/lease.h"

#define ETCD_ID_SIZE 32u
#define ETCD_PATIENCE (5 * NSEC_PER_SEC)
#define ETCD_OPEN_WITHIN (10 * NSEC_PER_SEC)
#define ETCD_CLOSE_WITHIN (5 * NSEC_PER_SEC)

static void etcd_start_tick(struct etcd *etcd)
{
    etcd->tick_due = loop_now(etcd->loop) + ETCD_TICK;
    timer_start(&etcd->tick, etcd->loop, etcd->tick_due);
}

/* What was read or sent first after the stall, before this, has been dated by a time that went on. */
static void etcd_stood_still(struct etcd *etcd, nsec span)
{
    etcd->stood_still += span;
    nsec time = etcd_time(etcd);
    etcd->heard_at = earlier(etcd->heard_at, time);
    etcd->asked_at = earlier(etcd->asked_at, time);
    etcd->phase_since = earlier(etcd->phase_since, time);
    etcd_write_on_stall(etcd);
}

static void etcd_on_tick(struct timer *timer)
{
    struct etcd *etcd = container_of(timer, struct etcd, tick);
    nsec now = loop_now(etcd->loop);
    if (now >= etcd->tick_due + ETCD_TICK)
        etcd_stood_still(etcd, now - etcd->tick_due);
    etcd_start_tick(etcd);
    etcd_lease_on_tick(etcd, now);
    if (!etcd_write_on_tick(etcd, now))
        etcd_break(etcd, "does not answer a transaction");
    if (etcd->phase == ETCD_WAITING) {
        if (now >= etcd->next_try)
            etcd_link_start(etcd);
        return;
    }

    nsec time = etcd_time(etcd);
    if (etcd->watch.is_open && time >= etcd->asked_at + etcd->patience / 3)
        etcd_ask_progress(etcd);
    if (etcd->watch.is_open && time >= etcd->heard_at + etcd->patience)
        etcd_break(etcd, "has fallen silent");
    else if (etcd->phase != ETCD_LIVE && time >= etcd->phase_since + etcd->patience)
        etcd_break(etcd, "does not answer in time");
}

static int etcd_make_id(struct etcd *etcd, struct problem *problem)
{
    uint8_t random[ETCD_ID_SIZE / 2];
    hash_random(random, sizeof(random));
    hash_hex(random, sizeof(random), etcd->id);
    int r = file_write(etcd->store->dir_fd, STORE_ETCD_FILE, span_of(etcd->id), 0640);
    if (r)
        problem_set(problem, STORE_ETCD_FILE, "cannot be written: %s", strerror(-r));
    return err_fold(r);
}

static bool is_id(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
            return false;
    }
    return text.size == ETCD_ID_SIZE;
}

/* The writer's name is the data directory's: it stays when the process goes, so what the one before
 * wrote to its markers is overwritten and does not add up. */
static int etcd_read_id(struct etcd *etcd, struct problem *problem)
{
    CLEANUP(buf_fini) struct buf text = { .limit = 64 };
    int r = file_read(etcd->store->dir_fd, STORE_ETCD_FILE, &text);
    if (r == FILE_ABSENT)
        return etcd_make_id(etcd, problem);
    struct span id = span_trim(buf_span(&text));
    if (r || !is_id(id)) {
        problem_set(problem, STORE_ETCD_FILE, "is damaged; remove it, and a new one is made");
        return STORE_CORRUPT;
    }
    memcpy(etcd->id, id.data, ETCD_ID_SIZE);
    return 0;
}

/* The first key behind all that start with the prefix, which does not end with 0xff. */
static char *prefix_end(const char *prefix)
{
    char *end = mem_strdup(prefix);
    end[strlen(end) - 1]++;
    return end;
}

static struct etcd *etcd_new(struct store *store, const struct store_etcd_settings *settings)
{
    struct etcd *etcd = mem_new(struct etcd);
    etcd->store = store;
    etcd->loop = store->loop;
    etcd->prefix = mem_strdup(settings->prefix);
    etcd->prefix_end = prefix_end(settings->prefix);
    if (settings->user) {
        etcd->user = mem_strdup(settings->user);
        etcd->password = mem_strdup(settings->password ? settings->password : "");
    }
    etcd->patience = settings->patience ? settings->patience : ETCD_PATIENCE;

    uint8_t random[8];
    hash_random(random, sizeof(random));
    hash_hex(random, sizeof(random), etcd->nonce);
    /* Not all processes at the same one. */
    etcd->endpoint = random[0] % settings->n_endpoints;
    etcd->must_load = true;
    etcd->reset.on_run = etcd_link_on_reset;
    list_init(&etcd->reset.link);
    etcd->follow.on_run = etcd_follow_on_run;
    list_init(&etcd->follow.link);
    etcd->tick.on_due = etcd_on_tick;
    etcd->down_since = loop_now(etcd->loop);
    index_init(&etcd->fresh);
    history_init(&etcd->history);
    etcd_write_init(etcd);
    return etcd;
}

/* Turns the loop until all is here. */
static int etcd_wait_live(struct etcd *etcd, nsec within)
{
    struct clock *clock = loop_clock(etcd->loop);
    nsec deadline = clock_now(clock) + within;
    int r = 0;
    while (!r && etcd->phase != ETCD_LIVE)
        r = clock_now(clock) < deadline ? loop_turn(etcd->loop, ETCD_TICK) : -ETIMEDOUT;
    return err_origin(r);
}

int etcd_open(struct store *store, const struct store_etcd_settings *settings,
              int64_t first_revision, struct problem *problem)
{
    struct etcd *etcd = store->etcd = etcd_new(store, settings);
    etcd->first_revision = first_revision;
    store->is_read_only = true;
    store->history = &etcd->history;
    int r = etcd_read_id(etcd, problem);
    if (!r)
        r = etcd_places_open(etcd, settings, problem);
    if (r)
        return r;

    nsec within = settings->open_timeout ? settings->open_timeout : ETCD_OPEN_WITHIN;
    etcd_link_start(etcd);
    etcd_start_tick(etcd);
    r = etcd_wait_live(etcd, within);
    if (r) {
        problem_set(problem, "store.etcd.endpoints", "gave nothing to start from within %u s; %s",
                    (unsigned)(within / NSEC_PER_SEC),
                    etcd->trouble[0] ? etcd->trouble : "none of them answers");
    }
    return r;
}

/* What was submitted is finished where etcd lets us. */
static void etcd_finish(struct etcd *etcd)
{
    struct clock *clock = loop_clock(etcd->loop);
    nsec deadline = clock_now(clock) + ETCD_CLOSE_WITHIN;
    while (!list_is_empty(&etcd->queue) || !list_is_empty(&etcd->flying)) {
        if (clock_now(clock) >= deadline || loop_turn(etcd->loop, ETCD_TICK))
            break;
    }
}

struct etcd *etcd_close(struct etcd *etcd)
{
    if (!etcd)
        return NULL;

    etcd_finish(etcd);
    etcd->is_closing = true;
    store_drop_watches(etcd->store);
    etcd->store->history = NULL;
    timer_stop(&etcd->tick);
    task_cancel(&etcd->reset);
    task_cancel(&etcd->follow);
    grpc_call_cancel(&etcd->ask);
    grpc_call_cancel(&etcd->watch);
    grpc_call_cancel(&etcd->leases);
    leases_close(etcd->store);
    etcd_write_fini(etcd);
    http_pool_free(etcd->pool);
    etcd_load_fini(etcd);
    etcd_batch_clear(&etcd->batch);
    history_clear(&etcd->history);
    etcd_places_close(etcd);
    buf_fini(&etcd->token);
    if (etcd->password)
        explicit_bzero(etcd->password, strlen(etcd->password));
    free(etcd->password);
    free(etcd->user);
    free(etcd->prefix);
    free(etcd->prefix_end);
    free(etcd);
    return NULL;
}
