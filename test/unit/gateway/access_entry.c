/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/access_entry.h"

#include "check.h"

static struct access_redaction no_names;
static char line[ACCESS_LINE_MAX + 1];

static const char *format(const struct access_entry *entry)
{
    static struct access_format memory;
    size_t size = access_entry_format(&memory, &no_names, entry, line);
    CHECK(size > 0 && size <= ACCESS_LINE_MAX);
    line[size] = '\0';
    return line;
}

static struct address address_of(const char *text)
{
    struct address address = { 0 };
    CHECK_INT(address_parse(span_of(text), &address), 0);
    return address;
}

#define START "{\"time\":\"2026-11-20T08:00:00.250Z\",\"listener\":\"edge\""
#define END ",\"bytes_in\":0,\"bytes_out\":0,\"duration_ms\":0.000}\n"

static struct access_entry entry_at(unix_msec time)
{
    return (struct access_entry){ .time = time, .upstream_time = NSEC_NEVER };
}

#define TIME 1795161600250

/* What a line says of one string: that of the path. */
static const char *path_shown(struct span path)
{
    static char shown[ACCESS_LINE_MAX];
    struct access_entry entry = entry_at(TIME);
    entry.path = path;
    const char *start = strstr(format(&entry), "\"path\":\"");
    CHECK(start);
    start += strlen("\"path\":\"");
    const char *end = strstr(start, "\",\"bytes_in\"");
    CHECK(end);
    snprintf(shown, sizeof(shown), "%.*s", (int)(end - start), start);
    return shown;
}

TEST(what_is_absent_is_left_out)
{
    struct access_entry entry = entry_at(TIME);
    CHECK_STR(format(&entry), START END);
}

TEST(everything_has_its_place)
{
    struct address peer = address_of("192.0.2.117:4711"), upstream = address_of("10.0.0.7:8080");
    struct access_entry entry = {
        .time = TIME,
        .duration = 12345678,
        .is_internal = true,
        .peer = &peer,
        .method = SPAN("POST"),
        .host = SPAN("shop.test:8000"),
        .path = SPAN("/api/orders/a%20b"),
        .query = SPAN("page=2&token=abc&x=1"),
        .has_head = true,
        .minor_version = 1,
        .status = 201,
        .bytes_in = 10,
        .bytes_out = 18446744073709551615u,
        .upstream = &upstream,
        .upstream_time = 1002003,
        .n_attempts = 2,
        .has_grpc_status = true,
        .grpc_status = 14,
        .service = SPAN("orders"),
        .contract = SPAN("orders@3"),
        .build = SPAN("3.15.0"),
        .bom = SPAN("b7k2qb7k2qb7k2qb"),
        .customer = SPAN("acme"),
        .caller = SPAN("billing"),
        .app = SPAN("shop"),
        .release = SPAN("4.2.0"),
        .trace_id = SPAN("0af7651916cd43dd8448eb211c80319c"),
        .request_id = SPAN("r-1"),
        .user_agent = SPAN("curl/7.88.1"),
        .referer = SPAN("https://me:pw@shop.test/cart?code=1#frag"),
        .fault = "broken",
        .reason = SPAN("a sentence\n"),
    };
    CHECK_STR(
        format(&entry),
        "{\"time\":\"2026-11-20T08:00:00.250Z\",\"listener\":\"internal\","
        "\"client\":\"192.0.2.117\",\"method\":\"POST\",\"host\":\"shop.test:8000\","
        "\"path\":\"/api/orders/a%20b\",\"query\":\"page=2&token=***&x=1\","
        "\"protocol\":\"HTTP/1.1\",\"status\":201,\"bytes_in\":10,"
        "\"bytes_out\":18446744073709551615,\"duration_ms\":12.345,\"grpc_status\":14,\"service\":\"orders\","
        "\"contract\":\"orders@3\",\"build\":\"3.15.0\",\"upstream\":\"10.0.0.7:8080\","
        "\"upstream_ms\":1.002,\"attempts\":2,\"bom\":\"b7k2qb7k2qb7k2qb\","
        "\"customer\":\"acme\",\"caller\":\"billing\",\"app\":\"shop\",\"release\":\"4.2.0\","
        "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\",\"request_id\":\"r-1\","
        "\"user_agent\":\"curl/7.88.1\",\"referer\":\"https://shop.test/cart?code=***\","
        "\"fault\":\"broken\",\"reason\":\"a sentence\"}\n");
}

TEST(addresses_of_every_kind)
{
    static const struct {
        const char *address, *client, *upstream;
    } table[] = {
        { "127.0.0.1:1", "127.0.0.1", "127.0.0.1:1" },
        { "255.255.255.255:65535", "255.255.255.255", "255.255.255.255:65535" },
        { "[2001:db8::1]:443", "2001:db8::1", "[2001:db8::1]:443" },
        { "unix:/run/a\"b.sock", "unix", "unix:/run/a\\\"b.sock" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct address address = address_of(table[i].address);
        struct access_entry entry = entry_at(TIME);
        entry.peer = entry.upstream = &address;
        char want[512];
        snprintf(want, sizeof(want),
                 START
                 ",\"client\":\"%s\",\"bytes_in\":0,\"bytes_out\":0,\"duration_ms\":0.000,"
                 "\"upstream\":\"%s\",\"attempts\":0}\n",
                 table[i].client, table[i].upstream);
        CHECK_STR(format(&entry), want);
    }
}

TEST(a_peer_that_is_ipv4_in_ipv6_is_shown_as_such)
{
    struct address address = address_of("[::ffff:192.0.2.7]:443");
    struct access_entry entry = entry_at(TIME);
    entry.peer = &address;
    CHECK(strstr(format(&entry), "\"client\":\"192.0.2.7\""));
}

TEST(time_goes_on_and_back)
{
    struct access_entry entry = entry_at(TIME);
    format(&entry);
    static const struct {
        unix_msec time;
        const char *text;
    } table[] = {
        { TIME + 1, "08:00:00.251Z" },      { TIME + 750, "08:00:01.000Z" },
        { TIME - 250, "08:00:00.000Z" },    { TIME - 251, "07:59:59.999Z" },
        { TIME + 86400000, "21T08:00:00" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        entry.time = table[i].time;
        CHECK(strstr(format(&entry), table[i].text));
    }
}

TEST(strings_are_escaped)
{
    static const struct {
        struct span text;
        const char *shown;
    } table[] = {
        { SPAN("/plain"), "/plain" },
        { SPAN("a\"b\\c"), "a\\\"b\\\\c" },
        { SPAN("\r\n\t\b\f"), "\\u000d\\u000a\\u0009\\u0008\\u000c" },
        { SPAN("a\0b"), "a\\u0000b" },
        { SPAN("\x01\x1f\x7f\x80\xff"), "\\u0001\\u001f\\u007f\\u0080\\u00ff" },
        { SPAN("\xc3\xbc"), "\\u00c3\\u00bc" },
        { SPAN("\x1b[31mred"), "\\u001b[31mred" },
        { SPAN("\xe2\x80\xa8"), "\\u00e2\\u0080\\u00a8" },
        /* a line or a field of somebody's own */
        { SPAN("x\"}\n{\"status\":200,\"path\":\"/forged"),
          "x\\\"}\\u000a{\\\"status\\\":200,\\\"path\\\":\\\"/forged" },
        { SPAN("x\\"), "x\\\\" },
        { SPAN("\\u0022"), "\\\\u0022" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        CHECK_STR(path_shown(table[i].text), table[i].shown);
}

/* Sixteen bytes are looked at together: every byte in every place among them. */
TEST(no_byte_gets_through_in_any_place)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        for (unsigned place = 0; place < 40; place++) {
            char text[40], want[64];
            memset(text, 'a', sizeof(text));
            text[place] = (char)byte;
            char shown[8];
            snprintf(shown, sizeof(shown), "\\u%04x", byte);
            if (byte == '"' || byte == '\\')
                snprintf(shown, sizeof(shown), "\\%c", (char)byte);
            else if (byte >= 0x20 && byte < 0x7f)
                snprintf(shown, sizeof(shown), "%c", (char)byte);
            snprintf(want, sizeof(want), "%.*s%s%.*s", (int)place, text, shown, (int)(39 - place),
                     text + place + 1);
            CHECK_STR(path_shown((struct span){ text, sizeof(text) }), want);
        }
    }
}

static const char *referer_shown(const char *referer)
{
    static char shown[ACCESS_LINE_MAX];
    struct access_entry entry = entry_at(TIME);
    entry.referer = span_of(referer);
    const char *start = strstr(format(&entry), "\"referer\":\"");
    if (!start)
        return "";
    start += strlen("\"referer\":\"");
    snprintf(shown, sizeof(shown), "%.*s", (int)(strchr(start, '"') - start), start);
    return shown;
}

TEST(a_referer_has_no_secrets)
{
    static const struct {
        const char *referer, *shown;
    } table[] = {
        { "", "" },
        { "https://a.test/b", "https://a.test/b" },
        { "https://a.test", "https://a.test" },
        { "https://u:p@a.test/b@c", "https://a.test/b@c" },
        { "https://u:p@x@a.test", "https://a.test" },
        { "//u@a.test/", "//a.test/" },
        { "u:p@a.test/b", "a.test/b" },
        { "https://a.test/?a=1&key=2#token=3", "https://a.test/?a=1&key=***" },
        { "https://a.test/#access_token=3", "https://a.test/" },
        { "https://u:p@a.test?key=2", "https://a.test?key=***" },
        { "#", "" },
        { "?", "?" },
        { "@", "" },
        { "android-app://com.example/", "android-app://com.example/" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        CHECK_STR(referer_shown(table[i].referer), table[i].shown);
}

/* Every string as long as a head can make it, of the bytes that take most room. */
TEST(a_line_is_bounded_and_says_what_was_cut)
{
    static char many[65536];
    static const char bytes[] = { 'a', '"', '\x01', '\xff', '&' };
    for (size_t i = 0; i < sizeof(bytes); i++) {
        memset(many, bytes[i], sizeof(many));
        struct span all = { many, sizeof(many) };
        struct address peer = address_of("[2001:db8:1111:2222:3333:4444:5555:6666]:443");
        struct address upstream = address_of(
            "unix:/run/"
            "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\""
            "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\""
            "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"");
        struct access_entry entry = {
            .time = TIME,
            .duration = UINT64_MAX,
            .peer = &peer,
            .method = all,
            .host = all,
            .path = all,
            .query = all,
            .has_head = true,
            .status = 65535,
            .bytes_in = UINT64_MAX,
            .bytes_out = UINT64_MAX,
            .upstream = &upstream,
            .upstream_time = UINT64_MAX - 1,
            .n_attempts = UINT32_MAX,
            .service = all,
            .contract = all,
            .build = all,
            .bom = all,
            .customer = all,
            .caller = all,
            .app = all,
            .release = all,
            .trace_id = all,
            .request_id = all,
            .user_agent = all,
            .referer = all,
            .fault = "a fault",
        };
        const char *text = format(&entry);
        CHECK(strstr(text,
                     ",\"cut\":[\"method\",\"host\",\"path\",\"query\",\"service\","
                     "\"contract\",\"build\",\"bom\",\"customer\",\"caller\",\"app\","
                     "\"release\",\"trace_id\",\"request_id\",\"user_agent\",\"referer\"]}\n"));
        CHECK(strlen(text) < ACCESS_LINE_MAX);
        CHECK(strchr(text, '\n') == text + strlen(text) - 1);
    }
}

TEST(what_just_fits_is_not_cut)
{
    static char path[2050];
    memset(path, 'p', sizeof(path));
    struct access_entry entry = entry_at(TIME);
    entry.path = (struct span){ path, 2048 };
    CHECK(!strstr(format(&entry), "cut"));
    entry.path.size = 2049;
    CHECK(strstr(format(&entry), "\"cut\":[\"path\"]"));
    path[2047] = '"';
    entry.path.size = 2048;
    CHECK(strstr(format(&entry), "\"cut\":[\"path\"]"));
}

/* A secret is hidden also where the string is cut behind it, and nothing follows what was cut. */
TEST(a_cut_query_shows_no_secret)
{
    for (int n = 900; n < 1100; n++) {
        char query[2048];
        int size =
            snprintf(query, sizeof(query), "a=%0*d&token=hunter2&b=%0200d&key=hunter2", n, 0, 0);
        struct access_entry entry = entry_at(TIME);
        entry.query = (struct span){ query, (size_t)size };
        CHECK(!strstr(format(&entry), "hunter2"));
        CHECK(strstr(line, "\"cut\":[\"query\"]"));
    }
}
