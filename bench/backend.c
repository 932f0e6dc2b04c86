/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The service behind every proxy of the bench and the gates: one thread, one epoll, answers that
 * lie ready in memory, so that it costs a small and constant part of what the proxy costs.
 *
 *   backend PORT        0 takes a free one; prints "port N" and serves until its input ends
 *
 * The last segment of the path says what is asked for: /128 is a body of 128 bytes, /customer/acme
 * names the customer as an identity service does. What a proxy gets wrong becomes 400 or 404 and
 * closes the connection, and the load generator counts it as an error.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve.h"

#define HEAD_MAX 16384u
#define BODY_MAX (16u << 20)
#define N_ANSWERS 16u

struct answer {
    size_t size, whole_size;
    char *bytes; /* head and body */
};

struct connection {
    int fd;
    bool is_closing;
    size_t n_in;                 /* bytes of `in` */
    uint64_t body_left;          /* of the request; they are thrown away */
    const struct answer *answer; /* what is being sent */
    size_t sent;
    struct answer own; /* an answer that is not kept for others */
    char in[HEAD_MAX];
};

static struct answer answers[N_ANSWERS];
static unsigned n_answers;

/* The load generator knows the pattern and compares. */
static void fill(char *body, size_t size)
{
    for (size_t i = 0; i < size; i++)
        body[i] = (char)('a' + i % 23);
}

static void make_answer(struct answer *answer, const char *first_lines, size_t size)
{
    char head[1024];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 %sContent-Type: application/octet-stream\r\n"
                     "Content-Length: %zu\r\n\r\n",
                     first_lines, size);
    answer->size = size;
    answer->whole_size = (size_t)n + size;
    answer->bytes = malloc(answer->whole_size);
    if (!answer->bytes)
        fail("malloc");
    memcpy(answer->bytes, head, (size_t)n);
    fill(answer->bytes + n, size);
}

#define DATE "Date: Sat, 01 Aug 2026 08:00:00 GMT\r\n"

static const struct answer *answer_of_size(size_t size)
{
    for (unsigned i = 0; i < n_answers; i++) {
        if (answers[i].size == size)
            return &answers[i];
    }
    if (n_answers == N_ANSWERS)
        return NULL;
    make_answer(&answers[n_answers], "200 OK\r\n" DATE, size);
    return &answers[n_answers++];
}

static const struct answer *own_answer(struct connection *connection, const char *first_lines)
{
    free(connection->own.bytes);
    make_answer(&connection->own, first_lines, 0);
    return &connection->own;
}

static void close_connection(struct connection *connection)
{
    close(connection->fd);
    free(connection->own.bytes);
    free(connection);
}

/* --- one request --- */

/* The value of a header field in a head that ends with an empty line; NULL when there is none. */
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

static const struct answer *choose_answer(struct connection *connection, const char *head)
{
    const char *length = field_value(head, "content-length");
    if (!field_value(head, "host") || field_value(head, "transfer-encoding"))
        return NULL;
    if (length)
        connection->body_left = strtoull(length, NULL, 10);
    if (connection->body_left > BODY_MAX)
        return NULL;

    const char *path = strchr(head, ' ');
    const char *end = path ? strchr(path + 1, ' ') : NULL;
    if (!end || strncmp(end, " HTTP/1.1\r\n", 11) != 0)
        return NULL;
    const char *last = memrchr(path, '/', (size_t)(end - path));
    static const char customer[] = "/customer";
    if (last && (size_t)(last - path) > sizeof(customer) - 1 &&
        memcmp(last - (sizeof(customer) - 1), customer, sizeof(customer) - 1) == 0) {
        char lines[256];
        snprintf(lines, sizeof(lines), "200 OK\r\n" DATE "Sarsen-Customer: %.*s\r\n",
                 (int)(end - last - 1), last + 1);
        return own_answer(connection, lines);
    }
    char *after;
    unsigned long long size = last ? strtoull(last + 1, &after, 10) : 0;
    if (!last || after != end || after == last + 1 || size > BODY_MAX)
        return own_answer(connection, "404 Not Found\r\n" DATE);
    return answer_of_size(size);
}

/* Takes the next request off the input, if it is there whole; the body is taken as it comes. */
static bool take_request(struct connection *connection)
{
    const char *end = memmem(connection->in, connection->n_in, "\r\n\r\n", 4);
    if (!end) {
        connection->is_closing |= connection->n_in == HEAD_MAX;
        return false;
    }
    size_t head_size = (size_t)(end - connection->in) + 4;
    char after = connection->in[head_size - 1];
    connection->in[head_size - 1] = '\0'; /* the last line feed: "\r\n\r" still ends it */
    connection->answer = choose_answer(connection, connection->in);
    connection->in[head_size - 1] = after;
    if (!connection->answer) {
        connection->answer =
            own_answer(connection, "400 Bad Request\r\nConnection: close\r\n" DATE);
        connection->is_closing = true;
    }
    connection->n_in -= head_size;
    memmove(connection->in, connection->in + head_size, connection->n_in);
    return true;
}

/* --- the connection --- */

/* False when the peer takes no more for now, or is gone. */
static bool send_answer(struct connection *connection)
{
    const struct answer *answer = connection->answer;
    while (connection->sent < answer->whole_size) {
        ssize_t n = send(connection->fd, answer->bytes + connection->sent,
                         answer->whole_size - connection->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN)
                connection->is_closing = true;
            return false;
        }
        connection->sent += (size_t)n;
    }
    connection->answer = NULL;
    connection->sent = 0;
    return true;
}

static void skip_body(struct connection *connection)
{
    size_t n = connection->body_left < connection->n_in ? connection->body_left : connection->n_in;
    connection->body_left -= n;
    connection->n_in -= n;
    memmove(connection->in, connection->in + n, connection->n_in);
}

/* Answers what lies in the input; false when it must wait for the peer to read. A request is
 * answered when its body has come. */
static bool serve_input(struct connection *connection)
{
    for (;;) {
        skip_body(connection);
        if (connection->body_left)
            return true;
        if (connection->answer && !send_answer(connection))
            return false;
        if (connection->is_closing || !take_request(connection))
            return true;
    }
}

/* A short read means that the socket is drained: edges tell of what comes later. */
static void on_ready(void *owner)
{
    struct connection *connection = owner;
    while (serve_input(connection) && !connection->is_closing) {
        size_t room = HEAD_MAX - connection->n_in;
        ssize_t n = recv(connection->fd, connection->in + connection->n_in, room, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            connection->is_closing = true;
            break;
        }
        connection->n_in += (size_t)n;
        if ((size_t)n < room && serve_input(connection) && !connection->is_closing)
            return;
    }
    if (connection->is_closing)
        close_connection(connection);
}

static void *open_connection(int fd)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    if (!connection)
        fail("calloc");
    connection->fd = fd;
    return connection;
}

int main(int argc, char **argv)
{
    static const struct serve_ops ops = { open_connection, on_ready };
    return serve((uint16_t)(argc > 1 ? strtoul(argv[1], NULL, 10) : 0), &ops);
}
