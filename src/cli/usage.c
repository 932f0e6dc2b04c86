/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"
#include "codec/json.h"

static void print_usage(const sarsen_value *value)
{
    static const struct column columns[] = { { "CONTRACT", "contract" }, { "BUILD", "build" },
                                             { "APP", "app" },           { "RELEASE", "release" },
                                             { "CUSTOMER", "customer" }, { "CALLER", "caller" },
                                             { "REQUESTS", "n" },        { "ERRORS", "errors" },
                                             { "LAST", "last" },         { 0 } };
    print_table(sarsen_value_get(value, "usage"), columns, "no use is known");
}

static void put_query(struct buf *path, const struct command *command, const char *name,
                      const char *value)
{
    if (!value)
        return;
    char *encoded = command_path(&(struct command){ .verb = command->verb }, "%", value);
    buf_printf(path, "%c%s=%s", span_find(buf_span(path), '?') < path->size ? '&' : '?', name,
               encoded);
    free(encoded);
}

static int usage(struct command *command)
{
    const struct cli_options *options = &command->options;
    struct buf path = { 0 };
    buf_puts(&path, "/v1/usage");
    put_query(&path, command, "contract", command->n_operands ? command->operands[0] : NULL);
    put_query(&path, command, "customer", options->customer);
    put_query(&path, command, "caller", options->caller);
    put_query(&path, command, "app", options->app);
    put_query(&path, command, "release", options->release);
    put_query(&path, command, "build", options->build);
    put_query(&path, command, "since", options->since);
    put_query(&path, command, "by", options->by ? options->by : "contract,release,customer,caller");
    char *text = buf_take_text(&path);
    int r = command_call(command, "GET", text, NULL, print_usage);
    free(text);
    return r;
}

/* The path of "orders@2" with what follows it, or NULL, having said why. */
static char *contract_path(const struct command *command, const char *rest)
{
    struct span major = span_of(command->operands[0]), service = span_cut(&major, '@');
    if (!service.size || !major.size) {
        fprintf(stderr, "sarsen: \"%s\" is no contract; \"orders@2\" is one\n",
                command->operands[0]);
        return NULL;
    }
    char *name = mem_span_dup(service);
    char *pattern = mem_format("/v1/contracts/%%/%%%s", rest);
    char *path = command_path(command, pattern, name, major.data);
    free(pattern);
    free(name);
    return path;
}

static void print_verdict(const sarsen_value *value)
{
    static const struct column columns[] = { { "BLOCKER", "kind" }, { "WHY", "text" }, { 0 } };
    printf("%s is %s\n", sarsen_value_text(sarsen_value_get(value, "contract")),
           sarsen_value_text(sarsen_value_get(value, "verdict")));
    if (sarsen_value_size(sarsen_value_get(value, "blockers")))
        print_table(sarsen_value_get(value, "blockers"), columns, "");
}

static int retire_check(struct command *command)
{
    char *path = contract_path(command, "/retirement");
    if (!path)
        return CLI_USAGE;
    sarsen_value *value = NULL;
    int r = sarsen_call(command->client, "GET", path, NULL, &value);
    free(path);
    if (r)
        return command_fail(command, r);
    if (command->options.is_json) {
        char *text = sarsen_value_json(value);
        puts(text ? text : "");
        free(text);
    } else {
        print_verdict(value);
    }
    bool is_blocked = strcmp(sarsen_value_text(sarsen_value_get(value, "verdict")), "BLOCKED") == 0;
    sarsen_value_free(value);
    return is_blocked ? CLI_FAILED : CLI_OK;
}

/* "retire offline" is POST /v1/contracts/orders/2:offline. */
static int retire_change(struct command *command)
{
    char *verb = mem_format(":%s", strchr(command->verb->name, ' ') + 1);
    char *path = contract_path(command, verb);
    free(verb);
    if (!path)
        return CLI_USAGE;
    struct buf body = { 0 };
    struct json_out out = { .buf = &body };
    json_open(&out, '{');
    if (command->options.why) {
        json_key(&out, SPAN("why"));
        json_text(&out, span_of(command->options.why));
    }
    json_close(&out, '}');
    int r = command_call(command, "POST", path, &body, NULL);
    free(path);
    return r;
}

const struct verb usage_verbs[] = {
    { "usage", "[CONTRACT]", "by since customer caller app release build", 0, 1,
      "Tells who used what, latest use first. --by names the columns to keep apart:\n"
      "contract, build, release, customer, caller.",
      usage },
    { "retire check", "CONTRACT", "", 1, 1,
      "Tells whether a contract can go offline; exit status 1 when something is in the way.",
      retire_check },
    { "retire offline", "CONTRACT", "why", 1, 1,
      "Takes a contract offline; refused while anybody needs it.", retire_change },
    { "retire restore", "CONTRACT", "why", 1, 1, "Brings an offline contract back.",
      retire_change },
    { 0 },
};
