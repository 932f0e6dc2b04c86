/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Pages, files and what browsers ask of Sarsen itself.
 */

#include "gateway/app.h"

#include <sys/stat.h>

#include "base/hash.h"
#include "fixture.h"

/* The SHA-256 that fake/world.h gives every file. */
#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char directory[64];

static void put_blob(const char *bytes)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/01", directory);
    CHECK_INT(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/01/%s", directory, &SHA[2]);
    FILE *file = fopen(path, "w");
    fputs(bytes, file);
    fclose(file);
}

static void start(struct gate *gate)
{
    gate_init(gate);
    strcpy(directory, "/tmp/sarsen-test-XXXXXX");
    CHECK(mkdtemp(directory) != NULL);
    gate->settings.blobs = directory;
    world_instance(&gate->world, "orders", "2.9.0");
    world_instance(&gate->world, "orders", "3.14.2");
    world_publish(&gate->world, "shop", "4.1.0", "orders 2");
    world_publish(&gate->world, "shop", "4.2.0", "orders 3");
    world_pin(&gate->world, "acme", "shop", "4.2.0");
    gate_start(gate);
    gate_publish(gate);
}

static void finish(struct gate *gate)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/01/%s", directory, &SHA[2]);
    unlink(path);
    snprintf(path, sizeof(path), "%s/01", directory);
    rmdir(path);
    rmdir(directory);
    gate_fini(gate);
}

static const char *ask(struct gate *gate, unsigned listener, const char *target, const char *fields,
                       const char **ret_body)
{
    static char head[65536];
    struct peer *client = gate_client(gate, listener);
    peer_get(client, target, fields);
    strcpy(head, peer_head(client));
    *ret_body = strstr(head, " 304 ") || strstr(head, " 204 ") ? "" : peer_body(client, head);
    peer_close(client);
    return head;
}

TEST(a_page_is_that_of_the_customer_s_release)
{
    struct gate gate;
    start(&gate);
    const char *body;
    const char *head = ask(&gate, EDGE, "/apps/shop/", "", &body);
    check_in(head, "HTTP/1.1 200 ");
    check_in(head, "content-type: text/html");
    check_in(head, "cache-control: private, no-cache");
    check_in(head, "sarsen-bom: ");
    check_in(head, "set-cookie: sarsen=");
    check_in(body, "/apps/shop/4.1.0/main.js");
    check_in(body, "<!doctype html>");
    check_in(body, "<div id=\"root\"></div>");
    check_in(body,
             "rel=\"modulepreload\" href=\"/apps/shop/4.1.0/main.js\" "
             "integrity=\"sha384-abc\"");
    check_in(body, "<script type=\"module\">import \"@app/main\";</script>");
    ask(&gate, INTERNAL, "/apps/shop/", "Sarsen-Customer: acme\r\n", &body);
    check_in(body, "/apps/shop/4.2.0/main.js");
    check_not_in(body, "4.1.0");
    finish(&gate);
}

/* Each inline script of the page is allowed by the policy, by its hash, and nothing else is. */
TEST(the_policy_names_the_hashes_of_the_scripts)
{
    struct gate gate;
    start(&gate);
    const char *body;
    const char *head = ask(&gate, EDGE, "/apps/shop/", "", &body);
    unsigned n = 0;
    for (const char *at = body; (at = strstr(at, "<script")); n++) {
        at = strchr(at, '>') + 1;
        size_t size = (size_t)(strstr(at, "</script>") - at);
        uint8_t digest[SHA256_SIZE];
        char text[64], want[96];
        hash_sha256((struct span){ at, size }, digest);
        hash_base64(digest, sizeof(digest), text);
        snprintf(want, sizeof(want), "'sha256-%s'", text);
        check_in(head, want);
    }
    CHECK_INT(n, 2);
    check_in(head, "content-security-policy: script-src 'self' 'sha256-");
    finish(&gate);
}

TEST(a_page_the_browser_has_is_not_sent_again)
{
    struct gate gate;
    start(&gate);
    const char *body;
    const char *head = ask(&gate, EDGE, "/apps/shop/", "", &body);
    char fields[512];
    const char *etag = strcasestr(head, "etag: ") + 6;
    snprintf(fields, sizeof(fields), "If-None-Match: \"other\", W/%.*s\r\n",
             (int)strcspn(etag, "\r"), etag);
    head = ask(&gate, EDGE, "/apps/shop/", fields, &body);
    check_in(head, "HTTP/1.1 304 ");
    check_in(head, "sarsen-bom: ");
    finish(&gate);
}

TEST(the_cookie_follows_at_safe_points_only)
{
    struct gate gate;
    start(&gate);
    const char *body;
    char cookie[1024];
    strcpy(cookie, cookie_field(ask(&gate, EDGE, "/apps/shop/", "", &body)));
    check_not_in(ask(&gate, EDGE, "/apps/shop/", cookie, &body), "set-cookie");
    struct world *world = &gate.world;
    DO(world,
       app_set_default(world->version, SPAN("shop"), SPAN("4.2.0"), &world->txn, &world->problem));
    gate_publish(&gate);
    check_not_in(ask(&gate, EDGE, "/.sarsen/resolve", cookie, &body), "set-cookie");
    check_in(ask(&gate, EDGE, "/apps/shop/", cookie, &body), "set-cookie: sarsen=");
    check_in(body, "4.2.0");
    finish(&gate);
}

TEST(where_a_path_below_an_app_leads)
{
    static const struct {
        const char *target, *fields, *status, *part;
    } table[] = {
        { "/apps/shop?x=1", "", "308", "" },
        { "/apps/shop/orders/17", "", "200", "id=\"root\"" },
        { "/apps/shop/4.2.0", "", "200", "id=\"root\"" }, /* a release has only files below it */
        { "/apps/shop/4.2.0/", "", "404", "no such file" },
        { "/apps/shop/4.2.0/nope.js", "", "404", "no such file" },
        { "/apps/shop/9.9.9/main.js", "", "404", "no such release" },
        { "/apps/shop/9.9.9/", "", "404", "no such release" },
        { "/apps/shop/9.9.9/x", "Sec-Fetch-Dest: document\r\n", "200", "id=\"root\"" },
        { "/apps/shop/9.9/x", "", "200", "id=\"root\"" },
        { "/apps/shop/9.9.9/main.js", "Sec-Fetch-Dest: script\r\n", "404", "no such file" },
        { "/apps/shop/x", "Sec-Fetch-Dest: document\r\n", "200", "id=\"root\"" },
        { "/apps/nope/", "", "404", "no app" },
        { "/apps/", "", "404", "no route" },
    };
    struct gate gate;
    start(&gate);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const char *body;
        const char *head = ask(&gate, EDGE, table[i].target, table[i].fields, &body);
        check_in(head, table[i].status);
        check_in(body, table[i].part);
    }
    const char *body;
    check_in(ask(&gate, EDGE, "/apps/shop?x=1", "", &body), "location: /apps/shop/?x=1\r\n");
    finish(&gate);
}

TEST(files_are_the_same_for_everybody_for_ever)
{
    struct gate gate;
    start(&gate);
    put_blob("abc");
    const char *body;
    const char *head = ask(&gate, EDGE, "/apps/shop/4.1.0/main.js", "", &body);
    check_in(head, "HTTP/1.1 200 ");
    check_in(head, "content-type: text/javascript");
    check_in(head, "cache-control: public, max-age=31536000, immutable");
    check_in(head, "etag: \"" SHA "\"");
    check_not_in(head, "set-cookie");
    check_not_in(head, "sarsen-bom");
    CHECK_STR(body, "abc");
    head = ask(&gate, EDGE, "/apps/shop/4.1.0/main.js", "If-None-Match: \"" SHA "\"\r\n", &body);
    check_in(head, "HTTP/1.1 304 ");

    struct peer *client = gate_client(&gate, EDGE);
    peer_send(client, "HEAD /apps/shop/4.1.0/main.js HTTP/1.1\r\nHost: x\r\n\r\n");
    check_in(peer_head(client), "content-length: 3\r\n");
    peer_send(client, "POST /apps/shop/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    check_in(peer_head(client), "HTTP/1.1 405 ");
    peer_close(client);
    finish(&gate);
}

TEST(a_file_whose_bytes_are_wrong_is_not_served)
{
    struct gate gate;
    start(&gate);
    const char *body;
    check_in(ask(&gate, EDGE, "/apps/shop/4.1.0/main.js", "", &body), "HTTP/1.1 500 ");
    put_blob("abcd");
    check_in(ask(&gate, EDGE, "/apps/shop/4.1.0/main.js", "", &body), "HTTP/1.1 500 ");
    finish(&gate);
}

TEST(resolving_tells_bom_reason_and_release)
{
    struct gate gate;
    start(&gate);
    const char *body;
    const char *head =
        ask(&gate, INTERNAL, "/.sarsen/resolve?app=shop", "Sarsen-Customer: acme\r\n", &body);
    check_in(head, "cache-control: private, no-cache");
    check_in(body, "\"reason\":\"PIN\"");
    check_in(body, "\"contracts\":{\"orders\":3}");
    check_in(body, "\"release\":\"4.2.0\"");
    char target[256], bom[17] = { 0 };
    memcpy(bom, strstr(body, "\"bom\":\"") + 7, 16);
    snprintf(target, sizeof(target), "\"importmap\":\"/.sarsen/bom/%s/importmap.json?app=shop\"",
             bom);
    check_in(body, target);
    snprintf(target, sizeof(target), "etag: \"%s\"", bom);
    check_in(head, target);

    /* Its import map is everybody's; one that is known to nobody is no answer for ever. */
    snprintf(target, sizeof(target), "/.sarsen/bom/%s/importmap.json", bom);
    head = ask(&gate, INTERNAL, target, "Sarsen-Customer: acme\r\n", &body);
    check_in(head, "immutable");
    check_in(head, "application/importmap+json");
    check_in(body, "\"@app/main\":\"/apps/shop/4.2.0/main.js\"");
    head = ask(&gate, EDGE, "/.sarsen/bom/aaaaaaaaaaaaaaaa/importmap.json", "", &body);
    check_in(head, "HTTP/1.1 404 ");
    check_not_in(head, "immutable");
    check_in(ask(&gate, EDGE, "/.sarsen/resolve?app=nope", "", &body), "HTTP/1.1 404 ");
    finish(&gate);
}

TEST(trusted_baggage_decides_the_bom)
{
    struct gate gate;
    start(&gate);
    const char *body;
    ask(&gate, INTERNAL, "/.sarsen/resolve", "Sarsen-Customer: acme\r\n", &body);
    char fields[128], bom[17] = { 0 };
    memcpy(bom, strstr(body, "\"bom\":\"") + 7, 16);
    snprintf(fields, sizeof(fields), "baggage: sarsen.bom=%s,sarsen.customer=globex\r\n", bom);
    ask(&gate, INTERNAL, "/apps/shop/", fields, &body);
    check_in(body, "4.2.0");
    ask(&gate, EDGE, "/apps/shop/", fields, &body);
    check_in(body, "4.1.0");
    ask(&gate, INTERNAL, "/apps/shop/", "baggage: sarsen.bom=aaaaaaaaaaaaaaaa\r\n", &body);
    check_in(body, "4.1.0");
    finish(&gate);
}
