#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is different about a request of gRPC. Its status stands behind the body, in the trailers, so
 * whatever the gateway itself has to say is said as a status of gRPC and a message, with the status
 * 200 of HTTP; its deadline is `grpc-timeout`, and shrinks with every hop; a stream of it may be
 * silent for long.
 *
 * A browser's form of it, grpc-web, is translated where the service speaks HTTP/2. One that speaks
 * HTTP/1.1 gets it as it is: it was made for that.
 *
 *   browser ──base64 or bytes──► frames ──────────────────────────────► service
 *           ◄──base64 or bytes── frames and, in a last one, trailers ◄──
 *
 * Threads: the worker's.
 */

#include "gateway/request.h"

/* Looks at the content type; a content type is there. */
void grpc_note(struct request *request);

/* The request is about to be sent on: its deadline is noted, and whether it is translated. False
 * when it was answered, for it cannot be. */
bool grpc_begin(struct request *request);

/* The content type towards the service, where the request is translated. Needs GRPC_TYPE_MAX. */
#define GRPC_TYPE_MAX 96u
struct span grpc_request_type(const struct request *request, char memory[GRPC_TYPE_MAX]);

/* And that of the service's answer towards the browser. */
struct span grpc_answer_type(const struct request *request, const struct http_head *head,
                             char memory[GRPC_TYPE_MAX]);

/* Whether the service's answer is one of gRPC; notes the status where it has no body. When it is
 * none, *ret_status tells what it comes down to. */
bool grpc_is_answer(struct request *request, const struct http_head *head,
                    enum grpc_status *ret_status);

/* Answers by ourselves, before any other answer: a problem of that status of HTTP, or a status. */
void grpc_answer_problem(struct request *request, unsigned http_status, struct span text);
void grpc_answer(struct request *request, enum grpc_status status, struct span text);

/* The service's answer is complete: puts its trailers where the client looks for them. */
void grpc_put_trailers(struct request *request, struct span trailers);

/* The service's answer cannot be completed: puts a status behind what the client got of it. False
 * when it would not be found there. http_finish() is the caller's. */
bool grpc_put_end(struct request *request, enum grpc_status status, const char *text);

/* What a fault comes down to. */
enum grpc_status grpc_status_of_fault(const struct request *request, enum http_fault fault);

/* --- of a request that is translated --- */

/* A piece of the request's body as it is for the service, in at most `capacity` bytes; *rest begins
 * as what came and ends as what is left. False when it is no base64. */
bool grpc_decode(struct request *request, struct span *rest, char *memory, size_t capacity,
                 struct span *ret_bytes);

/* Sends a piece of the answer's body. */
void grpc_send(struct request *request, struct span bytes);
