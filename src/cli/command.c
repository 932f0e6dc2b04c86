/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/span.h"
#include "codec/json.h"

/* --- arguments --- */

static const struct {
    const char *name;
    size_t at; /* offset in struct cli_options */
    bool is_flag, is_common;
} option_table[] = {
#define TEXT_OPTION(name)                                                                          \
    {                                                                                              \
#name, offsetof(struct cli_options, name), false, false                                    \
    }
    TEXT_OPTION(why),
    TEXT_OPTION(expires),
    TEXT_OPTION(app),
    TEXT_OPTION(release),
    TEXT_OPTION(build),
    TEXT_OPTION(ttl),
    TEXT_OPTION(steps),
    TEXT_OPTION(cohort),
    TEXT_OPTION(subject),
    TEXT_OPTION(by),
    TEXT_OPTION(since),
    TEXT_OPTION(customer),
    TEXT_OPTION(caller),
    TEXT_OPTION(limit),
    TEXT_OPTION(who),
    TEXT_OPTION(protocol),
    TEXT_OPTION(health),
    TEXT_OPTION(grace),
#undef TEXT_OPTION
    { "deregister-after", offsetof(struct cli_options, deregister_after), false, false },
    { "grpc-services", offsetof(struct cli_options, grpc_services), false, false },
    { "read-only", offsetof(struct cli_options, is_read_only), true, false },
    { "address", offsetof(struct cli_options, address), false, true },
    { "token", offsetof(struct cli_options, token), false, true },
    { "data", offsetof(struct cli_options, data), false, true },
    { "ca", offsetof(struct cli_options, ca), false, true },
    { "json", offsetof(struct cli_options, is_json), true, true },
    { "dry-run", offsetof(struct cli_options, is_dry_run), true, true },
    { "help", offsetof(struct cli_options, is_help), true, true },
};

#define N_OPTIONS (sizeof(option_table) / sizeof(option_table[0]))

/* Whether "name" is among the words of "why expires". */
static bool has_word(const char *words, struct span name)
{
    struct span rest = span_of(words);
    while (rest.data) {
        if (span_equals(span_cut(&rest, ' '), name))
            return true;
    }
    return false;
}

static int option_find(const struct verb *verb, struct span name)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (span_is(name, option_table[i].name) &&
            (option_table[i].is_common || has_word(verb->options, name)))
            return (int)i;
    }
    return -1;
}

/* Reads the option at argv[*at], and its value, which may be the next argument. */
static int read_option(struct command *command, int argc, char **argv, int *at)
{
    struct span rest = span_of(argv[*at] + 2), name = span_cut(&rest, '=');
    int index = option_find(command->verb, name);
    if (index < 0) {
        fprintf(stderr, "sarsen: %s takes no option --%.*s\n", command->verb->name, SPAN_ARG(name));
        return CLI_USAGE;
    }
    void *value = (char *)&command->options + option_table[index].at;
    if (option_table[index].is_flag && rest.data) {
        fprintf(stderr, "sarsen: --%.*s takes no value\n", SPAN_ARG(name));
        return CLI_USAGE;
    }
    if (option_table[index].is_flag) {
        *(bool *)value = true;
        return 0;
    }
    if (!rest.data && *at + 1 >= argc) {
        fprintf(stderr, "sarsen: --%.*s needs a value\n", SPAN_ARG(name));
        return CLI_USAGE;
    }
    *(const char **)value = rest.data ? rest.data : argv[++*at];
    return 0;
}

/* All that is left. */
static bool take_program(struct command *command, int argc, char **argv)
{
    if (command->verb->takes_program && argc > 0)
        command->program = argv;
    return command->program;
}

int command_parse(struct command *command, int argc, char **argv)
{
    bool is_ended = false;
    for (int i = 0; i < argc; i++) {
        if (!is_ended && strcmp(argv[i], "--") == 0) {
            is_ended = true;
            if (take_program(command, argc - i - 1, argv + i + 1))
                break;
        } else if (!is_ended && strncmp(argv[i], "--", 2) == 0) {
            int r = read_option(command, argc, argv, &i);
            if (r)
                return r;
        } else if (command->n_operands == CLI_OPERANDS_MAX) {
            command_usage(command->verb, true);
            return CLI_USAGE;
        } else {
            command->operands[command->n_operands++] = argv[i];
        }
    }
    if (command->options.is_help)
        return 0;
    if (command->n_operands < command->verb->min_operands ||
        command->n_operands > command->verb->max_operands) {
        command_usage(command->verb, true);
        return CLI_USAGE;
    }
    return 0;
}

void command_usage(const struct verb *verb, bool is_error)
{
    FILE *out = is_error ? stderr : stdout;
    fprintf(out, "usage: sarsen %s%s%s", verb->name, verb->operands[0] ? " " : "", verb->operands);
    struct span rest = span_of(verb->options);
    while (rest.size) {
        struct span name = span_cut(&rest, ' ');
        fprintf(out, span_is(name, "read-only") ? " [--%.*s]" : " [--%.*s …]", SPAN_ARG(name));
    }
    fprintf(out, " [--json]%s\n\n%s\n", verb->takes_program ? " [-- COMMAND …]" : "", verb->help);
}

/* --- calling --- */

void put_member(struct json_out *out, const char *key, const char *value)
{
    if (!value)
        return;
    json_key(out, span_of(key));
    json_text(out, span_of(value));
}

static void put_escaped(struct buf *text, const char *segment)
{
    for (; *segment; segment++) {
        unsigned char byte = (unsigned char)*segment;
        bool is_plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                        (byte >= '0' && byte <= '9') || strchr("-._~:@", byte);
        if (is_plain)
            buf_printf(text, "%c", byte);
        else
            buf_printf(text, "%%%02X", byte);
    }
}

void command_put_dry_run(const struct command *command, struct buf *path)
{
    if (command->options.is_dry_run)
        buf_puts(path, span_find(buf_span(path), '?') < path->size ? "&dry_run=1" : "?dry_run=1");
}

char *command_path(const struct command *command, const char *pattern, ...)
{
    struct buf text = { 0 };
    va_list segments;
    va_start(segments, pattern);
    for (; *pattern; pattern++) {
        if (*pattern == '%')
            put_escaped(&text, va_arg(segments, const char *));
        else
            buf_put(&text, (struct span){ pattern, 1 });
    }
    va_end(segments);
    command_put_dry_run(command, &text);
    return buf_take_text(&text);
}

void put_query(struct buf *path, const struct command *command, const char *name, const char *value)
{
    if (!value)
        return;
    char *encoded = command_path(&(struct command){ .verb = command->verb }, "%", value);
    buf_printf(path, "%c%s=%s", span_find(buf_span(path), '?') < path->size ? '&' : '?', name,
               encoded);
    free(encoded);
}

static void print_list(const char *title, const sarsen_value *list)
{
    for (size_t i = 0; i < sarsen_value_size(list); i++)
        fprintf(stderr, "%s%s\n", title,
                sarsen_value_text(sarsen_value_get(sarsen_value_at(list, i), "text")));
}

int command_fail(const struct command *command, int error)
{
    if (error == SARSEN_ECONNECT) {
        fprintf(stderr, "sarsen: nobody answers at %s\n", command->address);
        fprintf(stderr,
                "sarsen: is it running? `sarsen dev` starts it; --address or "
                "SARSEN_ADDRESS names another one\n");
    } else {
        const char *why = sarsen_problem(command->client);
        fprintf(stderr, "sarsen: %s\n", why[0] ? why : sarsen_strerror(error));
    }
    if (error == SARSEN_ETLS)
        fprintf(stderr, "sarsen: --ca FILE or SARSEN_CA names the certificates to trust\n");
    if (error == SARSEN_EREFUSED && sarsen_status(command->client) == 401) {
        fprintf(stderr,
                "sarsen: run it where the data directory is, or give --data, --token or "
                "SARSEN_TOKEN\n");
    }
    return CLI_FAILED;
}

static void print_json(const sarsen_value *value)
{
    char *text = sarsen_value_json(value);
    if (text)
        puts(text);
    free(text);
}

static void print_plan(const sarsen_value *value)
{
    static const struct column columns[] = { { "CHANGE", "change" }, { "KEY", "key" }, { 0 } };
    print_table(sarsen_value_get(value, "changes"), columns, "nothing would change");
}

int command_ask(struct command *command, const char *method, const char *path, struct buf *body,
                sarsen_value **ret_value)
{
    char *text = body ? buf_take_text(body) : NULL;
    sarsen_value *value = NULL;
    int r = sarsen_call(command->client, method, path, text, &value);
    free(text);
    if (r) {
        if (command->options.is_json && value)
            print_json(value);
        command_fail(command, r);
        print_list("  - ", sarsen_value_get(value, "blockers"));
        sarsen_value_free(value);
        return CLI_FAILED;
    }
    *ret_value = value;
    return CLI_OK;
}

void command_show(const struct command *command, const sarsen_value *value,
                  void (*print)(const sarsen_value *value))
{
    if (value && command->options.is_json)
        print_json(value);
    else if (value && sarsen_value_is_true(sarsen_value_get(value, "dry_run")))
        print_plan(value);
    else if (value && print)
        print(value);
}

int command_call(struct command *command, const char *method, const char *path, struct buf *body,
                 void (*print)(const sarsen_value *value))
{
    sarsen_value *value = NULL;
    int r = command_ask(command, method, path, body, &value);
    if (r)
        return r;
    command_show(command, value, print);
    sarsen_value_free(value);
    return CLI_OK;
}

int command_say(const struct command *command, int r, const char *format, ...)
{
    if (r || command->options.is_json || command->options.is_dry_run)
        return r;
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    return r;
}
