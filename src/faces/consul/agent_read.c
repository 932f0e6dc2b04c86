/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What registered here, read back: services and checks by their ids, and how a service is.
 */

#include "faces/consul/filter.h"
#include "faces/consul/render.h"

#define STATUS_TOO_MANY 429u /* for a warning, as Consul has it */

/* One member for each of a map, by its id. */
static void reply_each(struct consul_call *call, const struct map *map,
                       void (*put)(struct json_out *out, const struct consul *consul,
                                   const struct consul_filter *filter, struct map_node *node))
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct json_out out = { .buf = &text };
    struct consul_filter *filter;
    if (!consul_filter_read(call, &filter))
        return;
    json_open(&out, '{');
    map_each (node, map)
        put(&out, call->consul, filter, node);
    json_close(&out, '}');
    consul_reply_json(call, &text);
}

static void put_service(struct json_out *out, const struct consul *consul,
                        const struct consul_filter *filter, struct map_node *node)
{
    struct filter_mark mark = consul_filter_begin_member(out, node->key);
    consul_render_agent_service(out, consul, container_of(node, struct consul_service, node));
    consul_filter_end(filter, out, mark);
}

void consul_agent_services(struct consul_call *call)
{
    reply_each(call, &call->consul->services[CONSUL_HERE], put_service);
}

static void put_check(struct json_out *out, const struct consul *consul,
                      const struct consul_filter *filter, struct map_node *node)
{
    struct filter_mark mark = consul_filter_begin_member(out, node->key);
    consul_render_check(out, consul, container_of(node, struct consul_check, node));
    consul_filter_end(filter, out, mark);
}

void consul_agent_checks(struct consul_call *call)
{
    reply_each(call, &call->consul->checks, put_check);
}

/* Blocks by the hash of what it is, which a change of its checks leaves as it was. */
void consul_agent_service(struct consul_call *call)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct json_out out = { .buf = &text };
    const struct consul_service *service = consul_service_find(call->consul, call->tail);
    if (!service) {
        consul_refuse(call, 404, "unknown service ID: %.*s", SPAN_ARG(span_first(call->tail, 200)));
        return;
    }
    struct consul_entry entry = consul_entry_of(call->consul, service);
    char hash[17] = "";
    if (entry.instance)
        consul_hash_service(&entry, hash);
    if (!consul_is_other(call, arena_strdup(&call->arena, hash), TOPIC_SERVICE,
                         span_of(service->record->service)))
        return;
    consul_render_agent_service(&out, call->consul, service);
    consul_reply_json(call, &text);
}

/* --- how a service is --- */

/* Its node's checks are its own, too. */
static const char *word_of(const struct consul *consul, const struct consul_service *service)
{
    const struct consul_service *node = consul_node_of(consul, service);
    bool is_in_maintenance = consul_is_in_maintenance(service->record) ||
                             (node && consul_is_in_maintenance(node->record));
    return is_in_maintenance ? "maintenance"
                             : check_status_word(consul_status_there(consul, service));
}

static void put_checks_of(struct json_out *out, const struct consul *consul,
                          const struct consul_service *service)
{
    list_each (link, &service->checks)
        consul_render_check(out, consul, container_of(link, struct consul_check, link));
}

static void put_health(struct json_out *out, const struct consul *consul,
                       const struct consul_service *service)
{
    const struct consul_service *node = consul_node_of(consul, service);
    json_open(out, '{');
    put_text(out, "AggregatedStatus", span_of(word_of(consul, service)));
    json_key(out, SPAN("Service"));
    consul_render_agent_service(out, consul, service);
    json_key(out, SPAN("Checks"));
    json_open(out, '[');
    put_checks_of(out, consul, service);
    if (node)
        put_checks_of(out, consul, node);
    json_close(out, ']');
    json_close(out, '}');
}

/* The status says it, too, for those who look at nothing else. */
static void reply_health(struct consul_call *call, const char *word, struct span json)
{
    struct span format;
    unsigned status = 503;
    if (strcmp(word, "passing") == 0)
        status = 200;
    else if (strcmp(word, "warning") == 0)
        status = STATUS_TOO_MANY;
    else if (json.size == 0 || span_is(json, "[]"))
        status = 404;
    if (consul_param(call, "format", &format) && span_is(format, "text"))
        consul_reply(call, status, "text/plain", span_of(word));
    else
        consul_reply(call, status, "application/json", json.size ? json : SPAN("null"));
}

void consul_agent_health_id(struct consul_call *call)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct json_out out = { .buf = &text };
    const struct consul_service *service = consul_service_find(call->consul, call->tail);
    if (service)
        put_health(&out, call->consul, service);
    reply_health(call, service ? word_of(call->consul, service) : "critical", buf_span(&text));
}

static bool is_worse(const char *word, const char *than)
{
    static const char *const order[] = { "maintenance", "critical", "warning", "passing" };
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (strcmp(than, order[i]) == 0)
            return false;
        if (strcmp(word, order[i]) == 0)
            return true;
    }
    return false;
}

/* As the worst of those that have the name; nobody is critical. */
void consul_agent_health_name(struct consul_call *call)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct json_out out = { .buf = &text };
    const char *worst = NULL;
    json_open(&out, '[');
    map_each (node, &call->consul->services[CONSUL_HERE]) {
        const struct consul_service *service = container_of(node, struct consul_service, node);
        if (!span_equals_nocase(call->tail, span_of(service->record->name)))
            continue;
        put_health(&out, call->consul, service);
        const char *word = word_of(call->consul, service);
        if (!worst || is_worse(word, worst))
            worst = word;
    }
    json_close(&out, ']');
    reply_health(call, worst ? worst : "critical", buf_span(&text));
}
