/* SPDX-License-Identifier: Apache-2.0 */

/* What fails before a server says anything; what servers with certificates get is in
 * test/system/test_client_tls.py. */

#include <sarsen/sarsen.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "io/socket.h"

/* A call at a server that takes connections and says nothing. */
static int call(const char *ca, char *ret_problem, size_t size)
{
    struct address address;
    char text[ADDRESS_TEXT_MAX], url[ADDRESS_TEXT_MAX + 8];
    int listen_fd;
    CHECK_INT(address_parse(SPAN("127.0.0.1:0"), &address), 0);
    CHECK_INT(socket_listen(&address, false, &listen_fd), 0);
    CHECK_INT(socket_address(listen_fd, &address), 0);
    address_format(&address, text);
    snprintf(url, sizeof(url), "https://%s", text);
    sarsen_options options = {
        .size = sizeof(options), .address = url, .ca = ca, .timeout_ms = 100
    };
    sarsen_client *client;
    CHECK_INT(sarsen_client_new(&options, &client), 0);
    int r = sarsen_call(client, "GET", "/v1/health", NULL, NULL);
    snprintf(ret_problem, size, "%s", sarsen_problem(client));
    sarsen_client_free(client);
    close(listen_fd);
    return r;
}

TEST(a_file_that_is_no_ca_is_named)
{
    char problem[512];
    CHECK_INT(call("/nowhere/ca.pem", problem, sizeof(problem)), SARSEN_ETLS);
    CHECK(strstr(problem, "/nowhere/ca.pem cannot be read"));
}

TEST(a_handshake_has_the_time_of_its_call)
{
    char problem[512];
    CHECK_INT(call(NULL, problem, sizeof(problem)), SARSEN_ETIMEOUT);
    CHECK_STR(problem, "");
}

TEST(an_address_needs_its_host_and_port)
{
    sarsen_client *client;
    static const char *const wrong[] = { "https://", "https://x", "https://x:", "https:/x:1" };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        sarsen_options options = { .size = sizeof(options), .address = wrong[i] };
        CHECK_INT(sarsen_client_new(&options, &client), SARSEN_EADDRESS);
    }
    sarsen_options options = { .size = offsetof(sarsen_options, ca), .address = "https://x:1" };
    CHECK_INT(sarsen_client_new(&options, &client), 0); /* as an older header had them */
    sarsen_client_free(client);
}
