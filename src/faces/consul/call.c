/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A call's answer: parameters, waiting, and the way of a write through the store.
 */

#include "faces/consul/call.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/random.h"
#include "codec/timefmt.h"
#include "codec/uri.h"
#include "faces/consul/filter.h"

#define WAIT_DEFAULT (300 * NSEC_PER_SEC)
#define WAIT_MAX (600 * NSEC_PER_SEC)
#define WAIT_JITTER 16u /* one part of so many is added at random, at most */

/* --- what was asked --- */

/* Spaces come as "+" in the queries of Go and Java. */
struct span consul_decode(struct consul_call *call, struct span raw)
{
    struct span text = arena_span_dup(&call->arena, raw), decoded;
    char *memory = arena_alloc(&call->arena, raw.size + 1, 1);
    char *plain = arena_alloc(&call->arena, raw.size + 1, 1);
    for (size_t i = 0; i < text.size; i++)
        plain[i] = text.data[i];
    for (char *at = plain; (at = strchr(at, '+'));)
        *at = ' ';
    if (uri_decode((struct span){ plain, text.size }, memory, &decoded))
        return text;
    return arena_span_dup(&call->arena, decoded);
}

bool consul_param(struct consul_call *call, const char *name, struct span *ret_value)
{
    struct span rest = call->query;
    while (rest.data) {
        struct span value = span_cut(&rest, '&');
        if (!span_is(span_cut(&value, '='), name))
            continue;
        *ret_value = value.size ? consul_decode(call, value) : SPAN("");
        return true;
    }
    return false;
}

bool consul_has_param(struct consul_call *call, const char *name)
{
    struct span value;
    return consul_param(call, name, &value);
}

bool consul_flag(struct consul_call *call, const char *name)
{
    static const char *const no[] = { "false", "0", "f", "F", "FALSE", "False" };
    struct span value;
    if (!consul_param(call, name, &value))
        return false;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        if (span_is(value, no[i]))
            return false;
    }
    return true;
}

json_t *consul_body(struct consul_call *call)
{
    return json_loadb(call->body.data ? call->body.data : "", call->body.size, 0, NULL);
}

/* --- answers --- */

void consul_call_end(struct consul_call *call)
{
    if (call->wait.topic)
        topic_leave(&call->consul->topics, &call->wait);
    list_remove(&call->wait.link);
    list_remove(&call->link);
    timer_stop(&call->timer);
    buf_fini(&call->body);
    arena_fini(&call->arena);
    free(call);
}

/* Those whom one change wakes have mostly asked the same: what the first of them is told is kept
 * for the others. */
static void share(struct consul_call *call, unsigned status, const char *type, struct span text)
{
    struct consul_shared *shared = &call->consul->shared;
    if (!shared->is_kept || !call->is_woken)
        return;
    buf_clear(&shared->question);
    buf_clear(&shared->text);
    buf_put(&shared->question, call->question);
    buf_put(&shared->text, text);
    shared->route = call->route;
    shared->status = status;
    shared->type = type;
    shared->index = call->index;
}

/* What was asked, without what says how to wait for it. */
static struct span question_of(struct consul_call *call)
{
    static const char *const ignored[] = { "index", "wait", "token", "stale", "consistent" };
    CLEANUP(buf_fini) struct buf text = { 0 };
    buf_put(&text, call->tail);
    struct span rest = call->query;
    while (rest.data) {
        struct span param = span_cut(&rest, '&');
        struct span name = span_first(param, span_find(param, '='));
        bool is_ignored = false;
        for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
            is_ignored |= span_is(name, ignored[i]);
        if (is_ignored)
            continue;
        buf_put(&text, SPAN("\0")); /* which no key has */
        buf_put(&text, param);
    }
    return arena_span_dup(&call->arena, buf_span(&text));
}

void consul_wake(struct consul_call *call)
{
    const struct consul_shared *shared = &call->consul->shared;
    call->question = question_of(call);
    call->is_woken = true;
    bool is_same = shared->route == call->route &&
                   span_equals(buf_span(&shared->question), call->question) &&
                   shared->index > consul_known_index(call);
    if (!is_same) {
        call->route->serve(call);
        return;
    }
    call->index = shared->index;
    call->is_woken = false; /* it is kept already */
    consul_reply(call, shared->status, shared->type, buf_span(&shared->text));
}

/* LastContact has to be there, or clients do not read the rest. */
void consul_reply(struct consul_call *call, unsigned status, const char *type, struct span text)
{
    struct http_out_field fields[7];
    unsigned n = 0;
    char index[32];
    share(call, status, type, text);
    if (type)
        fields[n++] = (struct http_out_field){ SPAN("Content-Type"), span_of(type) };
    if (call->index) {
        snprintf(index, sizeof(index), "%" PRId64, call->index);
        fields[n++] = (struct http_out_field){ SPAN("X-Consul-Index"), span_of(index) };
        fields[n++] = (struct http_out_field){ SPAN("X-Consul-KnownLeader"), SPAN("true") };
        fields[n++] = (struct http_out_field){ SPAN("X-Consul-LastContact"), SPAN("0") };
        fields[n++] = (struct http_out_field){ SPAN("X-Consul-Default-ACL-Policy"), SPAN("allow") };
    }
    if (call->hash)
        fields[n++] = (struct http_out_field){ SPAN("X-Consul-ContentHash"), span_of(call->hash) };
    if (type && strcmp(type, "text/plain") == 0)
        fields[n++] = (struct http_out_field){ SPAN("X-Content-Type-Options"), SPAN("nosniff") };
    if (call->exchange)
        http_reply(call->exchange, status, fields, n, text);
    consul_call_end(call);
}

void consul_reply_json(struct consul_call *call, const struct buf *json)
{
    if (consul_filter_gave_up(call->filter)) {
        consul_refuse(call, 400,
                      "filter: its regular expressions take too long for what is asked; simpler "
                      "ones are accepted");
        return;
    }
    consul_reply(call, 200, "application/json", buf_span(json));
}

void consul_reply_bool(struct consul_call *call, bool value)
{
    consul_reply(call, 200, "application/json", value ? SPAN("true") : SPAN("false"));
}

void consul_refuse(struct consul_call *call, unsigned status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(call->refusal, sizeof(call->refusal), format, args);
    va_end(args);
    consul_reply_denied(call, (int)status);
}

void consul_reply_denied(struct consul_call *call, int status)
{
    consul_reply(call, (unsigned)status, "text/plain; charset=utf-8", span_of(call->refusal));
}

int consul_deny(struct consul_call *call, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(call->refusal, sizeof(call->refusal), format, args);
    va_end(args);
    return status;
}

/* --- waiting --- */

/* Some clients begin with -1; what is no number is as good as nothing. */
int64_t consul_known_index(struct consul_call *call)
{
    struct span text;
    uint64_t index;
    if (!consul_param(call, "index", &text) || !span_to_uint(text, INT64_MAX, &index))
        return 0;
    return (int64_t)index;
}

bool consul_read_wait(struct consul_call *call)
{
    struct span text = SPAN_NULL;
    call->wait_for = WAIT_DEFAULT;
    consul_param(call, "wait", &text);
    bool is_negative = span_starts_with(text, SPAN("-"));
    struct span size = span_from(text, is_negative);
    nsec wait = 0;
    if (text.size && !span_is(size, "0") && duration_parse(size, &wait)) {
        consul_refuse(
            call, 400,
            "Invalid wait time: \"%.*s\" is no duration; such as 30s or 1m30s is accepted",
            SPAN_ARG(span_first(text, 80)));
        return false;
    }
    if (wait && !is_negative)
        call->wait_for = earlier(wait, WAIT_MAX);
    return true;
}

static nsec wait_of(const struct consul_call *call)
{
    nsec wait = call->wait_for;
    return wait + random_next(&call->consul->random) % (wait / WAIT_JITTER + 1);
}

static void on_wait_over(struct timer *timer)
{
    struct consul_call *call = container_of(timer, struct consul_call, timer);
    call->is_wait_over = true;
    topic_leave(&call->consul->topics, &call->wait);
    call->route->serve(call);
}

/* Always false: it is answered later. */
static bool park(struct consul_call *call, enum topic_kind kind, struct span name)
{
    struct loop *loop = call->consul->loop;
    if (!timer_is_running(&call->timer)) {
        call->timer.on_due = on_wait_over;
        timer_start(&call->timer, loop, loop_now(loop) + wait_of(call));
    }
    http_wait(call->exchange);
    topic_wait(&call->consul->topics, &call->wait, kind, name);
    return false;
}

static bool is_over(const struct consul_call *call)
{
    return call->is_wait_over || call->consul->is_draining;
}

bool consul_is_due(struct consul_call *call, int64_t revision, enum topic_kind kind,
                   struct span name)
{
    int64_t known = consul_known_index(call);
    call->index = consul_index(revision);
    return known == 0 || call->index > known || is_over(call) || park(call, kind, name);
}

bool consul_is_other(struct consul_call *call, const char *hash, enum topic_kind kind,
                     struct span name)
{
    struct span known;
    call->hash = hash;
    bool has_seen = consul_param(call, "hash", &known) && span_is(known, hash);
    return !has_seen || is_over(call) || park(call, kind, name);
}

/* --- writing --- */

static int on_build(struct store_command *command, struct txn *txn)
{
    struct consul_call *call = container_of(command, struct consul_call, command);
    call->consul->is_called = true;
    int r = call->build(call, txn);
    call->consul->is_called = false;
    return r;
}

static void on_done(struct store_command *command, int answer, bool is_store_answer,
                    int64_t revision);

static void await_workers(struct consul_call *call)
{
    list_remove(&call->link);
    list_add_last(&call->consul->settling, &call->link);
}

static void on_barrier(struct store_write *write, int answer, int64_t revision)
{
    struct consul_call *call = container_of(write, struct consul_call, barrier);
    (void)revision;
    if (!call->exchange || answer)
        on_done(&call->command, answer, true, 0);
    else
        store_run(call->consul->store, &call->command);
}

/* In a cluster we may not have seen yet what was written elsewhere: the client may be told there that
 * it is written, and "false" here means to it that somebody else was first. */
static void deny_surely(struct consul_call *call)
{
    bool is_alone = store_writer_id(call->consul->store)[0] == '\0';
    CLEANUP(txn_fini) struct txn none = { 0 };
    if (is_alone || call->is_sure) {
        consul_reply_bool(call, false);
        return;
    }
    call->is_sure = call->is_busy = true;
    call->barrier.on_done = on_barrier;
    store_submit(call->consul->store, &call->barrier, &none);
}

static void on_done(struct store_command *command, int answer, bool is_store_answer,
                    int64_t revision)
{
    struct consul_call *call = container_of(command, struct consul_call, command);
    (void)revision;
    call->is_busy = false;
    if (!call->exchange)
        consul_call_end(call);
    else if (is_store_answer && answer == STORE_READ_ONLY)
        consul_refuse(call, 500, "No cluster leader: the store takes no writes now");
    else if (is_store_answer && answer == STORE_TOO_LARGE)
        consul_refuse(call, 413, "the change is too large");
    else if (answer == CONSUL_FALSE && !is_store_answer)
        deny_surely(call);
    else if (answer >= 400 && !is_store_answer)
        consul_reply_denied(call, answer);
    else if (answer)
        consul_refuse(call, 500, "the write failed; try again");
    else if (call->waits_for_workers && !*call->consul->settings.is_settled)
        await_workers(call);
    else
        call->done(call);
}

void consul_write(struct consul_call *call, int (*build)(struct consul_call *call, struct txn *txn),
                  void (*done)(struct consul_call *call))
{
    call->build = build;
    call->done = done;
    call->is_busy = true;
    call->is_sure = false;
    call->command.build = on_build;
    call->command.on_done = on_done;
    store_run(call->consul->store, &call->command);
}

void consul_write_routed(struct consul_call *call,
                         int (*build)(struct consul_call *call, struct txn *txn),
                         void (*done)(struct consul_call *call))
{
    call->waits_for_workers = true;
    consul_write(call, build, done);
}
