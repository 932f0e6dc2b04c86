/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/render.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"
#include "io/socket.h"

static void put_empty(struct json_out *out, const char *name, char bracket)
{
    json_key(out, span_of(name));
    json_open(out, bracket);
    json_close(out, bracket == '[' ? ']' : '}');
}

static void put_indexes(struct json_out *out, int64_t create, int64_t modify)
{
    json_key(out, SPAN("CreateIndex"));
    json_int(out, consul_index(create));
    json_key(out, SPAN("ModifyIndex"));
    json_int(out, consul_index(modify));
}

/* --- entries --- */

struct span consul_entry_name(const struct consul_entry *entry)
{
    return span_of(entry->service ? entry->service->record->name : entry->instance->service->name);
}

enum check_status consul_entry_status(const struct consul *consul, const struct consul_entry *entry)
{
    if (entry->instance->is_draining)
        return CHECK_CRITICAL; /* an operator said so; nobody here shall go there any more */
    if (entry->service)
        return consul_status_there(consul, entry->service);
    return instance_is_critical(entry->instance) ? CHECK_CRITICAL : CHECK_PASSING;
}

size_t consul_entry_n_tags(const struct consul_entry *entry)
{
    return entry->service ? entry->service->record->n_tags : 0;
}

bool consul_entry_has_tag(const struct consul_entry *entry, struct span tag)
{
    for (size_t i = 0; i < consul_entry_n_tags(entry); i++) {
        if (span_equals_nocase(tag, span_of(entry->service->record->tags[i])))
            return true;
    }
    return false;
}

void consul_each_entry(struct consul_call *call, struct span name,
                       void (*on_entry)(void *owner, const struct consul_entry *entry), void *owner)
{
    char text[SERVICE_NAME_MAX + 1];
    const struct service *service = NULL;
    if (consul_service_name(name, text))
        service = service_find(call->consul->registry, span_of(text));
    if (!service)
        return;
    map_each (node, &service->instances) {
        struct consul_entry entry = { .instance = container_of(node, struct instance, node) };
        entry.service = consul_service_of(call->consul, entry.instance);
        if (span_equals_nocase(consul_entry_name(&entry), name))
            on_entry(owner, &entry);
    }
}

/* --- nodes --- */

/* An id that stays the same as long as the name does. */
static void node_id(const struct consul *consul, char ret_text[UUID_SIZE + 1])
{
    uint8_t digest[SHA256_SIZE];
    hash_sha256(span_of(consul->settings.node), digest);
    hash_uuid(digest, ret_text);
}

static void put_address(struct json_out *out, const struct consul *consul,
                        const struct consul_service *node, struct span address)
{
    bool is_ours = !node || consul_is_ours(consul, node);
    put_text(out, "Address", address);
    put_text(out, "Datacenter", span_of(consul->settings.datacenter));
    json_key(out, SPAN("TaggedAddresses"));
    json_open(out, '{');
    for (size_t i = 0; node && i < node->record->n_tagged; i++)
        put_text(out, node->record->tagged[i]->name, span_of(node->record->tagged[i]->address));
    if (is_ours && !(node && node->record->n_tagged)) {
        static const char *const names[] = { "lan", "lan_ipv4", "wan", "wan_ipv4" };
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            put_text(out, names[i], address);
    }
    json_close(out, '}');
}

/* NULL: this one, which nobody told of. */
static void put_node(struct json_out *out, const struct consul *consul,
                     const struct consul_service *node, const char *meta)
{
    char id[UUID_SIZE + 1] = "";
    bool is_ours = !node || consul_is_ours(consul, node);
    const char *address = node ? node->record->address : "";
    if (is_ours)
        node_id(consul, id);
    if (is_ours && !address[0])
        address = CONSUL_NODE_ADDRESS;
    put_text(out, "ID", span_of(node && node->record->node_id[0] ? node->record->node_id : id));
    put_text(out, "Node", span_of(node ? node->record->name : consul->settings.node));
    put_address(out, consul, node, span_of(address));
    json_key(out, span_of(meta));
    json_open(out, '{');
    for (size_t i = 0; node && i < node->record->n_meta; i++)
        put_text(out, node->record->meta[i]->key, span_of(node->record->meta[i]->value));
    json_close(out, '}');
}

void consul_render_node(struct json_out *out, const struct consul *consul,
                        const struct consul_service *node)
{
    json_open(out, '{');
    put_node(out, consul, node, "Meta");
    put_indexes(out, node ? node->create_revision : 0, node ? node->mod_revision : 0);
    json_close(out, '}');
}

static const struct consul_service *node_of(const struct consul *consul,
                                            const struct consul_entry *entry)
{
    return entry->service ? consul_node_of(consul, entry->service)
                          : consul_node_find(consul, span_of(consul->settings.node));
}

/* --- services --- */

static void put_tags(struct json_out *out, const char *name, const struct consul_entry *entry)
{
    json_key(out, span_of(name));
    json_open(out, '[');
    for (size_t i = 0; i < consul_entry_n_tags(entry); i++)
        json_text(out, span_of(entry->service->record->tags[i]));
    json_close(out, ']');
}

static void put_meta(struct json_out *out, const char *name, const struct consul_entry *entry)
{
    const struct instance *instance = entry->instance;
    json_key(out, span_of(name));
    json_open(out, '{');
    for (size_t i = 0; entry->service && i < entry->service->record->n_meta; i++)
        put_text(out, entry->service->record->meta[i]->key,
                 span_of(entry->service->record->meta[i]->value));
    for (unsigned i = 0; !entry->service && i < instance->n_meta; i++)
        put_text(out, instance->meta[i].key, span_of(instance->meta[i].value));
    if (!entry->service)
        put_text(out, "version", span_of(instance->build->version));
    json_close(out, '}');
}

/* Of one that registered elsewhere: "10.0.0.7:8080" in its parts. */
struct place {
    struct span address;
    uint32_t port;
};

static struct place place_of(const struct consul_entry *entry)
{
    uint64_t port = 0;
    if (entry->service)
        return (struct place){ span_of(entry->service->record->address),
                               entry->service->record->port };
    struct span text = span_of(entry->instance->address);
    size_t colon = text.size;
    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    if (colon == 0 || !span_to_uint(span_from(text, colon), UINT16_MAX, &port))
        return (struct place){ text, 0 };
    return (struct place){ span_first(text, colon - 1), (uint32_t)port };
}

static void put_tagged_one(struct json_out *out, const char *name, struct span address,
                           uint32_t port)
{
    json_key(out, span_of(name));
    json_open(out, '{');
    put_text(out, "Address", address);
    json_key(out, SPAN("Port"));
    json_uint(out, port);
    json_close(out, '}');
}

/* Consul adds these where there is an address. */
static void put_tagged(struct json_out *out, const char *name, const struct consul_entry *entry)
{
    struct place place = place_of(entry);
    bool is_ipv6 = span_find(place.address, ':') < place.address.size;
    json_key(out, span_of(name));
    json_open(out, '{');
    if (place.address.size) {
        put_tagged_one(out, is_ipv6 ? "lan_ipv6" : "lan_ipv4", place.address, place.port);
        put_tagged_one(out, is_ipv6 ? "wan_ipv6" : "wan_ipv4", place.address, place.port);
    }
    for (size_t i = 0; entry->service && i < entry->service->record->n_tagged; i++) {
        const Consul__AddressRecord *tagged = entry->service->record->tagged[i];
        put_tagged_one(out, tagged->name, span_of(tagged->address), tagged->port);
    }
    json_close(out, '}');
}

static void put_weights(struct json_out *out, const char *name, const struct consul_entry *entry)
{
    json_key(out, span_of(name));
    json_open(out, '{');
    json_key(out, SPAN("Passing"));
    json_uint(out, entry->service ? entry->service->record->weight_passing : 1);
    json_key(out, SPAN("Warning"));
    json_uint(out, entry->service ? entry->service->record->weight_warning : 1);
    json_close(out, '}');
}

static struct span id_of(const struct consul_entry *entry)
{
    return span_of(entry->service ? entry->service->id : entry->instance->id);
}

static void put_revisions(struct json_out *out, const struct consul_entry *entry)
{
    int64_t modify = entry->instance->mod_revision;
    if (entry->service && entry->service->mod_revision > modify)
        modify = entry->service->mod_revision;
    put_indexes(out, entry->service ? entry->service->create_revision : modify, modify);
}

/* All of it but its indexes, which change with its checks, too. */
static void put_content(struct json_out *out, const struct consul_entry *entry)
{
    struct place place = place_of(entry);
    put_text(out, "ID", id_of(entry));
    put_text(out, "Service", consul_entry_name(entry));
    put_tags(out, "Tags", entry);
    put_text(out, "Address", place.address);
    put_tagged(out, "TaggedAddresses", entry);
    put_meta(out, "Meta", entry);
    json_key(out, SPAN("Port"));
    json_uint(out, place.port);
    put_weights(out, "Weights", entry);
    json_key(out, SPAN("EnableTagOverride"));
    json_bool(out, entry->service && entry->service->record->enables_tag_override);
}

static void put_service(struct json_out *out, const struct consul_entry *entry)
{
    put_content(out, entry);
    put_revisions(out, entry);
}

void consul_hash_service(const struct consul_entry *entry, char ret_hash[17])
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct json_out out = { .buf = &text };
    json_open(&out, '{');
    put_content(&out, entry);
    json_close(&out, '}');
    snprintf(ret_hash, 17, "%016" PRIx64, hash_xxh3(buf_span(&text)));
}

struct consul_entry consul_entry_of(const struct consul *consul,
                                    const struct consul_service *service)
{
    struct consul_entry entry = { .service = service };
    const struct service *known = service_find(consul->registry, span_of(service->record->service));
    if (known)
        entry.instance = instance_find(known, span_of(service->record->instance));
    return entry;
}

void consul_render_agent_service(struct json_out *out, const struct consul *consul,
                                 const struct consul_service *service)
{
    struct consul_entry entry = consul_entry_of(consul, service);
    json_open(out, '{');
    if (entry.instance) {
        char hash[17];
        put_service(out, &entry);
        consul_hash_service(&entry, hash);
        put_text(out, "ContentHash", span_of(hash));
    }
    put_text(out, "Datacenter", span_of(consul->settings.datacenter));
    json_close(out, '}');
}

/* --- checks --- */

struct shown_check {
    struct span node, id, name, status, notes, output, service_id, service_name, type, definition;
};

static void put_check(struct json_out *out, const struct consul *consul,
                      const struct shown_check *check, const struct consul_entry *entry)
{
    json_open(out, '{');
    put_text(out, "Node", check->node.size ? check->node : span_of(consul->settings.node));
    put_text(out, "CheckID", check->id);
    put_text(out, "Name", check->name);
    put_text(out, "Status", check->status);
    put_text(out, "Notes", check->notes);
    put_text(out, "Output", check->output);
    put_text(out, "ServiceID", check->service_id);
    put_text(out, "ServiceName", check->service_name);
    if (entry)
        put_tags(out, "ServiceTags", entry);
    else
        put_empty(out, "ServiceTags", '[');
    put_text(out, "Type", check->type);
    json_key(out, SPAN("Definition"));
    buf_put(out->buf, check->definition.size ? check->definition : SPAN("{}"));
    out->needs_comma = true;
    if (entry && entry->instance)
        put_revisions(out, entry);
    else if (entry && entry->service)
        put_indexes(out, entry->service->create_revision, entry->service->mod_revision);
    else
        put_indexes(out, 0, 0);
    json_close(out, '}');
}

void consul_render_node_check(struct json_out *out, const struct consul *consul)
{
    const struct shown_check check = {
        .id = SPAN("serfHealth"),
        .name = SPAN("Serf Health Status"),
        .status = SPAN("passing"),
        .output = SPAN("Agent alive and reachable"),
    };
    put_check(out, consul, &check, NULL);
}

static struct span check_type(const struct consul_check *check)
{
    switch ((enum check_kind)check->record->kind) {
    case CHECK_TTL: return SPAN("ttl");
    case CHECK_TCP: return SPAN("tcp");
    case CHECK_HTTP: return SPAN("http");
    case CHECK_GRPC: return SPAN("grpc");
    case CHECK_MAINTENANCE: return SPAN("maintenance");
    case CHECK_ALIAS: return SPAN("alias");
    case CHECK_TOLD: break;
    }
    return SPAN("");
}

static void put_service_check(struct json_out *out, const struct consul *consul,
                              const struct consul_check *check, const struct consul_entry *entry)
{
    const struct consul_service *holder = check->service;
    const struct consul_service *node = consul_node_of(consul, holder);
    bool is_node = holder->kind == CONSUL_NODE;
    const struct shown_check shown = {
        .node = node ? span_of(node->record->name) : SPAN_NULL,
        .id = span_of(check->id),
        .name = span_of(check->record->name),
        .status = span_of(check_status_word(check->status)),
        .notes = span_of(check->record->notes),
        .output = span_of(check->output),
        .service_id = span_of(holder->id),
        .service_name = is_node ? SPAN_NULL : span_of(holder->record->name),
        .type = check_type(check),
        .definition = span_of(check->record->definition),
    };
    put_check(out, consul, &shown, entry);
}

void consul_render_check(struct json_out *out, const struct consul *consul,
                         const struct consul_check *check)
{
    struct consul_entry entry = consul_entry_of(consul, check->service);
    put_service_check(out, consul, check, &entry);
}

static void put_checks_of(struct json_out *out, const struct consul *consul,
                          const struct consul_entry *entry, const struct consul_filter *filter)
{
    list_each (link, &entry->service->checks) {
        struct filter_mark mark = consul_filter_begin(out);
        put_service_check(out, consul, container_of(link, struct consul_check, link), entry);
        consul_filter_end(filter, out, mark);
    }
}

/* That this node is there is a check, too. */
static void put_node_checks(struct json_out *out, const struct consul *consul,
                            const struct consul_service *node)
{
    const struct consul_entry entry = { .service = node };
    if (!node || consul_is_ours(consul, node))
        consul_render_node_check(out, consul);
    if (node)
        put_checks_of(out, consul, &entry, NULL);
}

/* What is known of an instance that registered elsewhere is one check. */
void consul_render_checks(struct json_out *out, const struct consul *consul,
                          const struct consul_entry *entry, const struct consul_filter *filter)
{
    if (entry->service)
        put_checks_of(out, consul, entry, filter);
    if (entry->service && !entry->instance->is_draining)
        return;
    char id[INSTANCE_ID_MAX + 16];
    snprintf(id, sizeof(id), "service:%s", entry->instance->id);
    const char *trouble = instance_trouble(entry->instance);
    const struct shown_check shown = {
        .id = span_of(entry->service ? "_drain" : id),
        .name = entry->instance->is_draining ? SPAN("Draining") : SPAN("Sarsen"),
        .status = span_of(check_status_word(consul_entry_status(consul, entry))),
        .output = span_of(trouble ? trouble : ""),
        .service_id = id_of(entry),
        .service_name = consul_entry_name(entry),
    };
    struct filter_mark mark = consul_filter_begin(out);
    put_check(out, consul, &shown, entry);
    consul_filter_end(filter, out, mark);
}

/* --- entries, whole --- */

void consul_render_entry(struct json_out *out, const struct consul *consul,
                         const struct consul_entry *entry)
{
    json_open(out, '{');
    json_key(out, SPAN("Node"));
    consul_render_node(out, consul, node_of(consul, entry));
    json_key(out, SPAN("Service"));
    json_open(out, '{');
    put_service(out, entry);
    json_close(out, '}');
    json_key(out, SPAN("Checks"));
    json_open(out, '[');
    put_node_checks(out, consul, node_of(consul, entry));
    consul_render_checks(out, consul, entry, NULL);
    json_close(out, ']');
    json_close(out, '}');
}

void consul_render_flat(struct json_out *out, const struct consul *consul,
                        const struct consul_entry *entry)
{
    struct place place = place_of(entry);
    json_open(out, '{');
    put_node(out, consul, node_of(consul, entry), "NodeMeta");
    put_text(out, "ServiceID", id_of(entry));
    put_text(out, "ServiceName", consul_entry_name(entry));
    put_tags(out, "ServiceTags", entry);
    put_text(out, "ServiceAddress", place.address);
    put_tagged(out, "ServiceTaggedAddresses", entry);
    put_meta(out, "ServiceMeta", entry);
    json_key(out, SPAN("ServicePort"));
    json_uint(out, place.port);
    put_weights(out, "ServiceWeights", entry);
    json_key(out, SPAN("ServiceEnableTagOverride"));
    json_bool(out, entry->service && entry->service->record->enables_tag_override);
    put_revisions(out, entry);
    json_close(out, '}');
}
