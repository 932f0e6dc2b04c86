/* SPDX-License-Identifier: Apache-2.0 */

#include "copies.h"

#include <stdio.h>
#include <string.h>

#include "process.h"
#include "registry/fold.h"

#define COPIES_MAX 6u
#define LATENESS (50 * MSEC)

struct copy {
    char id[24], service[16], address[24];
    unsigned n_names; /* the number in its id */
    nsec ttl, deregister_after;
    struct world_event beat;
    struct process *process; /* where it goes to */
    bool is_alive, is_registered, is_leaving;
    struct request *waiting; /* for an answer */

    /* The last heartbeat that was acknowledged. */
    nsec beaten_at;
    const struct process *beaten_by;
    bool was_seen; /* by the one who owned it, and of whom the others knew */
    char owner[40];
};

enum request_kind {
    REQUEST_REGISTER,
    REQUEST_BEAT,
    REQUEST_LEAVE,
    REQUEST_DRAIN,
};

/* From a copy to a process, which answers if it lives. */
struct request {
    struct arrival arrival;
    struct world_event arrive, answer, give_up;
    enum request_kind kind;
    struct copy *copy;
    struct process *process;
    struct loop *loop;
    struct store_command command;
    char id[24]; /* as the copy was called when it asked */
    int result;
};

static struct {
    struct copy all[COPIES_MAX];
    unsigned n;
    struct {
        bool is_there;
        nsec gone_at;
    } members[PROCESSES_MAX];
} copies;

static nsec beat_every(const struct copy *copy)
{
    return copy->ttl / 4;
}

/* --- what a copy is told --- */

/* A process that does not know yet that it is cut off, or that another has the copy now, says more
 * than it can keep. */
static void beaten(struct copy *copy, const struct process *process)
{
    bool is_known =
        copies.members[process->machine.number].is_there && strcmp(copy->owner, process->id) == 0;
    copy->beaten_at = world.now;
    copy->beaten_by = process;
    copy->was_seen = !processes.has_etcd || is_known;
}

static void answer_on_due(struct world_event *event)
{
    struct request *request = container_of(event, struct request, answer);
    struct copy *copy = request->copy;
    if (copy->waiting != request)
        return;
    copy->waiting = NULL;
    world_cancel(&request->give_up);
    trace("%s is answered %d by %s", copy->id, request->result, request->process->who);
    bool is_gone = request->kind == REQUEST_LEAVE && request->result == REGISTRY_NOT_FOUND;
    if (request->result && !is_gone) {
        copy->is_registered = copy->is_registered && request->result != REGISTRY_NOT_FOUND;
        copy->process = &processes.all[chance_below(processes.n)];
        return;
    }
    if (request->kind == REQUEST_REGISTER)
        copy->is_registered = true;
    else if (request->kind == REQUEST_LEAVE)
        copy->is_alive = copy->is_registered = false;
}

static void request_answer(struct request *request, int result)
{
    request->result = result;
    request->answer.on_due = answer_on_due;
    world_at(&request->answer, world.now + chance_delay());
    if (result || request->kind == REQUEST_LEAVE || request->kind == REQUEST_DRAIN)
        return;
    beaten(request->copy, request->process);
}

/* --- at the process, on its loop --- */

static int beat(const struct request *request)
{
    const struct copy *copy = request->copy;
    return instance_heartbeat(request->process->authority.registry, span_of(copy->service),
                              span_of(request->id), loop_now(request->loop),
                              loop_wall(request->loop));
}

static int command_build(struct store_command *command, struct txn *txn)
{
    struct request *request = container_of(command, struct request, command);
    const struct copy *copy = request->copy;
    const struct registry *registry = request->process->authority.registry;
    struct span service = span_of(copy->service), id = span_of(request->id);
    switch (request->kind) {
    case REQUEST_BEAT: return instance_claim(registry, service, id, txn);
    case REQUEST_LEAVE: return instance_delete(registry, service, id, txn);
    case REQUEST_DRAIN: return instance_drain(registry, service, id, txn);
    case REQUEST_REGISTER: break;
    }
    const struct instance_spec spec = {
        .service = service,
        .id = id,
        .address = span_of(copy->address),
        .build = { .version = SPAN("1.2.3") },
        .ttl = copy->ttl,
        .deregister_after = copy->deregister_after,
    };
    int r = instance_put(registry, &spec, loop_wall(request->loop), txn, NULL);
    if (!r)
        IGNORE(beat(request), "a new one gets its time when it is applied");
    return r;
}

static void command_on_done(struct store_command *command, int answer, bool is_store_answer,
                            int64_t revision)
{
    (void)is_store_answer, (void)revision;
    struct request *request = container_of(command, struct request, command);
    if (!process_is_up(request->process) || request->process->loop != request->loop)
        return;
    if (!answer && request->kind == REQUEST_BEAT)
        answer = beat(request);
    request_answer(request, is_store_answer && answer ? -1 : answer);
}

static void request_on_arrival(struct arrival *arrival)
{
    struct request *request = container_of(arrival, struct request, arrival);
    int r = REGISTRY_TRANSITION;
    if (!process_is_up(request->process))
        return;
    if (request->kind == REQUEST_BEAT)
        r = beat(request);
    if (r != REGISTRY_TRANSITION) {
        request_answer(request, r);
        return;
    }
    request->command.build = command_build;
    request->command.on_done = command_on_done;
    store_run(request->process->store, &request->command);
}

static void arrive_on_due(struct world_event *event)
{
    struct request *request = container_of(event, struct request, arrive);
    struct process *process = request->process;
    if (!process_is_up(process)) {
        request_answer(request, -1);
        return;
    }
    request->loop = process->loop;
    request->arrival.on_arrival = request_on_arrival;
    loop_arrive(process->loop, &request->arrival);
}

/* --- the life of a copy --- */

static void give_up_on_due(struct world_event *event)
{
    struct request *request = container_of(event, struct request, give_up);
    struct copy *copy = request->copy;
    trace("%s has no answer from %s", copy->id, request->process->who);
    copy->waiting = NULL;
    copy->process = &processes.all[chance_below(processes.n)];
}

static void ask(struct copy *copy, enum request_kind kind)
{
    static const char *const words[] = { "registers", "beats", "leaves", "drains" };
    trace("%s %s at %s", copy->id, words[kind], copy->process->who);
    struct request *request = arena_new(&world.arena, struct request);
    request->kind = kind;
    snprintf(request->id, sizeof(request->id), "%s", copy->id);
    request->copy = copy;
    request->process = copy->process;
    list_init(&request->arrival.link);
    request->arrive.on_due = arrive_on_due;
    request->give_up.on_due = give_up_on_due;
    copy->waiting = request;
    world_at(&request->arrive, world.now + chance_delay());
    world_at(&request->give_up, world.now + beat_every(copy) / 2);
}

static void copy_name(struct copy *copy, unsigned number)
{
    copy->n_names = number;
    snprintf(copy->id, sizeof(copy->id), "copy-%u", number);
}

static void copy_change_mind(struct copy *copy)
{
    if (!copy->is_alive && chance(200)) {
        copy->is_alive = true;
        copy->is_registered = false;
        if (copy->is_leaving) /* that it goes may be asked for still, somewhere */
            copy_name(copy, copy->n_names + copies.n);
        copy->is_leaving = false;
    } else if (!copy->is_alive) {
        return;
    } else if (chance(20)) { /* gone without a word */
        trace("%s is no more", copy->id);
        copy->is_alive = copy->is_registered = false;
        copy->was_seen = false;
    } else if (chance(20)) {
        copy->is_leaving = true;
    }
}

static void beat_on_due(struct world_event *event)
{
    struct copy *copy = container_of(event, struct copy, beat);
    world_at(event, world.now + beat_every(copy));
    if (copy->waiting)
        return;
    if (!world.is_calm)
        copy_change_mind(copy);
    if (!copy->is_alive)
        return;
    if (chance(100) && !world.is_calm)
        copy->process = &processes.all[chance_below(processes.n)];
    if (copy->is_leaving)
        ask(copy, REQUEST_LEAVE);
    else if (!copy->is_registered)
        ask(copy, REQUEST_REGISTER);
    else
        ask(copy, chance(10) && !world.is_calm ? REQUEST_DRAIN : REQUEST_BEAT);
}

void copies_begin(void)
{
    memset(&copies, 0, sizeof(copies));
    copies.n = chance_below(COPIES_MAX + 1);
    for (unsigned i = 0; i < copies.n; i++) {
        struct copy *copy = &copies.all[i];
        copy_name(copy, i);
        snprintf(copy->service, sizeof(copy->service), "service-%u", i % 3);
        snprintf(copy->address, sizeof(copy->address), "10.1.0.%u:80", i);
        copy->ttl = chance_time(2, 6) * SECOND;
        copy->deregister_after = chance_time(1, 4) * SECOND;
        copy->process = &processes.all[chance_below(processes.n)];
        copy->beat.on_due = beat_on_due;
        copy->is_alive = true;
        world_at(&copy->beat, world.now + chance_time(0, 5 * SECOND));
    }
}

/* --- what must hold --- */

static void copy_on_delete(struct copy *copy)
{
    trace("%s is removed", copy->id);
    if (copy->is_leaving || !copy->is_alive || !copy->was_seen)
        return;
    unsigned by = copy->beaten_by->machine.number;
    nsec since = copy->beaten_at;
    if (processes.has_etcd && !copies.members[by].is_there && copies.members[by].gone_at > since)
        since = copies.members[by].gone_at;
    nsec patience = copy->ttl + copy->deregister_after;
    MUST(world.now + LATENESS >= since + patience,
         "%s is removed %llu ms after a heartbeat, and has %llu ms", copy->id,
         (unsigned long long)((world.now - since) / MSEC), (unsigned long long)(patience / MSEC));
    copy->was_seen = false;
}

static void member_on_truth(struct span id, bool is_there)
{
    for (unsigned i = 0; i < processes.n && i < PROCESSES_MAX; i++) {
        if (!span_is(id, processes.all[i].id))
            continue;
        if (copies.members[i].is_there && !is_there)
            copies.members[i].gone_at = world.now;
        copies.members[i].is_there = is_there;
    }
}

/* That an instance has expired is written by who knows it as it is. */
static void note_owner(struct copy *copy, const struct store_event *event)
{
    struct span value = event->entry.value;
    Registry__InstanceRecord *record =
        registry__instance_record__unpack(NULL, value.size, (const uint8_t *)value.data);
    MUST(!record->is_expired ||
             (event->entry.version > 1 && strcmp(copy->owner, record->owner) == 0),
         "%s expires as it no longer is", copy->id);
    snprintf(copy->owner, sizeof(copy->owner), "%s", record->owner);
    const char *who = "nobody";
    for (unsigned i = 0; i < processes.n; i++)
        who = strcmp(processes.all[i].id, copy->owner) == 0 ? processes.all[i].who : who;
    trace("%s is owned by %s%s", copy->id, who, record->is_expired ? ", and expired" : "");
    registry__instance_record__free_unpacked(record, NULL);
}

void copies_on_truth(const struct store_event *event)
{
    struct span name = event->entry.key;
    if (!span_starts_with(name, SPAN(REGISTRY_PREFIX)))
        return;
    name = span_from(name, sizeof(REGISTRY_PREFIX) - 1);
    struct span kind = span_cut(&name, '/');
    if (span_is(kind, "owner"))
        member_on_truth(name, event->kind == TXN_PUT);
    if (!span_is(kind, "instance"))
        return;
    span_cut(&name, '/');
    for (unsigned i = 0; i < copies.n; i++) {
        if (!span_is(name, copies.all[i].id))
            continue;
        if (event->kind == TXN_DELETE)
            copy_on_delete(&copies.all[i]);
        else
            note_owner(&copies.all[i], event);
    }
}

static const struct instance *instance_at(const struct process *process, const struct copy *copy)
{
    const struct service *service =
        service_find(process->authority.registry, span_of(copy->service));
    return service ? instance_find(service, span_of(copy->id)) : NULL;
}

/* Everyone lists it, or nobody does, and one process watches over it. */
static bool copy_is_settled(const struct copy *copy)
{
    unsigned n_owners = 0, n_lists = 0;
    for (unsigned i = 0; i < processes.n; i++) {
        const struct process *process = &processes.all[i];
        const struct instance *instance = instance_at(process, copy);
        n_lists += instance && !instance->is_expired;
        n_owners += instance && registry_owns(process->authority.registry, instance);
    }
    bool is_here = copy->is_alive && copy->is_registered;
    return n_lists == (is_here ? processes.n : 0) && n_owners == (is_here ? 1 : 0) &&
           copy->is_alive == copy->is_registered;
}

static unsigned count_elected(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < processes.n; i++)
        n += cluster_is_elected(&processes.all[i].authority.cluster);
    return n;
}

static unsigned count_instances(const struct process *process)
{
    unsigned n = 0;
    map_each (node, registry_services(process->authority.registry))
        n += (unsigned)container_of(node, struct service, node)->instances.n_nodes;
    return n;
}

bool copies_are_settled(void)
{
    unsigned n_alive = 0;
    if (count_elected() != 1)
        return false;
    for (unsigned i = 0; i < copies.n; i++)
        n_alive += copies.all[i].is_alive;
    for (unsigned i = 0; i < processes.n; i++) {
        if (count_instances(&processes.all[i]) != n_alive)
            return false;
    }
    for (unsigned i = 0; i < copies.n; i++) {
        if (!copy_is_settled(&copies.all[i]))
            return false;
    }
    return true;
}

void copies_check_settled(void)
{
    for (unsigned i = 0; i < processes.n && processes.has_etcd; i++) {
        const struct cluster *cluster = &processes.all[i].authority.cluster;
        MUST(registry_self(cluster->registry), "%s is no member: %s%s%s", processes.all[i].who,
             cluster->is_asking ? "it asks for a lease" : "",
             cluster->is_writing ? "it writes its record" : "",
             cluster->lease.id ? ", and has a lease" : ", and has no lease");
    }
    MUST(count_elected() == 1, "%u processes are elected", count_elected());
    for (unsigned i = 0; i < copies.n; i++) {
        const struct copy *copy = &copies.all[i];
        MUST(copy_is_settled(copy), "%s, which %s, is not known to be so", copy->id,
             !copy->is_alive       ? "has gone"
             : copy->is_registered ? "runs"
                                   : "wants to register");
    }
    MUST(copies_are_settled(), "an instance is there whose copy is not");
    for (unsigned i = 0; i < processes.n; i++)
        authority_check(&processes.all[i].authority);
}
