/* SPDX-License-Identifier: Apache-2.0 */

#include "io/network.h"

#include <arpa/inet.h>
#include <string.h>

#include "io/file.h"

/* An address in IPv6's form, in which IPv4 is mapped. */
struct ip {
    unsigned char bytes[16];
};

static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static bool ip_parse(struct span text, struct ip *ret_ip, unsigned *ret_bits)
{
    char name[INET6_ADDRSTRLEN];
    if (!text.size || text.size >= sizeof(name))
        return false;
    memcpy(name, text.data, text.size);
    name[text.size] = '\0';
    memcpy(ret_ip->bytes, mapped, sizeof(mapped));
    *ret_bits = 32;
    if (inet_pton(AF_INET, name, ret_ip->bytes + sizeof(mapped)) == 1)
        return true;
    *ret_bits = 128;
    return inet_pton(AF_INET6, name, ret_ip->bytes) == 1;
}

static bool network_parse(struct span text, struct ip *ret_ip, unsigned *ret_bits)
{
    struct span rest = text, name = span_cut(&rest, '/');
    unsigned width = 0;
    uint64_t bits = 0;
    if (!ip_parse(name, ret_ip, &width))
        return false;
    if (!rest.data)
        bits = width;
    else if (!span_to_uint(rest, width, &bits))
        return false;
    *ret_bits = (unsigned)bits + 128 - width;
    return true;
}

bool networks_are_valid(struct span list)
{
    while (list.size) {
        struct ip ip;
        unsigned bits;
        if (!network_parse(span_trim(span_cut(&list, ',')), &ip, &bits))
            return false;
    }
    return true;
}

static bool is_in(const struct ip *ip, const struct ip *network, unsigned bits)
{
    unsigned whole = bits / 8, left = bits % 8;
    if (memcmp(ip->bytes, network->bytes, whole) != 0)
        return false;
    return !left || (ip->bytes[whole] ^ network->bytes[whole]) >> (8 - left) == 0;
}

bool networks_have(struct span list, const struct address *address)
{
    char name[INET6_ADDRSTRLEN];
    struct span text = { name, (size_t)(address_put_host(name, address) - name) };
    struct ip ip, network;
    unsigned bits;
    if (!ip_parse(text, &ip, &bits))
        return false;
    while (list.size) {
        if (network_parse(span_trim(span_cut(&list, ',')), &network, &bits) &&
            is_in(&ip, &network, bits))
            return true;
    }
    return false;
}

/* Only an address of this machine can be bound to. */
bool address_is_here(const struct address *address)
{
    if (address_is_loopback(address))
        return true;
    struct address any_port = *address;
    address_set_port(&any_port, 0);
    CLEANUP(fd_closep)
    int fd = socket(address->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 && bind(fd, &any_port.any, any_port.size) == 0;
}

static struct span host_of(const struct address *address, char memory[INET6_ADDRSTRLEN])
{
    const char *end = address_put_host(memory, address);
    return (struct span){ memory, (size_t)(end - memory) };
}

bool address_is_same_host(const struct address *a, const struct address *b)
{
    char one[INET6_ADDRSTRLEN], other[INET6_ADDRSTRLEN];
    struct span host = host_of(a, one);
    return host.size && span_equals(host, host_of(b, other));
}
