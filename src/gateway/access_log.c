/* SPDX-License-Identifier: Apache-2.0 */

/*
 * When the thread sleeps. While lines come it naps: it writes what there is, waits for a hundredth
 * of a second, and writes again, so that a busy worker makes no system call for its log. After a
 * nap without a line it goes to sleep, and the next line wakes it. Sleeping and publishing are
 * ordered by sequential consistency: the thread says that it sleeps and then looks at the rings,
 * the worker publishes and then looks whether it sleeps, so one of them sees the other.
 *
 * Lines of different rings do not mix: a ring is left only when what was written ends a line.
 */

#include "gateway/access_log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/timefmt.h"
#include "gateway/access_ring.h"

#define RING_SIZE ((size_t)1024 * 1024)
#define OWN_RING_SIZE ((size_t)4096)     /* of the thread's own lines */
#define PUBLISH_SIZE ((size_t)64 * 1024) /* so much does not wait for the end of the turn */
#define NAP_MSEC 10
#define RETRY_MSEC 200 /* after a failure, and for how long a full pipe is polled */
#define WARN_EVERY (60 * NSEC_PER_SEC)

enum rest {
    REST_NONE,
    REST_NAP,
    REST_SLEEP,
};

struct change {
    struct access_target *target;
};

struct access_writer {
    struct access_log *log;
    struct access_ring ring;
    struct access_format format;
    struct task task; /* publishes at the end of the turn */
};

struct access_log {
    struct clock *clock;
    pthread_t thread;
    bool has_thread;
    int wake_fd;
    _Atomic int rest;
    _Atomic nsec stop_at;            /* 0: it goes on */
    _Atomic(struct change *) change; /* the control loop's to make, the thread's to take */

    /* The thread's. */
    struct access_target *target;
    struct access_ring own;
    unsigned at;      /* the ring whose turn it is */
    bool is_mid_line; /* what was written of it does not end a line */
    int error;        /* why nothing can be written; 0 */
    uint64_t n_told;  /* of those dropped */
    nsec warned_at;

    _Atomic uint64_t n_lost; /* dropped by the thread itself */
    unsigned n_writers;
    struct access_writer writers[];
};

/* --- the worker's side --- */

static void wake(struct access_log *log)
{
    uint64_t one = 1;
    IGNORE(write(log->wake_fd, &one, sizeof(one)), "a full counter wakes as well");
}

/* One of those who see it resting wakes it. */
static void wake_from(struct access_log *log, int rest)
{
    if (atomic_load(&log->rest) == rest && atomic_exchange(&log->rest, REST_NONE) != REST_NONE)
        wake(log);
}

static void publish(struct access_writer *writer)
{
    access_ring_publish(&writer->ring);
    wake_from(writer->log, REST_SLEEP);
    if (access_ring_is_half_full(&writer->ring))
        wake_from(writer->log, REST_NAP);
}

static void on_turn_end(struct task *task)
{
    publish(container_of(task, struct access_writer, task));
}

void access_log_put(struct access_writer *writer, struct loop *loop,
                    const struct access_redaction *redaction, const struct access_entry *entry)
{
    char line[ACCESS_LINE_MAX];
    size_t size = access_entry_format(&writer->format, redaction, entry, line);
    access_ring_put(&writer->ring, (struct span){ line, size });
    if (access_ring_unpublished(&writer->ring) >= PUBLISH_SIZE)
        publish(writer);
    task_defer(&writer->task, loop);
}

void access_log_end(struct access_writer *writer)
{
    task_cancel(&writer->task);
    if (writer->ring.data)
        publish(writer);
}

struct access_writer *access_log_writer(struct access_log *log, unsigned number)
{
    return &log->writers[number];
}

uint64_t access_log_dropped(const struct access_log *log)
{
    uint64_t n = atomic_load_explicit(&log->n_lost, memory_order_relaxed);
    for (unsigned i = 0; i < log->n_writers; i++)
        n += atomic_load_explicit(&log->writers[i].ring.n_dropped, memory_order_relaxed);
    return n;
}

/* --- the thread: writing --- */

static struct access_ring *ring_at(struct access_log *log, unsigned at)
{
    return at == log->n_writers ? &log->own : &log->writers[at].ring;
}

static bool ends_line(const struct span parts[2], size_t size)
{
    return size <= parts[0].size ? parts[0].data[size - 1] == '\n'
                                 : parts[1].data[size - parts[0].size - 1] == '\n';
}

/* What the ring holds now; its worker may go on for ever, and others wait. *ret_any tells whether
 * there was anything. */
static enum access_written drain_ring(struct access_log *log, struct access_ring *ring,
                                      bool *ret_any)
{
    struct span parts[2];
    size_t left = ring->data ? access_ring_peek(ring, parts) : 0;
    *ret_any = *ret_any || left;
    while (left > 0) {
        size_t size;
        enum access_written r =
            access_target_write(log->target, parts, clock_wall(log->clock), &size);
        if (r == ACCESS_BLOCKED || r == ACCESS_FAILED) {
            log->error = r == ACCESS_FAILED ? errno : 0;
            return r;
        }
        if (r == ACCESS_TOO_BIG)
            atomic_fetch_add_explicit(&log->n_lost, 1, memory_order_relaxed);
        if (size > 0)
            log->is_mid_line = !ends_line(parts, size);
        access_ring_consume(ring, size);
        left -= size;
        access_ring_peek(ring, parts);
    }
    return ACCESS_WRITTEN;
}

/* Every ring once, from the one that was left in the middle. Without a target, what comes waits
 * for the next one. */
static enum access_written drain(struct access_log *log, bool *ret_any)
{
    *ret_any = false;
    for (unsigned i = 0; log->target && i <= log->n_writers; i++) {
        enum access_written r = drain_ring(log, ring_at(log, log->at), ret_any);
        if (r != ACCESS_WRITTEN)
            return r;
        log->at = (log->at + 1) % (log->n_writers + 1);
    }
    log->error = 0;
    return ACCESS_WRITTEN;
}

/* The rest of a line, whose beginning went to a target that is given up. */
static void skip_line(struct access_log *log)
{
    struct access_ring *ring = ring_at(log, log->at);
    struct span parts[2];
    access_ring_peek(ring, parts);
    size_t size = span_find(parts[0], '\n');
    if (size == parts[0].size)
        size += span_find(parts[1], '\n');
    access_ring_consume(ring, size + 1);
    log->is_mid_line = false;
    atomic_fetch_add_explicit(&log->n_lost, 1, memory_order_relaxed);
}

static void take_change(struct access_log *log)
{
    bool any;
    struct change *change = atomic_exchange(&log->change, NULL);
    if (!change)
        return;
    enum access_written r = drain(log, &any);
    if (r != ACCESS_WRITTEN && log->is_mid_line)
        skip_line(log);
    access_target_close(log->target);
    log->target = change->target;
    log->error = 0;
    free(change);
}

/* --- the thread: what it says itself --- */

static bool may_warn(struct access_log *log)
{
    nsec now = clock_now(log->clock);
    if (log->warned_at && now - log->warned_at < WARN_EVERY)
        return false;
    log->warned_at = now;
    return true;
}

static void warn_blocked(struct access_log *log)
{
    char count[24];
    uint64_t n_dropped = access_log_dropped(log) - log->n_told;
    if ((!log->error && !n_dropped) || !may_warn(log))
        return;
    snprintf(count, sizeof(count), "%" PRIu64, n_dropped);
    log_warn("gateway", "the access log cannot be written", "reason",
             log->error ? strerror(log->error) : "nobody takes the lines", "dropped", count);
}

/* The lines that are missing before this one. */
static void tell_dropped(struct access_log *log)
{
    uint64_t n_dropped = access_log_dropped(log);
    if (n_dropped == log->n_told)
        return;
    char time[TIME_TEXT_MAX], line[128], count[24];
    time_format(clock_wall(log->clock), time);
    snprintf(count, sizeof(count), "%" PRIu64, n_dropped - log->n_told);
    int size = snprintf(line, sizeof(line), "{\"time\":\"%s\",\"dropped\":%s}\n", time, count);
    access_ring_put(&log->own, (struct span){ line, (size_t)size });
    access_ring_publish(&log->own);
    log->n_told = n_dropped;
    if (may_warn(log))
        log_warn("gateway", "lines of the access log were dropped", "dropped", count);
}

/* --- the thread: its life --- */

static bool has_lines(struct access_log *log)
{
    struct span parts[2];
    for (unsigned i = 0; log->target && i <= log->n_writers; i++) {
        const struct access_ring *ring = ring_at(log, i);
        if (ring->data && access_ring_peek(ring, parts))
            return true;
    }
    return false;
}

static void wait_for(struct access_log *log, enum access_written written, int msec)
{
    struct pollfd polled[2] = { { .fd = log->wake_fd, .events = POLLIN } };
    nfds_t n = 1;
    if (written == ACCESS_BLOCKED) {
        polled[1] = (struct pollfd){ .fd = access_target_fd(log->target), .events = POLLOUT };
        n = 2;
    }
    nsec stop_at = atomic_load(&log->stop_at);
    if (stop_at && (msec < 0 || msec > NAP_MSEC))
        msec = NAP_MSEC;
    uint64_t count;
    if (poll(polled, n, msec) > 0 && polled[0].revents)
        IGNORE(read(log->wake_fd, &count, sizeof(count)), "it only has to be empty");
}

static void rest(struct access_log *log, enum rest how)
{
    atomic_store(&log->rest, how);
    bool is_needed = atomic_load(&log->change) || atomic_load(&log->stop_at);
    if (how == REST_SLEEP)
        is_needed = is_needed || has_lines(log);
    if (!is_needed)
        wait_for(log, ACCESS_WRITTEN, how == REST_SLEEP ? -1 : NAP_MSEC);
    atomic_store(&log->rest, REST_NONE);
}

/* Whether to end: everything is written, or the time for it is over. */
static bool is_over(struct access_log *log)
{
    nsec stop_at = atomic_load(&log->stop_at);
    if (!stop_at || (has_lines(log) && clock_now(log->clock) < stop_at))
        return false;
    if (has_lines(log))
        log_warn("gateway", "the access log ends with lines that nobody took");
    return true;
}

static void *thread_main(void *arg)
{
    struct access_log *log = arg;
    for (;;) {
        bool any;
        take_change(log);
        enum access_written written = drain(log, &any);
        if (written == ACCESS_WRITTEN)
            tell_dropped(log);
        if (is_over(log))
            return NULL;
        if (written != ACCESS_WRITTEN) {
            warn_blocked(log);
            wait_for(log, written, RETRY_MSEC);
        } else {
            rest(log, any ? REST_NAP : REST_SLEEP);
        }
    }
}

/* --- the control loop's side --- */

struct access_log *access_log_new(unsigned n_writers, struct clock *clock)
{
    struct access_log *log =
        mem_zalloc(1, sizeof(*log) + (size_t)n_writers * sizeof(struct access_writer));
    log->clock = clock;
    log->n_writers = n_writers;
    log->wake_fd = -1;
    for (unsigned i = 0; i < n_writers; i++) {
        log->writers[i].log = log;
        log->writers[i].task.on_run = on_turn_end;
        list_init(&log->writers[i].task.link);
    }
    return log;
}

/* One that was not taken. */
static void change_free(struct change *change)
{
    if (change)
        access_target_close(change->target);
    free(change);
}

int access_log_start(struct access_log *log)
{
    if (log->has_thread)
        return 0;
    if (log->wake_fd < 0)
        log->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (log->wake_fd < 0)
        return err_origin(-errno);
    for (unsigned i = 0; i <= log->n_writers; i++) {
        struct access_ring *ring = ring_at(log, i);
        if (!ring->data)
            access_ring_init(ring, i == log->n_writers ? OWN_RING_SIZE : RING_SIZE);
    }
    int r = err_origin(-pthread_create(&log->thread, NULL, thread_main, log));
    log->has_thread = r == 0;
    return r;
}

void access_log_set(struct access_log *log, struct access_target *target)
{
    assert(log->has_thread || !target);
    if (!log->has_thread)
        return;
    struct change *change = mem_new(struct change);
    change->target = target;
    change_free(atomic_exchange(&log->change, change));
    wake(log);
}

struct access_log *access_log_free(struct access_log *log, nsec grace)
{
    if (!log)
        return NULL;
    if (log->has_thread) {
        atomic_store(&log->stop_at, clock_now(log->clock) + grace + 1);
        wake(log);
        pthread_join(log->thread, NULL);
    }
    change_free(atomic_load(&log->change));
    access_target_close(log->target);
    for (unsigned i = 0; i <= log->n_writers; i++)
        access_ring_fini(ring_at(log, i));
    if (log->wake_fd >= 0)
        close(log->wake_fd);
    free(log);
    return NULL;
}
