/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/settings_table.h"

#include <stdio.h>

#include "codec/json.h"
#include "daemon/settings.h"
#include "daemon/settings_listeners.h"
#include "daemon/settings_routes.h"
#include "daemon/settings_rules.h"

#define AT(member) offsetof(struct settings, member)
#define MSECS(n) ((n)*NSEC_PER_MSEC)
#define SECONDS(n) ((n)*NSEC_PER_SEC)
#define DAYS(n) SECONDS((n)*86400ull)
#define KIB(n) ((n)*1024ull)
#define MIB(n) KIB((n)*1024ull)
#define GIB(n) MIB((n)*1024ull)

const struct setting settings_table[] = {
    { "data", KIND_TEXT, AT(data), ".sarsen", 0, 0, "a directory",
      "where everything is kept: store, ledger, files of releases, keys and the token" },
    { "user", KIND_TEXT, AT(user), "", 0, 0, "the name of a user",
      "who a server that root starts becomes when its ports are bound; it then owns the data "
      "directory. Empty: who starts it" },
    { "group", KIND_TEXT, AT(group), "", 0, 0, "the name of a group",
      "the same; empty: the user's" },
    { "sandbox", KIND_CHOICE, AT(sandbox), "auto", 0, 0, "auto, on, off",
      "whether a server limits itself to the files it was configured with (Landlock) and the system "
      "calls that serving takes (seccomp); auto does what the kernel can, on refuses to start "
      "where it cannot. See security.md" },
    { "log.level", KIND_CHOICE, AT(log_level), "info", 0, 0, "debug, info, warn, error",
      "what the program's own log tells" },
    { "log.format", KIND_CHOICE, AT(log_is_json), "logfmt", 0, 0, "logfmt, json",
      "how it is written, to standard error" },
    { "api.listen", KIND_ADDRESS, AT(api_listen), "127.0.0.1:7000", 0, 0,
      "an address such as 127.0.0.1:7000",
      "the management API; it is on a unix socket in the data directory as well. An address that "
      "other hosts reach takes api.tls" },
    { "api.tls.certificate", KIND_TEXT, AT(api_tls.certificate), "", 0, 0, "a PEM file",
      "the certificate of api.listen, with its chain behind it; a new one is taken up within a "
      "second" },
    { "api.tls.key", KIND_TEXT, AT(api_tls.key), "", 0, 0, "a PEM file", "its key" },
    { "api.hosts", KIND_TEXT, AT(api_hosts), "", 0, 0,
      "names with commas between them, such as sarsen.example.com",
      "what Host may say besides the names and addresses of loopback: names that a proxy or a tunnel "
      "in front of the management API goes by" },
    { "auth.required", KIND_BOOL, AT(auth_required), "false", 0, 0, "true, false",
      "whether registration and discovery need the token on loopback too" },
    { "health.networks", KIND_NETWORKS, AT(health_networks), "", 0, 0,
      "networks with commas between them, such as 10.0.0.0/8, fd00::/8",
      "where instances may have themselves checked besides the address that they register from: "
      "whoever may register would else have Sarsen ask anybody" },
    { "registration.rules", KIND_RULES, 0, "", 0, 0, "a list of rules",
      "what registrations by other systems' protocols do not say themselves: versions and protocols, "
      "read from their ids, tags, metadata or addresses. The first rule that holds counts" },
    { "faces.consul", KIND_ADDRESS, AT(consul_listen), "", 0, 0,
      "an address such as 127.0.0.1:8500",
      "the HTTP API of Consul, for services and tools that speak it; empty: it is not served. Whoever "
      "calls from another host needs a token. `sarsen dev` without a config file serves it at "
      "127.0.0.1:8500" },
    { "store.etcd.endpoints", KIND_ENDPOINTS, AT(etcd.endpoints), "", 0, 0,
      "members such as 10.0.0.1:2379 or https://etcd-1:2379, as a list or with commas between them",
      "the etcd (3.4 or later) in which several servers keep what they share; the ledger and files "
      "stay in `data`. Empty: all is kept in `data`. See cluster.md" },
    { "store.etcd.prefix", KIND_TEXT, AT(etcd.prefix), "/sarsen/", 0, 0,
      "visible ASCII that ends with \"/\"",
      "of all keys; servers with the same one are a cluster" },
    { "store.etcd.tls.ca", KIND_TEXT, AT(etcd.tls.ca), "", 0, 0, "a PEM file",
      "the authorities that its members are verified by; the system's where none is given. TLS is "
      "spoken where an endpoint says https:// or one of these is given" },
    { "store.etcd.tls.name", KIND_TEXT, AT(etcd.tls.server_name), "", 0, 0, "a host",
      "the name that is verified; the endpoint's own where none is given" },
    { "store.etcd.tls.certificate", KIND_TEXT, AT(etcd.tls.certificate), "", 0, 0, "a PEM file",
      "what Sarsen shows when they ask for a certificate" },
    { "store.etcd.tls.key", KIND_TEXT, AT(etcd.tls.key), "", 0, 0, "a PEM file", "and its key" },
    { "store.etcd.user", KIND_TEXT, AT(etcd.user), "", 0, 0, "the name of a user of etcd",
      "who signs in; empty: nobody" },
    { "store.etcd.password_file", KIND_TEXT, AT(etcd.password_file), "", 0, 0, "a file",
      "whose first line is the password; others may not read it" },
    { "gateway.edge", KIND_LISTENERS, 0, "127.0.0.1:8000", 0, 0,
      "an address such as 127.0.0.1:8000, a section of a listener, or a list of these",
      "where browsers and the outside arrive; nothing they claim is believed" },
    { "gateway.internal", KIND_LISTENERS, 1, "127.0.0.1:8001", 0, 0,
      "an address such as 127.0.0.1:8000, a section of a listener, or a list of these",
      "where services call each other; their Sarsen-* headers and baggage are believed. "
      "gateway.sock in the data directory is always one" },
    { "gateway.trust_network", KIND_BOOL, AT(trust_network), "false", 0, 0, "true, false",
      "whether gateway.internal may be an address that other hosts reach. Whoever reaches it may "
      "name any customer, so this is for private networks only" },
    { "gateway.workers", KIND_COUNT, AT(gateway.n_workers), "0", 0, 256, "0 to 256",
      "threads that serve requests; 0 is one per core" },
    { "gateway.head_timeout", KIND_DURATION, AT(gateway.client.head_timeout), "10s", MSECS(100),
      SECONDS(3600), "100ms to 1h",
      "until the head of a request is complete, from its first byte; also how long a new connection "
      "may say nothing" },
    { "gateway.idle_timeout", KIND_DURATION, AT(gateway.client.idle_timeout), "60s", SECONDS(1),
      SECONDS(3600), "1s to 1h", "how long a client's connection may stay without a request" },
    { "gateway.stall_timeout", KIND_DURATION, AT(gateway.client.stall_timeout), "30s", MSECS(100),
      SECONDS(3600), "100ms to 1h",
      "how long a request's body may bring nothing, and a client take nothing of an answer" },
    { "gateway.request_timeout", KIND_DURATION, AT(gateway.request_timeout), "0s", 0,
      SECONDS(86400), "0s to 1d",
      "from a request's head to the end of its answer; 0s is no limit, as streams need it" },
    { "gateway.tunnels.idle_timeout", KIND_DURATION, AT(gateway.tunnel_idle_timeout), "1h", 0,
      SECONDS(86400), "0s to 1d",
      "how long nobody may say anything on a stream of gRPC, a WebSocket or another upgraded connection; 0s is no limit" },
    { "gateway.tunnels.origins", KIND_ORIGINS, AT(gateway.origins), "", 0, 0,
      "origins with commas between them, such as https://shop.example.com, https://*.example.com or *",
      "pages that may open a WebSocket from a browser, besides those of the same host" },
    { "gateway.tunnels.ping_interval", KIND_DURATION, AT(gateway.ping_interval), "30s", 0,
      SECONDS(3600), "0s to 1h",
      "after which a quiet client of a WebSocket is sent a Ping, and when it stays quiet for as long "
      "again, given up; 0s is never" },
    { "gateway.limits.head", KIND_SIZE, AT(gateway.client.limits.head), "32KiB", KIB(1), MIB(1),
      "1KiB to 1MiB", "the head of a request" },
    { "gateway.limits.line", KIND_SIZE, AT(gateway.client.limits.line), "8KiB", 256, MIB(1),
      "256 to 1MiB", "one line of it: the request line, or a field" },
    { "gateway.limits.fields", KIND_COUNT, AT(gateway.client.limits.fields), "100", 1,
      HTTP1_MAX_FIELDS, "1 to 100", "field lines of it" },
    { "gateway.limits.body", KIND_SIZE, AT(gateway.client.max_body), "0", 1, UINT64_MAX,
      "0, or a size such as 100MiB", "the body of a request; 0 is no limit" },
    { "gateway.limits.body_rate", KIND_SIZE, AT(gateway.client.body_min_rate), "1KiB", 0, GIB(1),
      "0 to 1GiB", "how much of it must come in a second, on average; 0 is no limit" },
    { "gateway.limits.body_grace", KIND_DURATION, AT(gateway.client.body_grace), "5s", 0,
      SECONDS(3600), "0s to 1h", "how long it may take before that counts" },
    { "gateway.limits.answer_rate", KIND_SIZE, AT(gateway.client.answer_min_rate), "1KiB", 0,
      GIB(1), "0 to 1GiB",
      "how much of an answer a client must take in a second once gateway.stall_timeout has passed "
      "without room for more of it; 0 is anything" },
    { "gateway.limits.buffered", KIND_SIZE, AT(gateway.client.max_buffered), "256KiB", KIB(16),
      MIB(64), "16KiB to 64MiB",
      "what is kept for one connection while who should take it does not; then the other side "
      "waits" },
    { "gateway.limits.requests", KIND_COUNT, AT(gateway.client.max_requests), "100000", 1,
      1000000000, "1 to 1000000000", "requests on one connection; the last answer says close" },
    { "gateway.limits.connections", KIND_COUNT, AT(gateway.client.max_connections), "0", 0,
      10000000, "0 to 10000000",
      "of clients, in all; 0 is what file descriptors leave, which is also the most" },
    { "gateway.limits.connections_per_address", KIND_COUNT, AT(gateway.client.max_per_address),
      "1024", 0, 10000000, "0 to 10000000",
      "of clients with one address (of IPv6 one /64) on edge listeners; 0 is no limit" },
    { "gateway.http2.streams", KIND_COUNT, AT(gateway.client.http2.max_streams), "100", 1, 10000,
      "1 to 10000", "requests of one connection at a time" },
    { "gateway.http2.stream_window", KIND_COUNT, AT(gateway.client.http2.stream_window), "65536",
      16384, 16777216, "16384 to 16777216",
      "bytes of a request's body that may wait for who takes it" },
    { "gateway.http2.connection_window", KIND_COUNT, AT(gateway.client.http2.connection_window),
      "1048576", 65535, 67108864, "65535 to 67108864", "and of all bodies of a connection" },
    { "gateway.http2.resets", KIND_COUNT, AT(gateway.client.http2.resets.burst), "200", 0, 1000000,
      "0 to 1000000",
      "requests that a client may give up at once; the connection of one that goes on ends. 0 is no "
      "limit, as with the next" },
    { "gateway.http2.resets_rate", KIND_COUNT, AT(gateway.client.http2.resets.per_second), "20", 0,
      1000000, "0 to 1000000", "and in a second after that" },
    { "gateway.http2.glitches", KIND_COUNT, AT(gateway.client.http2.glitches.burst), "200", 0,
      1000000, "0 to 1000000",
      "frames that carry nothing (PING, SETTINGS, PRIORITY, empty ones, unknown ones), beside those "
      "that what is sent gives reason for" },
    { "gateway.http2.glitches_rate", KIND_COUNT, AT(gateway.client.http2.glitches.per_second), "20",
      0, 1000000, "0 to 1000000", "and in a second after that" },
    { "gateway.http2.own_resets", KIND_COUNT, AT(gateway.client.http2.own_resets.burst), "100", 0,
      1000000, "0 to 1000000",
      "streams that a client may have us end by what it does wrong on them" },
    { "gateway.http2.own_resets_rate", KIND_COUNT, AT(gateway.client.http2.own_resets.per_second),
      "10", 0, 1000000, "0 to 1000000", "and in a second after that" },
    { "gateway.upstream.connect_timeout", KIND_DURATION, AT(gateway.upstream.connect_timeout), "1s",
      MSECS(1), SECONDS(60), "1ms to 1m", "until a connection to an instance stands" },
    { "gateway.upstream.answer_timeout", KIND_DURATION, AT(gateway.answer_timeout), "30s", MSECS(1),
      SECONDS(3600), "1ms to 1h",
      "until a service's answer begins; a smaller Sarsen-Deadline of a caller wins" },
    { "gateway.upstream.stall_timeout", KIND_DURATION, AT(gateway.upstream.stall_timeout), "60s",
      MSECS(100), SECONDS(3600), "100ms to 1h",
      "how long the body of its answer may bring nothing, and it take nothing of a request" },
    { "gateway.upstream.idle_timeout", KIND_DURATION, AT(gateway.upstream.idle_timeout), "30s",
      MSECS(100), SECONDS(3600), "100ms to 1h", "how long a connection to it is kept unused" },
    { "gateway.upstream.tls.ca", KIND_TEXT, AT(gateway.upstream_tls.ca), "", 0, 0, "a PEM file",
      "the authorities that services spoken to over TLS are verified by; the system's where none is "
      "given" },
    { "gateway.upstream.tls.server_name", KIND_TEXT, AT(gateway.upstream_tls.server_name), "", 0, 0,
      "a host", "the name that is asked for and verified; the address's own where none is given" },
    { "gateway.upstream.tls.certificate", KIND_TEXT, AT(gateway.upstream_tls.certificate), "", 0, 0,
      "a PEM file", "what Sarsen shows when a service asks for a certificate" },
    { "gateway.upstream.tls.key", KIND_TEXT, AT(gateway.upstream_tls.key), "", 0, 0, "a PEM file",
      "and its key" },
    { "gateway.upstream.tls.skip_verify", KIND_BOOL, AT(gateway.upstream_tls.is_unverified),
      "false", 0, 0, "true, false", "whether whoever answers is believed; for trying things out" },
    { "gateway.upstream.head", KIND_SIZE, AT(gateway.upstream.limits.head), "64KiB", KIB(1), MIB(1),
      "1KiB to 1MiB", "the head of its answer" },
    { "gateway.upstream.line", KIND_SIZE, AT(gateway.upstream.limits.line), "16KiB", 256, MIB(1),
      "256 to 1MiB", "one line of it" },
    { "gateway.upstream.connections", KIND_COUNT, AT(gateway.upstream.max_connections), "1024", 1,
      1000000, "1 to 1000000", "to one instance, of each worker" },
    { "gateway.upstream.idle_connections", KIND_COUNT, AT(gateway.upstream.max_idle), "1024", 0,
      1000000, "0 to 1000000", "of these, how many are kept while nothing uses them" },
    { "gateway.upstream.http2_connections", KIND_COUNT, AT(gateway.upstream.http2_connections), "1",
      1, 1000, "1 to 1000",
      "of HTTP/2, by each worker to one instance, before one of them is full; more are made when all "
      "are" },
    { "gateway.upstream.http2_streams", KIND_COUNT, AT(gateway.upstream.http2_streams), "100", 1,
      100000, "1 to 100000",
      "requests on one of these at a time; an instance may say that it takes fewer" },
    { "gateway.upstream.panic", KIND_COUNT, AT(gateway.panic_percent), "50", 0, 100, "0 to 100",
      "percent of a static upstream's addresses, or of a build's instances: when fewer are well, all "
      "of them get requests, as without checks; 0 is never" },
    { "gateway.memory", KIND_SIZE, AT(memory), "0", MIB(8), UINT64_MAX, "0, or a size from 8MiB on",
      "what the process may use: from 80 % on connections are not kept, from 90 % on new requests "
      "get 503, from 95 % on idle connections are closed. 0 is the smaller of the cgroup's limit "
      "and 80 % of the machine's memory" },
    { "gateway.cookie.ttl", KIND_DURATION, AT(gateway.cookie_ttl), "400d", SECONDS(60), DAYS(400),
      "1m to 400d", "how long the signed cookie is good for" },
    { "gateway.cookie.secure", KIND_BOOL, AT(gateway.is_cookie_secure), "false", 0, 0,
      "true, false", "send the cookie over TLS only; for when TLS ends in front of the gateway" },
    { "gateway.access_log", KIND_ACCESS, AT(gateway.access), "off", 0, 0,
      "off, the path of a file with a \"/\" in it, stdout, syslog, syslog:unix:/path or "
      "syslog:address:port",
      "where a JSON line goes for every request that has ended; a file is opened anew on SIGHUP. "
      "See access-log.md" },
    { "gateway.access_redact", KIND_TEXT, AT(gateway.access_redact), "", 0, 0,
      "names with commas between them, such as iban, card_number",
      "query parameters that hold secrets, besides those that are known to" },
    { "retire.window", KIND_DURATION, AT(retire_window), "45d", NSEC_PER_SEC, DAYS(3650),
      "1s to 3650d", "how long a contract must be unused before it can be taken offline" },
    { "usage.keep", KIND_DURATION, AT(usage_keep), "400d", DAYS(1), DAYS(3650), "1d to 3650d",
      "how long it is known in which hour something was used; when last, and how often in all, is "
      "known for ever" },
    { "drain.grace", KIND_DURATION, AT(drain_grace), "10s", 0, SECONDS(3600), "0s to 1h",
      "how long requests under way may take when the process ends" },
};

_Static_assert(sizeof(settings_table) / sizeof(settings_table[0]) <= SETTINGS_MAX,
               "raise the limit");
const size_t settings_n = sizeof(settings_table) / sizeof(settings_table[0]);

/* --- what the table tells people and editors --- */

void settings_write_reference(struct buf *text)
{
    buf_puts(text,
             "# The config file\n\n| key | accepts | default | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < settings_n; i++)
        buf_printf(text, "| `%s` | %s | `%s` | %s |\n", settings_table[i].key,
                   settings_table[i].accepts, settings_table[i].standard, settings_table[i].help);
    settings_write_listeners_reference(text);
    settings_write_routes_reference(text);
    settings_write_rules_reference(text);
}

static void write_text_or_list(struct json_out *out)
{
    json_key(out, SPAN("type"));
    json_open(out, '[');
    json_text(out, SPAN("string"));
    json_text(out, SPAN("array"));
    json_close(out, ']');
    json_key(out, SPAN("items"));
    json_open(out, '{');
    json_key(out, SPAN("type"));
    json_text(out, SPAN("string"));
    json_close(out, '}');
}

static void write_leaf(struct json_out *out, const struct setting *setting)
{
    json_open(out, '{');
    json_key(out, SPAN("description"));
    json_text(out, span_of(setting->help));
    if (setting->kind == KIND_LISTENERS || setting->kind == KIND_RULES) {
        if (setting->kind == KIND_RULES)
            settings_write_rules_schema(out);
        else
            settings_write_listener_schema(out);
        json_close(out, '}');
        return;
    }
    if (setting->kind == KIND_ENDPOINTS) {
        write_text_or_list(out);
        json_close(out, '}');
        return;
    }
    json_key(out, SPAN("type"));
    if (setting->kind == KIND_BOOL) {
        json_text(out, SPAN("boolean"));
    } else if (setting->kind == KIND_COUNT) {
        json_text(out, SPAN("integer"));
    } else if (setting->kind == KIND_SIZE) {
        json_open(out, '[');
        json_text(out, SPAN("string"));
        json_text(out, SPAN("integer"));
        json_close(out, ']');
    } else {
        json_text(out, SPAN("string"));
    }
    json_close(out, '}');
}

/* Writes the members of a section: "gateway." has "edge" and the section "cookie". */
static void write_section(struct json_out *out, const char *section)
{
    size_t size = strlen(section);
    struct span last = SPAN_NULL;
    json_open(out, '{');
    json_key(out, SPAN("type"));
    json_text(out, SPAN("object"));
    json_key(out, SPAN("additionalProperties"));
    json_bool(out, false);
    json_key(out, SPAN("properties"));
    json_open(out, '{');
    for (size_t i = 0; i < settings_n; i++) {
        if (strncmp(settings_table[i].key, section, size) != 0)
            continue;
        struct span rest = span_of(settings_table[i].key + size), name = span_cut(&rest, '.');
        if (span_equals(name, last))
            continue;
        last = name;
        json_key(out, name);
        char below[SETTINGS_KEY_MAX];
        snprintf(below, sizeof(below), "%s%.*s.", section, SPAN_ARG(name));
        if (rest.data)
            write_section(out, below);
        else
            write_leaf(out, &settings_table[i]);
    }
    if (!size) {
        json_key(out, SPAN("routes"));
        settings_write_routes_schema(out);
    }
    json_close(out, '}');
    json_close(out, '}');
}

void settings_write_schema(struct buf *text)
{
    struct json_out out = { .buf = text };
    write_section(&out, "");
    buf_puts(text, "\n");
}
