/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"
#include "codec/json.h"

static void print_services(const sarsen_value *value)
{
    static const struct column columns[] = { { "SERVICE", "service" },
                                             { "CONTRACTS", "contracts" },
                                             { "DEFAULT", "default" },
                                             { "INSTANCES", "instances" },
                                             { "GRAY", "gray" },
                                             { "IDENTITY", "identity" },
                                             { 0 } };
    print_table(sarsen_value_get(value, "services"), columns, "no service is registered");
}

static void put_ready(struct buf *text, const sarsen_value *row)
{
    bool has_panic = sarsen_value_is_true(sarsen_value_get(row, "panic"));
    put_cell(text, sarsen_value_get(row, "ready"));
    buf_puts(text, has_panic ? " (panic: all are used)" : "");
}

static void print_builds(const sarsen_value *value)
{
    static const struct column columns[] = {
        { "BUILD", "build" },     { "PROVIDES", "provides" },
        { "STATE", "state" },     { "READY", "ready", put_ready },
        { "CREATED", "created" }, { 0 }
    };
    print_table(sarsen_value_get(value, "builds"), columns, "no build is registered");
}

static void put_state(struct buf *text, const sarsen_value *row)
{
    const char *reason = sarsen_value_text(sarsen_value_get(row, "reason"));
    buf_printf(text, "%s%s%s", sarsen_value_text(sarsen_value_get(row, "state")),
               *reason ? ": " : "", reason);
}

static void print_instances(const sarsen_value *value)
{
    static const struct column columns[] = { { "INSTANCE", "id" },
                                             { "BUILD", "build" },
                                             { "ADDRESS", "address" },
                                             { "STATE", "state", put_state },
                                             { "TTL", "ttl" },
                                             { "LAST HEARTBEAT", "last_heartbeat" },
                                             { 0 } };
    print_table(sarsen_value_get(value, "instances"), columns, "no instance is registered");
}

static int services(struct command *command)
{
    return command_call(command, "GET", "/v1/services", NULL, print_services);
}

static int builds(struct command *command)
{
    char *path = command_path(command, "/v1/services/%/builds", command->operands[0]);
    int r = command_call(command, "GET", path, NULL, print_builds);
    free(path);
    return r;
}

static int instances(struct command *command)
{
    char *path = command_path(command, "/v1/services/%/instances", command->operands[0]);
    int r = command_call(command, "GET", path, NULL, print_instances);
    free(path);
    return r;
}

/* "identity=true gray=off" as a JSON object; values true and false are booleans. */
static void put_policies(struct buf *body, const struct command *command)
{
    struct json_out out = { .buf = body };
    json_open(&out, '{');
    for (unsigned i = 1; i < command->n_operands; i++) {
        struct span value = span_of(command->operands[i]), key = span_cut(&value, '=');
        json_key(&out, key);
        if (span_is(value, "true") || span_is(value, "false"))
            json_bool(&out, span_is(value, "true"));
        else
            json_text(&out, value);
    }
    json_close(&out, '}');
}

static int service_set(struct command *command)
{
    struct buf body = { 0 };
    put_policies(&body, command);
    char *path = command_path(command, "/v1/services/%", command->operands[0]);
    int r = command_call(command, "PUT", path, &body, NULL);
    free(path);
    return r;
}

static int service_default(struct command *command)
{
    struct span service = span_of(command->operands[0]);
    size_t at = span_find(service, '@');
    uint64_t major = 0;
    if (!span_to_uint(span_from(service, at + 1), UINT32_MAX, &major)) {
        fprintf(stderr, "sarsen: \"%s\" is no contract; \"orders@3\" is one\n",
                command->operands[0]);
        return CLI_USAGE;
    }
    struct buf body = { 0 };
    buf_printf(&body, "{\"contract\":%llu}", (unsigned long long)major);
    char *name = mem_span_dup(span_first(service, at));
    char *path = command_path(command, "/v1/services/%/default", name);
    int r = command_call(command, "PUT", path, &body, NULL);
    command_say(command, r, "%s serves callers whose BOM does not name %s\n", command->operands[0],
                name);
    free(path);
    free(name);
    return r;
}

static int service_remove(struct command *command)
{
    char *path = command_path(command, "/v1/services/%", command->operands[0]);
    int r = command_call(command, "DELETE", path, NULL, NULL);
    free(path);
    return r;
}

static void print_registered(const sarsen_value *value)
{
    CLEANUP(buf_fini) struct buf contracts = { 0 };
    put_cell(&contracts, sarsen_value_get(value, "provides"));
    const char *build = sarsen_value_text(sarsen_value_get(value, "build"));
    printf("%s of %s is registered at %s with build %s, which provides %.*s\n",
           sarsen_value_text(sarsen_value_get(value, "id")),
           sarsen_value_text(sarsen_value_get(value, "service")),
           sarsen_value_text(sarsen_value_get(value, "address")), build,
           SPAN_ARG(buf_span(&contracts)));
    if (strcmp(build, "0.0.0") == 0)
        puts("it is unversioned; --build 1.2.3 names the build it is a copy of");
    if (strcmp(sarsen_value_text(sarsen_value_get(value, "state")), "draining") == 0)
        puts("it goes on draining and takes no requests; after `sarsen deregister` it starts anew");
}

/* "a.B,c.D" as a list. */
static void put_names(struct json_out *out, const char *key, const char *names)
{
    struct span rest = span_of(names);
    if (!names)
        return;
    json_key(out, span_of(key));
    json_open(out, '[');
    while (rest.data)
        json_text(out, span_cut(&rest, ','));
    json_close(out, ']');
}

/* "grpc=a.B,interval=2s" as an object; "grpc" alone is one with an empty text. */
static void put_map(struct json_out *out, const char *key, const char *members)
{
    struct span rest = span_of(members);
    if (!members)
        return;
    json_key(out, span_of(key));
    json_open(out, '{');
    while (rest.data) {
        struct span value = span_cut(&rest, ','), name = span_cut(&value, '=');
        json_key(out, name);
        json_text(out, value);
    }
    json_close(out, '}');
}

static int instance_register(struct command *command)
{
    struct buf body = { 0 };
    struct json_out out = { .buf = &body };
    json_open(&out, '{');
    put_member(&out, "address", command->operands[2]);
    put_member(&out, "build", command->options.build);
    bool is_kept = command->program && !command->options.is_dry_run;
    put_member(&out, "ttl", command->options.ttl || !is_kept ? command->options.ttl : "10s");
    put_member(&out, "deregister_after", command->options.deregister_after);
    put_member(&out, "protocol", command->options.protocol);
    put_names(&out, "grpc_services", command->options.grpc_services);
    /* What is to be started does not listen yet. */
    bool is_asked = command->options.health || !is_kept;
    put_map(&out, "health", is_asked ? command->options.health : "tcp=true,interval=1s");
    json_close(&out, '}');
    char *path = command_path(command, "/v1/services/%/instances/%", command->operands[0],
                              command->operands[1]);
    int r = is_kept ? command_run(command, path, &body)
                    : command_call(command, "PUT", path, &body, print_registered);
    free(path);
    return r;
}

static int instance_verb(struct command *command, const char *method, const char *pattern)
{
    char *path = command_path(command, pattern, command->operands[0], command->operands[1]);
    int r = command_call(command, method, path, NULL, NULL);
    free(path);
    return r;
}

static int instance_drain(struct command *command)
{
    int r = instance_verb(command, "POST", "/v1/services/%/instances/%:drain");
    return command_say(command, r,
                       "%s of %s gets no new requests; those in flight finish. "
                       "`sarsen deregister %s %s` removes it\n",
                       command->operands[1], command->operands[0], command->operands[0],
                       command->operands[1]);
}

static int instance_deregister(struct command *command)
{
    int r = instance_verb(command, "DELETE", "/v1/services/%/instances/%");
    return command_say(command, r, "%s of %s is gone\n", command->operands[1],
                       command->operands[0]);
}

const struct verb registry_verbs[] = {
    { "services", "", "", 0, 0, "Lists services.", services },
    { "builds", "SERVICE", "", 1, 1, "Lists the builds of a service and what each does.", builds },
    { "instances", "SERVICE", "", 1, 1, "Lists the instances of a service.", instances },
    { "service set", "SERVICE KEY=VALUE…", "", 2, 8,
      "Sets policies: identity=true, gray=off, auto_start=true, when_baseline_gone=promote.",
      service_set },
    { "service default", "CONTRACT", "", 1, 1,
      "Makes a contract (orders@3) serve callers whose BOM does not name the service.",
      service_default },
    { "service remove", "SERVICE", "", 1, 1, "Forgets a service that has no instances.",
      service_remove },
    { "register", "SERVICE ID ADDRESS",
      "build ttl deregister-after protocol grpc-services health grace", 3, 3,
      "Registers an instance; reachable when this returns.\n"
      "--protocol is http, http2 or grpc, each with +tls where it speaks TLS;\n"
      "--grpc-services a.B,c.D are the gRPC services whose methods lead to it;\n"
      "--health has it asked whether it works: grpc=a.B or http=/healthz or tcp=true,\n"
      "and where others than the usual ones are wanted interval=5s,timeout=1s,failures=3,passes=1.\n"
      "With -- COMMAND it starts that, sends heartbeats while it runs (--ttl 10s), has it drained\n"
      "and hands on SIGTERM a second later (--grace 1s), and deregisters it when it has ended.\n"
      "Without --health it gets requests once it takes a connection. The exit status is its own.",
      instance_register, true },
    { "drain", "SERVICE ID", "", 2, 2, "Sends an instance no new requests.", instance_drain },
    { "deregister", "SERVICE ID", "", 2, 2, "Removes an instance.", instance_deregister },
    { 0 },
};
