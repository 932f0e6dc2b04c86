/* SPDX-License-Identifier: Apache-2.0 */

/*
 * c-ares opens sockets and tells what it waits for on each. The loop tells of a socket once when it
 * becomes ready, but c-ares reads a TCP stream piece by piece and waits for more without having
 * emptied it. So whoever has been called, or newly wants to write, is looked at again at the end of
 * the turn, with poll(2), until there is nothing left to do.
 *
 * c-ares 1.18, Debian 12's, reads resolv.conf when a channel is made and never again. A file that
 * has changed is met by a new channel; the queries of the old one are asked again.
 */

#include "io/dns.h"

#include <ares.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "base/mem.h"

#define CONF "/etc/resolv.conf"
#define PATIENCE (2 * NSEC_PER_SEC)
#define TRIES 2

struct dns_socket {
    struct dns *dns;
    struct watch watch;
    struct list link;
    int fd;
    bool wants_read, wants_write;
};

struct dns {
    struct loop *loop;
    char *conf;
    struct stat conf_seen;
    unsigned port;
    nsec patience;
    ares_channel channel; /* NULL: it could not be made */
    struct list sockets;
    struct task again;
    struct timer timer;
    bool is_closing;
};

/* It counts its callers, not atomically, so it is done before there are threads. */
__attribute__((constructor)) static void dns_prepare(void)
{
    ares_library_init(ARES_LIB_INIT_ALL);
}

/* --- sockets --- */

static void dns_rearm(struct dns *dns)
{
    struct timeval wait;
    if (!dns->channel || !ares_timeout(dns->channel, NULL, &wait)) {
        timer_stop(&dns->timer);
        return;
    }
    /* It compares with a clock of its own: a timer that is early would find nothing to do. */
    nsec delay = (nsec)wait.tv_sec * NSEC_PER_SEC + (nsec)wait.tv_usec * 1000 + NSEC_PER_MSEC;
    timer_start(&dns->timer, dns->loop, loop_now(dns->loop) + delay);
}

static struct dns_socket *dns_find_socket(struct dns *dns, int fd)
{
    list_each (link, &dns->sockets) {
        struct dns_socket *socket = container_of(link, struct dns_socket, link);
        if (socket->fd == fd)
            return socket;
    }
    return NULL;
}

static void dns_drop_socket(struct dns_socket *socket)
{
    watch_remove(&socket->watch);
    list_remove(&socket->link);
    free(socket);
}

/* The socket may be gone after. */
static void dns_process(struct dns *dns, int fd, uint32_t events)
{
    struct dns_socket *socket = dns_find_socket(dns, fd);
    if (!socket)
        return;
    bool is_over = events & (EPOLLERR | EPOLLHUP);
    bool can_read = socket->wants_read && (events & EPOLLIN || is_over);
    bool can_write = socket->wants_write && (events & EPOLLOUT || is_over);
    if (!can_read && !can_write)
        return;
    ares_process_fd(dns->channel, can_read ? fd : ARES_SOCKET_BAD,
                    can_write ? fd : ARES_SOCKET_BAD);
    task_defer(&dns->again, dns->loop);
}

static void dns_on_ready(struct watch *watch, uint32_t events)
{
    struct dns_socket *socket = container_of(watch, struct dns_socket, watch);
    struct dns *dns = socket->dns;
    dns_process(dns, socket->fd, events);
    dns_rearm(dns);
}

/* One of them each time, as processing one may close others. */
static void dns_on_again(struct task *task)
{
    struct dns *dns = container_of(task, struct dns, again);
    list_each (link, &dns->sockets) {
        struct dns_socket *socket = container_of(link, struct dns_socket, link);
        struct pollfd ready = { .fd = socket->fd };
        ready.events =
            (short)((socket->wants_read ? POLLIN : 0) | (socket->wants_write ? POLLOUT : 0));
        if (!ready.events || poll(&ready, 1, 0) <= 0)
            continue;
        /* The bits of poll and epoll are the same. */
        dns_process(dns, socket->fd, (uint32_t)ready.revents);
        break;
    }
    dns_rearm(dns);
}

static void dns_on_due(struct timer *timer)
{
    struct dns *dns = container_of(timer, struct dns, timer);
    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    dns_rearm(dns);
}

static struct dns_socket *dns_add_socket(struct dns *dns, int fd)
{
    struct dns_socket *socket = mem_new(struct dns_socket);
    *socket = (struct dns_socket){ .dns = dns, .fd = fd, .watch.on_ready = dns_on_ready };
    list_add_last(&dns->sockets, &socket->link);
    IGNORE(watch_add(&socket->watch, dns->loop, fd, EPOLLIN | EPOLLOUT),
           "the timeout ends what nobody hears of");
    return socket;
}

static void dns_on_state(void *owner, int fd, int wants_read, int wants_write)
{
    struct dns *dns = owner;
    struct dns_socket *socket = dns_find_socket(dns, fd);
    if (!wants_read && !wants_write) {
        if (socket)
            dns_drop_socket(socket);
        return;
    }
    if (!socket)
        socket = dns_add_socket(dns, fd);
    socket->wants_read = wants_read;
    socket->wants_write = wants_write;
    if (wants_write)
        task_defer(&dns->again, dns->loop);
}

/* --- the channel --- */

static void dns_open(struct dns *dns)
{
    struct ares_options options = {
        .flags = ARES_FLAG_NOALIASES, /* they are for people's shells */
        .timeout = (int)(dns->patience / NSEC_PER_MSEC),
        .tries = TRIES,
        .udp_port = (unsigned short)dns->port,
        .tcp_port = (unsigned short)dns->port,
        .sock_state_cb = dns_on_state,
        .sock_state_cb_data = dns,
        .resolvconf_path = dns->conf,
    };
    char lookups[] = "fb"; /* files before what c-ares calls bind, whatever nsswitch.conf has */
    options.lookups = lookups;
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
               ARES_OPT_RESOLVCONF | ARES_OPT_LOOKUPS;
    if (dns->port)
        mask |= ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT;
    if (ares_init_options(&dns->channel, &options, mask) != ARES_SUCCESS)
        dns->channel = NULL;
}

static void dns_close(struct dns *dns)
{
    ares_channel channel = steal(dns->channel);
    if (channel)
        ares_destroy(channel);
    task_cancel(&dns->again);
    timer_stop(&dns->timer);
    list_each_safe (link, &dns->sockets)
        dns_drop_socket(container_of(link, struct dns_socket, link));
}

struct dns *dns_new(struct loop *loop, const struct resolver_settings *settings)
{
    struct dns *dns = mem_new(struct dns);
    dns->loop = loop;
    dns->conf = mem_strdup(settings->conf ? settings->conf : CONF);
    dns->port = settings->port;
    dns->patience = settings->patience ? settings->patience : PATIENCE;
    dns->again.on_run = dns_on_again;
    dns->timer.on_due = dns_on_due;
    list_init(&dns->again.link);
    list_init(&dns->sockets);
    return dns;
}

struct dns *dns_free(struct dns *dns)
{
    if (!dns)
        return NULL;

    dns->is_closing = true;
    dns_close(dns);
    free(dns->conf);
    free(dns);
    return NULL;
}

void dns_refresh(struct dns *dns)
{
    struct stat now = { 0 };
    const struct stat *seen = &dns->conf_seen;
    if (stat(dns->conf, &now))
        memset(&now, 0, sizeof(now));
    bool is_same = now.st_ino == seen->st_ino && now.st_dev == seen->st_dev &&
                   now.st_size == seen->st_size && now.st_mtim.tv_sec == seen->st_mtim.tv_sec &&
                   now.st_mtim.tv_nsec == seen->st_mtim.tv_nsec;
    if (is_same && dns->channel)
        return;
    dns->conf_seen = now;
    dns_close(dns);
    dns_open(dns);
}

/* --- queries --- */

static enum resolver_answer answer_of(int status)
{
    switch (status) {
    case ARES_SUCCESS: return RESOLVER_OK;
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
    case ARES_ENONAME: return RESOLVER_NO_NAME;
    case ARES_EBADNAME: return RESOLVER_BAD_NAME;
    case ARES_ETIMEOUT: return RESOLVER_TIMEOUT;
    default: return RESOLVER_FAILED;
    }
}

static bool is_known(const struct address *addresses, unsigned n, const struct address *address)
{
    for (unsigned i = 0; i < n; i++) {
        if (address_equals(&addresses[i], address))
            return true;
    }
    return false;
}

static unsigned addresses_of(const struct ares_addrinfo *info,
                             struct address ret_addresses[RESOLVER_ADDRESSES_MAX])
{
    unsigned n = 0;
    const struct ares_addrinfo_node *node = info->nodes;
    for (; node && n < RESOLVER_ADDRESSES_MAX; node = node->ai_next) {
        bool is_ip = node->ai_family == AF_INET || node->ai_family == AF_INET6;
        if (!is_ip || node->ai_addrlen > sizeof(struct sockaddr_storage))
            continue;
        struct address address = { .size = node->ai_addrlen };
        memcpy(&address.storage, node->ai_addr, node->ai_addrlen);
        if (!is_known(ret_addresses, n, &address))
            ret_addresses[n++] = address;
    }
    return n;
}

/* The shortest of all that led there; a server may say less than none (RFC 2181 8: that is 0). */
static nsec lifetime_of(const struct ares_addrinfo *info)
{
    int seconds = INT32_MAX;
    for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
        seconds = node->ai_ttl < seconds ? node->ai_ttl : seconds;
    for (const struct ares_addrinfo_cname *cname = info->cnames; cname; cname = cname->next)
        seconds = cname->ttl < seconds ? cname->ttl : seconds;
    return seconds > 0 ? (nsec)seconds * NSEC_PER_SEC : 0;
}

static void dns_on_found(void *owner, int status, int n_timeouts, struct ares_addrinfo *info)
{
    struct dns_query *query = owner;
    (void)n_timeouts;
    if (status == ARES_EDESTRUCTION) {
        if (!query->dns->is_closing)
            query->on_dropped(query);
        return;
    }
    struct address addresses[RESOLVER_ADDRESSES_MAX];
    enum resolver_answer answer = answer_of(status);
    unsigned n = info ? addresses_of(info, addresses) : 0;
    nsec lifetime = n ? lifetime_of(info) : 0;
    if (answer == RESOLVER_OK && !n)
        answer = RESOLVER_NO_NAME;
    query->on_answered(query, answer, addresses, answer == RESOLVER_OK ? n : 0, lifetime);
    ares_freeaddrinfo(info);
}

void dns_ask(struct dns *dns, struct dns_query *query, const char *name)
{
    query->dns = dns;
    if (!dns->channel) {
        query->on_answered(query, RESOLVER_FAILED, NULL, 0, 0);
        return;
    }
    const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    ares_getaddrinfo(dns->channel, name, NULL, &hints, dns_on_found, query);
    dns_rearm(dns);
}
