/* SPDX-License-Identifier: Apache-2.0 */

#include "api/attempts.h"

#include <netinet/in.h>

#include "base/hash.h"

#define FULL_AFTER (ATTEMPTS_BURST * ATTEMPTS_EVERY)

static uint64_t key_of(const struct address *address)
{
    struct span bytes = SPAN_NULL;
    if (address->any.sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&address->storage;
        bytes = (struct span){ (const char *)&v4->sin_addr, 4 };
    } else if (address->any.sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 =
            (const struct sockaddr_in6 *)(const void *)&address->storage;
        bytes = (struct span){ (const char *)&v6->sin6_addr, 8 };
    }
    return hash_seeded(bytes) | 1;
}

bool attempts_is_over(const struct attempts *attempts, const struct address *address, nsec now)
{
    uint64_t key = key_of(address);
    for (unsigned i = 0; i < ATTEMPTS_ADDRESSES; i++) {
        if (attempts->cells[i].key == key)
            return attempts->cells[i].full_at + ATTEMPTS_EVERY > now + FULL_AFTER;
    }
    return false;
}

void attempts_add(struct attempts *attempts, const struct address *address, nsec now)
{
    uint64_t key = key_of(address);
    unsigned oldest = 0, i = 0;
    while (i < ATTEMPTS_ADDRESSES && attempts->cells[i].key != key) {
        if (attempts->cells[i].full_at < attempts->cells[oldest].full_at)
            oldest = i;
        i++;
    }
    if (i == ATTEMPTS_ADDRESSES) {
        i = oldest;
        attempts->cells[i].key = key;
        attempts->cells[i].full_at = 0;
    }
    nsec from = attempts->cells[i].full_at > now ? attempts->cells[i].full_at : now;
    attempts->cells[i].full_at = from + ATTEMPTS_EVERY;
    if (attempts->cells[i].full_at > now + FULL_AFTER)
        attempts->cells[i].full_at = now + FULL_AFTER;
}
