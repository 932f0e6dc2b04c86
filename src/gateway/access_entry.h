#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the access log says of one request, and the JSON line that says it.
 *
 * What is absent is left out. A string holds the bytes that came: printable ASCII as it is, a quote
 * and a backslash behind a backslash, every other byte as \u00XX. So nothing that a client sends
 * can end a string or a line, and a reader that turns the text into Latin-1 has the very bytes.
 * Each string has a limit; what is longer is cut, and the line's member "cut" names it.
 *
 * Secrets never get here: no field of a head is copied but those below, values of query parameters
 * with a secret's name become "***", and the referer loses its user-info.
 *
 * Borrows:  everything in an entry, during the call. Threads: any. No allocation.
 * Cost:     some 1,500 instructions for a line of 600 bytes.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/span.h"
#include "gateway/access_redact.h"
#include "io/socket.h"

#define ACCESS_LINE_MAX 8192u

struct access_entry {
    unix_msec time; /* when the head had come */
    nsec duration;  /* from then to the end of the answer */
    bool is_internal;
    const struct address *peer;
    struct span method, host;
    struct span path, query; /* the canonical path; the query as it came */
    bool has_head;           /* what came could be parsed, so the version is known */
    unsigned minor_version;
    bool is_http2;
    unsigned status; /* 0: nothing was answered */
    bool has_grpc_status;
    unsigned grpc_status;
    uint64_t bytes_in, bytes_out;

    const struct address *upstream; /* the last that was asked; NULL: none */
    nsec upstream_time;             /* until the head of its answer; NSEC_NEVER: none came */
    unsigned n_attempts;

    struct span service, contract, build;
    struct span bom, customer, caller, app, release;
    struct span trace_id, request_id;
    struct span user_agent, referer;
    const char *fault;  /* why the gateway itself answered, or did not; NULL: it did not have to */
    struct span reason; /* the same in a sentence, where there is one; without its newline */
};

/* What one thread keeps from line to line. */
struct access_format {
    int64_t second; /* that the text is of, when there is any */
    char second_text[24];
};

/* Writes the line with its newline; returns its size. */
size_t access_entry_format(struct access_format *format, const struct access_redaction *redaction,
                           const struct access_entry *entry, char ret_line[ACCESS_LINE_MAX]);
