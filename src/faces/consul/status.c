/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How statuses change without a call: a TTL or a patience is over, a check that is made here found
 * something, an alias is as what it stands for. Deadlines lie in one heap, whose first the timer
 * waits for; what is due is written in one transaction, as much of it as that takes.
 */

#include "base/log.h"
#include "base/mem.h"
#include "faces/consul/check.h"
#include "faces/consul/owner.h"

#define GRACE NSEC_PER_SEC /* for a transaction that writes what has become due */
#define DUE_OPS 8u         /* of one service, in the transaction of many */
#define EXPIRED "TTL expired"

/* --- deadlines --- */

void consul_check_plan(struct consul *consul)
{
    const struct heap_node *first = heap_first(&consul->due);
    if (!first || consul->is_checking)
        timer_stop(&consul->check_timer);
    else
        timer_start(&consul->check_timer, consul->loop, first->at);
}

void consul_check_renew(struct consul *consul, struct consul_check *check)
{
    const Consul__CheckRecord *record = check->record;
    bool is_over = record->status == CHECK_CRITICAL;
    nsec time = is_over ? record->deregister_after : record->ttl;
    bool is_timed = is_over ? check->service->kind == CONSUL_HERE : record->kind == CHECK_TTL;
    if (time == 0 || !is_timed || !consul_minds(consul, check->service))
        heap_remove(&consul->due, &check->due);
    else
        heap_set(&consul->due, &check->due,
                 loop_now(consul->loop) + consul_patience(consul, check->service, time));
    consul_check_plan(consul);
}

/* --- what has become due --- */

void consul_check_say(struct consul_check *check, const char *text)
{
    if (check->output && strcmp(check->output, text) == 0)
        return;
    free(check->output);
    check->output = mem_strdup(text);
}

/* The text is kept though the store may refuse the status, and then the check is due again. */
static void say_expired(struct consul_check *check)
{
    const char *last = check->output ? check->output : "";
    if (span_starts_with(span_of(last), SPAN(EXPIRED)))
        return;
    CLEANUP(mem_freep)
    char *text = last[0] ? mem_format(EXPIRED " (last output before timeout follows): %s", last)
                         : mem_strdup(EXPIRED);
    consul_check_say(check, text);
}

/* A heartbeat that did not come, or a patience that is over: of this service, all at once. */
static void service_due(struct consul *consul, struct consul_service *service, nsec now,
                        struct txn *txn)
{
    bool is_over = false;
    struct problem problem;
    list_each (link, &service->checks) {
        struct consul_check *check = container_of(link, struct consul_check, link);
        if (!heap_has(&check->due) || check->due.at > now)
            continue;
        heap_set(&consul->due, &check->due, now + GRACE);
        if (check->status == CHECK_CRITICAL) {
            is_over = true;
            continue;
        }
        say_expired(check);
        check->record->status = CHECK_CRITICAL;
    }
    if (is_over) {
        log_info("consul", "service deregistered: critical for too long", "id", service->id);
        consul_service_recall(service);
        consul_service_delete(consul, service, txn);
    } else if (consul_service_put_told(consul, service, txn, &problem)) {
        log_error("consul", "a check's end cannot be written", "id", service->id, "why",
                  problem.text);
    }
}

static int build_due(struct store_command *command, struct txn *txn)
{
    struct consul *consul = container_of(command, struct consul, check_command);
    nsec now = loop_now(consul->loop);
    struct heap_node *first;
    while (txn_has_room(txn, DUE_OPS) && (first = heap_first(&consul->due)) && first->at <= now)
        service_due(consul, container_of(first, struct consul_check, due)->service, now, txn);
    consul->settings.fence(consul->settings.owner, txn);
    return 0;
}

static void on_due_written(struct store_command *command, int answer, bool is_store_answer,
                           int64_t revision)
{
    struct consul *consul = container_of(command, struct consul, check_command);
    (void)revision;
    consul->is_checking = false;
    if (answer && is_store_answer) /* read-only, most likely */
        timer_start(&consul->check_timer, consul->loop, loop_now(consul->loop) + GRACE);
    else
        consul_check_plan(consul);
}

static void on_due(struct timer *timer)
{
    struct consul *consul = container_of(timer, struct consul, check_timer);
    if (!consul->settings.on_judge(consul->settings.owner)) {
        timer_start(timer, consul->loop, loop_now(consul->loop) + GRACE);
        return;
    }
    consul->is_checking = true;
    consul->check_command.build = build_due;
    consul->check_command.on_done = on_due_written;
    store_run(consul->store, &consul->check_command);
}

/* --- what calls do --- */

/* The text of what a check says is not on the log; another status is. */
struct transition {
    struct store_command command;
    struct consul *consul;
    char *check;
    enum check_status status;
};

static int build_transition(struct store_command *command, struct txn *txn)
{
    struct transition *transition = container_of(command, struct transition, command);
    struct consul_check *check = consul_check_find(transition->consul, span_of(transition->check));
    struct problem problem;
    if (!check || check->status == transition->status)
        return 0;
    if (!consul_minds(transition->consul, check->service))
        return 0;
    check->record->status = transition->status;
    int r = consul_service_put_told(transition->consul, check->service, txn, &problem);
    if (!r)
        transition->consul->settings.fence(transition->consul->settings.owner, txn);
    return r;
}

static void on_transition_done(struct store_command *command, int answer, bool is_store_answer,
                               int64_t revision)
{
    struct transition *transition = container_of(command, struct transition, command);
    (void)is_store_answer, (void)revision;
    if (answer) /* the next check tries again, and who follows does */
        transition->consul->aliases_revision = 0;
    free(transition->check);
    free(transition);
}

void consul_check_told(struct consul *consul, struct consul_check *check, enum check_status status,
                       const char *output)
{
    consul_check_say(check, output);
    if (status == check->status)
        return;
    log_info("consul", "check changed", "check", check->id, "status", check_status_word(status),
             "says", output);
    struct transition *transition = mem_new(struct transition);
    transition->consul = consul;
    transition->check = mem_strdup(check->id);
    transition->status = status;
    transition->command.build = build_transition;
    transition->command.on_done = on_transition_done;
    store_run(consul->store, &transition->command);
}

/* --- aliases --- */

/* This node is there without a record, and then nothing is wrong with it. */
static bool is_our_node(const struct consul *consul, const Consul__CheckRecord *record)
{
    return !record->target[0] && consul_node_is_ours(consul, span_of(record->alias_node));
}

static const struct consul_service *find_aliased(const struct consul *consul,
                                                 const Consul__CheckRecord *record)
{
    CLEANUP(arena_fini) struct arena arena = { 0 };
    struct span node = span_of(record->alias_node), id = span_of(record->target);
    if (!id.size)
        return consul_node_find(consul, node);
    if (!node.size || consul_node_is_ours(consul, node))
        return consul_service_find(consul, id);
    return consul_find(consul, CONSUL_ELSEWHERE, span_of(consul_elsewhere_key(&arena, node, id)));
}

static void follow(struct consul *consul, struct consul_check *check)
{
    static const char *const texts[] = {
        [CHECK_CRITICAL] = "Aliased check is critical",
        [CHECK_WARNING] = "Aliased check is warning",
        [CHECK_PASSING] = "All checks passing.",
    };
    if (!consul_minds(consul, check->service))
        return;
    const struct consul_service *aliased = find_aliased(consul, check->record);
    bool is_there = aliased || is_our_node(consul, check->record);
    enum check_status status = is_there ? CHECK_PASSING : CHECK_CRITICAL;
    if (aliased)
        status = consul_service_status(aliased);
    consul_check_told(consul, check, status,
                      is_there ? texts[status] : "What it is an alias of is not registered");
}

void consul_aliases_follow(struct consul *consul)
{
    if (consul->aliases_revision == consul->catalog_revision)
        return;
    consul->aliases_revision = consul->catalog_revision;
    list_each (link, &consul->aliases)
        follow(consul, container_of(link, struct consul_check, alias_link));
}

void consul_status_init(struct consul *consul)
{
    consul->check_timer.on_due = on_due;
    list_init(&consul->aliases);
}
