/* SPDX-License-Identifier: Apache-2.0 */

#include "http/http2/session.h"

#include <assert.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#define FLUSHES_PER_RUN 4u
#define HPACK_TABLE 4096u
#define LINGER_TIME (2 * NSEC_PER_SEC)
#define LINGER_RATE 1024u  /* bytes a second that it has to take of what waits, at least */
#define LINGER_MAX 262144u /* bytes that are read and dropped meanwhile */

/* Whether no more frames come of it. */
static bool is_over(const struct http2_session *session)
{
    return session->is_gone || session->is_lingering || session->is_closed;
}

bool http2_session_note(struct http2_session *session, enum http2_offence offence)
{
    struct http2_side *side = session->side;
    if (session->is_ending)
        return true;
    side->counts.offences[offence]++;
    if (likely(http2_abuse_note(&session->abuse, offence, side->limits, loop_now(side->loop))))
        return true;
    session->offence = (uint8_t)(offence + 1);
    http2_session_end(session, HTTP2_ENHANCE_YOUR_CALM);
    return false;
}

bool http2_session_is_idle(const struct http2_session *session, uint32_t id)
{
    return !(id & 1) || id > session->last_id; /* servers begin none */
}

/* --- ends --- */

void http2_session_end(struct http2_session *session, uint32_t error)
{
    if (session->is_ending || is_over(session))
        return;
    session->is_ending = true;
    session->error = error;
    http2_session_wake(session);
}

static void lose(struct http2_session *session)
{
    session->is_gone = session->is_mute = true;
    http2_session_wake(session);
}

static void tell_lost(struct http2_session *session)
{
    if (session->is_told)
        return;
    session->is_told = true;
    session->side->ops->on_lost(session);
}

void http2_session_close(struct http2_session *session)
{
    if (session->is_closed)
        return;
    session->is_closed = session->is_mute = true;
    watch_remove(&session->watch);
    close(session->watch.fd);
    timer_stop(&session->timer);
    task_cancel(&session->task);
    inlet_fini(&session->in, session->side->spares);
    outlet_fini(&session->out, session->side->spares);
    fifo_clear(&session->reading.block, session->side->spares);
}

void http2_session_fini(struct http2_session *session)
{
    assert(session->is_closed && !session->is_inside);
    hpack_decoder_fini(&session->decoder);
    hpack_encoder_fini(&session->encoder);
    http2_streams_fini(&session->streams);
    session->in.tls = tls_stream_free(session->in.tls);
}

static void flush_outlet(struct http2_session *session)
{
    size_t before = outlet_unsent(&session->out);
    if (before == 0 || session->out.is_blocked)
        return;
    session->tail = NULL;
    if (outlet_flush(&session->out, session->watch.fd, session->side->spares))
        lose(session);
    size_t after = outlet_unsent(&session->out);
    if (after < before)
        session->sent_at = loop_now(session->side->loop);
    session->n_sent += before - after;
}

/* Everything was said. Closing on unread bytes would have the kernel reset the connection, and the
 * peer would not learn why. */
static void linger(struct http2_session *session)
{
    nsec now = loop_now(session->side->loop);
    if (!session->is_lingering) {
        session->is_lingering = session->is_mute = true;
        session->linger_until = now + LINGER_TIME;
        /* The end of an answer may be among what a slow client has not taken. */
        if (session->error == HTTP2_NO_ERROR)
            session->linger_until += outlet_unsent(&session->out) / LINGER_RATE * NSEC_PER_SEC;
        http2_session_arm(session, session->linger_until);
        tell_lost(session);
    }
    if (session->is_closed || session->is_gone)
        return;
    flush_outlet(session);
    if (!session->is_shut && outlet_unsent(&session->out) == 0) {
        session->is_shut = true;
        if (session->in.tls)
            tls_stream_close(session->in.tls);
        shutdown(session->watch.fd, SHUT_WR);
        session->linger_until = now + LINGER_TIME;
        http2_session_arm(session, session->linger_until);
    }
}

/* --- what comes in --- */

static void use(struct http2_session *session, struct span bytes)
{
    size_t n_used = http2_receive(session, bytes);
    inlet_settle(&session->in, session->side->spares, bytes, n_used);
}

void http2_session_receive(struct http2_session *session, struct span bytes)
{
    if (bytes.size > 0 && !session->is_ending && !is_over(session))
        use(session, bytes);
    http2_session_wake(session);
}

static bool takes_input(const struct http2_session *session)
{
    if (session->is_closed || session->is_gone || !session->in.is_readable)
        return false;
    return session->is_lingering ||
           (!session->is_ending && outlet_unsent(&session->out) < HTTP2_FLUSH_SIZE);
}

static void take(struct http2_session *session, struct span bytes)
{
    if (!session->is_lingering) {
        session->received_at = loop_now(session->side->loop);
        use(session, bytes);
        return;
    }
    inlet_settle(&session->in, session->side->spares, bytes, bytes.size);
    session->n_dropped += (uint32_t)bytes.size;
    if (session->n_dropped > LINGER_MAX)
        lose(session);
}

static void receive(struct http2_session *session)
{
    struct http2_side *side = session->side;
    for (unsigned n = 0; takes_input(session); n++) {
        struct span bytes;
        if (n == READS_PER_RUN) {
            http2_session_wake(session);
            return;
        }
        switch (inlet_receive(&session->in, session->watch.fd, side->hot, INLET_RECEIVE_SIZE,
                              side->spares, &bytes)) {
        case INLET_BYTES: take(session, bytes); break;
        case INLET_END:
        case INLET_GONE: lose(session); return;
        default: return;
        }
    }
}

/* --- what goes out --- */

/* True when there is more that could leave. */
static bool flush_once(struct http2_session *session)
{
    if (!session->out.is_blocked && session->has_more && !session->is_ending)
        http2_send_bodies(session);
    http2_session_reap(session);
    if (!session->is_gone)
        flush_outlet(session);
    if (session->is_gone || session->is_ending)
        return false;
    session->side->ops->on_flushed(session);
    return !session->out.is_blocked && !session->is_closed &&
           (session->has_more || outlet_unsent(&session->out) > 0 ||
            !list_is_empty(&session->over));
}

/* The last that is said, once. */
static void say_end(struct http2_session *session)
{
    if (session->is_mute)
        return;
    if (!session->has_said_goaway || session->error != HTTP2_NO_ERROR)
        http2_send_goaway(session, session->error);
    session->is_mute = true;
}

/* Whether the streams it had were all that it will have. */
static bool is_done(const struct http2_session *session)
{
    return (session->has_said_goaway || session->has_heard_goaway) && session->streams.n == 0 &&
           list_is_empty(&session->over);
}

static void flush(struct http2_session *session)
{
    const struct http2_ops *ops = session->side->ops;
    if (ops->on_turn && !session->is_ending)
        ops->on_turn(session);
    unsigned n = 0;
    while (flush_once(session)) {
        if (++n == FLUSHES_PER_RUN) {
            http2_session_wake(session);
            return;
        }
    }
    if (session->is_gone || session->is_closed)
        return;
    if (session->is_ending)
        say_end(session);
    if (session->is_ending || is_done(session))
        linger(session);
}

/* --- the loop --- */

static void run(struct http2_session *session, bool may_flush)
{
    if (session->is_running || session->is_closed)
        return;
    session->is_running = true;
    receive(session);
    if (session->is_lingering && !session->is_gone)
        linger(session);
    else if (may_flush && !session->is_gone && !session->is_closed)
        flush(session);
    session->is_running = false;
    if (!session->is_gone || session->is_closed)
        return;
    tell_lost(session);
    http2_session_close(session);
    session->side->ops->on_closed(session);
}

void http2_session_wake(struct http2_session *session)
{
    if (!session->is_closed)
        task_defer(&session->task, session->side->loop);
}

/* What comes in is answered at the end of the turn, with what others have for this peer. */
static void on_ready(struct watch *watch, uint32_t events)
{
    struct http2_session *session = container_of(watch, struct http2_session, watch);
    inlet_note(&session->in, events);
    if (events & EPOLLOUT)
        session->out.is_blocked = false;
    run(session, false);
    http2_session_wake(session);
}

static void on_run(struct task *task)
{
    run(container_of(task, struct http2_session, task), true);
}

static void on_due(struct timer *timer)
{
    struct http2_session *session = container_of(timer, struct http2_session, timer);
    if (!session->is_lingering) {
        session->side->ops->on_due(session);
        return;
    }
    if (loop_now(session->side->loop) >= session->linger_until)
        lose(session);
    else
        http2_session_arm(session, session->linger_until);
}

void http2_session_arm(struct http2_session *session, nsec at)
{
    if (at == NSEC_NEVER || session->is_closed)
        return;
    if (!timer_is_running(&session->timer) || at < session->timer.node.at)
        timer_start(&session->timer, session->side->loop, at);
}

static void send_beginning(struct http2_session *session, const struct http2_setting_entry *extra,
                           unsigned n_extra)
{
    const struct http2_limits *limits = session->side->limits;
    struct http2_setting_entry entries[8] = {
        { HTTP2_INITIAL_WINDOW_SIZE, limits->stream_window },
        { HTTP2_MAX_HEADER_LIST_SIZE, limits->max_fields_size },
    };
    unsigned n = 2;
    assert(n_extra <= 6);
    for (unsigned i = 0; i < n_extra; i++)
        entries[n++] = extra[i];
    if (!session->side->is_server)
        http2_session_put(session, SPAN(HTTP2_PREFACE));
    http2_send_settings(session, entries, n);
    int32_t more = session->connection_window - session->receive_window;
    if (more > 0)
        http2_send_number(session, HTTP2_WINDOW_UPDATE, 0, (uint32_t)more);
    session->receive_window += more > 0 ? more : 0;
}

static void session_init(struct http2_session *session)
{
    struct http2_side *side = session->side;
    const struct http2_limits *limits = side->limits;
    session->watch.on_ready = on_ready;
    session->timer.on_due = on_due;
    session->task.on_run = on_run;
    list_init(&session->task.link);
    list_init(&session->sending);
    list_init(&session->over);
    http2_streams_init(&session->streams);
    hpack_decoder_init(&session->decoder, HPACK_TABLE);
    hpack_encoder_init(&session->encoder, HPACK_TABLE);
    session->received_at = session->sent_at = loop_now(side->loop);
    session->reading.n_preface = side->is_server ? HTTP2_PREFACE_SIZE : 0;
    session->peer = (struct http2_peer){ HTTP2_WINDOW_FIRST, UINT32_MAX, false };
    session->send_window = session->receive_window = HTTP2_WINDOW_FIRST;
    session->stream_window = (int32_t)limits->stream_window;
    session->connection_window = (int32_t)limits->connection_window;
    session->max_streams = limits->max_streams;
}

bool http2_session_open(struct http2_session *session, const struct http2_setting_entry *extra,
                        unsigned n_extra)
{
    session_init(session);
    uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP;
    if (watch_add(&session->watch, session->side->loop, session->watch.fd, events)) {
        http2_session_close(session);
        return false;
    }
    send_beginning(session, extra, n_extra);
    http2_session_wake(session);
    return true;
}
