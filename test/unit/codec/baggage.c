/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/baggage.h"
#include "head.h"

/* A head with these baggage fields; NULL ends the list. */
static struct verdict head_with(const char *first, const char *second)
{
    static char text[32768];
    int size = snprintf(
        text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\nbaggage: %s\r\n%s%s%s\r\n", first,
        second ? "X: y\r\nBaggage: " : "", second ? second : "", second ? "\r\n" : "");
    struct verdict verdict = { 0 };
    const struct http1_limits limits = { .head = sizeof(text), .line = sizeof(text) };
    CHECK_INT(parse_once((struct span){ text, (size_t)size }, NULL, &limits, &verdict), HTTP1_OK);
    return verdict;
}

static const char *or_dash(struct span span)
{
    static char texts[3][600];
    static unsigned next;
    char *text = texts[next++ % 3];
    snprintf(text, sizeof(texts[0]), "%.*s", SPAN_ARG(span));
    return span.data ? text : "-";
}

static void check_read(const char *first, const char *second, const char *want)
{
    struct verdict verdict = head_with(first, second);
    struct baggage baggage;
    memset(&baggage, 0xa5, sizeof(baggage));
    baggage_read(&verdict.head, &baggage);
    char text[2048];
    snprintf(text, sizeof(text), "%s %s %s", or_dash(baggage.bom), or_dash(baggage.customer),
             or_dash(baggage.lane));
    CHECK_STR(text, want);
    free(verdict.bytes);
}

TEST(reading)
{
    static const struct {
        const char *first, *second, *want;
    } rows[] = {
        { "", NULL, "- - -" },
        { "a=b", NULL, "- - -" },
        { "sarsen.bom=b7k2q,sarsen.customer=acme", NULL, "b7k2q acme -" },
        { "a=b , sarsen.lane = t118 ;p;q=1,\tsarsen.bom\t=\tx", NULL, "x - t118" },
        { "a=b", "sarsen.customer=acme", "- acme -" },
        { "sarsen.bom=x", "sarsen.customer=acme", "x acme -" },
        { "sarsen.customer=a%20b%2Cc%25%c3%a9", NULL, "- a b,c%\xc3\xa9 -" },
        { "sarsen.customer=a=b", NULL, "- a=b -" },
        { "sarsen.customer=acme,sarsen.customer=acme", NULL, "- acme -" },
        { "sarsen.customer=acme", "sarsen.customer=globex", "- - -" },
        { "sarsen.customer=acme,sarsen.customer=globex,sarsen.customer=acme", NULL, "- - -" },
        { "sarsen.customer=acme,sarsen.customer=%zz", NULL, "- - -" },
        { "sarsen.customer=", NULL, "- - -" },
        { "sarsen.customer", NULL, "- - -" },
        { "sarsen.customer;x=y", NULL, "- - -" },
        { "Sarsen.Customer=acme", NULL, "- - -" },
        { "sarsen.customers=acme", NULL, "- - -" },
        { "xsarsen.customer=acme", NULL, "- - -" },
        { "sarsen.customer=a%", NULL, "- - -" },
        { "sarsen.customer=a%4", NULL, "- - -" },
        { "sarsen.customer=a%0d%0ax: y", NULL, "- - -" },
        { "sarsen.customer=a%00", NULL, "- - -" },
        { "sarsen.customer=%7f", NULL, "- - -" },
        { "sarsen.customer=%ff", NULL, "- - -" },
        { "sarsen.customer=%c3", NULL, "- - -" },
        { "sarsen.customer=a b", NULL, "- - -" },
        { "sarsen.customer=\"a\"", NULL, "- - -" },
        { "sarsen.customer=a\\b", NULL, "- - -" },
        { "sarsen.customer=\xc3\xa9", NULL, "- - -" },
        { ",,sarsen.bom=x,,", NULL, "x - -" },
        { "=,;,=x,sarsen.bom=x", NULL, "x - -" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_read(rows[i].first, rows[i].second, rows[i].want);
}

TEST(oversized_members_are_absent)
{
    char text[1200], want[1200];
    struct baggage baggage;
    int size = snprintf(text, sizeof(text), "sarsen.bom=");
    memset(text + size, 'x', sizeof(baggage.memory) + 1);
    snprintf(text + (size_t)size + sizeof(baggage.memory), 64, ",sarsen.lane=t");
    memset(want, 'x', sizeof(baggage.memory));
    snprintf(want + sizeof(baggage.memory), 64, " - -");
    check_read(text, NULL, want); /* fills the memory, so the lane has none left */

    snprintf(text + (size_t)size + sizeof(baggage.memory), 64, "x,sarsen.lane=t");
    check_read(text, NULL, "- - t");
}

static void check_put(const char *first, const char *second, const struct baggage *ours,
                      const char *want)
{
    static char memory[16384], text[16385];
    struct verdict verdict = head_with(first, second);
    struct http1_out out = { .data = memory, .capacity = sizeof(memory) };
    baggage_put(&out, &verdict.head, ours);
    CHECK(!out.is_full);
    snprintf(text, sizeof(text), "%.*s", (int)out.size, out.data);
    CHECK_STR(text, want);
    free(verdict.bytes);
}

TEST(writing)
{
    struct baggage none = { .bom = SPAN_NULL };
    struct baggage all = { .bom = SPAN("b7"),
                           .customer = SPAN("a b,\xc3\xa9%"),
                           .lane = SPAN("t") };
#define ALL "sarsen.bom=b7,sarsen.customer=a%20b%2C%C3%A9%25,sarsen.lane=t"
    check_put("", NULL, &none, "");
    check_put("", NULL, &all, ALL);
    check_put("a=b;p , c = d,,e", "f=%zz", &none, "a=b;p,c = d,e,f=%zz");
    check_put("a=b,sarsen.bom=evil,sarsen.x=y", "SARSEN.customer=evil, c=d", &all, "a=b,c=d," ALL);
    check_put("sarsen.=x,sarsen=y", NULL, &none, "sarsen=y");
}

TEST(what_is_written_is_read)
{
    char value[257];
    for (unsigned byte = 0x20; byte < 0x7f; byte++)
        value[byte - 0x20] = (char)byte;
    struct baggage ours = { .customer = { value, 0x7f - 0x20 } };
    char memory[1024], text[1100];
    struct http1_out out = { .data = memory, .capacity = sizeof(memory) };
    struct verdict verdict = head_with("", NULL);
    baggage_put(&out, &verdict.head, &ours);
    free(verdict.bytes);
    snprintf(text, sizeof(text), "%.*s", (int)out.size, out.data);
    verdict = head_with(text, NULL);
    struct baggage read;
    baggage_read(&verdict.head, &read);
    CHECK(span_equals(read.customer, ours.customer));
    free(verdict.bytes);
}

TEST(ours_are_never_left_out)
{
    static char others[20000], memory[16384];
    size_t size = 0;
    for (unsigned i = 0; size < 12000; i++)
        size += (size_t)snprintf(others + size, sizeof(others) - size, "key%u=value%u,", i, i);
    struct baggage ours = { .bom = SPAN("b7"), .customer = SPAN("acme") };
    struct verdict verdict = head_with(others, "sarsen.bom=evil");
    struct http1_out out = { .data = memory, .capacity = sizeof(memory) };
    baggage_put(&out, &verdict.head, &ours);
    CHECK(out.size <= BAGGAGE_MAX_BYTES && out.size > BAGGAGE_MAX_BYTES - 32);
    CHECK(span_ends_with((struct span){ out.data, out.size },
                         SPAN(",sarsen.bom=b7,sarsen.customer=acme")));
    free(verdict.bytes);
}

TEST(traceparents)
{
    static const struct {
        const char *text;
        bool is_valid;
    } rows[] = {
        { "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true },
        { "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", true },
        { "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true },
        { "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what", true },
        { "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what", false },
        { "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what", false },
        { "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false },
        { "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", false },
        { "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g", false },
        { "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false },
        { "00-00000000000000000000000000000000-00f067aa0ba902b7-01", false },
        { "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false },
        { "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false },
        { "00-4bf92f3577b34da6a3ce929d0e0e473600f067aa0ba902b7--01", false },
        { "", false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_INT(traceparent_is_valid(span_of(rows[i].text)), rows[i].is_valid);

    static const uint8_t zero[24], some[24] = { 0x4b, 0xf9, [16] = 0x12, [23] = 0xab };
    char text[TRACEPARENT_SIZE + 1];
    traceparent_format(some, text);
    CHECK_STR(text, "00-4bf90000000000000000000000000000-12000000000000ab-00");
    traceparent_format(zero, text);
    CHECK(traceparent_is_valid(span_of(text)));
}
