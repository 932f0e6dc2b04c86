#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * http_relay() where HTTP/1 is not on both sides: what the call brings is sent to the exchange, and
 * the call waits while too much of it does.
 *
 * Private to http. Owns nothing. Threads: the loop's that both sides share. Cost: none of its own;
 * each side copies what it cannot send at once.
 */

#include "http/client.h"
#include "http/server.h"

void http_relay_copy_start(struct http_exchange *exchange, struct http_call *call);

/* Some of the body was received; the call may be over afterwards. */
void http_relay_copy(struct http_call *call, struct span bytes);

/* All that was sent to the exchange has left it: who waits for that is told. */
static inline void http_exchange_tell_drained(struct http_exchange *exchange)
{
    if (unlikely(exchange->relay_from))
        http_call_resume(exchange->relay_from);
    else if (exchange->ops && exchange->ops->on_drained)
        exchange->ops->on_drained(exchange);
}

/* One of the two ends. Idempotent. A call that goes on for nobody waits to be given up. */
static inline void http_relay_copy_end_call(struct http_call *call)
{
    if (likely(!call->relay_to))
        return;
    call->relay_to->relay_from = NULL;
    call->relay_to = NULL;
}
void http_relay_copy_end_exchange(struct http_exchange *exchange);
