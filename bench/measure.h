/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the load generators share: phases of requests, latencies, the line of JSON that tells them,
 * and the arguments that all of them take.
 *
 * A phase ends after so many requests or so much time; then what is under way is waited for. The
 * generator starts what may start and counts what is done; it asks this module when.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NSEC 1000000000ull

struct request {
    char *bytes;
    size_t size;
};

struct options {
    struct sockaddr_in to;
    uint64_t n_connections, length, warm, count, rate, in_flight;
    double seconds;
    struct request *requests, *changes;
    size_t n_requests, n_changes;
};

/* A numeric option of one generator. */
struct number_option {
    const char *name;
    uint64_t *value;
};

struct run {
    uint64_t n_started, n_done, n_errors, n_bytes;
    bool is_sampling;
};

extern struct options options;
extern struct run run;

_Noreturn void fail(const char *what);
uint64_t now(void);

/* Reads the arguments; `own` ends with a NULL name. What is needed and lacks ends the program. */
void options_read(int argc, char **argv, const struct number_option *own);

/* A connected, non-blocking socket whose source address is 127.0.1.1 plus `from`. */
int connect_from(uint32_t from);

bool run_is_over(uint64_t time);
/* When the next request is due; before that time it must not start. */
uint64_t run_due(uint64_t time);
/* A request that was due at `since` is answered; `error` is NULL when rightly. */
void run_done(uint64_t since, const char *error);
void run_error(const char *error);

/* What a generator does; the calls come in turns of one loop. */
struct generator {
    uint64_t (*start)(uint64_t time); /* what may start now; returns when the next is due */
    void (*flush)(void);              /* what was started leaves; may be NULL */
    void (*on_event)(void *connection, uint32_t events); /* of epoll, an edge */
};

void generator_watch(int fd, void *connection);

/* The warm-up, "ready", the run that counts, and its line of JSON; returns what the program does. */
int generator_run(const struct generator *generator);

#endif
