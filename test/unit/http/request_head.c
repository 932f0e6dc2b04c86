/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Field lines that came before are not parsed again; nobody can see that but by the number they
 * have, so each case is asked over one connection, and judged as if it were the first.
 */

#include "http/bench.h"

#define FIELDS "Host: a\r\nX-Word: stone\r\nCookie: a=1\r\n\r\n"

struct seen {
    struct bench *bench;
    struct peer *peer;
};

static struct seen seen_new(void)
{
    struct seen seen = { .bench = bench_new(NULL) };
    seen.peer = bench_connect(seen.bench);
    return seen;
}

static void seen_free(struct seen *seen)
{
    peer_close(seen->peer);
    bench_free(seen->bench);
}

/* Asks for something that is not answered yet, and answers it. Returns the number of its fields. */
static uint64_t ask(struct seen *seen, const char *head, const char *word)
{
    unsigned n = seen->bench->n_requests;
    peer_send(seen->peer, head);
    wait_for_requests(seen->bench, n + 1);
    struct http_exchange *exchange = seen->bench->exchange;
    uint64_t number = exchange->fields_number;
    CHECK(number > 0);
    struct span value = SPAN_NULL;
    for (unsigned i = 0; i < exchange->head->n_fields; i++) {
        if (span_is(exchange->head->fields[i].name, "X-Word"))
            value = exchange->head->fields[i].value;
    }
    CHECK(span_is(value, word));
    CHECK(span_is(exchange->head->authority, "a"));
    http_reply(exchange, 200, NULL, 0, SPAN("ok"));
    peer_expect(seen->peer, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" DATE "\r\nok");
    return number;
}

TEST(the_same_lines_have_the_same_number_whatever_the_request_line)
{
    struct seen seen = seen_new();
    uint64_t first = ask(&seen, "GET /later HTTP/1.1\r\n" FIELDS, "stone");
    CHECK_INT(ask(&seen, "GET /later HTTP/1.1\r\n" FIELDS, "stone"), first);
    CHECK_INT(ask(&seen, "DELETE /later?a=b HTTP/1.1\r\n" FIELDS, "stone"), first);
    CHECK(span_is(http_head_value(seen.bench->exchange->head, HTTP_COOKIE), "a=1"));
    seen_free(&seen);
}

TEST(what_is_noted_stays_with_the_lines)
{
    struct seen seen = seen_new();
    ask(&seen, "GET /later HTTP/1.1\r\n" FIELDS, "stone");
    memcpy(seen.bench->exchange->memo, "noted", 6);
    ask(&seen, "GET /later2 HTTP/1.1\r\n" FIELDS, "stone");
    CHECK_STR((const char *)seen.bench->exchange->memo, "noted");
    seen_free(&seen);
}

TEST(lines_that_differ_in_any_byte_are_read_anew)
{
    struct seen seen = seen_new();
    uint64_t before = ask(&seen, "GET /later HTTP/1.1\r\n" FIELDS, "stone");
    static const struct {
        const char *head, *word;
    } table[] = {
        { "GET /later HTTP/1.1\r\nHost: a\r\nX-Word: store\r\nCookie: a=1\r\n\r\n", "store" },
        { "GET /later HTTP/1.1\r\nHost: a\r\nX-Word: stone\r\nCookie: a=2\r\n\r\n", "stone" },
        { "GET /later HTTP/1.1\r\nHost: a\r\nX-Word: stone\r\nCookie: a=1\r\nX: y\r\n\r\n",
          "stone" },
        { "GET /later HTTP/1.1\r\nHost: a\r\nX-Word: stone\r\n\r\n", "stone" },
        { "GET /later HTTP/1.1\r\nHost: a\r\nX-Word:  stone\r\n\r\n", "stone" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint64_t number = ask(&seen, table[i].head, table[i].word);
        CHECK(number != before);
        before = number;
    }
    seen_free(&seen);
}

TEST(another_version_gives_the_lines_another_meaning)
{
    struct seen seen = seen_new();
    ask(&seen, "GET /later HTTP/1.1\r\n" FIELDS, "stone");
    peer_send(seen.peer, "GET /hello HTTP/1.0\r\n" FIELDS);
    peer_expect(seen.peer,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n" DATE "\r\nhello");
    peer_expect_end(seen.peer);
    seen_free(&seen);
}

TEST(another_form_of_target_is_held_to_host_again)
{
    struct seen seen = seen_new();
    ask(&seen, "GET /later HTTP/1.1\r\n" FIELDS, "stone");
    ask(&seen, "GET http://a/later HTTP/1.1\r\n" FIELDS, "stone");
    ask(&seen, "GET /later HTTP/1.1\r\n" FIELDS, "stone");
    peer_send(seen.peer, "GET http://b/later HTTP/1.1\r\n" FIELDS);
    peer_expect(seen.peer, "HTTP/1.1 400 Bad Request\r\n");
    seen_free(&seen);
}

TEST(a_bad_line_before_known_fields_is_refused_as_ever)
{
    static const char *const lines[] = {
        "GET /a#b HTTP/1.1\r\n", "GET  /a HTTP/1.1\r\n", "GET /a HTTP/1.1 \r\n",
        "G(T /a HTTP/1.1\r\n",   "GET /a HTTP/1.1\n",    "GET a HTTP/1.1\r\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct seen seen = seen_new();
        ask(&seen, "GET /later HTTP/1.1\r\n" FIELDS, "stone");
        peer_send(seen.peer, lines[i]);
        peer_send(seen.peer, FIELDS);
        peer_expect(seen.peer, "HTTP/1.1 400 Bad Request\r\n");
        seen_free(&seen);
    }
}

TEST(an_empty_line_in_front_does_not_make_a_field_of_the_request_line)
{
    struct seen seen = seen_new();
    ask(&seen, "\r\nGET /later HTTP/1.1\r\n" FIELDS, "stone");
    peer_send(seen.peer, "POST /evil HTTP/1.1\r\nGET /later HTTP/1.1\r\n" FIELDS);
    peer_expect(seen.peer, "HTTP/1.1 400 Bad Request\r\n");
    seen_free(&seen);
}

TEST(pipelined_requests_with_the_same_lines_are_told_apart)
{
    struct seen seen = seen_new();
    ask(&seen, "GET /later HTTP/1.1\r\n" FIELDS, "stone");
    peer_send(seen.peer, "GET /hello HTTP/1.1\r\n" FIELDS "GET /empty HTTP/1.1\r\n" FIELDS);
    peer_expect(seen.peer, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n" DATE
                           "\r\nhello"
                           "HTTP/1.1 204 No Content\r\n");
    seen_free(&seen);
}

TEST(a_body_behind_known_lines_is_a_body)
{
    struct seen seen = seen_new();
    for (int i = 0; i < 3; i++) {
        peer_send(seen.peer, "POST /collect HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        peer_expect(seen.peer, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n" DATE "\r\nabc");
    }
    seen_free(&seen);
}

TEST(lines_known_under_other_limits_are_held_to_the_new_ones)
{
    struct seen seen = seen_new();
    ask(&seen, "GET /later HTTP/1.1\r\n" FIELDS, "stone");
    struct http_settings settings = http_settings_default;
    settings.limits.fields = 2;
    http_server_set(seen.bench->server, &settings);
    peer_send(seen.peer, "GET /later HTTP/1.1\r\n" FIELDS);
    peer_expect(seen.peer, "HTTP/1.1 431 Request Header Fields Too Large\r\n");
    seen_free(&seen);
}

TEST(more_clients_than_are_kept_warm_are_never_mixed_up)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peers[100];
    for (unsigned i = 0; i < 100; i++)
        peers[i] = bench_connect(bench);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 100; i++) {
            char head[128], want[16];
            snprintf(want, sizeof(want), "%u", i);
            snprintf(head, sizeof(head), "GET /later HTTP/1.1\r\nHost: a\r\nX-Word: %u\r\n\r\n", i);
            struct seen seen = { bench, peers[i] };
            ask(&seen, head, want);
        }
    }
    for (unsigned i = 0; i < 100; i++)
        peer_close(peers[i]);
    bench_free(bench);
}
