/* SPDX-License-Identifier: Apache-2.0 */

#include "io/given.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "check.h"

#define EDGE 1u
#define INTERNAL 2u

static struct address parse(const char *text)
{
    struct address address;
    CHECK_INT(address_parse(span_of(text), &address), 0);
    return address;
}

static int listen_at(const char *text, bool is_shared)
{
    struct address address = parse(text);
    int fd;
    CHECK_INT(socket_listen(&address, is_shared, &fd), 0);
    return fd;
}

static struct address address_of(int fd)
{
    struct address address;
    CHECK_INT(socket_address(fd, &address), 0);
    return address;
}

static int add(struct given *given, int fd, const struct address *asked, unsigned use)
{
    struct given_socket socket = { .fd = fd, .use = use };
    if (asked)
        socket.asked = *asked;
    return given_add(given, &socket);
}

static int take(struct given *given, const struct address *address, unsigned use)
{
    struct given_socket socket;
    return given_take(given, address, use, &socket) ? socket.fd : -1;
}

TEST(a_socket_is_found_by_what_was_asked_for)
{
    struct given given = { 0 };
    struct address any_port = parse("127.0.0.1:0");
    int edge = listen_at("127.0.0.1:0", true), internal = listen_at("127.0.0.1:0", false);
    struct address edge_address = address_of(edge);
    int second;
    CHECK_INT(socket_listen(&edge_address, true, &second), 0);
    CHECK_INT(add(&given, edge, &any_port, EDGE), 0);
    CHECK_INT(add(&given, internal, &any_port, INTERNAL), 0);
    CHECK_INT(add(&given, second, &any_port, EDGE), 0);

    CHECK(given_has(&given, &any_port, INTERNAL));
    CHECK_INT(take(&given, &any_port, INTERNAL), internal);
    CHECK(!given_has(&given, &any_port, INTERNAL));
    CHECK_INT(take(&given, &any_port, INTERNAL), -1);
    CHECK_INT(take(&given, &any_port, EDGE), edge);
    CHECK_INT(take(&given, &edge_address, INTERNAL), second); /* where it listens */
    CHECK_INT(take(&given, &edge_address, EDGE), -1);
    close(edge);
    close(internal);
    close(second);
    given_fini(&given);
}

TEST(sockets_of_one_listener_stay_together)
{
    struct given given = { 0 };
    struct address any_port = parse("127.0.0.1:0");
    struct given_socket first, beside;
    for (unsigned listener = 0; listener < 2; listener++) {
        struct given_socket socket = { .use = EDGE, .listener = listener, .asked = any_port };
        socket.fd = listen_at("127.0.0.1:0", true);
        struct address address = address_of(socket.fd);
        CHECK_INT(given_add(&given, &socket), 0);
        CHECK_INT(socket_listen(&address, true, &socket.fd), 0);
        CHECK_INT(given_add(&given, &socket), 0);
    }
    for (unsigned listener = 0; listener < 2; listener++) {
        CHECK(given_take(&given, &any_port, EDGE, &first));
        CHECK_INT(first.listener, listener);
        CHECK(given_take_beside(&given, &first, &beside));
        CHECK(address_equals(&first.address, &beside.address));
        CHECK(!given_take_beside(&given, &first, &beside));
        close(first.fd);
        close(beside.fd);
    }
    given_fini(&given);
}

TEST(what_nobody_takes_is_closed)
{
    struct given given = { 0 };
    int fd = listen_at("127.0.0.1:0", false);
    struct address address = address_of(fd);
    CHECK_INT(add(&given, fd, NULL, GIVEN_ANY), 0);
    CHECK(given_has(&given, &address, EDGE));
    given_fini(&given);
    CHECK_INT(fcntl(fd, F_GETFD), -1);
}

TEST(only_sockets_that_listen_are_taken)
{
    struct given given = { 0 };
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(add(&given, file, NULL, GIVEN_ANY), SOCKET_BAD_ADDRESS);
    CHECK_INT(add(&given, datagrams, NULL, GIVEN_ANY), SOCKET_BAD_ADDRESS);
    CHECK_INT(add(&given, stream, NULL, GIVEN_ANY), SOCKET_BAD_ADDRESS);
    CHECK_INT(given.n, 0);
    close(file);
    close(datagrams);
    close(stream);
    given_fini(&given);
}

static void tell(const char *pid, const char *count)
{
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", count, 1);
    setenv("LISTEN_FDNAMES", "a:b", 1);
}

/* A manager's sockets are the descriptors from 3 on, blocking, and survive execve(). */
TEST(the_environment_tells_of_sockets_once)
{
    struct given given = { 0 };
    char pid[24];
    snprintf(pid, sizeof(pid), "%d", getpid());
    int fd = listen_at("127.0.0.1:0", false);
    struct address address = address_of(fd);
    CHECK(dup2(fd, 3) == 3 && dup2(STDIN_FILENO, 4) == 4);
    tell(pid, "2");
    CHECK_INT(given_add_environment(&given), 1);
    CHECK(!getenv("LISTEN_PID") && !getenv("LISTEN_FDS") && !getenv("LISTEN_FDNAMES"));
    CHECK_INT(given_add_environment(&given), 0);
    CHECK_INT(take(&given, &address, EDGE), 3);
    CHECK(fcntl(3, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(3, F_GETFD) & FD_CLOEXEC);
    CHECK_INT(fcntl(4, F_GETFD), -1);
    close(3);
    if (fd != 3)
        close(fd);
    given_fini(&given);
}

TEST(what_the_environment_says_to_others_is_nothing_to_us)
{
    struct given given = { 0 };
    tell("1", "2");
    CHECK_INT(given_add_environment(&given), 0);
    char pid[24];
    snprintf(pid, sizeof(pid), "%d", getpid());
    tell(pid, "many");
    CHECK_INT(given_add_environment(&given), 0);
    unsetenv("LISTEN_PID");
    CHECK_INT(given_add_environment(&given), 0);
    given_fini(&given);
}
