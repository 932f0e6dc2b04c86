/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/settings_store.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static struct settings *parse(const char *yaml)
{
    struct settings *settings = NULL;
    CHECK_INT(settings_parse(span_of(yaml), NULL, &settings, NULL), 0);
    return settings;
}

TEST(endpoints_are_a_list_or_one_text)
{
    static const char *const same[] = {
        "store: { etcd: { endpoints: [ 10.0.0.1:2379, '[::1]:2379' ] } }",
        "store: { etcd: { endpoints: '10.0.0.1:2379, [::1]:2379' } }",
        "store: { etcd: { endpoints: [ 'http://10.0.0.1:2379', 'http://[::1]:2379' ] } }",
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        struct settings *settings = parse(same[i]);
        struct arena arena = { 0 };
        struct store_etcd_settings etcd = { 0 };
        CHECK_INT(settings_read_etcd(&settings->etcd, &arena, &etcd, NULL), 0);
        CHECK_INT(etcd.n_endpoints, 2);
        CHECK_STR(etcd.endpoints[0], "10.0.0.1:2379");
        CHECK_STR(etcd.endpoints[1], "[::1]:2379");
        CHECK_STR(etcd.prefix, "/sarsen/");
        CHECK(!etcd.tls && !etcd.user);
        arena_fini(&arena);
        settings_free(settings);
    }
    struct settings *none = parse("");
    CHECK(!none->etcd.endpoints);
    settings_free(none);
}

TEST(what_cannot_be_meant_names_its_key)
{
    static const struct {
        const char *etcd, *key;
    } table[] = {
        { "endpoints: '10.0.0.1'", "store.etcd.endpoints" },
        { "endpoints: 'ftp://10.0.0.1:2379'", "store.etcd.endpoints" },
        { "endpoints: 'unix:/run/etcd'", "store.etcd.endpoints" },
        { "endpoints: 'a:2379,,b:2379'", "store.etcd.endpoints" },
        { "endpoints: 'a/b:2379'", "store.etcd.endpoints" },
        { "endpoints: '10.0.1:2379'", "store.etcd.endpoints" },
        { "endpoints: 'a:0'", "store.etcd.endpoints" },
        { "endpoints: 'https://a:1,http://b:1'", "store.etcd.endpoints" },
        { "endpoints: 'https://a:1,b:1'", "store.etcd.endpoints" },
        { "endpoints: 'http://a:1', tls: { ca: /ca.pem }", "store.etcd.endpoints" },
        { "endpoints: 'a:1', prefix: '/sarsen'", "store.etcd.prefix" },
        { "endpoints: 'a:1', prefix: '/sar sen/'", "store.etcd.prefix" },
        { "endpoints: 'a:1', user: root", "store.etcd.password_file" },
        { "endpoints: 'a:1', password_file: /p", "store.etcd.user" },
        { "endpoints: 'a:1', tls: { key: /k }", "store.etcd.tls.certificate" },
        { "endpoints: 'a:1', tls: { certificate: /c }", "store.etcd.tls.key" },
        { "tls: { ca: /ca.pem }", "store.etcd.endpoints" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char yaml[200];
        struct settings *settings = NULL;
        struct problem problem = { 0 };
        snprintf(yaml, sizeof(yaml), "store: { etcd: { %s } }", table[i].etcd);
        CHECK_INT(settings_parse(span_of(yaml), NULL, &settings, &problem), SETTINGS_INVALID);
        CHECK_STR(problem.path, table[i].key);
    }
}

static int read_with(mode_t mode, const char *content, struct problem *problem,
                     char ret_password[64])
{
    char path[] = "/tmp/sarsen-password.XXXXXX", yaml[200];
    int fd = mkstemp(path);
    CHECK(fd >= 0 && !fchmod(fd, mode));
    CHECK_INT(write(fd, content, strlen(content)), strlen(content));
    close(fd);
    snprintf(yaml, sizeof(yaml),
             "store: { etcd: { endpoints: 'a:1', user: root, password_file: '%s' } }", path);
    struct settings *settings = parse(yaml);
    struct arena arena = { 0 };
    struct store_etcd_settings etcd = { 0 };
    int r = settings_read_etcd(&settings->etcd, &arena, &etcd, problem);
    if (!r)
        snprintf(ret_password, 64, "%s", etcd.password);
    arena_fini(&arena);
    settings_free(settings);
    unlink(path);
    return r;
}

TEST(a_password_is_the_first_line_of_a_file_of_ones_own)
{
    char password[64];
    struct problem problem = { 0 };
    CHECK_INT(read_with(0600, "s3cret word\r\nmore\n", &problem, password), 0);
    CHECK_STR(password, "s3cret word");
    CHECK_INT(read_with(0640, "s3cret\n", &problem, password), SETTINGS_INVALID);
    CHECK_STR(problem.path, "store.etcd.password_file");
    CHECK(strstr(problem.text, "chmod 600"));
    CHECK_INT(read_with(0600, "\n", &problem, password), SETTINGS_INVALID);
    CHECK(strstr(problem.text, "no password"));
}

TEST(another_etcd_is_told_from_the_same)
{
    struct settings *a = parse("store: { etcd: { endpoints: 'a:1' } }");
    struct settings *b = parse("store: { etcd: { endpoints: 'a:1' } }");
    struct settings *c = parse("store: { etcd: { endpoints: 'a:1', prefix: /other/ } }");
    struct settings *d = parse("");
    CHECK(settings_etcd_equals(&a->etcd, &b->etcd));
    CHECK(!settings_etcd_equals(&a->etcd, &c->etcd));
    CHECK(!settings_etcd_equals(&a->etcd, &d->etcd));
    settings_free(a);
    settings_free(b);
    settings_free(c);
    settings_free(d);
}
