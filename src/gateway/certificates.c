/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/certificates.h"

#include "base/log.h"
#include "base/mem.h"

#define LOOK_EVERY (500 * NSEC_PER_MSEC)

struct certificates {
    struct loop *loop;
    struct timer timer;
    struct tls_tickets *tickets;
    struct tls_server **servers;
    size_t n_servers, capacity;
    bool has_told_kernel;
};

static void look(struct certificates *certificates)
{
    if (tls_kernel_is_missing() && !certificates->has_told_kernel) {
        certificates->has_told_kernel = true;
        log_info("gateway", "the kernel has no TLS, so ktls is not used");
    }
    for (size_t i = 0; i < certificates->n_servers; i++) {
        struct problem problem = { 0 };
        switch (
            tls_server_refresh(certificates->servers[i], loop_wall(certificates->loop), &problem)) {
        case TLS_OK: log_info("gateway", "new certificates are served"); break;
        case TLS_SAME: break;
        default:
            log_error("gateway", "new certificates were refused; the old ones stay", "reason",
                      problem.text);
        }
    }
}

static void on_due(struct timer *timer)
{
    struct certificates *certificates = container_of(timer, struct certificates, timer);
    look(certificates);
    timer_start(timer, certificates->loop, loop_now(certificates->loop) + LOOK_EVERY);
}

struct certificates *certificates_new(struct loop *loop)
{
    struct certificates *certificates = mem_new(struct certificates);
    certificates->loop = loop;
    certificates->tickets = tls_tickets_new(loop_clock(loop));
    certificates->timer.on_due = on_due;
    return certificates;
}

struct certificates *certificates_free(struct certificates *certificates)
{
    if (!certificates)
        return NULL;
    timer_stop(&certificates->timer);
    tls_tickets_unref(certificates->tickets);
    free(certificates->servers);
    free(certificates);
    return NULL;
}

struct tls_tickets *certificates_tickets(struct certificates *certificates)
{
    return certificates->tickets;
}

void certificates_add(struct certificates *certificates, struct tls_server *server)
{
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): it is an array of pointers */
    mem_grow(certificates->servers, certificates->n_servers, certificates->capacity);
    certificates->servers[certificates->n_servers++] = server;
    if (!timer_is_running(&certificates->timer))
        timer_start(&certificates->timer, certificates->loop,
                    loop_now(certificates->loop) + LOOK_EVERY);
}

void certificates_remove(struct certificates *certificates, const struct tls_server *server)
{
    for (size_t i = 0; i < certificates->n_servers; i++) {
        if (certificates->servers[i] != server)
            continue;
        certificates->servers[i] = certificates->servers[--certificates->n_servers];
        break;
    }
    if (certificates->n_servers == 0)
        timer_stop(&certificates->timer);
}

const char *certificates_trouble(const struct certificates *certificates)
{
    const char *trouble = NULL;
    for (size_t i = 0; i < certificates->n_servers && !trouble; i++)
        trouble = tls_server_trouble(certificates->servers[i]);
    return trouble;
}
