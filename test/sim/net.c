/* SPDX-License-Identifier: Apache-2.0 */

#include "net.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "etcd.h"

struct http_pool {
    struct loop *loop;
};

const struct http_pool_settings http_pool_settings_default = { .max_idle = 1 };

static struct list streams;
static bool cuts[NET_MACHINES][NET_MEMBERS];

void net_begin(void)
{
    list_init(&streams);
    memset(cuts, 0, sizeof(cuts));
}

void net_end(void)
{
    list_init(&streams);
}

/* --- lanes --- */

static bool lane_stands(const struct lane *lane, const struct stream *stream)
{
    if (cuts[stream->machine->number][stream->member])
        return true;
    return lane->is_up && member_is_paused(stream->member);
}

static void lane_arm(struct lane *lane)
{
    if (list_is_empty(&lane->queue) || heap_has(&lane->event.node))
        return;
    world_at(&lane->event, container_of(lane->queue.next, struct message, link)->at);
}

static void lane_put(struct lane *lane, struct message *message, nsec delay)
{
    nsec at = after(world.now, delay);
    lane->at = message->at = at > lane->at ? at : lane->at + 1;
    list_add_last(&lane->queue, &message->link);
    lane_arm(lane);
}

static struct message *message_new(struct stream *stream, struct span bytes)
{
    struct message *message = arena_new(&world.arena, struct message);
    message->stream = stream;
    message->bytes = arena_span_dup(&world.arena, bytes);
    list_init(&message->link);
    list_init(&message->arrival.link);
    return message;
}

/* --- down: to the client --- */

static void message_on_arrival(struct arrival *arrival)
{
    struct message *message = container_of(arrival, struct message, arrival);
    struct stream *stream = message->stream;
    struct grpc_call *call = stream->call;
    if (!call)
        return;
    world_cancel(&stream->deadline);
    if (message->kind == MESSAGE_DATA) {
        call->ops->on_message(call, message->bytes);
        return;
    }
    trace("m%u %s ends: %u %s", stream->machine->number, stream->method, (unsigned)message->status,
          message->text);
    stream->call = NULL;
    call->is_open = false;
    call->was_unsent = message->is_unsent;
    call->ops->on_end(call, message->status, span_of(message->text));
}

static void message_arrive(struct message *message)
{
    struct stream *stream = message->stream;
    message->arrival.on_arrival = message_on_arrival;
    if (stream->call && !stream->machine->is_dead)
        loop_arrive(stream->loop, &message->arrival);
}

static void lane_down_on_due(struct world_event *event)
{
    struct lane *lane = container_of(event, struct lane, event);
    struct stream *stream = container_of(lane, struct stream, down);
    if (lane_stands(lane, stream))
        return;
    struct list *first = list_take_first(&lane->queue);
    if (!first)
        return;
    message_arrive(container_of(first, struct message, link));
    lane_arm(lane);
}

void stream_send(struct stream *stream, struct span bytes, nsec delay)
{
    if (stream->call && !stream->is_closed)
        lane_put(&stream->down, message_new(stream, bytes), delay);
}

static struct message *end_new(struct stream *stream, enum grpc_status status, const char *text)
{
    struct message *message = message_new(stream, SPAN_NULL);
    message->kind = MESSAGE_END;
    message->status = status;
    message->text = text;
    return message;
}

void stream_end(struct stream *stream, enum grpc_status status, const char *text, nsec delay)
{
    if (stream->call && !stream->is_closed)
        lane_put(&stream->down, end_new(stream, status, text), delay);
    stream->is_closed = true;
}

/* --- up: to the member --- */

/* Nobody listens at its address: as when the host is there, and the process is not. */
static void stream_refuse(struct stream *stream)
{
    stream->is_closed = true;
    list_init(&stream->up.queue);
    list_init(&stream->down.queue);
    struct message *end = end_new(stream, GRPC_UNAVAILABLE, "connection refused");
    end->is_unsent = !stream->has_arrived;
    message_arrive(end);
}

static void lane_up_on_due(struct world_event *event)
{
    struct lane *lane = container_of(event, struct lane, event);
    struct stream *stream = container_of(lane, struct stream, up);
    if (lane_stands(lane, stream))
        return;
    struct list *first = list_take_first(&lane->queue);
    if (!first)
        return;
    const struct message *message = container_of(first, struct message, link);
    if (!member_is_up(stream->member)) {
        stream_refuse(stream);
        return;
    }
    stream->has_arrived = true;
    if (message->kind == MESSAGE_DATA)
        member_on_message(stream, message->bytes);
    else if (message->kind == MESSAGE_CANCEL)
        member_on_cancel(stream);
    lane_arm(lane);
}

/* --- faults --- */

void net_cut(const struct machine *machine, unsigned member)
{
    cuts[machine->number][member] = true;
}

void net_mend(const struct machine *machine, unsigned member)
{
    cuts[machine->number][member] = false;
    list_each (link, &streams) {
        struct stream *stream = container_of(link, struct stream, link);
        if (stream->machine != machine || stream->member != member)
            continue;
        lane_arm(&stream->up);
        lane_arm(&stream->down);
    }
}

void net_resume(unsigned member)
{
    list_each (link, &streams) {
        struct stream *stream = container_of(link, struct stream, link);
        if (stream->member == member)
            lane_arm(&stream->up);
    }
}

static void stream_lose(struct stream *stream)
{
    if (chance(500))
        list_init(&stream->up.queue);
    list_init(&stream->down.queue);
    world_cancel(&stream->deadline);
}

void net_break(const struct machine *machine, unsigned member)
{
    list_each_safe (link, &streams) {
        struct stream *stream = container_of(link, struct stream, link);
        bool is_it = (!machine || stream->machine == machine) && stream->member == member;
        if (!is_it || !stream->call)
            continue;
        stream_lose(stream);
        message_arrive(end_new(stream, GRPC_UNAVAILABLE, "the connection broke"));
        stream->is_closed = true;
        member_on_cancel(stream);
    }
}

void net_forget(const struct machine *machine)
{
    list_each (link, &streams) {
        struct stream *stream = container_of(link, struct stream, link);
        if (stream->machine != machine || !stream->call)
            continue;
        stream_lose(stream);
        stream->call = NULL;
        member_on_cancel(stream);
    }
}

/* --- http/client.h --- */

struct http_pool *http_pool_new(struct loop *loop, const struct http_pool_settings *settings)
{
    (void)settings;
    struct http_pool *pool = mem_new(struct http_pool);
    pool->loop = loop;
    return pool;
}

struct http_pool *http_pool_free(struct http_pool *pool)
{
    free(pool);
    return NULL;
}

/* --- store/grpc_call.h --- */

static struct stream *stream_of(const struct grpc_call *call)
{
    list_each (link, &streams) {
        struct stream *stream = container_of(link, struct stream, link);
        if (stream->call == call)
            return stream;
    }
    return NULL;
}

static void stream_on_deadline(struct world_event *event)
{
    struct stream *stream = container_of(event, struct stream, deadline);
    message_arrive(end_new(stream, GRPC_DEADLINE_EXCEEDED, "no answer in time"));
}

/* 10.0.0.1 is the first member. */
static unsigned member_of(const struct address *address)
{
    struct sockaddr_in in;
    memcpy(&in, &address->storage, sizeof(in));
    return (ntohl(in.sin_addr.s_addr) & 0xff) - 1;
}

void grpc_call_start(struct grpc_call *call, const struct grpc_target *target, const char *path,
                     nsec timeout, struct loop *loop)
{
    const struct grpc_call_ops *ops = call->ops;
    *call = (struct grpc_call){ .ops = ops, .is_open = true };
    struct stream *stream = arena_new(&world.arena, struct stream);
    stream->call = call;
    stream->loop = loop;
    stream->machine = loop_machine(loop);
    stream->pool = target->pool;
    stream->method = strrchr(path, '/') + 1;
    stream->member = member_of(target->address);
    list_init(&stream->up.queue);
    list_init(&stream->down.queue);
    list_init(&stream->watch_link);
    stream->up.is_up = true;
    stream->up.event.on_due = lane_up_on_due;
    stream->down.event.on_due = lane_down_on_due;
    stream->deadline.on_due = stream_on_deadline;
    list_add_first(&streams, &stream->link);
    if (timeout != NSEC_NEVER)
        world_at(&stream->deadline, after(world.now, timeout));
}

static void call_put(struct grpc_call *call, struct span bytes, unsigned kind)
{
    struct stream *stream = stream_of(call);
    if (!call->is_open || !stream || stream->machine->is_dead)
        return;
    struct message *message = message_new(stream, bytes);
    message->kind = kind;
    lane_put(&stream->up, message, chance_delay());
}

void grpc_call_send(struct grpc_call *call, struct span framed)
{
    call_put(call, span_from(framed, GRPC_FRAME_HEAD), MESSAGE_DATA);
}

void grpc_call_finish(struct grpc_call *call)
{
    call_put(call, SPAN_NULL, MESSAGE_END);
}

void grpc_call_cancel(struct grpc_call *call)
{
    if (!call->is_open)
        return;
    call_put(call, SPAN_NULL, MESSAGE_CANCEL);
    call->is_open = false;
    struct stream *stream = stream_of(call);
    if (!stream)
        return;
    world_cancel(&stream->deadline);
    stream->call = NULL;
}
