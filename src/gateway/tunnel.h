#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tunnels: what becomes of a request whose upgrade the service agreed to, WebSocket above all.
 *
 * Bytes pass both ways as they come, each direction as fast as its taker. Of a WebSocket the frames
 * are followed, so that frames of our own can be put between two of them: a Ping when the client
 * has been quiet (its Pong goes on to the service, which needs not expect it: RFC 6455 section 5.5.3),
 * and Close 1001 to both ends when the worker drains, or nobody has said anything for long.
 *
 *   request ─► service's 101 ─► open ──────────────────► over
 *                                └► closing (1001 sent) ──┘ when both ends are done, or in a moment
 *
 * Owns:     the tunnel, from the request's start to its end. Threads: the worker's.
 */

#include "gateway/request.h"

struct tunnel;

/* Whether the page that a browser opens a WebSocket for may: a page of any site can have it do that,
 * with the cookies of the client (cross-site WebSocket hijacking). Who is no browser says no Origin. */
bool tunnel_is_allowed(const struct request *request);

/* Makes request->tunnel for the upgrade that the head asks for; false when Sec-WebSocket-Key is
 * malformed. */
bool tunnel_prepare(struct request *request);

/* What the service is asked for: message->upgrade, and behind the lines in `out`, which are the
 * message's, the key of a client of HTTP/2, who has none. */
void tunnel_ask(struct request *request, struct http1_out *out, struct http_message *message);

/* The service agreed: so does the answer to the client, with these lines, and the tunnel is open.
 * False when what came is no agreement to what was asked. */
bool tunnel_open(struct request *request, const struct http_head *head, struct http1_out *out);

/* The request ends. Idempotent. */
void tunnel_drop(struct request *request);
