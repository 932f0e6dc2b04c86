/* SPDX-License-Identifier: Apache-2.0 */

#include "http/site.h"

#include <arpa/inet.h>

/* The name part of "name:port", "[::1]:port". */
static struct span host_name(struct span authority)
{
    if (authority.size && authority.data[0] == '[')
        return span_first(authority, span_find(authority, ']') + 1);
    return span_first(authority, span_find(authority, ':'));
}

static bool parse_ip(int family, struct span name, void *ret_ip)
{
    char text[INET6_ADDRSTRLEN];
    if (name.size == 0 || name.size >= sizeof(text))
        return false;
    memcpy(text, name.data, name.size);
    text[name.size] = '\0';
    return inet_pton(family, text, ret_ip) == 1;
}

/* "127.0.0.1.example.com" is a name that anybody can point at us, not an address. */
static bool is_loopback_name(struct span name)
{
    struct in_addr address;
    if (span_equals_nocase(name, SPAN("localhost")) || span_is(name, "[::1]"))
        return true;
    return parse_ip(AF_INET, name, &address) && ntohl(address.s_addr) >> 24 == 127;
}

/* Nobody can point an address at another one, as one can a name. */
static bool is_address(struct span name)
{
    struct in6_addr ip;
    if (name.size > 2 && name.data[0] == '[')
        return parse_ip(AF_INET6, (struct span){ name.data + 1, name.size - 2 }, &ip);
    return parse_ip(AF_INET, name, &ip);
}

static bool is_listed(struct span list, struct span name)
{
    while (list.size) {
        if (span_equals_nocase(span_trim(span_cut(&list, ',')), name))
            return true;
    }
    return false;
}

static bool is_our_host(const struct http_exchange *exchange, struct span hosts)
{
    struct span name = host_name(exchange->head->authority);
    if (name.size && is_listed(hosts, name))
        return true;
    return address_is_loopback(exchange->peer) ? is_loopback_name(name) : is_address(name);
}

static bool is_our_origin(const struct http_exchange *exchange)
{
    struct span origin = http_head_value(exchange->head, HTTP_ORIGIN);
    struct span scheme = exchange->tls ? SPAN("https://") : SPAN("http://");
    if (!origin.size)
        return true;
    return span_starts_with(origin, scheme) &&
           span_equals_nocase(span_from(origin, scheme.size), exchange->head->authority);
}

/* Browsers say of each request whose page it is from; a page cannot change that. */
static bool is_site_ours(const struct http_head *head)
{
    for (unsigned i = 0; i < head->n_fields; i++) {
        if (span_equals_nocase(head->fields[i].name, SPAN("Sec-Fetch-Site")) &&
            !span_is(head->fields[i].value, "same-origin") &&
            !span_is(head->fields[i].value, "none"))
            return false;
    }
    return true;
}

bool site_is_ours(const struct http_exchange *exchange, struct span hosts)
{
    bool is_unix = exchange->peer->any.sa_family == AF_UNIX;
    return (is_unix || is_our_host(exchange, hosts)) && is_our_origin(exchange) &&
           is_site_ours(exchange->head);
}
