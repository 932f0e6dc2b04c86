#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Where a request's head lies while its exchange lasts, and what is known of its fields when the
 * next request has the same. Private to the server's files.
 *
 * Owns: the memory of a long head. Threads: none of its own.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "codec/http1.h"
#include "http/server.h"

#define LINE_INLINE 512u    /* of a request line in the exchange itself, */
#define FIELDS_INLINE 2048u /* and of what follows it: nearly all heads fit */
#define HEAD_KEEP_MAX 8192u /* memory for longer ones stays with a spare exchange up to here */

struct request_head {
    uint64_t fields_number;
    size_t fields_size; /* of the field lines in `bytes` that `parsed` came from; 0 = none */
    char *long_head;    /* memory for a head that does not fit below; NULL until there was one */
    size_t long_head_capacity;
    struct http_head parsed;                 /* its spans lie in the bytes below */
    char bytes[LINE_INLINE + FIELDS_INLINE]; /* the field lines begin at LINE_INLINE */
    _Alignas(16) char memo[HTTP_MEMO_SIZE];
};

/* In memory that was not cleared. */
static inline void request_head_init(struct request_head *head)
{
    head->long_head = NULL;
    head->long_head_capacity = 0;
    memset(head->memo, 0, sizeof(head->memo)); /* no number is 0 */
}

static inline void request_head_fini(struct request_head *head)
{
    free(head->long_head);
}

static inline void request_head_forget(struct request_head *head)
{
    head->fields_size = 0;
    head->fields_number = 0;
}

/* Copies the head and parses it; *n_fields_seen numbers the field lines that were not known. Answers
 * as http1_parse_request(). */
int request_head_parse(struct request_head *head, struct span bytes,
                       const struct http1_limits *limits, uint64_t *n_fields_seen,
                       struct http1_error *ret_error) MUST_CHECK;
