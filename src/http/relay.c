/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Room. To receive first and see what the client takes leaves the difference in our memory, once
 * for each slow client. The kernel knows beforehand: the room in the client's socket. Where that
 * is little, poll() decides whether it counts as writable, and when it does not, has the kernel
 * tell once it is.
 *
 * Wake-ups. A fast upstream would wake us for every segment. SO_RCVLOWAT lets the kernel wait
 * until there is a good piece, or all that is left. An upstream that is slower than it seemed is
 * found out after RELAY_PATIENCE, and then heard at every byte.
 */

#include "http/relay.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/connection.h"
#include "http/relay_copy.h"
#include "http/stream.h"

#define SPLICE_MIN 65536u  /* of a body that is left: below, copying is as cheap */
#define PIPE_SIZE 1048576u /* asked for; a pipe has slots, and small segments take one each */
#define GOOD_PIECE 196608u /* what an upstream is waited for */
#define FAST_PIECE 65536u  /* how much at once makes it worth waiting for */
#define MUCH_ROOM 16384u
#define LITTLE_ROOM 4096u /* what is received when there is no telling */

static struct loop *loop_of(const struct http_stream *stream)
{
    return stream->pool->loop;
}

void http_relay(struct http_exchange *exchange, struct http_call *call)
{
    if (unlikely(exchange->wire || call->wire)) {
        http_relay_copy_start(exchange, call);
        return;
    }
    struct exchange *to = exchange_of(exchange);
    struct http_stream *stream = call->stream;
    assert(to->is_responded && stream && stream->state == STREAM_RECEIVING && !stream->relay_to);
    stream->relay_to = to;
    to->relay_from = stream;
}

/* --- the pipe --- */

void relay_pipe_close(struct relay_pipe *pipe)
{
    if (pipe->size > 0) {
        close(pipe->read_fd);
        close(pipe->write_fd);
    }
    pipe->size = 0;
}

/* A pipe of a size that is not granted still works, in smaller pieces. */
static bool pipe_open(struct relay_pipe *pipe)
{
    int fds[2];
    if (pipe->size > 0)
        return true;
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    int size = fcntl(fds[1], F_SETPIPE_SZ, (int)PIPE_SIZE);
    if (size < 0)
        size = fcntl(fds[1], F_GETPIPE_SZ);
    *pipe = (struct relay_pipe){ fds[0], fds[1], size > 0 ? (size_t)size : LITTLE_ROOM };
    return true;
}

/* What the client did not take after all is kept like any other bytes, so that the pipe is free
 * for others. */
static void keep_rest(struct relay_pipe *pipe, struct exchange *to, size_t size)
{
    struct spares *spares = &to->connection->server->spares;
    while (size > 0) {
        ssize_t n = read(pipe->read_fd, fifo_reserve(&to->out.kept, spares, size), size);
        if (n < 0 && errno == EINTR)
            continue;
        assert(n > 0);
        fifo_grow(&to->out.kept, (size_t)n);
        size -= (size_t)n;
    }
}

static void pipe_to_client(struct http_stream *stream, size_t size)
{
    struct relay_pipe *pipe = &stream->pool->pipe;
    struct exchange *to = stream->relay_to;
    to->sent += size;
    while (size > 0) {
        ssize_t n = splice(pipe->read_fd, NULL, to->connection->watch.fd, NULL, size,
                           SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (n > 0) {
            size -= (size_t)n;
            to->sent_at = loop_now(loop_of(stream));
        } else if (n < 0 && (errno == EAGAIN || errno == EINVAL)) {
            to->out.is_blocked = errno == EAGAIN;
            stream->cannot_splice = errno == EINVAL;
            keep_rest(pipe, to, size);
            http_connection_wake(to->connection); /* for what can still leave */
            return;
        } else if (n == 0 || errno != EINTR) {
            relay_pipe_close(pipe); /* with what is in it */
            http_exchange_lose(to);
            return;
        }
    }
}

/* --- room --- */

static void hold(struct http_stream *stream)
{
    struct exchange *to = stream->relay_to;
    stream->is_held = true;
    http_connection_arm(to->connection); /* the client's time runs */
}

/* What is received in small pieces anyway is not worth the question. */
static bool is_worth_asking(const struct http_stream *stream)
{
    return http_relay_splices(stream) || stream->n_received >= LITTLE_ROOM;
}

size_t http_relay_room(struct http_stream *stream)
{
    struct exchange *to = stream->relay_to;
    uint64_t max_buffered = to->connection->server->settings.max_buffered;
    size_t max = max_buffered < INLET_HOT_SIZE ? (size_t)max_buffered : INLET_HOT_SIZE;
    int fd = to->connection->watch.fd;
    if (http_relay_splices(stream))
        http_exchange_push(to); /* what is before it must have left */
    if (to->is_gone || to->out.is_blocked) {
        hold(stream);
        return 0;
    }
    if (!is_worth_asking(stream))
        return LITTLE_ROOM;

    size_t room = socket_room(fd);
    if (room >= MUCH_ROOM && max >= MUCH_ROOM)
        return room < max ? room : max;
    if (socket_is_writable(fd))
        return LITTLE_ROOM;
    to->out.is_blocked = true;
    to->sent_at = loop_now(loop_of(stream));
    hold(stream);
    return 0;
}

void http_relay_resume(struct exchange *exchange)
{
    struct http_stream *stream = exchange->relay_from;
    if (!stream->is_held)
        return;
    stream->is_held = false;
    stream->received_at = loop_now(loop_of(stream)); /* until now it was us */
    http_stream_wake(stream);
}

/* --- moving --- */

void http_relay_data(struct http_stream *stream, struct span data)
{
    http_send(&stream->relay_to->public, data);
}

bool http_relay_splices(const struct http_stream *stream)
{
    return stream->body.framing == HTTP_BODY_LENGTH &&
           (stream->body.left >= SPLICE_MIN || stream->has_spliced) &&
           stream->relay_to->sending == SENDING_LENGTH && !stream->cannot_splice &&
           !stream->in.tls && !stream->relay_to->out.tls && fifo_size(&stream->in.kept) == 0;
}

static void set_low_mark(struct http_stream *stream, uint32_t size)
{
    int value = (int)size;
    if (stream->low_mark == size || stream->upstream->address.any.sa_family == AF_UNIX)
        return;
    IGNORE(setsockopt(stream->watch.fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof(value)),
           "then it wakes us more often");
    stream->low_mark = size;
}

/* The socket is empty: what is worth waking us for next? */
static void wait_for_more(struct http_stream *stream)
{
    uint64_t left = stream->body.left;
    uint32_t piece = left < GOOD_PIECE ? (uint32_t)left : GOOD_PIECE;
    set_low_mark(stream, stream->n_received >= FAST_PIECE ? piece : 1);
    stream->n_received = 0;
}

void http_relay_lose_patience(struct http_stream *stream)
{
    stream->n_received = 0;
    stream->in.is_readable = true;
    set_low_mark(stream, 1);
}

int http_relay_splice(struct http_stream *stream, size_t room)
{
    struct relay_pipe *pipe = &stream->pool->pipe;
    if (!pipe_open(pipe)) {
        stream->cannot_splice = true;
        return RELAY_OK;
    }
    size_t size = room < pipe->size ? room : pipe->size;
    if (stream->body.left < size)
        size = (size_t)stream->body.left;

    ssize_t n;
    do {
        n = splice(stream->watch.fd, NULL, pipe->write_fd, NULL, size,
                   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    } while (n < 0 && errno == EINTR);
    if (n == 0)
        return RELAY_END;
    if (n < 0 && errno == EINVAL) {
        stream->cannot_splice = true;
        return RELAY_OK;
    }
    if (n < 0 && errno != EAGAIN)
        return RELAY_GONE;
    if (n < 0) {
        stream->in.is_readable = false;
        wait_for_more(stream);
        return RELAY_NOTHING;
    }
    stream->has_spliced = true;
    stream->received_at = loop_now(loop_of(stream));
    stream->n_received += (size_t)n;
    stream->body.left -= (uint64_t)n;
    pipe_to_client(stream, (size_t)n);
    return stream->body.left > 0 ? RELAY_OK : RELAY_DONE;
}

/* --- the end --- */

void http_relay_end_stream(struct http_stream *stream)
{
    if (!stream->relay_to)
        return;
    if (!stream->is_closed)
        set_low_mark(stream, 1);
    stream->relay_to->relay_from = NULL;
    stream->relay_to = NULL;
    stream->is_held = false;
}

/* The handler gives the call up, or should; until then nothing more is taken from it. */
void http_relay_end_exchange(struct exchange *exchange)
{
    struct http_stream *stream = exchange->relay_from;
    if (unlikely(exchange->public.relay_from))
        http_relay_copy_end_exchange(&exchange->public);
    if (!stream)
        return;
    http_relay_end_stream(stream);
    stream->is_paused = true;
}
