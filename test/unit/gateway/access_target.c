/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/access_target.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "check.h"

#define WALL 1795161600250

static char directory[64];

static const char *path_of(const char *name)
{
    static char path[128];
    if (!directory[0]) {
        snprintf(directory, sizeof(directory), "/tmp/access_target.XXXXXX");
        CHECK(mkdtemp(directory));
    }
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static void clean(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", directory);
    CHECK_INT(system(command), 0);
}

static const char *refused(const char *path)
{
    static struct problem problem;
    struct gateway_access settings = { .kind = ACCESS_FILE, .path = path };
    struct access_target *target = NULL;
    CHECK_INT(access_target_open(&settings, &target, &problem), ACCESS_TARGET_REFUSED);
    CHECK(!target);
    CHECK_STR(problem.path, "gateway.access_log");
    return problem.text;
}

TEST(what_is_no_file_is_refused_with_the_reason)
{
    CHECK(symlink("/etc/passwd", path_of("link")) == 0);
    CHECK(strstr(refused(path_of("link")), "is a symbolic link"));
    CHECK(strstr(refused(path_of("none/log")), "lies in a directory that is not there"));
    CHECK(strstr(refused(directory), "is a directory"));
    clean();
}

static struct access_target *target_of(const char *address)
{
    struct gateway_access settings = { .kind = ACCESS_SYSLOG };
    struct access_target *target = NULL;
    struct problem problem = { 0 };
    CHECK_INT(address_parse(span_of(address), &settings.address), 0);
    CHECK_INT(access_target_open(&settings, &target, &problem), 0);
    return target;
}

static int daemon_at(const struct address *address)
{
    int fd = socket(address->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, &address->any, address->size) == 0);
    return fd;
}

static const char *received(int fd)
{
    static char text[1024];
    struct pollfd polled = { .fd = fd, .events = POLLIN };
    CHECK_INT(poll(&polled, 1, 30000), 1);
    ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
    CHECK(n >= 0);
    text[n] = '\0';
    return text;
}

/* Until something is taken; what fails at first is tried again. */
static size_t write_parts(struct access_target *target, struct span first, struct span second)
{
    size_t size = 0;
    struct span parts[2] = { first, second };
    for (unsigned i = 0; i < 3 && !size; i++)
        CHECK_INT(access_target_write(target, parts, WALL, &size), ACCESS_WRITTEN);
    return size;
}

static void check_form(const char *text, const char *start, const char *end)
{
    if (strncmp(text, start, strlen(start)) != 0)
        printf("# \"%s\" does not start with \"%s\"\n", text, start);
    CHECK(strncmp(text, start, strlen(start)) == 0);
    CHECK(strlen(text) > strlen(end));
    CHECK_STR(text + strlen(text) - strlen(end), end);
}

TEST(a_local_syslog_daemon_gets_a_datagram_a_line)
{
    setenv("TZ", "UTC", 1);
    char text[160], end[64];
    struct address address;
    snprintf(text, sizeof(text), "unix:%s", path_of("log"));
    CHECK_INT(address_parse(span_of(text), &address), 0);
    int fd = daemon_at(&address);
    struct access_target *target = target_of(text);
    snprintf(end, sizeof(end), " sarsen[%d]: {\"a\":1}", (int)getpid());

    /* One line at a time, also where the ring's end divides it, or nothing but its newline. */
    CHECK_INT(write_parts(target, SPAN("{\"a\":1}\n{\"b\":2}\n"), SPAN("")), 8);
    check_form(received(fd), "<134>Nov 20 08:00:00", end);
    CHECK_INT(write_parts(target, SPAN("{\"a"), SPAN("\":1}\n{\"b\":2}\n")), 8);
    check_form(received(fd), "<134>Nov 20 08:00:00", end);
    CHECK_INT(write_parts(target, SPAN("{\"a\":1}"), SPAN("\n{\"b\":2}\n")), 8);
    check_form(received(fd), "<134>Nov 20 08:00:00", end);
    access_target_close(target);
    close(fd);
    clean();
}

TEST(a_syslog_daemon_that_was_started_anew_is_found)
{
    char text[160];
    struct address address;
    size_t size = 0;
    struct span parts[2] = { SPAN("{}\n"), SPAN("") };
    snprintf(text, sizeof(text), "unix:%s", path_of("log"));
    CHECK_INT(address_parse(span_of(text), &address), 0);

    struct access_target *target = target_of(text);
    CHECK_INT(access_target_write(target, parts, WALL, &size), ACCESS_FAILED);
    int fd = daemon_at(&address);
    CHECK_INT(write_parts(target, parts[0], parts[1]), 3);
    received(fd);
    close(fd);
    CHECK(unlink(path_of("log")) == 0);
    fd = daemon_at(&address);
    CHECK_INT(write_parts(target, parts[0], parts[1]), 3);
    received(fd);
    access_target_close(target);
    close(fd);
    clean();
}

TEST(a_full_syslog_daemon_is_waited_for)
{
    char text[160];
    struct address address;
    size_t size = 0;
    struct span parts[2] = { SPAN("{}\n"), SPAN("") };
    snprintf(text, sizeof(text), "unix:%s", path_of("log"));
    CHECK_INT(address_parse(span_of(text), &address), 0);
    int fd = daemon_at(&address);
    struct access_target *target = target_of(text);
    enum access_written r = ACCESS_WRITTEN;
    for (unsigned i = 0; i < 100000 && r == ACCESS_WRITTEN; i++)
        r = access_target_write(target, parts, WALL, &size);
    CHECK_INT(r, ACCESS_BLOCKED);
    CHECK_INT(size, 0);
    struct pollfd polled = { .fd = access_target_fd(target), .events = POLLOUT };
    CHECK_INT(poll(&polled, 1, 0), 0);
    received(fd);
    CHECK_INT(poll(&polled, 1, 30000), 1);
    CHECK_INT(write_parts(target, parts[0], parts[1]), 3);
    access_target_close(target);
    close(fd);
    clean();
}

TEST(a_syslog_daemon_over_udp_gets_the_newer_form)
{
    char text[ADDRESS_TEXT_MAX], end[64];
    struct address address = { 0 };
    CHECK_INT(address_parse(SPAN("127.0.0.1:0"), &address), 0);
    int fd = daemon_at(&address);
    CHECK_INT(socket_address(fd, &address), 0);
    address_format(&address, text);
    struct access_target *target = target_of(text);
    snprintf(end, sizeof(end), " sarsen %d access - {\"a\":1}", (int)getpid());
    CHECK_INT(write_parts(target, SPAN("{\"a\":1}\n"), SPAN("")), 8);
    check_form(received(fd), "<134>1 2026-11-20T08:00:00Z ", end);
    access_target_close(target);
    close(fd);
}

TEST(a_line_that_no_datagram_can_hold_is_told)
{
    static char line[100000];
    memset(line, 'a', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    struct span parts[2] = { { line, sizeof(line) }, SPAN("") };
    size_t size = 0;
    struct access_target *target = target_of("127.0.0.1:9");
    CHECK_INT(access_target_write(target, parts, WALL, &size), ACCESS_TOO_BIG);
    CHECK_INT(size, sizeof(line));
    access_target_close(target);
}
