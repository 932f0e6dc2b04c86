/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An etcd whose members have names, told by a name server of the test's own.
 */

#include "fake/certificate.h"
#include "fake/dns.h"
#include "io/resolver.h"
#include "io/tls.h"
#include "store/etcd.h"

static struct etcd_cluster cluster;
static struct store_etcd_settings settings;
static struct fake_dns dns;
static struct resolver *resolver;
static char conf[64];
static bool is_silent;
static const char *endpoint;

/* One name, two addresses; nobody listens at the first. */
static void on_question(struct fake_dns *server, const char *name, unsigned type, bool is_tcp)
{
    (void)is_tcp;
    if (is_silent)
        server->reply.size = 0;
    else if (strcmp(name, "etcd.test") != 0 && strcmp(name, "other.test") != 0)
        server->reply.bytes[3] |= 3;
    else if (type == FAKE_DNS_A) {
        fake_dns_add_text(server, 12, 1, "127.0.0.9");
        fake_dns_add_text(server, 12, 1, "127.0.0.1");
    }
}

static void name_it(struct fixture *f, const char *name)
{
    static char text[64];
    snprintf(text, sizeof(text), "%s:%d", name, cluster.members[0].port);
    endpoint = text;
    settings.endpoints = &endpoint;
    settings.n_endpoints = 1;
    f->settings.etcd = &settings;
}

static void up(struct fixture *f)
{
    etcd_start(&cluster, 1);
    fixture_init_etcd(f, &cluster, &settings, "/test/");
    dns.on_question = on_question;
    fake_dns_start(&dns, f->loop);
    snprintf(conf, sizeof(conf), "/tmp/sarsen-etcd-names-%d", (int)getpid());
    FILE *file = fopen(conf, "we");
    CHECK(file && fputs("nameserver 127.0.0.1\n", file) >= 0 && fclose(file) == 0);
    const struct resolver_settings names = { .conf = conf,
                                             .port = dns.port,
                                             .patience = 100 * NSEC_PER_MSEC };
    settings.resolver = resolver = resolver_new(f->loop, &names);
    name_it(f, "etcd.test");
}

static void down(struct fixture *f)
{
    fixture_close(f);
    resolver_free(resolver);
    fake_dns_stop(&dns);
    unlink(conf);
    fixture_fini(f);
    etcd_stop(&cluster);
}

TEST(a_name_leads_to_its_members_one_after_the_other)
{
    struct fixture f;
    up(&f);
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "a", "1"), 0);
    CHECK_STR(fixture_get(&f, "a"), "1");
    CHECK(dns.n_udp > 0);
    down(&f);
}

TEST(a_name_that_leads_nowhere_is_told)
{
    struct fixture f;
    up(&f);
    settings.open_timeout = NSEC_PER_SEC;
    name_it(&f, "absent.test");
    CHECK(fixture_try_open(&f) < 0);
    CHECK_STR(f.problem.path, "store.etcd.endpoints");
    CHECK(strstr(f.problem.text, "absent.test"));
    CHECK(strstr(f.problem.text, "has no address"));
    name_it(&f, "no name");
    CHECK(fixture_try_open(&f) < 0);
    CHECK(strstr(f.problem.text, "no name"));
    down(&f);
}

TEST(while_names_are_not_told_it_goes_on_where_they_led_before)
{
    struct fixture f;
    up(&f);
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "a", "1"), 0);
    is_silent = true;
    etcd_signal(&cluster, 0, SIGKILL);
    for (unsigned n = dns.n_udp; dns.n_udp == n;) /* until what is kept has ended */
        fixture_turn(&f);
    etcd_start_member(&cluster, 0);
    while (store_is_read_only(f.store))
        fixture_turn(&f);
    CHECK_INT(fixture_put(&f, "a", "2"), 0);
    down(&f);
}

TEST(the_name_is_what_the_certificate_must_be_for)
{
    struct certificate ours;
    CHECK(certificate_make(&ours, "DNS:etcd.test"));
    cluster.certificate = ours.file;
    cluster.key = ours.key;
    struct fixture f;
    up(&f);
    const struct tls_client_settings believing = { .ca = ours.file,
                                                   .certificate = ours.file,
                                                   .key = ours.key };
    struct tls_client *made;
    CHECK_INT(tls_client_new(&believing, &made, NULL), 0);
    settings.tls = made;
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "a", "1"), 0);
    fixture_close(&f);

    settings.open_timeout = 2 * NSEC_PER_SEC;
    name_it(&f, "other.test"); /* the same addresses */
    CHECK(fixture_try_open(&f) < 0);
    tls_client_unref(made);
    settings.tls = NULL;
    down(&f);
    certificate_remove(&ours);
}
