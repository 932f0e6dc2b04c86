#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What gRPC writes on HTTP/2: content types, times, statuses, messages and frames, and the form
 * that browsers speak, which puts the trailers behind the body and, if need be, all of it in base64
 * ("PROTOCOL-HTTP2.md" and "PROTOCOL-WEB.md" of the gRPC project).
 *
 * Threads: any. No allocation.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/span.h"

enum grpc_kind {
    GRPC_NONE,
    GRPC_PLAIN,
    GRPC_WEB,
    GRPC_WEB_TEXT, /* in base64 */
};

/* Of a content type, with whatever codec and parameters. */
enum grpc_kind grpc_kind_of(struct span content_type);

/* The codec of a content type with its "+", or nothing: "+proto". */
struct span grpc_codec_of(struct span content_type);

enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};

/* A status as it is written; anything that is none is GRPC_UNKNOWN, as clients take it. */
enum grpc_status grpc_status_parse(struct span text);

/* The status among field lines as they stand on the wire; false when there is none. The last one
 * counts. */
bool grpc_status_find(struct span lines, enum grpc_status *ret_status);

/* Whether it is the server that failed, and not what the client asked for. */
bool grpc_is_server_fault(enum grpc_status status);

/* For an answer without a status of gRPC: what HTTP's comes down to. */
enum grpc_status grpc_status_of_http(unsigned status);

/* For a stream that was reset with a code of HTTP/2. */
enum grpc_status grpc_status_of_reset(uint32_t code);

/* "100m", "5S": at most eight digits and a unit. False when it is nothing of the kind. */
bool grpc_timeout_parse(struct span text, nsec *ret_timeout);

/* The same time or, where eight digits cannot tell it, a little less. */
#define GRPC_TIMEOUT_MAX 10u
struct span grpc_timeout_format(nsec timeout, char memory[GRPC_TIMEOUT_MAX]);

/* A message as a field's value: percent-encoded UTF-8. `memory` has 3 bytes for each of the text's. */
struct span grpc_message_encode(struct span text, char *memory);

/* --- frames: a byte of flags, four of size, then so many bytes --- */

#define GRPC_FRAME_HEAD 5u
#define GRPC_FRAME_TRAILERS 0x80u /* of grpc-web: the frame holds field lines */

void grpc_frame_head(uint8_t flags, uint32_t size, char memory[GRPC_FRAME_HEAD]);

/* Where a body stands among its frames, fed with its pieces. */
struct grpc_frames {
    uint32_t left;   /* of the frame's bytes */
    unsigned n_head; /* of the head's bytes that came */
    uint8_t head[GRPC_FRAME_HEAD];
};

void grpc_frames_feed(struct grpc_frames *frames, struct span bytes);

/* Whether the last frame was complete. */
static inline bool grpc_frames_are_whole(const struct grpc_frames *frames)
{
    return frames->n_head == 0 && frames->left == 0;
}

/* --- base64, piece by piece --- */

/* Takes apart what was put together from several encoded pieces, each with its own padding. */
struct base64_in {
    uint32_t bits;
    unsigned n;        /* sextets of the group that came */
    unsigned n_padded; /* "=" of it */
};

/* Writes at most 3/4 of `text` and two more. False for what is no base64. */
bool base64_decode(struct base64_in *in, struct span text, char *out, size_t *ret_size) MUST_CHECK;

/* Whether a group is left unfinished. */
static inline bool base64_is_whole(const struct base64_in *in)
{
    return in->n == 0;
}

/* One piece with its padding; writes BASE64_SIZE(size). */
#define BASE64_SIZE(size) (((size) + 2) / 3 * 4)
size_t base64_encode(struct span bytes, char *out);
