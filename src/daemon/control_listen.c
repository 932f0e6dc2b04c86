/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The sockets of a start: those that were given to the process, and those that it opens.
 */

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "daemon/control_state.h"
#include "daemon/predecessor.h"
#include "daemon/takeover.h"
#include "io/file.h"

struct given *control_given(const struct control *control)
{
    return control->hooks.predecessor ? predecessor_given(control->hooks.predecessor) : NULL;
}

static int refuse_address(int r, struct span text, const char *key, struct problem *problem)
{
    if (r < 0)
        return err_trace(r);
    problem_set(problem, key, "%.*s %s", SPAN_ARG(text),
                r == SOCKET_IN_USE    ? "is taken by another process"
                : r == SOCKET_REFUSED ? "may not be listened at"
                                      : "is too long for a socket");
    return CONTROL_REFUSED;
}

int control_listen_at(struct control *control, struct span text, unsigned use,
                      struct problem *problem, int *ret_fd)
{
    struct given *given = control_given(control);
    struct given_socket socket;
    struct address address;
    int r = address_parse(text, &address);
    if (!r && given && given_take(given, &address, use, &socket)) {
        control->is_api_kept = control->is_api_kept || socket.is_kept;
        *ret_fd = socket.fd;
        return 0;
    }
    if (!r)
        r = socket_listen(&address, false, ret_fd);
    const char *key = use == USE_CONSUL ? "faces.consul" : "api.listen";
    return r ? refuse_address(r, text, key, problem) : 0;
}

static int try_address(struct control *control, const struct gateway_listener *listener,
                       struct problem *problem)
{
    const struct given *given = control_given(control);
    unsigned use = listener->is_internal ? GATEWAY_USE_INTERNAL : GATEWAY_USE_EDGE;
    CLEANUP(fd_closep) int fd = -1;
    if (listener->address.any.sa_family == AF_UNIX ||
        (given && given_has(given, &listener->address, use)))
        return 0;
    int r = socket_listen(&listener->address, false, &fd);
    return r ? refuse_address(r, span_of(listener->text),
                              listener->is_internal ? "gateway.internal" : "gateway.edge", problem)
             : 0;
}

bool control_has_own_name(const struct control *control, char name[256])
{
    char text[ADDRESS_TEXT_MAX];
    control_api_text(control, text, sizeof(text));
    if (strncmp(text, "0.0.0.0:", 8) != 0 && strncmp(text, "[::]:", 5) != 0)
        return false;
    name[255] = '\0';
    return gethostname(name, 255) == 0 && name[0];
}

const char *control_api_hosts(struct control *control, const struct settings *settings)
{
    char name[256];
    free(control->api_hosts);
    control->api_hosts = control_has_own_name(control, name)
                             ? mem_format("%s,%s", name, settings->api_hosts)
                             : mem_strdup(settings->api_hosts);
    return control->api_hosts;
}

/* Before anything is written: a start that a taken port ends leaves no directory behind. The
 * gateway opens its listeners itself, so those are only tried here. */
int control_open_listeners(struct control *control, struct problem *problem)
{
    struct span api = span_of(control->settings->api_listen);
    const struct gateway_settings *gateway = &control->settings->gateway;
    int r = control_listen_at(control, api, USE_API, problem, &control->api_fd);
    if (!r)
        r = control_bind_faces(control, problem);
    for (unsigned i = 0; !r && i < gateway->n_listeners; i++)
        r = try_address(control, &gateway->listeners[i], problem);
    return r;
}
