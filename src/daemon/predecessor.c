/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/predecessor.h"

#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/takeover.h"
#include "io/file.h"
#include "io/watchdog.h"

#define ANSWER_TIME (60 * NSEC_PER_SEC) /* for each message while the old process is asked */
#define GIVE_TIME (20 * NSEC_PER_SEC)   /* to have the store: calls of the API end before */
#define LISTENERS_MAX (GATEWAY_LISTENERS_MAX + 8u)

/* One that drains, from which things come. */
struct elder {
    struct list link;
    struct channel channel;
    struct predecessor *predecessor;
    bool has_ended; /* in order */
};

struct predecessor {
    struct given given;
    size_t n_own;            /* of them the manager's, which come first */
    unsigned listener[1024]; /* that each of the others belongs to, as it counts them */
    unsigned n_listeners;
    int door_fd;
    struct watchdog watchdog; /* while it waits for us */
    int output_fds[2];        /* its standard output and error */
    bool is_output_wanted;
    struct channel channel; /* until it drains */
    struct loop *loop;
    struct predecessor_hooks hooks;
    struct list elders;
};

struct predecessor *predecessor_new(void)
{
    struct predecessor *predecessor = mem_new(struct predecessor);
    channel_init(&predecessor->channel, -1);
    predecessor->door_fd = predecessor->output_fds[0] = predecessor->output_fds[1] = -1;
    list_init(&predecessor->elders);
    given_add_environment(&predecessor->given);
    predecessor->n_own = predecessor->given.n;
    return predecessor;
}

static void elder_free(struct elder *elder)
{
    list_remove(&elder->link);
    channel_close(&elder->channel);
    free(elder);
}

static void close_output(struct predecessor *predecessor)
{
    for (unsigned i = 0; i < 2; i++) {
        fd_closep(&predecessor->output_fds[i]);
        predecessor->output_fds[i] = -1;
    }
}

struct predecessor *predecessor_free(struct predecessor *predecessor)
{
    if (!predecessor)
        return NULL;
    list_each_safe (link, &predecessor->elders)
        elder_free(container_of(link, struct elder, link));
    channel_close(&predecessor->channel);
    given_fini(&predecessor->given);
    fd_closep(&predecessor->door_fd);
    close_output(predecessor);
    watchdog_stop(&predecessor->watchdog);
    free(predecessor);
    return NULL;
}

struct given *predecessor_given(struct predecessor *predecessor)
{
    return &predecessor->given;
}

/* --- before anything serves here --- */

static void take_sockets(struct predecessor *predecessor, struct span rest,
                         struct channel_message *message)
{
    struct given_socket socket = { .use = takeover_take_number(&rest) };
    socket.is_kept = takeover_take_number(&rest) != 0;
    unsigned listener = socket.listener = takeover_take_number(&rest);
    socket.asked = takeover_take_address(&rest);
    for (unsigned i = 0; i < message->n_fds; i++) {
        size_t at = predecessor->given.n - predecessor->n_own;
        socket.fd = message->fds[i];
        if (at == sizeof(predecessor->listener) / sizeof(predecessor->listener[0]) ||
            listener >= LISTENERS_MAX || given_add(&predecessor->given, &socket))
            continue;
        message->fds[i] = -1;
        predecessor->listener[at] = listener;
        if (listener >= predecessor->n_listeners)
            predecessor->n_listeners = listener + 1;
    }
}

/* Until that message; those before are dealt with here. Where the problem is set, it is a refusal
 * instead. Answers: those of channel_wait(). */
static int wait_for(struct predecessor *predecessor, const char *word, struct problem *problem)
{
    CLEANUP(mem_freep) char *bytes = mem_resize(NULL, 1, CHANNEL_MESSAGE_MAX);
    for (;;) {
        struct channel_message message;
        int r = channel_wait(&predecessor->channel, ANSWER_TIME, bytes, &message);
        if (r)
            return r;
        struct span rest = message.bytes, kind = takeover_take(&rest);
        bool is_it = span_is(kind, word);
        if (span_is(kind, "refused")) {
            struct span why = takeover_take(&rest);
            problem_set(problem, "takeover", "is refused: %.*s", SPAN_ARG(why));
        } else if (span_is(kind, "socket")) {
            take_sockets(predecessor, rest, &message);
        } else if (span_is(kind, "given")) {
            watchdog_start(&predecessor->watchdog, takeover_take_number(&rest) * NSEC_PER_SEC);
        } else if (span_is(kind, "door") && message.n_fds) {
            predecessor->door_fd = message.fds[0];
            message.fds[0] = -1;
        } else if (span_is(kind, "output") && message.n_fds == 2) {
            close_output(predecessor);
            memcpy(predecessor->output_fds, message.fds, sizeof(predecessor->output_fds));
            message.n_fds = 0;
        }
        channel_message_fini(&message);
        if (is_it || problem->text[0])
            return 0;
    }
}

static const char *why_not(int answer)
{
    return answer == CHANNEL_LATE
               ? "gets no answer from the process that serves now"
               : "broke off: the process that serves now ended, or cannot be taken over";
}

static int refuse(struct predecessor *predecessor, int answer, struct problem *problem)
{
    if (answer)
        problem_set(problem, "takeover", "%s", why_not(answer));
    channel_close(&predecessor->channel);
    return PREDECESSOR_REFUSED;
}

void predecessor_want_output(struct predecessor *predecessor)
{
    predecessor->is_output_wanted = true;
}

int predecessor_ask(struct predecessor *predecessor, const char *data, struct problem *problem)
{
    CLEANUP(mem_freep) char *path = mem_format("%s/" TAKEOVER_FILE, data);
    int r = channel_connect(&predecessor->channel, path);
    if (r == CHANNEL_ABSENT) {
        log_info("daemon", "there is no process to take over from", "data", data);
        return 0;
    }
    if (r) {
        problem_set(problem, "takeover", "%s cannot be connected to: %s", path, strerror(-r));
        return PREDECESSOR_REFUSED;
    }
    takeover_say(&predecessor->channel, "hello", TAKEOVER_PROTOCOL);
    r = wait_for(predecessor, "sockets", problem);
    return r || problem->text[0] ? refuse(predecessor, r, problem) : 0;
}

int predecessor_get_store(struct predecessor *predecessor, struct problem *problem)
{
    if (predecessor->channel.fd < 0)
        return 0;
    watchdog_start(&predecessor->watchdog, GIVE_TIME);
    takeover_say(&predecessor->channel, "give", NULL);
    int r = wait_for(predecessor, "given", problem);
    if (r == CHANNEL_ENDED) { /* it died, and so gave up everything */
        log_warn("daemon", "the process that served before ended while it was taken over from");
        channel_close(&predecessor->channel);
        watchdog_stop(&predecessor->watchdog);
        return 0;
    }
    return r || problem->text[0] ? refuse(predecessor, r, problem) : 0;
}

/* --- while it drains --- */

static void take_usage(struct predecessor *predecessor, struct span bytes)
{
    struct usage_table *table = usage_table_new();
    if (!usage_table_decode(table, bytes))
        log_error("daemon", "usage of the process before this one cannot be read");
    predecessor->hooks.on_usage(predecessor->hooks.owner, table);
    usage_table_free(table);
}

static void take_connection(struct predecessor *predecessor, struct span rest,
                            struct channel_message *message)
{
    if (!message->n_fds || message->fds[0] < 0)
        return;
    struct gateway_connection connection = { .fd = message->fds[0] };
    connection.use = takeover_take_number(&rest);
    connection.address = takeover_take_address(&rest);
    connection.peer = takeover_take_address(&rest);
    message->fds[0] = -1;
    predecessor->hooks.on_connection(predecessor->hooks.owner, &connection);
}

static void add_elder(struct predecessor *predecessor, int fd);

static void on_message(struct channel *channel, struct channel_message *message)
{
    struct elder *elder = container_of(channel, struct elder, channel);
    struct predecessor *predecessor = elder->predecessor;
    struct span rest = message->bytes, kind = takeover_take(&rest);
    if (span_is(kind, "usage")) {
        take_usage(predecessor, rest);
    } else if (span_is(kind, "connection")) {
        take_connection(predecessor, rest, message);
    } else if (span_is(kind, "bom")) {
        predecessor->hooks.on_bom(predecessor->hooks.owner, takeover_take(&rest));
    } else if (span_is(kind, "elder") && message->n_fds) {
        add_elder(predecessor, message->fds[0]);
        message->fds[0] = -1;
    } else if (span_is(kind, "bye")) {
        elder->has_ended = true;
    }
}

bool predecessor_is_alone(const struct predecessor *predecessor)
{
    return list_is_empty(&predecessor->elders);
}

static void on_end(struct channel *channel)
{
    struct elder *elder = container_of(channel, struct elder, channel);
    struct predecessor *predecessor = elder->predecessor;
    if (elder->has_ended) {
        log_info("daemon", "the process before this one has ended");
    } else {
        log_warn("daemon",
                 "the process before this one ended early; what it had counted last is lost");
    }
    elder_free(elder);
    if (predecessor_is_alone(predecessor))
        predecessor->hooks.on_alone(predecessor->hooks.owner);
}

static void add_elder(struct predecessor *predecessor, int fd)
{
    struct elder *elder = mem_new(struct elder);
    channel_init(&elder->channel, fd);
    elder->channel.on_message = on_message;
    elder->channel.on_end = on_end;
    elder->predecessor = predecessor;
    list_add_last(&predecessor->elders, &elder->link);
    if (channel_start(&elder->channel, predecessor->loop))
        elder_free(elder);
}

/* What it counts as a listener goes on when any of its sockets was taken. */
static void say_ready(struct predecessor *predecessor)
{
    char taken[LISTENERS_MAX + 1] = "";
    memset(taken, '0', predecessor->n_listeners);
    for (size_t i = predecessor->n_own; i < predecessor->given.n; i++) {
        if (predecessor->given.sockets[i].fd < 0)
            taken[predecessor->listener[i - predecessor->n_own]] = '1';
    }
    takeover_say(&predecessor->channel, "ready", taken);
}

/* Other threads write meanwhile: a descriptor is replaced in one step. */
static void take_output(struct predecessor *predecessor)
{
    static const int own[2] = { STDOUT_FILENO, STDERR_FILENO };
    for (unsigned i = 0; i < 2; i++) {
        if (predecessor->is_output_wanted && predecessor->output_fds[i] >= 0)
            dup2(predecessor->output_fds[i], own[i]);
    }
    close_output(predecessor);
}

static void tell_untaken(const struct predecessor *predecessor)
{
    for (size_t i = 0; i < predecessor->n_own; i++) {
        char text[ADDRESS_TEXT_MAX];
        address_format(&predecessor->given.sockets[i].address, text);
        if (predecessor->given.sockets[i].fd >= 0)
            log_warn("daemon", "a socket of the service manager is in no setting, and is closed",
                     "address", text);
    }
}

void predecessor_ready(struct predecessor *predecessor, struct loop *loop,
                       const struct predecessor_hooks *hooks)
{
    predecessor->loop = loop;
    predecessor->hooks = *hooks;
    tell_untaken(predecessor);
    take_output(predecessor);
    watchdog_stop(&predecessor->watchdog);
    if (predecessor->channel.fd >= 0) {
        say_ready(predecessor);
        add_elder(predecessor, fd_steal(&predecessor->channel.fd));
    }
    given_fini(&predecessor->given);
}

int predecessor_take_door(struct predecessor *predecessor)
{
    return fd_steal(&predecessor->door_fd);
}

void predecessor_pause(struct predecessor *predecessor)
{
    list_each (link, &predecessor->elders)
        channel_stop(&container_of(link, struct elder, link)->channel);
}

void predecessor_resume(struct predecessor *predecessor)
{
    list_each_safe (link, &predecessor->elders) {
        struct elder *elder = container_of(link, struct elder, link);
        if (channel_start(&elder->channel, predecessor->loop))
            elder_free(elder);
    }
}

void predecessor_pass_on(struct predecessor *predecessor, struct channel *to)
{
    list_each_safe (link, &predecessor->elders) {
        struct elder *elder = container_of(link, struct elder, link);
        CLEANUP(buf_fini) struct buf message = { 0 };
        takeover_put(&message, "elder");
        channel_send(to, buf_span(&message), &elder->channel.fd, 1);
        elder_free(elder);
    }
}
