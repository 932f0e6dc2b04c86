/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define N_EVENTS 256
#define SAMPLES_MAX (8u << 20)
#define SILENCE_MAX (10 * NSEC)
#define REQUEST_MAX (16u << 20)

struct options options = { .n_connections = 1 };
struct run run;

static struct {
    uint64_t goal, start, end;
    uint64_t n_seen, last_done; /* to notice silence */
    uint32_t *samples;
    size_t n_samples;
    char first_error[160];
} phase;

_Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NSEC + (uint64_t)time.tv_nsec;
}

/* --- phases --- */

static void run_begin(uint64_t goal, double seconds)
{
    if (!phase.samples && !(phase.samples = malloc(SAMPLES_MAX * sizeof(*phase.samples))))
        fail("malloc");
    run.n_started = run.n_done = run.n_bytes = 0;
    phase.goal = goal;
    phase.start = phase.last_done = now();
    phase.end = phase.start + (uint64_t)(seconds * (double)NSEC);
    phase.n_seen = 0;
}

bool run_is_over(uint64_t time)
{
    return phase.goal ? run.n_started >= phase.goal : time >= phase.end;
}

/* True until the phase is over and all of it answered; ends the program when nothing comes. */
static bool run_goes_on(uint64_t time)
{
    if (run.n_done != phase.n_seen) {
        phase.n_seen = run.n_done;
        phase.last_done = time;
    } else if (time - phase.last_done > SILENCE_MAX) {
        fprintf(stderr, "load: no answer within ten seconds\n");
        exit(1);
    }
    return !run_is_over(time) || run.n_done != run.n_started;
}

uint64_t run_due(uint64_t time)
{
    if (!options.rate || !run.is_sampling)
        return time;
    return phase.start + run.n_started * NSEC / options.rate;
}

void run_error(const char *error)
{
    if (!run.n_errors++)
        snprintf(phase.first_error, sizeof(phase.first_error), "%s", error);
}

void run_done(uint64_t since, const char *error)
{
    run.n_done++;
    if (error) {
        run_error(error);
    } else if (run.is_sampling && phase.n_samples < SAMPLES_MAX) {
        uint64_t taken = now() - since;
        phase.samples[phase.n_samples++] = taken > UINT32_MAX ? UINT32_MAX : (uint32_t)taken;
    }
}

static void run_end(void)
{
    phase.end = now();
}

static int compare_samples(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static double sample_at(double share)
{
    if (phase.n_samples == 0)
        return 0;
    return phase.samples[(size_t)(share * (double)(phase.n_samples - 1))] / 1000.0;
}

static void run_print(void)
{
    qsort(phase.samples, phase.n_samples, sizeof(*phase.samples), compare_samples);
    printf(
        "{\"requests\": %llu, \"errors\": %llu, \"error\": \"%s\", \"bytes\": %llu, "
        "\"seconds\": %.6f, \"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"max\": %.1f}\n",
        (unsigned long long)run.n_done, (unsigned long long)run.n_errors, phase.first_error,
        (unsigned long long)run.n_bytes, (double)(phase.end - phase.start) / (double)NSEC,
        sample_at(0.5), sample_at(0.9), sample_at(0.99), sample_at(1));
    fflush(stdout);
}

/* --- the loop --- */

static int epoll_fd = -1;

void generator_watch(int fd, void *connection)
{
    if (epoll_fd < 0)
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection };
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl");
}

/* Runs until `goal` requests, or all that start before the phase's end, are answered. */
static void run_phase(const struct generator *generator, uint64_t goal, double seconds)
{
    run_begin(goal, seconds);
    for (;;) {
        uint64_t time = now(), due = generator->start(time);
        if (generator->flush)
            generator->flush();
        if (!run_goes_on(time))
            break;
        struct epoll_event events[N_EVENTS];
        uint64_t left = due > time ? due - time : 0;
        struct timespec wait = { .tv_sec = (time_t)(left / NSEC), .tv_nsec = (long)(left % NSEC) };
        int n = epoll_pwait2(epoll_fd, events, N_EVENTS, &wait, NULL);
        for (int i = 0; i < n; i++)
            generator->on_event(events[i].data.ptr, events[i].events);
    }
    run_end();
}

/* Blocks until a line comes; the end of input ends the program. */
static void wait_for_input(void)
{
    char line[16];
    if (!fgets(line, sizeof(line), stdin))
        exit(0);
}

int generator_run(const struct generator *generator)
{
    prctl(PR_SET_TIMERSLACK, 1ul); /* requests at a rate start when they are due */
    if (options.warm)
        run_phase(generator, options.warm, 0);
    puts("ready");
    fflush(stdout);
    wait_for_input();

    run.is_sampling = true;
    if (options.count || options.seconds > 0)
        run_phase(generator, options.count, options.seconds);
    run_print();
    wait_for_input();
    return run.n_errors ? 1 : 0;
}

/* --- arguments --- */

static void read_requests(const char *path, struct request **ret_requests, size_t *ret_n)
{
    struct request *requests = NULL;
    FILE *file = fopen(path, "r");
    size_t size, n = 0;
    if (!file)
        fail(path);
    while (fscanf(file, "%zu\n", &size) == 1 && size < REQUEST_MAX) { // NOLINT(cert-err34-c)
        char *bytes = malloc(size + 1);
        requests = realloc(requests, (n + 1) * sizeof(*requests));
        if (!bytes || !requests || fread(bytes, 1, size, file) != size)
            fail(path);
        bytes[size] = '\0';
        requests[n++] = (struct request){ bytes, size };
    }
    fclose(file);
    if (n == 0) {
        fprintf(stderr, "load: %s has no requests\n", path);
        exit(2);
    }
    *ret_requests = requests;
    *ret_n = n;
}

static void read_address(char *text)
{
    char *colon = strrchr(text, ':');
    if (colon)
        *colon = '\0';
    if (!colon || inet_pton(AF_INET, text, &options.to.sin_addr) != 1) {
        fprintf(stderr, "load: --to wants HOST:PORT\n");
        exit(2);
    }
    options.to.sin_family = AF_INET;
    options.to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
}

static uint64_t *find_number(const char *name, const struct number_option *numbers)
{
    for (; numbers->name; numbers++) {
        if (strcmp(name, numbers->name) == 0)
            return numbers->value;
    }
    return NULL;
}

static void read_number(const char *name, const char *value, const struct number_option *own)
{
    static const struct number_option shared[] = {
        { "--connections", &options.n_connections },
        { "--length", &options.length },
        { "--warm", &options.warm },
        { "--count", &options.count },
        { "--rate", &options.rate },
        { "--in-flight", &options.in_flight },
        { NULL, NULL },
    };
    uint64_t *number = find_number(name, shared);
    if (!number)
        number = find_number(name, own);
    if (!number) {
        fprintf(stderr, "load: no option %s\n", name);
        exit(2);
    }
    *number = strtoull(value, NULL, 10);
}

void options_read(int argc, char **argv, const struct number_option *own)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i];
        if (strcmp(name, "--to") == 0)
            read_address(argv[i + 1]);
        else if (strcmp(name, "--requests") == 0)
            read_requests(argv[i + 1], &options.requests, &options.n_requests);
        else if (strcmp(name, "--changes") == 0)
            read_requests(argv[i + 1], &options.changes, &options.n_changes);
        else if (strcmp(name, "--seconds") == 0)
            options.seconds = strtod(argv[i + 1], NULL);
        else
            read_number(name, argv[i + 1], own);
    }
    if (!options.requests || !options.to.sin_port || !options.n_connections) {
        fprintf(stderr, "load: --to, --requests and --connections are needed\n");
        exit(2);
    }
}

/* --- sockets --- */

int connect_from(uint32_t from)
{
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    struct sockaddr_in source = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(0x7f000101u + from),
    };
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&source, sizeof(source)))
        fail("bind");
    if (connect(fd, (struct sockaddr *)&options.to, sizeof(options.to)))
        fail("connect");
    return fd;
}
