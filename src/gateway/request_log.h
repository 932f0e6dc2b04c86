#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the access log is told of requests. Each is told once, when it ends and before its exchange
 * is given back; without an access log that is one branch.
 *
 * Threads: the worker's.
 */

#include "gateway/request.h"

void request_log_write(struct request *request, unsigned status, uint64_t bytes_out);

/* `bytes_out` is the size of the body, which a HEAD does not get. */
static inline void request_log(struct request *request, unsigned status, uint64_t bytes_out)
{
    if (unlikely(request->worker->redaction))
        request_log_write(request, status, bytes_out);
}

/* The client went away, or was sent away for what became of its body. */
void request_log_abort(struct request *request);

/* on_refused of every listener: a request that never became one. */
void request_log_refused(struct http_handler *handler, const struct http_exchange *exchange);
