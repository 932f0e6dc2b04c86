/* SPDX-License-Identifier: Apache-2.0 */

#include "io/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h> /* the library's struct tcp_info ends before the window */
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/file.h"

#define LISTEN_BACKLOG 4096
#define UNSENT_MAX 131072 /* what the kernel keeps for a client beyond what is on its way */

static int address_parse_unix(struct span path, struct address *ret_address)
{
    struct address address = { 0 };
    if (path.size == 0 || path.size >= sizeof(address.unix_path.sun_path) ||
        memchr(path.data, '\0', path.size))
        return SOCKET_BAD_ADDRESS;

    address.unix_path.sun_family = AF_UNIX;
    memcpy(address.unix_path.sun_path, path.data, path.size);
    address.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.size + 1);
    *ret_address = address;
    return 0;
}

static struct sockaddr_in *address_v4(struct address *address)
{
    return (struct sockaddr_in *)(void *)&address->storage;
}

static struct sockaddr_in6 *address_v6(struct address *address)
{
    return (struct sockaddr_in6 *)(void *)&address->storage;
}

void address_set_port(struct address *address, unsigned port)
{
    if (address->any.sa_family == AF_INET)
        address_v4(address)->sin_port = htons((uint16_t)port);
    else if (address->any.sa_family == AF_INET6)
        address_v6(address)->sin6_port = htons((uint16_t)port);
}

/* A number up to 255 without needless zeroes, at the start of the text, which is moved behind it. */
static bool take_octet(struct span *text, uint32_t *ret_number)
{
    uint32_t number = 0;
    size_t n = 0;
    for (; n < text->size && n < 3 && text->data[n] >= '0' && text->data[n] <= '9'; n++)
        number = number * 10 + (uint32_t)(text->data[n] - '0');
    if (n == 0 || number > 255 || (n > 1 && text->data[0] == '0'))
        return false;
    *text = (struct span){ text->data + n, text->size - n };
    *ret_number = number;
    return true;
}

/* As inet_pton() does it, in less: instances are many, and all are read when one of them changes. */
static bool parse_v4(struct span text, struct in_addr *ret_address)
{
    uint32_t address = 0, number;
    for (unsigned i = 0; i < 4; i++) {
        if (i > 0 && (text.size == 0 || text.data[0] != '.'))
            return false;
        if (i > 0)
            text = (struct span){ text.data + 1, text.size - 1 };
        if (!take_octet(&text, &number))
            return false;
        address = address << 8 | number;
    }
    ret_address->s_addr = htonl(address);
    return text.size == 0;
}

static bool parse_v6(struct span text, struct in6_addr *ret_address)
{
    char name[INET6_ADDRSTRLEN];
    if (text.size >= sizeof(name) || memchr(text.data, '\0', text.size))
        return false;
    memcpy(name, text.data, text.size);
    name[text.size] = '\0';
    return inet_pton(AF_INET6, name, ret_address) == 1;
}

int address_parse(struct span text, struct address *ret_address)
{
    if (span_starts_with(text, SPAN("unix:")))
        return address_parse_unix(span_from(text, 5), ret_address);

    /* The port is what follows the last colon; an IPv6 address has more of them, and brackets. */
    size_t colon = text.size;
    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    uint64_t port;
    if (colon < 2 || !span_to_uint(span_from(text, colon), 65535, &port))
        return SOCKET_BAD_ADDRESS;
    struct span host = span_first(text, colon - 1);
    bool is_v6 = host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']';
    if (is_v6)
        host = (struct span){ host.data + 1, host.size - 2 };

    struct address address = { 0 };
    if (is_v6) {
        struct sockaddr_in6 *v6 = address_v6(&address);
        *v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons((in_port_t)port) };
        address.size = sizeof(*v6);
        if (!parse_v6(host, &v6->sin6_addr))
            return SOCKET_BAD_ADDRESS;
    } else {
        struct sockaddr_in *v4 = address_v4(&address);
        *v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((in_port_t)port) };
        address.size = sizeof(*v4);
        if (!parse_v4(host, &v4->sin_addr))
            return SOCKET_BAD_ADDRESS;
    }
    *ret_address = address;
    return 0;
}

void address_format(const struct address *address, char ret_text[ADDRESS_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "";
    struct address copy = *address;

    switch (address->any.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &address_v4(&copy)->sin_addr, host, sizeof(host));
        snprintf(ret_text, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(address_v4(&copy)->sin_port));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &address_v6(&copy)->sin6_addr, host, sizeof(host));
        snprintf(ret_text, ADDRESS_TEXT_MAX, "[%s]:%u", host, ntohs(address_v6(&copy)->sin6_port));
        break;
    case AF_UNIX:
        /* An unnamed peer has a family and nothing more; `copy` is then zero behind it. */
        if (address->size <= offsetof(struct sockaddr_un, sun_path))
            copy.unix_path.sun_path[0] = '\0';
        snprintf(ret_text, ADDRESS_TEXT_MAX, "unix:%.*s", (int)sizeof(copy.unix_path.sun_path),
                 copy.unix_path.sun_path);
        break;
    default: snprintf(ret_text, ADDRESS_TEXT_MAX, "?"); break;
    }
}

/* By hand: inet_ntop() goes through printf, which costs a tenth of a proxied request. */
static char *put_ipv4(char *at, const uint8_t bytes[4])
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned byte = bytes[i];
        if (i)
            *at++ = '.';
        if (byte >= 100)
            *at++ = (char)('0' + byte / 100);
        if (byte >= 10)
            *at++ = (char)('0' + byte / 10 % 10);
        *at++ = (char)('0' + byte % 10);
    }
    return at;
}

char *address_put_host(char at[INET6_ADDRSTRLEN], const struct address *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->storage;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->storage;
    if (address->any.sa_family == AF_INET)
        return put_ipv4(at, (const uint8_t *)&v4->sin_addr);
    if (address->any.sa_family != AF_INET6)
        return at;
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        return put_ipv4(at, &v6->sin6_addr.s6_addr[12]);
    return at + span_of(inet_ntop(AF_INET6, &v6->sin6_addr, at, INET6_ADDRSTRLEN)).size;
}

bool address_equals(const struct address *a, const struct address *b)
{
    return a->size == b->size && memcmp(&a->storage, &b->storage, a->size) == 0;
}

bool address_is_loopback(const struct address *address)
{
    struct address copy = *address;

    switch (address->any.sa_family) {
    case AF_UNIX: return true;
    case AF_INET: return ntohl(address_v4(&copy)->sin_addr.s_addr) >> 24 == 127;
    case AF_INET6: {
        /* ::1, and 127.0.0.0/8 in its mapped form. */
        static const uint8_t mapped[13] = { [10] = 0xff, [11] = 0xff, [12] = 127 };
        const struct in6_addr *ip = &address_v6(&copy)->sin6_addr;
        return memcmp(ip, &in6addr_loopback, sizeof(*ip)) == 0 ||
               memcmp(ip, mapped, sizeof(mapped)) == 0;
    }
    default: return false;
    }
}

static int socket_new(const struct address *address, int *ret_fd)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_origin(-errno);
    *ret_fd = fd;
    return 0;
}

/* Whether the path is a socket that refuses connections: its owner is gone. */
static bool unix_path_is_stale(const struct address *address)
{
    struct stat info;
    if (lstat(address->unix_path.sun_path, &info) < 0 || !S_ISSOCK(info.st_mode))
        return false;
    CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, &address->any, address->size) < 0 && errno == ECONNREFUSED;
}

static int socket_bind_unix(int fd, const struct address *address)
{
    const char *path = address->unix_path.sun_path;

    /* The path gets the socket's mode without the umask's bits: never a wider one, not for a
     * moment; what the umask took is given back after. */
    if (fchmod(fd, 0660) < 0)
        return -errno;
    if (bind(fd, &address->any, address->size) < 0) {
        if (errno != EADDRINUSE)
            return -errno;
        if (!unix_path_is_stale(address))
            return -EADDRINUSE;
        if ((unlink(path) < 0 && errno != ENOENT) || bind(fd, &address->any, address->size) < 0)
            return -errno;
    }
    return chmod(path, 0660) < 0 ? -errno : 0;
}

static int socket_bind_tcp(int fd, const struct address *address, bool is_shared)
{
    int one = 1, unsent = UNSENT_MAX;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        (is_shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent)) < 0)
        return -errno;
    if (address->any.sa_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0)
        return -errno;
    return bind(fd, &address->any, address->size) < 0 ? -errno : 0;
}

static int socket_bind_answer(int error)
{
    switch (error) {
    case -EADDRINUSE: return SOCKET_IN_USE;
    case -EACCES:
    case -EPERM:
    case -EROFS:
    case -ENOENT:
    case -ENOTDIR:
    case -EADDRNOTAVAIL: return SOCKET_REFUSED;
    default: return err_origin(error);
    }
}

int socket_listen(const struct address *address, bool is_shared, int *ret_fd)
{
    CLEANUP(fd_closep) int fd = -1;
    int r = socket_new(address, &fd);
    if (r)
        return err_trace(r);

    bool is_unix = address->any.sa_family == AF_UNIX;
    r = is_unix ? socket_bind_unix(fd, address) : socket_bind_tcp(fd, address, is_shared);
    if (r)
        return socket_bind_answer(r);
    if (listen(fd, LISTEN_BACKLOG) < 0)
        return socket_bind_answer(-errno);

    *ret_fd = fd_steal(&fd);
    return 0;
}

int socket_adopt(int fd, struct address *ret_address)
{
    int type = 0, is_listening = 0, one = 1, unsent = UNSENT_MAX;
    socklen_t size = sizeof(int);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) < 0 || !is_listening)
        return SOCKET_BAD_ADDRESS;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return err_origin(-errno);
    int r = socket_address(fd, ret_address);
    if (r)
        return err_trace(r);
    if (ret_address->any.sa_family != AF_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
    }
    return 0;
}

int socket_address(int fd, struct address *ret_address)
{
    struct address address = { .size = sizeof(address.storage) };
    if (getsockname(fd, &address.any, &address.size) < 0)
        return err_origin(-errno);
    *ret_address = address;
    return 0;
}

int socket_connect(const struct address *address, int *ret_fd)
{
    CLEANUP(fd_closep) int fd = -1;
    int r = socket_new(address, &fd);
    if (r)
        return err_trace(r);

    int one = 1;
    if (address->any.sa_family != AF_UNIX &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
        return err_origin(-errno);
    if (connect(fd, &address->any, address->size) < 0 && errno != EINPROGRESS)
        return -errno; /* ordinary enough not to be traced: the peer is away */
    *ret_fd = fd_steal(&fd);
    return 0;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t socket_queued(int fd)
{
    int queued = 0;
    return ioctl(fd, SIOCOUTQ, &queued) < 0 || queued < 0 ? 0 : (size_t)queued;
}

/* What can leave at once, by what network and peer have granted, and as much again as the kernel may
 * keep. Windows only shrink when something is sent, so this much is taken whole. */
static size_t tcp_room(int fd)
{
    struct tcp_info info = { 0 };
    socklen_t size = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return SIZE_MAX; /* a unix socket */
    uint64_t left = info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
    uint64_t under_way = left > info.tcpi_bytes_acked ? left - info.tcpi_bytes_acked : 0;
    uint64_t window = (uint64_t)info.tcpi_snd_cwnd * info.tcpi_snd_mss;
    if (window > info.tcpi_snd_wnd)
        window = info.tcpi_snd_wnd;
    uint64_t room = UNSENT_MAX + (window > under_way ? window - under_way : 0);
    return room > info.tcpi_notsent_bytes ? (size_t)(room - info.tcpi_notsent_bytes) : 0;
}

size_t socket_room(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = { 0 };
    socklen_t size = sizeof(info);
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) < 0)
        return 0;
    /* TCP counts what waits in one, unix sockets in the other. */
    uint32_t waiting = info[SK_MEMINFO_WMEM_QUEUED];
    if (waiting < info[SK_MEMINFO_WMEM_ALLOC])
        waiting = info[SK_MEMINFO_WMEM_ALLOC];
    /* What the kernel needs for its own records counts as well, and with small segments that is
     * nearly as much again. */
    uint32_t max = info[SK_MEMINFO_SNDBUF];
    size_t room = waiting < max ? (max - waiting) / 2 : 0;
    return room ? least(room, tcp_room(fd)) : 0;
}

bool socket_is_writable(int fd)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
    return poll(&poll_fd, 1, 0) > 0;
}

int socket_error(int fd)
{
    int error = 0;
    socklen_t size = sizeof(error);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
}
