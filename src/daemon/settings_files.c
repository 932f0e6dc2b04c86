/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/settings_files.h"

#include "io/tls.h"

static int check_server(const struct tls_server_settings *settings, struct problem *problem)
{
    struct tls_server *server = NULL;
    if (!settings->n_pairs)
        return 0;
    struct tls_tickets *tickets = tls_tickets_new(clock_system());
    int r = tls_server_new("check", settings, tickets, &server, problem);
    tls_tickets_unref(tickets);
    tls_server_free(server);
    return r;
}

static int check_client(const struct tls_client_settings *settings, struct problem *problem)
{
    struct tls_client *client = NULL;
    int r = tls_client_new(settings, &client, problem);
    tls_client_unref(client);
    return r;
}

int settings_check_files(const struct settings *settings, struct problem *problem)
{
    const struct gateway_settings *gateway = &settings->gateway;
    const struct tls_server_settings api = { .pairs = &settings->api_tls,
                                             .n_pairs = settings->api_tls.certificate ? 1 : 0 };
    int r = check_server(&api, problem);
    for (unsigned i = 0; i < gateway->n_listeners && !r; i++)
        r = check_server(&gateway->listeners[i].tls, problem);
    if (!r)
        r = check_client(&gateway->upstream_tls, problem);
    for (unsigned i = 0; i < gateway->n_routes && !r; i++)
        r = check_client(&gateway->routes[i].upstream_tls, problem);
    return r ? SETTINGS_INVALID : 0;
}
