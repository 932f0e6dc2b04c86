/* SPDX-License-Identifier: Apache-2.0 */

/* The other side is the library's, or records that are sealed by hand where that says nothing
 * wrong. */

#include "io/tls_traffic.h"

#include <openssl/err.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "check.h"
#include "fake/certificate.h"

struct talk {
    struct certificate certificate;
    struct tls_tickets *tickets;
    struct tls_server *server;
    struct tls_scratch *scratch;
    struct tls_stream *ours;
    SSL_CTX *context;
    SSL *theirs;
    int fds[2];
    enum tls_input last;
    size_t size; /* of what came to us */
    char got[TLS_RECORD_ROOM + 262144];
};

static char bytes[100000];

static void receive(struct talk *talk)
{
    static char hot[TLS_RECORD_ROOM + 65536];
    for (;;) {
        size_t n_open;
        ssize_t n = recv(talk->fds[0], hot + TLS_RECORD_ROOM, 65536, 0);
        if (n <= 0)
            return;
        talk->last = tls_stream_open(talk->ours, (struct span){ hot + TLS_RECORD_ROOM, (size_t)n },
                                     hot, sizeof(hot), &n_open);
        memcpy(talk->got + talk->size, hot, n_open);
        talk->size += n_open;
    }
}

static struct talk *start(const char *suite)
{
    struct talk *talk = mem_new(struct talk);
    CHECK(certificate_make(&talk->certificate, "DNS:a.example"));
    const struct tls_pair pair = { talk->certificate.file, talk->certificate.key };
    const struct tls_server_settings settings = { .pairs = &pair, .n_pairs = 1 };
    talk->tickets = tls_tickets_new(clock_system());
    talk->scratch = tls_scratch_new();
    CHECK_INT(tls_server_new("test", &settings, talk->tickets, &talk->server, NULL), 0);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, talk->fds), 0);
    talk->ours = tls_stream_accept(talk->server, talk->fds[0], talk->scratch);
    talk->context = SSL_CTX_new(TLS_client_method());
    CHECK_INT(SSL_CTX_set_ciphersuites(talk->context, suite), 1);
    talk->theirs = SSL_new(talk->context);
    SSL_set_fd(talk->theirs, talk->fds[1]);
    SSL_set_connect_state(talk->theirs);
    for (int i = 0; i < 4 && !SSL_is_init_finished(talk->theirs); i++) {
        ERR_clear_error();
        SSL_do_handshake(talk->theirs);
        receive(talk);
    }
    CHECK(tls_stream_is_established(talk->ours));
    CHECK(!talk->ours->ssl); /* it is ours now */
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 31 + i / 256);
    return talk;
}

/* The same sides with another connection of theirs, which has not begun yet. */
static void begin_again(struct talk *talk, int max_version)
{
    tls_stream_free(talk->ours);
    SSL_free(talk->theirs);
    talk->theirs = SSL_new(talk->context);
    SSL_set_fd(talk->theirs, talk->fds[1]);
    SSL_set_max_proto_version(talk->theirs, max_version);
    SSL_set_connect_state(talk->theirs);
    talk->ours = tls_stream_accept(talk->server, talk->fds[0], talk->scratch);
}

static struct talk *start_any(void)
{
    return start("TLS_AES_128_GCM_SHA256");
}

static void end(struct talk *talk)
{
    tls_stream_free(talk->ours);
    SSL_free(talk->theirs);
    SSL_CTX_free(talk->context);
    tls_server_free(talk->server);
    tls_tickets_unref(talk->tickets);
    tls_scratch_free(talk->scratch);
    certificate_remove(&talk->certificate);
    close(talk->fds[0]);
    close(talk->fds[1]);
    free(talk);
}

static bool we_get(struct talk *talk, struct span what)
{
    talk->size = 0;
    receive(talk);
    return span_equals((struct span){ talk->got, talk->size }, what);
}

/* Until nothing comes any more. */
static bool they_get(struct talk *talk, struct span what)
{
    static char got[sizeof(bytes)];
    size_t size = 0, n = 0;
    ERR_clear_error();
    while (size < sizeof(got) && SSL_read_ex(talk->theirs, got + size, sizeof(got) - size, &n) == 1)
        size += n;
    return span_equals((struct span){ got, size }, what);
}

static bool we_say(struct talk *talk, struct span what)
{
    return tls_stream_send(talk->ours, &what, 1);
}

static bool they_say(struct talk *talk, struct span what)
{
    size_t n = 0;
    return SSL_write_ex(talk->theirs, what.data, what.size, &n) == 1 && n == what.size;
}

TEST(every_suite_talks_both_ways)
{
    static const char *const suites[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                          "TLS_CHACHA20_POLY1305_SHA256" };
    for (size_t i = 0; i < 3; i++) {
        struct talk *talk = start(suites[i]);
        CHECK_STR(tls_stream_peer(talk->ours)->cipher, suites[i]);
        const struct span parts[] = {
            { bytes, 300 }, SPAN_NULL, { bytes + 300, 70000 }, { bytes + 70300, 1 }, SPAN_NULL
        };
        CHECK(they_say(talk, (struct span){ bytes, 50000 }));
        CHECK(we_get(talk, (struct span){ bytes, 50000 }));
        CHECK(tls_stream_send(talk->ours, parts, 5));
        CHECK(they_get(talk, (struct span){ bytes, 70301 }));
        CHECK(tls_stream_send(talk->ours, parts + 1, 1)); /* nothing */
        CHECK(they_get(talk, SPAN_NULL));
        end(talk);
    }
}

TEST(their_keys_are_followed_and_a_request_for_ours_is_answered)
{
    struct talk *talk = start_any();
    for (int i = 0; i < 5; i++) {
        CHECK_INT(SSL_key_update(talk->theirs,
                                 i % 2 ? SSL_KEY_UPDATE_NOT_REQUESTED : SSL_KEY_UPDATE_REQUESTED),
                  1);
        CHECK(they_say(talk, SPAN("under new keys")));
        CHECK(we_get(talk, SPAN("under new keys")));
        CHECK_INT(talk->ours->n_key_updates, i + 1);
        CHECK_INT(talk->ours->out.number, i % 2); /* new ones for each request */
        CHECK(we_say(talk, SPAN("and back")));
        CHECK(they_get(talk, SPAN("and back")));
    }
    end(talk);
}

TEST(our_keys_are_changed_when_they_have_sealed_enough)
{
    struct talk *talk = start_any();
    struct tls_secret before = talk->ours->out.secret;
    CHECK(talk->ours->out.n_left < TLS_RECORDS_PER_KEY); /* the ticket was counted */
    talk->ours->out.n_left = 2;
    CHECK(we_say(talk, (struct span){ bytes, 5 * TLS_CONTENT_MAX }));
    CHECK(memcmp(&before, &talk->ours->out.secret, sizeof(before)) != 0);
    CHECK_INT(talk->ours->out.number, 3);
    CHECK(they_get(talk, (struct span){ bytes, 5 * TLS_CONTENT_MAX }));
    end(talk);
}

TEST(either_side_ends)
{
    struct talk *talk = start_any();
    CHECK(they_say(talk, SPAN("last words")));
    SSL_shutdown(talk->theirs);
    CHECK(we_get(talk, SPAN("last words")));
    CHECK_INT(talk->last, TLS_INPUT_END);
    CHECK(tls_stream_is_over(talk->ours) && !tls_stream_failure(talk->ours));
    CHECK(we_say(talk, SPAN("mine"))); /* only their direction has ended */
    tls_stream_close(talk->ours);
    tls_stream_close(talk->ours);
    char got[16];
    size_t n;
    CHECK_INT(SSL_read_ex(talk->theirs, got, sizeof(got), &n), 1);
    CHECK(n == 4 && memcmp(got, "mine", 4) == 0);
    CHECK_INT(SSL_read_ex(talk->theirs, got, sizeof(got), &n), 0);
    CHECK_INT(SSL_get_error(talk->theirs, 0), SSL_ERROR_ZERO_RETURN);
    end(talk);
}

/* --- what the library would not say --- */

/* A record of theirs with this inside it, put into the socket. */
static void they_seal(struct talk *talk, enum tls_content type, struct span content)
{
    static struct tls_keys keys;
    static char record[TLS_CONTENT_MAX + TLS_RECORD_EXTRA];
    const struct tls_keys *in = &talk->ours->in;
    CHECK(tls_keys_init(&keys, in->suite, &in->secret, true));
    keys.number = in->number;
    size_t size = tls_record_seal(&keys, type, content, record);
    CHECK_INT(send(talk->fds[1], record, size, 0), size);
    tls_keys_fini(&keys);
    receive(talk);
}

/* What they are told, in the library's words. */
static const char *alert_to(struct talk *talk)
{
    char none[16];
    size_t n;
    ERR_clear_error();
    while (SSL_read_ex(talk->theirs, none, sizeof(none), &n) == 1)
        continue;
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason ? reason : "nothing";
}

struct wrong {
    enum tls_content type;
    struct span content;
    const char *told, *failure;
};

TEST(what_does_not_belong_behind_a_handshake_ends_it)
{
    static const char unexpected[] = "an unexpected message";
    const struct wrong all[] = {
        { TLS_HANDSHAKE, SPAN("\x01\0\0\x01\0"), "sslv3 alert unexpected message", unexpected },
        { TLS_HANDSHAKE, SPAN("\x0b\0\0\x01\0"), "sslv3 alert unexpected message", unexpected },
        { TLS_HANDSHAKE, SPAN("\x18\0\0\x01\0\x18"), "sslv3 alert unexpected message", unexpected },
        { TLS_HANDSHAKE, SPAN_NULL, "sslv3 alert unexpected message", unexpected },
        { TLS_HANDSHAKE, SPAN("\x18\0\0\x02\0"), "tlsv1 alert decode error",
          "a message that cannot be decoded" },
        { TLS_HANDSHAKE, SPAN("\x18\0\0\x01\x02"), "sslv3 alert illegal parameter",
          "an illegal parameter in a message" },
        { TLS_CHANGE_CIPHER_SPEC, SPAN("\x01"), "sslv3 alert unexpected message", unexpected },
        { (enum tls_content)24, SPAN("heart"), "sslv3 alert unexpected message", unexpected },
        { (enum tls_content)0, SPAN_NULL, "sslv3 alert unexpected message", unexpected },
        { TLS_ALERT, SPAN("\x01"), "tlsv1 alert decode error", "a message that cannot be decoded" },
        { TLS_ALERT, SPAN("\x02\x2a"), "nothing", "bad certificate" },
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct talk *talk = start_any();
        they_seal(talk, all[i].type, all[i].content);
        CHECK_INT(talk->last, TLS_INPUT_BROKEN);
        CHECK_STR(tls_stream_failure(talk->ours), all[i].failure);
        CHECK_STR(alert_to(talk), all[i].told);
        CHECK(!we_say(talk, SPAN("more")));
        end(talk);
    }
}

TEST(unprotected_and_broken_records_end_it)
{
    static const struct {
        struct span record;
        const char *told;
    } all[] = {
        { SPAN("\x14\x03\x03\x00\x01\x01"), "sslv3 alert unexpected message" },
        { SPAN("\x15\x03\x03\x00\x02\x01\x00"), "sslv3 alert unexpected message" },
        { SPAN("\x17\x03\x03\x41\x01"), "tlsv1 alert record overflow" },
        { SPAN("\x17\x03\x03\x00\x10"), "sslv3 alert bad record mac" },
        { SPAN("\x17\x03\x03\x00\x11zzzzzzzzzzzzzzzzz"), "sslv3 alert bad record mac" },
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct talk *talk = start_any();
        for (size_t k = 0; k < all[i].record.size; k++) {
            CHECK_INT(send(talk->fds[1], all[i].record.data + k, 1, 0), 1);
            receive(talk);
        }
        CHECK_INT(talk->last, TLS_INPUT_BROKEN);
        CHECK_STR(alert_to(talk), all[i].told);
        end(talk);
    }
}

TEST(a_message_in_pieces_is_one)
{
    struct talk *talk = start_any();
    they_seal(talk, TLS_HANDSHAKE, SPAN("\x18\0"));
    CHECK_INT(talk->last, TLS_INPUT_NOTHING);
    they_seal(talk, TLS_HANDSHAKE, SPAN("\0\x01\0"));
    CHECK_INT(talk->ours->n_key_updates, 1);
    they_seal(talk, TLS_APPLICATION_DATA, SPAN("under the next keys"));
    CHECK(span_is((struct span){ talk->got, talk->size }, "under the next keys"));
    they_seal(talk, TLS_HANDSHAKE, SPAN("\x18\0"));
    they_seal(talk, TLS_APPLICATION_DATA, SPAN("in between"));
    CHECK_INT(talk->last, TLS_INPUT_BROKEN);
    end(talk);
}

TEST(records_that_bring_nothing_are_borne_for_a_while)
{
    struct talk *talk = start_any();
    for (int i = 0; i < 32; i++)
        they_seal(talk, TLS_APPLICATION_DATA, SPAN_NULL);
    CHECK_INT(talk->last, TLS_INPUT_NOTHING);
    they_seal(talk, TLS_APPLICATION_DATA, SPAN("x"));
    for (int i = 0; i < 32; i++)
        they_seal(talk, TLS_APPLICATION_DATA, SPAN_NULL);
    CHECK_INT(talk->last, TLS_INPUT_NOTHING);
    they_seal(talk, TLS_APPLICATION_DATA, SPAN_NULL);
    CHECK_INT(talk->last, TLS_INPUT_BROKEN);
    end(talk);

    talk = start_any();
    for (int i = 0; i < 5; i++)
        they_seal(talk, TLS_ALERT, SPAN("\x01\x5a"));
    CHECK_INT(talk->last, TLS_INPUT_NOTHING);
    they_seal(talk, TLS_ALERT, SPAN("\x01\x5a"));
    CHECK_INT(talk->last, TLS_INPUT_BROKEN);
    end(talk);
}

TEST(keys_are_not_updated_for_ever)
{
    struct talk *talk = start_any();
    for (unsigned i = 0; i < TLS_KEY_UPDATES_MAX; i++)
        they_seal(talk, TLS_HANDSHAKE, SPAN("\x18\0\0\x01\0"));
    CHECK_INT(talk->last, TLS_INPUT_NOTHING);
    they_seal(talk, TLS_HANDSHAKE, SPAN("\x18\0\0\x01\0"));
    CHECK_INT(talk->last, TLS_INPUT_BROKEN);
    CHECK_STR(tls_stream_failure(talk->ours), "keys are updated over and over");
    end(talk);
}

/* What follows the handshake may come with its last flight, and be cut anywhere. */
TEST(what_comes_with_the_end_of_the_handshake_is_opened)
{
    for (size_t cut = 1; cut < 400; cut += 13) {
        static char flight[4096], hot[TLS_RECORD_ROOM + 4096];
        struct talk *talk = start_any();
        they_get(talk, SPAN_NULL);
        begin_again(talk, TLS1_3_VERSION);
        SSL_do_handshake(talk->theirs);
        receive(talk);
        CHECK_INT(SSL_do_handshake(talk->theirs), 1);
        CHECK(they_say(talk, (struct span){ bytes, 200 }));
        ssize_t size = recv(talk->fds[0], flight, sizeof(flight), 0);
        size_t n_first = 0, n_second = 0, first = cut < (size_t)size ? cut : (size_t)size;
        memcpy(hot + TLS_RECORD_ROOM, flight, first);
        tls_stream_open(talk->ours, (struct span){ hot + TLS_RECORD_ROOM, first }, hot, sizeof(hot),
                        &n_first);
        memcpy(talk->got, hot, n_first);
        memcpy(hot + TLS_RECORD_ROOM, flight + first, (size_t)size - first);
        tls_stream_open(talk->ours, (struct span){ hot + TLS_RECORD_ROOM, (size_t)size - first },
                        hot, sizeof(hot), &n_second);
        memcpy(talk->got + n_first, hot, n_second);
        CHECK_INT(n_first + n_second, 200);
        CHECK(memcmp(talk->got, bytes, 200) == 0);
        end(talk);
    }
}

TEST(tls_1_2_stays_with_the_library)
{
    struct talk *talk = start_any();
    they_get(talk, SPAN_NULL);
    begin_again(talk, TLS1_2_VERSION);
    for (int i = 0; i < 4; i++) {
        ERR_clear_error();
        SSL_do_handshake(talk->theirs);
        receive(talk);
    }
    CHECK(tls_stream_is_established(talk->ours) && talk->ours->ssl);
    CHECK_STR(tls_stream_peer(talk->ours)->version, "TLSv1.2");
    CHECK(they_say(talk, SPAN("as ever")) && we_get(talk, SPAN("as ever")));
    CHECK(we_say(talk, SPAN("indeed")) && they_get(talk, SPAN("indeed")));
    end(talk);
}
