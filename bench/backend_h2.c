/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A gRPC service behind the proxies of the bench: every unary call is answered with one message
 * of the same size, and grpc-status 0 in trailers.
 *
 *   backend_h2 PORT SIZE     0 takes a free port; prints "port N" and serves until its input ends
 *
 * What a proxy gets wrong (no `te: trailers`, another content type, a message whose length is not
 * what its prefix says) resets the stream, and the load generator counts it as an error. Answers
 * of one turn of the loop leave together.
 */

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "h2.h"
#include "serve.h"

#define N_CALLS 1024u /* at once on one connection */
#define PREFIX 5u     /* of a message: a flag, and its size */
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

enum {
    HAS_PATH = 1u << 0,
    HAS_TYPE = 1u << 1,
    HAS_TE = 1u << 2,
    HAS_ALL = (1u << 3) - 1
};

/* A call whose message is not whole. */
struct call {
    uint32_t stream;
    size_t n_received, size;
};

struct connection {
    struct h2 h2;
    unsigned seen; /* fields of the head that is being read */
    struct call calls[N_CALLS];
    /* Streams whose answers wait for the window. */
    uint32_t *held;
    size_t n_held, held_size;
};

static struct h2_message answer;

static void make_answer(size_t size)
{
    static char head[] =
        ":status: 200\r\ncontent-type: application/grpc\r\n"
        "grpc-accept-encoding: identity,deflate,gzip\r\n\r\n";
    static char trailers[] = "grpc-status: 0\r\n\r\n";
    uint8_t *body = calloc(1, PREFIX + size);
    if (!body || !h2_read_fields(head, sizeof(head) - 1, &answer.head) ||
        !h2_read_fields(trailers, sizeof(trailers) - 1, &answer.trailers))
        fail("the answer");
    uint32_t length = htonl((uint32_t)size);
    memcpy(body + 1, &length, sizeof(length));
    for (size_t i = 0; i < size; i++)
        body[PREFIX + i] = (uint8_t)('a' + i % 23);
    answer.body = body;
    answer.body_size = PREFIX + size;
}

/* --- calls --- */

static struct call *call_of(struct connection *connection, uint32_t stream)
{
    return &connection->calls[stream / 2 % N_CALLS];
}

static void respond(struct connection *connection, uint32_t stream)
{
    if (connection->n_held == 0 && h2_put(&connection->h2, stream, &answer))
        return;
    if (connection->n_held == connection->held_size) {
        connection->held_size = connection->held_size ? 2 * connection->held_size : 64;
        connection->held =
            realloc(connection->held, connection->held_size * sizeof(*connection->held));
        if (!connection->held)
            fail("realloc");
    }
    connection->held[connection->n_held++] = stream;
}

static bool is_field(const nghttp2_nv *field, const char *name, const char *value)
{
    size_t size = strlen(name);
    return field->namelen == size && memcmp(field->name, name, size) == 0 &&
           field->valuelen >= strlen(value) && memcmp(field->value, value, strlen(value)) == 0;
}

static void on_field(struct h2 *h2, uint32_t stream, const nghttp2_nv *field)
{
    struct connection *connection = container_of(h2, struct connection, h2);
    (void)stream;
    if (is_field(field, ":path", "/bench."))
        connection->seen |= HAS_PATH;
    else if (is_field(field, "content-type", "application/grpc"))
        connection->seen |= HAS_TYPE;
    else if (is_field(field, "te", "trailers"))
        connection->seen |= HAS_TE;
}

static void on_fields_end(struct h2 *h2, uint32_t stream, bool is_last)
{
    struct connection *connection = container_of(h2, struct connection, h2);
    struct call *call = call_of(connection, stream);
    if (connection->seen != HAS_ALL || is_last || call->stream)
        h2_put_reset(h2, stream, NGHTTP2_PROTOCOL_ERROR);
    else
        *call = (struct call){ .stream = stream };
    connection->seen = 0;
}

static void on_data(struct h2 *h2, uint32_t stream, const uint8_t *bytes, size_t size, bool is_last)
{
    struct connection *connection = container_of(h2, struct connection, h2);
    struct call *call = call_of(connection, stream);
    if (call->stream != stream)
        return; /* it was reset */
    if (call->n_received == 0 && size >= PREFIX) {
        memcpy(&call->size, bytes + 1, 4);
        call->size = PREFIX + ntohl((uint32_t)call->size);
    }
    call->n_received += size;
    if (!is_last)
        return;
    call->stream = 0;
    if (call->n_received == call->size)
        respond(connection, stream);
    else
        h2_put_reset(h2, stream, NGHTTP2_PROTOCOL_ERROR);
}

static void on_reset(struct h2 *h2, uint32_t stream, uint32_t code)
{
    struct call *call = call_of(container_of(h2, struct connection, h2), stream);
    (void)code;
    if (call->stream == stream)
        call->stream = 0;
}

static void on_room(struct h2 *h2)
{
    struct connection *connection = container_of(h2, struct connection, h2);
    size_t n = 0;
    while (n < connection->n_held && h2_put(h2, connection->held[n], &answer))
        n++;
    connection->n_held -= n;
    memmove(connection->held, connection->held + n, connection->n_held * sizeof(uint32_t));
}

static const struct h2_ops ops = {
    .on_field = on_field,
    .on_fields_end = on_fields_end,
    .on_data = on_data,
    .on_reset = on_reset,
    .on_room = on_room,
};

/* --- connections --- */

static void on_ready(void *owner)
{
    struct connection *connection = owner;
    if (h2_receive(&connection->h2) && h2_flush(&connection->h2))
        return;
    h2_close(&connection->h2);
    free(connection->held);
    free(connection);
}

static void *open_connection(int fd)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    if (!connection)
        fail("calloc");
    h2_open(&connection->h2, fd, true, &ops);
    return connection;
}

int main(int argc, char **argv)
{
    static const struct serve_ops serve_ops = { open_connection, on_ready };
    if (argc != 3) {
        fprintf(stderr, "backend_h2: PORT SIZE\n");
        return 2;
    }
    make_answer(strtoul(argv[2], NULL, 10));
    return serve((uint16_t)strtoul(argv[1], NULL, 10), &serve_ops);
}
