/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/origin.h"

#include "check.h"

TEST(an_origin_is_the_same_host_or_in_the_list)
{
    static const struct {
        const char *origin, *authority, *list;
        bool is_allowed;
    } cases[] = {
        { "https://a.test", "a.test", "", true },
        { "http://a.test", "a.test", "", true }, /* TLS may end in front of us */
        { "https://A.test", "a.TEST", "", true },
        { "http://a.test", "a.test:80", "", true },
        { "https://a.test:443", "a.test", "", true },
        { "http://a.test:8000", "a.test:8000", "", true },
        { "http://[::1]:8000", "[::1]:8000", "", true },
        { "http://a.test:8000", "a.test:8001", "", false },
        { "https://a.test:80", "a.test", "", false },
        { "https://b.test", "a.test", "", false },
        { "https://a.test.evil.test", "a.test", "", false },
        { "https://evil-a.test", "a.test", "", false },
        { "null", "null", "", false },
        { "file://", "a.test", "", false },
        { "", "", "", false },
        { "https://", "", "", false },
        { "null", "a.test", "*", true },
        { "https://b.test", "a.test", "*", true },
        { "https://b.test", "a.test", "https://c.test, https://b.test", true },
        { "http://b.test", "a.test", "https://b.test", false },
        { "https://b.test:8443", "a.test", "https://b.test", false },
        { "https://b.test:443", "a.test", "https://b.test", true },
        { "https://x.b.test", "a.test", "https://*.b.test", true },
        { "https://b.test", "a.test", "https://*.b.test", false },
        { "https://x.y.b.test", "a.test", "https://*.b.test", false },
        { "https://.b.test", "a.test", "https://*.b.test", false },
        { "https://xb.test", "a.test", "https://*.b.test", false },
        { "http://b.test", "a.test", "http://b.test:80", true },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (origin_is_allowed(span_of(cases[i].origin), span_of(cases[i].authority),
                              span_of(cases[i].list)) != cases[i].is_allowed)
            check_fail(__FILE__, __LINE__, cases[i].origin, "is judged otherwise");
    }
}

TEST(lists_are_held_to_their_form)
{
    static const char *const good[] = {
        "", "*", "https://a.test", "http://a.test:8000, *", "https://*.a.test", "http://[::1]:3000"
    };
    static const char *const bad[] = { "a.test",
                                       "https://",
                                       "https://a.test/",
                                       "https://a.*.b",
                                       "https://*",
                                       "https://*.",
                                       "https://a.test,,*",
                                       "wss://a.test",
                                       "https://A.test",
                                       "https://a.test https://b.test" };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(origins_are_valid(span_of(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!origins_are_valid(span_of(bad[i])));
}
