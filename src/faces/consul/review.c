/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Registrations that stand are read again when rules may be others: when the face opens, and after
 * a reload that brought others. What comes out as before is left alone; the rest is written a few at a time, so that
 * nobody waits behind it.
 */

#include "base/log.h"
#include "base/mem.h"
#include "faces/consul/owner.h"
#include "faces/consul/reading.h"
#include "faces/consul/service.h"

#define AT_ONCE 8u               /* registrations in one transaction */
#define TURN (5 * NSEC_PER_MSEC) /* of the loop, after which others have theirs */
#define PAUSE NSEC_PER_SEC       /* where the store takes nothing */

static bool is_as_read(const struct consul *consul, const struct instance_spec *spec)
{
    const struct service *service = service_find(consul->registry, spec->service);
    const struct instance *instance = service ? instance_find(service, spec->id) : NULL;
    struct span version = spec->build.version.size ? spec->build.version : SPAN(UNVERSIONED_BUILD);
    return !instance || (span_is(version, instance->build->version) &&
                         span_is(spec->protocol, instance->protocol) &&
                         span_is(spec->address, instance->address));
}

/* By its kind, as a digit, and its key. */
static struct consul_service *find(const struct consul *consul, const char *id)
{
    return consul_find(consul, (enum consul_kind)(id[0] - '0'), span_of(id + 1));
}

static void note_all(struct consul *consul, enum consul_kind kind)
{
    struct consul_review *review = &consul->review;
    map_each (node, &consul->services[kind])
        review->ids[review->n++] =
            mem_format("%u%s", kind, container_of(node, struct consul_service, node)->key);
}

/* Called again after a conflict, so where it goes on is only kept when it is done. */
static int build_review(struct store_command *command, struct txn *txn)
{
    struct consul_review *review = container_of(command, struct consul_review, command);
    struct consul *consul = container_of(review, struct consul, review);
    struct problem problem;
    unsigned n = 0;
    struct clock *clock = loop_clock(consul->loop);
    nsec until = clock_now(clock) + TURN;
    for (review->next = review->at; review->next < review->n && n < AT_ONCE &&
                                    (review->next == review->at || clock_now(clock) < until);
         review->next++) {
        struct consul_service *service = find(consul, review->ids[review->next]);
        struct instance_spec spec;
        if (!service || !consul_owns(consul, service))
            continue; /* in a cluster it is read by the rules of where its heartbeats come */
        const struct consul_place place = consul_place_of(consul, service);
        consul_read_instance(consul, service->record, place.node, &txn->arena, &spec);
        if (is_as_read(consul, &spec))
            continue;
        n++;
        if (consul_service_put(consul, &place, service->record, txn, &problem))
            log_warn("consul", "what a registration says cannot be applied", "id", service->id,
                     "why", problem.text);
    }
    return 0;
}

static void go_on(struct consul_review *review);

static void end(struct consul_review *review)
{
    for (size_t i = 0; i < review->n; i++)
        free(review->ids[i]);
    free(review->ids);
    review->ids = NULL;
    review->n = review->at = 0;
}

static void on_reviewed(struct store_command *command, int answer, bool is_store_answer,
                        int64_t revision)
{
    struct consul_review *review = container_of(command, struct consul_review, command);
    struct consul *consul = container_of(review, struct consul, review);
    (void)revision, (void)is_store_answer;
    review->is_running = false;
    if (!answer)
        review->at = review->next;
    timer_start(&review->timer, consul->loop, loop_now(consul->loop) + (answer ? PAUSE : 0));
}

static void on_turn(struct timer *timer)
{
    go_on(container_of(timer, struct consul_review, timer));
}

static void begin(struct consul *consul, struct consul_review *review)
{
    review->is_asked = false;
    size_t n = consul->services[CONSUL_HERE].n_nodes + consul->services[CONSUL_ELSEWHERE].n_nodes;
    review->ids = mem_new_array(char *, n + 1);
    note_all(consul, CONSUL_HERE);
    note_all(consul, CONSUL_ELSEWHERE);
}

static void go_on(struct consul_review *review)
{
    struct consul *consul = container_of(review, struct consul, review);
    if (review->is_asked || review->at == review->n)
        end(review);
    if (review->is_asked)
        begin(consul, review);
    if (review->at == review->n)
        return;
    review->is_running = true;
    review->command.build = build_review;
    review->command.on_done = on_reviewed;
    store_run(consul->store, &review->command);
}

void consul_set_rules(struct consul *consul, const struct consul_rules *rules)
{
    struct consul_review *review = &consul->review;
    struct buf text = { 0 };
    consul_rules_write(rules, &text);
    bool is_same = review->is_begun && span_equals(buf_span(&review->rules), buf_span(&text));
    buf_fini(&review->rules);
    review->rules = text;
    consul->rules = rules;
    if (is_same)
        return;
    review->is_begun = review->is_asked = true;
    review->timer.on_due = on_turn;
    if (!review->is_running)
        timer_start(&review->timer, consul->loop, loop_now(consul->loop));
}

void consul_review_fini(struct consul *consul)
{
    timer_stop(&consul->review.timer);
    buf_fini(&consul->review.rules);
    end(&consul->review);
}
