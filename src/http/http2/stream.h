#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A stream of HTTP/2, embedded in what it is there for, and the streams of a session by their ids.
 *
 *   open ──END_STREAM both ways, RST_STREAM either way──► closed, in the session's list `over` until that is told
 *
 * Ids only grow, so few share a place in a table of their lowest bits, and those form a chain. Of
 * those that are closed the last few are remembered: who ended a stream says what may still come
 * on it (RFC 9113 section 5.1).
 *
 * Owns:     the table's memory once it is larger than the first. Borrows: the streams.
 * Threads:  none of its own.
 * Cost:     O(1).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "http/http2/frame.h"

struct http2_stream {
    struct list link;          /* among those that want to send, or that are over */
    struct http2_stream *next; /* that has the same place in the table */
    uint32_t id;               /* 0 before it is opened */
    uint32_t error;            /* that it ended with */
    int32_t send_window;       /* below 0 when the peer made all smaller */
    int32_t receive_window;    /* what the peer may send yet, and */
    int32_t n_taken;           /* how much of what it sent was taken and not given back */
    bool is_open;              /* it is in the table */
    bool has_sent_end, has_received_end;
    bool is_last;        /* the DATA with its END_STREAM has begun to come */
    bool has_peer_reset; /* and `error` is the peer's */
    bool is_sending;     /* it has something to send, and is in that list unless */
    bool is_starved;     /* its own window is shut */
};

#define HTTP2_FIRST_STREAMS 16u
#define HTTP2_ENDED_STREAMS 64u

struct http2_streams {
    struct http2_stream **table;
    uint32_t n, mask;
    struct http2_stream *first[HTTP2_FIRST_STREAMS];
    uint32_t ended[HTTP2_ENDED_STREAMS]; /* twice the id; +1 for those that we ended */
    uint32_t n_ended, forgotten_id;      /* up to this one they may have been forgotten */
};

void http2_streams_init(struct http2_streams *streams);
void http2_streams_fini(struct http2_streams *streams);

/* By its id, which is not there yet. */
void http2_streams_add(struct http2_streams *streams, struct http2_stream *stream);
/* Which is there. */
void http2_streams_remove(struct http2_streams *streams, struct http2_stream *stream);

/* NULL when no stream of that id is open. */
static inline struct http2_stream *http2_streams_find(const struct http2_streams *streams,
                                                      uint32_t id)
{
    struct http2_stream *stream = streams->table[(id >> 1) & streams->mask];
    while (stream && unlikely(stream->id != id))
        stream = stream->next;
    return stream;
}

/* A stream is closed, by an error of ours or otherwise. */
void http2_streams_note_ended(struct http2_streams *streams, uint32_t id, bool is_by_us);

/* The error that the connection ends with for a frame of a client on a stream that is not open and
 * was, or could have been; HTTP2_NO_ERROR when it may come. */
uint32_t http2_streams_judge(struct http2_streams *streams, const struct http2_frame *frame);
