/* SPDX-License-Identifier: Apache-2.0 */

#include "version/snapshot.h"

#include "check.h"

TEST(names_lead_to_urls_and_each_url_has_its_integrity_once)
{
    char main_name[] = "@shop/main", main_path[] = "assets/main-3f2a.js", main_sri[] = "sha384-m";
    char react[] = "react", react_path[] = "assets/react.js", react_sri[] = "sha384-r";
    char jsx[] = "react/jsx-runtime";
    struct release_entry entries[] = { { main_name, main_path, main_sri },
                                       { react, react_path, react_sri },
                                       { jsx, react_path, react_sri } };
    struct snapshot_release release = {
        .app = SPAN("shop"), .version = SPAN("4.2.0"), .entries = entries, .n_entries = 3
    };
    struct arena arena = { 0 };
    CHECK_STR(import_map_format(&arena, &release),
              "{\"imports\":{\"@shop/main\":\"/apps/shop/4.2.0/assets/main-3f2a.js\","
              "\"react\":\"/apps/shop/4.2.0/assets/react.js\","
              "\"react/jsx-runtime\":\"/apps/shop/4.2.0/assets/react.js\"},"
              "\"integrity\":{\"/apps/shop/4.2.0/assets/main-3f2a.js\":\"sha384-m\","
              "\"/apps/shop/4.2.0/assets/react.js\":\"sha384-r\"}}");
    arena_fini(&arena);
}

TEST(a_name_cannot_end_the_script_it_is_inlined_in)
{
    char name[] = "</script><script>alert(\"1\")//<!--", path[] = "a.js", sri[] = "sha384-a";
    struct release_entry entries[] = { { name, path, sri } };
    struct snapshot_release release = {
        .app = SPAN("shop"), .version = SPAN("1.0.0"), .entries = entries, .n_entries = 1
    };
    struct arena arena = { 0 };
    const char *text = import_map_format(&arena, &release);
    CHECK(!strchr(text, '<'));
    CHECK(strstr(text, "\\u003c/script>\\u003cscript>alert(\\\"1\\\")//\\u003c!--"));
    arena_fini(&arena);
}
