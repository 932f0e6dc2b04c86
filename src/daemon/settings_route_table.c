/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The keys of a route. The reader, the reference and the schema all come from this table; the order
 * is that of the reference, and keys of one section stand together.
 */

#include "daemon/settings_routes.h"

#define AT(member) offsetof(struct gateway_route, member)

#define ACCEPTS_PATH "a path that begins with /"
#define ACCEPTS_NAMES "a header, or a list of them"
#define ACCEPTS_FIELDS "a section of headers and their values"

static const struct settings_key table[] = {
    { "match.host", ROUTE_TEXT, AT(host), "a host in small letters, without a port,",
      "the Host; \"*.example.com\" is any one label before it" },
    { "match.path", ROUTE_TEXT, AT(path), ACCEPTS_PATH, "the whole path" },
    { "match.prefix", ROUTE_TEXT, AT(prefix), ACCEPTS_PATH,
      "\"/session\" matches /session and what is below it" },
    { "match.method", ROUTE_TEXTS, AT(methods),
      "a method in capital letters, such as GET, or a list of them", "any of these methods" },
    { "match.header", ROUTE_TEXT, AT(header_name), "the name of a header",
      "a header that must be there; any of its lines counts" },
    { "match.value", ROUTE_TEXT, AT(header_value), "a text", "and its value" },
    { "match.client_san", ROUTE_TEXTS, AT(client_sans),
      "an alternative name such as spiffe://example.org/orders or *, or a list of them",
      "the client has shown a certificate that holds, with any of these names, DNS or URI; a * at "
      "the end is whatever follows" },
    { "service", ROUTE_TEXT, AT(service), "a name of small letters, digits and hyphens",
      "the registered service that answers; its version is chosen for the customer" },
    { "upstream", ROUTE_ADDRESSES, AT(upstreams),
      "an address such as 127.0.0.1:9000, [::1]:9000, unix:/run/x.sock or https://127.0.0.1:9443, "
      "or a list of them,",
      "a static upstream that answers; of several addresses each in its turn, and the next one "
      "where one refuses" },
    { "protocol", ROUTE_PROTOCOL, AT(upstream_protocol), "http1, http2 or auto",
      "what the upstream speaks: HTTP/1.1, which is what is meant without it; HTTP/2, as gRPC needs "
      "it; or, over TLS, what the upstream prefers" },
    { "upstream_tls.ca", ROUTE_TEXT, AT(upstream_tls.ca), "a PEM file",
      "of upstreams with https://: gateway.upstream.tls.ca for this route" },
    { "upstream_tls.server_name", ROUTE_TEXT, AT(upstream_tls.server_name), "a host",
      "the same for gateway.upstream.tls.server_name" },
    { "upstream_tls.certificate", ROUTE_TEXT, AT(upstream_tls.certificate), "a PEM file",
      "the same for gateway.upstream.tls.certificate" },
    { "upstream_tls.key", ROUTE_TEXT, AT(upstream_tls.key), "a PEM file", "and its key" },
    { "upstream_tls.skip_verify", ROUTE_BOOL, AT(upstream_tls.is_unverified), "true, false",
      "whether whoever answers is believed; for trying things out" },
    { "health.http", ROUTE_HEALTH, AT(health), "a path that begins with /, perhaps with a query,",
      "each of the upstream's addresses is asked by a GET of this path whether it works; one of "
      "these four" },
    { "health.https", ROUTE_HEALTH, AT(health), "the same",
      "the same over TLS, also where requests go in plain text" },
    { "health.grpc", ROUTE_HEALTH, AT(health), "the name of a gRPC service, or \"\"",
      "by grpc.health.v1" },
    { "health.tcp", ROUTE_HEALTH, AT(health), "true", "by a connection alone" },
    { "health.port", ROUTE_HEALTH, AT(health), "a port", "where, when not where requests go" },
    { "health.status", ROUTE_HEALTH, AT(health), "a status or a range, such as 200-399",
      "what a GET must be answered with; 200-299 when none is given" },
    { "health.interval", ROUTE_HEALTH, AT(health), "100ms to 1h",
      "how often, give or take a tenth; 5s" },
    { "health.timeout", ROUTE_HEALTH, AT(health), "100ms to 1h", "how long it may take; 1s" },
    { "health.failures", ROUTE_HEALTH, AT(health), "1 to 100",
      "one after the other, after which the address gets no new requests; 3" },
    { "health.passes", ROUTE_HEALTH, AT(health), "1 to 100", "after which it gets some again; 1" },
    { "answer.status", ROUTE_STATUS, AT(answer_status), "200 to 599",
      "Sarsen answers itself with this status; 200 when only a body is given" },
    { "answer.body", ROUTE_TEXT_OR_EMPTY, AT(answer_body), "a text of 64 KiB at most",
      "and this body" },
    { "answer.type", ROUTE_TEXT, AT(answer_type), "a media type",
      "its Content-Type; text/plain; charset=utf-8 when none is given" },
    { "redirect.to", ROUTE_TEXT, AT(redirect_to),
      "a path that begins with /, or http:// or https:// with a host and a path,",
      "where clients are sent: match.prefix is replaced by it and the rest of the path kept, or "
      "match.path is; the query is kept" },
    { "redirect.status", ROUTE_STATUS, AT(redirect_status), "301, 302, 303, 307 or 308",
      "with this status; 308 when none is given" },
    { "strip", ROUTE_TEXT, AT(strip), "the beginning of match.prefix or match.path",
      "a prefix that is removed from the path before it goes on" },
    { "rewrite.prefix", ROUTE_TEXT, AT(rewrite_prefix), ACCEPTS_PATH,
      "what match.prefix is replaced by before the path goes on" },
    { "rewrite.path", ROUTE_TEXT, AT(rewrite_path), ACCEPTS_PATH,
      "what the whole path is replaced by; the query is kept" },
    { "host", ROUTE_TEXT, AT(upstream_host), "client, upstream or a host",
      "the Host that is sent on: the client's, which is what is meant without it, the address that "
      "is asked, or this one" },
    { "origins", ROUTE_TEXTS, AT(origins),
      "an origin such as https://shop.example.com, https://*.example.com or *, or a list of them",
      "pages that may open a WebSocket from a browser, besides those of the same host and of "
      "gateway.tunnels.origins" },
    { "request_headers.set", ROUTE_FIELDS, AT(request_fields.set), ACCEPTS_FIELDS,
      "sent on in place of what the client sent under these names" },
    { "request_headers.add", ROUTE_FIELDS, AT(request_fields.add), ACCEPTS_FIELDS,
      "sent on beside what the client sent; a list of values is several lines" },
    { "request_headers.remove", ROUTE_TEXTS, AT(request_fields.remove), ACCEPTS_NAMES,
      "not sent on" },
    { "response_headers.set", ROUTE_FIELDS, AT(response_fields.set), ACCEPTS_FIELDS,
      "the same for the answer, on its way to the client" },
    { "response_headers.add", ROUTE_FIELDS, AT(response_fields.add), ACCEPTS_FIELDS,
      "the same for the answer" },
    { "response_headers.remove", ROUTE_TEXTS, AT(response_fields.remove), ACCEPTS_NAMES,
      "the same for the answer" },
};

_Static_assert(sizeof(table) / sizeof(table[0]) <= ROUTE_KEYS_MAX, "raise the limit");

void settings_write_routes_reference(struct buf *text)
{
    buf_puts(text,
             "\nA route, in the list `routes`; the first that matches wins. It has exactly one of "
             "`service`, `upstream`, `answer` and `redirect`; see [proxy.md](proxy.md):\n\n");
    settings_keys_write_reference(&settings_route_keys, text);
}

/* --- JSON Schema --- */

/* A text, or a list of at least one. */
static void write_one_or_list(struct json_out *out)
{
    json_key(out, SPAN("anyOf"));
    json_open(out, '[');
    json_open(out, '{');
    settings_write_type(out, "string");
    json_close(out, '}');
    json_open(out, '{');
    settings_write_type(out, "array");
    json_key(out, SPAN("minItems"));
    json_uint(out, 1);
    json_key(out, SPAN("items"));
    json_open(out, '{');
    settings_write_type(out, "string");
    json_close(out, '}');
    json_close(out, '}');
    json_close(out, ']');
}

static void write_value_type(struct json_out *out, const struct settings_key *row)
{
    switch ((enum route_kind_of_value)row->kind) {
    case ROUTE_TEXT:
    case ROUTE_TEXT_OR_EMPTY: settings_write_type(out, "string"); break;
    case ROUTE_BOOL: settings_write_type(out, "boolean"); break;
    case ROUTE_PROTOCOL:
        settings_write_type(out, "string");
        json_key(out, SPAN("enum"));
        json_open(out, '[');
        json_text(out, SPAN("http1"));
        json_text(out, SPAN("http2"));
        json_text(out, SPAN("auto"));
        json_close(out, ']');
        break;
    case ROUTE_HEALTH: break; /* texts, numbers and true, as people write them */
    case ROUTE_STATUS:
        settings_write_type(out, "integer");
        json_key(out, SPAN("minimum"));
        json_uint(out, 200);
        json_key(out, SPAN("maximum"));
        json_uint(out, 599);
        break;
    case ROUTE_TEXTS:
    case ROUTE_ADDRESSES: write_one_or_list(out); break;
    case ROUTE_FIELDS:
        settings_write_type(out, "object");
        json_key(out, SPAN("additionalProperties"));
        json_open(out, '{');
        write_one_or_list(out);
        json_close(out, '}');
        break;
    }
}

const struct settings_keys settings_route_keys = {
    .rows = table,
    .n = sizeof(table) / sizeof(table[0]),
    .thing = "a route",
    .path = "routes",
    .accepts = "a section with match and service, upstream, answer or redirect",
    .write_type = write_value_type,
};

/* An alternative of which exactly one must hold. */
static void write_required(struct json_out *out, struct span key)
{
    json_open(out, '{');
    json_key(out, SPAN("required"));
    json_open(out, '[');
    json_text(out, key);
    json_close(out, ']');
    json_close(out, '}');
}

void settings_write_routes_schema(struct json_out *out)
{
    static const struct span actions[] = { SPAN("service"), SPAN("upstream"), SPAN("answer"),
                                           SPAN("redirect") };
    json_open(out, '{');
    settings_write_type(out, "array");
    json_key(out, SPAN("maxItems"));
    json_uint(out, GATEWAY_ROUTES_MAX);
    json_key(out, SPAN("items"));
    json_open(out, '{');
    settings_keys_write_schema(&settings_route_keys, out);
    json_key(out, SPAN("oneOf"));
    json_open(out, '[');
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        write_required(out, actions[i]);
    json_close(out, ']');
    json_close(out, '}');
    json_close(out, '}');
}
