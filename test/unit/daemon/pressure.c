/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/pressure.h"

#include "check.h"
#include "daemon/resources.h"

#define LIMIT 1000000u

TEST(a_level_begins_at_its_mark_and_ends_below_it)
{
    static const struct {
        enum http_pressure before;
        unsigned percent;
        enum http_pressure after;
    } table[] = {
        { HTTP_PRESSURE_NONE, 0, HTTP_PRESSURE_NONE },
        { HTTP_PRESSURE_NONE, 79, HTTP_PRESSURE_NONE },
        { HTTP_PRESSURE_NONE, 80, HTTP_PRESSURE_NO_KEEP_ALIVE },
        { HTTP_PRESSURE_NONE, 90, HTTP_PRESSURE_SHED },
        { HTTP_PRESSURE_NONE, 95, HTTP_PRESSURE_CLOSE_IDLE },
        { HTTP_PRESSURE_NONE, 300, HTTP_PRESSURE_CLOSE_IDLE },
        { HTTP_PRESSURE_NO_KEEP_ALIVE, 75, HTTP_PRESSURE_NO_KEEP_ALIVE },
        { HTTP_PRESSURE_NO_KEEP_ALIVE, 74, HTTP_PRESSURE_NONE },
        { HTTP_PRESSURE_NO_KEEP_ALIVE, 89, HTTP_PRESSURE_NO_KEEP_ALIVE },
        { HTTP_PRESSURE_SHED, 85, HTTP_PRESSURE_SHED },
        { HTTP_PRESSURE_SHED, 84, HTTP_PRESSURE_NO_KEEP_ALIVE },
        { HTTP_PRESSURE_SHED, 94, HTTP_PRESSURE_SHED },
        { HTTP_PRESSURE_CLOSE_IDLE, 90, HTTP_PRESSURE_CLOSE_IDLE },
        { HTTP_PRESSURE_CLOSE_IDLE, 89, HTTP_PRESSURE_SHED },
        { HTTP_PRESSURE_CLOSE_IDLE, 10, HTTP_PRESSURE_NONE },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        /* In the middle of the percent, so that rounding decides nothing. */
        uint64_t used = (uint64_t)table[i].percent * LIMIT / 100 + LIMIT / 200;
        CHECK_INT(pressure_level(table[i].before, used, LIMIT), table[i].after);
    }
}

TEST(what_the_machine_gives_is_found)
{
    CHECK(resources_memory() > 16u << 20);
    CHECK(resources_resident() > 4096);
    CHECK(resources_resident() < resources_memory());
}

TEST(descriptors_are_shared_and_some_are_left)
{
    struct gateway_settings settings = { 0 };
    resources_share_descriptors(&settings);
    unsigned most = settings.client.max_connections;
    CHECK(most > 0 && settings.upstream.max_in_all > 0);
    settings.client.max_connections = 1;
    resources_share_descriptors(&settings);
    CHECK_INT(settings.client.max_connections, 1);
    settings.client.max_connections = UINT32_MAX;
    resources_share_descriptors(&settings);
    CHECK_INT(settings.client.max_connections, most);
}
