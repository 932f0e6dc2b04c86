/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <sarsen/sarsen.h>

#include "memory.h"
#include "script.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
#define NO_CONTENT "HTTP/1.1 204 No Content\r\n\r\n"

static sarsen_client *client_at(const char *address)
{
    sarsen_options options = { .size = sizeof(options), .address = address, .token = "secret" };
    sarsen_client *client;
    CHECK_INT(sarsen_client_new(&options, &client), 0);
    return client;
}

TEST(addresses_are_http_or_unix)
{
    static const struct {
        const char *address;
        int r;
    } table[] = {
        { "http://127.0.0.1:7000", 0 },
        { "http://localhost:7000/", 0 },
        { "http://[::1]:7000", 0 },
        { "unix:/run/sarsen/api.sock", 0 },
        { "unix:///run/sarsen/api.sock", 0 },
        { "", SARSEN_EADDRESS },
        { "127.0.0.1:7000", SARSEN_EADDRESS },
        { "https://127.0.0.1:7000", 0 },
        { "https://", SARSEN_EADDRESS },
        { "ftp://127.0.0.1:7000", SARSEN_EADDRESS },
        { "http://", SARSEN_EADDRESS },
        { "http://:7000", SARSEN_EADDRESS },
        { "http://host", SARSEN_EADDRESS },
        { "http://host:", SARSEN_EADDRESS },
        { "http://host:port", SARSEN_EADDRESS },
        { "http://host:70x", SARSEN_EADDRESS },
        { "http://[::1]", SARSEN_EADDRESS },
        { "unix:", SARSEN_EADDRESS },
        { "unix:/123456789/123456789/123456789/123456789/123456789/123456789/123456789/123456789/"
          "123456789/123456789/123456789",
          SARSEN_EADDRESS },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        sarsen_options options = { .size = sizeof(options), .address = table[i].address };
        sarsen_client *client = NULL;
        CHECK_INT(sarsen_client_new(&options, &client), table[i].r);
        CHECK_INT(client != NULL, !table[i].r);
        sarsen_client_free(client);
    }
}

TEST(the_environment_fills_in)
{
    static const struct script_line lines[] = { { OK, true } };
    struct script *script = SCRIPT_START(lines);
    setenv("SARSEN_ADDRESS", script->address, 1);
    setenv("SARSEN_TOKEN", "from-environment", 1);
    sarsen_options options = { .size = sizeof(options) };
    sarsen_client *client;
    CHECK_INT(sarsen_client_new(&options, &client), 0);
    CHECK_INT(sarsen_call(client, "GET", "/v1/health", NULL, NULL), 0);
    script_end(script);
    CHECK(strstr(script->requests[0], "\r\nAuthorization: Bearer from-environment\r\n"));
    sarsen_client_free(client);
    script_free(script);
}

TEST(wrong_arguments_are_refused)
{
    sarsen_client *client = NULL;
    sarsen_options options = { .size = 1 };
    CHECK_INT(sarsen_client_new(NULL, &client), SARSEN_EINVALID);
    CHECK_INT(sarsen_client_new(&options, &client), SARSEN_EINVALID);
    options = (sarsen_options){ .size = sizeof(options), .token = "a\r\nX: b" };
    CHECK_INT(sarsen_client_new(&options, &client), SARSEN_EINVALID);
    options.token = NULL;
    CHECK_INT(sarsen_client_new(&options, NULL), SARSEN_EINVALID);

    client = client_at("http://127.0.0.1:1");
    static const char *const paths[] = { "", "v1", "/v1 /x", "/v1\r\nX: y", "/v1\x7f", NULL };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        CHECK_INT(sarsen_call(client, "GET", paths[i], NULL, NULL), SARSEN_EINVALID);
        CHECK_INT(sarsen_upload(client, paths[i], "", 0, NULL), SARSEN_EINVALID);
    }
    CHECK_INT(sarsen_call(client, "GET /", "/v1", NULL, NULL), SARSEN_EINVALID);
    CHECK_INT(sarsen_call(client, NULL, "/v1", NULL, NULL), SARSEN_EINVALID);
    CHECK_INT(sarsen_heartbeat(client, "", "id"), SARSEN_EINVALID);
    CHECK_INT(sarsen_drain(client, "orders", NULL), SARSEN_EINVALID);
    CHECK_INT(sarsen_explain(client, NULL, NULL, NULL), SARSEN_EINVALID);
    CHECK_INT(sarsen_register(client, NULL), SARSEN_EINVALID);
    sarsen_instance instance = { .size = sizeof(instance), .service = "a", .id = "b" };
    CHECK_INT(sarsen_register(client, &instance), SARSEN_EINVALID);
    instance.address = "\xff";
    CHECK_INT(sarsen_register(client, &instance), SARSEN_EINVALID);
    char longer[4096];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    CHECK_INT(sarsen_heartbeat(client, longer, "id"), SARSEN_EINVALID);
    CHECK_INT(sarsen_explain(client, "acme", longer, NULL), SARSEN_EINVALID);
    sarsen_client_free(client);
    sarsen_client_free(NULL);
}

TEST(an_instance_of_grpc_names_its_services_and_its_check)
{
    static const struct script_line lines[] = { { OK }, { OK } };
    struct script *script = SCRIPT_START(lines);
    sarsen_client *client = client_at(script->address);
    sarsen_instance instance = {
        .size = sizeof(instance),
        .service = "orders",
        .id = "orders-1",
        .address = "127.0.0.1:9012",
        .protocol = "grpc+tls",
        .grpc_services = (const char *const[]){ "a.B", "c.D", NULL },
        .health = (const char *const[]){ "grpc=a.B", "interval=2s", NULL },
        .deregister_after = "30s",
    };
    CHECK_INT(sarsen_register(client, &instance), 0);
    instance.size = offsetof(sarsen_instance, grpc_services); /* as an older header had it */
    CHECK_INT(sarsen_register(client, &instance), 0);
    instance.size = sizeof(instance);
    instance.health = (const char *const[]){ "\xff=1", NULL };
    CHECK_INT(sarsen_register(client, &instance), SARSEN_EINVALID);
    script_end(script);
    CHECK(strstr(script->requests[0],
                 "{\"address\":\"127.0.0.1:9012\",\"protocol\":\"grpc+tls\","
                 "\"deregister_after\":\"30s\",\"grpc_services\":[\"a.B\",\"c.D\"],"
                 "\"health\":{\"grpc\":\"a.B\",\"interval\":\"2s\"}}"));
    CHECK(
        strstr(script->requests[1], "{\"address\":\"127.0.0.1:9012\",\"protocol\":\"grpc+tls\"}"));
    sarsen_client_free(client);
    script_free(script);
}

TEST(calls_are_written_as_the_api_reads_them)
{
    static const struct script_line lines[] = { { OK },         { NO_CONTENT }, { OK },
                                                { NO_CONTENT }, { OK },         { OK } };
    struct script *script = SCRIPT_START(lines);
    sarsen_client *client = client_at(script->address);
    sarsen_instance instance = {
        .size = sizeof(instance),
        .service = "orders",
        .id = "orders 1/\xc3\xa4",
        .address = "127.0.0.1:9012",
        .build = "3.14.2",
        .ttl = "10s",
    };
    CHECK_INT(sarsen_register(client, &instance), 0);
    CHECK_INT(sarsen_heartbeat(client, "orders", "orders-1"), 0);
    CHECK_INT(sarsen_drain(client, "orders", "orders-1"), 0);
    CHECK_INT(sarsen_deregister(client, "orders", "orders-1"), 0);
    sarsen_value *value = NULL;
    CHECK_INT(sarsen_explain(client, "acme", "shop", &value), 0);
    sarsen_value_free(value);
    CHECK_INT(sarsen_upload(client, "/v1/apps/a/releases/1.0.0/files/x", "a\0b", 3, NULL), 0);
    script_end(script);

    CHECK_INT(script->n_connections, 1);
    CHECK(strstr(script->requests[0],
                 "PUT /v1/services/orders/instances/orders%201%2F%C3%A4 HTTP/1.1\r\n"));
    CHECK(strstr(script->requests[0], "Authorization: Bearer secret\r\n"));
    CHECK(strstr(script->requests[0], "Content-Type: application/json\r\n"));
    CHECK(strstr(script->requests[0],
                 "\r\n\r\n{\"address\":\"127.0.0.1:9012\",\"build\":\"3.14.2\",\"ttl\":\"10s\"}"));
    CHECK(strstr(script->requests[1], "POST /v1/services/orders/instances/orders-1:heartbeat "));
    CHECK(strstr(script->requests[1], "Content-Length: 0\r\n"));
    CHECK(strstr(script->requests[2], "POST /v1/services/orders/instances/orders-1:drain "));
    CHECK(strstr(script->requests[3], "DELETE /v1/services/orders/instances/orders-1 "));
    CHECK(strstr(script->requests[4], "GET /v1/customers/acme/explain?app=shop "));
    CHECK(!strstr(script->requests[4], "Content-Length"));
    CHECK(strstr(script->requests[5], "Content-Length: 3\r\n"));
    sarsen_client_free(client);
    script_free(script);
}

TEST(a_refusal_tells_why)
{
    static const struct script_line lines[] = {
        { "HTTP/1.1 409 Conflict\r\nContent-Length: 53\r\n\r\n"
          "{\"title\":\"Conflict\",\"detail\":\"it is needed\",\"n\": 7}  " },
        { "HTTP/1.1 404 Not Found\r\nContent-Length: 21\r\n\r\n{\"title\":\"Not Found\"}" },
        { "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>" },
        { "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n" },
        { OK },
    };
    struct script *script = SCRIPT_START(lines);
    sarsen_client *client = client_at(script->address);
    sarsen_value *value = NULL;
    CHECK_INT(sarsen_call(client, "GET", "/", NULL, &value), SARSEN_EREFUSED);
    CHECK_INT(sarsen_status(client), 409);
    CHECK_STR(sarsen_problem(client), "it is needed");
    CHECK_INT(sarsen_value_number(sarsen_value_get(value, "n")), 7);
    sarsen_value_free(value);
    CHECK_INT(sarsen_heartbeat(client, "orders", "a"), SARSEN_EREFUSED);
    CHECK_INT(sarsen_status(client), 404);
    CHECK_STR(sarsen_problem(client), "Not Found");
    CHECK_INT(sarsen_call(client, "GET", "/", NULL, NULL), SARSEN_EREFUSED);
    CHECK_STR(sarsen_problem(client), "no reason given");
    CHECK_INT(sarsen_call(client, "GET", "/", NULL, NULL), SARSEN_EREFUSED);
    CHECK_INT(sarsen_call(client, "GET", "/", NULL, NULL), 0);
    CHECK_INT(sarsen_status(client), 200);
    CHECK_STR(sarsen_problem(client), "");
    script_end(script);
    sarsen_client_free(client);
    script_free(script);
}

TEST(errors_have_texts)
{
    CHECK_STR(sarsen_strerror(0), "done");
    CHECK_STR(sarsen_strerror(SARSEN_ETIMEOUT), "no answer in time");
    CHECK_STR(sarsen_strerror(-99), "unknown error");
}

/* Makes a client, registers and asks; r of the first that fails. */
static int use_client(const struct client_memory *memory, const char *address)
{
    sarsen_options options = { .size = sizeof(options), .address = address, .token = "t" };
    sarsen_client *client;
    int r = client_new(memory, &options, &client);
    if (r)
        return r;
    sarsen_instance instance = { .size = sizeof(instance),
                                 .service = "orders",
                                 .id = "a",
                                 .address = "127.0.0.1:1",
                                 .build = "1.0.0",
                                 .protocol = "grpc",
                                 .grpc_services = (const char *const[]){ "a.B", NULL },
                                 .health = (const char *const[]){ "grpc=a.B", NULL } };
    sarsen_value *value = NULL;
    r = sarsen_register(client, &instance);
    if (!r)
        r = sarsen_call(client, "GET", "/v1/services", NULL, &value);
    sarsen_value_free(value);
    sarsen_client_free(client);
    return r;
}

#define CHUNKED                                                                                    \
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"                                        \
    "5\r\n{\"a\":\r\n8\r\n[1,2,3]}\r\n0\r\n\r\n"

/* A server for as long as the test asks; it ends with the process. */
static void *serve_for_ever(void *owner)
{
    const struct script *script = owner;
    for (;;) {
        int fd = accept(script->listen_fd, NULL, NULL);
        char text[8192];
        while (script_read(fd, text, sizeof(text), false))
            IGNORE((int)send(fd, CHUNKED, strlen(CHUNKED), MSG_NOSIGNAL), "it may be gone");
        close(fd);
    }
    return NULL;
}

TEST(memory_may_run_out_anywhere)
{
    static const struct script_line none[1];
    struct script *script = script_start(none, 0);
    pthread_t thread;
    pthread_join(script->thread, NULL);
    CHECK_INT(pthread_create(&thread, NULL, serve_for_ever, script), 0);
    pthread_detach(thread);

    struct scarce scarce;
    unsigned n_failed = 0;
    json_n_left = UINT32_MAX;
    for (int r = SARSEN_ENOMEM; r; n_failed++) {
        scarce_init(&scarce, n_failed);
        r = use_client(&scarce.memory, script->address);
        CHECK(r == 0 || r == SARSEN_ENOMEM);
        CHECK_INT(scarce.n_held, 0);
    }
    CHECK(n_failed > 8);

    json_set_alloc_funcs(json_malloc_scarce, free);
    scarce_init(&scarce, UINT32_MAX);
    n_failed = 0;
    for (int r = SARSEN_ENOMEM; r; n_failed++) {
        json_n_left = n_failed;
        r = use_client(&scarce.memory, script->address);
        CHECK(r == 0 || r == SARSEN_ENOMEM || r == SARSEN_EPROTOCOL); /* see value.c */
        CHECK_INT(scarce.n_held, 0);
    }
    CHECK(n_failed > 8);
}
