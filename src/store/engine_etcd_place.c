/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Where the members are. An endpoint may be a name; it is asked for anew at each try to connect, as
 * members move, and its addresses take turns, as one name may stand for all of them. A name that
 * cannot be resolved now leads where it led before: that names are not answered must not take the
 * store away.
 */

#include "base/mem.h"
#include "io/tls.h"
#include "store/engine_etcd.h"

static void place_keep(struct etcd_endpoint *endpoint, const struct resolver_result *result)
{
    size_t size = result->n_addresses * sizeof(struct address);
    endpoint->addresses = mem_resize(endpoint->addresses, 1, size);
    memcpy(endpoint->addresses, result->addresses, size);
    endpoint->n_addresses = result->n_addresses;
}

static void place_on_resolved(struct resolver_request *request,
                              const struct resolver_result *result)
{
    struct etcd *etcd = container_of(request, struct etcd, resolving);
    struct etcd_endpoint *endpoint = &etcd->endpoints[etcd->endpoint];
    if (result->answer == RESOLVER_OK)
        place_keep(endpoint, result);
    if (!endpoint->n_addresses) {
        etcd_break(etcd, "%s", resolver_answer_text(result->answer));
        return;
    }
    etcd->address = endpoint->addresses[endpoint->n_tries++ % endpoint->n_addresses];
    etcd_on_resolved(etcd);
}

void etcd_resolve(struct etcd *etcd)
{
    etcd->resolving.on_resolved = place_on_resolved;
    resolver_ask(etcd->resolver, &etcd->resolving, span_of(etcd->endpoints[etcd->endpoint].text),
                 loop_now(etcd->loop) + etcd->patience);
}

/* A name is what its certificate must be for, wherever it leads. */
static const struct tls_client *tls_for(const struct tls_client *tls, const char *text)
{
    struct address address;
    struct span name = span_of(text);
    if (!tls || tls_client_name(tls) || address_parse(name, &address) == 0)
        return tls ? tls_client_ref(tls) : NULL;
    CLEANUP(mem_freep) char *host = mem_span_dup(span_first(name, span_find(name, ':')));
    return tls_client_vary(tls, host, false);
}

static int refuse_endpoint(const char *text, struct problem *problem)
{
    problem_set(problem, "store.etcd.endpoints",
                "has \"%s\"; addresses as 127.0.0.1:2379 and names as etcd-1:2379 are accepted",
                text);
    return err_origin(-EINVAL);
}

int etcd_places_open(struct etcd *etcd, const struct store_etcd_settings *settings,
                     struct problem *problem)
{
    etcd->own_resolver = settings->resolver ? NULL : resolver_new(etcd->loop, NULL);
    etcd->resolver = settings->resolver ? settings->resolver : etcd->own_resolver;
    etcd->endpoints = mem_new_array(struct etcd_endpoint, settings->n_endpoints);
    for (unsigned i = 0; i < settings->n_endpoints; i++) {
        const char *text = settings->endpoints[i];
        if (!resolver_accepts(span_of(text)))
            return refuse_endpoint(text, problem);
        etcd->endpoints[etcd->n_endpoints++] = (struct etcd_endpoint){
            .text = mem_strdup(text),
            .tls = tls_for(settings->tls, text),
        };
    }
    return 0;
}

void etcd_places_close(struct etcd *etcd)
{
    resolver_cancel(&etcd->resolving);
    resolver_free(etcd->own_resolver);
    for (unsigned i = 0; i < etcd->n_endpoints; i++) {
        struct etcd_endpoint *endpoint = &etcd->endpoints[i];
        if (endpoint->tls)
            tls_client_unref(endpoint->tls);
        free(endpoint->addresses);
        free(endpoint->text);
    }
    free(etcd->endpoints);
}
