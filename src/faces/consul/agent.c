/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What clients ask to learn whom they talk to, and whether anybody is there. There is one node, one
 * datacenter, and no cluster of Consul's kind behind them.
 */

#include "faces/consul/render.h"

#define VERSION "1.21.0" /* whose API this is; clients look at it */
#define LEADER SPAN("127.0.0.1:8300")

static void put_member(struct json_out *out, const struct consul *consul)
{
    json_open(out, '{');
    put_text(out, "Name", span_of(consul->settings.node));
    put_text(out, "Addr", SPAN("127.0.0.1"));
    json_key(out, SPAN("Port"));
    json_uint(out, 8301);
    json_key(out, SPAN("Tags"));
    json_open(out, '{');
    put_text(out, "dc", span_of(consul->settings.datacenter));
    put_text(out, "role", SPAN("consul"));
    json_close(out, '}');
    json_key(out, SPAN("Status"));
    json_uint(out, 1); /* alive */
    json_close(out, '}');
}

void consul_agent_self(struct consul_call *call)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct json_out out = { .buf = &text };
    json_open(&out, '{');
    json_key(&out, SPAN("Config"));
    json_open(&out, '{');
    put_text(&out, "Datacenter", span_of(call->consul->settings.datacenter));
    put_text(&out, "PrimaryDatacenter", span_of(call->consul->settings.datacenter));
    put_text(&out, "NodeName", span_of(call->consul->settings.node));
    json_key(&out, SPAN("Server"));
    json_bool(&out, true);
    put_text(&out, "Version", SPAN(VERSION));
    json_close(&out, '}');
    json_key(&out, SPAN("Member"));
    put_member(&out, call->consul);
    json_key(&out, SPAN("Meta"));
    json_open(&out, '{');
    json_close(&out, '}');
    json_close(&out, '}');
    consul_reply_json(call, &text);
}

void consul_agent_host(struct consul_call *call)
{
    consul_reply(call, 200, "application/json", SPAN("{}"));
}

void consul_agent_members(struct consul_call *call)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct json_out out = { .buf = &text };
    json_open(&out, '[');
    put_member(&out, call->consul);
    json_close(&out, ']');
    consul_reply_json(call, &text);
}

static void reply_text(struct consul_call *call, struct span value, bool is_list)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct json_out out = { .buf = &text };
    if (is_list)
        json_open(&out, '[');
    json_text(&out, value);
    if (is_list)
        json_close(&out, ']');
    consul_reply_json(call, &text);
}

void consul_status_leader(struct consul_call *call)
{
    reply_text(call, LEADER, false);
}

void consul_status_peers(struct consul_call *call)
{
    reply_text(call, LEADER, true);
}

void consul_datacenters(struct consul_call *call)
{
    reply_text(call, span_of(call->consul->settings.datacenter), true);
}

/* Nobody here speaks through Consul's mesh; some clients wait until there is an authority of it. */
void consul_ca_roots(struct consul_call *call)
{
    consul_reply(
        call, 200, "application/json",
        SPAN("{\"ActiveRootID\":\"none\",\"TrustDomain\":\"sarsen\",\"Roots\":[{\"ID\":"
             "\"none\",\"Name\":\"There is no mesh\",\"RootCert\":\"\",\"Active\":true}]}"));
}
