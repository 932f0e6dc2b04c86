/* SPDX-License-Identifier: Apache-2.0 */

#include "etcd.h"

/* What one member has, and does with the requests that it gets. */
struct member {
    bool is_up, is_paused, is_isolated;
    unsigned n_starts;
    int64_t applied; /* what its watches may be told of */
    struct world_event apply;
};

static struct {
    struct member members[NET_MEMBERS];
    struct list watches, parked;
} all;

/* A request under way through the members. */
struct proposal {
    struct list link;
    struct world_event event;
    struct stream *stream;
    struct span bytes;
    unsigned member, n_starts;
    bool is_mute; /* its answer was given already: that it has failed */
};

static void members_apply_on_due(struct world_event *event);

void members_begin(unsigned n_members)
{
    list_init(&all.watches);
    list_init(&all.parked);
    for (unsigned i = 0; i < NET_MEMBERS; i++) {
        all.members[i] = (struct member){ .is_up = i < n_members, .applied = 1 };
        all.members[i].apply.on_due = members_apply_on_due;
    }
}

bool member_is_up(unsigned member)
{
    return all.members[member].is_up;
}

bool member_is_paused(unsigned member)
{
    return all.members[member].is_paused;
}

static bool member_leads_to_leader(const struct member *member)
{
    return etcd_keys.has_leader && !member->is_isolated;
}

/* --- watches --- */

static void send_header(struct stream *stream, bool is_created)
{
    Etcd__WatchResponse response;
    etcd__watch_response__init(&response);
    Etcd__Header header = ETCD__HEADER__INIT;
    header.cluster_id = 77;
    header.revision = all.members[stream->member].applied;
    /* A progress answer may run ahead of the changes. */
    if (chance(300))
        header.revision = etcd_keys.revision;
    response.header = &header;
    response.created = is_created;
    stream_send(stream, etcd_pack(&response.base), chance_delay());
}

static void send_compacted(struct stream *stream)
{
    Etcd__WatchResponse response;
    etcd__watch_response__init(&response);
    Etcd__Header header = ETCD__HEADER__INIT;
    header.cluster_id = 77;
    header.revision = etcd_keys.revision;
    response.header = &header;
    response.canceled = true;
    response.compact_revision = etcd_keys.compacted;
    stream_send(stream, etcd_pack(&response.base), chance_delay());
    stream->is_watching = false;
}

static bool is_watched(const struct stream *stream, const struct etcd_event *event)
{
    return span_compare(event->kv.key, stream->first) >= 0 &&
           span_compare(event->kv.key, stream->last) < 0;
}

static Etcd__Event *event_new(const struct etcd_event *from)
{
    Etcd__Event *event = arena_new(&world.arena, Etcd__Event);
    etcd__event__init(event);
    Etcd__KeyValue *kv = arena_new(&world.arena, Etcd__KeyValue);
    etcd__key_value__init(kv);
    event->type = from->is_delete;
    event->kv = kv;
    kv->key = etcd_binary(from->kv.key);
    kv->value = etcd_binary(from->kv.value);
    kv->mod_revision = from->kv.mod_revision;
    kv->create_revision = from->kv.create_revision;
    kv->version = from->kv.version;
    return event;
}

static void send_events(struct stream *stream, Etcd__Event **events, size_t n, bool is_part)
{
    Etcd__WatchResponse response;
    etcd__watch_response__init(&response);
    Etcd__Header header = ETCD__HEADER__INIT;
    header.cluster_id = 77;
    header.revision = all.members[stream->member].applied;
    response.header = &header;
    response.events = events;
    response.n_events = n;
    response.fragment = is_part;
    stream_send(stream, etcd_pack(&response.base), chance_delay());
}

/* All that there is for a watch, in answers of whole revisions, some of them in parts. One that begins
 * reads the past, and there a delete may be missing. */
static void watch_pump(struct stream *stream, bool reads_past)
{
    int64_t applied = all.members[stream->member].applied;
    if (!stream->is_watching || stream->next_revision > applied)
        return;
    if (stream->next_revision < etcd_keys.compacted) {
        send_compacted(stream);
        return;
    }
    int64_t from = stream->next_revision;
    if (chance(30) && from > 4) /* what was told is told again */
        from -= 1 + chance_below(3);
    size_t end = etcd_events_after(applied), n = 0;
    size_t first = etcd_events_after(from - 1);
    if (first >= end) {
        stream->next_revision = applied + 1;
        return;
    }
    Etcd__Event **events = arena_new_array(&world.arena, Etcd__Event *, end - first);
    for (size_t i = first; i < end; i++) {
        const struct etcd_event *event = &etcd_keys.events[i];
        if (is_watched(stream, event) && !(reads_past && event->is_purged))
            events[n++] = event_new(event);
        bool ends_revision = i + 1 == end || event->kv.mod_revision != event[1].kv.mod_revision;
        if (n && ((ends_revision && chance(400)) || i + 1 == end)) {
            send_events(stream, events, n, false);
            n = 0;
        } else if (n && !ends_revision && chance(150)) {
            send_events(stream, events, n, true);
            n = 0;
        }
    }
    stream->next_revision = applied + 1;
}

static void members_apply_on_due(struct world_event *event)
{
    struct member *member = container_of(event, struct member, apply);
    if (!member->is_up || member->is_paused || member->is_isolated)
        return;
    member->applied = etcd_keys.revision;
    list_each_safe (link, &all.watches) {
        struct stream *stream = container_of(link, struct stream, watch_link);
        if (&all.members[stream->member] == member)
            watch_pump(stream, false);
    }
}

static void member_catch_up(struct member *member)
{
    if (member->is_up && !member->is_paused && !member->is_isolated &&
        !heap_has(&member->apply.node))
        world_at(&member->apply, world.now + (chance(10) ? chance_time(0, 3 * SECOND)
                                                         : chance_time(10000, 3 * MSEC)));
}

void members_on_commit(void)
{
    for (unsigned i = 0; i < etcd_keys.n_members; i++)
        member_catch_up(&all.members[i]);
}

static void on_watch(struct stream *stream, struct span bytes)
{
    Etcd__WatchRequest *request =
        etcd__watch_request__unpack(NULL, bytes.size, (const uint8_t *)bytes.data);
    const Etcd__WatchCreate *create = request->create;
    struct member *member = &all.members[stream->member];
    if (create && !member_leads_to_leader(member)) {
        stream_end(stream, GRPC_UNAVAILABLE, "etcdserver: no leader", chance_delay());
    } else if (create) {
        stream->first = arena_span_dup(
            &world.arena, (struct span){ (const char *)create->key.data, create->key.len });
        stream->last =
            arena_span_dup(&world.arena, (struct span){ (const char *)create->range_end.data,
                                                        create->range_end.len });
        stream->next_revision =
            create->start_revision ? create->start_revision : member->applied + 1;
        stream->is_watching = true;
        list_add_last(&all.watches, &stream->watch_link);
        send_header(stream, true);
        if (stream->next_revision < etcd_keys.compacted)
            send_compacted(stream);
        else
            watch_pump(stream, true);
    } else if (stream->next_revision > member->applied) {
        send_header(stream, false); /* only by one that has had all */
    }
    etcd__watch_request__free_unpacked(request, NULL);
}

/* --- requests --- */

static void proposal_commit(struct proposal *proposal)
{
    struct stream *stream = proposal->stream;
    if (strcmp(stream->method, "LeaseKeepAlive") == 0) {
        stream_send(stream, etcd_keep_alive(proposal->bytes), chance_delay());
        return;
    }
    struct etcd_answer answer = etcd_execute(stream->method, proposal->bytes);
    bool is_lost = !world.is_calm && chance(10);
    if (proposal->is_mute)
        return;
    if (is_lost)
        answer = (struct etcd_answer){ GRPC_UNAVAILABLE, "etcdserver: leader changed", SPAN_NULL };
    if (answer.status == GRPC_OK)
        stream_send(stream, answer.bytes, chance_delay());
    stream_end(stream, answer.status, answer.text, chance_delay());
}

static void proposal_on_due(struct world_event *event)
{
    struct proposal *proposal = container_of(event, struct proposal, event);
    struct stream *stream = proposal->stream;
    struct member *member = &all.members[proposal->member];
    bool was_stopped = !member->is_up || member->n_starts != proposal->n_starts;
    if (was_stopped) {
        if (chance(300) && etcd_keys.has_leader) /* it had passed it on */
            etcd_execute(stream->method, proposal->bytes);
        return;
    }
    if (member->is_paused || (!member_leads_to_leader(member) && chance(500))) {
        list_add_last(&all.parked, &proposal->link);
        return;
    }
    if (!member_leads_to_leader(member)) {
        stream_end(stream, GRPC_UNAVAILABLE, "etcdserver: no leader", chance_delay());
        return;
    }
    if (!world.is_calm && !proposal->is_mute && chance(10)) {
        /* Given up by the member, and done all the same; or not. */
        stream_end(stream, GRPC_UNAVAILABLE, "etcdserver: request timed out", chance_delay());
        proposal->is_mute = true;
        if (chance(600))
            world_at(event, world.now + chance_time(0, 8 * SECOND));
        return;
    }
    proposal_commit(proposal);
}

/* Those that wait are tried again. */
static void parked_release(void)
{
    struct list round, *link;
    list_init(&round);
    list_move_all(&round, &all.parked);
    while ((link = list_take_first(&round)))
        world_at(&container_of(link, struct proposal, link)->event, world.now + chance_delay());
}

void member_on_message(struct stream *stream, struct span bytes)
{
    if (strcmp(stream->method, "Watch") == 0) {
        on_watch(stream, bytes);
        return;
    }
    struct proposal *proposal = arena_new(&world.arena, struct proposal);
    proposal->event.on_due = proposal_on_due;
    proposal->stream = stream;
    proposal->bytes = arena_span_dup(&world.arena, bytes);
    proposal->member = stream->member;
    proposal->n_starts = all.members[stream->member].n_starts;
    list_init(&proposal->link);
    world_at(&proposal->event, world.now + chance_delay());
}

void member_on_cancel(struct stream *stream)
{
    list_remove(&stream->watch_link);
    stream->is_watching = false;
    stream->is_closed = true;
}

/* --- faults --- */

static void streams_lose_leader(unsigned member)
{
    list_each_safe (link, &all.watches) {
        struct stream *stream = container_of(link, struct stream, watch_link);
        if (stream->member != member || chance(200))
            continue;
        stream_end(stream, GRPC_UNAVAILABLE, "etcdserver: no leader", chance_delay());
        member_on_cancel(stream);
    }
}

static void member_go_on(unsigned member)
{
    net_resume(member);
    member_catch_up(&all.members[member]);
    parked_release();
}

void member_pause(unsigned member, bool is_paused)
{
    trace("member %u %s", member, is_paused ? "is paused" : "goes on");
    all.members[member].is_paused = is_paused;
    if (!is_paused)
        member_go_on(member);
}

void member_stop(unsigned member)
{
    trace("member %u stops", member);
    all.members[member].is_up = false;
    all.members[member].n_starts++;
    net_break(NULL, member);
}

void member_start(unsigned member)
{
    trace("member %u starts", member);
    all.members[member].is_up = true;
    member_go_on(member);
}

void member_isolate(unsigned member, bool is_isolated)
{
    trace("member %u is %s", member, is_isolated ? "isolated" : "with the others again");
    all.members[member].is_isolated = is_isolated;
    if (is_isolated)
        streams_lose_leader(member);
    else
        member_go_on(member);
}

void members_lose_leader(void)
{
    trace("nobody leads");
    etcd_keys.has_leader = false;
    for (unsigned i = 0; i < etcd_keys.n_members; i++)
        streams_lose_leader(i);
}

void members_find_leader(void)
{
    if (etcd_keys.has_leader)
        return;
    trace("one leads again");
    etcd_keys.has_leader = true;
    etcd_leases_extend();
    parked_release();
}
