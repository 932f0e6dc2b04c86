/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/successor.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/takeover.h"
#include "io/file.h"

#define RESUME_AGAIN (50 * NSEC_PER_MSEC) /* a process that ends closes one file after the other */
#define RESUME_TIME (30 * NSEC_PER_SEC)
#define USAGE_PIECE 32768u

/* How long it may take until it serves: where opening the store took this process its time, so may
 * it the other. */
#define PATIENCE (10 * NSEC_PER_SEC)
#define PATIENCE_FACTOR 10

enum state {
    NOBODY,
    CONNECTED,
    ASKED,
    HOLDING,
    GIVEN,
    RESUMING,
    LEAVING,
};

struct successor {
    struct loop *loop;
    struct control *control;
    struct predecessor *predecessor;
    struct successor_hooks hooks;
    struct watch door;
    struct channel channel;
    enum state state;
    struct timer resume;
    nsec resume_until;
    bool has_left;
};

/* --- it asks --- */

static void send_sockets(struct successor *successor, unsigned listener,
                         const struct gateway_sockets *sockets)
{
    CLEANUP(buf_fini) struct buf message = { 0 };
    takeover_put(&message, "socket");
    takeover_put_number(&message, sockets->use);
    takeover_put_number(&message, sockets->is_kept);
    takeover_put_number(&message, listener);
    takeover_put_address(&message, &sockets->asked);
    for (unsigned i = 0; i < sockets->n; i += CHANNEL_FDS_MAX) {
        unsigned n = sockets->n - i < CHANNEL_FDS_MAX ? sockets->n - i : CHANNEL_FDS_MAX;
        channel_send(&successor->channel, buf_span(&message), sockets->fds + i, n);
    }
}

static void send_output(struct successor *successor)
{
    static const int output[2] = { STDOUT_FILENO, STDERR_FILENO };
    CLEANUP(buf_fini) struct buf message = { 0 };
    takeover_put(&message, "output");
    channel_send(&successor->channel, buf_span(&message), output, 2);
}

static void take_hello(struct successor *successor, struct span protocol)
{
    if (!span_is(protocol, TAKEOVER_PROTOCOL)) {
        takeover_say(
            &successor->channel, "refused",
            "the process that serves now hands over in another way; stop it and start this one");
        return;
    }
    log_info("daemon", "another process asks to take over");
    for (unsigned i = 0; i < control_n_sockets(successor->control); i++) {
        struct gateway_sockets sockets = control_sockets(successor->control, i);
        send_sockets(successor, i, &sockets);
    }
    CLEANUP(buf_fini) struct buf message = { 0 };
    takeover_put(&message, "door");
    channel_send(&successor->channel, buf_span(&message), &successor->door.fd, 1);
    send_output(successor);
    takeover_say(&successor->channel, "sockets", NULL);
    successor->state = ASKED;
}

/* --- it gets the store, and may fail with it --- */

static void go_on(struct successor *successor)
{
    successor->state = NOBODY;
    log_warn("daemon", "the process that was to take over ended; this one goes on");
    successor->hooks.on_kept(successor->hooks.owner);
}

static void on_resume_due(struct timer *timer)
{
    struct successor *successor = container_of(timer, struct successor, resume);
    struct problem problem = { 0 };
    if (!control_resume(successor->control, &problem)) {
        predecessor_resume(successor->predecessor);
        go_on(successor);
        return;
    }
    if (loop_now(successor->loop) < successor->resume_until) {
        timer_start(timer, successor->loop, loop_now(successor->loop) + RESUME_AGAIN);
        return;
    }
    log_error("daemon", "the store cannot be opened again", "reason", problem.text);
    successor->hooks.on_failed(successor->hooks.owner);
}

static void take_back(struct successor *successor)
{
    successor->state = RESUMING;
    successor->resume_until = loop_now(successor->loop) + RESUME_TIME;
    timer_start(&successor->resume, successor->loop, loop_now(successor->loop));
}

static void say_given(struct successor *successor)
{
    nsec patience = PATIENCE_FACTOR * control_opening_took(successor->control);
    char seconds[24];
    snprintf(seconds, sizeof(seconds), "%u",
             (unsigned)((patience < PATIENCE ? PATIENCE : patience) / NSEC_PER_SEC));
    takeover_say(&successor->channel, "given", seconds);
}

static void on_held(void *owner)
{
    struct successor *successor = owner;
    if (successor->state == RESUMING) { /* it ended meanwhile */
        take_back(successor);
        return;
    }
    successor->state = GIVEN;
    say_given(successor);
}

static void take_give(struct successor *successor)
{
    successor->state = HOLDING;
    predecessor_pause(successor->predecessor);
    control_hold(successor->control, on_held, successor);
}

/* --- it is ready --- */

static void send_usage(void *owner, struct usage_table *table)
{
    struct successor *successor = owner;
    CLEANUP(buf_fini) struct buf message = { 0 };
    takeover_put(&message, "usage");
    size_t start = message.size, n;
    for (size_t at = 0; (n = usage_table_encode(table, at, &message, USAGE_PIECE)); at += n) {
        channel_send(&successor->channel, buf_span(&message), NULL, 0);
        message.size = start;
    }
}

static void send_bom(void *owner, struct span json)
{
    struct successor *successor = owner;
    CLEANUP(mem_freep) char *text = mem_span_dup(json);
    takeover_say(&successor->channel, "bom", text);
}

static void send_connection(void *owner, const struct gateway_connection *connection)
{
    struct successor *successor = owner;
    CLEANUP(buf_fini) struct buf message = { 0 };
    takeover_put(&message, "connection");
    takeover_put_number(&message, connection->use);
    takeover_put_address(&message, &connection->address);
    takeover_put_address(&message, &connection->peer);
    channel_send(&successor->channel, buf_span(&message), &connection->fd, 1);
    close(connection->fd);
}

static void end_when_sent(struct successor *successor)
{
    if (successor->has_left && channel_is_sent(&successor->channel)) {
        channel_close(&successor->channel);
        successor->hooks.on_left(successor->hooks.owner);
    }
}

static void on_left(void *owner)
{
    struct successor *successor = owner;
    successor->has_left = true;
    takeover_say(&successor->channel, "bye", NULL);
    end_when_sent(successor);
}

static void on_sent(struct channel *channel)
{
    end_when_sent(container_of(channel, struct successor, channel));
}

static void take_ready(struct successor *successor, struct span flags)
{
    bool taken[CONTROL_SOCKETS_MAX] = { 0 };
    for (size_t i = 0; i < flags.size && i < CONTROL_SOCKETS_MAX; i++)
        taken[i] = flags.data[i] == '1';
    successor->state = LEAVING;
    log_info("daemon", "another process has taken over; what is under way ends here");
    watch_remove(&successor->door);
    fd_closep(&successor->door.fd);
    successor->door.fd = -1;
    predecessor_pass_on(successor->predecessor, &successor->channel);
    struct control_heir heir = { send_usage, send_bom, send_connection, successor };
    control_leave(successor->control, &heir, taken, on_left, successor);
}

/* --- it ends --- */

static void on_end(struct channel *channel)
{
    struct successor *successor = container_of(channel, struct successor, channel);
    channel_close(channel);
    switch (successor->state) {
    case ASKED: go_on(successor); break;
    case HOLDING: successor->state = RESUMING; break;
    case GIVEN: take_back(successor); break;
    case LEAVING:
        log_error("daemon", "the process that took over ended; what is counted here is lost");
        if (successor->has_left)
            successor->hooks.on_left(successor->hooks.owner);
        break;
    case CONNECTED: successor->state = NOBODY; break;
    case NOBODY:
    case RESUMING: break;
    }
}

static void on_message(struct channel *channel, struct channel_message *message)
{
    struct successor *successor = container_of(channel, struct successor, channel);
    struct span rest = message->bytes, kind = takeover_take(&rest);
    if (span_is(kind, "hello") && successor->state == CONNECTED)
        take_hello(successor, takeover_take(&rest));
    else if (span_is(kind, "give") && successor->state == ASKED)
        take_give(successor);
    else if (span_is(kind, "ready") && successor->state == GIVEN)
        take_ready(successor, takeover_take(&rest));
}

/* --- the door --- */

static void refuse(int fd)
{
    struct channel channel = { 0 };
    channel_init(&channel, fd);
    takeover_say(&channel, "refused",
                 "another process is taking over just now; try again after that");
    channel_close(&channel);
}

static void on_door(struct watch *watch, uint32_t events)
{
    (void)events;
    struct successor *successor = container_of(watch, struct successor, door);
    for (int fd; (fd = channel_accept(watch->fd)) >= 0;) {
        if (successor->state != NOBODY) {
            refuse(fd);
            continue;
        }
        channel_init(&successor->channel, fd);
        successor->state = CONNECTED;
        if (channel_start(&successor->channel, successor->loop))
            on_end(&successor->channel);
    }
}

static int make_door(const char *data, int *ret_fd)
{
    CLEANUP(mem_freep) char *path = mem_format("%s/" TAKEOVER_FILE, data);
    int r = channel_listen(path, ret_fd);
    return r > 0 ? -EADDRINUSE : err_trace(r);
}

static int open_door(struct successor *successor, int door_fd, const char *data)
{
    CLEANUP(fd_closep) int fd = door_fd;
    int r = fd < 0 ? make_door(data, &fd) : 0;
    if (r)
        return err_trace(r);
    successor->door.on_ready = on_door;
    r = watch_add(&successor->door, successor->loop, fd, EPOLLIN);
    if (r)
        return err_trace(r);
    fd_steal(&fd);
    return 0;
}

struct successor *successor_new(struct loop *loop, struct control *control,
                                struct predecessor *predecessor, int door_fd, const char *data,
                                const struct successor_hooks *hooks)
{
    struct successor *successor = mem_new(struct successor);
    successor->loop = loop;
    successor->control = control;
    successor->predecessor = predecessor;
    successor->hooks = *hooks;
    successor->door.fd = -1;
    channel_init(&successor->channel, -1);
    successor->channel.on_message = on_message;
    successor->channel.on_end = on_end;
    successor->channel.on_sent = on_sent;
    successor->resume.on_due = on_resume_due;
    if (open_door(successor, door_fd, data))
        log_error("daemon", "no other process will be able to take over", "data", data);
    return successor;
}

struct successor *successor_free(struct successor *successor)
{
    if (!successor)
        return NULL;
    timer_stop(&successor->resume);
    watch_remove(&successor->door);
    fd_closep(&successor->door.fd);
    channel_close(&successor->channel);
    free(successor);
    return NULL;
}

bool successor_is_busy(const struct successor *successor)
{
    return successor && successor->state != NOBODY && successor->state != CONNECTED;
}

bool successor_is_ready(const struct successor *successor)
{
    return successor && successor->state == LEAVING;
}
