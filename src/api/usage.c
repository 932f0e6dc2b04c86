/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The usage report over HTTP.
 */

#include "api/routes.h"

static bool read_columns(struct span names, unsigned *ret_by)
{
    static const struct {
        const char *name;
        unsigned bit;
    } columns[] = {
        { "contract", USAGE_BY_CONTRACT }, { "build", USAGE_BY_BUILD },
        { "release", USAGE_BY_RELEASE },   { "customer", USAGE_BY_CUSTOMER },
        { "caller", USAGE_BY_CALLER },     { "app", USAGE_BY_APP },
    };
    const size_t n_columns = sizeof(columns) / sizeof(columns[0]);

    unsigned by = 0;
    while (names.data) {
        struct span name = span_trim(span_cut(&names, ','));
        size_t i = 0;
        while (i < n_columns && !span_is(name, columns[i].name))
            i++;
        if (i == n_columns)
            return false;
        by |= columns[i].bit;
    }
    *ret_by = by;
    return true;
}

/* A name that was mistyped must not read as a contract that nobody uses. */
static bool is_contract_known(const struct api_call *call, struct span name)
{
    struct span service;
    uint32_t major;
    return contract_name_parse(name, &service, &major) &&
           contract_find(call->rooms->version, service, major);
}

static json_t *row_json(const struct usage_seen *row)
{
    json_t *json = json_object();
    const struct {
        const char *name, *value;
    } columns[] = {
        { "contract", row->contract }, { "build", row->build },       { "app", row->app },
        { "release", row->release },   { "customer", row->customer }, { "caller", row->caller },
    };
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
        json_object_set_new(json, columns[i].name, json_string(columns[i].value));
    json_object_set_new(json, "n", json_integer((json_int_t)row->n));
    json_object_set_new(json, "errors", json_integer((json_int_t)row->errors));
    double mean = row->n ? (double)row->total_duration / (double)row->n / 1e6 : 0;
    json_object_set_new(json, "mean_ms", json_real(mean));
    json_object_set_new(json, "first", api_json_time(row->first));
    json_object_set_new(json, "last", api_json_time(row->last));
    return json;
}

static struct usage_filter filter_of(struct api_call *call)
{
    return (struct usage_filter){
        .contract = api_query(call, "contract"),
        .build = api_query(call, "build"),
        .app = api_query(call, "app"),
        .release = api_query(call, "release"),
        .customer = api_query(call, "customer"),
        .caller = api_query(call, "caller"),
    };
}

/* What other members have seen of the contracts that were asked for: their rows are in their own
 * ledgers. */
static json_t *elsewhere_json(struct api_call *call)
{
    const struct usage *usage = call->rooms->usage;
    struct span contract = api_query(call, "contract");
    json_t *list = json_array();
    map_each (node, usage_lasts(usage)) {
        const struct usage_last *row = container_of(node, struct usage_last, node);
        if (strcmp(row->member, usage_self(usage)) == 0 ||
            (contract.size && !span_is(contract, row->contract)))
            continue;
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "contract", row->contract,
                                              "member", row->member, "host", row->host, "last",
                                              api_json_time(row->last)));
    }
    return api_sorted(list, "contract");
}

static void reply(struct api_call *call, struct usage_report *rows)
{
    json_t *list = json_array();
    for (size_t i = 0; i < rows->n_rows; i++)
        json_array_append_new(list, row_json(&rows->rows[i]));
    usage_report_free(rows);
    const char *self = usage_self(call->rooms->usage);
    api_reply(call, 200,
              json_pack("{s:o, s:s*, s:o*}", "usage", list, "member", self, "elsewhere",
                        self ? elsewhere_json(call) : NULL));
}

static void on_hours(struct ledger_read *read, const struct ledger_cell *cells, size_t n_rows)
{
    struct api_call *call = container_of(read, struct api_call, read);
    call->is_busy = false;
    if (!call->exchange) {
        api_call_end(call);
        return;
    }
    struct usage_filter filter = filter_of(call);
    struct span by = api_query(call, "by");
    if (by.size)
        read_columns(by, &filter.by); /* it was found good */
    struct usage_report rows = usage_report_hours(call->rooms->usage, &filter, cells, n_rows);
    reply(call, &rows);
}

/* What the rows seen cannot tell: how often since then. Whole hours, so that the first one counts
 * in full. */
static void ask_hours(struct api_call *call, unix_msec since)
{
    call->is_busy = true;
    call->read = (struct ledger_read){ .table = usage_hours_table(), .on_rows = on_hours };
    call->read.at_least.column = USAGE_HOURS_HOUR;
    call->read.at_least.number = usage_hour(since);
    call->read.at_least.is_set = true;
    ledger_submit_read(call->rooms->store, &call->read);
}

static void report(void *owner)
{
    struct api_call *call = owner;
    call->is_busy = false;
    if (!call->exchange) {
        api_call_end(call);
        return;
    }

    struct usage_filter filter = filter_of(call);
    struct span by = api_query(call, "by"), since = api_query(call, "since");
    if (by.size && !read_columns(by, &filter.by)) {
        api_refuse_text(call, 400,
                        "by: of contract, build, app, release, customer and caller some are "
                        "accepted, with commas between them");
        return;
    }
    if (since.size && !api_since(call, since, &filter.since)) {
        api_refuse_text(call, 400, "since: a time or a duration such as 30d is accepted");
        return;
    }

    if (filter.contract.size && !is_contract_known(call, filter.contract)) {
        struct problem problem = { 0 };
        problem_set(&problem, "contract", "%.*s is not known", SPAN_ARG(filter.contract));
        api_refuse(call, 404, &problem, NULL);
        return;
    }

    if (since.size) {
        ask_hours(call, filter.since);
        return;
    }
    struct usage_report rows = usage_report(call->rooms->usage, &filter);
    reply(call, &rows);
}

/* Up to the request before this one: the workers are asked first. */
void route_usage_get(struct api_call *call)
{
    call->is_busy = true;
    gateway_collect_usage(call->rooms->gateway, report, call);
}
