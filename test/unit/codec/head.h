#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Heads as one line of text, for tables of input and verdict.
 *
 * Each input is parsed in a block of exactly its size, so that the address sanitizer sees any byte
 * read too many, and once for each shorter beginning of it: that must be "more", or the very
 * refusal that the whole gets.
 */

#include "check.h"
#include "codec/http1.h"

struct verdict {
    struct http_head head;
    struct http1_error error;
    char *bytes;
    int answer;
};

static const struct http1_limits wide = { .head = 32768, .line = 8192 };

static inline int parse_once(struct span bytes, const char *method,
                             const struct http1_limits *limits, struct verdict *ret_verdict)
{
    free(ret_verdict->bytes);
    ret_verdict->bytes = malloc(bytes.size ? bytes.size : 1);
    if (bytes.size)
        memcpy(ret_verdict->bytes, bytes.data, bytes.size);
    struct span copy = { bytes.size ? ret_verdict->bytes : NULL, bytes.size };
    /* What is not written shows: nothing may depend on what was there before. */
    memset(&ret_verdict->head, 0xa5, sizeof(ret_verdict->head));
    ret_verdict->answer =
        method ? http1_parse_response(copy, span_of(method), limits, &ret_verdict->head,
                                      &ret_verdict->error)
               : http1_parse_request(copy, limits, &ret_verdict->head, &ret_verdict->error);
    return ret_verdict->answer;
}

/* `method` NULL: a request; else a response to that method. The caller frees `bytes`. */
static inline void parse(struct span bytes, const char *method, const struct http1_limits *limits,
                         struct verdict *ret_verdict)
{
    struct verdict part = { 0 };
    parse_once(bytes, method, limits, ret_verdict);
    for (size_t size = 0; size < bytes.size; size++) {
        if (ret_verdict->answer == HTTP1_OK && size >= ret_verdict->head.size)
            break;
        if (parse_once(span_first(bytes, size), method, limits, &part) == HTTP1_MORE)
            continue;
        CHECK_INT(part.answer, HTTP1_BAD);
        CHECK_INT(ret_verdict->answer, HTTP1_BAD);
        CHECK_STR(part.error.text, ret_verdict->error.text);
        CHECK_INT(part.error.status, ret_verdict->error.status);
    }
    free(part.bytes);
}

static inline void describe_framing(const struct http_head *head, char *text, size_t size)
{
    switch (head->framing) {
    case HTTP_BODY_NONE: snprintf(text, size, "none"); return;
    case HTTP_BODY_LENGTH: snprintf(text, size, "length %" PRIu64, head->content_length); return;
    case HTTP_BODY_CHUNKED: snprintf(text, size, "chunked"); return;
    case HTTP_BODY_UNTIL_CLOSE: snprintf(text, size, "until close"); return;
    }
}

/* "more", "400 the method is malformed", "GET /a?b host h:1, 1.1 keep, length 5, expects" or
 * "200 OK, 1.1 close, until close". */
static inline const char *describe(const struct verdict *verdict)
{
    static char text[1024], framing[64];
    static const char *const forms[] = { "", " absolute", " authority", " asterisk" };
    const struct http_head *head = &verdict->head;

    if (verdict->answer == HTTP1_MORE)
        return "more";
    if (verdict->answer == HTTP1_BAD) {
        snprintf(text, sizeof(text), "%u %s", verdict->error.status, verdict->error.text);
        return text;
    }
    describe_framing(head, framing, sizeof(framing));
    const char *keep = head->is_keep_alive ? "keep" : "close";
    if (head->method.size) {
        snprintf(text, sizeof(text), "%.*s %.*s host %.*s%s, 1.%u %s, %s%s%s",
                 SPAN_ARG(head->method), SPAN_ARG(head->path_and_query), SPAN_ARG(head->authority),
                 forms[head->form], head->minor_version, keep, framing,
                 head->expects_continue ? ", expects" : "",
                 head->accepts_trailers ? ", trailers" : "");
    } else {
        snprintf(text, sizeof(text), "%u %.*s, 1.%u %s, %s", head->status, SPAN_ARG(head->reason),
                 head->minor_version, keep, framing);
    }
    return text;
}

/* A row whose input is the whole message. */
static inline void check_request(struct span bytes, const char *want)
{
    struct verdict verdict = { 0 };
    parse(bytes, NULL, &wide, &verdict);
    CHECK_STR(describe(&verdict), want);
    free(verdict.bytes);
}

static inline void check_response(struct span bytes, const char *method, const char *want)
{
    struct verdict verdict = { 0 };
    parse(bytes, method, &wide, &verdict);
    CHECK_STR(describe(&verdict), want);
    free(verdict.bytes);
}
