/* SPDX-License-Identifier: Apache-2.0 */

/* An upstream of HTTP/2. The first byte says what calls are made and in what pieces the rest comes;
 * their owners do what a proxy does, one of them gives up in the middle. Every call ends once, and
 * when the upstream has gone nothing is left of the connection. */

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../unit/fake/clock.h"
#include "base/mem.h"
#include "http/client.h"
#include "property.h"

#define N_CALLS 4u

struct caller {
    struct http_call call;
    bool is_over, cancels;
    size_t n_bytes;
};

static struct fake_clock fake;
static struct loop *loop;
static struct address address;
static int listen_fd;
static struct caller callers[N_CALLS];

static struct caller *caller_of(struct http_call *call)
{
    return container_of(call, struct caller, call);
}

static void end(struct caller *caller)
{
    PROPERTY(!caller->is_over);
    caller->is_over = true;
}

static void on_response(struct http_call *call, const struct http_head *head)
{
    PROPERTY(!caller_of(call)->is_over && head->status >= 200 && head->status < 600);
    PROPERTY(caller_of(call)->n_bytes == 0);
}

static void on_interim(struct http_call *call, const struct http_head *head)
{
    PROPERTY(!caller_of(call)->is_over && head->status < 200 && head->status != 101);
}

static void on_body(struct http_call *call, struct span bytes)
{
    struct caller *caller = caller_of(call);
    PROPERTY(!caller->is_over && bytes.size > 0);
    caller->n_bytes += bytes.size;
    if (!caller->cancels)
        return;
    end(caller);
    http_call_cancel(call);
}

static void on_end(struct http_call *call)
{
    end(caller_of(call));
}

static void on_fault(struct http_call *call, enum http_fault fault)
{
    (void)fault;
    end(caller_of(call));
}

static void turn(void)
{
    PROPERTY(loop_turn(loop, 0) == 0);
}

static void start_loop(void)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    fake_clock_init(&fake);
    loop = loop_new(&fake.clock);
    int n = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "sarsen-fuzz-%d", (int)getpid());
    address.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    memcpy(&address.storage, &name, address.size);
    listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    PROPERTY(bind(listen_fd, &address.any, address.size) == 0 && listen(listen_fd, 8) == 0);
}

static void make_calls(struct http_pool *pool, uint8_t way)
{
    static const struct http_call_ops ops = {
        .on_response = on_response,
        .on_body = on_body,
        .on_end = on_end,
        .on_fault = on_fault,
        .on_interim = on_interim,
        .on_upgraded = on_response,
    };
    static const struct http_out_field host = { SPAN("host"), SPAN("a") };
    static const struct span methods[] = { SPAN("GET"), SPAN("POST"), SPAN("HEAD"), SPAN("GET") };
    for (unsigned i = 0; i < N_CALLS; i++) {
        struct http_message request = {
            .method = methods[i],
            .target = SPAN("/"),
            .fields = &host,
            .n_fields = 1,
            .wants_trailers = true,
            .body = i % 2 ? HTTP_SEND_UNKNOWN : HTTP_SEND_NONE,
            .upgrade = i == 3 && way & 1 ? SPAN("websocket") : SPAN_NULL,
        };
        callers[i] = (struct caller){ .cancels = i == 0 && way & 2 };
        callers[i].call.ops = &ops;
        callers[i].call.protocol = HTTP_PROTOCOL_2;
        http_call_start(pool, &callers[i].call, &address, &request,
                        loop_now(loop) + 5 * NSEC_PER_SEC);
        if (i % 2)
            http_call_send(&callers[i].call, SPAN("a body"));
    }
}

static int accept_one(void)
{
    int fd = -1;
    for (int i = 0; i < 10 && fd < 0; i++) {
        turn();
        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    PROPERTY(fd >= 0);
    return fd;
}

static void send_pieces(int fd, struct span input, uint8_t way)
{
    char dropped[16384];
    size_t piece = way >> 3 ? (size_t)(way >> 3) * 5 : input.size;
    for (unsigned n = 0; input.size > 0; n++) {
        struct span part = span_first(input, piece);
        if (send(fd, part.data, part.size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)part.size)
            break;
        input = span_from(input, part.size);
        turn();
        if (n == 3 && !callers[1].is_over)
            http_call_finish(&callers[1].call);
        if (way & 4 && !callers[3].is_over)
            (n % 2 ? http_call_resume : http_call_pause)(&callers[3].call);
        while (recv(fd, dropped, sizeof(dropped), MSG_DONTWAIT) > 0)
            continue;
    }
    if (!callers[3].is_over)
        http_call_resume(&callers[3].call);
    turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = input_of(data, size);
    uint8_t way = cut_byte(&input);
    if (!loop)
        start_loop();
    struct http_pool *pool = http_pool_new(loop, &http_pool_settings_default);
    make_calls(pool, way);
    int fd = accept_one();
    send_pieces(fd, input, way);
    close(fd);
    for (int i = 0; i < 10; i++) {
        turn();
        fake_clock_advance(&fake, NSEC_PER_SEC);
    }
    for (unsigned i = 0; i < N_CALLS; i++)
        PROPERTY(callers[i].is_over);
    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        close(fd);
    http_pool_free(pool);
    turn();
    return 0;
}
