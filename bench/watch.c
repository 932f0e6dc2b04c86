/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Watchers by blocking queries, as Consul's clients are, and what changes under them.
 *
 *   watch --to HOST:PORT --requests FILE --connections N [--changes FILE] [OPTION VALUE]...
 *
 * The options are those of `load`, and those of fanout.h. A request has "index=" and twenty digits,
 * which become the index that was answered last. The changes go over a connection of their own.
 * An answer whose index is no higher, and one that nobody changed anything for, are errors.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "fanout.h"
#include "measure.h"

#define HEAD_MAX 2048u
#define N_ADDRESSES 200u
#define INDEX_DIGITS 20

struct connection {
    int fd;
    uint64_t number, index; /* index: known; 0 before the first answer */
    size_t n_head, body_left;
    char *head; /* what has come of it; NULL between answers */
    bool is_change, has_head;
};

static struct connection *watchers, changer;

static _Noreturn void refuse(const char *why, const char *head)
{
    fprintf(stderr, "watch: %s: %.*s\n", why, head ? (int)strcspn(head, "\r\n") : 0,
            head ? head : "");
    exit(1);
}

static void send_all(const struct connection *connection, const char *bytes, size_t size)
{
    ssize_t n = send(connection->fd, bytes, size, MSG_NOSIGNAL);
    if (n < 0 || (size_t)n != size)
        refuse("a request cannot be sent at once", NULL);
}

static void open_connection(struct connection *connection, uint64_t number)
{
    connection->number = number;
    connection->fd = connect_from((uint32_t)(number % N_ADDRESSES));
    generator_watch(connection->fd, connection);
}

static void ask(const struct connection *connection)
{
    static char bytes[HEAD_MAX];
    const struct request *request = &options.requests[connection->number % options.n_requests];
    const char *at = strstr(request->bytes, "index=");
    char digits[INDEX_DIGITS + 1];
    if (!at || request->size > HEAD_MAX)
        refuse("a request has no index, or is too long", request->bytes);
    snprintf(digits, sizeof(digits), "%020llu", (unsigned long long)connection->index);
    memcpy(bytes, request->bytes, request->size);
    memcpy(bytes + (at + strlen("index=") - request->bytes), digits, INDEX_DIGITS);
    send_all(connection, bytes, request->size);
}

static void on_watch(uint64_t number)
{
    open_connection(&watchers[number], number);
    ask(&watchers[number]);
}

static void on_change(uint64_t number)
{
    const struct request *change = &options.changes[number];
    if (!changer.fd) {
        changer.is_change = true;
        open_connection(&changer, options.n_connections);
    }
    send_all(&changer, change->bytes, change->size);
}

/* --- answers --- */

static uint64_t number_of(const char *head, const char *name)
{
    size_t size = strlen(name);
    for (const char *line = head; (line = strstr(line, "\r\n"));) {
        line += 2;
        if (strncasecmp(line, name, size) == 0 && line[size] == ':')
            return strtoull(line + size + 1, NULL, 10);
    }
    return 0;
}

static void answer_over(struct connection *connection)
{
    free(connection->head);
    connection->head = NULL;
    connection->n_head = 0;
    connection->has_head = false;
    if (connection->is_change)
        fanout_answered();
    else
        ask(connection);
}

static void take_head(struct connection *connection, size_t size)
{
    char *head = connection->head;
    if (strncmp(head, "HTTP/1.1 200", 12) != 0)
        refuse("status", head);
    connection->body_left = number_of(head, "content-length");
    connection->n_head = size;
    connection->has_head = true;
    if (connection->is_change)
        return;
    uint64_t index = number_of(head, "x-consul-index");
    if (index <= connection->index)
        run_error("an answer has no higher index");
    connection->index = index;
}

/* Takes what belongs to the answer's head, and returns how much of the bytes that was. */
static size_t take_head_bytes(struct connection *connection, const char *bytes, size_t size)
{
    if (!connection->head && !(connection->head = calloc(1, HEAD_MAX + 1)))
        fail("calloc");
    size_t before = connection->n_head;
    size_t n = size < HEAD_MAX - before ? size : HEAD_MAX - before;
    memcpy(connection->head + before, bytes, n);
    connection->head[before + n] = '\0';
    char *end = strstr(connection->head, "\r\n\r\n");
    if (!end) {
        if (before + n == HEAD_MAX)
            refuse("a head is too large", connection->head);
        connection->n_head += n;
        return n;
    }
    end[2] = '\0';
    take_head(connection, (size_t)(end + 4 - connection->head));
    return connection->n_head - before;
}

static void take_bytes(struct connection *connection, const char *bytes, size_t size)
{
    bool is_first = connection->index == 0;
    while (size) {
        if (!connection->has_head) {
            size_t n = take_head_bytes(connection, bytes, size);
            bytes += n;
            size -= n;
        }
        if (!connection->has_head)
            return;
        size_t n = size < connection->body_left ? size : connection->body_left;
        bytes += n;
        size -= n;
        connection->body_left -= n;
        if (connection->body_left)
            return;
        answer_over(connection);
        if (connection->is_change)
            continue;
        if (is_first)
            fanout_watches();
        else
            fanout_heard(connection->number);
        is_first = false;
    }
}

static void on_event(void *owner, uint32_t events)
{
    static char memory[1u << 20];
    struct connection *connection = owner;
    ssize_t n = 1;
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    while (n > 0) {
        n = recv(connection->fd, memory, sizeof(memory), MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            refuse("a connection was closed", NULL);
        if (n > 0)
            take_bytes(connection, memory, (size_t)n);
    }
}

int main(int argc, char **argv)
{
    static const struct fanout_ops ops = { .watch = on_watch, .change = on_change };
    static const struct generator generator = { .start = fanout_start, .on_event = on_event };
    options_read(argc, argv, fanout_options);
    fanout_init(&ops);
    watchers = calloc(options.n_connections, sizeof(*watchers));
    if (!watchers)
        fail("calloc");
    return generator_run(&generator);
}
