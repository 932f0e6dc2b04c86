/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Finding services: what is registered, wherever it registered, as Consul's clients ask for it. The
 * index of a service is that of the last change of it, its instances and their checks; of one that
 * is not there, that of the last that went.
 */

#include "faces/consul/filter.h"
#include "faces/consul/render.h"

/* The registry's name, which topics have; empty when nothing can have this name. */
static struct span registry_name(struct consul_call *call, struct span name)
{
    char *text = arena_alloc(&call->arena, SERVICE_NAME_MAX + 1, 1);
    return consul_service_name(name, text) ? span_of(text) : SPAN_NULL;
}

static bool is_due(struct consul_call *call)
{
    struct span name = registry_name(call, call->tail);
    const struct consul *consul = call->consul;
    const struct service *service = service_find(consul->registry, name);
    int64_t index = consul->gone_revision;
    if (service && service->changed_revision > 0)
        index = service->changed_revision;
    const struct consul_name *here = consul_name_find(consul, name);
    if (here && here->changed_revision > index)
        index = here->changed_revision;
    return consul_is_due(call, index, TOPIC_SERVICE, name);
}

/* --- nodes --- */

static bool has_meta(const struct consul_service *node, struct span pair)
{
    struct span value = pair, key = span_cut(&value, ':');
    for (size_t i = 0; node && i < node->record->n_meta; i++) {
        if (span_is(key, node->record->meta[i]->key) &&
            (!value.data || span_is(value, node->record->meta[i]->value)))
            return true;
    }
    return false;
}

/* node-meta=KEY:VALUE may be there several times, and all must fit. */
static bool is_node_wanted(struct consul_call *call, const struct consul_service *node)
{
    struct span rest = call->query;
    while (rest.data) {
        struct span value = span_cut(&rest, '&');
        if (span_is(span_cut(&value, '='), "node-meta") && value.size &&
            !has_meta(node, consul_decode(call, value)))
            return false;
    }
    return true;
}

static const struct consul_service *our_node(const struct consul *consul)
{
    return consul_node_find(consul, span_of(consul->settings.node));
}

/* --- one service --- */

struct selection {
    struct consul_call *call;
    struct json_out out;
    struct consul_filter *filter; /* NULL: none */
    struct span *tags;
    size_t n_tags;
    bool only_passing;
    void (*render)(struct json_out *out, const struct consul *consul,
                   const struct consul_entry *entry); /* NULL: each of its checks */
};

static void on_entry(void *owner, const struct consul_entry *entry)
{
    struct selection *selection = owner;
    for (size_t i = 0; i < selection->n_tags; i++) {
        if (!consul_entry_has_tag(entry, selection->tags[i]))
            return;
    }
    const struct consul *consul = selection->call->consul;
    if (selection->only_passing && consul_entry_status(consul, entry) != CHECK_PASSING)
        return;
    const struct consul_service *node =
        entry->service ? consul_node_of(consul, entry->service) : our_node(consul);
    if (!is_node_wanted(selection->call, node))
        return;
    if (!selection->render) {
        consul_render_checks(&selection->out, consul, entry, selection->filter);
        return;
    }
    struct filter_mark mark = consul_filter_begin(&selection->out);
    selection->render(&selection->out, consul, entry);
    consul_filter_end(selection->filter, &selection->out, mark);
}

/* A tag may be there several times, and all must fit. */
static void read_tags(struct selection *selection)
{
    struct span rest = selection->call->query;
    size_t n = 1;
    for (size_t i = 0; i < rest.size; i++)
        n += rest.data[i] == '&';
    selection->tags = arena_new_array(&selection->call->arena, struct span, n);
    while (rest.data) {
        struct span value = span_cut(&rest, '&');
        if (!span_is(span_cut(&value, '='), "tag") || !value.size)
            continue;
        selection->tags[selection->n_tags++] = consul_decode(selection->call, value);
    }
}

static void reply_entries(struct consul_call *call,
                          void (*render)(struct json_out *out, const struct consul *consul,
                                         const struct consul_entry *entry))
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct selection selection = { .call = call, .out = { .buf = &text }, .render = render };
    if (!consul_filter_read(call, &selection.filter) || !is_due(call))
        return;
    read_tags(&selection);
    selection.only_passing = render == consul_render_entry && consul_flag(call, "passing");
    json_open(&selection.out, '[');
    consul_each_entry(call, call->tail, on_entry, &selection);
    json_close(&selection.out, ']');
    consul_reply_json(call, &text);
}

void consul_health_service(struct consul_call *call)
{
    reply_entries(call, consul_render_entry);
}

void consul_health_checks(struct consul_call *call)
{
    reply_entries(call, NULL);
}

void consul_catalog_service(struct consul_call *call)
{
    reply_entries(call, consul_render_flat);
}

/* Nobody is part of a mesh. */
void consul_health_connect(struct consul_call *call)
{
    call->index = consul_index(call->consul->catalog_revision);
    consul_reply(call, 200, "application/json", SPAN("[]"));
}

/* --- all of them --- */

static bool is_catalog_due(struct consul_call *call)
{
    return consul_is_due(call, call->consul->catalog_revision, TOPIC_CATALOG, SPAN_NULL);
}

struct known_tag {
    struct map_node node;
};

/* Each tag once, in the order of its first coming. */
static void put_service_tags(struct json_out *out, struct consul_call *call,
                             const struct service *service)
{
    struct map known;
    map_init(&known);
    json_open(out, '[');
    map_each (node, &service->instances) {
        struct consul_entry entry = { .instance = container_of(node, struct instance, node) };
        entry.service = consul_service_of(call->consul, entry.instance);
        for (size_t i = 0; i < consul_entry_n_tags(&entry); i++) {
            struct span tag = span_of(entry.service->record->tags[i]);
            if (map_find(&known, tag))
                continue;
            map_add(&known, &arena_new(&call->arena, struct known_tag)->node, tag);
            json_text(out, tag);
        }
    }
    json_close(out, ']');
    map_fini(&known);
}

/* "consul" is always there: it is who answers. */
void consul_catalog_services(struct consul_call *call)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct json_out out = { .buf = &text };
    if (!is_catalog_due(call))
        return;
    json_open(&out, '{');
    json_key(&out, SPAN("consul"));
    json_open(&out, '[');
    json_close(&out, ']');
    map_each (node, registry_services(call->consul->registry)) {
        const struct service *service = container_of(node, struct service, node);
        if (service->instances.n_nodes == 0 || span_is(SPAN("consul"), service->name))
            continue;
        struct consul_entry first = {
            .instance = container_of(service->instances.nodes.next, struct instance, node.link),
        };
        first.service = consul_service_of(call->consul, first.instance);
        json_key(&out, consul_entry_name(&first));
        put_service_tags(&out, call, service);
    }
    json_close(&out, '}');
    consul_reply_json(call, &text);
}

/* --- checks --- */

struct check_list {
    struct consul_call *call;
    struct json_out out;
    struct consul_filter *filter;
    struct span status; /* "any", or one */
    struct span node;   /* NULL: of any */
};

static void put_checks(struct check_list *list, const struct map *checks)
{
    const struct consul *consul = list->call->consul;
    map_each (at, checks) {
        const struct consul_check *check = container_of(at, struct consul_check, node);
        const struct consul_service *node = consul_node_of(consul, check->service);
        bool is_wanted =
            span_is(list->status, "any") || span_is(list->status, check_status_word(check->status));
        if (list->node.data)
            is_wanted &= node && span_equals_nocase(list->node, node->node.key);
        if (!is_wanted || !is_node_wanted(list->call, node))
            continue;
        struct filter_mark mark = consul_filter_begin(&list->out);
        consul_render_check(&list->out, consul, check);
        consul_filter_end(list->filter, &list->out, mark);
    }
}

static void put_ours(struct check_list *list)
{
    const struct consul *consul = list->call->consul;
    struct filter_mark mark = consul_filter_begin(&list->out);
    bool is_wanted = span_is(list->status, "any") || span_is(list->status, "passing");
    if (is_wanted && is_node_wanted(list->call, our_node(consul))) {
        consul_render_node_check(&list->out, consul);
        consul_filter_end(list->filter, &list->out, mark);
    }
    put_checks(list, &consul->checks);
}

static void reply_checks(struct consul_call *call, struct span status, struct span node)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct check_list list = { .call = call, .out = { .buf = &text }, .status = status };
    if (!consul_filter_read(call, &list.filter) || !is_catalog_due(call))
        return;
    json_open(&list.out, '[');
    if (!node.data || consul_node_is_ours(call->consul, node)) {
        put_ours(&list); /* all of them are of this node */
        node = node.data ? SPAN("") : SPAN_NULL;
    }
    list.node = node;
    if (!node.data || node.size)
        put_checks(&list, &call->consul->others);
    json_close(&list.out, ']');
    consul_reply_json(call, &text);
}

void consul_health_state(struct consul_call *call)
{
    static const char *const words[] = { "any", "passing", "warning", "critical" };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (span_is(call->tail, words[i])) {
            reply_checks(call, call->tail, SPAN_NULL);
            return;
        }
    }
    consul_refuse(call, 400, "no such state: any, passing, warning and critical are");
}

void consul_health_node(struct consul_call *call)
{
    reply_checks(call, SPAN("any"), call->tail.data ? call->tail : SPAN(""));
}

/* --- all nodes, and one --- */

static void put_node(struct json_out *out, struct consul_call *call,
                     const struct consul_service *node, const struct consul_filter *filter)
{
    if (!is_node_wanted(call, node))
        return;
    struct filter_mark mark = consul_filter_begin(out);
    consul_render_node(out, call->consul, node);
    consul_filter_end(filter, out, mark);
}

void consul_catalog_nodes(struct consul_call *call)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct json_out out = { .buf = &text };
    struct consul_filter *filter;
    if (!consul_filter_read(call, &filter) ||
        !consul_is_due(call, call->consul->nodes_revision, TOPIC_NODES, SPAN_NULL))
        return;
    json_open(&out, '[');
    put_node(&out, call, our_node(call->consul), filter);
    map_each (at, &call->consul->services[CONSUL_NODE]) {
        const struct consul_service *node = container_of(at, struct consul_service, node);
        if (!consul_is_ours(call->consul, node))
            put_node(&out, call, node, filter);
    }
    json_close(&out, ']');
    consul_reply_json(call, &text);
}

/* Of one node, in a map by id or in a list. */
struct node_services {
    struct consul_call *call;
    struct json_out out;
    struct consul_filter *filter;
    bool is_list;
};

static void put_services(struct node_services *list, const struct map *services, struct span node)
{
    map_each (at, services) {
        const struct consul_service *service = container_of(at, struct consul_service, node);
        if (service->kind == CONSUL_ELSEWHERE &&
            !span_equals_nocase(node, span_of(service->record->node)))
            continue;
        struct filter_mark mark =
            list->is_list ? consul_filter_begin(&list->out)
                          : consul_filter_begin_member(&list->out, span_of(service->id));
        consul_render_agent_service(&list->out, list->call->consul, service);
        consul_filter_end(list->filter, &list->out, mark);
    }
}

static void reply_node(struct consul_call *call, bool is_list)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    const struct consul *consul = call->consul;
    struct node_services list = { .call = call, .out = { .buf = &text }, .is_list = is_list };
    if (!consul_filter_read(call, &list.filter) || !is_catalog_due(call))
        return;
    bool is_ours = consul_node_is_ours(consul, call->tail);
    const struct consul_service *node = consul_node_find(consul, call->tail);
    if (!is_ours && !node) {
        consul_reply(call, 200, "application/json", SPAN("null"));
        return;
    }
    json_open(&list.out, '{');
    json_key(&list.out, SPAN("Node"));
    consul_render_node(&list.out, consul, node);
    json_key(&list.out, SPAN("Services"));
    json_open(&list.out, is_list ? '[' : '{');
    put_services(&list, &consul->services[is_ours ? CONSUL_HERE : CONSUL_ELSEWHERE], call->tail);
    json_close(&list.out, is_list ? ']' : '}');
    json_close(&list.out, '}');
    consul_reply_json(call, &text);
}

void consul_catalog_node(struct consul_call *call)
{
    reply_node(call, false);
}

void consul_catalog_node_services(struct consul_call *call)
{
    reply_node(call, true);
}
