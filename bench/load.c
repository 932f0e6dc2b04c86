/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The clients of the bench and the gates: many connections, one thread, one request at a time on
 * each, and every answer checked.
 *
 *   load --to HOST:PORT --requests FILE [OPTION VALUE]...
 *
 *   --requests FILE     each is "SIZE\n" and its bytes; connection i sends request i modulo n
 *   --connections N     1
 *   --length N          bytes that a body must have
 *   --warm N            requests before "ready" is printed; then it waits for a line on its input
 *   --count N           how many requests; or
 *   --seconds S         for how long
 *   --rate N            requests a second at fixed times; without it the next follows the answer
 *   --in-flight N       at most that many unanswered at once
 *   --fresh 1           a new connection for each request
 *   --addresses N       source addresses 127.0.1.1 and so on; 1
 *
 * At its end it prints one line of JSON and keeps its connections until its input ends. A body's
 * first coming over a connection is compared byte by byte, later ones by their length. Any other
 * status, a length that is off, bytes too many and broken connections count as errors.
 *
 * With a rate, a latency runs from the time at which the request was due, so that a stall counts
 * for every request it held up.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define N_EVENTS 256
#define HEAD_MAX 16384u
#define BODY_MAX (16u << 20)
#define SAMPLES_MAX (8u << 20)
#define NSEC 1000000000ull
#define SILENCE_MAX (10 * NSEC)

struct request {
    const char *bytes;
    size_t size;
};

struct connection {
    int fd;
    const struct request *request;
    size_t sent;
    uint64_t since; /* when the request was due */
    bool is_busy, has_head, is_compared;
    size_t n_in, body_left, body_at;
    char *head; /* of HEAD_MAX while one is read in pieces */
    struct connection *next_free;
};

static struct {
    struct sockaddr_in to;
    uint64_t n_connections, length, warm, count, rate, in_flight, is_fresh, n_addresses;
    double seconds;
    struct request *requests;
    size_t n_requests;
} options = { .n_connections = 1, .n_addresses = 1 };

static struct {
    uint64_t n_started, n_done, n_errors, n_bytes;
    uint64_t goal, start, end; /* of the current phase */
    uint32_t *samples;
    size_t n_samples;
    bool is_sampling;
    char first_error[160];
} run;

static int epoll_fd;
static struct connection *connections, *first_free, *last_free;

static _Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NSEC + (uint64_t)time.tv_nsec;
}

/* --- connections that wait for a request --- */

static void put_free(struct connection *connection)
{
    connection->next_free = NULL;
    if (last_free)
        last_free->next_free = connection;
    else
        first_free = connection;
    last_free = connection;
}

static struct connection *take_free(void)
{
    struct connection *connection = first_free;
    if (connection) {
        first_free = connection->next_free;
        if (!first_free)
            last_free = NULL;
    }
    return connection;
}

static void open_connection(struct connection *connection)
{
    int one = 1;
    size_t index = (size_t)(connection - connections);
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        fail("socket");
    struct sockaddr_in from = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(0x7f000101u + (uint32_t)(index % options.n_addresses)),
    };
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(connection->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(connection->fd, (struct sockaddr *)&from, sizeof(from)))
        fail("bind");
    if (connect(connection->fd, (struct sockaddr *)&options.to, sizeof(options.to)))
        fail("connect");
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection };
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connection->fd, &event))
        fail("epoll_ctl");
}

static void reopen(struct connection *connection)
{
    close(connection->fd);
    open_connection(connection);
}

/* --- one request --- */

static void request_over(struct connection *connection, const char *error)
{
    connection->is_busy = false;
    run.n_done++;
    if (error) {
        if (!run.n_errors++)
            snprintf(run.first_error, sizeof(run.first_error), "%s", error);
    } else if (run.is_sampling && run.n_samples < SAMPLES_MAX) {
        uint64_t taken = now() - connection->since;
        run.samples[run.n_samples++] = taken > UINT32_MAX ? UINT32_MAX : (uint32_t)taken;
    }
    if (error || options.is_fresh)
        reopen(connection);
    put_free(connection);
}

static void send_rest(struct connection *connection)
{
    const struct request *request = connection->request;
    while (connection->is_busy && connection->sent < request->size) {
        ssize_t n = send(connection->fd, request->bytes + connection->sent,
                         request->size - connection->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            if (errno != EAGAIN)
                request_over(connection, "a connection broke while a request was sent");
            return;
        }
        connection->sent += (size_t)n;
    }
}

static void start_request(struct connection *connection, uint64_t due)
{
    run.n_started++;
    connection->since = due;
    connection->sent = connection->n_in = 0;
    connection->has_head = false;
    connection->is_busy = true;
    send_rest(connection);
}

static const char *field_value(const char *head, const char *name)
{
    size_t size = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, size) == 0 && line[size] == ':')
            return line + size + 1;
    }
    return NULL;
}

/* Ends a request that was answered wrongly; the head's first line says how. */
static void refuse(struct connection *connection, const char *why, const char *head)
{
    char text[sizeof(run.first_error)];
    snprintf(text, sizeof(text), "%s: %.*s", why, (int)strcspn(head, "\r"), head);
    request_over(connection, text);
}

/* The bytes at the connection's place in the body, against the backend's pattern. */
static bool is_as_expected(const struct connection *connection, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size && !connection->is_compared; i++) {
        if (bytes[i] != (char)('a' + (connection->body_at + i) % 23))
            return false;
    }
    return true;
}

static void take_body(struct connection *connection, const char *bytes, size_t size)
{
    if (size > connection->body_left) {
        request_over(connection, "an answer has bytes too many");
        return;
    }
    if (bytes && !is_as_expected(connection, bytes, size)) {
        request_over(connection, "an answer has the wrong bytes");
        return;
    }
    connection->body_left -= size;
    connection->body_at += size;
    run.n_bytes += size;
    if (connection->body_left == 0) {
        connection->is_compared = true;
        request_over(connection, NULL);
    }
}

/* `bytes` has everything of the answer that came, and a NUL behind it. */
static void take_head(struct connection *connection, char *bytes, size_t size)
{
    char *end = memmem(bytes, size, "\r\n\r\n", 4);
    if (!end) {
        if (size + 1 >= HEAD_MAX) {
            request_over(connection, "a head is too large");
            return;
        }
        if (bytes != connection->head) {
            connection->head = connection->head ? connection->head : malloc(HEAD_MAX);
            memcpy(connection->head, bytes, size + 1);
        }
        connection->n_in = size;
        return;
    }
    char *body = end + 4;
    char first = end[2];
    end[2] = '\0';
    const char *length = field_value(bytes, "content-length");
    if (strncmp(bytes, "HTTP/1.1 200", 12) != 0) {
        refuse(connection, "status", bytes);
    } else if (!length || strtoull(length, NULL, 10) != options.length) {
        refuse(connection, "no or another Content-Length", bytes);
    } else {
        end[2] = first;
        connection->has_head = true;
        connection->body_left = options.length;
        connection->body_at = 0;
        take_body(connection, body, size - (size_t)(body - bytes));
    }
}

static void take_bytes(struct connection *connection, char *bytes, size_t size)
{
    if (!connection->is_busy) {
        run.n_errors++;
        snprintf(run.first_error, sizeof(run.first_error), "bytes that nobody asked for");
    } else if (connection->has_head) {
        take_body(connection, bytes, size);
    } else if (connection->n_in == 0) {
        take_head(connection, bytes, size);
    } else if (connection->n_in + size + 1 >= HEAD_MAX) {
        request_over(connection, "a head is too large");
    } else {
        memcpy(connection->head + connection->n_in, bytes, size + 1);
        take_head(connection, connection->head, connection->n_in + size);
    }
}

static void on_gone(struct connection *connection)
{
    if (connection->is_busy) {
        request_over(connection, "a connection was closed before the answer was whole");
        return;
    }
    run.n_errors++;
    snprintf(run.first_error, sizeof(run.first_error), "a kept connection was closed");
    reopen(connection);
}

/* Bodies that were compared once are thrown away by the kernel: that keeps the load cheap. */
static void receive(struct connection *connection)
{
    static char memory[BODY_MAX + 1]; /* of which little is ever written */
    for (;;) {
        bool is_skipped = connection->is_busy && connection->has_head && connection->is_compared;
        size_t room = is_skipped ? connection->body_left + 1 : HEAD_MAX - 1;
        ssize_t n = recv(connection->fd, memory, room, MSG_DONTWAIT | (is_skipped ? MSG_TRUNC : 0));
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            on_gone(connection);
            return;
        }
        if (!is_skipped)
            memory[n] = '\0';
        int fd = connection->fd;
        take_bytes(connection, is_skipped ? NULL : memory, (size_t)n);
        if ((size_t)n < room || connection->fd != fd)
            return;
    }
}

/* --- phases --- */

static bool is_over(uint64_t time)
{
    return run.goal ? run.n_started >= run.goal : time >= run.end;
}

/* Starts what may start now; returns when the next is due. */
static uint64_t start_due(uint64_t time)
{
    while (first_free && !is_over(time) && run.n_started - run.n_done < options.in_flight) {
        uint64_t due = time;
        if (options.rate && run.is_sampling)
            due = run.start + run.n_started * NSEC / options.rate;
        if (due > time)
            return due;
        start_request(take_free(), due);
    }
    return time + NSEC / 10;
}

/* Runs until `goal` requests, or all that start before the phase's end, are answered. */
static void run_phase(uint64_t goal, double seconds)
{
    run.n_started = run.n_done = run.n_bytes = 0;
    run.goal = goal;
    run.start = now();
    run.end = run.start + (uint64_t)(seconds * (double)NSEC);
    uint64_t last_done = run.start, n_seen = 0;
    for (;;) {
        uint64_t time = now(), due = start_due(time);
        if (is_over(time) && run.n_done == run.n_started)
            break;
        if (run.n_done != n_seen) {
            n_seen = run.n_done;
            last_done = time;
        } else if (time - last_done > SILENCE_MAX) {
            fprintf(stderr, "load: no answer within ten seconds\n");
            exit(1);
        }
        struct epoll_event events[N_EVENTS];
        uint64_t left = due > time ? due - time : 0;
        struct timespec wait = { .tv_sec = (time_t)(left / NSEC), .tv_nsec = (long)(left % NSEC) };
        int n = epoll_pwait2(epoll_fd, events, N_EVENTS, &wait, NULL);
        for (int i = 0; i < n; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].events & EPOLLOUT && connection->is_busy)
                send_rest(connection);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                receive(connection);
        }
    }
    run.end = now();
}

static int compare_samples(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static double sample_at(double share)
{
    if (run.n_samples == 0)
        return 0;
    return run.samples[(size_t)(share * (double)(run.n_samples - 1))] / 1000.0;
}

static void print_result(void)
{
    qsort(run.samples, run.n_samples, sizeof(*run.samples), compare_samples);
    printf(
        "{\"requests\": %llu, \"errors\": %llu, \"error\": \"%s\", \"bytes\": %llu, "
        "\"seconds\": %.6f, \"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"max\": %.1f}\n",
        (unsigned long long)run.n_done, (unsigned long long)run.n_errors, run.first_error,
        (unsigned long long)run.n_bytes, (double)(run.end - run.start) / (double)NSEC,
        sample_at(0.5), sample_at(0.9), sample_at(0.99), sample_at(1));
    fflush(stdout);
}

/* --- arguments --- */

static void read_requests(const char *path)
{
    FILE *file = fopen(path, "r");
    size_t size;
    if (!file)
        fail(path);
    while (fscanf(file, "%zu\n", &size) == 1 && size < 16u << 20) { // NOLINT(cert-err34-c)
        char *bytes = malloc(size);
        options.requests =
            realloc(options.requests, (options.n_requests + 1) * sizeof(*options.requests));
        if (!bytes || !options.requests || fread(bytes, 1, size, file) != size)
            fail(path);
        options.requests[options.n_requests++] = (struct request){ bytes, size };
    }
    fclose(file);
    if (options.n_requests == 0) {
        fprintf(stderr, "load: %s has no requests\n", path);
        exit(2);
    }
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

static uint64_t *number_option(const char *name)
{
    static const struct {
        const char *name;
        uint64_t *value;
    } numbers[] = {
        { "--connections", &options.n_connections },
        { "--length", &options.length },
        { "--warm", &options.warm },
        { "--count", &options.count },
        { "--rate", &options.rate },
        { "--in-flight", &options.in_flight },
        { "--fresh", &options.is_fresh },
        { "--addresses", &options.n_addresses },
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strcmp(name, numbers[i].name) == 0)
            return numbers[i].value;
    }
    fprintf(stderr, "load: no option %s\n", name);
    exit(2);
}

static void read_option(const char *name, char *value)
{
    if (strcmp(name, "--to") == 0) {
        read_address(value);
    } else if (strcmp(name, "--requests") == 0) {
        read_requests(value);
    } else if (strcmp(name, "--seconds") == 0) {
        options.seconds = strtod(value, NULL);
    } else {
        *number_option(name) = strtoull(value, NULL, 10);
    }
}

static void wait_for_input(void)
{
    char line[16];
    if (!fgets(line, sizeof(line), stdin))
        exit(0);
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2)
        read_option(argv[i], argv[i + 1]);
    if (!options.requests || !options.to.sin_port || !options.n_connections ||
        options.length > BODY_MAX) {
        fprintf(stderr, "load: --to, --requests and --connections are needed\n");
        return 2;
    }
    if (!options.in_flight)
        options.in_flight = options.n_connections;

    prctl(PR_SET_TIMERSLACK, 1ul); /* requests at a rate start when they are due */
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc(options.n_connections, sizeof(*connections));
    run.samples = malloc(SAMPLES_MAX * sizeof(*run.samples));
    if (!connections || !run.samples)
        fail("malloc");
    for (size_t i = 0; i < options.n_connections; i++) {
        connections[i].request = &options.requests[i % options.n_requests];
        open_connection(&connections[i]);
        put_free(&connections[i]);
    }
    if (options.warm)
        run_phase(options.warm, 0);
    puts("ready");
    fflush(stdout);
    wait_for_input();

    run.is_sampling = true;
    if (options.count || options.seconds > 0)
        run_phase(options.count, options.seconds);
    print_result();
    wait_for_input();
    return run.n_errors ? 1 : 0;
}
