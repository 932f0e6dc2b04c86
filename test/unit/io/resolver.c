/* SPDX-License-Identifier: Apache-2.0 */

#include "io/resolver.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "check.h"
#include "fake/clock.h"
#include "fake/dns.h"

#define MANY 5000u /* names that nobody could be kept of */

struct asker {
    struct resolver_request request;
    struct resolver_result result;
    unsigned n_told;
    struct asker *victim;    /* cancelled in on_resolved */
    struct resolver **freed; /* freed in it */
    struct resolver *asked_again;
};

struct fixture {
    struct fake_clock clock; /* stands still, but for c-ares */
    struct loop *loop;
    struct fake_dns dns;
    struct resolver *resolver;
    char conf[64];
};

static void asker_on_resolved(struct resolver_request *request,
                              const struct resolver_result *result)
{
    struct asker *asker = container_of(request, struct asker, request);
    asker->result = *result;
    asker->n_told++;
    if (asker->victim)
        resolver_cancel(&asker->victim->request);
    if (asker->freed)
        *asker->freed = resolver_free(*asker->freed);
    if (asker->asked_again)
        resolver_ask(steal(asker->asked_again), request, SPAN("other.test:7"), NSEC_NEVER);
}

/* Names say how the server answers for them. */
static void on_question(struct fake_dns *dns, const char *name, unsigned type, bool is_tcp)
{
    struct fake_dns_reply *reply = &dns->reply;
    bool is_v4 = type == FAKE_DNS_A;
    if (strncmp(name, "silent", 6) == 0)
        reply->size = 0;
    else if (strncmp(name, "none", 4) == 0)
        reply->bytes[3] |= 3; /* NXDOMAIN */
    else if (strncmp(name, "refused", 7) == 0)
        reply->bytes[3] |= 5;
    else if (strncmp(name, "cut", 3) == 0 && !is_tcp)
        reply->bytes[2] |= 2; /* TC */
    else if (strncmp(name, "cut", 3) == 0 && is_v4)
        for (unsigned i = 1; i <= 200; i++) {
            uint8_t bytes[4] = { 10, 1, 0, (uint8_t)i };
            fake_dns_add(dns, 12, FAKE_DNS_A, 60, bytes, 4);
        }
    else if (strncmp(name, "alias", 5) == 0 && is_v4) {
        static const uint8_t target[] = { 4, 'r', 'e', 'a', 'l', 4, 't', 'e', 's', 't', 0 };
        size_t at = reply->size + 12;
        fake_dns_add(dns, 12, FAKE_DNS_CNAME, 20, target, sizeof(target));
        fake_dns_add_text(dns, (unsigned)at, 600, "10.0.0.9");
    } else if (strncmp(name, "both", 4) == 0)
        fake_dns_add_text(dns, 12, 60, is_v4 ? "127.0.0.2" : "::1");
    else if (strncmp(name, "six", 3) == 0 && !is_v4)
        fake_dns_add_text(dns, 12, 60, "fd00::6");
    else if (strncmp(name, "long", 4) == 0 && is_v4)
        fake_dns_add_text(dns, 12, 86400, "10.0.0.1");
    else if (strncmp(name, "twice", 5) == 0 && is_v4) {
        fake_dns_add_text(dns, 12, 60, "10.0.0.1");
        fake_dns_add_text(dns, 12, 60, "10.0.0.1");
    } else if ((strncmp(name, "n-", 2) == 0 || strncmp(name, "other", 5) == 0) && is_v4)
        fake_dns_add_text(dns, 12, 0, "10.0.0.7");
}

static void fixture_write_conf(const struct fixture *fixture, const char *text)
{
    char fresh[80];
    snprintf(fresh, sizeof(fresh), "%s.new", fixture->conf);
    FILE *file = fopen(fresh, "we");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
    CHECK_INT(rename(fresh, fixture->conf), 0);
}

static void fixture_init_on(struct fixture *fixture, struct clock *clock, nsec patience)
{
    fake_clock_init(&fixture->clock);
    fixture->loop = loop_new(clock ? clock : &fixture->clock.clock);
    fixture->dns.on_question = on_question;
    fake_dns_start(&fixture->dns, fixture->loop);
    snprintf(fixture->conf, sizeof(fixture->conf), "/tmp/sarsen-resolver-%d", (int)getpid());
    fixture_write_conf(fixture, "nameserver 127.0.0.1\n");
    const struct resolver_settings settings = { fixture->conf, fixture->dns.port, patience };
    fixture->resolver = resolver_new(fixture->loop, &settings);
}

static void fixture_init(struct fixture *fixture)
{
    fixture_init_on(fixture, NULL, 0);
}

static void fixture_fini(struct fixture *fixture)
{
    resolver_free(fixture->resolver);
    fake_dns_stop(&fixture->dns);
    loop_free(fixture->loop);
    unlink(fixture->conf);
}

static void ask(struct fixture *fixture, struct asker *asker, const char *text)
{
    asker->request.on_resolved = asker_on_resolved;
    resolver_ask(fixture->resolver, &asker->request, span_of(text), NSEC_NEVER);
}

static void turns(struct fixture *fixture, const unsigned *n_told, unsigned n)
{
    while (*n_told < n)
        CHECK_INT(loop_turn(fixture->loop, 50 * NSEC_PER_MSEC), 0);
}

static const struct resolver_result *resolve(struct fixture *fixture, struct asker *asker,
                                             const char *text)
{
    unsigned n = asker->n_told;
    ask(fixture, asker, text);
    turns(fixture, &asker->n_told, n + 1);
    return &asker->result;
}

static void check_address(const struct resolver_result *result, unsigned i, const char *want)
{
    char text[ADDRESS_TEXT_MAX];
    CHECK_INT(result->answer, RESOLVER_OK);
    CHECK(i < result->n_addresses);
    address_format(&result->addresses[i], text);
    CHECK_STR(text, want);
}

TEST(what_is_a_name_with_a_port)
{
    static const char *const good[] = {
        "etcd-1:2379",       "a:1",          "A.b.C:0",  "1-2.example.com.:65535",
        "_x._tcp.example:1", "127.0.0.1:80", "[::1]:80", "unix:/run/x.sock",
        "3com.example:80",
    };
    static const char *const bad[] = {
        "",
        ":80",
        "name",
        "name:",
        "name:65536",
        "name:8o",
        "na me:80",
        ".:80",
        "a..b:80",
        ".a:80",
        "-a.b:80",
        "a-.b:80",
        "1.2.3:80",
        "127.1:80",
        "1:80",
        "a.1.2:80",
        "::1:80",
        "[::1]",
        "[name]:80",
        "a/b:80",
        "a\tb:80",
        "1.2.3.4.5:80",
        "b\xc3\xbc.example:80",
        "user@host:80",
        "http://host:80",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!resolver_accepts(span_of(good[i])))
            check_fail(__FILE__, __LINE__, good[i], "was refused");
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (resolver_accepts(span_of(bad[i])))
            check_fail(__FILE__, __LINE__, bad[i], "was accepted");
    }
    CHECK(!resolver_accepts(SPAN("a\0b:80")));

    char label[80], name[320];
    snprintf(label, sizeof(label), "%0*d", 63, 0);
    memset(label, 'a', 63);
    snprintf(name, sizeof(name), "%s:1", label);
    CHECK(resolver_accepts(span_of(name)));
    snprintf(name, sizeof(name), "a%s:1", label);
    CHECK(!resolver_accepts(span_of(name)));
    snprintf(name, sizeof(name), "%s.%s.%s.%.61s:1", label, label, label, label);
    CHECK(resolver_accepts(span_of(name)));
    snprintf(name, sizeof(name), "%s.%s.%s.%.62s:1", label, label, label, label);
    CHECK(!resolver_accepts(span_of(name)));
}

TEST(an_address_and_what_is_no_name_are_told_in_the_same_turn)
{
    struct fixture fixture = { 0 };
    struct asker v4 = { 0 }, v6 = { 0 }, path = { 0 }, bad = { 0 };
    fixture_init(&fixture);
    ask(&fixture, &v4, "10.1.2.3:80");
    ask(&fixture, &v6, "[fd00::1]:443");
    ask(&fixture, &path, "unix:/run/x.sock");
    ask(&fixture, &bad, "no name:80");
    CHECK_INT(v4.n_told, 0);
    CHECK_INT(loop_turn(fixture.loop, 0), 0);
    check_address(&v4.result, 0, "10.1.2.3:80");
    check_address(&v6.result, 0, "[fd00::1]:443");
    check_address(&path.result, 0, "unix:/run/x.sock");
    CHECK(v4.result.expires_at == NSEC_NEVER);
    CHECK_INT(bad.n_told, 1);
    CHECK_INT(bad.result.answer, RESOLVER_BAD_NAME);
    CHECK_INT(fixture.dns.n_udp, 0);
    fixture_fini(&fixture);
}

TEST(a_name_has_its_addresses_of_both_kinds_with_the_port_that_was_asked)
{
    struct fixture fixture = { 0 };
    struct asker asker = { 0 };
    fixture_init(&fixture);
    const struct resolver_result *result = resolve(&fixture, &asker, "both.test:8080");
    CHECK_INT(result->n_addresses, 2);
    bool is_v6_first = result->addresses[0].any.sa_family == AF_INET6;
    check_address(result, is_v6_first, "127.0.0.2:8080");
    check_address(result, !is_v6_first, "[::1]:8080");
    check_address(resolve(&fixture, &asker, "six.test:1"), 0, "[fd00::6]:1");
    CHECK_INT(asker.result.n_addresses, 1);
    resolve(&fixture, &asker, "twice.test:1");
    CHECK_INT(asker.result.n_addresses, 1);
    fixture_fini(&fixture);
}

TEST(what_the_hosts_file_has_no_server_is_asked_for)
{
    struct fixture fixture = { 0 };
    struct asker asker = { 0 };
    fixture_init(&fixture);
    const struct resolver_result *result = resolve(&fixture, &asker, "LocalHost:5");
    CHECK_INT(result->answer, RESOLVER_OK);
    for (unsigned i = 0; i < result->n_addresses; i++)
        CHECK(address_is_loopback(&result->addresses[i]));
    CHECK_INT(fixture.dns.n_udp, 0);
    fixture_fini(&fixture);
}

TEST(an_answer_that_was_cut_off_is_asked_for_by_tcp)
{
    struct fixture fixture = { 0 };
    struct asker asker = { 0 };
    fixture_init(&fixture);
    const struct resolver_result *result = resolve(&fixture, &asker, "cut.test:80");
    CHECK_INT(result->answer, RESOLVER_OK);
    CHECK_INT(result->n_addresses, RESOLVER_ADDRESSES_MAX);
    CHECK(fixture.dns.n_tcp >= 1);
    fixture_fini(&fixture);
}

TEST(a_name_may_stand_for_another_and_the_shorter_time_counts)
{
    struct fixture fixture = { 0 };
    struct asker asker = { 0 };
    fixture_init(&fixture);
    check_address(resolve(&fixture, &asker, "alias.test:80"), 0, "10.0.0.9:80");
    CHECK_INT((asker.result.expires_at - fixture.clock.now) / NSEC_PER_SEC, 20);
    fixture_fini(&fixture);
}

TEST(answers_are_kept_for_their_time_within_bounds)
{
    static const struct {
        const char *name;
        nsec kept;
    } cases[] = {
        { "alias.test:1", 20 * NSEC_PER_SEC }, { "n-1.test:1", RESOLVER_TTL_MIN },
        { "long.test:1", RESOLVER_TTL_MAX },   { "none.test:1", RESOLVER_TTL_NONE },
        { "empty.test:1", RESOLVER_TTL_NONE }, { "refused.test:1", RESOLVER_TTL_FAILED },
    };
    struct fixture fixture = { 0 };
    struct asker asker = { 0 };
    fixture_init(&fixture);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        resolve(&fixture, &asker, cases[i].name);
        unsigned n_udp = fixture.dns.n_udp, answer = asker.result.answer;
        fake_clock_advance(&fixture.clock, cases[i].kept - 1);
        CHECK_INT(loop_turn(fixture.loop, 0), 0);
        resolve(&fixture, &asker, cases[i].name);
        CHECK_INT(asker.result.answer, answer);
        CHECK_INT(fixture.dns.n_udp, n_udp);
        fake_clock_advance(&fixture.clock, 1);
        CHECK_INT(loop_turn(fixture.loop, 0), 0);
        resolve(&fixture, &asker, cases[i].name);
        CHECK_INT(asker.result.answer, answer);
        CHECK(fixture.dns.n_udp > n_udp);
    }
    fixture_fini(&fixture);
}

TEST(that_there_is_none_is_another_answer_than_that_nobody_knows)
{
    struct fixture fixture = { 0 };
    struct asker asker = { 0 };
    fixture_init(&fixture);
    CHECK_INT(resolve(&fixture, &asker, "none.test:1")->answer, RESOLVER_NO_NAME);
    CHECK_INT(resolve(&fixture, &asker, "empty.test:1")->answer, RESOLVER_NO_NAME);
    CHECK_INT(resolve(&fixture, &asker, "refused.test:1")->answer, RESOLVER_FAILED);
    CHECK_INT(asker.result.n_addresses, 0);
    fixture_fini(&fixture);
}

TEST(those_who_ask_for_one_name_share_a_query)
{
    struct fixture fixture = { 0 };
    struct asker askers[10] = { 0 };
    fixture_init(&fixture);
    for (unsigned i = 0; i < 10; i++)
        ask(&fixture, &askers[i], i % 2 ? "other.test:1" : "OTHER.test:2");
    for (unsigned i = 0; i < 10; i++) {
        turns(&fixture, &askers[i].n_told, 1);
        check_address(&askers[i].result, 0, i % 2 ? "10.0.0.7:1" : "10.0.0.7:2");
    }
    CHECK_INT(fixture.dns.n_udp, 2); /* A and AAAA */
    fixture_fini(&fixture);
}

TEST(silence_ends_by_the_deadline_and_by_itself)
{
    struct fixture fixture = { 0 };
    struct asker hasty = { 0 }, patient = { 0 };
    fixture_init_on(&fixture, clock_system(), 20 * NSEC_PER_MSEC);
    hasty.request.on_resolved = asker_on_resolved;
    resolver_ask(fixture.resolver, &hasty.request, SPAN("silent.test:1"),
                 loop_now(fixture.loop) + 1);
    ask(&fixture, &patient, "silent.test:1");
    turns(&fixture, &hasty.n_told, 1);
    CHECK_INT(hasty.result.answer, RESOLVER_TIMEOUT);
    turns(&fixture, &patient.n_told, 1);
    CHECK_INT(patient.result.answer, RESOLVER_TIMEOUT);
    CHECK(fixture.dns.n_udp > 2); /* it was asked again */
    CHECK_INT(hasty.n_told, 1);
    fixture_fini(&fixture);
}

TEST(nobody_is_told_after_he_has_cancelled_or_the_resolver_is_gone)
{
    struct fixture fixture = { 0 };
    struct asker one = { 0 }, two = { 0 }, three = { 0 }, literal = { 0 };
    fixture_init(&fixture);

    ask(&fixture, &one, "other.test:1");
    ask(&fixture, &literal, "127.0.0.1:1");
    resolver_cancel(&one.request);
    resolver_cancel(&one.request);
    resolver_cancel(&literal.request);
    CHECK_INT(loop_turn(fixture.loop, 0), 0);
    CHECK_INT(one.n_told + literal.n_told, 0);

    /* The one that is told first cancels the second, whose turn it would be. */
    one.victim = &two;
    ask(&fixture, &one, "other.test:1");
    ask(&fixture, &two, "other.test:1");
    turns(&fixture, &one.n_told, 1);
    CHECK_INT(loop_turn(fixture.loop, 0), 0);
    CHECK_INT(two.n_told, 0);

    one.victim = NULL;
    one.freed = &fixture.resolver;
    ask(&fixture, &one, "other.test:1");
    ask(&fixture, &two, "other.test:1");
    ask(&fixture, &three, "silent.test:1");
    turns(&fixture, &one.n_told, 2);
    CHECK_INT(loop_turn(fixture.loop, 0), 0);
    CHECK_INT(two.n_told + three.n_told, 0);
    fixture_fini(&fixture);
}

TEST(a_resolver_may_be_freed_in_the_middle_of_a_query)
{
    struct fixture fixture = { 0 };
    struct asker cut = { 0 }, silent = { 0 };
    fixture_init(&fixture);
    ask(&fixture, &cut, "cut.test:1");
    ask(&fixture, &silent, "silent.test:1");
    while (!fixture.dns.n_tcp)
        CHECK_INT(loop_turn(fixture.loop, 50 * NSEC_PER_MSEC), 0);
    fixture.resolver = resolver_free(fixture.resolver);
    CHECK_INT(loop_turn(fixture.loop, 0), 0);
    CHECK_INT(cut.n_told + silent.n_told, 0);
    fixture_fini(&fixture);
}

TEST(a_request_may_be_used_again_when_it_is_told)
{
    struct fixture fixture = { 0 };
    struct asker asker = { 0 };
    fixture_init(&fixture);
    asker.asked_again = fixture.resolver;
    ask(&fixture, &asker, "both.test:1");
    turns(&fixture, &asker.n_told, 2);
    check_address(&asker.result, 0, "10.0.0.7:7");
    fixture_fini(&fixture);
}

TEST(names_wait_for_their_turn_and_too_many_are_an_answer)
{
    struct fixture fixture = { 0 };
    struct asker *askers = mem_new_array(struct asker, RESOLVER_NAMES_MAX + 1);
    struct asker again = { 0 };
    unsigned n_udp = 0;
    char name[32];
    fixture_init(&fixture);
    for (unsigned i = 0; i <= RESOLVER_NAMES_MAX; i++) {
        snprintf(name, sizeof(name), "n-%u.test:1", i);
        ask(&fixture, &askers[i], name);
    }
    turns(&fixture, &askers[RESOLVER_NAMES_MAX].n_told, 1);
    CHECK_INT(askers[RESOLVER_NAMES_MAX].result.answer, RESOLVER_BUSY);
    for (unsigned i = 0; i < RESOLVER_NAMES_MAX; i++) {
        turns(&fixture, &askers[i].n_told, 1);
        check_address(&askers[i].result, 0, "10.0.0.7:1");
        CHECK(fixture.dns.n_udp <= 2 * (i + 2 * RESOLVER_QUERIES_MAX));
    }

    /* Nobody waits any more: the name that was asked for longest ago makes room. */
    check_address(resolve(&fixture, &again, "n-5000.test:1"), 0, "10.0.0.7:1");
    n_udp = fixture.dns.n_udp;
    resolve(&fixture, &again, "n-1.test:1");
    CHECK_INT(fixture.dns.n_udp, n_udp);
    resolve(&fixture, &again, "n-0.test:1");
    CHECK(fixture.dns.n_udp > n_udp);
    fixture_fini(&fixture);
    free(askers);
}

TEST(a_changed_resolv_conf_counts_at_once_also_for_those_who_wait)
{
    struct fixture fixture = { 0 };
    struct asker waiting = { 0 }, asker = { 0 };
    fixture_init(&fixture);
    fixture_write_conf(&fixture, "nameserver 127.0.0.77\nsearch elsewhere.test\n");
    ask(&fixture, &waiting, "silent.test:1");
    CHECK_INT(loop_turn(fixture.loop, 0), 0);
    fixture_write_conf(&fixture, "nameserver 127.0.0.1\nsearch test\n");
    check_address(resolve(&fixture, &asker, "other:1"), 0, "10.0.0.7:1");
    while (fixture.dns.n_udp < 4)
        CHECK_INT(loop_turn(fixture.loop, 50 * NSEC_PER_MSEC), 0);
    fixture_fini(&fixture);
}

TEST(without_a_resolv_conf_this_machine_is_asked)
{
    struct fixture fixture = { 0 };
    struct asker asker = { 0 };
    fixture_init(&fixture);
    CHECK_INT(unlink(fixture.conf), 0);
    check_address(resolve(&fixture, &asker, "other.test:1"), 0, "10.0.0.7:1");
    fixture_fini(&fixture);
}

/* --- servers that lie --- */

static unsigned hostile_step;

/* Everything but an answer, in turns; the right one comes last. */
static void on_hostile_question(struct fake_dns *dns, const char *name, unsigned type, bool is_tcp)
{
    struct fake_dns_reply *reply = &dns->reply;
    static const uint8_t self[] = { 0xc0, 12 }, long_label[] = { 63, 'x' };
    (void)name, (void)is_tcp;
    fake_dns_add_text(dns, 12, 60, type == FAKE_DNS_A ? "10.6.6.6" : "fd00::666");
    switch (hostile_step) {
    case 0: reply->bytes[0] ^= 0x55; break; /* another query's */
    case 1: reply->bytes[13] ^= 1; break;   /* another name's */
    case 2: reply->size -= 3; break;        /* cut off */
    case 3: reply->size = 12; break;        /* a head and no more */
    case 4: reply->size = 5; break;         /* not even that */
    case 5: reply->bytes[7] = 200; break;   /* records that are not there */
    case 6: reply->bytes[2] &= 0x7f; break; /* a question, too */
    case 7: fake_dns_add(dns, 12, FAKE_DNS_CNAME, 60, self, sizeof(self)); break;
    case 8: fake_dns_add(dns, 12, FAKE_DNS_CNAME, 60, long_label, sizeof(long_label)); break;
    case 9: fake_dns_add(dns, (unsigned)reply->size, FAKE_DNS_A, 60, "abcd", 4); break;
    case 10: fake_dns_add(dns, 12, type, 60, "abc", 3); break; /* an address of three bytes */
    case 11:
        fake_dns_add(dns, 12, type, INT32_MIN, "abcdefghijklmnop", type == FAKE_DNS_A ? 4 : 16);
        break;
    case 12: memset(reply->bytes + 12, 0xff, reply->size - 12); break;
    case 13: reply->bytes[reply->size++] = 'x'; break; /* more than it says */
    default: break;
    }
}

TEST(whatever_a_server_says_there_is_one_answer)
{
    for (hostile_step = 0; hostile_step < 14; hostile_step++) {
        struct fixture fixture = { 0 };
        struct asker asker = { 0 };
        fixture_init_on(&fixture, clock_system(), 20 * NSEC_PER_MSEC);
        fixture.dns.on_question = on_hostile_question;
        const struct resolver_result *result = resolve(&fixture, &asker, "victim.test:1");
        if (hostile_step < 2)
            CHECK(result->answer == RESOLVER_TIMEOUT);
        if (result->answer == RESOLVER_OK)
            CHECK(result->expires_at >= loop_now(fixture.loop));
        CHECK_INT(asker.n_told, 1);
        fixture_fini(&fixture);
    }
}

/* The largest answer there can be, at every turn. */
static void on_flood(struct fake_dns *dns, const char *name, unsigned type, bool is_tcp)
{
    (void)name;
    if (!is_tcp)
        dns->reply.bytes[2] |= 2;
    for (unsigned i = 0; is_tcp && type == FAKE_DNS_A && i < 4000; i++) {
        uint8_t bytes[4] = { 10, 2, (uint8_t)(i >> 8), (uint8_t)i };
        fake_dns_add(dns, 12, FAKE_DNS_A, 60, bytes, 4);
    }
}

TEST(of_addresses_without_end_the_first_are_taken)
{
    struct fixture fixture = { 0 };
    struct asker asker = { 0 };
    fixture_init(&fixture);
    fixture.dns.on_question = on_flood;
    CHECK_INT(resolve(&fixture, &asker, "flood.test:1")->n_addresses, RESOLVER_ADDRESSES_MAX);
    fixture_fini(&fixture);
}

TEST(without_descriptors_it_is_an_answer)
{
    struct fixture fixture = { 0 };
    struct asker asker = { 0 };
    fixture_init_on(&fixture, clock_system(), 20 * NSEC_PER_MSEC);
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit none = { 0, limit.rlim_max };
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
    CHECK(resolve(&fixture, &asker, "other.test:1")->answer != RESOLVER_OK);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    fixture_fini(&fixture);
}
