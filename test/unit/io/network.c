/* SPDX-License-Identifier: Apache-2.0 */

#include "io/network.h"

#include "check.h"

static struct address at(const char *text)
{
    struct address address;
    CHECK_INT(address_parse(span_of(text), &address), 0);
    return address;
}

TEST(addresses_are_in_their_networks)
{
    static const struct {
        const char *list, *address;
        bool is_in;
    } cases[] = {
        { "10.0.0.0/8", "10.200.3.4:80", true },
        { "10.0.0.0/8", "11.0.0.1:80", false },
        { "10.1.2.3", "10.1.2.3:80", true },
        { "10.1.2.3", "10.1.2.4:80", false },
        { "192.168.1.0/25, 10.0.0.0/8", "10.0.0.1:80", true },
        { "192.168.1.0/25", "192.168.1.127:80", true },
        { "192.168.1.0/25", "192.168.1.128:80", false },
        { "0.0.0.0/0", "8.8.8.8:80", true },
        { "0.0.0.0/0", "[2001:db8::1]:80", false },
        { "::/0", "[2001:db8::1]:80", true },
        { "fd00::/8", "[fd12::1]:80", true },
        { "fd00::/8", "[fe80::1]:80", false },
        { "10.0.0.0/8", "[::ffff:10.1.1.1]:80", true },
        { "10.0.0.0/8", "unix:/10.0.0.1", false },
        { "", "127.0.0.1:80", false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct address address = at(cases[i].address);
        CHECK(networks_are_valid(span_of(cases[i].list)));
        if (networks_have(span_of(cases[i].list), &address) != cases[i].is_in)
            check_fail(__FILE__, __LINE__, cases[i].address, "is not where it should be");
    }
}

TEST(what_is_no_network_is_refused)
{
    static const char *const lists[] = {
        "x",      "10.0.0.0/33",  "10.0.0.0/",           "10.0.0/8",   "/8",
        "::/129", "10.0.0.0/8,,", "10.0.0.0/8 fd00::/8", "10.0.0.0/-1"
    };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        CHECK(!networks_are_valid(span_of(lists[i])));
}

TEST(this_machine_knows_its_addresses)
{
    struct address here = at("127.0.0.1:80"), unix_here = at("unix:/x"),
                   away = at("192.0.2.1:80"); /* of documentation, RFC 5737 */
    CHECK(address_is_here(&here));
    CHECK(address_is_here(&unix_here));
    CHECK(!address_is_here(&away));
}
