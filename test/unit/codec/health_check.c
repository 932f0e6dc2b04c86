/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/health_check.h"

#include "check.h"

/* Members as "name=text", with spaces between them. */
static int read_check(const char *members, struct health_check *ret_check, struct problem *problem)
{
    struct span rest = span_of(members);
    *ret_check = health_check_standard;
    while (rest.data) {
        struct span text = span_cut(&rest, ' '), name = span_cut(&text, '=');
        int r = health_check_set(ret_check, name, text, problem);
        if (r)
            return r;
    }
    return health_check_judge(ret_check, problem);
}

TEST(members_make_a_check)
{
    struct problem problem = { 0 };
    struct health_check check;
    char status[HEALTH_STATUS_MAX];
    CHECK_INT(read_check("http=/healthz?full=1 port=9100 status=200-399 interval=10s timeout=500ms "
                         "failures=2 passes=4",
                         &check, &problem),
              HEALTH_OK);
    CHECK_INT(check.kind, HEALTH_HTTP);
    CHECK(span_is(check.target, "/healthz?full=1"));
    CHECK_INT(check.port, 9100);
    CHECK_INT(check.interval, 10 * NSEC_PER_SEC);
    CHECK_INT(check.timeout, 500 * NSEC_PER_MSEC);
    CHECK_INT(check.failures, 2);
    CHECK_INT(check.passes, 4);
    health_status_format(&check, status);
    CHECK_STR(status, "200-399");

    CHECK_INT(read_check("https=/ status=204", &check, &problem), HEALTH_OK);
    health_status_format(&check, status);
    CHECK_STR(status, "204");
    CHECK_INT(read_check("grpc=", &check, &problem), HEALTH_OK);
    CHECK_INT(read_check("tcp=true", &check, &problem), HEALTH_OK);
    CHECK_STR(health_kind_word(check.kind), "tcp");
}

TEST(a_request_that_cannot_be_sent_is_refused)
{
    static const struct {
        const char *method, *headers, *path;
    } cases[] = {
        { "GET", "", NULL },
        { "POST", "x-a: 1\r\nAccept: text/plain\r\n", NULL },
        { "GE T", "", "health.method" },
        { "CONNECT", "", "health.method" },
        { "", "x-a: 1", "health.header" },
        { "", "x-a: 1\r\n\r\n", "health.header" },
        { "", "Host: a\r\n", "health.header" },
        { "", "content-length: 1\r\n", "health.header" },
        { "", "transfer-encoding: chunked\r\n", "health.header" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct problem problem = { 0 };
        struct health_check check = health_check_standard, same;
        check.kind = HEALTH_HTTP;
        check.target = SPAN("/");
        same = check;
        check.method = span_of(cases[i].method);
        check.headers = span_of(cases[i].headers);
        CHECK_INT(health_check_judge(&check, &problem), cases[i].path ? HEALTH_INVALID : HEALTH_OK);
        CHECK(!cases[i].path || strcmp(problem.path, cases[i].path) == 0);
        CHECK(!health_check_equals(&check, &same));
    }
}

TEST(what_is_no_check_is_refused_by_its_member)
{
    static const struct {
        const char *members, *path;
    } cases[] = {
        { "interval=5s", "health.grpc" },
        { "grpc=a interval=x", "health.interval" },
        { "grpc=a interval=99ms", "health.interval" },
        { "grpc=a timeout=2h", "health.timeout" },
        { "grpc=a failures=0", "health.failures" },
        { "grpc=a passes=101", "health.passes" },
        { "grpc=a passes=x", "health.passes" },
        { "grpc=\t", "health.grpc" },
        { "tcp=false", "health.tcp" },
        { "tcp=", "health.tcp" },
        { "http=healthz", "health.http" },
        { "http=", "health.http" },
        { "https=/a#b", "health.https" },
        { "http=http://other/", "health.http" },
        { "http=/ tcp=true", "health.tcp" },
        { "http=/ port=65536", "health.port" },
        { "http=/ status=99", "health.status" },
        { "http=/ status=600", "health.status" },
        { "http=/ status=300-200", "health.status" },
        { "http=/ status=200-", "health.status" },
        { "http=/ status=-200", "health.status" },
        { "script=/bin/true", "health.script" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct problem problem = { 0 };
        struct health_check check;
        CHECK_INT(read_check(cases[i].members, &check, &problem), HEALTH_INVALID);
        CHECK_STR(problem.path, cases[i].path);
    }
}

TEST(checks_differ_by_each_of_their_members)
{
    struct health_check one, other;
    CHECK_INT(read_check("http=/a", &one, NULL), HEALTH_OK);
    static const char *const others[] = {
        "http=/b",          "https=/a",           "http=/a port=1",     "http=/a status=200",
        "http=/a passes=2", "http=/a failures=1", "http=/a timeout=2s", "http=/a interval=6s",
    };
    CHECK(health_check_equals(&one, &one));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        CHECK_INT(read_check(others[i], &other, NULL), HEALTH_OK);
        CHECK(!health_check_equals(&one, &other));
    }
}

TEST(some_in_a_row_change_the_state)
{
    struct health_check check = { .kind = HEALTH_TCP, .failures = 3, .passes = 2 };
    struct health_tally tally = { 0 };
    CHECK(!health_turns(&tally, &check, true, true));
    CHECK(!health_turns(&tally, &check, true, false));
    CHECK(!health_turns(&tally, &check, true, true));
    CHECK(health_turns(&tally, &check, true, true));
    tally.n = 0;
    for (int i = 0; i < 2; i++) {
        CHECK(!health_turns(&tally, &check, false, false));
        CHECK(!health_turns(&tally, &check, false, false));
        CHECK(!health_turns(&tally, &check, false, true));
    }
    CHECK(!health_turns(&tally, &check, false, false));
    CHECK(!health_turns(&tally, &check, false, false));
    CHECK(health_turns(&tally, &check, false, false));
}

TEST(messages_of_grpc_are_framed)
{
    char bytes[HEALTH_REQUEST_MAX], name[HEALTH_TARGET_MAX];
    CHECK_INT(health_request_write(SPAN_NULL, bytes), 5);
    CHECK(memcmp(bytes, "\0\0\0\0\0", 5) == 0);
    CHECK_INT(health_request_write(SPAN("a.B"), bytes), 10);
    CHECK(memcmp(bytes, "\0\0\0\0\5\n\3a.B", 10) == 0);
    memset(name, 'n', sizeof(name));
    CHECK_INT(health_request_write((struct span){ name, sizeof(name) }, bytes), sizeof(bytes));
    CHECK(memcmp(bytes, "\0\0\0\1\2\n\377\1n", 9) == 0);
    CHECK_INT(health_request_write((struct span){ name, 127 }, bytes), 134);
    CHECK(memcmp(bytes, "\0\0\0\0\201\n\177n", 8) == 0);

    CHECK(health_says_serving((struct span){ "\0\0\0\0\2\10\1", 7 }));
    CHECK(!health_says_serving((struct span){ "\0\0\0\0\2\10\2", 7 }));
    CHECK(!health_says_serving((struct span){ "\0\0\0\0\0", 5 }));
    CHECK(!health_says_serving(SPAN_NULL));
}
