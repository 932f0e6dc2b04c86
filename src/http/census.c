/* SPDX-License-Identifier: Apache-2.0 */

#include "http/census.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

#define CELL_BITS 14u
#define N_CELLS (1u << CELL_BITS)

/* Bits of a key: the cell in the first row, the one in the second, and that there is one. */
#define KEY_IS_COUNTED (1u << 31)

struct http_census {
    atomic_uint n_clients, n_upstreams;
    atomic_ulong n_refused;
    atomic_ulong http2[HTTP2_N_OFFENCES], n_calmed, n_broken;
    atomic_uint cells[2][N_CELLS];
};

struct http_census *http_census_new(void)
{
    return mem_new(struct http_census);
}

struct http_census *http_census_free(struct http_census *census)
{
    free(census);
    return NULL;
}

/* An IPv6 client has a /64 of its own, so its addresses are counted together. */
static struct span address_bytes(const struct address *address)
{
    if (address->any.sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&address->storage;
        return (struct span){ (const char *)&v4->sin_addr, 4 };
    }
    if (address->any.sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 =
            (const struct sockaddr_in6 *)(const void *)&address->storage;
        return (struct span){ (const char *)&v6->sin6_addr, 8 };
    }
    return SPAN_NULL;
}

static atomic_uint *cell_of(struct http_census *census, uint32_t key, unsigned row)
{
    return &census->cells[row][(key >> (row * CELL_BITS)) % N_CELLS];
}

static unsigned count_more(atomic_uint *count)
{
    return atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

static void count_less(atomic_uint *count)
{
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}

/* False when the address has enough. */
static bool take_address(struct http_census *census, uint32_t key, unsigned max)
{
    unsigned first = count_more(cell_of(census, key, 0));
    unsigned second = count_more(cell_of(census, key, 1));
    if ((first < second ? first : second) < max)
        return true;
    count_less(cell_of(census, key, 0));
    count_less(cell_of(census, key, 1));
    return false;
}

bool http_census_take_client(struct http_census *census, const struct address *peer,
                             unsigned max_clients, unsigned max_per_address, uint32_t *ret_key)
{
    struct span bytes = max_per_address ? address_bytes(peer) : SPAN_NULL;
    uint32_t key = bytes.data ? (uint32_t)hash_seeded(bytes) | KEY_IS_COUNTED : 0;
    bool has_room = count_more(&census->n_clients) < max_clients;
    if (has_room && (!key || take_address(census, key, max_per_address))) {
        *ret_key = key;
        return true;
    }
    count_less(&census->n_clients);
    atomic_fetch_add_explicit(&census->n_refused, 1, memory_order_relaxed);
    return false;
}

void http_census_drop_client(struct http_census *census, uint32_t key)
{
    count_less(&census->n_clients);
    if (!key)
        return;
    count_less(cell_of(census, key, 0));
    count_less(cell_of(census, key, 1));
}

bool http_census_take_upstream(struct http_census *census, unsigned max_upstreams)
{
    if (count_more(&census->n_upstreams) < max_upstreams)
        return true;
    count_less(&census->n_upstreams);
    return false;
}

void http_census_drop_upstream(struct http_census *census)
{
    count_less(&census->n_upstreams);
}

unsigned http_census_n_clients(const struct http_census *census)
{
    return atomic_load_explicit(&census->n_clients, memory_order_relaxed);
}

unsigned http_census_n_upstreams(const struct http_census *census)
{
    return atomic_load_explicit(&census->n_upstreams, memory_order_relaxed);
}

uint64_t http_census_n_refused(const struct http_census *census)
{
    return atomic_load_explicit(&census->n_refused, memory_order_relaxed);
}

static void add(atomic_ulong *sum, uint64_t *count)
{
    if (*count)
        atomic_fetch_add_explicit(sum, *count, memory_order_relaxed);
    *count = 0;
}

void http_census_take_http2(struct http_census *census, struct http2_counts *counts)
{
    for (unsigned i = 0; i < HTTP2_N_OFFENCES; i++)
        add(&census->http2[i], &counts->offences[i]);
    add(&census->n_calmed, &counts->n_calmed);
    add(&census->n_broken, &counts->n_broken);
}

struct http2_counts http_census_http2(const struct http_census *census)
{
    struct http2_counts counts = {
        .n_calmed = atomic_load_explicit(&census->n_calmed, memory_order_relaxed),
        .n_broken = atomic_load_explicit(&census->n_broken, memory_order_relaxed),
    };
    for (unsigned i = 0; i < HTTP2_N_OFFENCES; i++)
        counts.offences[i] = atomic_load_explicit(&census->http2[i], memory_order_relaxed);
    return counts;
}
