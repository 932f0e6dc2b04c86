/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The HTTP/2 clients of the bench: some connections, many streams on each, every answer checked.
 *
 *   load_h2 --to HOST:PORT --requests FILE [OPTION VALUE]...
 *
 * The options are those of `load`, and
 *
 *   --streams N     on each connection at once; 1
 *   --grpc 1        an answer is a gRPC message of --length bytes and has grpc-status 0
 *   --any 1         bodies may have any bytes and any length
 *
 * A request of the file is lines "NAME: VALUE\r\n" (names like ":path" too), an empty line and the
 * body. Connection i sends request i modulo n on all of its streams. What leaves in one turn of the
 * loop leaves together.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "h2.h"
#include "measure.h"

#define N_SLOTS 1024u /* of a connection: more than streams, for they end in any order */
#define PREFIX 5u
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* One stream; or, of the free list, the right to open one. */
struct slot {
    uint32_t stream;
    bool has_status, has_end;
    size_t n_received;
    uint64_t since;
};

struct connection {
    struct h2 h2;
    struct h2_message message;
    uint32_t last_stream, n_open;
    bool is_compared, is_dirty, is_full; /* full: it waits for on_room */
    struct connection *next_dirty;
    struct slot slots[N_SLOTS];
};

static uint64_t n_streams = 1, is_grpc, is_any;
static struct connection *connections, *first_dirty;
static uint64_t next; /* connection that gets a request */

static _Noreturn void refuse(const char *why)
{
    fprintf(stderr, "load_h2: %s\n", why);
    exit(1);
}

/* --- streams --- */

static struct slot *slot_of(struct connection *connection, uint32_t stream)
{
    return &connection->slots[stream / 2 % N_SLOTS];
}

static void make_dirty(struct connection *connection)
{
    if (connection->is_dirty)
        return;
    connection->is_dirty = true;
    connection->next_dirty = first_dirty;
    first_dirty = connection;
}

static bool has_room(const struct connection *connection)
{
    return connection->n_open < n_streams && !connection->is_full;
}

static void start_request(struct connection *connection, uint64_t due)
{
    uint32_t stream = connection->last_stream + 2;
    struct slot *slot = slot_of(connection, stream);
    if (slot->stream) {
        connection->is_full = true; /* an old stream is in its place: later */
        return;
    }
    if (!h2_put(&connection->h2, stream, &connection->message)) {
        connection->is_full = true;
        return;
    }
    *slot = (struct slot){ .stream = stream, .since = due };
    connection->last_stream = stream;
    connection->n_open++;
    run.n_started++;
    make_dirty(connection);
}

static void end_stream(struct connection *connection, struct slot *slot, const char *error)
{
    slot->stream = 0;
    connection->n_open--;
    connection->is_full = false;
    connection->is_compared = true;
    run_done(slot->since, error);
}

static bool is_field(const nghttp2_nv *field, const char *name, const char *value)
{
    size_t n = strlen(name), size = strlen(value);
    return field->namelen == n && memcmp(field->name, name, n) == 0 && field->valuelen == size &&
           memcmp(field->value, value, size) == 0;
}

static void on_field(struct h2 *h2, uint32_t stream, const nghttp2_nv *field)
{
    struct slot *slot = slot_of(container_of(h2, struct connection, h2), stream);
    if (is_field(field, ":status", "200"))
        slot->has_status = true;
    else if (is_grpc && is_field(field, "grpc-status", "0"))
        slot->has_end = true;
}

static void check_end(struct connection *connection, struct slot *slot)
{
    const char *error = NULL;
    if (!slot->has_status)
        error = "another status";
    else if (!is_any && slot->n_received != options.length + (is_grpc ? PREFIX : 0))
        error = "another length";
    else if (is_grpc && !slot->has_end)
        error = "no grpc-status 0";
    end_stream(connection, slot, error);
}

static void on_fields_end(struct h2 *h2, uint32_t stream, bool is_last)
{
    struct connection *connection = container_of(h2, struct connection, h2);
    struct slot *slot = slot_of(connection, stream);
    if (slot->stream == stream && is_last)
        check_end(connection, slot);
}

/* The backend's pattern; a gRPC message has its prefix before it. */
static bool is_as_expected(const struct slot *slot, const uint8_t *bytes, size_t size)
{
    size_t skipped = is_grpc ? PREFIX : 0;
    for (size_t i = 0; i < size; i++) {
        size_t at = slot->n_received + i;
        if (at >= skipped && bytes[i] != 'a' + (at - skipped) % 23)
            return false;
    }
    return true;
}

static void on_data(struct h2 *h2, uint32_t stream, const uint8_t *bytes, size_t size, bool is_last)
{
    struct connection *connection = container_of(h2, struct connection, h2);
    struct slot *slot = slot_of(connection, stream);
    if (slot->stream != stream)
        return;
    if (!connection->is_compared && !is_any && !is_as_expected(slot, bytes, size))
        run_error("an answer has the wrong bytes");
    slot->n_received += size;
    run.n_bytes += size;
    if (is_last)
        check_end(connection, slot);
}

static void on_reset(struct h2 *h2, uint32_t stream, uint32_t code)
{
    struct connection *connection = container_of(h2, struct connection, h2);
    struct slot *slot = slot_of(connection, stream);
    char text[64];
    snprintf(text, sizeof(text), "a stream was reset: %u", code);
    if (slot->stream == stream)
        end_stream(connection, slot, text);
}

static void on_room(struct h2 *h2)
{
    struct connection *connection = container_of(h2, struct connection, h2);
    connection->is_full = false;
    make_dirty(connection); /* settings are acknowledged */
    if (h2->n_streams_max < n_streams)
        refuse("the server takes fewer streams at once");
}

static const struct h2_ops ops = {
    .on_field = on_field,
    .on_fields_end = on_fields_end,
    .on_data = on_data,
    .on_reset = on_reset,
    .on_room = on_room,
};

/* --- phases --- */

static void flush_dirty(void)
{
    while (first_dirty) {
        struct connection *connection = first_dirty;
        first_dirty = connection->next_dirty;
        connection->is_dirty = false;
        if (!h2_flush(&connection->h2))
            refuse(connection->h2.error);
    }
}

/* Starts what may start now, connections in turns; returns when the next is due. */
static uint64_t start_due(uint64_t time)
{
    uint64_t n_passed = 0;
    while (n_passed < options.n_connections && !run_is_over(time) &&
           run.n_started - run.n_done < options.in_flight) {
        uint64_t due = run_due(time);
        if (due > time)
            return due;
        struct connection *connection = &connections[next];
        if (has_room(connection)) {
            start_request(connection, due);
            n_passed = 0;
        }
        if (!has_room(connection)) {
            next = (next + 1) % options.n_connections;
            n_passed++;
        }
    }
    return time + NSEC / 10;
}

static void on_event(void *owner, uint32_t events)
{
    struct connection *connection = owner;
    if (events & EPOLLOUT)
        make_dirty(connection);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !h2_receive(&connection->h2))
        refuse(connection->h2.error);
}

/* --- set-up --- */

static void read_message(struct h2_message *message, const struct request *request)
{
    char *body = h2_read_fields(request->bytes, request->size, &message->head);
    if (!body)
        refuse("a request cannot be read");
    message->body_size = request->size - (size_t)(body - request->bytes);
    message->body = message->body_size ? (uint8_t *)body : NULL;
}

static void open_connection(struct connection *connection, uint64_t number)
{
    int fd = connect_from(0);
    h2_open(&connection->h2, fd, false, &ops);
    connection->last_stream = UINT32_MAX; /* the first is 1 */
    read_message(&connection->message, &options.requests[number % options.n_requests]);
    generator_watch(fd, connection);
    make_dirty(connection);
}

int main(int argc, char **argv)
{
    static const struct number_option own[] = {
        { "--streams", &n_streams },
        { "--grpc", &is_grpc },
        { "--any", &is_any },
        { NULL, NULL },
    };
    options_read(argc, argv, own);
    if (n_streams > N_SLOTS / 2)
        refuse("--streams is too large");
    if (!options.in_flight)
        options.in_flight = options.n_connections * n_streams;

    connections = calloc(options.n_connections, sizeof(*connections));
    if (!connections)
        fail("calloc");
    for (uint64_t i = 0; i < options.n_connections; i++)
        open_connection(&connections[i], i);
    static const struct generator generator = { start_due, flush_dirty, on_event };
    return generator_run(&generator);
}
