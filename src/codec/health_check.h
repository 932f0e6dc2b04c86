#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Health checks as registrations and settings write them: how somebody is asked whether it works,
 * and when what it says counts. The messages of grpc.health.v1 are here too ("health.proto" of the
 * gRPC project). Nobody is asked here.
 *
 * Borrows:  its texts. Threads: any. No allocation.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/span.h"

#define HEALTH_TARGET_MAX 255u
#define HEALTH_METHOD_MAX 16u
#define HEALTH_HEADERS_MAX 4096u
#define HEALTH_BODY_MAX 4096u
#define HEALTH_NAME_MAX 253u

enum health_kind {
    HEALTH_NONE,
    HEALTH_GRPC,  /* grpc.health.v1 */
    HEALTH_TCP,   /* it takes a connection */
    HEALTH_HTTP,  /* a request is answered with a status of these */
    HEALTH_HTTPS, /* the same over TLS, whatever else is spoken to it */
};

struct health_check {
    enum health_kind kind;
    struct span target; /* of gRPC: a service, empty for all of the instance; of HTTP: a path */
    unsigned port;      /* where it is asked; 0: where requests go */
    unsigned first_status, last_status; /* of HTTP */
    unsigned warning_status; /* of HTTP: says neither that it works nor that not; 0: none does */
    struct span method;      /* of HTTP; empty: GET */
    struct span headers;     /* of HTTP: lines that are added, as they are sent */
    struct span body;        /* of HTTP */
    struct span server_name; /* that a certificate must be for; empty: who is asked */
    bool is_tls,
        is_unverified;         /* over TLS, whatever requests are sent over; any certificate does */
    nsec interval, timeout;    /* an interval begins when a check has ended */
    unsigned failures, passes; /* one after the other, until its state changes */
};

/* What is meant where nothing is said. */
extern const struct health_check health_check_standard;

enum health_answer {
    HEALTH_OK,
    HEALTH_INVALID, /* the problem names the member: "health.interval" */
};

#define HEALTH_ACCEPTS                                                                             \
    "one of grpc, tcp, http and https, port, status, interval, timeout, failures and passes"

/* Takes one member, "interval" and "5s". `text` is borrowed. Answers: HEALTH_INVALID. */
int health_check_set(struct health_check *check, struct span member, struct span text,
                     struct problem *problem) MUST_CHECK;

/* Whether all of it together is one that can be asked; HEALTH_NONE is not. Answers:
 * HEALTH_INVALID. */
int health_check_judge(const struct health_check *check, struct problem *problem) MUST_CHECK;

/* Whether it asks over TLS where requests are sent in plain text. */
bool health_needs_tls(const struct health_check *check);

/* Whether the status of an answer is looked at. */
bool health_has_status(enum health_kind kind);

bool health_check_equals(const struct health_check *a, const struct health_check *b);

/* The member that says what is asked: "grpc"; NULL of none. */
const char *health_kind_word(enum health_kind kind);

#define HEALTH_STATUS_MAX 16u
/* "204", or "200-299". */
void health_status_format(const struct health_check *check, char ret_text[HEALTH_STATUS_MAX]);

/* What checks came to lately; whoever asks keeps this. */
struct health_tally {
    unsigned n;
};

/* Counts a check; whether by it the state changes. */
bool health_turns(struct health_tally *tally, const struct health_check *check, bool is_failing,
                  bool has_passed);

/* A HealthCheckRequest for the service with the frame's head before it; returns its size. */
#define HEALTH_REQUEST_MAX (HEALTH_TARGET_MAX + 8u)
size_t health_request_write(struct span service, char ret_bytes[HEALTH_REQUEST_MAX]);

/* Whether a body is a HealthCheckResponse that says SERVING. */
bool health_says_serving(struct span body);
