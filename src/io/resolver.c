/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A name is known from the first request for it until it is the one that was asked for longest ago
 * and room is needed. It goes round:
 *
 *   KEPT ─► WAITING ─► ASKED ─► KEPT
 *
 * Its answer counts while it has not expired; requests wait at the name until then. Every request is
 * told by a task of its own, so whatever a callback frees, nobody looks back at it.
 */

#include "io/resolver.h"

#include <assert.h>
#include <ctype.h>

#include "base/map.h"
#include "base/mem.h"
#include "io/dns.h"

#define LABEL_MAX 63u

enum name_phase {
    NAME_KEPT,
    NAME_WAITING, /* for its turn */
    NAME_ASKED,
};

struct resolver_name {
    struct resolver *resolver;
    struct map_node node;
    char *text; /* in lower case */
    enum name_phase phase;
    struct list recent, turn;
    struct list requests; /* that wait for the answer */
    unsigned n_requests;  /* with those that are being told */
    struct dns_query query;
    enum resolver_answer answer;
    struct address *addresses;
    unsigned n_addresses;
    nsec expires_at;
};

struct resolver {
    struct loop *loop;
    struct dns *dns;
    struct map names;
    struct list recent; /* names, as they were asked for */
    struct list turn;   /* those that wait */
    struct list told;   /* requests */
    struct task pump;
    unsigned n_asked;
};

/* --- what is written --- */

static bool is_name_byte(char byte)
{
    return isalnum((unsigned char)byte) || byte == '-' || byte == '_';
}

static bool is_label(struct span label, bool *ret_is_number)
{
    if (label.size == 0 || label.size > LABEL_MAX || label.data[0] == '-' ||
        label.data[label.size - 1] == '-')
        return false;
    bool is_number = true;
    for (size_t i = 0; i < label.size; i++) {
        if (!is_name_byte(label.data[i]))
            return false;
        is_number = is_number && label.data[i] >= '0' && label.data[i] <= '9';
    }
    *ret_is_number = is_number;
    return true;
}

/* One whose last label is a number would be an address to some and a name to others (RFC 3696 2). */
static bool is_name(struct span name)
{
    bool is_number = true;
    if (span_ends_with(name, SPAN(".")))
        name.size--;
    if (name.size == 0 || name.size > RESOLVER_NAME_MAX)
        return false;
    for (struct span rest = name; rest.data;) {
        if (!is_label(span_cut(&rest, '.'), &is_number))
            return false;
    }
    return !is_number;
}

/* Answers: RESOLVER_BAD_NAME. The name is empty when it is an address. */
static int target_parse(struct span text, struct span *ret_name, struct address *ret_address)
{
    struct span host = text;
    struct address address = { .size = sizeof(struct sockaddr_in) };
    if (address_parse(text, ret_address) == 0) {
        *ret_name = SPAN_NULL;
        return 0;
    }
    while (host.size && host.data[host.size - 1] != ':')
        host.size--;
    uint64_t port;
    if (!host.size || !span_to_uint(span_from(text, host.size), 65535, &port))
        return RESOLVER_BAD_NAME;
    host.size--;
    if (!is_name(host))
        return RESOLVER_BAD_NAME;
    address.any.sa_family = AF_INET;
    address_set_port(&address, (unsigned)port);
    *ret_address = address;
    *ret_name = host;
    return 0;
}

bool resolver_accepts(struct span text)
{
    struct span name;
    struct address address;
    return target_parse(text, &name, &address) == 0;
}

const char *resolver_answer_text(enum resolver_answer answer)
{
    switch (answer) {
    case RESOLVER_OK: return "has an address";
    case RESOLVER_BAD_NAME: return "is neither an address nor name:port";
    case RESOLVER_NO_NAME: return "has no address";
    case RESOLVER_TIMEOUT: return "could not be resolved in time";
    case RESOLVER_FAILED: return "could not be resolved";
    case RESOLVER_BUSY: return "is one name too many";
    }
    return "";
}

/* --- telling --- */

static unsigned port_of(const struct address *address)
{
    return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
}

static nsec later(nsec a, nsec b)
{
    return a > b ? a : b;
}

static void request_forget(struct resolver_request *request)
{
    timer_stop(&request->deadline);
    task_cancel(&request->tell);
    list_remove(&request->link);
    if (request->name)
        request->name->n_requests--;
    request->name = NULL;
    request->resolver = NULL;
}

static void request_on_tell(struct task *task)
{
    struct resolver_request *request = container_of(task, struct resolver_request, tell);
    const struct resolver_name *name = request->name;
    struct resolver_result result = { .answer = request->answer, .expires_at = NSEC_NEVER };
    if (name) {
        result.expires_at = later(name->expires_at, loop_now(request->resolver->loop));
        result.n_addresses = request->answer == RESOLVER_OK ? name->n_addresses : 0;
    } else if (request->answer == RESOLVER_OK) {
        result.addresses[0] = request->address;
        result.n_addresses = 1;
    }
    for (unsigned i = 0; name && i < result.n_addresses; i++) {
        result.addresses[i] = name->addresses[i];
        address_set_port(&result.addresses[i], port_of(&request->address));
    }
    request_forget(request);
    request->on_resolved(request, &result);
}

static void request_answer(struct resolver_request *request, enum resolver_answer answer)
{
    struct resolver *resolver = request->resolver;
    request->answer = answer;
    timer_stop(&request->deadline);
    list_remove(&request->link);
    list_add_last(&resolver->told, &request->link);
    task_defer(&request->tell, resolver->loop);
}

static void request_on_deadline(struct timer *timer)
{
    request_answer(container_of(timer, struct resolver_request, deadline), RESOLVER_TIMEOUT);
}

/* --- names --- */

static struct resolver_name *name_free(struct resolver_name *name)
{
    map_remove(&name->resolver->names, &name->node);
    list_remove(&name->recent);
    list_remove(&name->turn);
    free(name->addresses);
    free(name->text);
    free(name);
    return NULL;
}

static nsec kept_for(enum resolver_answer answer, nsec lifetime)
{
    if (answer == RESOLVER_NO_NAME || answer == RESOLVER_BAD_NAME)
        return RESOLVER_TTL_NONE;
    if (answer != RESOLVER_OK)
        return RESOLVER_TTL_FAILED;
    if (lifetime < RESOLVER_TTL_MIN)
        return RESOLVER_TTL_MIN;
    return lifetime < RESOLVER_TTL_MAX ? lifetime : RESOLVER_TTL_MAX;
}

static void name_on_answered(struct dns_query *query, enum resolver_answer answer,
                             const struct address *addresses, unsigned n_addresses, nsec lifetime)
{
    struct resolver_name *name = container_of(query, struct resolver_name, query);
    struct resolver *resolver = name->resolver;
    name->phase = NAME_KEPT;
    name->answer = answer;
    name->n_addresses = n_addresses;
    free(name->addresses);
    name->addresses = n_addresses ? mem_new_array(struct address, n_addresses) : NULL;
    if (n_addresses)
        memcpy(name->addresses, addresses, n_addresses * sizeof(*addresses));
    name->expires_at = loop_now(resolver->loop) + kept_for(answer, lifetime);
    list_each_safe (link, &name->requests)
        request_answer(container_of(link, struct resolver_request, link), answer);
    resolver->n_asked--;
    if (!list_is_empty(&resolver->turn))
        task_defer(&resolver->pump, resolver->loop);
}

static void name_on_dropped(struct dns_query *query)
{
    struct resolver_name *name = container_of(query, struct resolver_name, query);
    name->phase = NAME_WAITING;
    list_add_first(&name->resolver->turn, &name->turn);
    name->resolver->n_asked--;
}

/* Those that were asked for longest ago go first, unless somebody waits for them. */
static bool make_room(struct resolver *resolver)
{
    if (resolver->names.n_nodes < RESOLVER_NAMES_MAX)
        return true;
    list_each (link, &resolver->recent) {
        struct resolver_name *name = container_of(link, struct resolver_name, recent);
        if (name->phase == NAME_KEPT && !name->n_requests) {
            name_free(name);
            return true;
        }
    }
    return false;
}

static struct resolver_name *name_new(struct resolver *resolver, const char *text)
{
    struct resolver_name *name = mem_new(struct resolver_name);
    name->resolver = resolver;
    name->text = mem_strdup(text);
    name->query.on_answered = name_on_answered;
    name->query.on_dropped = name_on_dropped;
    list_init(&name->recent);
    list_init(&name->turn);
    list_init(&name->requests);
    map_add(&resolver->names, &name->node, span_of(name->text));
    return name;
}

/* NULL when there is no room. */
static struct resolver_name *name_for(struct resolver *resolver, struct span text)
{
    char lower[RESOLVER_NAME_MAX + 2];
    assert(text.size < sizeof(lower));
    for (size_t i = 0; i < text.size; i++)
        lower[i] = ascii_lower(text.data[i]);
    lower[text.size] = '\0';

    struct resolver_name *name =
        map_find_as(&resolver->names, span_of(lower), struct resolver_name, node);
    if (!name && make_room(resolver))
        name = name_new(resolver, lower);
    if (name) {
        list_remove(&name->recent);
        list_add_last(&resolver->recent, &name->recent);
    }
    return name;
}

/* --- the resolver --- */

static void resolver_on_pump(struct task *task)
{
    struct resolver *resolver = container_of(task, struct resolver, pump);
    dns_refresh(resolver->dns);
    while (resolver->n_asked < RESOLVER_QUERIES_MAX) {
        struct list *first = list_take_first(&resolver->turn);
        if (!first)
            return;
        struct resolver_name *name = container_of(first, struct resolver_name, turn);
        name->phase = NAME_ASKED;
        resolver->n_asked++;
        dns_ask(resolver->dns, &name->query, name->text);
    }
}

struct resolver *resolver_new(struct loop *loop, const struct resolver_settings *settings)
{
    static const struct resolver_settings defaults = { 0 };
    struct resolver *resolver = mem_new(struct resolver);
    resolver->loop = loop;
    resolver->dns = dns_new(loop, settings ? settings : &defaults);
    map_init(&resolver->names);
    list_init(&resolver->recent);
    list_init(&resolver->turn);
    list_init(&resolver->told);
    list_init(&resolver->pump.link);
    resolver->pump.on_run = resolver_on_pump;
    return resolver;
}

struct resolver *resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return NULL;

    resolver->dns = dns_free(resolver->dns);
    task_cancel(&resolver->pump);
    map_each (node, &resolver->names) {
        struct resolver_name *name = container_of(node, struct resolver_name, node);
        list_move_all(&resolver->told, &name->requests);
    }
    list_each_safe (link, &resolver->told)
        request_forget(container_of(link, struct resolver_request, link));
    map_each (node, &resolver->names)
        name_free(container_of(node, struct resolver_name, node));
    map_fini(&resolver->names);
    free(resolver);
    return NULL;
}

static void request_wait(struct resolver_request *request, struct resolver_name *name,
                         nsec deadline)
{
    struct resolver *resolver = request->resolver;
    request->name = name;
    name->n_requests++;
    if (name->phase == NAME_KEPT && name->expires_at > loop_now(resolver->loop)) {
        request_answer(request, name->answer);
        return;
    }
    list_add_last(&name->requests, &request->link);
    if (deadline != NSEC_NEVER)
        timer_start(&request->deadline, resolver->loop, deadline);
    if (name->phase != NAME_KEPT)
        return;
    name->phase = NAME_WAITING;
    list_add_last(&resolver->turn, &name->turn);
    task_defer(&resolver->pump, resolver->loop);
}

void resolver_ask(struct resolver *resolver, struct resolver_request *request, struct span text,
                  nsec deadline)
{
    assert(!request->resolver);
    request->resolver = resolver;
    request->tell.on_run = request_on_tell;
    request->deadline.on_due = request_on_deadline;
    list_init(&request->tell.link);
    list_init(&request->link);

    struct span host;
    int r = target_parse(text, &host, &request->address);
    if (r || !host.size) {
        request_answer(request, (enum resolver_answer)r);
        return;
    }
    struct resolver_name *name = name_for(resolver, host);
    if (name)
        request_wait(request, name, deadline);
    else
        request_answer(request, RESOLVER_BUSY);
}

void resolver_cancel(struct resolver_request *request)
{
    if (request->resolver)
        request_forget(request);
}
