/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/access_log.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "check.h"
#include "io/file.h"

#define GRACE NSEC_PER_SEC
#define PATIENCE 30

static char directory[64];

static const char *path_of(const char *name)
{
    static char paths[64][128];
    static unsigned next;
    if (!directory[0]) {
        snprintf(directory, sizeof(directory), "/tmp/access_log.XXXXXX");
        CHECK(mkdtemp(directory));
    }
    char *path = paths[next++ % 64];
    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

static void clean(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", directory);
    CHECK_INT(system(command), 0);
}

static struct access_target *target_at(const char *path)
{
    struct gateway_access settings = { .kind = ACCESS_FILE, .path = path };
    struct access_target *target = NULL;
    struct problem problem = { 0 };
    CHECK_INT(access_target_open(&settings, &target, &problem), 0);
    return target;
}

static struct access_log *log_of(unsigned n_writers)
{
    struct access_log *log = access_log_new(n_writers, clock_system());
    CHECK_INT(access_log_start(log), 0);
    CHECK_INT(access_log_start(log), 0);
    return log;
}

static char *text_at(const char *path)
{
    struct buf bytes = { 0 };
    CHECK_INT(file_read(AT_FDCWD, path, &bytes), 0);
    return buf_take_text(&bytes);
}

static unsigned count(const char *text, const char *part)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

/* Puts one request of the given number, as one turn of a worker's loop. */
static void put(struct access_log *log, unsigned writer, struct loop *loop, unsigned number)
{
    static const struct access_redaction no_names;
    char path[32];
    snprintf(path, sizeof(path), "/request/%u/", number);
    struct access_entry entry = {
        .time = 1, .upstream_time = NSEC_NEVER, .path = span_of(path), .status = 200
    };
    access_log_put(access_log_writer(log, writer), loop, &no_names, &entry);
}

TEST(lines_are_written_in_order_at_the_latest_at_the_end)
{
    struct loop *loop = loop_new(clock_system());
    struct access_log *log = log_of(2);
    access_log_set(log, target_at(path_of("log")));
    for (unsigned i = 0; i < 1000; i++) {
        put(log, i % 2, loop, i);
        if (i % 7 == 0)
            CHECK_INT(loop_turn(loop, 0), 0);
    }
    access_log_end(access_log_writer(log, 0));
    access_log_end(access_log_writer(log, 1));
    CHECK_INT(access_log_dropped(log), 0);
    access_log_free(log, GRACE);

    CLEANUP(mem_freep) char *text = text_at(path_of("log"));
    CHECK_INT(count(text, "\n"), 1000);
    const char *last[2] = { text, text };
    for (unsigned i = 0; i < 1000; i++) {
        char part[32];
        snprintf(part, sizeof(part), "/request/%u/", i);
        const char *at = strstr(text, part);
        CHECK(at && at > last[i % 2]);
        last[i % 2] = at;
    }
    loop_free(loop);
    clean();
}

/* Polls: a line that was put is there while the log goes on, also the first after a long rest. */
TEST(a_line_does_not_wait_for_the_next)
{
    struct loop *loop = loop_new(clock_system());
    struct access_log *log = log_of(1);
    const char *path = path_of("log");
    access_log_set(log, target_at(path));
    for (unsigned i = 0; i < 5; i++) {
        put(log, 0, loop, i);
        CHECK_INT(loop_turn(loop, 0), 0);
        time_t until = time(NULL) + PATIENCE;
        struct stat status = { 0 };
        off_t before = -1;
        while (stat(path, &status) == 0 && status.st_size / (i + 1) < 50) {
            CHECK(time(NULL) < until && status.st_size >= before);
            before = status.st_size;
            CHECK_INT(loop_turn(loop, NSEC_PER_MSEC), 0);
        }
    }
    access_log_free(log, GRACE);
    loop_free(loop);
    clean();
}

TEST(a_file_is_made_for_its_owner_and_appended_to)
{
    const char *path = path_of("log");
    struct loop *loop = loop_new(clock_system());
    umask(0);
    for (unsigned i = 0; i < 3; i++) {
        struct access_log *log = log_of(1);
        access_log_set(log, target_at(path));
        put(log, 0, loop, i);
        access_log_end(access_log_writer(log, 0));
        access_log_free(log, GRACE);
    }
    struct stat status;
    CHECK_INT(stat(path, &status), 0);
    CHECK_INT(status.st_mode & 0777, 0640);
    CLEANUP(mem_freep) char *text = text_at(path);
    CHECK_INT(count(text, "\n"), 3);
    loop_free(loop);
    clean();
}

/* A reader that does not read: the writer goes on, lines are lost and counted, and the log says
 * so itself when there is room again. */
TEST(a_blocked_target_costs_lines_and_no_time)
{
    const char *path = path_of("fifo");
    CHECK_INT(mkfifo(path, 0600), 0);
    struct loop *loop = loop_new(clock_system());
    struct access_log *log = log_of(1);
    access_log_set(log, target_at(path));
    unsigned n_put = 0;
    while (access_log_dropped(log) < 100) {
        for (unsigned i = 0; i < 100; i++)
            put(log, 0, loop, n_put++);
        CHECK_INT(loop_turn(loop, 0), 0);
        CHECK(n_put < 100000);
    }
    uint64_t n_dropped = access_log_dropped(log);

    FILE *reader = fopen(path, "r");
    CHECK(reader);
    char line[ACCESS_LINE_MAX];
    unsigned n_lines = 0;
    for (;;) {
        CHECK(fgets(line, sizeof(line), reader));
        CHECK(line[strlen(line) - 1] == '\n' && line[0] == '{');
        if (strstr(line, "\"dropped\""))
            break;
        n_lines++;
    }
    char want[32];
    snprintf(want, sizeof(want), "\"dropped\":%u}\n", (unsigned)n_dropped);
    CHECK(strstr(line, want));
    CHECK_INT(n_lines + n_dropped, n_put);

    put(log, 0, loop, 4711);
    CHECK_INT(loop_turn(loop, 0), 0);
    CHECK(fgets(line, sizeof(line), reader) && strstr(line, "/request/4711/"));
    access_log_free(log, GRACE);
    fclose(reader);
    loop_free(loop);
    clean();
}

/* What cannot be written in time is given up; the process ends all the same. */
TEST(a_blocked_target_does_not_keep_the_end)
{
    const char *path = path_of("fifo");
    CHECK_INT(mkfifo(path, 0600), 0);
    struct loop *loop = loop_new(clock_system());
    struct access_log *log = log_of(1);
    access_log_set(log, target_at(path));
    for (unsigned i = 0; i < 5000; i++)
        put(log, 0, loop, i);
    access_log_end(access_log_writer(log, 0));
    time_t before = time(NULL);
    access_log_free(log, NSEC_PER_SEC / 10);
    CHECK(time(NULL) - before < PATIENCE);
    loop_free(loop);
    clean();
}

#define N_FILES 20u
#define LINES_PER_FILE 300u /* of each of two; all of them together fit into a ring */

struct busy {
    struct access_log *log;
    unsigned number;
    _Atomic unsigned n_put, n_allowed;
};

static void *put_busily(void *arg)
{
    struct busy *busy = arg;
    struct loop *loop = loop_new(clock_system());
    while (busy->n_put < N_FILES * LINES_PER_FILE) {
        for (unsigned i = 0; i < 10 && busy->n_put < busy->n_allowed; i++, busy->n_put++)
            put(busy->log, busy->number, loop, busy->n_put);
        CHECK_INT(loop_turn(loop, 0), 0);
    }
    access_log_end(access_log_writer(busy->log, busy->number));
    loop_free(loop);
    return NULL;
}

/* Rotation as logrotate does it, in the midst of what two workers write. */
TEST(a_file_that_is_renamed_and_opened_anew_loses_nothing)
{
    struct access_log *log = log_of(2);
    const char *path = path_of("log");
    access_log_set(log, target_at(path));
    struct busy busy[2] = { { log, 0, 0, 0 }, { log, 1, 0, 0 } };
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, put_busily, &busy[i]), 0);
    for (unsigned n = 0; n < N_FILES; n++) {
        char old[32];
        snprintf(old, sizeof(old), "log.%u", n);
        busy[0].n_allowed = busy[1].n_allowed = (n + 1) * LINES_PER_FILE;
        while (busy[0].n_put < n * LINES_PER_FILE + 10)
            sched_yield();
        CHECK_INT(rename(path, path_of(old)), 0);
        access_log_set(log, target_at(path));
    }
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(access_log_dropped(log), 0);
    access_log_free(log, 10 * GRACE);

    unsigned n_lines = 0;
    for (unsigned i = 0; i <= N_FILES; i++) {
        char name[32] = "log";
        if (i < N_FILES)
            snprintf(name, sizeof(name), "log.%u", i);
        CLEANUP(mem_freep) char *text = text_at(path_of(name));
        unsigned n = count(text, "\n");
        CHECK_INT(count(text, "{\"time\""), n);
        CHECK_INT(count(text, "}\n"), n);
        n_lines += n;
    }
    CHECK_INT(n_lines, 2 * N_FILES * LINES_PER_FILE);
    clean();
}

/* A target that is given up in the middle of a line leaves no half line to the next. */
TEST(a_new_target_begins_with_a_whole_line)
{
    const char *fifo = path_of("fifo"), *path = path_of("log");
    CHECK_INT(mkfifo(fifo, 0600), 0);
    struct loop *loop = loop_new(clock_system());
    struct access_log *log = log_of(1);
    access_log_set(log, target_at(fifo));
    /* More than the FIFO takes, less than the ring does. */
    for (unsigned i = 0; i < 3000; i++)
        put(log, 0, loop, i);
    access_log_end(access_log_writer(log, 0));
    CHECK_INT(access_log_dropped(log), 0);
    access_log_set(log, target_at(path));
    access_log_free(log, 10 * GRACE);

    CLEANUP(mem_freep) char *text = text_at(path);
    unsigned n = count(text, "\n");
    CHECK(n > 100 && n < 3002);
    CHECK_INT(count(text, "{\"time\""), n);
    CHECK(text[0] == '{');
    CHECK(strstr(text, "/request/2999/"));
    loop_free(loop);
    clean();
}

TEST(without_a_target_lines_go_nowhere)
{
    struct loop *loop = loop_new(clock_system());
    struct access_log *log = log_of(1);
    access_log_set(log, NULL);
    access_log_set(log, target_at(path_of("log")));
    access_log_set(log, NULL);
    access_log_set(log, target_at(path_of("log")));
    access_log_set(log, NULL);
    put(log, 0, loop, 1);
    access_log_end(access_log_writer(log, 0));
    access_log_free(log, GRACE);
    loop_free(loop);
    clean();
}

TEST(a_log_that_never_was_on_ends)
{
    struct access_log *log = access_log_new(3, clock_system());
    access_log_set(log, NULL);
    access_log_end(access_log_writer(log, 2));
    CHECK_INT(access_log_dropped(log), 0);
    CHECK(!access_log_free(log, GRACE));
    CHECK(!access_log_free(NULL, GRACE));
}
