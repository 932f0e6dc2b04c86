/* SPDX-License-Identifier: Apache-2.0 */

#include "http/quota.h"

#include <netinet/in.h>

#include "base/mem.h"

struct quota_count {
    struct map_node node;
    unsigned n_connections;
    size_t key_size;
    char key[16];
};

void quota_init(struct quota *quota, unsigned max)
{
    map_init(&quota->counts);
    quota->max = max;
}

void quota_fini(struct quota *quota)
{
    map_each (node, &quota->counts) {
        map_remove(&quota->counts, node);
        free(container_of(node, struct quota_count, node));
    }
    map_fini(&quota->counts);
}

/* An IPv6 client has a /64 of its own, so its addresses are counted together. */
static struct span quota_key(const struct address *address)
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

bool quota_take(struct quota *quota, const struct address *address, struct quota_count **ret_count)
{
    struct span key = quota_key(address);
    *ret_count = NULL;
    if (quota->max == 0 || !key.data)
        return true;

    struct quota_count *count = map_find_as(&quota->counts, key, struct quota_count, node);
    if (count && count->n_connections >= quota->max)
        return false;
    if (!count) {
        count = mem_new(struct quota_count);
        count->key_size = key.size;
        memcpy(count->key, key.data, key.size);
        map_add(&quota->counts, &count->node, (struct span){ count->key, count->key_size });
    }
    count->n_connections++;
    *ret_count = count;
    return true;
}

void quota_drop(struct quota *quota, struct quota_count *count)
{
    if (!count || --count->n_connections > 0)
        return;
    map_remove(&quota->counts, &count->node);
    free(count);
}
