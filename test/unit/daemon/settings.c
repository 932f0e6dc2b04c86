/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/settings.h"

#include "check.h"
#include "codec/json.h"

static struct settings *parse(const char *yaml)
{
    struct settings *settings = NULL;
    struct problem problem = { 0 };
    CHECK_INT(settings_parse(span_of(yaml), NULL, &settings, &problem), 0);
    return settings;
}

TEST(defaults_are_those_of_the_table)
{
    struct settings *settings = parse("");
    CHECK_STR(settings->data, ".sarsen");
    CHECK_STR(settings->api_listen, "127.0.0.1:7000");
    CHECK_INT(settings->log_level, LOG_LEVEL_INFO);
    CHECK(!settings->log_is_json && !settings->auth_required);
    CHECK_INT(settings->retire_window, 45 * 86400ll * NSEC_PER_SEC);
    CHECK_INT(settings->drain_grace, 10 * NSEC_PER_SEC);
    CHECK_INT(settings->gateway.answer_timeout, 30 * NSEC_PER_SEC);
    CHECK_INT(settings->gateway.n_listeners, 3);
    CHECK_STR(settings->gateway.listeners[0].text, "127.0.0.1:8000");
    CHECK(!settings->gateway.listeners[0].is_internal);
    CHECK_STR(settings->gateway.listeners[1].text, "127.0.0.1:8001");
    CHECK(settings->gateway.listeners[1].is_internal);
    CHECK_STR(settings->gateway.listeners[2].text, "unix:.sarsen/gateway.sock");
    CHECK(settings->gateway.listeners[2].is_internal);
    CHECK_STR(settings->gateway.blobs, ".sarsen/blobs");
    CHECK_INT(settings->gateway.n_routes, 0);
    settings_free(settings);
}

TEST(each_kind_is_read)
{
    struct settings *settings = parse(
        "data: /d\n"
        "log: { level: debug, format: json }\n"
        "auth: { required: true }\n"
        "gateway:\n"
        "  edge: [ 127.0.0.1:1, '[::1]:2' ]\n"
        "  internal: []\n"
        "  workers: 3\n"
        "  upstream: { answer_timeout: 1500ms }\n"
        "  cookie: { ttl: 1h, secure: true }\n"
        "drain: { grace: 0s }\n");
    CHECK_INT(settings->log_level, LOG_LEVEL_DEBUG);
    CHECK(settings->log_is_json && settings->auth_required);
    CHECK(settings->gateway.is_cookie_secure);
    CHECK_INT(settings->gateway.n_listeners, 3);
    CHECK_STR(settings->gateway.listeners[1].text, "[::1]:2");
    CHECK_STR(settings->gateway.listeners[2].text, "unix:/d/gateway.sock");
    CHECK_INT(settings->gateway.n_workers, 3);
    CHECK_INT(settings->gateway.answer_timeout, 1500 * NSEC_PER_MSEC);
    CHECK_INT(settings->gateway.cookie_ttl, 3600 * NSEC_PER_SEC);
    CHECK_INT(settings->drain_grace, 0);
    settings_free(settings);
}

TEST(an_access_log_goes_to_one_of_many)
{
    static const struct {
        const char *text;
        enum gateway_access_kind kind;
        const char *where;
    } table[] = {
        { "off", ACCESS_OFF, NULL },
        { "stdout", ACCESS_STDOUT, NULL },
        { "/var/log/access.log", ACCESS_FILE, "/var/log/access.log" },
        { "./syslog", ACCESS_FILE, "./syslog" },
        { "syslog", ACCESS_SYSLOG, "unix:/dev/log" },
        { "syslog:unix:/run/log", ACCESS_SYSLOG, "unix:/run/log" },
        { "syslog:192.0.2.1:514", ACCESS_SYSLOG, "192.0.2.1:514" },
        { "syslog:[2001:db8::1]:514", ACCESS_SYSLOG, "[2001:db8::1]:514" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char yaml[160], text[ADDRESS_TEXT_MAX] = "";
        snprintf(yaml, sizeof(yaml), "gateway:\n  access_log: '%s'\n  access_redact: iban\n",
                 table[i].text);
        struct settings *settings = parse(yaml);
        const struct gateway_access *access = &settings->gateway.access;
        CHECK_INT(access->kind, table[i].kind);
        if (access->kind == ACCESS_SYSLOG)
            address_format(&access->address, text);
        CHECK_STR(access->kind == ACCESS_SYSLOG ? text : access->path, table[i].where);
        CHECK_STR(settings->gateway.access_redact, "iban");
        settings_free(settings);
    }

    static const char *const bad[] = {
        "on", "access.log", "syslog:", "syslog:unix:", "syslog:localhost:514", "stderr", ""
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char yaml[160];
        struct settings *settings = NULL;
        struct problem problem = { 0 };
        snprintf(yaml, sizeof(yaml), "gateway:\n  access_log: '%s'\n", bad[i]);
        CHECK_INT(settings_parse(span_of(yaml), NULL, &settings, &problem), SETTINGS_INVALID);
        CHECK_STR(problem.path, "gateway.access_log");
        CHECK_INT(problem.line, 2);
    }
}

TEST(the_command_line_has_the_last_word_on_data)
{
    struct settings *settings = NULL;
    CHECK_INT(settings_parse(SPAN("data: /a"), "/b", &settings, NULL), 0);
    CHECK_STR(settings->data, "/b");
    CHECK_STR(settings->gateway.blobs, "/b/blobs");
    settings_free(settings);
}

TEST(the_gateway_socket_is_there_once)
{
    struct settings *settings =
        parse("data: /d\ngateway: { edge: [], internal: 'unix:/d/gateway.sock' }\n");
    CHECK_INT(settings->gateway.n_listeners, 1);
    settings_free(settings);
}

TEST(routes_are_read_in_their_order)
{
    struct settings *settings = parse(
        "routes:\n"
        "- { match: { host: shop.test, path: /graphql, method: POST }, service: storefront }\n"
        "- { service: other, strip: /x, match: { prefix: /x, header: X-A, value: b } }\n");
    CHECK_INT(settings->gateway.n_routes, 2);
    const struct gateway_route *routes = settings->gateway.routes;
    CHECK_STR(routes[0].host, "shop.test");
    CHECK_STR(routes[0].path, "/graphql");
    CHECK_INT(routes[0].methods.n, 1);
    CHECK_STR(routes[0].methods.texts[0], "POST");
    CHECK_STR(routes[0].service, "storefront");
    CHECK(!routes[0].prefix && !routes[0].strip);
    CHECK_STR(routes[1].prefix, "/x");
    CHECK_STR(routes[1].strip, "/x");
    CHECK_STR(routes[1].header_name, "X-A");
    CHECK_STR(routes[1].header_value, "b");
    settings_free(settings);
}

TEST(limits_are_inclusive)
{
    static const struct {
        const char *yaml;
        int r;
    } table[] = {
        { "gateway: { workers: 0 }", 0 },
        { "gateway: { workers: 256 }", 0 },
        { "gateway: { workers: 257 }", SETTINGS_INVALID },
        { "gateway: { upstream: { connect_timeout: 1ms } }", 0 },
        { "gateway: { upstream: { connect_timeout: 60s } }", 0 },
        { "gateway: { upstream: { connect_timeout: 61s } }", SETTINGS_INVALID },
        { "gateway: { upstream: { connect_timeout: 0s } }", SETTINGS_INVALID },
        { "retire: { window: 3650d }", 0 },
        { "retire: { window: 3651d }", SETTINGS_INVALID },
        { "gateway: { limits: { connections_per_address: 10000000 } }", 0 },
        { "gateway: { limits: { connections_per_address: 10000001 } }", SETTINGS_INVALID },
        { "gateway: { limits: { connections_per_address: 99999999999999999999 } }",
          SETTINGS_INVALID },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct settings *settings = NULL;
        CHECK_INT(settings_parse(span_of(table[i].yaml), NULL, &settings, NULL), table[i].r);
        CHECK_INT(settings != NULL, !table[i].r);
        settings_free(settings);
    }
}

TEST(sizes_have_units)
{
    static const struct {
        const char *text;
        uint64_t size; /* 0 = refused */
    } table[] = {
        { "1024", 1024 },
        { "1KiB", 1024 },
        { "32KiB", 32768 },
        { "1MiB", 1048576 },
        { "1048577", 0 },
        { "1023", 0 },
        { "0", 0 },
        { "2MiB", 0 },
        { "1GiB", 0 },
        { "17592186044416MiB", 0 },
        { "18446744073709551616", 0 },
        { "1KB", 0 },
        { "1kib", 0 },
        { "1 KiB", 0 },
        { "KiB", 0 },
        { "-1", 0 },
        { "1.5MiB", 0 },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char yaml[64];
        snprintf(yaml, sizeof(yaml), "gateway: { limits: { head: %s } }", table[i].text);
        struct settings *settings = NULL;
        int r = settings_parse(span_of(yaml), NULL, &settings, NULL);
        CHECK_INT(r, table[i].size ? 0 : SETTINGS_INVALID);
        CHECK_INT(settings ? settings->gateway.client.limits.head : 0, table[i].size);
        settings_free(settings);
    }
}

TEST(a_size_of_0_is_accepted_where_it_is_standard)
{
    struct settings *settings = parse("gateway: { memory: 0, limits: { body: 0 } }");
    CHECK_INT(settings->memory, 0);
    CHECK_INT(settings->gateway.client.max_body, 0);
    settings_free(settings);
    CHECK_INT(settings_parse(SPAN("gateway: { memory: 1MiB }"), NULL, &settings, NULL),
              SETTINGS_INVALID);
}

/* The table and the rooms say the same of what is standard. */
TEST(limits_are_those_of_the_rooms)
{
    struct settings *settings = parse("");
    const struct http_settings *client = &settings->gateway.client;
    CHECK_INT(client->limits.head, http_settings_default.limits.head);
    CHECK_INT(client->limits.line, http_settings_default.limits.line);
    CHECK_INT(client->limits.fields, http_settings_default.limits.fields);
    CHECK_INT(client->head_timeout, http_settings_default.head_timeout);
    CHECK_INT(client->idle_timeout, http_settings_default.idle_timeout);
    CHECK_INT(client->stall_timeout, http_settings_default.stall_timeout);
    CHECK_INT(client->body_min_rate, http_settings_default.body_min_rate);
    CHECK_INT(client->body_grace, http_settings_default.body_grace);
    CHECK_INT(client->answer_min_rate, http_settings_default.answer_min_rate);
    CHECK_INT(client->max_body, http_settings_default.max_body);
    CHECK_INT(client->max_buffered, http_settings_default.max_buffered);
    CHECK_INT(client->max_requests, http_settings_default.max_requests);
    CHECK_INT(client->max_per_address, 1024);
    const struct http2_limits *http2 = &http_settings_default.http2;
    CHECK(memcmp(&client->http2.resets, &http2->resets, 3 * sizeof(http2->resets)) == 0);
    CHECK_INT(client->http2.max_streams, http2->max_streams);
    CHECK_INT(client->http2.stream_window, http2->stream_window);
    CHECK_INT(client->http2.connection_window, http2->connection_window);
    const struct http_pool_settings *upstream = &settings->gateway.upstream;
    CHECK_INT(upstream->limits.head, http_pool_settings_default.limits.head);
    CHECK_INT(upstream->limits.line, http_pool_settings_default.limits.line);
    CHECK_INT(upstream->connect_timeout, http_pool_settings_default.connect_timeout);
    CHECK_INT(upstream->idle_timeout, http_pool_settings_default.idle_timeout);
    CHECK_INT(upstream->stall_timeout, http_pool_settings_default.stall_timeout);
    CHECK_INT(upstream->max_idle, http_pool_settings_default.max_idle);
    CHECK_INT(upstream->max_connections, http_pool_settings_default.max_connections);
    CHECK_INT(settings->gateway.request_timeout, 0);
    settings_free(settings);
}

TEST(a_problem_names_line_key_found_and_accepted)
{
    struct settings *settings = NULL;
    struct problem problem = { 0 };
    CHECK_INT(
        settings_parse(SPAN("# one\n\ngateway:\n  workers: many\n"), NULL, &settings, &problem),
        SETTINGS_INVALID);
    CHECK_INT(problem.line, 4);
    CHECK_STR(problem.path, "gateway.workers");
    CHECK_STR(problem.text, "is \"many\"; 0 to 256 is accepted");
    CHECK(!settings);
}

/* Whatever stands in the file: an answer, and nothing that leaks. */
TEST(a_file_cut_or_flipped_anywhere_has_an_answer)
{
    static const char text[] =
        "data: /d\nlog: { level: debug }\ngateway:\n  edge: [ 127.0.0.1:1 ]\n"
        "routes:\n- match: { path: /a }\n  service: &x b\n- service: *x\n";
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        for (int flip = 0; flip < 8; flip++) {
            char bytes[sizeof(text)];
            memcpy(bytes, text, sizeof(text));
            bytes[i] = (char)(bytes[i] ^ 1 << flip);
            struct settings *settings = NULL;
            struct problem problem = { 0 };
            int r =
                settings_parse((struct span){ bytes, sizeof(text) - 1 }, NULL, &settings, &problem);
            CHECK(r == 0 || r == SETTINGS_INVALID);
            CHECK(r == 0 || problem.text[0]);
            settings_free(settings);
        }
        struct settings *settings = NULL;
        int r = settings_parse((struct span){ text, i }, NULL, &settings, NULL);
        CHECK(r == 0 || r == SETTINGS_INVALID);
        settings_free(settings);
    }
}

TEST(a_socket_path_must_fit)
{
    char data[200];
    memset(data, 'd', sizeof(data) - 1);
    data[0] = '/';
    data[sizeof(data) - 1] = '\0';
    struct settings *settings = NULL;
    struct problem problem = { 0 };
    CHECK_INT(settings_parse(SPAN_NULL, data, &settings, &problem), SETTINGS_INVALID);
    CHECK_STR(problem.path, "data");
}

TEST(listeners_have_a_limit)
{
    CLEANUP(buf_fini) struct buf yaml = { 0 };
    buf_puts(&yaml, "gateway: { edge: [");
    for (unsigned i = 0; i <= GATEWAY_LISTENERS_MAX; i++)
        buf_printf(&yaml, "127.0.0.1:%u,", i + 1);
    buf_puts(&yaml, "] }");
    struct settings *settings = NULL;
    CHECK_INT(settings_parse(buf_span(&yaml), NULL, &settings, NULL), SETTINGS_INVALID);
}

TEST(an_absent_file_is_told_from_a_bad_one)
{
    struct settings *settings = NULL;
    CHECK_INT(settings_load("/no/such/file", NULL, &settings, NULL), SETTINGS_ABSENT);
    CHECK(settings_load("/", NULL, &settings, NULL) < 0);
    CHECK_INT(settings_load(NULL, NULL, &settings, NULL), 0);
    settings_free(settings);
}
