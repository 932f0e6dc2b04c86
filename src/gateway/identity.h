#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who is served: the customer of a request, and why we believe it.
 *
 * First hit wins: trusted baggage, Sarsen-Customer from a trusted caller, the signed cookie; else
 * anonymous, known by a device id. On an edge listener the first two are not even looked at.
 *
 * Borrows:  spans point into the head, or into the identity itself, which therefore must not be
 *           moved. Threads: any. No allocation.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/span.h"
#include "codec/baggage.h"
#include "codec/http1.h"
#include "gateway/cookie_cache.h"

#define DEVICE_RANDOM_SIZE 10u

enum identity_source {
    IDENTITY_NOBODY, /* nothing said who it is */
    IDENTITY_BAGGAGE,
    IDENTITY_HEADER,
    IDENTITY_COOKIE,
    IDENTITY_NEW_DEVICE, /* a visitor who came without a valid cookie and gets one */
};

struct identity {
    enum identity_source source;
    struct span customer; /* its id; "~" and the device id when anonymous; empty for nobody */
    struct span device;
    bool is_anonymous;
    struct span bom;  /* trusted: the BOM this request runs under */
    struct span lane; /* trusted */
    bool has_cookie;  /* a valid one */
    struct cookie cookie;
    struct baggage baggage; /* memory of trusted members */
    char anonymous[DEVICE_ID_SIZE + 2];
};

struct identity_context {
    const struct http_head *head;
    const struct cookie_keys *keys;
    struct cookie_cache *cookies;
    unix_msec wall;
    bool is_internal;
};

void identity_read(const struct identity_context *context, struct identity *ret_identity);

/* Makes nobody a new visitor. */
void identity_make_device(struct identity *identity, const uint8_t random[DEVICE_RANDOM_SIZE]);
