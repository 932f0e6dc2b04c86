/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"
#include "codec/json.h"

static const struct column member_columns[] = {
    { "MEMBER", "member" }, { "KIND", "kind" }, { "INSTEAD OF", "from" }, { 0 }
};

/* "2 of 4", from 1 as people count. */
static void put_step(struct buf *text, const sarsen_value *row)
{
    buf_printf(text, "%.0f of %zu", sarsen_value_number(sarsen_value_get(row, "step")) + 1,
               sarsen_value_size(sarsen_value_get(row, "steps")));
}

static void put_moves(struct buf *text, const sarsen_value *row)
{
    const sarsen_value *members = sarsen_value_get(row, "members");
    for (size_t i = 0; i < sarsen_value_size(members); i++) {
        buf_puts(text, i ? ", " : "");
        put_cell(text, sarsen_value_get(sarsen_value_at(members, i), "member"));
    }
}

static void print_rollouts(const sarsen_value *value)
{
    static const struct column columns[] = {
        { "ROLLOUT", "rollout" },   { "STATE", "state" }, { "MOVES", NULL, put_moves },
        { "STEP", NULL, put_step }, { "PCT", "pct" },     { "STEP ENDS", "step_ends" },
        { "STARTED", "started" },   { "WHY", "why" },     { 0 }
    };
    const sarsen_value *rollouts = sarsen_value_get(value, "rollouts");
    print_table(rollouts, columns, "no rollout was started");
}

static void print_member(const sarsen_value *value, const char *title, const char *member)
{
    const char *text = sarsen_value_text(sarsen_value_get(value, member));
    if (*text)
        printf("%-8s %s\n", title, text);
}

/* The current step is marked, so that one sees what is behind and what is to come. */
static void print_steps(const sarsen_value *value)
{
    const sarsen_value *steps = sarsen_value_get(value, "steps");
    size_t current = (size_t)sarsen_value_number(sarsen_value_get(value, "step"));
    for (size_t i = 0; i < sarsen_value_size(steps); i++) {
        const sarsen_value *step = sarsen_value_at(steps, i);
        const char *hold = sarsen_value_text(sarsen_value_get(step, "for"));
        const char *cohort = sarsen_value_text(sarsen_value_get(step, "cohort"));
        printf("%s step %zu  %g %%%s%s%s%s\n", i == current ? "→" : " ", i + 1,
               sarsen_value_number(sarsen_value_get(step, "pct")), *cohort ? " of " : "", cohort,
               *hold ? " for " : ", by hand", hold);
    }
}

static void print_rollout(const sarsen_value *value)
{
    printf("rollout  %s\nstate    %s, step %.0f of %zu, %g %%\n",
           sarsen_value_text(sarsen_value_get(value, "rollout")),
           sarsen_value_text(sarsen_value_get(value, "state")),
           sarsen_value_number(sarsen_value_get(value, "step")) + 1,
           sarsen_value_size(sarsen_value_get(value, "steps")),
           sarsen_value_number(sarsen_value_get(value, "pct")));
    print_member(value, "why", "why");
    print_member(value, "reason", "reason");
    print_member(value, "by", "by");
    print_member(value, "cohort", "cohort");
    print_member(value, "started", "started");
    print_member(value, "goes on", "step_ends");
    print_member(value, "ended", "ended");
    puts("");
    print_table(sarsen_value_get(value, "members"), member_columns, "");
    puts("");
    print_steps(value);
}

static int rollouts(struct command *command)
{
    return command_call(command, "GET", "/v1/rollouts", NULL, print_rollouts);
}

/* "1,10:30s,50,100": shares in percent, each with the time it holds. */
static bool put_steps(struct json_out *out, const char *text)
{
    struct span rest = span_of(text);
    json_key(out, SPAN("steps"));
    json_open(out, '[');
    while (rest.data) {
        struct span hold = span_trim(span_cut(&rest, ',')), pct = span_cut(&hold, ':');
        char *end, *number = mem_span_dup(pct);
        strtod(number, &end);
        bool is_number = pct.size && !*end;
        free(number);
        if (!is_number)
            return false;
        json_open(out, '{');
        json_key(out, SPAN("pct"));
        buf_put(out->buf, pct);
        out->needs_comma = true;
        if (hold.data) {
            json_key(out, SPAN("for"));
            json_text(out, hold);
        }
        json_close(out, '}');
    }
    json_close(out, ']');
    return true;
}

static int rollout_start(struct command *command)
{
    struct buf body = { 0 };
    struct json_out out = { .buf = &body };
    json_open(&out, '{');
    json_key(&out, SPAN("members"));
    json_open(&out, '[');
    for (unsigned i = 0; i < command->n_operands; i++)
        json_text(&out, span_of(command->operands[i]));
    json_close(&out, ']');
    if (command->options.steps && !put_steps(&out, command->options.steps)) {
        fprintf(stderr, "sarsen: --steps is \"%s\"; \"1,10:30s,50,100\" is accepted\n",
                command->options.steps);
        buf_fini(&body);
        return CLI_USAGE;
    }
    put_member(&out, "cohort", command->options.cohort);
    put_member(&out, "subject", command->options.subject);
    put_member(&out, "why", command->options.why);
    json_close(&out, '}');
    char *path = command_path(command, "/v1/rollouts");
    int r = command_call(command, "POST", path, &body, print_rollout);
    free(path);
    return r;
}

static int rollout_show(struct command *command)
{
    char *path = command_path(command, "/v1/rollouts/%", command->operands[0]);
    int r = command_call(command, "GET", path, NULL, print_rollout);
    free(path);
    return r;
}

/* "rollout abort" is POST /v1/rollouts/{id}:abort. */
static int rollout_change(struct command *command)
{
    struct buf body = { 0 };
    struct json_out out = { .buf = &body };
    json_open(&out, '{');
    put_member(&out, "why", command->options.why);
    json_close(&out, '}');
    char *path = command_path(command, "/v1/rollouts/%:%", command->operands[0],
                              strchr(command->verb->name, ' ') + 1);
    int r = command_call(command, "POST", path, &body, print_rollout);
    free(path);
    return r;
}

const struct verb rollout_verbs[] = {
    { "rollouts", "", "", 0, 0, "Lists rollouts.", rollouts },
    { "rollout start", "MEMBER…", "steps cohort subject why", 1, 16,
      "Starts the gray release of builds (orders@3.15.0) and releases (shop@4.3.0) together.\n"
      "--steps 1,10:30s,50,100 gives shares in percent; one with a time goes on by itself.",
      rollout_start },
    { "rollout show", "ROLLOUT", "", 1, 1, "Shows one rollout.", rollout_show },
    { "rollout step", "ROLLOUT", "why", 1, 1, "Goes on to the next step; after the last, promotes.",
      rollout_change },
    { "rollout pause", "ROLLOUT", "why", 1, 1, "Stops its clock; shares stay.", rollout_change },
    { "rollout resume", "ROLLOUT", "why", 1, 1, "Lets its clock go on.", rollout_change },
    { "rollout promote", "ROLLOUT", "why", 1, 1, "Makes its members the baseline and default.",
      rollout_change },
    { "rollout abort", "ROLLOUT", "why", 1, 1, "Brings every customer back.", rollout_change },
    { 0 },
};
