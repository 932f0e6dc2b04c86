/* SPDX-License-Identifier: Apache-2.0 */

/*
 * HTTP/1.1 over a blocking view of one non-blocking socket, with a deadline for each call.
 */

#include "client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client/tls.h"
#include "codec/http1.h"

#define READ_SIZE 65536u

static const struct http1_limits client_limits = { .head = CLIENT_HEAD_MAX,
                                                   .line = CLIENT_HEAD_MAX };

int bytes_add(struct bytes *bytes, const void *data, size_t size)
{
    if (bytes->capacity - bytes->size < size) {
        size_t capacity = bytes->capacity ? bytes->capacity : 4096;
        while (capacity - bytes->size < size)
            capacity *= 2;
        char *grown = bytes->memory->resize(bytes->memory->owner, bytes->data, capacity);
        if (!grown)
            return SARSEN_ENOMEM;
        bytes->data = grown;
        bytes->capacity = capacity;
    }
    if (size)
        memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    return 0;
}

void bytes_fini(struct bytes *bytes)
{
    client_release(bytes->memory, bytes->data);
    *bytes = (struct bytes){ .memory = bytes->memory };
}

void transport_close(struct sarsen_client *client)
{
    tls_close(client->tls);
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
}

/* --- waiting --- */

static int64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static int wait_for(int fd, short events, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline - now_ms();
        if (left <= 0)
            return SARSEN_ETIMEOUT;
        struct pollfd poll_fd = { .fd = fd, .events = events };
        int n = poll(&poll_fd, 1, left > 60000 ? 60000 : (int)left);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return SARSEN_EBROKEN;
    }
}

/* --- connecting --- */

static int finish_connect(int fd, int64_t deadline)
{
    int error = 0;
    socklen_t size = sizeof(error);
    int r = wait_for(fd, POLLOUT, deadline);
    if (r)
        return r;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) || error)
        return SARSEN_ECONNECT;
    return 0;
}

static int connect_to(struct sarsen_client *client, const struct sockaddr *address, socklen_t size,
                      int64_t deadline)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return SARSEN_ECONNECT;
    int r = 0;
    if (connect(fd, address, size) < 0)
        r = errno == EINPROGRESS ? finish_connect(fd, deadline) : SARSEN_ECONNECT;
    if (r) {
        close(fd);
        return r;
    }
    int on = 1;
    if (address->sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    client->fd = fd;
    return 0;
}

static int connect_tcp(struct sarsen_client *client, int64_t deadline)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    if (getaddrinfo(client->host, client->port, &hints, &found))
        return SARSEN_ECONNECT;

    int r = SARSEN_ECONNECT;
    for (const struct addrinfo *at = found; at && r == SARSEN_ECONNECT; at = at->ai_next)
        r = connect_to(client, at->ai_addr, at->ai_addrlen, deadline);
    freeaddrinfo(found);
    return r;
}

/* A connection without TLS where it is wanted must not be left: a call would go out in plain. */
static int connect_tls(struct sarsen_client *client, int64_t deadline)
{
    int r = connect_tcp(client, deadline);
    if (r)
        return r;
    tls_events events;
    while (!r) {
        r = tls_shake(client, &events);
        if (!r)
            r = wait_for(client->fd, events, deadline);
    }
    if (r < 0)
        transport_close(client);
    return r < 0 ? r : 0;
}

static int transport_connect(struct sarsen_client *client, int64_t deadline)
{
    if (client->is_tls)
        return connect_tls(client, deadline);
    if (!client->socket_path)
        return connect_tcp(client, deadline);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path, client->socket_path, strlen(client->socket_path));
    return connect_to(client, (const struct sockaddr *)&address, sizeof(address), deadline);
}

/* --- sending --- */

/* As send(2) and recv(2) of a socket that does not wait; -1 with the events to wait for, or 0 when
 * it is broken. */
static ssize_t send_some(const struct sarsen_client *client, const void *data, size_t size,
                         short *ret_events)
{
    if (client->is_tls)
        return tls_send(client->tls, data, size, ret_events);
    ssize_t n = send(client->fd, data, size, MSG_NOSIGNAL);
    *ret_events = n < 0 && (errno == EAGAIN || errno == EINTR) ? POLLOUT : 0;
    return n;
}

static ssize_t receive_some(const struct sarsen_client *client, void *memory, size_t size,
                            short *ret_events)
{
    if (client->is_tls)
        return tls_recv(client->tls, memory, size, ret_events);
    ssize_t n = recv(client->fd, memory, size, 0);
    *ret_events = n < 0 && (errno == EAGAIN || errno == EINTR) ? POLLIN : 0;
    return n;
}

static int send_all(const struct sarsen_client *client, const char *data, size_t size,
                    int64_t deadline)
{
    while (size) {
        short events;
        ssize_t n = send_some(client, data, size, &events);
        if (n >= 0) {
            data += n;
            size -= (size_t)n;
            continue;
        }
        int r = events ? wait_for(client->fd, events, deadline) : SARSEN_EBROKEN;
        if (r)
            return r;
    }
    return 0;
}

static int send_request(const struct sarsen_client *client, const struct request *request,
                        int64_t deadline)
{
    char memory[8192];
    struct http1_out out = { .data = memory, .capacity = sizeof(memory) };
    http1_put_request_line(&out, span_of(request->method), span_of(request->path));
    http1_put_field(&out, SPAN("Host"),
                    span_of(client->authority ? client->authority : "localhost"));
    if (client->token) {
        http1_put(&out, SPAN("Authorization: Bearer "));
        http1_put(&out, span_of(client->token));
        http1_put(&out, SPAN("\r\n"));
    }
    if (request->content_type) {
        http1_put_field(&out, SPAN("Content-Type"), span_of(request->content_type));
        http1_put_field_uint(&out, SPAN("Content-Length"), request->body_size);
    } else if (strcmp(request->method, "GET") != 0) {
        http1_put_field_uint(&out, SPAN("Content-Length"), 0);
    }
    http1_put_end(&out);
    if (out.is_full)
        return SARSEN_EINVALID;

    int r = send_all(client, out.data, out.size, deadline);
    return r ? r : send_all(client, request->body, request->body_size, deadline);
}

/* --- receiving --- */

/* One more piece from the socket; *ret_size 0 is its end. */
static int receive(const struct sarsen_client *client, char *memory, size_t size, int64_t deadline,
                   size_t *ret_size)
{
    for (;;) {
        short events;
        ssize_t n = receive_some(client, memory, size, &events);
        if (n >= 0) {
            *ret_size = (size_t)n;
            return 0;
        }
        int r = events ? wait_for(client->fd, events, deadline) : SARSEN_EBROKEN;
        if (r)
            return r;
    }
}

struct answer {
    struct http_head head;
    struct bytes received; /* what came, from the head on */
};

static int receive_more(const struct sarsen_client *client, struct bytes *bytes, int64_t deadline,
                        bool *ret_is_end)
{
    char memory[READ_SIZE];
    size_t size = 0;
    int r = receive(client, memory, sizeof(memory), deadline, &size);
    if (r)
        return r;
    *ret_is_end = size == 0;
    return bytes_add(bytes, memory, size);
}

static int receive_head(const struct sarsen_client *client, const struct request *request,
                        struct answer *answer, int64_t deadline)
{
    for (;;) {
        struct http1_error error;
        struct span span = { answer->received.data, answer->received.size };
        int r = span.size ? http1_parse_response(span, span_of(request->method), &client_limits,
                                                 &answer->head, &error)
                          : HTTP1_MORE;
        if (r == HTTP1_OK && answer->head.status >= 200)
            return 0;
        if (r == HTTP1_OK) {
            answer->received.size -= answer->head.size;
            memmove(answer->received.data, answer->received.data + answer->head.size,
                    answer->received.size);
            continue;
        }
        if (r == HTTP1_BAD)
            return SARSEN_EPROTOCOL;

        bool is_end = false;
        r = receive_more(client, &answer->received, deadline, &is_end);
        if (r)
            return r;
        if (is_end)
            return SARSEN_EBROKEN;
    }
}

static int receive_length(const struct sarsen_client *client, const struct answer *answer,
                          struct bytes *body, int64_t deadline)
{
    uint64_t length = answer->head.content_length;
    if (length > CLIENT_BODY_MAX || body->size > length)
        return SARSEN_EPROTOCOL;
    while (body->size < length) {
        bool is_end = false;
        int r = receive_more(client, body, deadline, &is_end);
        if (r)
            return r;
        if (is_end || body->size > length)
            return is_end ? SARSEN_EBROKEN : SARSEN_EPROTOCOL;
    }
    return 0;
}

static int receive_chunked(const struct sarsen_client *client, struct bytes *raw,
                           struct bytes *body, int64_t deadline)
{
    struct http1_chunked chunked = { 0 };
    for (;;) {
        struct span rest = { raw->data, raw->size }, data = SPAN_NULL;
        int r;
        while ((r = http1_chunked_decode(&chunked, &rest, &data)) == HTTP1_CHUNK_DATA ||
               r == HTTP1_CHUNK_TRAILER) {
            if (r == HTTP1_CHUNK_TRAILER)
                continue;
            if (body->size + data.size > CLIENT_BODY_MAX)
                return SARSEN_EPROTOCOL;
            int fault = bytes_add(body, data.data, data.size);
            if (fault)
                return fault;
        }
        if (r == HTTP1_CHUNK_END)
            return 0;
        if (r == HTTP1_CHUNK_BAD)
            return SARSEN_EPROTOCOL;

        bool is_end = false;
        raw->size = 0;
        r = receive_more(client, raw, deadline, &is_end);
        if (r || is_end)
            return r ? r : SARSEN_EBROKEN;
    }
}

static int receive_until_close(const struct sarsen_client *client, struct bytes *body,
                               int64_t deadline)
{
    bool is_end = false;
    while (!is_end) {
        int r = receive_more(client, body, deadline, &is_end);
        if (r)
            return r;
        if (body->size > CLIENT_BODY_MAX)
            return SARSEN_EPROTOCOL;
    }
    return 0;
}

static int receive_body(const struct sarsen_client *client, struct answer *answer,
                        struct bytes *ret_body, int64_t deadline)
{
    const char *start = answer->received.data + answer->head.size;
    size_t size = answer->received.size - answer->head.size;
    struct bytes raw = { .memory = client->memory };
    int r = bytes_add(answer->head.framing == HTTP_BODY_CHUNKED ? &raw : ret_body, start, size);
    if (!r) {
        switch (answer->head.framing) {
        case HTTP_BODY_NONE: break;
        case HTTP_BODY_LENGTH: r = receive_length(client, answer, ret_body, deadline); break;
        case HTTP_BODY_CHUNKED: r = receive_chunked(client, &raw, ret_body, deadline); break;
        case HTTP_BODY_UNTIL_CLOSE: r = receive_until_close(client, ret_body, deadline); break;
        }
    }
    bytes_fini(&raw);
    return r;
}

/* One try. *ret_is_silent: not a byte of an answer came. */
static int exchange(struct sarsen_client *client, const struct request *request,
                    struct bytes *ret_body, int64_t deadline, bool *ret_is_silent)
{
    struct answer *answer = client_alloc(client->memory, sizeof(*answer));
    if (!answer)
        return SARSEN_ENOMEM;

    answer->received.memory = client->memory;
    int sent = send_request(client, request, deadline), r = sent;
    /* A server that wants no more of a body answers and closes: the answer says why. */
    if (!sent || sent == SARSEN_EBROKEN)
        r = receive_head(client, request, answer, deadline);
    *ret_is_silent = answer->received.size == 0;
    if (!r)
        r = receive_body(client, answer, ret_body, deadline);
    if (!r)
        client->status = (int)answer->head.status;
    if (r || sent || !answer->head.is_keep_alive || answer->head.framing == HTTP_BODY_UNTIL_CLOSE)
        transport_close(client);
    bytes_fini(&answer->received);
    client_release(client->memory, answer);
    return r;
}

/* Whether the server has closed the kept connection meanwhile, as it does with one that idles. */
static bool is_stale(const struct sarsen_client *client)
{
    char byte;
    if (client->fd >= 0 && client->is_tls)
        return tls_is_stale(client->tls);
    return client->fd >= 0 && (recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
                               (errno != EAGAIN && errno != EINTR));
}

int transport_call(struct sarsen_client *client, const struct request *request,
                   struct bytes *ret_body)
{
    int64_t deadline = now_ms() + client->timeout_ms;
    if (is_stale(client))
        transport_close(client);
    bool was_kept = client->fd >= 0, is_silent = false;
    int r = was_kept ? 0 : transport_connect(client, deadline);
    if (!r)
        r = exchange(client, request, ret_body, deadline, &is_silent);
    if (r != SARSEN_EBROKEN || !was_kept || !is_silent ||
        !http_is_idempotent(span_of(request->method)))
        return r;

    ret_body->size = 0;
    r = transport_connect(client, deadline);
    return r ? r : exchange(client, request, ret_body, deadline, &is_silent);
}
