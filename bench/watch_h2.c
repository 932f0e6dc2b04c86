/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Watchers of etcd over gRPC, one connection each, and what changes under them.
 *
 *   watch_h2 --to HOST:PORT --requests FILE --connections N [--changes FILE] [OPTION VALUE]...
 *
 * The options are those of `watch`; requests and the one change are written as `load_h2` reads
 * them. A watch stays open after its request has ended.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "fanout.h"
#include "h2.h"
#include "measure.h"

#define PREFIX 5u
#define N_ADDRESSES 200u
#define FIELD_CREATED 3u
#define FIELD_EVENTS 11u
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

struct connection {
    struct h2 h2;
    struct h2_message message;
    uint64_t number;
    uint32_t last_stream;
    bool is_change, is_waiting; /* waiting: the server's settings have not come yet */
};

static struct connection *watchers, changer;

static _Noreturn void refuse(const char *why)
{
    fprintf(stderr, "watch_h2: %s\n", why);
    exit(1);
}

static uint64_t read_varint(const uint8_t **at, const uint8_t *end)
{
    uint64_t value = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            break;
    }
    return value;
}

/* How often a message of protobuf has the field; all are numbers or bytes. */
static unsigned count_field(const uint8_t *bytes, size_t size, unsigned field)
{
    const uint8_t *at = bytes, *end = bytes + size;
    unsigned n = 0;
    while (at < end) {
        uint64_t tag = read_varint(&at, end), value = read_varint(&at, end);
        n += tag >> 3 == field;
        if ((tag & 7) == 2)
            at = value < (uint64_t)(end - at) ? at + value : end;
    }
    return n;
}

static void take_message(const struct connection *connection, const uint8_t *bytes, size_t size)
{
    if (count_field(bytes, size, FIELD_CREATED))
        fanout_watches();
    for (unsigned n = count_field(bytes, size, FIELD_EVENTS); n; n--)
        fanout_heard(connection->number);
}

static void on_data(struct h2 *h2, uint32_t stream, const uint8_t *bytes, size_t size, bool is_last)
{
    struct connection *connection = container_of(h2, struct connection, h2);
    (void)stream, (void)is_last;
    while (size >= PREFIX && !connection->is_change) {
        size_t n = (size_t)bytes[1] << 24 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 8 |
                   (size_t)bytes[4];
        if (n > size - PREFIX)
            refuse("a message comes in pieces");
        take_message(connection, bytes + PREFIX, n);
        bytes += PREFIX + n;
        size -= PREFIX + n;
    }
}

static void on_field(struct h2 *h2, uint32_t stream, const nghttp2_nv *field)
{
    (void)h2, (void)stream;
    bool is_status = field->namelen == 11 && memcmp(field->name, "grpc-status", 11) == 0;
    if (is_status && (field->valuelen != 1 || field->value[0] != '0'))
        refuse("another grpc-status than 0");
}

static void on_fields_end(struct h2 *h2, uint32_t stream, bool is_last)
{
    const struct connection *connection = container_of(h2, struct connection, h2);
    (void)stream;
    if (is_last && !connection->is_change)
        refuse("a watch ended");
    if (is_last)
        fanout_answered();
}

static void on_reset(struct h2 *h2, uint32_t stream, uint32_t code)
{
    (void)h2, (void)stream, (void)code;
    refuse("a stream was reset");
}

static void send_message(struct connection *connection)
{
    connection->is_waiting =
        !h2_put(&connection->h2, connection->last_stream + 2, &connection->message);
    connection->last_stream += connection->is_waiting ? 0 : 2;
    if (!h2_flush(&connection->h2))
        refuse(connection->h2.error);
}

static void on_room(struct h2 *h2)
{
    struct connection *connection = container_of(h2, struct connection, h2);
    if (connection->is_waiting)
        send_message(connection);
}

static const struct h2_ops ops = {
    .on_field = on_field,
    .on_fields_end = on_fields_end,
    .on_data = on_data,
    .on_reset = on_reset,
    .on_room = on_room,
};

static void open_connection(struct connection *connection, const struct request *request)
{
    int fd = connect_from((uint32_t)(connection->number % N_ADDRESSES));
    h2_open(&connection->h2, fd, false, &ops);
    connection->last_stream = UINT32_MAX; /* the first is 1 */
    char *body = h2_read_fields(request->bytes, request->size, &connection->message.head);
    if (!body)
        refuse("a request cannot be read");
    connection->message.body = (uint8_t *)body;
    connection->message.body_size = request->size - (size_t)(body - request->bytes);
    generator_watch(fd, connection);
}

static void on_watch(uint64_t number)
{
    struct connection *connection = &watchers[number];
    connection->number = number;
    open_connection(connection, &options.requests[number % options.n_requests]);
    send_message(connection);
}

static void on_change(uint64_t number)
{
    (void)number; /* there is one, and etcd takes the same again as a change */
    if (!changer.is_change) {
        changer.is_change = true;
        open_connection(&changer, &options.changes[0]);
    }
    send_message(&changer);
}

static void on_event(void *owner, uint32_t events)
{
    struct connection *connection = owner;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !h2_receive(&connection->h2))
        refuse(connection->h2.error);
    if (!h2_flush(&connection->h2)) /* acknowledgements */
        refuse(connection->h2.error);
}

int main(int argc, char **argv)
{
    static const struct fanout_ops fanout_ops = { .watch = on_watch, .change = on_change };
    static const struct generator generator = { .start = fanout_start, .on_event = on_event };
    options_read(argc, argv, fanout_options);
    fanout_init(&fanout_ops);
    watchers = calloc(options.n_connections, sizeof(*watchers));
    if (!watchers)
        fail("calloc");
    return generator_run(&generator);
}
