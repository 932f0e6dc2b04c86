#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An endpoint: an address that requests are sent to, of an instance or of a static upstream.
 */

#include <stdint.h>

#include "http/client.h"
#include "io/socket.h"

struct endpoint {
    struct address address;
    uint32_t build; /* of the snapshot; NO_INDEX for a static upstream, which has none */
    enum http_protocol protocol;
    const struct tls_client *tls; /* NULL: in plain text */
};
