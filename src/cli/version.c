/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"
#include "codec/json.h"

static void print_contracts(const sarsen_value *value)
{
    static const struct column columns[] = { { "CONTRACT", "contract" },
                                             { "STATE", "state" },
                                             { "BASELINE", "baseline" },
                                             { "OTHER BUILDS", "other_builds" },
                                             { "SUCCESSOR", "successor" },
                                             { "OWNER", "owner" },
                                             { 0 } };
    print_table(sarsen_value_get(value, "contracts"), columns, "no contract is known");
}

static void print_apps(const sarsen_value *value)
{
    static const struct column columns[] = { { "APP", "app" }, { "DEFAULT", "default" }, { 0 } };
    print_table(sarsen_value_get(value, "apps"), columns, "no app is published");
}

static void print_releases(const sarsen_value *value)
{
    static const struct column columns[] = { { "RELEASE", "release" },
                                             { "REQUIRES", "requires" },
                                             { "PUBLISHED", "published" },
                                             { "CREATED", "created" },
                                             { 0 } };
    print_table(sarsen_value_get(value, "releases"), columns, "no release is published");
}

static void print_customers(const sarsen_value *value)
{
    static const struct column pins[] = { { "CUSTOMER", "customer" }, { "APP", "app" },
                                          { "RELEASE", "release" },   { "EXPIRES", "expires" },
                                          { "WHY", "why" },           { 0 } };
    const sarsen_value *customers = sarsen_value_get(value, "customers");
    if (!sarsen_value_size(customers)) {
        puts("no customer has attributes or pins");
        return;
    }
    static const struct column columns[] = { { "CUSTOMER", "customer" },
                                             { "ATTRIBUTES", "attributes" },
                                             { 0 } };
    print_table(customers, columns, "");
    for (size_t i = 0; i < sarsen_value_size(customers); i++) {
        const sarsen_value *list = sarsen_value_get(sarsen_value_at(customers, i), "pins");
        if (sarsen_value_size(list)) {
            puts("");
            print_table(list, pins, "");
        }
    }
}

static void print_cohorts(const sarsen_value *value)
{
    static const struct column columns[] = { { "COHORT", "cohort" },
                                             { "EXPRESSION", "expression" },
                                             { 0 } };
    print_table(sarsen_value_get(value, "cohorts"), columns, "no cohort is named");
}

static void print_explanation(const sarsen_value *value)
{
    static const struct column steps[] = {
        { "RULE", "rule" }, { "ABOUT", "subject" }, { "WHY", "text" }, { 0 }
    };
    static const struct column services[] = { { "SERVICE", "service" },
                                              { "CONTRACT", "contract" },
                                              { "BUILD", "build" },
                                              { "WHY", "why" },
                                              { 0 } };
    printf("customer  %s\nBOM       %s\nreason    %s\n",
           sarsen_value_text(sarsen_value_get(value, "customer")),
           sarsen_value_text(sarsen_value_get(value, "bom")),
           sarsen_value_text(sarsen_value_get(value, "reason")));
    const sarsen_value *served = sarsen_value_get(value, "served");
    for (size_t i = 0; i < sarsen_value_size(served); i++) {
        const sarsen_value *row = sarsen_value_at(served, i);
        printf("serves    %s %s", sarsen_value_text(sarsen_value_get(row, "app")),
               sarsen_value_text(sarsen_value_get(row, "release")));
        const sarsen_value *contracts = sarsen_value_get(row, "contracts");
        for (size_t c = 0; c < sarsen_value_size(contracts); c++) {
            const sarsen_value *contract = sarsen_value_at(contracts, c);
            printf("%s %s by build %s", c ? "," : " with",
                   sarsen_value_text(sarsen_value_get(contract, "contract")),
                   sarsen_value_text(sarsen_value_get(contract, "build")));
        }
        puts("");
    }
    puts("");
    print_table(sarsen_value_get(value, "services"), services, "no service is registered");
    puts("");
    print_table(sarsen_value_get(value, "trace"), steps, "no rule applies");
}

static int list_call(struct command *command, const char *path,
                     void (*print)(const sarsen_value *value))
{
    return command_call(command, "GET", path, NULL, print);
}

static int contracts(struct command *command)
{
    return list_call(command, "/v1/contracts", print_contracts);
}

static int apps(struct command *command)
{
    return list_call(command, "/v1/apps", print_apps);
}

static int customers(struct command *command)
{
    return list_call(command, "/v1/customers", print_customers);
}

static int cohorts(struct command *command)
{
    return list_call(command, "/v1/cohorts", print_cohorts);
}

static int releases(struct command *command)
{
    char *path = command_path(command, "/v1/apps/%", command->operands[0]);
    int r = command_call(command, "GET", path, NULL, print_releases);
    free(path);
    return r;
}

/* One call with a body of text members, names and values alternating; NULL values are left out. */
static int put_call(struct command *command, char *path, const char *const *members, size_t n,
                    void (*print)(const sarsen_value *value))
{
    struct buf body = { 0 };
    struct json_out out = { .buf = &body };
    json_open(&out, '{');
    for (size_t i = 0; i < n; i += 2)
        put_member(&out, members[i], members[i + 1]);
    json_close(&out, '}');
    int r = command_call(command, "PUT", path, &body, print);
    free(path);
    return r;
}

static int app_default(struct command *command)
{
    const char *members[] = { "release", command->operands[1] };
    int r = put_call(command, command_path(command, "/v1/apps/%/default", command->operands[0]),
                     members, 2, NULL);
    return command_say(command, r, "%s %s serves everybody without a pin or a rollout\n",
                       command->operands[0], command->operands[1]);
}

static void print_pin(const sarsen_value *value)
{
    const char *customer = sarsen_value_text(sarsen_value_get(value, "customer"));
    const char *app = sarsen_value_text(sarsen_value_get(value, "app"));
    const char *expires = sarsen_value_text(sarsen_value_get(value, "expires"));
    printf("%s is pinned to %s %s%s%s; `sarsen unpin %s %s` undoes it\n", customer, app,
           sarsen_value_text(sarsen_value_get(value, "release")), *expires ? " until " : "",
           expires, customer, app);
}

static int pin(struct command *command)
{
    const char *members[] = { "release", command->operands[2],    "why", command->options.why,
                              "expires", command->options.expires };
    return put_call(
        command,
        command_path(command, "/v1/customers/%/pins/%", command->operands[0], command->operands[1]),
        members, 6, print_pin);
}

static int unpin(struct command *command)
{
    char *path =
        command_path(command, "/v1/customers/%/pins/%", command->operands[0], command->operands[1]);
    int r = command_call(command, "DELETE", path, NULL, NULL);
    free(path);
    return r;
}

static int customer_set(struct command *command)
{
    struct buf body = { 0 };
    struct json_out out = { .buf = &body };
    json_open(&out, '{');
    json_key(&out, SPAN("attributes"));
    json_open(&out, '{');
    for (unsigned i = 1; i < command->n_operands; i++) {
        struct span value = span_of(command->operands[i]), key = span_cut(&value, '=');
        json_key(&out, key);
        json_text(&out, value);
    }
    json_close(&out, '}');
    json_close(&out, '}');
    char *path = command_path(command, "/v1/customers/%", command->operands[0]);
    int r = command_call(command, "PUT", path, &body, NULL);
    free(path);
    return r;
}

static int cohort_set(struct command *command)
{
    const char *members[] = { "expression", command->operands[1] };
    return put_call(command, command_path(command, "/v1/cohorts/%", command->operands[0]), members,
                    2, NULL);
}

static int cohort_remove(struct command *command)
{
    char *path = command_path(command, "/v1/cohorts/%", command->operands[0]);
    int r = command_call(command, "DELETE", path, NULL, NULL);
    free(path);
    return r;
}

static int explain(struct command *command)
{
    char *path = command->options.app
                     ? command_path(command, "/v1/customers/%/explain?app=%", command->operands[0],
                                    command->options.app)
                     : command_path(command, "/v1/customers/%/explain", command->operands[0]);
    int r = command_call(command, "GET", path, NULL, print_explanation);
    free(path);
    return r;
}

const struct verb version_verbs[] = {
    { "contracts", "", "", 0, 0, "Lists contracts with their state and baseline.", contracts },
    { "apps", "", "", 0, 0, "Lists apps.", apps },
    { "releases", "APP", "", 1, 1, "Lists the releases of an app.", releases },
    { "app default", "APP RELEASE", "", 2, 2,
      "Makes a release serve everybody without a pin or rollout.", app_default },
    { "pin", "CUSTOMER APP RELEASE", "why expires", 3, 3,
      "Pins a customer to a release; for 30d unless --expires says otherwise.", pin },
    { "unpin", "CUSTOMER APP", "", 2, 2, "Takes a pin away.", unpin },
    { "customers", "", "", 0, 0, "Lists customers that have attributes or pins.", customers },
    { "customer set", "CUSTOMER KEY=VALUE…", "", 2, 32,
      "Sets a customer's attributes, all of them.", customer_set },
    { "cohorts", "", "", 0, 0, "Lists cohorts.", cohorts },
    { "cohort set", "COHORT EXPRESSION", "", 2, 2,
      "Names a rule over attributes: \"tier == 'internal'\".", cohort_set },
    { "cohort remove", "COHORT", "", 1, 1, "Forgets a cohort.", cohort_remove },
    { "explain", "CUSTOMER", "app", 1, 1, "Tells what a customer is served by, and why.", explain },
    { 0 },
};
