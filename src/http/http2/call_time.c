/* SPDX-License-Identifier: Apache-2.0 */

#include "http/http2/client.h"
#include "http/stream.h"

nsec http2_call_deadline(const struct http2_call *self)
{
    const struct http_pool_settings *settings = &self->connection->pool->settings;
    nsec at = NSEC_NEVER;
    if (!self->call || self->has_fault)
        return at;
    size_t unsent = fifo_size(&self->out);
    bool is_sent = (self->is_request_done || self->is_expecting) && unsent == 0;
    switch (self->state) {
    case HTTP2_HELD: return self->deadline;
    case HTTP2_AWAITING:
        at = self->deadline;
        if (self->answer_timeout && is_sent)
            at = earlier(at, after(self->sent_at, self->answer_timeout));
        break;
    case HTTP2_RECEIVING:
        if (!self->is_paused && !self->is_ended && !self->is_long && self->is_request_done)
            at = after(self->received_at, settings->stall_timeout);
        break;
    }
    if (unsent > 0)
        at = earlier(at, after(self->sent_at, settings->stall_timeout));
    return at;
}

void http2_call_arm(struct http2_call *self)
{
    const struct http_pool *pool = self->connection->pool;
    const struct http_pool_settings *settings = &pool->settings;
    nsec now = loop_now(pool->loop);
    nsec at = after(now, settings->stall_timeout);
    if (self->state != HTTP2_RECEIVING)
        at = earlier(at, self->deadline);
    if (self->state != HTTP2_RECEIVING && self->answer_timeout)
        at = earlier(at, after(now, self->answer_timeout));
    http2_session_arm(&self->connection->session, at);
}
