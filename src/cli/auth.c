/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "codec/json.h"

/* --- tokens --- */

static void print_created(const sarsen_value *value)
{
    printf("%s\n", sarsen_value_text(sarsen_value_get(value, "token")));
    fprintf(stderr, "sarsen: this is the only time that the token is shown\n");
}

static int token_create(struct command *command)
{
    struct buf body = { 0 };
    struct json_out out = { .buf = &body };
    json_open(&out, '{');
    put_member(&out, "name", command->operands[0]);
    put_member(&out, "expires", command->options.expires);
    if (command->options.is_read_only) {
        json_key(&out, SPAN("read_only"));
        json_bool(&out, true);
    }
    json_close(&out, '}');
    char *path = command_path(command, "/v1/tokens");
    int r = command_call(command, "POST", path, &body, print_created);
    free(path);
    return r;
}

static void put_may(struct buf *text, const sarsen_value *row)
{
    buf_puts(text, sarsen_value_is_true(sarsen_value_get(row, "read_only")) ? "read" : "all");
}

static void put_expires(struct buf *text, const sarsen_value *row)
{
    const char *expires = sarsen_value_text(sarsen_value_get(row, "expires"));
    buf_puts(text, *expires ? expires : "never");
}

static void print_tokens(const sarsen_value *value)
{
    static const struct column columns[] = { { "NAME", "name", NULL },
                                             { "MAY", NULL, put_may },
                                             { "CREATED", "created", NULL },
                                             { "EXPIRES", NULL, put_expires },
                                             { 0 } };
    print_table(sarsen_value_get(value, "tokens"), columns,
                "there is the one in the data directory and no other");
}

static int token_list(struct command *command)
{
    return command_call(command, "GET", "/v1/tokens", NULL, print_tokens);
}

static int token_revoke(struct command *command)
{
    char *path = command_path(command, "/v1/tokens/%", command->operands[0]);
    int r = command_call(command, "DELETE", path, NULL, NULL);
    free(path);
    return command_say(command, r, "%s opens nothing any more\n", command->operands[0]);
}

/* --- the audit log --- */

static void put_call(struct buf *text, const sarsen_value *row)
{
    buf_printf(text, "%s %s", sarsen_value_text(sarsen_value_get(row, "method")),
               sarsen_value_text(sarsen_value_get(row, "path")));
}

static void put_result(struct buf *text, const sarsen_value *row)
{
    double status = sarsen_value_number(sarsen_value_get(row, "status"));
    const char *why = sarsen_value_text(sarsen_value_get(row, "why"));
    const char *result = sarsen_value_text(sarsen_value_get(row, "text"));
    if (status >= 400)
        buf_printf(text, "refused (%.0f): %s", status, result);
    else
        buf_puts(text, *result ? result : "done");
    if (*why)
        buf_printf(text, " (%s)", why);
}

static void print_audit(const sarsen_value *value)
{
    static const struct column columns[] = {
        { "AT", "at", NULL },       { "WHO", "who", NULL },       { "FROM", "address", NULL },
        { "CALL", NULL, put_call }, { "WHAT", NULL, put_result }, { 0 },
    };
    print_table(sarsen_value_get(value, "audit"), columns, "nothing was changed");
}

static int audit(struct command *command)
{
    const struct cli_options *options = &command->options;
    struct buf path = { 0 };
    buf_puts(&path, "/v1/audit");
    put_query(&path, command, "limit", options->limit);
    put_query(&path, command, "since", options->since);
    put_query(&path, command, "who", options->who);
    char *text = buf_take_text(&path);
    int r = command_call(command, "GET", text, NULL, print_audit);
    free(text);
    return r;
}

const struct verb auth_verbs[] = {
    { "token create", "NAME", "expires read-only", 1, 1,
      "Makes a token for the management API and prints it, this once. With --read-only it\n"
      "changes nothing; --expires is a time, a duration (90d unless given) or never.",
      token_create },
    { "token list", "", "", 0, 0, "Lists the tokens.", token_list },
    { "token revoke", "NAME", "", 1, 1, "Revokes a token.", token_revoke },
    { "audit", "", "limit since who", 0, 0,
      "Tells who changed what, and what was refused to whom; newest last.", audit },
    { 0 },
};
