/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/settings_listeners.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "daemon/settings_keys.h"
#include "daemon/settings_table.h"
#include "daemon/settings_yaml.h"

#define AT(member) offsetof(struct gateway_listener, member)
#define PAIRS_MAX 64u

enum listener_kind {
    LISTENER_ADDRESS,
    LISTENER_BOOL,
    LISTENER_FILE,
    LISTENER_CHOICE, /* one of the words of `accepts`, stored as its position */
    LISTENER_PAIRS,
};

static const struct settings_key table[] = {
    { "address", LISTENER_ADDRESS, AT(address), "an address such as 127.0.0.1:8443",
      "where it listens; needed" },
    { "proxy_protocol", LISTENER_BOOL, AT(has_proxy_header), "true, false",
      "whether each connection begins with a header of the PROXY protocol, version 2, that says who "
      "the client is" },
    { "tls.certificates", LISTENER_PAIRS, AT(tls.pairs),
      "a section of certificate and key, or a list of them",
      "PEM files: `certificate` with the chain behind it, and its `key`. A client gets the one for "
      "the name it asks for, and the first when there is none" },
    { "tls.min_version", LISTENER_CHOICE, AT(tls.min_version), "1.2, 1.3",
      "the oldest version of TLS that is spoken" },
    { "tls.client_auth", LISTENER_CHOICE, AT(tls.client_auth), "off, optional, required",
      "whether clients are asked for a certificate; one that is given must hold" },
    { "tls.client_ca", LISTENER_FILE, AT(tls.client_ca), "a PEM file",
      "the authorities whose certificates hold" },
    { "tls.client_crl", LISTENER_FILE, AT(tls.client_crl), "a PEM file",
      "the lists of what these authorities have revoked, one of each; a list that is out of date "
      "refuses everybody" },
    { "tls.http1_only", LISTENER_BOOL, AT(tls.is_http1_only), "true, false",
      "whether ALPN offers no HTTP/2" },
    { "tls.ktls", LISTENER_CHOICE, AT(tls.sealing), "off, auto",
      "whether the kernel seals what is sent over TLS 1.3, where it can; files then are sent without "
      "a copy. The kernel's `tls` module has to be loaded" },
};
#define N_KEYS (sizeof(table) / sizeof(table[0]))

static void write_value_type(struct json_out *out, const struct settings_key *row);

static const struct settings_keys keys = {
    .rows = table,
    .n = N_KEYS,
    .thing = "a listener",
    .path = "a listener",
    .accepts = "a section with address",
    .write_type = write_value_type,
};

/* One reading of one listener. */
struct reader {
    struct key_reader keys;
    struct settings *settings;
    struct gateway_listener *listener;
    struct problem *problem;
    size_t lines[N_KEYS];
};

static const yaml_node_t *node_at(const struct reader *reader, yaml_node_item_t item)
{
    return key_reader_node(&reader->keys, item);
}

static int refuse(const struct reader *reader, const char *key, const yaml_node_t *node,
                  const char *accepts)
{
    return settings_refuse(reader->problem, yaml_line(node), key, yaml_found(node), accepts);
}

static int read_file_name(const struct reader *reader, const char *key, const yaml_node_t *node,
                          const char **ret_name)
{
    if (!yaml_text(node).size || yaml_has_nul(node))
        return refuse(reader, key, node, "a PEM file");
    *ret_name = arena_span_dup(&reader->settings->arena, yaml_text(node)).data;
    return 0;
}

static int read_pair(const struct reader *reader, const yaml_node_t *map, struct tls_pair *pair)
{
    if (map->type != YAML_MAPPING_NODE)
        return refuse(reader, "tls.certificates", map, "a section of certificate and key");
    for (const yaml_node_pair_t *at = map->data.mapping.pairs.start;
         at < map->data.mapping.pairs.top; at++) {
        const yaml_node_t *key = node_at(reader, at->key);
        bool is_key = span_is(yaml_text(key), "key");
        const char **to = is_key ? &pair->key : &pair->certificate;
        if (!is_key && !span_is(yaml_text(key), "certificate"))
            return refuse(reader, "tls.certificates", key, "certificate or key");
        if (*to)
            return settings_refuse_twice(reader->problem, yaml_line(key),
                                         is_key ? "key" : "certificate");
        int r =
            read_file_name(reader, is_key ? "key" : "certificate", node_at(reader, at->value), to);
        if (r)
            return r;
    }
    if (pair->certificate && pair->key)
        return 0;
    return settings_refuse_because(reader->problem, yaml_line(map), "tls.certificates",
                                   "has no certificate, or no key; both are needed");
}

static int read_pairs(const struct reader *reader, const yaml_node_t *node)
{
    bool is_list = node->type == YAML_SEQUENCE_NODE;
    size_t n = 1;
    if (is_list)
        n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (n == 0 || n > PAIRS_MAX)
        return refuse(reader, "tls.certificates", node, "one certificate, or a list of 64 at most");
    struct tls_pair *pairs = arena_new_array(&reader->settings->arena, struct tls_pair, n);
    for (size_t i = 0; i < n; i++) {
        const yaml_node_t *item =
            is_list ? node_at(reader, node->data.sequence.items.start[i]) : node;
        int r = read_pair(reader, item, &pairs[i]);
        if (r)
            return r;
    }
    reader->listener->tls.pairs = pairs;
    reader->listener->tls.n_pairs = (unsigned)n;
    return 0;
}

/* Position of the word in "a, b, c", or -1. */
static int choice_of(const char *choices, struct span word)
{
    struct span rest = span_of(choices);
    for (int i = 0; rest.data; i++) {
        if (span_equals(span_trim(span_cut(&rest, ',')), word))
            return i;
    }
    return -1;
}

static int read_value(struct key_reader *key_reader, const struct settings_key *setting,
                      const yaml_node_t *node)
{
    const struct reader *reader = container_of(key_reader, struct reader, keys);
    struct gateway_listener *listener = reader->listener;
    void *at = (char *)listener + setting->at;
    struct span text = yaml_text(node);
    int choice = 0;
    switch ((enum listener_kind)setting->kind) {
    case LISTENER_PAIRS: return read_pairs(reader, node);
    case LISTENER_FILE: return read_file_name(reader, setting->key, node, at);
    case LISTENER_ADDRESS:
        if (yaml_has_nul(node) || address_parse(text, &listener->address))
            return refuse(reader, setting->key, node, setting->accepts);
        listener->text = arena_span_dup(&reader->settings->arena, text).data;
        return 0;
    case LISTENER_BOOL:
        if (!span_is(text, "true") && !span_is(text, "false"))
            return refuse(reader, setting->key, node, setting->accepts);
        *(bool *)at = span_is(text, "true");
        return 0;
    case LISTENER_CHOICE: break;
    }
    choice = choice_of(setting->accepts, text);
    if (choice < 0)
        return refuse(reader, setting->key, node, setting->accepts);
    if (setting->at == AT(tls.min_version))
        listener->tls.min_version = (enum tls_version)choice;
    else if (setting->at == AT(tls.sealing))
        listener->tls.sealing = (enum tls_sealing)choice;
    else
        listener->tls.client_auth = (enum tls_client_auth)choice;
    return 0;
}

/* What the values must be together. */
static int check(const struct reader *reader, const yaml_node_t *node)
{
    const struct gateway_listener *listener = reader->listener;
    const struct tls_server_settings *tls = &listener->tls;
    bool has_tls = settings_keys_given(&keys, reader->lines, "tls.");
    const char *key = NULL, *why = NULL;
    if (!listener->text) {
        key = "address";
        why = "is missing; a listener needs one";
    } else if (has_tls && !tls->n_pairs) {
        key = "tls.certificates";
        why = "is missing; TLS needs a certificate and its key";
    } else if (tls->client_auth != TLS_CLIENT_OFF && !tls->client_ca) {
        key = "tls.client_ca";
        why = "is missing; clients' certificates cannot be verified without it";
    } else if (tls->client_auth == TLS_CLIENT_OFF && tls->client_ca) {
        key = "tls.client_ca";
        why = "is given, and tls.client_auth is off; optional or required is accepted with it";
    } else if (tls->client_crl && !tls->client_ca) {
        key = "tls.client_crl";
        why = "is given without tls.client_ca, whose certificates it would revoke";
    }
    return why ? settings_refuse_because(reader->problem, yaml_line(node), key, why) : 0;
}

int settings_read_listener(struct settings *settings, yaml_document_t *document,
                           const yaml_node_t *node, struct gateway_listener *listener,
                           struct problem *problem)
{
    struct reader reader = { .settings = settings, .listener = listener, .problem = problem };
    reader.keys = (struct key_reader){ &keys, document, problem, reader.lines, read_value };
    int r = settings_keys_read(&reader.keys, node);
    return r ? r : check(&reader, node);
}

/* --- what the table tells people and editors --- */

void settings_write_listeners_reference(struct buf *text)
{
    buf_puts(text,
             "\nA listener that is a section of its own, in `gateway.edge` or "
             "`gateway.internal`; see [tls.md](tls.md):\n\n");
    settings_keys_write_reference(&keys, text);
}

static void write_value_type(struct json_out *out, const struct settings_key *row)
{
    if (row->kind == LISTENER_BOOL)
        settings_write_type(out, "boolean");
}

/* An address or a section; behind these, for a list, one of either again. */
static void write_one(struct json_out *out)
{
    json_open(out, '{');
    json_key(out, SPAN("type"));
    json_text(out, SPAN("string"));
    json_close(out, '}');
    json_open(out, '{');
    settings_keys_write_schema(&keys, out);
    json_close(out, '}');
}

void settings_write_listener_schema(struct json_out *out)
{
    json_key(out, SPAN("anyOf"));
    json_open(out, '[');
    write_one(out);
    json_open(out, '{');
    json_key(out, SPAN("type"));
    json_text(out, SPAN("array"));
    json_key(out, SPAN("items"));
    json_open(out, '{');
    json_key(out, SPAN("anyOf"));
    json_open(out, '[');
    write_one(out);
    json_close(out, ']');
    json_close(out, '}');
    json_close(out, '}');
    json_close(out, ']');
}
