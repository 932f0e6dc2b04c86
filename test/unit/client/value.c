/* SPDX-License-Identifier: Apache-2.0 */

#include <sarsen/sarsen.h>

#include "check.h"
#include "memory.h"

static const char document[] =
    "{\"text\":\"a\",\"n\":1.5,\"yes\":true,\"no\":false,\"null\":null,\"list\":[1,\"b\"],"
    "\"object\":{\"x\":1,\"y\":2}}";

TEST(members_are_read_by_their_kind)
{
    sarsen_value *value;
    CHECK_INT(sarsen_value_parse(document, strlen(document), &value), 0);
    CHECK_STR(sarsen_value_text(sarsen_value_get(value, "text")), "a");
    CHECK(sarsen_value_number(sarsen_value_get(value, "n")) == 1.5);
    CHECK(sarsen_value_is_true(sarsen_value_get(value, "yes")));
    CHECK(!sarsen_value_is_true(sarsen_value_get(value, "no")));
    CHECK(sarsen_value_is_text(sarsen_value_get(value, "text")));
    CHECK(sarsen_value_is_number(sarsen_value_get(value, "n")));
    const sarsen_value *list = sarsen_value_get(value, "list");
    CHECK(sarsen_value_is_array(list));
    CHECK_INT(sarsen_value_size(list), 2);
    CHECK_STR(sarsen_value_text(sarsen_value_at(list, 1)), "b");
    const sarsen_value *object = sarsen_value_get(value, "object");
    CHECK_INT(sarsen_value_size(object), 2);
    CHECK_STR(sarsen_value_name(object, 1), "y");
    CHECK(!sarsen_value_name(object, 2));
    char *text = sarsen_value_json(object);
    CHECK_STR(text, "{\n  \"x\": 1,\n  \"y\": 2\n}");
    free(text);
    sarsen_value_free(value);
}

TEST(what_is_not_there_is_empty)
{
    sarsen_value *value;
    CHECK_INT(sarsen_value_parse("7", 1, &value), 0);
    const sarsen_value *others[] = { NULL, value };
    for (size_t i = 0; i < 2; i++) {
        CHECK(!sarsen_value_get(others[i], "x"));
        CHECK(!sarsen_value_at(others[i], 0));
        CHECK_INT(sarsen_value_size(others[i]), 0);
        CHECK(!sarsen_value_name(others[i], 0));
        CHECK_STR(sarsen_value_text(others[i]), "");
        CHECK(!sarsen_value_is_true(others[i]));
        CHECK(!sarsen_value_is_array(others[i]));
    }
    CHECK(sarsen_value_number(NULL) == 0);
    sarsen_value_free(value);
    sarsen_value_free(NULL);
}

TEST(what_is_no_json_is_refused)
{
    sarsen_value *value = NULL;
    for (size_t size = 0; size < strlen(document); size++)
        CHECK_INT(sarsen_value_parse(document, size, &value), SARSEN_EINVALID);
    CHECK(!value);
}

TEST(memory_may_run_out_while_parsing_and_writing)
{
    json_set_alloc_funcs(json_malloc_scarce, free);
    unsigned n_failed = 0;
    sarsen_value *value = NULL;
    for (int r = SARSEN_ENOMEM; r; n_failed++) {
        json_n_left = n_failed;
        r = sarsen_value_parse(document, strlen(document), &value);
        /* jansson may take a token it had no room for to be a wrong one. */
        CHECK(r == 0 || r == SARSEN_ENOMEM || r == SARSEN_EINVALID);
    }
    CHECK(n_failed > 8);
    char *text = NULL;
    for (unsigned n = 0; !text; n++) {
        json_n_left = n;
        text = sarsen_value_json(value);
    }
    free(text);
    sarsen_value_free(value);
}
