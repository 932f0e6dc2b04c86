/* SPDX-License-Identifier: Apache-2.0 */

/* Where OpenSSL is not wanted in every program that links the library. */

#include "client/tls.h"

#include <stdio.h>

#include "client/client.h"

/* NOLINTNEXTLINE(readability-non-const-parameter): as the one with TLS has it */
int tls_shake(struct sarsen_client *client, tls_events *ret_events)
{
    (void)ret_events;
    snprintf(client->problem, sizeof(client->problem), "this library was built without TLS");
    return SARSEN_ETLS;
}

ssize_t tls_send(struct tls *tls, const void *data, size_t size, tls_events *ret_events)
{
    (void)tls;
    (void)data;
    (void)size;
    *ret_events = 0;
    return -1;
}

ssize_t tls_recv(struct tls *tls, void *memory, size_t size, tls_events *ret_events)
{
    (void)tls;
    (void)memory;
    (void)size;
    *ret_events = 0;
    return -1;
}

int tls_is_stale(struct tls *tls)
{
    (void)tls;
    return 1;
}

void tls_close(struct tls *tls)
{
    (void)tls;
}

void tls_free(struct tls *tls)
{
    (void)tls;
}
