/* SPDX-License-Identifier: Apache-2.0 */

#include "http/http2/session.h"

#include <assert.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#define READS_PER_RUN 4u /* then it is the others' turn */
#define FLUSHES_PER_RUN 4u
#define FLUSH_SIZE 262144u   /* from here on what was put together leaves before more is */
#define QUEUE_MAX 1000u      /* frames that wait to be sent; above nothing is received */
#define MAX_CONTINUATIONS 4u /* frames of one head beside the first */
#define MAX_SETTINGS 16u     /* in one frame */
#define MAX_ACKS 200u        /* that wait to be sent */
#define LINGER_TIME (2 * NSEC_PER_SEC)
#define LINGER_MAX 262144u /* bytes that are read and dropped meanwhile */

/* Whether nghttp2 has nothing more to do with it. */
static bool is_over(const struct http2_session *session)
{
    return session->is_gone || session->is_lingering || session->is_closed;
}

/* --- what nghttp2 tells --- */

/* False when it was one too many. */
static bool note(struct http2_session *session, enum http2_offence offence)
{
    struct http2_side *side = session->side;
    if (session->is_ending)
        return true;
    side->counts.offences[offence]++;
    if (likely(http2_abuse_note(&session->abuse, offence, side->limits, loop_now(side->loop))))
        return true;
    http2_session_end(session, NGHTTP2_ENHANCE_YOUR_CALM);
    return false;
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *user_data)
{
    struct http2_session *session = http2_session_of(user_data);
    (void)ng;
    if (frame->hd.type == NGHTTP2_DATA && frame->hd.length > 0 &&
        frame->hd.length <= frame->data.padlen && !note(session, HTTP2_GLITCH))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    session->side->ops->on_frame(session, frame);
    return session->is_closed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* nghttp2 ends the stream for it. Where it is no matter of that stream's message the peer cannot
 * be trusted with the others either. */
static int on_invalid_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, int error,
                                 void *user_data)
{
    struct http2_session *session = http2_session_of(user_data);
    (void)ng;
    bool is_message = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    bool is_stream_error = is_message || frame->hd.stream_id == 0 ||
                           error == NGHTTP2_ERR_STREAM_CLOSED || error == NGHTTP2_ERR_FLOW_CONTROL;
    if (!note(session, HTTP2_GLITCH))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (!is_stream_error)
        http2_session_end(session, NGHTTP2_PROTOCOL_ERROR);
    return 0;
}

/* Streams that end for a fault of ours, or because nothing more of them is wanted, are no offence. */
static bool is_own_fault(uint32_t code)
{
    return code == NGHTTP2_NO_ERROR || code == NGHTTP2_REFUSED_STREAM || code == NGHTTP2_CANCEL ||
           code == NGHTTP2_INTERNAL_ERROR;
}

static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *user_data)
{
    struct http2_session *session = http2_session_of(user_data);
    struct http2_counts *counts = &session->side->counts;
    (void)ng;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        http2_abuse_excuse(&session->abuse, 2);
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && session->side->ops->on_end_sent)
            session->side->ops->on_end_sent(session, frame->hd.stream_id);
        break;
    case NGHTTP2_RST_STREAM:
        if (session->side->is_server && !is_own_fault(frame->rst_stream.error_code))
            note(session, HTTP2_OWN_RESET);
        break;
    case NGHTTP2_GOAWAY:
        if (frame->goaway.error_code == NGHTTP2_ENHANCE_YOUR_CALM)
            counts->n_calmed++;
        else if (frame->goaway.error_code != NGHTTP2_NO_ERROR)
            counts->n_broken++;
        break;
    default: break;
    }
    return 0;
}

/* --- the side --- */

void http2_side_init(struct http2_side *side)
{
    http2_slab_init(&side->slab);
    if (nghttp2_session_callbacks_new(&side->callbacks) || nghttp2_option_new(&side->option))
        mem_exhausted(sizeof(*side));

    nghttp2_option *option = side->option;
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_continuations(option, MAX_CONTINUATIONS);
    nghttp2_option_set_max_settings(option, MAX_SETTINGS);
    nghttp2_option_set_max_outbound_ack(option, MAX_ACKS);

    nghttp2_session_callbacks *callbacks = side->callbacks;
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame_recv);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
}

void http2_side_fini(struct http2_side *side)
{
    nghttp2_session_callbacks_del(side->callbacks);
    nghttp2_option_del(side->option);
    http2_slab_fini(&side->slab);
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
    session->is_gone = true;
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
    session->is_closed = true;
    watch_remove(&session->watch);
    close(session->watch.fd);
    timer_stop(&session->timer);
    task_cancel(&session->task);
    inlet_fini(&session->in, session->side->spares);
    outlet_fini(&session->out, session->side->spares);
}

void http2_session_fini(struct http2_session *session)
{
    assert(session->is_closed && !session->is_inside);
    nghttp2_session_del(session->ng);
    session->ng = NULL;
    session->in.tls = tls_stream_free(session->in.tls);
}

static void flush_outlet(struct http2_session *session)
{
    size_t before = outlet_unsent(&session->out);
    if (before == 0 || session->out.is_blocked)
        return;
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
    if (!session->is_lingering) {
        session->is_lingering = true;
        session->linger_until = loop_now(session->side->loop) + LINGER_TIME;
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
    }
}

/* --- what comes in --- */

/* nghttp2 takes all that is given to it, or gives the connection up. */
static void feed(struct http2_session *session, struct span bytes)
{
    if (bytes.size == 0 || session->is_ending)
        return;
    session->is_inside = true;
    ssize_t n = nghttp2_session_mem_recv(session->ng, (const uint8_t *)bytes.data, bytes.size);
    session->is_inside = false;
    session->fed_id = session->last_id;
    session->has_reset = false;
    if (likely(n >= 0))
        return;
    /* It broke off in the middle, so what its own GOAWAY would say is said here. */
    if (n == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
        http2_session_end(session, NGHTTP2_PROTOCOL_ERROR);
    else if (n == NGHTTP2_ERR_FLOODED)
        http2_session_end(session, NGHTTP2_ENHANCE_YOUR_CALM);
    else
        http2_session_end(session, NGHTTP2_INTERNAL_ERROR);
}

/* Whether the stream of a HEADERS, DATA or RST_STREAM may be over, as far as that is known before what came in
 * front of the frame was used. */
static bool is_stray(struct http2_session *session, const struct http2_seen *seen)
{
    if (seen->stream_id > session->last_id) {
        if (seen->type == NGHTTP2_HEADERS)
            session->last_id = seen->stream_id;
        return false;
    }
    if (session->has_reset || seen->type == NGHTTP2_HEADERS)
        return true;
    session->has_reset = seen->type == NGHTTP2_RST_STREAM;
    return seen->stream_id <= session->fed_id &&
           !nghttp2_session_find_stream(session->ng, (int32_t)seen->stream_id);
}

/* The error that the connection ends with for this frame, or NGHTTP2_NO_ERROR. */
static uint32_t judge_stray(struct http2_session *session, const struct http2_seen *seen)
{
    const struct http2_ops *ops = session->side->ops;
    if (nghttp2_session_find_stream(session->ng, (int32_t)seen->stream_id))
        return NGHTTP2_NO_ERROR;
    return ops->on_stray(session, seen);
}

/* nghttp2 does not look at PRIORITY where the server does not. */
static bool is_bad_priority(const struct http2_session *session, const struct http2_seen *seen)
{
    return session->side->is_server && (seen->stream_id == 0 || seen->stream_id == seen->number);
}

static bool is_empty(const struct http2_seen *seen)
{
    return seen->size == 0 && !(seen->flags & (NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_END_HEADERS));
}

/* Looks at a frame; what is in front of it has not been used. */
static void look_at(struct http2_session *session, const struct http2_seen *seen)
{
    bool is_server = session->side->is_server;
    switch (seen->type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
    case NGHTTP2_CONTINUATION:
        if (is_empty(seen))
            break;
        return;
    case NGHTTP2_RST_STREAM:
        if (is_server)
            note(session, HTTP2_RESET);
        return;
    case NGHTTP2_PRIORITY:
        if (is_bad_priority(session, seen)) {
            http2_session_end(session, NGHTTP2_PROTOCOL_ERROR);
            return;
        }
        break;
    case NGHTTP2_WINDOW_UPDATE:
        if (seen->number == 0) {
            http2_session_end(session, NGHTTP2_PROTOCOL_ERROR);
            return;
        }
        break;
    default: break;
    }
    note(session, HTTP2_GLITCH);
}

static void use(struct http2_session *session, struct span bytes)
{
    size_t at = 0, n_fed = 0;
    struct http2_seen seen;
    while (!session->is_ending && http2_scan_next(&session->scan, bytes, &at, &seen)) {
        look_at(session, &seen);
        bool carries = seen.type == NGHTTP2_HEADERS || seen.type == NGHTTP2_DATA ||
                       seen.type == NGHTTP2_RST_STREAM;
        if (!carries || !session->side->ops->on_stray || !is_stray(session, &seen))
            continue;
        size_t n_before = seen.n_before > n_fed ? seen.n_before : n_fed;
        feed(session, span_from(span_first(bytes, n_before), n_fed));
        n_fed = n_before;
        uint32_t error = session->is_ending ? NGHTTP2_NO_ERROR : judge_stray(session, &seen);
        if (error)
            http2_session_end(session, error);
    }
    feed(session, span_from(bytes, n_fed));
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
    if (session->is_lingering)
        return true;
    return !session->is_ending && outlet_unsent(&session->out) < FLUSH_SIZE &&
           nghttp2_session_get_outbound_queue_size(session->ng) < QUEUE_MAX;
}

static void take(struct http2_session *session, struct span bytes)
{
    if (!session->is_lingering) {
        session->received_at = loop_now(session->side->loop);
        use(session, bytes);
        return;
    }
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

/* Has nghttp2 write frames behind what waits, until there is enough. */
static void collect(struct http2_session *session)
{
    session->is_inside = true;
    while (outlet_unsent(&session->out) < FLUSH_SIZE) {
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(session->ng, &data);
        if (n > 0) {
            http2_session_put(session, (struct span){ (const char *)data, (size_t)n });
            continue;
        }
        if (n < 0)
            lose(session);
        break;
    }
    session->is_inside = false;
}

/* True when there is more that could leave. */
static bool flush_once(struct http2_session *session)
{
    if (!session->out.is_blocked)
        collect(session);
    bool is_full = outlet_unsent(&session->out) >= FLUSH_SIZE;
    if (!session->is_gone)
        flush_outlet(session);
    if (session->is_gone || session->is_ending)
        return false;
    session->side->ops->on_flushed(session);
    return !session->out.is_blocked && (is_full || nghttp2_session_want_write(session->ng));
}

static int32_t read_id(const uint8_t *at)
{
    return (int32_t)((at[0] & 0x7fu) << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]);
}

bool http2_session_can_write(const struct http2_session *session)
{
    return !session->is_inside && !session->is_ending && !is_over(session) &&
           outlet_unsent(&session->out) < FLUSH_SIZE;
}

void http2_session_write(struct http2_session *session)
{
    collect(session);
}

/* HEADERS come before all DATA, so little else is written on the way. */
void http2_session_write_head(struct http2_session *session, int32_t stream_id)
{
    nghttp2_frame_hd head = { 0 };
    session->is_inside = true;
    while (head.type != NGHTTP2_HEADERS || head.stream_id != stream_id) {
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(session->ng, &data);
        if (n <= 0) { /* it would be written later, from memory that has gone */
            lose(session);
            break;
        }
        head.type = n > HTTP2_FRAME_HEAD ? data[3] : 0;
        head.stream_id = n > HTTP2_FRAME_HEAD ? read_id(data + 5) : 0;
        http2_session_put(session, (struct span){ (const char *)data, (size_t)n });
    }
    session->is_inside = false;
}

static void flush(struct http2_session *session)
{
    const struct http2_ops *ops = session->side->ops;
    if (ops->on_turn && !session->is_ending)
        ops->on_turn(session);
    if (session->is_ending &&
        nghttp2_session_terminate_session(session->ng, session->error)) /* once is enough */
        lose(session);
    unsigned n = 0;
    while (flush_once(session)) {
        if (++n == FLUSHES_PER_RUN) {
            http2_session_wake(session);
            return;
        }
    }
    bool is_done =
        !nghttp2_session_want_write(session->ng) && !nghttp2_session_want_read(session->ng);
    if (!session->is_gone && (session->is_ending || is_done))
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
    else if (may_flush && !session->is_gone)
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

void http2_session_consume(struct http2_session *session, int32_t stream_id, size_t size)
{
    if (size == 0 || is_over(session))
        return;
    if (nghttp2_session_consume(session->ng, stream_id, size))
        http2_session_end(session, NGHTTP2_INTERNAL_ERROR);
    http2_session_wake(session);
}

static void submit_settings(struct http2_session *session, const nghttp2_settings_entry *extra,
                            unsigned n_extra)
{
    const struct http2_limits *limits = session->side->limits;
    nghttp2_settings_entry entries[8] = {
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->stream_window },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits->max_fields_size },
    };
    unsigned n = 2;
    assert(n_extra <= 6);
    for (unsigned i = 0; i < n_extra; i++)
        entries[n++] = extra[i];
    if (nghttp2_submit_settings(session->ng, NGHTTP2_FLAG_NONE, entries, n) ||
        nghttp2_session_set_local_window_size(session->ng, NGHTTP2_FLAG_NONE, 0,
                                              (int32_t)limits->connection_window))
        http2_session_end(session, NGHTTP2_INTERNAL_ERROR);
}

bool http2_session_open(struct http2_session *session, const nghttp2_settings_entry *extra,
                        unsigned n_extra)
{
    struct http2_side *side = session->side;
    session->watch.on_ready = on_ready;
    session->timer.on_due = on_due;
    session->task.on_run = on_run;
    list_init(&session->task.link);
    session->received_at = session->sent_at = loop_now(side->loop);
    session->scan.left = side->is_server ? HTTP2_PREFACE_SIZE : 0;

    int r = side->is_server ? nghttp2_session_server_new3(&session->ng, side->callbacks, session,
                                                          side->option, &side->slab.mem)
                            : nghttp2_session_client_new3(&session->ng, side->callbacks, session,
                                                          side->option, &side->slab.mem);
    if (r)
        mem_exhausted(sizeof(*session));
    uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP;
    if (watch_add(&session->watch, side->loop, session->watch.fd, events)) {
        http2_session_close(session);
        return false;
    }
    submit_settings(session, extra, n_extra);
    http2_session_wake(session);
    return true;
}
