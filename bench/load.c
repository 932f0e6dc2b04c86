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
 *   --tls 1             over TLS 1.3, each connection with a full handshake
 *   --status N          what answers have to have; 200
 *   --any 1             bodies may have any bytes
 *   --walk 1            what is sent is the next request of the file, whichever connection is free
 *
 * At its end it prints one line of JSON and keeps its connections until its input ends. A body's
 * first coming over a connection is compared byte by byte, later ones by their length. Any other
 * status, a length that is off, bytes too many and broken connections count as errors.
 *
 * With a rate, a latency runs from the time at which the request was due, so that a stall counts
 * for every request it held up.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#include "link.h"
#include "measure.h"

#define HEAD_MAX 16384u
#define BODY_MAX (16u << 20)

struct connection {
    struct link link;
    const struct request *request;
    size_t sent;
    uint64_t since; /* when the request was due */
    bool is_busy, has_head, is_compared;
    size_t n_in, body_left, body_at;
    unsigned n_opened;
    char *head; /* of HEAD_MAX while one is read in pieces */
    struct connection *next_free;
};

static uint64_t is_fresh, is_tls, n_addresses = 1, status = 200, is_any, is_walk;
static uint64_t n_walked;
static struct connection *connections, *first_free, *last_free;

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
    size_t index = (size_t)(connection - connections);
    link_open(&connection->link, (unsigned)(index % n_addresses), is_tls);
    generator_watch(connection->link.fd, connection);
}

static void reopen(struct connection *connection)
{
    link_close(&connection->link);
    connection->n_opened++;
    open_connection(connection);
}

/* --- one request --- */

static void request_over(struct connection *connection, const char *error)
{
    connection->is_busy = false;
    run_done(connection->since, error);
    if (error || is_fresh)
        reopen(connection);
    put_free(connection);
}

static void send_rest(struct connection *connection)
{
    const struct request *request = connection->request;
    while (connection->is_busy && connection->sent < request->size) {
        ssize_t n = link_send(&connection->link, request->bytes + connection->sent,
                              request->size - connection->sent);
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
    if (is_walk)
        connection->request = &options.requests[n_walked++ % options.n_requests];
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
    char text[160];
    snprintf(text, sizeof(text), "%s: %.*s", why, (int)strcspn(head, "\r"), head);
    request_over(connection, text);
}

/* The bytes at the connection's place in the body, against the backend's pattern. */
static bool is_as_expected(const struct connection *connection, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size && !connection->is_compared && !is_any; i++) {
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
            if (!connection->head && !(connection->head = malloc(HEAD_MAX)))
                fail("malloc");
            memcpy(connection->head, bytes, size + 1);
        }
        connection->n_in = size;
        return;
    }
    char *body = end + 4;
    char first = end[2];
    end[2] = '\0';
    const char *length = field_value(bytes, "content-length");
    if (strncmp(bytes, "HTTP/1.1 ", 9) != 0 || strtoull(bytes + 9, NULL, 10) != status) {
        refuse(connection, "status", bytes);
    } else if (status != 204 && (!length || strtoull(length, NULL, 10) != options.length)) {
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
        run_error("bytes that nobody asked for");
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
    run_error("a kept connection was closed");
    reopen(connection);
}

/* Bodies that were compared once are thrown away by the kernel: that keeps the load cheap. */
static void receive(struct connection *connection)
{
    static char memory[BODY_MAX + 1]; /* of which little is ever written */
    unsigned n_opened = connection->n_opened;
    while (connection->n_opened == n_opened) {
        bool is_skipped = connection->is_busy && connection->has_head && connection->is_compared;
        size_t room = is_skipped ? connection->body_left + 1 : HEAD_MAX - 1;
        ssize_t n = link_recv(&connection->link, memory, room, is_skipped);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            on_gone(connection);
            return;
        }
        if (!is_skipped)
            memory[n] = '\0';
        take_bytes(connection, is_skipped ? NULL : memory, (size_t)n);
    }
}

/* --- phases --- */

/* Starts what may start now; returns when the next is due. */
static uint64_t start_due(uint64_t time)
{
    while (first_free && !run_is_over(time) && run.n_started - run.n_done < options.in_flight) {
        uint64_t due = run_due(time);
        if (due > time)
            return due;
        start_request(take_free(), due);
    }
    return time + NSEC / 10;
}

/* Before a handshake is done, bytes that come let it go on and a request leave. */
static void on_event(void *owner, uint32_t events)
{
    struct connection *connection = owner;
    link_wake(&connection->link);
    if (connection->is_busy && (events & EPOLLOUT || is_tls))
        send_rest(connection);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        receive(connection);
}

int main(int argc, char **argv)
{
    static const struct number_option own[] = {
        { "--fresh", &is_fresh }, { "--addresses", &n_addresses },
        { "--tls", &is_tls },     { "--status", &status },
        { "--any", &is_any },     { "--walk", &is_walk },
        { NULL, NULL },
    };
    options_read(argc, argv, own);
    if (options.length > BODY_MAX) {
        fprintf(stderr, "load: --length is too large\n");
        return 2;
    }
    if (!options.in_flight)
        options.in_flight = options.n_connections;

    connections = calloc(options.n_connections, sizeof(*connections));
    if (!connections)
        fail("calloc");
    for (size_t i = 0; i < options.n_connections; i++) {
        connections[i].request = &options.requests[i % options.n_requests];
        open_connection(&connections[i]);
        put_free(&connections[i]);
    }
    static const struct generator generator = { .start = start_due, .on_event = on_event };
    return generator_run(&generator);
}
