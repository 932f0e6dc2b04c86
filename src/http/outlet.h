#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What goes out on one socket: sent at once where the kernel takes it, kept where it does not.
 *
 * Small pieces are put in and leave together at the next flush; a large one leaves by reference
 * behind what waits, in one system call. At most one piece of a file may follow everything else.
 *
 * Over TLS all is sealed on its way, a file too, and what was sealed and did not leave waits in the
 * stream of TLS.
 *
 * Owns:     kept bytes, the file's descriptor. Borrows: the spares, the stream of TLS.
 * Threads:  none of its own.
 */

#include <stdbool.h>
#include <stdint.h>

#include "http/fifo.h"
#include "io/tls.h"

#define OUTLET_LARGE 16384u /* from here on a reference is cheaper than a copy */

struct outlet {
    struct fifo kept;
    int file_fd;
    bool is_blocked; /* the kernel said "not now"; the owner clears it at EPOLLOUT */
    bool has_file;
    bool is_special; /* it has a file, or is sealed: asked first, for most have neither */
    uint64_t file_offset, file_left;
    struct tls_stream *tls; /* NULL: in plain text. Borrowed */
};

enum outlet_answer {
    OUTLET_OK,
    OUTLET_GONE,  /* the peer takes nothing any more */
    OUTLET_SHORT, /* the file is shorter than promised */
};

static inline size_t outlet_unsent(const struct outlet *outlet)
{
    size_t size = fifo_size(&outlet->kept);
    if (likely(!outlet->is_special))
        return size;
    size += outlet->has_file ? (size_t)outlet->file_left : 0;
    return outlet->tls ? size + tls_stream_unsent(outlet->tls) : size;
}

/* What goes out is sealed by `tls` from now on. */
static inline void outlet_seal(struct outlet *outlet, struct tls_stream *tls)
{
    outlet->tls = tls;
    outlet->is_special = true;
}

static inline void outlet_put(struct outlet *outlet, struct spares *spares, struct span bytes)
{
    fifo_append(&outlet->kept, spares, bytes);
}

/* Sends what waits, then `bytes` and `tail`, and keeps what does not go. Answers:
 * OUTLET_GONE. */
int outlet_send(struct outlet *outlet, int fd, struct spares *spares, struct span bytes,
                struct span tail) MUST_CHECK;

/* Takes the descriptor. */
void outlet_put_file(struct outlet *outlet, int file_fd, uint64_t offset, uint64_t size);

/* Sends what waits. Answers: OUTLET_GONE, OUTLET_SHORT. */
int outlet_flush(struct outlet *outlet, int fd, struct spares *spares) MUST_CHECK;

/* Drops everything. */
void outlet_fini(struct outlet *outlet, struct spares *spares);
