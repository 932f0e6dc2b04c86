#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A verb of the command line and what it is given: operands in order, options by name.
 *
 *   sarsen pin acme shop 4.1.0 --why "orders@3 is not ready for it" --expires 14d
 *
 * Options may stand anywhere, as "--name value" or "--name=value"; "--" ends them, and where a verb
 * takes a program, that is what follows.
 */

#include <sarsen/sarsen.h>
#include <stdbool.h>

#include "base/buf.h"

struct json_out;

#define CLI_OK 0
#define CLI_FAILED 1
#define CLI_USAGE 2
#define CLI_OPERANDS_MAX 32u

struct cli_options {
    const char *why, *expires, *app, *release, *build, *ttl, *steps, *cohort, *subject, *by;
    const char *since, *customer, *caller, *limit, *who;
    const char *protocol, *grpc_services, *health, *deregister_after, *grace;
    const char *address, *token, *data, *ca;
    bool is_json, is_dry_run, is_help, is_read_only;
};

struct command {
    const struct verb *verb;
    const char *operands[CLI_OPERANDS_MAX];
    unsigned n_operands;
    char **program; /* with its arguments, ended by NULL; NULL: none is given */
    struct cli_options options;
    sarsen_client *client;
    const char *address; /* that the client calls */
};

struct verb {
    const char *name;     /* one word, or two: "rollout start" */
    const char *operands; /* as shown: "CUSTOMER APP RELEASE" */
    const char *options;  /* the names it takes besides those all take: "why expires" */
    unsigned min_operands, max_operands;
    const char *help;
    int (*run)(struct command *command);
    bool takes_program;
};

/* One table per file, ended by a NULL name. */
extern const struct verb registry_verbs[], version_verbs[], rollout_verbs[], usage_verbs[],
    auth_verbs[], meta_verbs[];

/* Fills operands and options. Returns 0 or CLI_USAGE, having said why. */
int command_parse(struct command *command, int argc, char **argv);
void command_usage(const struct verb *verb, bool is_error);

/* --- calling --- */

/* Calls and, on success, prints with `print` (NULL: nothing), or as JSON. Takes `body` (a buf of
 * JSON, may be NULL). Returns the exit status. */
int command_call(struct command *command, const char *method, const char *path, struct buf *body,
                 void (*print)(const sarsen_value *value));

/* The two halves of command_call(), for verbs that need the answer themselves. command_ask()
 * prints why a call was refused; *ret_value is set when it returns CLI_OK, NULL for an answer
 * without a body. */
int command_ask(struct command *command, const char *method, const char *path, struct buf *body,
                sarsen_value **ret_value);
void command_show(const struct command *command, const sarsen_value *value,
                  void (*print)(const sarsen_value *value));

/* Says in a sentence what is true after a write; not with --json or --dry-run, nor after a failure
 * `r`. Returns `r`. */
int command_say(const struct command *command, int r, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Registers with a PUT of `body` at `path`, and keeps it so for as long as the command's program
 * runs. Takes the body. Returns the program's exit status. */
int command_run(struct command *command, const char *path, struct buf *body);

/* Prints why the last call failed; returns CLI_FAILED. */
int command_fail(const struct command *command, int error);

/* Appends ?dry_run to a path where --dry-run was given. */
void command_put_dry_run(const struct command *command, struct buf *path);

/* A path: "%" in the pattern takes the next text as one encoded segment. free() it. */
char *command_path(const struct command *command, const char *pattern, ...);

/* Appends a parameter to a path's query; a NULL value is left out. */
void put_query(struct buf *path, const struct command *command, const char *name,
               const char *value);

/* A text member of a body under construction; a NULL value is left out. */
void put_member(struct json_out *out, const char *key, const char *value);

/* --- printing --- */

/* Columns of a table over an array of objects. A value is a text, a number, a list of texts; with
 * `put`, what that makes of the row. */
struct column {
    const char *title, *member;
    void (*put)(struct buf *text, const sarsen_value *row);
};

/* Prints rows of `array`; says `empty` when there are none. The last column has a NULL title. */
void print_table(const sarsen_value *array, const struct column *columns, const char *empty);

/* Columns that a text takes on a terminal. */
size_t text_width(const char *text);

/* Appends the value as a cell shows it. */
void put_cell(struct buf *text, const sarsen_value *value);
