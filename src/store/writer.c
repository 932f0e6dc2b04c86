/* SPDX-License-Identifier: Apache-2.0 */

#include "store/writer.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>

#include "base/mem.h"
#include "store/ledger_file.h"
#include "store/state.h"

#define WRITER_GROUP_MAX 1000u
#define WRITER_PROBE_EVERY (250 * NSEC_PER_MSEC)
#define WRITER_LEDGER_WITHIN (500 * NSEC_PER_MSEC)

struct writer {
    pthread_t thread;
    struct loop *loop;
    struct mailbox *inbox, *outbox;
    struct engine *engine;
    struct ledger_file *ledger;
    struct list writes, others;
    struct task work;
    struct timer probe, flush;
    bool is_read_only, is_flush_urgent, is_stopping;
};

/* Tells the loop whether the store takes writes. */
struct mode_job {
    struct job job;
    bool is_read_only;
};

void writer_return(struct writer *writer, struct job *job)
{
    mailbox_post(writer->outbox, &job->letter);
}

static void mode_job_on_done(struct job *job, struct store *store)
{
    struct mode_job *mode = container_of(job, struct mode_job, job);
    store->is_read_only = mode->is_read_only;
    free(mode);
}

static void writer_set_read_only(struct writer *writer, bool is_read_only)
{
    if (is_read_only && !timer_is_running(&writer->probe))
        timer_start(&writer->probe, writer->loop, loop_now(writer->loop) + WRITER_PROBE_EVERY);
    if (writer->is_read_only == is_read_only)
        return;

    writer->is_read_only = is_read_only;
    struct mode_job *mode = mem_new(struct mode_job);
    mode->job.on_done = mode_job_on_done;
    mode->is_read_only = is_read_only;
    writer_return(writer, &mode->job);
}

static void writer_on_probe(struct timer *timer)
{
    struct writer *writer = container_of(timer, struct writer, probe);
    int r = engine_probe(writer->engine);
    if (r == STORE_CORRUPT)
        engine_abort(writer->engine, "the database is damaged");
    writer_set_read_only(writer, r == STORE_READ_ONLY);
}

/* Runs one transaction of the group. Answers: STORE_READ_ONLY. */
static int writer_apply(struct writer *writer, struct write_job *write)
{
    if (write->answer)
        return 0;

    int64_t before = engine_revision(writer->engine);
    int r = engine_apply(writer->engine, &write->txn, write->changes);
    if (r == STORE_READ_ONLY || r == STORE_CORRUPT)
        return r;
    write->answer = r;
    write->revision = engine_revision(writer->engine);
    write->has_changes = write->revision != before;
    return 0;
}

static int writer_run_group(struct writer *writer, struct list *group)
{
    if (writer->is_read_only)
        return STORE_READ_ONLY;
    int r = engine_begin(writer->engine);
    list_each (link, group) {
        struct job *job = container_of(link, struct job, link);
        if (!r)
            r = writer_apply(writer, container_of(job, struct write_job, job));
    }
    return r ? r : engine_commit(writer->engine);
}

/* One SQLite transaction. Its results are told when it is on disk, those of rejected transactions
 * too: they were judged against it. */
static void writer_commit_group(struct writer *writer, struct list *group)
{
    int r = writer_run_group(writer, group);
    if (r == STORE_CORRUPT)
        engine_abort(writer->engine, "the database is damaged");
    if (r) {
        engine_rollback(writer->engine);
        writer_set_read_only(writer, true);
    }

    struct list *link;
    while ((link = list_take_first(group))) {
        struct write_job *write =
            container_of(container_of(link, struct job, link), struct write_job, job);
        if (r && write->answer != STORE_TOO_LARGE) {
            write->answer = STORE_READ_ONLY;
            write->has_changes = false;
            write->revision = engine_revision(writer->engine);
        }
        writer_return(writer, &write->job);
    }
}

static void writer_commit_all(struct writer *writer)
{
    while (!list_is_empty(&writer->writes)) {
        struct list group, *write;
        list_init(&group);
        for (unsigned i = 0; i < WRITER_GROUP_MAX; i++) {
            write = list_take_first(&writer->writes);
            if (!write)
                break;
            list_add_last(&group, write);
        }
        writer_commit_group(writer, &group);
    }
}

static void writer_flush_now(struct writer *writer)
{
    writer->is_flush_urgent = false;
    timer_stop(&writer->flush);
    if (!writer->ledger)
        return;
    IGNORE(ledger_file_flush(writer->ledger), "who waited was told, the rest is tried again");
    if (ledger_file_has_held(writer->ledger))
        writer_flush_ledger(writer, false);
}

static void writer_on_flush(struct timer *timer)
{
    writer_flush_now(container_of(timer, struct writer, flush));
}

void writer_flush_ledger(struct writer *writer, bool is_urgent)
{
    writer->is_flush_urgent |= is_urgent;
    if (!timer_is_running(&writer->flush))
        timer_start(&writer->flush, writer->loop, loop_now(writer->loop) + WRITER_LEDGER_WITHIN);
}

static void writer_on_work(struct task *task)
{
    struct writer *writer = container_of(task, struct writer, work);
    writer_commit_all(writer);
    struct list *link;
    while ((link = list_take_first(&writer->others))) {
        struct job *job = container_of(link, struct job, link);
        job->on_run(job, writer);
    }
    if (writer->is_flush_urgent || writer->is_stopping)
        writer_flush_now(writer);
    if (writer->is_stopping)
        loop_stop(writer->loop);
}

static void writer_on_letter(void *owner, struct letter *letter)
{
    struct writer *writer = owner;
    struct job *job = container_of(letter, struct job, letter);
    list_add_last(job->on_run ? &writer->others : &writer->writes, &job->link);
    task_defer(&writer->work, writer->loop);
}

static void *writer_main(void *owner)
{
    struct writer *writer = owner;
    if (loop_run(writer->loop))
        engine_abort(writer->engine, "the writer's loop failed");
    return NULL;
}

struct writer *writer_start(struct mailbox *outbox, struct engine *engine,
                            struct ledger_file *ledger)
{
    struct writer *writer = mem_new(struct writer);
    /* Never the control loop's clock: a test's own may be moved only by its thread. */
    writer->loop = loop_new(clock_system());
    writer->inbox = mailbox_new(writer->loop, writer_on_letter, writer);
    writer->outbox = outbox;
    writer->engine = engine;
    writer->ledger = ledger;
    list_init(&writer->writes);
    list_init(&writer->others);
    list_init(&writer->work.link);
    writer->work.on_run = writer_on_work;
    writer->probe.on_due = writer_on_probe;
    writer->flush.on_due = writer_on_flush;

    /* Signals are for the threads that watch for them. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&writer->thread, NULL, writer_main, writer))
        mem_exhausted(0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_setname_np(writer->thread, "store");
    return writer;
}

static void stop_job_on_run(struct job *job, struct writer *writer)
{
    free(job);
    writer->is_stopping = true;
}

struct writer *writer_stop(struct writer *writer)
{
    if (!writer)
        return NULL;

    struct job *stop = mem_new(struct job);
    stop->on_run = stop_job_on_run;
    writer_post(writer, stop);
    pthread_join(writer->thread, NULL);

    timer_stop(&writer->probe);
    timer_stop(&writer->flush);
    mailbox_free(writer->inbox);
    loop_free(writer->loop);
    writer->ledger = ledger_file_close(writer->ledger);
    writer->engine = engine_close(writer->engine);
    free(writer);
    return NULL;
}

void writer_post(struct writer *writer, struct job *job)
{
    mailbox_post(writer->inbox, &job->letter);
}

struct engine *writer_engine(struct writer *writer)
{
    return writer->engine;
}

struct ledger_file *writer_ledger(struct writer *writer)
{
    return writer->ledger;
}
