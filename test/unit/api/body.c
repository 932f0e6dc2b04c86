/* SPDX-License-Identifier: Apache-2.0 */

#include "api/call.h"
#include "check.h"

static const struct api_field inner[] = {
    { "pct", API_PERCENT, true, NULL },
    { "for", API_DURATION, false, NULL },
    { NULL, API_TEXT, false, NULL },
};

static const struct api_field fields[] = {
    { "name", API_TEXT, true, NULL },    { "on", API_BOOL, false, NULL },
    { "n", API_UINT, false, NULL },      { "map", API_MAP, false, NULL },
    { "texts", API_TEXTS, false, NULL }, { "steps", API_OBJECTS, false, inner },
    { NULL, API_TEXT, false, NULL },
};

static const struct api_route route = { .body = fields };

static void call_init(struct api_call *call, const struct api_route *of, struct span body)
{
    *call = (struct api_call){ .route = of };
    buf_put(&call->bytes, body);
}

static void call_fini(struct api_call *call)
{
    json_decref(call->body);
    buf_fini(&call->bytes);
    arena_fini(&call->arena);
}

static bool check(struct span body, struct problem *ret_problem)
{
    struct api_call call;
    *ret_problem = (struct problem){ 0 };
    call_init(&call, &route, body);
    bool is_fine = api_body_check(&call, ret_problem);
    call_fini(&call);
    return is_fine;
}

TEST(a_body_that_fits_is_readable)
{
    struct api_call call;
    struct problem problem = { 0 };
    call_init(&call, &route,
              SPAN("{\"name\":\"a\",\"on\":true,\"n\":7,\"map\":{\"k\":\"v\"},\"texts\":[\"x\"],"
                   "\"steps\":[{\"pct\":0.001},{\"pct\":100,\"for\":\"1m\"}]}"));
    CHECK(api_body_check(&call, &problem));
    CHECK(span_is(api_text(call.body, "name"), "a"));
    CHECK(!api_text(call.body, "absent").data);
    CHECK_INT(api_uint(call.body, "n"), 7);
    CHECK_INT(api_uint(call.body, "absent"), 0);
    const json_t *steps = json_object_get(call.body, "steps");
    CHECK_INT(api_pct_milli(json_array_get(steps, 0), "pct"), 1);
    CHECK_INT(api_pct_milli(json_array_get(steps, 1), "pct"), 100000);
    CHECK_INT(api_duration(json_array_get(steps, 1), "for"), 60 * NSEC_PER_SEC);
    CHECK_INT(api_duration(json_array_get(steps, 0), "for"), 0);
    call_fini(&call);
}

TEST(what_does_not_fit_is_told_with_its_path)
{
    static const struct {
        const char *body, *path, *text;
    } table[] = {
        { "{}", "name", "is absent; a text is accepted" },
        { "{\"name\":1}", "name", "is 1; a text is accepted" },
        { "{\"name\":\"a\",\"on\":1}", "on", "is 1; true or false is accepted" },
        { "{\"name\":\"a\",\"n\":-1}", "n", "is -1; a whole number from 0 on is accepted" },
        { "{\"name\":\"a\",\"n\":1.0}", "n", "is 1.0; a whole number from 0 on is accepted" },
        { "{\"name\":\"a\",\"map\":{\"k\":{}}}", "map",
          "is {\"k\":{}}; an object whose values are texts is accepted" },
        { "{\"name\":\"a\",\"texts\":[1]}", "texts", "is [1]; a list of texts is accepted" },
        { "{\"name\":\"a\",\"steps\":{}}", "steps", "is {}; a list of objects is accepted" },
        { "{\"name\":\"a\",\"steps\":[1]}", "steps[0]", "is 1; an object is accepted" },
        { "{\"name\":\"a\",\"steps\":[{}]}", "steps[0].pct",
          "is absent; a number from 0 to 100 is accepted" },
        { "{\"name\":\"a\",\"steps\":[{\"pct\":1},{\"pct\":100.1}]}", "steps[1].pct",
          "is 100.09999999999999; a number from 0 to 100 is accepted" },
        { "{\"name\":\"a\",\"steps\":[{\"pct\":1,\"for\":\"x\"}]}", "steps[0].for",
          "is \"x\"; a duration such as \"10s\" or \"1h30m\" is accepted" },
        { "{\"name\":\"a\",\"steps\":[{\"pct\":1,\"to\":1}]}", "steps[0].to",
          "is not known here; accepted are pct, for" },
        { "{\"other\":1}", "other",
          "is not known here; accepted are name, on, n, map, texts, steps" },
        { "[]", "the body", "is []; an object is accepted" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct problem problem;
        CHECK(!check(span_of(table[i].body), &problem));
        CHECK_STR(problem.path, table[i].path);
        CHECK_STR(problem.text, table[i].text);
    }
}

TEST(what_is_no_json_is_told_with_its_line)
{
    static const char body[] = "{\"name\":\"a\",\n\"texts\":[\"x\",\"\\u00e4\"]}";
    struct problem problem;
    for (size_t size = 1; size < sizeof(body) - 1; size++) {
        CHECK(!check((struct span){ body, size }, &problem));
        CHECK(problem.line >= 1);
        CHECK_STR(problem.path, "the body");
    }
    CHECK(check(span_of(body), &problem));
    CHECK(!check(SPAN("{\"name\":\"a\",\"name\":\"b\"}"), &problem));
    CHECK(!check(SPAN("{\"name\":\"a\\u0000\"}"), &problem));
    CHECK(!check(SPAN("{\"name\":\"\xff\"}"), &problem));
}

TEST(a_route_without_a_body_looks_at_none)
{
    static const struct api_route without = { .body = NULL };
    struct api_call call;
    struct problem problem = { 0 };
    call_init(&call, &without, SPAN("anything"));
    CHECK(api_body_check(&call, &problem));
    CHECK_INT(json_object_size(call.body), 0);
    call_fini(&call);
}

TEST(query_values_are_decoded)
{
    struct api_call call;
    call_init(&call, &route, SPAN_NULL);
    call.query = SPAN("a=1&b=%41%20c&d&e=%zz");
    CHECK(span_is(api_query(&call, "a"), "1"));
    CHECK(span_is(api_query(&call, "b"), "A c"));
    CHECK(api_query(&call, "d").data && api_query(&call, "d").size == 0);
    CHECK(!api_query(&call, "e").data);
    CHECK(!api_query(&call, "f").data);
    call_fini(&call);
}

TEST(sentences_lose_what_is_no_text)
{
    json_t *sentence = api_json_sentence("a\xc3\xa4\xff z\xe2\x82");
    CHECK_STR(json_string_value(sentence), "a\xc3\xa4 z");
    json_decref(sentence);
    CHECK(api_is_text(SPAN("a\xc3\xa4")));
    CHECK(api_is_text(SPAN("")));
    CHECK(!api_is_text(SPAN("a\n")));
    CHECK(!api_is_text(SPAN("a\x7f")));
    CHECK(!api_is_text(SPAN("a\xc3")));
    CHECK(!api_is_text(((struct span){ "a\0b", 3 })));
}

TEST(lists_are_sorted_by_text_or_version)
{
    json_t *list = api_sorted(
        json_pack("[{s:s},{s:s},{s:s}]", "v", "3.14.2", "v", "3.9.0", "v", "3.15.0-rc.1"), "v");
    CHECK_STR(json_string_value(json_object_get(json_array_get(list, 0), "v")), "3.9.0");
    CHECK_STR(json_string_value(json_object_get(json_array_get(list, 2), "v")), "3.15.0-rc.1");
    json_decref(list);
    list = api_sorted(json_pack("[s,s,s]", "b", "a", "c"), NULL);
    CHECK_STR(json_string_value(json_array_get(list, 0)), "a");
    json_decref(list);
    json_decref(api_sorted(json_array(), NULL));
}
