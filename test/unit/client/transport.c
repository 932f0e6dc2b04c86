/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <sarsen/sarsen.h>

#include "script.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

static sarsen_client *client_at(const char *address, uint32_t timeout_ms)
{
    sarsen_options options = {
        .size = sizeof(options), .address = address, .token = "t", .timeout_ms = timeout_ms
    };
    sarsen_client *client;
    CHECK_INT(sarsen_client_new(&options, &client), 0);
    return client;
}

/* What one answer of the server makes of a GET. */
static int get(const struct script_line *line, char *ret_json, size_t size)
{
    struct script *script = script_start(line, 1);
    sarsen_client *client = client_at(script->address, 0);
    sarsen_value *value = NULL;
    int r = sarsen_call(client, "GET", "/v1/health", NULL, &value);
    char *text = r ? NULL : sarsen_value_json(value);
    snprintf(ret_json, size, "%s", text ? text : "");
    free(text);
    sarsen_value_free(value);
    script_end(script);
    sarsen_client_free(client);
    script_free(script);
    return r;
}

static const char *const whole[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nt\r\n3;x=y\r\nrue\r\n0\r\n\r\n",
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
     "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue"),
};

TEST(bodies_of_every_framing)
{
    char json[64];
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        struct script_line line = { whole[i], false };
        CHECK_INT(get(&line, json, sizeof(json)), 0);
        CHECK_STR(json, "true");
    }
    struct script_line until_close = { "HTTP/1.1 200 OK\r\n\r\ntrue", true };
    CHECK_INT(get(&until_close, json, sizeof(json)), 0);
    CHECK_STR(json, "true");
    struct script_line empty = { "HTTP/1.1 204 No Content\r\n\r\n", false };
    CHECK_INT(get(&empty, json, sizeof(json)), 0);
    CHECK_STR(json, "");
}

TEST(an_answer_cut_anywhere_is_broken)
{
    char json[64];
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        for (size_t size = 1; size < strlen(whole[i]); size++) {
            struct script_line line = { whole[i], true, size };
            CHECK_INT(get(&line, json, sizeof(json)), SARSEN_EBROKEN);
        }
    }
}

TEST(what_is_no_answer_of_the_api_is_refused)
{
    static const char *const answers[] = {
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\ntrue",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\ntrue",
        "HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\ntrue",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ntrue\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrux",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}{}",
    };
    char json[64];
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct script_line line = { answers[i], true };
        CHECK_INT(get(&line, json, sizeof(json)), SARSEN_EPROTOCOL);
    }
}

TEST(a_head_without_end_is_refused)
{
    char *huge = mem_new_array(char, 200001);
    memset(huge, 'x', 200000);
    memcpy(huge, "HTTP/1.1 200 OK\r\nX: ", 20);
    struct script_line line = { huge, true };
    char json[64];
    CHECK_INT(get(&line, json, sizeof(json)), SARSEN_EPROTOCOL);
    free(huge);
}

TEST(a_kept_connection_that_died_is_replaced)
{
    /* Closed after an answer that promised to keep it; also for what is not idempotent, since
     * nothing was sent on the dead one. */
    static const struct script_line lines[] = { { OK, true }, { OK, true }, { OK, true }, { OK } };
    struct script *script = SCRIPT_START(lines);
    sarsen_client *client = client_at(script->address, 0);
    CHECK_INT(sarsen_call(client, "GET", "/1", NULL, NULL), 0);
    CHECK_INT(sarsen_call(client, "POST", "/2", NULL, NULL), 0);
    CHECK_INT(sarsen_call(client, "PUT", "/3", "{}", NULL), 0);
    CHECK_INT(sarsen_call(client, "GET", "/4", NULL, NULL), 0);
    script_end(script);
    CHECK_INT(script->n_connections, 4);
    sarsen_client_free(client);
    script_free(script);
}

TEST(a_request_that_may_have_arrived_is_repeated_only_when_idempotent)
{
    /* The second request of a connection is taken and not answered. */
    static const struct script_line gets[] = { { OK }, { NULL, true }, { OK } };
    struct script *script = SCRIPT_START(gets);
    sarsen_client *client = client_at(script->address, 0);
    CHECK_INT(sarsen_call(client, "GET", "/1", NULL, NULL), 0);
    CHECK_INT(sarsen_call(client, "GET", "/2", NULL, NULL), 0);
    script_end(script);
    CHECK(strncmp(script->requests[1], "GET /2 ", 7) == 0);
    CHECK(strncmp(script->requests[2], "GET /2 ", 7) == 0);
    sarsen_client_free(client);
    script_free(script);

    static const struct script_line posts[] = { { OK }, { NULL, true } };
    script = SCRIPT_START(posts);
    client = client_at(script->address, 0);
    CHECK_INT(sarsen_call(client, "GET", "/1", NULL, NULL), 0);
    CHECK_INT(sarsen_call(client, "POST", "/2", NULL, NULL), SARSEN_EBROKEN);
    script_end(script);
    CHECK_INT(script->n_requests, 2);
    sarsen_client_free(client);
    script_free(script);
}

TEST(an_early_refusal_of_a_large_body_is_read)
{
    static const struct script_line lines[] = {
        { "HTTP/1.1 413 Content Too Large\r\nContent-Length: 18\r\n\r\n{\"detail\":\"large\"}",
          true, 0, true },
    };
    struct script *script = SCRIPT_START(lines);
    sarsen_client *client = client_at(script->address, 0);
    size_t size = 64u * 1024 * 1024; /* more than sockets hold */
    char *bytes = mem_new_array(char, size);
    int r = sarsen_upload(client, "/v1/x", bytes, size, NULL);
    /* The kernel may have thrown the answer away with the reset; never is it a success. */
    CHECK(r == SARSEN_EREFUSED || r == SARSEN_EBROKEN);
    if (r == SARSEN_EREFUSED)
        CHECK_STR(sarsen_problem(client), "large");
    script_end(script);
    sarsen_client_free(client);
    script_free(script);
    free(bytes);
}

TEST(the_deadline_is_of_the_whole_call)
{
    static const struct script_line lines[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{" },
    };
    struct script *script = SCRIPT_START(lines);
    /* The listener takes connections into its queue and nobody reads them any more. */
    sarsen_client *client = client_at(script->address, 50);
    int r = sarsen_call(client, "GET", "/", NULL, NULL);
    CHECK(r == SARSEN_ETIMEOUT || r == SARSEN_EBROKEN); /* the script ends with its lines */
    script_end(script);
    CHECK_INT(sarsen_call(client, "GET", "/", NULL, NULL), SARSEN_ETIMEOUT);
    CHECK_INT(sarsen_status(client), 0);
    sarsen_client_free(client);
    script_free(script);
}

TEST(nobody_at_the_address)
{
    static const struct script_line none[1];
    struct script *script = script_start(none, 0);
    char address[sizeof(script->address)];
    strcpy(address, script->address);
    script_end(script);
    script_free(script);
    sarsen_client *client = client_at(address, 0);
    CHECK_INT(sarsen_call(client, "GET", "/", NULL, NULL), SARSEN_ECONNECT);
    sarsen_client_free(client);
    client = client_at("unix:/no/such/socket", 0);
    CHECK_INT(sarsen_call(client, "GET", "/", NULL, NULL), SARSEN_ECONNECT);
    sarsen_client_free(client);
}
