/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"
#include "codec/json.h"

#define BY_DEFAULT "contract,release,customer,caller"

/* Whether "app" is among "contract,app"; a release comes with its app. */
static bool is_asked_for(const char *by, const char *member)
{
    struct span rest = span_of(by);
    while (rest.data) {
        struct span name = span_trim(span_cut(&rest, ','));
        if (span_is(name, member) || (span_is(name, "release") && strcmp(member, "app") == 0))
            return true;
    }
    return false;
}

/* The columns that were asked for, then what was counted. */
static void print_usage(const sarsen_value *value, const char *by)
{
    static const struct column asked[] = {
        { "CONTRACT", "contract", NULL }, { "BUILD", "build", NULL },
        { "APP", "app", NULL },           { "RELEASE", "release", NULL },
        { "CUSTOMER", "customer", NULL }, { "CALLER", "caller", NULL }
    };
    struct column columns[sizeof(asked) / sizeof(asked[0]) + 4] = { 0 };
    unsigned n = 0;
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        if (is_asked_for(by, asked[i].member))
            columns[n++] = asked[i];
    }
    columns[n++] = (struct column){ "REQUESTS", "n", NULL };
    columns[n++] = (struct column){ "ERRORS", "errors", NULL };
    columns[n] = (struct column){ "LAST", "last", NULL };
    print_table(sarsen_value_get(value, "usage"), columns, "no use is known");
}

/* Members of a cluster count for themselves. */
static void print_elsewhere(const sarsen_value *value)
{
    static const struct column columns[] = {
        { "CONTRACT", "contract", NULL },
        { "MEMBER", "member", NULL },
        { "HOST", "host", NULL },
        { "LAST", "last", NULL },
        { 0 },
    };
    const sarsen_value *elsewhere = sarsen_value_get(value, "elsewhere");
    if (!sarsen_value_size(elsewhere))
        return;
    printf("\nwhat other members counted is to be asked there:\n");
    print_table(elsewhere, columns, "");
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
    const char *by = options->by ? options->by : BY_DEFAULT;
    put_query(&path, command, "by", by);
    char *text = buf_take_text(&path);
    sarsen_value *value = NULL;
    int r = command_ask(command, "GET", text, NULL, &value);
    free(text);
    if (!r && options->is_json)
        command_show(command, value, NULL);
    else if (!r)
        print_usage(value, by);
    if (!r && !options->is_json)
        print_elsewhere(value);
    sarsen_value_free(value);
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
    int r = command_ask(command, "GET", path, NULL, &value);
    free(path);
    if (r)
        return r;
    command_show(command, value, print_verdict);
    bool is_blocked = strcmp(sarsen_value_text(sarsen_value_get(value, "verdict")), "BLOCKED") == 0;
    sarsen_value_free(value);
    return is_blocked ? CLI_FAILED : CLI_OK;
}

static void print_state(const sarsen_value *value)
{
    const char *contract = sarsen_value_text(sarsen_value_get(value, "contract"));
    const char *successor = sarsen_value_text(sarsen_value_get(value, "successor"));
    const char *baseline = sarsen_value_text(sarsen_value_get(value, "baseline"));
    bool is_offline = strcmp(sarsen_value_text(sarsen_value_get(value, "state")), "offline") == 0;
    if (is_offline) {
        printf("%s is offline; callers get 410%s%s; `sarsen retire restore %s` undoes it\n",
               contract, *successor ? " and are pointed to " : "", successor, contract);
    } else {
        printf("%s is active; callers reach it%s%s\n", contract,
               *baseline ? " by build " : " when a build provides it", baseline);
    }
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
    put_member(&out, "why", command->options.why);
    json_close(&out, '}');
    int r = command_call(command, "POST", path, &body, print_state);
    free(path);
    return r;
}

const struct verb usage_verbs[] = {
    { "usage", "[CONTRACT]", "by since customer caller app release build", 0, 1,
      "Tells who used what, latest use first. --by names the columns to keep apart:\n"
      "contract, build, app, release (with its app), customer, caller.",
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
