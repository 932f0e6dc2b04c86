#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The proxied part of a request: contract, build, instance; the call and what becomes of it.
 *
 * An instance that refuses the connection has been sent nothing, so the next one is asked at
 * once. When a connection breaks before any byte of an answer, the request is sent again, if its
 * method allows it: once to another instance, and once, when a kept connection proves closed, to
 * the same one over a new connection. The first bytes of a body are kept for that; a longer body
 * cannot be sent twice, and its request fails.
 *
 * Every request that got as far as a contract is counted (count.h). Asking for one that is offline is
 * an error that counts, so that usage names who is broken.
 *
 * Threads: the worker's. Cost: on the warm path no allocation and no system call but one send and
 * one receive on each side.
 */

#include "gateway/request.h"

/* Forwards to request->service: to that major, or to the one the BOM names. */
void proxy_start(struct request *request, uint32_t major, const struct route_path *path);

/* Forwards to the static upstream of request->route. There is no service behind it, so nobody asks
 * who the customer is, nothing of ours is said of the answer, and nothing is counted. */
void proxy_start_upstream(struct request *request, const struct route_path *path);

/* For a tunnel: the request ends, whole or broken off; and its exchange's on_abort. */
void proxy_end(struct request *request, bool is_whole);
void proxy_abort(struct http_exchange *exchange);
