/* SPDX-License-Identifier: Apache-2.0 */

#include "io/socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "check.h"

TEST(addresses_read_and_write_the_same)
{
    static const char *const texts[] = {
        "127.0.0.1:8000",
        "0.0.0.0:0",
        "[::1]:8000",
        "[2001:db8::7]:65535",
        "unix:/run/sarsen/gateway.sock",
        "unix:relative.sock",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct address address, again;
        char text[ADDRESS_TEXT_MAX];
        CHECK_INT(address_parse(span_of(texts[i]), &address), 0);
        address_format(&address, text);
        CHECK_STR(text, texts[i]);
        CHECK_INT(address_parse(span_of(text), &again), 0);
        CHECK(address_equals(&address, &again));
    }
}

TEST(what_is_no_address_is_refused)
{
    static const char *const texts[] = {
        "",
        ":",
        ":80",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:8o",
        "localhost:80",
        "::1:80",
        "[::1]",
        "[::1:80",
        "[]:80",
        "[127.0.0.1]:80",
        "127.1:80",
        "1.2.3.4.:80",
        ".1.2.3:80",
        "1..2.3:80",
        "1.2.3.256:80",
        "1.2.3.04:80",
        "1.2.3.0004:80",
        "1.2.3. 4:80",
        "1.2.3.+4:80",
        "unix:",
        "1.2.3.4.5:80",
        "[::1%lo]:80",
    };
    struct address address;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (address_parse(span_of(texts[i]), &address) != SOCKET_BAD_ADDRESS)
            check_fail(__FILE__, __LINE__, texts[i], "was accepted");
    }
    char path[200];
    snprintf(path, sizeof(path), "unix:%0*d", 150, 0);
    CHECK_INT(address_parse((struct span){ path, 5 + 107 }, &address), 0);
    CHECK_INT(address_parse((struct span){ path, 5 + 108 }, &address), SOCKET_BAD_ADDRESS);
    CHECK_INT(address_parse(SPAN("unix:a\0b"), &address), SOCKET_BAD_ADDRESS);
}

TEST(loopback_is_known_in_all_its_forms)
{
    static const struct {
        const char *text;
        bool is_loopback;
    } cases[] = {
        { "127.0.0.1:1", true },
        { "127.9.9.9:1", true },
        { "[::1]:1", true },
        { "unix:/a", true },
        { "128.0.0.1:1", false },
        { "[::2]:1", false },
        { "[::ffff:127.0.0.1]:1", true },
        { "[::ffff:10.0.0.1]:1", false },
        { "0.0.0.0:1", false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct address address;
        CHECK_INT(address_parse(span_of(cases[i].text), &address), 0);
        CHECK_INT(address_is_loopback(&address), cases[i].is_loopback);
    }
}

static int listen_at(const char *text, bool is_shared, int *ret_fd)
{
    struct address address;
    CHECK_INT(address_parse(span_of(text), &address), 0);
    return socket_listen(&address, is_shared, ret_fd);
}

TEST(a_port_is_taken_once_unless_shared)
{
    int one, two, three;
    CHECK_INT(listen_at("127.0.0.1:0", true, &one), 0);
    struct address real;
    char text[ADDRESS_TEXT_MAX];
    CHECK_INT(socket_address(one, &real), 0);
    address_format(&real, text);
    CHECK_INT(listen_at(text, true, &two), 0);
    CHECK_INT(listen_at(text, false, &three), SOCKET_IN_USE);
    CHECK_INT(listen_at("192.0.2.1:0", false, &three), SOCKET_REFUSED);
    CHECK(fcntl(one, F_GETFD) & FD_CLOEXEC);
    CHECK(fcntl(one, F_GETFL) & O_NONBLOCK);
    close(one);
    close(two);
}

TEST(connecting_ends_with_writability_and_the_reason)
{
    int listener, fd;
    CHECK_INT(listen_at("127.0.0.1:0", false, &listener), 0);
    struct address real;
    CHECK_INT(socket_address(listener, &real), 0);
    CHECK_INT(socket_connect(&real, &fd), 0);
    struct pollfd ready = { .fd = fd, .events = POLLOUT };
    CHECK_INT(poll(&ready, 1, 5000), 1);
    CHECK_INT(socket_error(fd), 0);
    close(fd);
    close(listener);

    if (socket_connect(&real, &fd) == 0) {
        ready.fd = fd;
        CHECK_INT(poll(&ready, 1, 5000), 1);
        CHECK_INT(socket_error(fd), ECONNREFUSED);
        close(fd);
    }
}

TEST(a_unix_path_is_taken_over_only_from_the_dead)
{
    char folder[] = "/tmp/sarsen-socket-XXXXXX", text[64];
    CHECK(mkdtemp(folder));
    snprintf(text, sizeof(text), "unix:%s/s", folder);
    umask(077);

    int one, two;
    CHECK_INT(listen_at(text, false, &one), 0);
    struct stat info;
    CHECK_INT(stat(text + 5, &info), 0);
    CHECK_INT(info.st_mode & 07777, 0660);
    CHECK_INT(listen_at(text, false, &two), SOCKET_IN_USE);
    close(one);
    CHECK_INT(listen_at(text, false, &two), 0);
    close(two);
    unlink(text + 5);

    /* A file that is no socket is nobody's to remove. */
    int file = open(text + 5, O_CREAT | O_WRONLY, 0600);
    CHECK_INT(listen_at(text, false, &two), SOCKET_IN_USE);
    close(file);
    CHECK_INT(unlink(text + 5), 0);
    CHECK_INT(listen_at("unix:/no/such/folder/s", false, &two), SOCKET_REFUSED);
    rmdir(folder);
}

/* One side fills the socket, the other has read nothing yet. */
static void check_room(int fd, int peer)
{
    static char block[65536];
    size_t before = socket_room(fd);
    CHECK(before > 4096);
    CHECK(socket_is_writable(fd));
    while (send(fd, block, sizeof(block), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        continue;
    CHECK_INT(errno, EAGAIN);
    CHECK(socket_room(fd) < before);
    CHECK(socket_room(fd) < 4096);
    CHECK(!socket_is_writable(fd));
    while (!socket_is_writable(fd))
        CHECK(recv(peer, block, sizeof(block), 0) > 0);
    CHECK(socket_room(fd) >= 4096);
    close(fd);
    close(peer);
}

TEST(the_room_of_a_socket_is_known_before_it_is_filled)
{
    int pair[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    check_room(pair[0], pair[1]);

    struct address address;
    CHECK_INT(address_parse(SPAN("127.0.0.1:0"), &address), 0);
    int listen_fd;
    CHECK_INT(socket_listen(&address, false, &listen_fd), 0);
    CHECK_INT(socket_address(listen_fd, &address), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_INT(connect(fd, &address.any, address.size), 0);
    check_room(accept(listen_fd, NULL, NULL), fd);
    close(listen_fd);
}
