/* SPDX-License-Identifier: Apache-2.0 */

#include "http/checker.h"

#include "fake/certificate.h"
#include "http/caller.h"
#include "io/tls.h"

struct asked {
    struct http_checker checker;
    unsigned n_checked, n_due;
    const char *why;
    bool has_warned;
};

static void note_due(struct http_checker *checker)
{
    container_of(checker, struct asked, checker)->n_due++;
}

static void note_checked(struct http_checker *checker, const char *why)
{
    struct asked *asked = container_of(checker, struct asked, checker);
    asked->n_checked++;
    asked->why = why;
    asked->has_warned = checker->has_warned;
}

static struct asked *asked_new(const struct bench *bench, struct http_checkers *checkers,
                               enum health_kind kind)
{
    struct asked *asked = mem_new(struct asked);
    asked->checker.check = health_check_standard;
    asked->checker.check.kind = kind;
    asked->checker.check.target = SPAN("/healthz");
    asked->checker.address = bench->address;
    asked->checker.host = SPAN("up");
    asked->checker.on_due = note_due;
    asked->checker.on_checked = note_checked;
    http_checker_start(checkers, &asked->checker);
    return asked;
}

static void advance(struct bench *bench, nsec by)
{
    fake_clock_advance(&bench->clock, by);
    settle(bench->loop);
}

static void expect_checked(struct bench *bench, struct asked *asked, const char *why)
{
    wait_until(bench, &asked->n_checked, 1);
    CHECK_INT(asked->n_checked, 1);
    asked->n_checked = 0;
    if (!why && asked->why)
        CHECK_STR(asked->why, "");
    if (why)
        CHECK_STR(asked->why ? asked->why : "(passed)", why);
}

static void end(struct bench *bench, struct http_checkers *checkers, struct asked *asked)
{
    http_checker_stop(&asked->checker);
    http_checkers_free(checkers);
    free(asked);
    bench_free(bench);
}

#define ASKED                                                                                      \
    "GET /healthz HTTP/1.1\r\nHost: up\r\nUser-Agent: Sarsen-Health\r\nAccept: */*\r\n\r\n"

TEST(a_get_is_judged_by_its_status)
{
    struct bench *bench = bench_new(NULL);
    struct http_checkers *checkers = http_checkers_new(bench->loop);
    struct asked *asked = asked_new(bench, checkers, HEALTH_HTTP);
    static const struct {
        const char *answer, *why;
    } cases[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", NULL },
        { "HTTP/1.1 204 No Content\r\n\r\n", NULL },
        { "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "it answers with status 503" },
        { "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n",
          "it answers with status 302" },
    };
    advance(bench, NSEC_PER_MSEC);
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        peer_expect(peer, ASKED);
        peer_send(peer, cases[i].answer);
        expect_checked(bench, asked, cases[i].why);
        CHECK_INT(asked->n_due, i + 1);
        advance(bench, 4 * NSEC_PER_SEC); /* a tenth less than an interval at most */
        CHECK_INT(asked->n_due, i + 1);
        advance(bench, 2 * NSEC_PER_SEC);
        CHECK_INT(asked->n_due, i + 2);
    }
    peer_close(peer);
    end(bench, checkers, asked);
}

TEST(a_kept_connection_that_was_closed_is_no_failure)
{
    struct bench *bench = bench_new(NULL);
    struct http_checkers *checkers = http_checkers_new(bench->loop);
    struct asked *asked = asked_new(bench, checkers, HEALTH_HTTP);
    advance(bench, NSEC_PER_MSEC);
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    peer_expect(peer, ASKED);
    peer_send(peer, RESPONSE);
    expect_checked(bench, asked, NULL);
    advance(bench, 6 * NSEC_PER_SEC);
    peer_expect(peer, ASKED);
    peer_close(peer);
    peer = peer_accept(bench->loop, bench->listen_fd);
    peer_expect(peer, ASKED);
    CHECK_INT(asked->n_checked, 0);
    peer_close(peer); /* a new one that is closed is */
    expect_checked(bench, asked, "its answer is broken");
    end(bench, checkers, asked);
}

TEST(a_body_without_end_is_given_up)
{
    struct bench *bench = bench_new(NULL);
    struct http_checkers *checkers = http_checkers_new(bench->loop);
    struct asked *asked = asked_new(bench, checkers, HEALTH_HTTP);
    advance(bench, NSEC_PER_MSEC);
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    peer_expect(peer, ASKED);
    peer_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    static char piece[16384];
    memset(piece, 'x', sizeof(piece));
    for (int i = 0; i < 6 && !asked->n_checked; i++) {
        peer_send_span(peer, (struct span){ piece, sizeof(piece) });
        settle(bench->loop);
    }
    expect_checked(bench, asked, NULL);
    peer_close(peer);
    end(bench, checkers, asked);
}

TEST(who_says_nothing_fails_in_time)
{
    struct bench *bench = bench_new(NULL);
    struct http_checkers *checkers = http_checkers_new(bench->loop);
    struct asked *asked = asked_new(bench, checkers, HEALTH_HTTP);
    advance(bench, NSEC_PER_MSEC);
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    peer_expect(peer, ASKED);
    advance(bench, NSEC_PER_SEC / 2);
    CHECK_INT(asked->n_checked, 0);
    advance(bench, NSEC_PER_SEC);
    expect_checked(bench, asked, "it does not answer in time");
    peer_close(peer);
    end(bench, checkers, asked);
}

TEST(a_connection_alone_can_do)
{
    struct bench *bench = bench_new(NULL);
    struct http_checkers *checkers = http_checkers_new(bench->loop);
    struct asked *asked = asked_new(bench, checkers, HEALTH_TCP);
    advance(bench, NSEC_PER_MSEC);
    expect_checked(bench, asked, NULL);
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    peer_close(peer);
    close(bench->listen_fd);
    bench->listen_fd = -1;
    advance(bench, 6 * NSEC_PER_SEC);
    expect_checked(bench, asked, "it cannot be reached");
    end(bench, checkers, asked);
}

TEST(the_first_check_of_who_passes_comes_within_its_interval)
{
    struct bench *bench = bench_new(NULL);
    struct http_checkers *checkers = http_checkers_new(bench->loop);
    struct asked *all[32];
    unsigned n_soon = 0, n_in_all = 0;
    for (size_t i = 0; i < 32; i++) {
        all[i] = asked_new(bench, checkers, HEALTH_TCP);
        http_checker_stop(&all[i]->checker);
        all[i]->checker.is_passing = true;
        http_checker_start(checkers, &all[i]->checker);
    }
    advance(bench, health_check_standard.interval / 2);
    for (size_t i = 0; i < 32; i++)
        n_soon += all[i]->n_due > 0;
    CHECK(n_soon > 0 && n_soon < 32); /* which is so but once in a thousand million times */
    advance(bench, health_check_standard.interval / 2);
    for (size_t i = 0; i < 32; i++) {
        n_in_all += all[i]->n_due > 0;
        http_checker_stop(&all[i]->checker);
        free(all[i]);
    }
    CHECK_INT(n_in_all, 32);
    http_checkers_free(checkers);
    bench_free(bench);
}

TEST(another_port_is_asked)
{
    struct bench *bench = bench_new(NULL);
    struct http_checkers *checkers = http_checkers_new(bench->loop);
    struct asked *asked = asked_new(bench, checkers, HEALTH_TCP);
    char text[ADDRESS_TEXT_MAX];
    address_format(&bench->address, text);
    uint64_t port = 0;
    CHECK(span_to_uint(span_of(strrchr(text, ':') + 1), 65535, &port));
    address_set_port(&asked->checker.address, 1);
    asked->checker.check.port = (unsigned)port;
    advance(bench, NSEC_PER_MSEC);
    expect_checked(bench, asked, NULL);
    end(bench, checkers, asked);
}

TEST(what_is_sent_is_what_the_check_says)
{
    struct bench *bench = bench_new(NULL);
    struct http_checkers *checkers = http_checkers_new(bench->loop);
    struct asked *asked = asked_new(bench, checkers, HEALTH_HTTP);
    struct health_check *check = &asked->checker.check;
    check->method = SPAN("PUT");
    check->headers = SPAN("user-agent: mine\r\nx-key: 1\r\n");
    check->body = SPAN("are you well?");
    check->warning_status = 429;
    advance(bench, NSEC_PER_MSEC);
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    peer_expect(peer,
                "PUT /healthz HTTP/1.1\r\nHost: up\r\nAccept: */*\r\nuser-agent: mine\r\n"
                "x-key: 1\r\ncontent-length: 13\r\n\r\nare you well?");
    peer_send(peer, "HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n");
    expect_checked(bench, asked, "it answers with status 429");
    CHECK(asked->has_warned);

    check->method = SPAN("HEAD");
    check->headers = check->body = SPAN_NULL;
    advance(bench, 6 * NSEC_PER_SEC);
    peer_expect(peer,
                "HEAD /healthz HTTP/1.1\r\nHost: up\r\nUser-Agent: Sarsen-Health\r\n"
                "Accept: */*\r\n\r\n");
    peer_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n");
    expect_checked(bench, asked, NULL);
    CHECK(!asked->has_warned);
    peer_close(peer);
    end(bench, checkers, asked);
}

/* Plays the server of one handshake until the checker is done. */
static void serve_tls(struct bench *bench, struct tls_server *server, const struct asked *asked)
{
    static char hot[262144];
    struct tls_scratch *scratch = tls_scratch_new();
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    struct tls_stream *stream = tls_stream_accept(server, peer->fd, scratch);
    time_t until = time(NULL) + PEER_PATIENCE;
    while (!asked->n_checked && time(NULL) < until) {
        size_t n_open;
        ssize_t n = recv(peer->fd, hot + TLS_RECORD_ROOM, 65536, 0);
        if (n > 0)
            tls_stream_open(stream, (struct span){ hot + TLS_RECORD_ROOM, (size_t)n }, hot,
                            sizeof(hot), &n_open);
        CHECK_INT(loop_turn(bench->loop, NSEC_PER_MSEC), 0);
    }
    tls_stream_free(stream);
    tls_scratch_free(scratch);
    peer_close(peer);
}

TEST(a_connection_over_tls_is_verified_by_the_name_that_is_given)
{
    static const struct {
        const char *name, *why;
        bool is_unverified;
    } cases[] = {
        { "a.example", NULL, false },         { "b.example", "hostname mismatch", false },
        { "", "IP address mismatch", false }, /* an address, that is */
        { "b.example", NULL, true },          { "a.example", NULL, false },
    };
    struct bench *bench = bench_new(NULL);
    struct http_checkers *checkers = http_checkers_new(bench->loop);
    struct certificate certificate;
    struct tls_server *server;
    struct tls_client *client;
    CHECK(certificate_make(&certificate, "DNS:a.example"));
    const struct tls_pair pair = { certificate.file, certificate.key };
    const struct tls_server_settings serving = { .pairs = &pair, .n_pairs = 1 };
    const struct tls_client_settings asking = { .ca = certificate.file };
    struct tls_tickets *tickets = tls_tickets_new(loop_clock(bench->loop));
    CHECK_INT(tls_server_new("here", &serving, tickets, &server, NULL), 0);
    CHECK_INT(tls_client_new(&asking, &client, NULL), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct asked *asked = asked_new(bench, checkers, HEALTH_TCP);
        asked->checker.tls = client;
        asked->checker.check.is_tls = true;
        asked->checker.check.server_name = span_of(cases[i].name);
        asked->checker.check.is_unverified = cases[i].is_unverified;
        advance(bench, NSEC_PER_MSEC);
        serve_tls(bench, server, asked);
        expect_checked(bench, asked, cases[i].why);
        http_checker_stop(&asked->checker);
        free(asked);
    }
    http_checkers_free(checkers);
    bench_free(bench);
    tls_client_unref(client);
    tls_server_free(server);
    tls_tickets_unref(tickets);
    certificate_remove(&certificate);
}

/* An owner that has a client only until the turn is over in which a check begins, as a reload may
 * have it. */
struct lender {
    struct asked asked;
    struct task end;
    struct loop *loop;
    struct tls_client *lent;
};

static void take_back(struct task *task)
{
    tls_client_unref(container_of(task, struct lender, end)->lent);
}

static void lend(struct http_checker *checker)
{
    struct lender *lender = container_of(checker, struct lender, asked.checker);
    checker->tls = lender->lent;
    task_defer(&lender->end, lender->loop);
}

TEST(a_client_of_tls_stays_as_long_as_its_check)
{
    struct bench *bench = bench_new(NULL);
    struct http_checkers *checkers = http_checkers_new(bench->loop);
    struct certificate certificate;
    struct tls_server *server;
    CHECK(certificate_make(&certificate, "IP:127.0.0.1"));
    const struct tls_pair pair = { certificate.file, certificate.key };
    const struct tls_server_settings serving = { .pairs = &pair, .n_pairs = 1 };
    const struct tls_client_settings asking = { .ca = certificate.file };
    struct tls_tickets *tickets = tls_tickets_new(loop_clock(bench->loop));
    CHECK_INT(tls_server_new("here", &serving, tickets, &server, NULL), 0);

    struct lender *lender = mem_new(struct lender);
    struct asked *asked = &lender->asked;
    CHECK_INT(tls_client_new(&asking, &lender->lent, NULL), 0);
    lender->loop = bench->loop;
    lender->end.on_run = take_back;
    list_init(&lender->end.link);
    asked->checker.check = health_check_standard;
    asked->checker.check.kind = HEALTH_TCP;
    asked->checker.check.is_tls = true;
    asked->checker.address = bench->address;
    asked->checker.on_due = lend;
    asked->checker.on_checked = note_checked;
    http_checker_start(checkers, &asked->checker);
    advance(bench, NSEC_PER_MSEC);
    serve_tls(bench, server, asked);
    expect_checked(bench, asked, NULL);

    http_checker_stop(&asked->checker);
    free(lender);
    http_checkers_free(checkers);
    bench_free(bench);
    tls_server_free(server);
    tls_tickets_unref(tickets);
    certificate_remove(&certificate);
}
