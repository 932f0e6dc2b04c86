/* SPDX-License-Identifier: Apache-2.0 */

#include "version/bom_text.h"

#include "check.h"

struct heard {
    char text[512];
    size_t size;
};

static void on_build(struct bom_text *text, struct span contract, struct span build)
{
    struct heard *heard = text->owner;
    heard->size += (size_t)snprintf(heard->text + heard->size, sizeof(heard->text) - heard->size,
                                    "b %.*s %.*s;", SPAN_ARG(contract), SPAN_ARG(build));
}

static void on_contract(struct bom_text *text, struct span service, uint32_t major)
{
    struct heard *heard = text->owner;
    heard->size += (size_t)snprintf(heard->text + heard->size, sizeof(heard->text) - heard->size,
                                    "c %.*s %u;", SPAN_ARG(service), major);
}

static void on_release(struct bom_text *text, struct span app, struct span release)
{
    struct heard *heard = text->owner;
    heard->size += (size_t)snprintf(heard->text + heard->size, sizeof(heard->text) - heard->size,
                                    "r %.*s %.*s;", SPAN_ARG(app), SPAN_ARG(release));
}

static int parse(const char *json, size_t size, struct heard *heard)
{
    *heard = (struct heard){ .size = 0 };
    struct bom_text text = { heard, on_build, on_contract, on_release };
    /* A copy of just that size, so that reading on is seen. */
    char *copy = malloc(size ? size : 1);
    memcpy(copy, json, size);
    int r = bom_text_parse(&text, (struct span){ copy, size });
    free(copy);
    return r;
}

static const char whole[] =
    "{\"builds\":{\"catalog@1\":\"1.1.0\",\"orders@3\":\"3.15.0\"},"
    "\"contracts\":{\"catalog\":1,\"orders\":3},"
    "\"releases\":{\"shop\":\"4.2.0\"}}";

TEST(the_canonical_form_is_read)
{
    struct heard heard;
    CHECK_INT(parse(whole, strlen(whole), &heard), 0);
    CHECK_STR(heard.text,
              "b catalog@1 1.1.0;b orders@3 3.15.0;c catalog 1;c orders 3;"
              "r shop 4.2.0;");
    const char *empty = "{\"builds\":{},\"contracts\":{},\"releases\":{}}";
    CHECK_INT(parse(empty, strlen(empty), &heard), 0);
    CHECK_STR(heard.text, "");
}

TEST(every_part_of_it_is_refused)
{
    struct heard heard;
    for (size_t size = 0; size < strlen(whole); size++)
        CHECK_INT(parse(whole, size, &heard), BOM_TEXT_BAD);
}

TEST(any_other_form_is_refused)
{
    static const char *const cases[] = {
        "{\"contracts\":{},\"builds\":{},\"releases\":{}}",
        "{\"builds\": {},\"contracts\":{},\"releases\":{}}",
        "{\"builds\":{},\"contracts\":{},\"releases\":{}} ",
        "{\"builds\":{\"a@1\":1},\"contracts\":{},\"releases\":{}}",
        "{\"builds\":{\"a@1\":\"1\",},\"contracts\":{},\"releases\":{}}",
        "{\"builds\":{\"a\\\"\":\"1\"},\"contracts\":{},\"releases\":{}}",
        "{\"builds\":{},\"contracts\":{\"a\":\"1\"},\"releases\":{}}",
        "{\"builds\":{},\"contracts\":{\"a\":-1},\"releases\":{}}",
        "{\"builds\":{},\"contracts\":{\"a\":4294967296},\"releases\":{}}",
        "{\"builds\":{},\"contracts\":{\"a\":},\"releases\":{}}",
        "{\"builds\":{},\"contracts\":{},\"releases\":{\"a\":1}}",
        "{\"builds\":{},\"contracts\":{},\"releases\":{},\"more\":{}}",
    };
    struct heard heard;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CHECK_INT(parse(cases[i], strlen(cases[i]), &heard), BOM_TEXT_BAD);
}
