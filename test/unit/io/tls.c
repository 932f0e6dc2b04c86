/* SPDX-License-Identifier: Apache-2.0 */

#include "io/tls.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "check.h"
#include "fake/certificate.h"

#define HOT_SIZE (TLS_RECORD_ROOM + 65536u)

/* Two ends of a socket, a stream on each. */
struct pair {
    struct certificate certificate;
    struct tls_pair files;
    struct tls_tickets *tickets;
    struct tls_server *server;
    struct tls_client *client;
    struct tls_scratch *scratch;
    struct tls_stream *ours, *theirs; /* of the server, of the client */
    int fds[2];
};

static void make_sides(struct pair *pair, bool is_http1_only)
{
    memset(pair, 0, sizeof(*pair));
    CHECK(certificate_make(&pair->certificate, "DNS:a.example,DNS:*.b.example"));
    pair->files = (struct tls_pair){ pair->certificate.file, pair->certificate.key };
    const struct tls_server_settings serving = {
        .pairs = &pair->files,
        .n_pairs = 1,
        .is_http1_only = is_http1_only,
    };
    const struct tls_client_settings asking = { .ca = pair->certificate.file };
    pair->tickets = tls_tickets_new(clock_system());
    pair->scratch = tls_scratch_new();
    CHECK_INT(tls_server_new("test", &serving, pair->tickets, &pair->server, NULL), 0);
    CHECK_INT(tls_client_new(&asking, &pair->client, NULL), 0);
}

static void connect_sides(struct pair *pair, const char *host, enum tls_alpn alpn)
{
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair->fds), 0);
    pair->ours = tls_stream_accept(pair->server, pair->fds[0], pair->scratch);
    pair->theirs = tls_stream_connect(pair->client, host, alpn, pair->fds[1], pair->scratch);
    tls_stream_start(pair->theirs);
}

static void disconnect(struct pair *pair)
{
    pair->ours = tls_stream_free(pair->ours);
    pair->theirs = tls_stream_free(pair->theirs);
    close(pair->fds[0]);
    close(pair->fds[1]);
}

static void free_sides(struct pair *pair)
{
    disconnect(pair);
    tls_server_free(pair->server);
    tls_client_unref(pair->client);
    tls_tickets_unref(pair->tickets);
    tls_scratch_free(pair->scratch);
    certificate_remove(&pair->certificate);
}

/* Receives `step` bytes at a time, as an inlet does; returns how many were opened into `to`. */
static size_t take(struct tls_stream *stream, int fd, size_t step, char *to, enum tls_input *last)
{
    static char hot[HOT_SIZE];
    size_t size = 0, n_open;
    for (;;) {
        ssize_t n = recv(fd, hot + TLS_RECORD_ROOM, step, 0);
        if (n <= 0)
            return size;
        *last = tls_stream_open(stream, (struct span){ hot + TLS_RECORD_ROOM, (size_t)n }, hot,
                                sizeof(hot), &n_open);
        memcpy(to + size, hot, n_open);
        size += n_open;
    }
}

static void shake(struct pair *pair, size_t step)
{
    char none[1];
    enum tls_input last;
    for (int i = 0; i < 4; i++) {
        take(pair->ours, pair->fds[0], step, none, &last);
        take(pair->theirs, pair->fds[1], step, none, &last);
    }
}

TEST(a_handshake_tells_who_it_was_with)
{
    struct pair pair;
    make_sides(&pair, false);
    connect_sides(&pair, "X.B.example", TLS_ALPN_BOTH);
    CHECK(!tls_stream_peer(pair.ours));
    shake(&pair, 65536);
    CHECK(tls_stream_is_established(pair.ours) && tls_stream_is_established(pair.theirs));
    const struct tls_peer *peer = tls_stream_peer(pair.ours);
    CHECK(span_is(peer->server_name, "x.b.example") && span_is(peer->alpn, "h2"));
    CHECK(!peer->is_verified && peer->n_names == 0);
    peer = tls_stream_peer(pair.theirs);
    CHECK(peer->is_verified && peer->n_names == 2);
    CHECK(span_is(peer->names[0].text, "a.example") && peer->names[0].kind == TLS_NAME_DNS);
    CHECK_STR(peer->version, "TLSv1.3");
    free_sides(&pair);
}

/* A ticket brings the client's certificate along, and is given out anew each time. */
TEST(a_client_whose_certificate_expires_is_not_believed_by_its_ticket)
{
    struct pair pair;
    struct certificate client;
    make_sides(&pair, false);
    tls_server_free(pair.server);
    tls_client_unref(pair.client);
    CHECK(certificate_make_for(&client, "DNS:c.example", 2));
    const time_t end = time(NULL) + 2;
    const struct tls_server_settings serving = {
        .pairs = &pair.files,
        .n_pairs = 1,
        .client_auth = TLS_CLIENT_REQUIRED,
        .client_ca = client.file,
    };
    const struct tls_client_settings asking = { .ca = pair.certificate.file,
                                                .certificate = client.file,
                                                .key = client.key };
    CHECK_INT(tls_server_new("test", &serving, pair.tickets, &pair.server, NULL), 0);
    CHECK_INT(tls_client_new(&asking, &pair.client, NULL), 0);
    connect_sides(&pair, "a.example", TLS_ALPN_HTTP1);
    shake(&pair, 65536);
    CHECK(tls_stream_is_established(pair.ours) && tls_stream_peer(pair.ours)->is_verified);
    tls_stream_close(pair.theirs);
    disconnect(&pair);

    while (time(NULL) <= end)
        poll(NULL, 0, 50);
    connect_sides(&pair, "a.example", TLS_ALPN_HTTP1);
    shake(&pair, 65536);
    CHECK(!tls_stream_is_established(pair.ours));
    certificate_remove(&client);
    free_sides(&pair);
}

TEST(what_is_sent_arrives_however_it_is_cut)
{
    static char sent[40000], got[80000];
    static const size_t steps[] = { 1, 7, 1000, 17000, 65536 };
    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (char)(i * 31 + i / 256);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct pair pair;
        enum tls_input last = TLS_INPUT_NOTHING;
        make_sides(&pair, false);
        connect_sides(&pair, "a.example", TLS_ALPN_HTTP1);
        shake(&pair, steps[i]);
        const struct span parts[] = { { sent, 5 }, { sent + 5, 30000 }, { sent + 30005, 9995 } };
        CHECK(tls_stream_send(pair.theirs, parts, 3));
        CHECK_INT(take(pair.ours, pair.fds[0], steps[i], got, &last), sizeof(sent));
        CHECK(memcmp(sent, got, sizeof(sent)) == 0);
        tls_stream_close(pair.theirs);
        CHECK_INT(take(pair.ours, pair.fds[0], steps[i], got, &last), 0);
        CHECK_INT(last, TLS_INPUT_END);
        free_sides(&pair);
    }
}

TEST(what_the_socket_does_not_take_waits)
{
    static char much[1 << 20], got[1 << 20];
    struct pair pair;
    enum tls_input last;
    make_sides(&pair, false);
    connect_sides(&pair, "a.example", TLS_ALPN_HTTP1);
    shake(&pair, 65536);
    const struct span all = { much, sizeof(much) };
    CHECK(tls_stream_send(pair.ours, &all, 1));
    CHECK(tls_stream_unsent(pair.ours) > 0);
    size_t size = 0;
    while (size < sizeof(much)) {
        size += take(pair.theirs, pair.fds[1], 65536, got + size, &last);
        CHECK(tls_stream_flush(pair.ours));
    }
    CHECK_INT(tls_stream_unsent(pair.ours), 0);
    CHECK(memcmp(much, got, sizeof(much)) == 0);
    free_sides(&pair);
}

TEST(a_name_that_the_certificate_has_not_is_refused)
{
    struct pair pair;
    make_sides(&pair, false);
    connect_sides(&pair, "c.example", TLS_ALPN_HTTP1);
    shake(&pair, 65536);
    CHECK(!tls_stream_is_established(pair.theirs));
    CHECK_STR(tls_stream_failure(pair.theirs), "hostname mismatch");
    CHECK(tls_stream_is_over(pair.theirs) && tls_stream_is_over(pair.ours));
    free_sides(&pair);
}

TEST(a_protocol_that_is_not_spoken_ends_the_handshake)
{
    struct pair pair;
    make_sides(&pair, true);
    connect_sides(&pair, "a.example", TLS_ALPN_HTTP2);
    shake(&pair, 65536);
    CHECK(!tls_stream_is_established(pair.ours) && !tls_stream_is_established(pair.theirs));
    CHECK(strstr(tls_stream_failure(pair.theirs), "no application protocol"));
    free_sides(&pair);
}

TEST(the_end_of_the_socket_alone_is_no_end_for_a_client)
{
    struct pair pair;
    make_sides(&pair, false);
    connect_sides(&pair, "a.example", TLS_ALPN_HTTP1);
    shake(&pair, 65536);
    CHECK_INT(tls_stream_end(pair.theirs), TLS_INPUT_BROKEN);
    CHECK_INT(tls_stream_end(pair.ours), TLS_INPUT_END);
    free_sides(&pair);
}

TEST(files_that_did_not_change_are_left_alone)
{
    struct pair pair;
    struct problem problem = { 0 };
    make_sides(&pair, false);
    connect_sides(&pair, "a.example", TLS_ALPN_HTTP1);
    unix_msec now = clock_wall(clock_system());
    CHECK_INT(tls_server_refresh(pair.server, now, &problem), TLS_SAME);
    CHECK(tls_server_expires(pair.server) > now);
    CHECK_INT(unlink(pair.certificate.key), 0);
    CHECK_INT(tls_server_refresh(pair.server, now, &problem), TLS_REFUSED);
    CHECK(strstr(problem.text, "cannot be read as a private key"));
    CHECK_STR(tls_server_trouble(pair.server), problem.text);
    CHECK_INT(tls_server_refresh(pair.server, now, &problem), TLS_SAME);
    shake(&pair, 65536);
    CHECK(tls_stream_is_established(pair.ours)); /* by the old one */
    free_sides(&pair);
}
