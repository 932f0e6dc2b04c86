/* SPDX-License-Identifier: Apache-2.0 */

#include "io/channel.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "check.h"

struct end {
    struct channel channel;
    char *got; /* the messages, with a blank behind each */
    size_t n_bytes;
    unsigned n_messages, n_ends, n_sent;
    int fd; /* the last that came */
};

static void note_message(struct channel *channel, struct channel_message *message)
{
    struct end *end = container_of(channel, struct end, channel);
    end->n_messages++;
    end->n_bytes += message->bytes.size;
    if (message->bytes.size < 64)
        snprintf(end->got + strlen(end->got), 64, "%.*s ", SPAN_ARG(message->bytes));
    if (message->n_fds) {
        end->fd = message->fds[0];
        message->fds[0] = -1;
    }
}

static void note_end(struct channel *channel)
{
    container_of(channel, struct end, channel)->n_ends++;
}

static void note_sent(struct channel *channel)
{
    container_of(channel, struct end, channel)->n_sent++;
}

static struct loop *loop;

static struct end *end_new(int fd)
{
    struct end *end = mem_new(struct end);
    channel_init(&end->channel, fd);
    end->channel.on_message = note_message;
    end->channel.on_end = note_end;
    end->channel.on_sent = note_sent;
    end->got = mem_zalloc(1, 4096);
    end->fd = -1;
    return end;
}

static void end_free(struct end *end)
{
    channel_close(&end->channel);
    free(end->got);
    free(end);
}

static void pair(struct end **ret_a, struct end **ret_b)
{
    int fds[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    loop = loop_new(clock_system());
    *ret_a = end_new(fds[0]);
    *ret_b = end_new(fds[1]);
}

static void settle(void)
{
    for (int i = 0; i < 5; i++)
        CHECK_INT(loop_turn(loop, i == 2 ? NSEC_PER_MSEC : 0), 0);
}

TEST(messages_arrive_whole_and_in_order)
{
    struct end *a, *b;
    pair(&a, &b);
    CHECK_INT(channel_start(&b->channel, loop), 0);
    channel_send(&a->channel, SPAN("one"), NULL, 0);
    channel_send(&a->channel, SPAN("two"), NULL, 0);
    settle();
    CHECK_STR(b->got, "one two ");
    channel_close(&a->channel);
    settle();
    CHECK_INT(b->n_ends, 1);
    end_free(a);
    end_free(b);
    loop_free(loop);
}

TEST(a_descriptor_comes_along)
{
    struct end *a, *b;
    pair(&a, &b);
    CHECK_INT(channel_start(&b->channel, loop), 0);
    int pipe_fds[2];
    CHECK_INT(pipe2(pipe_fds, O_CLOEXEC), 0);
    channel_send(&a->channel, SPAN("pipe"), &pipe_fds[1], 1);
    close(pipe_fds[1]);
    settle();
    CHECK(b->fd >= 0 && (fcntl(b->fd, F_GETFD) & FD_CLOEXEC));
    CHECK_INT(write(b->fd, "x", 1), 1);
    char byte;
    CHECK_INT(read(pipe_fds[0], &byte, 1), 1);
    close(b->fd);
    CHECK_INT(read(pipe_fds[0], &byte, 1), 0);
    close(pipe_fds[0]);
    end_free(a);
    end_free(b);
    loop_free(loop);
}

TEST(what_the_kernel_does_not_take_waits_with_its_descriptors)
{
    struct end *a, *b;
    pair(&a, &b);
    char *bytes = mem_zalloc(1, CHANNEL_MESSAGE_MAX);
    struct span message = { bytes, CHANNEL_MESSAGE_MAX };
    CHECK_INT(channel_start(&a->channel, loop), 0);
    int pipe_fds[2];
    CHECK_INT(pipe2(pipe_fds, O_CLOEXEC), 0);
    for (int i = 0; i < 50; i++)
        channel_send(&a->channel, message, &pipe_fds[1], i == 49);
    close(pipe_fds[1]);
    CHECK(!channel_is_sent(&a->channel));
    CHECK_INT(channel_start(&b->channel, loop), 0);
    for (int i = 0; i < 100 && b->n_messages < 50; i++)
        settle();
    CHECK_INT(b->n_messages, 50);
    CHECK_INT(b->n_bytes, 50 * CHANNEL_MESSAGE_MAX);
    CHECK(channel_is_sent(&a->channel));
    CHECK_INT(a->n_sent, 1);
    CHECK_INT(write(b->fd, "x", 1), 1);
    close(b->fd);
    close(pipe_fds[0]);
    free(bytes);
    end_free(a);
    end_free(b);
    loop_free(loop);
}

TEST(one_end_can_change_hands_between_two_messages)
{
    struct end *a, *b;
    pair(&a, &b);
    CHECK_INT(channel_start(&b->channel, loop), 0);
    channel_send(&a->channel, SPAN("one"), NULL, 0);
    settle();
    channel_stop(&b->channel);
    channel_send(&a->channel, SPAN("two"), NULL, 0);
    struct end *heir = end_new(dup(b->channel.fd));
    end_free(b);
    channel_close(&a->channel);
    CHECK_INT(channel_start(&heir->channel, loop), 0);
    settle();
    CHECK_STR(heir->got, "two ");
    CHECK_INT(heir->n_ends, 1);
    end_free(a);
    end_free(heir);
    loop_free(loop);
}

static void close_and_free(struct channel *channel)
{
    end_free(container_of(channel, struct end, channel));
}

static void free_at_message(struct channel *channel, struct channel_message *message)
{
    (void)message;
    close_and_free(channel);
}

TEST(whoever_is_told_may_free_it)
{
    for (int i = 0; i < 3; i++) {
        struct end *a, *b;
        pair(&a, &b);
        char *bytes = mem_zalloc(1, CHANNEL_MESSAGE_MAX);
        if (i == 0)
            b->channel.on_message = free_at_message;
        else if (i == 1)
            b->channel.on_end = close_and_free;
        else
            b->channel.on_sent = close_and_free;
        for (int n = 0; i == 2 && channel_is_sent(&b->channel) && n < 1000; n++)
            channel_send(&b->channel, (struct span){ bytes, CHANNEL_MESSAGE_MAX }, NULL, 0);
        channel_send(&a->channel, SPAN("one"), NULL, 0);
        channel_send(&a->channel, SPAN("two"), NULL, 0);
        if (i == 1)
            channel_close(&a->channel);
        else
            CHECK_INT(channel_start(&a->channel, loop), 0);
        CHECK_INT(channel_start(&b->channel, loop), 0);
        settle();
        CHECK_INT(a->n_ends, i != 1);
        free(bytes);
        end_free(a);
        loop_free(loop);
    }
}

TEST(before_it_is_watched_messages_are_waited_for)
{
    struct end *a, *b;
    pair(&a, &b);
    char *bytes = mem_zalloc(1, CHANNEL_MESSAGE_MAX);
    struct channel_message message;
    CHECK_INT(channel_wait(&b->channel, NSEC_PER_MSEC, bytes, &message), CHANNEL_LATE);
    channel_send(&a->channel, SPAN("one"), NULL, 0);
    channel_close(&a->channel);
    CHECK_INT(channel_wait(&b->channel, NSEC_PER_SEC, bytes, &message), 0);
    CHECK(span_is(message.bytes, "one"));
    CHECK_INT(channel_wait(&b->channel, NSEC_PER_SEC, bytes, &message), CHANNEL_ENDED);
    free(bytes);
    end_free(a);
    end_free(b);
    loop_free(loop);
}

TEST(what_was_sent_arrives_though_the_other_end_read_nothing)
{
    struct end *a, *b;
    pair(&a, &b);
    char *bytes = mem_zalloc(1, CHANNEL_MESSAGE_MAX);
    struct channel_message message;
    channel_send(&b->channel, SPAN("hello"), NULL, 0);
    channel_send(&a->channel, SPAN("refused"), NULL, 0);
    channel_close(&a->channel);
    CHECK_INT(channel_wait(&b->channel, NSEC_PER_SEC, bytes, &message), 0);
    CHECK(span_is(message.bytes, "refused"));
    CHECK_INT(channel_wait(&b->channel, NSEC_PER_SEC, bytes, &message), CHANNEL_ENDED);
    free(bytes);
    end_free(a);
    end_free(b);
    loop_free(loop);
}

TEST(a_path_is_for_this_user_and_is_taken_over_from_the_dead)
{
    char path[] = "/tmp/channel.XXXXXX\0s";
    CHECK(mkdtemp(path));
    path[19] = '/';
    struct channel client = { 0 };
    int listen_fd, other_fd;
    CHECK_INT(channel_connect(&client, path), CHANNEL_ABSENT);
    CHECK_INT(channel_listen(path, &listen_fd), 0);
    struct stat info;
    CHECK_INT(stat(path, &info), 0);
    CHECK_INT(info.st_mode & 0777, 0600);
    CHECK_INT(channel_listen(path, &other_fd), SOCKET_IN_USE);
    int probe_fd = channel_accept(listen_fd); /* of the one that looked whether anybody is there */
    if (probe_fd >= 0)
        close(probe_fd);
    CHECK_INT(channel_accept(listen_fd), -1);
    CHECK_INT(channel_connect(&client, path), 0);
    int fd = channel_accept(listen_fd);
    CHECK(fd >= 0);
    close(fd);
    channel_close(&client);
    channel_close(&client);

    close(listen_fd);
    CHECK_INT(channel_connect(&client, path), CHANNEL_ABSENT);
    CHECK_INT(channel_listen(path, &listen_fd), 0);
    close(listen_fd);
    unlink(path);
    path[19] = '\0';
    rmdir(path);
}
