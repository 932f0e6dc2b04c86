/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The audit log: a row of the ledger for every change, on disk before its caller is answered.
 *
 * Only the path is kept of a request: a query or a body may hold what is nobody's business.
 */

#include "api/routes.h"
#include "base/mem.h"

#define LIMIT_DEFAULT 100u
#define LIMIT_MAX 10000u

enum {
    AUDIT_SEQ,
    AUDIT_AT,
    AUDIT_WHO,
    AUDIT_ADDRESS,
    AUDIT_METHOD,
    AUDIT_PATH,
    AUDIT_STATUS,
    AUDIT_CHANGES,
    AUDIT_TEXT,
    AUDIT_WHY,
    AUDIT_N,
};

static const struct ledger_column audit_columns[AUDIT_N] = {
    [AUDIT_SEQ] = { "seq", LEDGER_KEY_INT },       [AUDIT_AT] = { "at", LEDGER_KEY_INT },
    [AUDIT_WHO] = { "who", LEDGER_TEXT },          [AUDIT_ADDRESS] = { "address", LEDGER_TEXT },
    [AUDIT_METHOD] = { "method", LEDGER_TEXT },    [AUDIT_PATH] = { "path", LEDGER_TEXT },
    [AUDIT_STATUS] = { "status", LEDGER_KEY_INT }, [AUDIT_CHANGES] = { "changes", LEDGER_KEY_INT },
    [AUDIT_TEXT] = { "text", LEDGER_TEXT },        [AUDIT_WHY] = { "why", LEDGER_TEXT },
};

static const struct ledger_table audit_table = {
    .name = "audit",
    .columns = audit_columns,
    .n_columns = AUDIT_N,
    .is_appended = true,
};

/* A problem names its field, as in the answer. */
static struct span audit_text(struct api_call *call, const struct problem *problem)
{
    if (!problem)
        return call->route->log ? span_of(call->route->log) : SPAN_NULL;
    CLEANUP(mem_freep)
    char *text = mem_format("%s%s%s", problem->path, problem->path[0] ? " " : "", problem->text);
    return arena_span_dup(&call->arena, span_of(text));
}

void api_audit(struct api_call *call, unsigned status, const struct problem *problem)
{
    struct ledger_cell cells[AUDIT_N] = {
        [AUDIT_AT].number = loop_wall(call->loop),
        [AUDIT_WHO].text = span_of(call->caller.name),
        [AUDIT_ADDRESS].text = span_of(call->peer),
        [AUDIT_METHOD].text = span_of(call->route->method),
        [AUDIT_PATH].text = call->path,
        [AUDIT_STATUS].number = status,
        [AUDIT_CHANGES].number = status < 300 ? (int64_t)call->n_changes : 0,
        [AUDIT_TEXT].text = audit_text(call, problem),
        [AUDIT_WHY].text = api_text(call->body, "why"),
    };
    struct ledger_rows *rows = ledger_rows_new(&audit_table);
    ledger_rows_add(rows, cells);
    ledger_submit(call->rooms->store, &call->audited, rows);
}

/* --- reading --- */

static json_t *row_json(const struct ledger_cell *cells)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:o}", "at",
        api_json_time(cells[AUDIT_AT].number), "who", api_json_span(cells[AUDIT_WHO].text),
        "address", api_json_span(cells[AUDIT_ADDRESS].text), "method",
        api_json_span(cells[AUDIT_METHOD].text), "path", api_json_span(cells[AUDIT_PATH].text),
        "status", (json_int_t)cells[AUDIT_STATUS].number, "changes",
        (json_int_t)cells[AUDIT_CHANGES].number, "text", api_json_span(cells[AUDIT_TEXT].text),
        "why", api_json_span(cells[AUDIT_WHY].text));
}

/* The newest `limit` of those that pass, oldest first. */
static void on_rows(struct ledger_read *read, const struct ledger_cell *cells, size_t n_rows)
{
    struct api_call *call = container_of(read, struct api_call, read);
    call->is_busy = false;
    if (!call->exchange) {
        api_call_end(call);
        return;
    }
    struct span who = api_query(call, "who");
    uint64_t limit = call->audit_limit, n = 0;
    json_t *list = json_array();
    for (size_t i = n_rows; i > 0 && n < limit; i--) {
        const struct ledger_cell *row = cells + (i - 1) * AUDIT_N;
        if (who.size && !span_equals(row[AUDIT_WHO].text, who))
            continue;
        json_array_insert_new(list, 0, row_json(row));
        n++;
    }
    api_reply(call, 200, json_pack("{s:o}", "audit", list));
}

void route_audit_get(struct api_call *call)
{
    struct span limit = api_query(call, "limit"), since = api_query(call, "since");
    uint64_t number = LIMIT_DEFAULT;
    unix_msec from = 0;
    if (limit.size && (!span_to_uint(limit, LIMIT_MAX, &number) || number == 0)) {
        api_refuse_text(call, 400, "limit: a number from 1 to 10000 is accepted");
        return;
    }
    if (since.size && !api_since(call, since, &from)) {
        api_refuse_text(call, 400, "since: a time or a duration such as 30d is accepted");
        return;
    }
    call->audit_limit = number;
    call->is_busy = true;
    call->read = (struct ledger_read){ .table = &audit_table, .on_rows = on_rows };
    call->read.limit = api_query(call, "who").size ? 0 : number;
    call->read.at_least.column = AUDIT_AT;
    call->read.at_least.number = from;
    call->read.at_least.is_set = since.size > 0;
    ledger_submit_read(call->rooms->store, &call->read);
}
