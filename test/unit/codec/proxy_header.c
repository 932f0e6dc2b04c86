/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/proxy_header.h"

#include <string.h>

#include "base/crc32c.h"
#include "check.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
/* 192.0.2.7:40000 -> 198.51.100.1:443 */
#define INET "\xc0\0\x02\x07\xc6\x33\x64\x01\x9c\x40\x01\xbb"
#define INET6                                                                                      \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"         \
    "\x9c\x40\x01\xbb"

static int decode(struct span header, struct proxy_header *ret_header)
{
    size_t size;
    if (proxy_header_size(span_first(header, PROXY_HEADER_START), &size))
        return PROXY_BAD;
    CHECK_INT(size, header.size);
    return proxy_header_decode(header, ret_header);
}

TEST(the_client_is_told)
{
    struct proxy_header header;
    CHECK_INT(decode(SPAN(SIGNATURE "\x21\x11\0\x0c" INET), &header), PROXY_OK);
    CHECK_INT(header.family, PROXY_IPV4);
    CHECK_INT(header.source.size, 4);
    CHECK(memcmp(header.source.data, "\xc0\0\x02\x07", 4) == 0);
    CHECK_INT(header.source_port, 40000);

    CHECK_INT(decode(SPAN(SIGNATURE "\x21\x21\0\x24" INET6), &header), PROXY_OK);
    CHECK_INT(header.family, PROXY_IPV6);
    CHECK_INT(header.source.size, 16);
    CHECK_INT((uint8_t)header.source.data[15], 7);
    CHECK_INT(header.source_port, 40000);

    static char paths[PROXY_HEADER_START + 216] = SIGNATURE "\x21\x31\0\xd8/run/client.sock";
    CHECK_INT(decode((struct span){ paths, sizeof(paths) }, &header), PROXY_OK);
    CHECK_INT(header.family, PROXY_UNIX);
}

/* Checks of the balancer's own, and families that come after us. */
TEST(nobody_is_told_of)
{
    static const struct span headers[] = {
        SPAN(SIGNATURE "\x20\0\0\0"),           SPAN(SIGNATURE "\x20\x11\0\x0c" INET),
        SPAN(SIGNATURE "\x20\0\0\x03\x04\0\0"), SPAN(SIGNATURE "\x21\0\0\x03xyz"),
        SPAN(SIGNATURE "\x21\x12\0\x0c" INET),  SPAN(SIGNATURE "\x21\x41\0\x01x"),
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct proxy_header header;
        CHECK_INT(decode(headers[i], &header), PROXY_OK);
        CHECK_INT(header.family, PROXY_NOBODY);
    }
}

TEST(refused)
{
    static const struct span headers[] = {
        SPAN("PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n"),
        SPAN("\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c" INET), /* another signature */
        SPAN(SIGNATURE "\x11\x11\0\x0c" INET),           /* another version */
        SPAN(SIGNATURE "\x22\x11\0\x0c" INET),           /* no such command */
        SPAN(SIGNATURE "\x21\x11\x10\0" INET),           /* more than there may be */
        SPAN(SIGNATURE "\x21\x11\0\x0b\xc0\0\x02\x07\xc6\x33\x64\x01\x9c\x40\x01"),
        SPAN(SIGNATURE "\x21\x21\0\x0c" INET),
        SPAN(SIGNATURE "\x21\x11\0\x0e" INET "\x04\0"),         /* half a TLV */
        SPAN(SIGNATURE "\x21\x11\0\x10" INET "\x04\0\x02x"),    /* one that ends behind it */
        SPAN(SIGNATURE "\x21\x11\0\x11" INET "\x03\0\x02xx"),   /* a checksum of two bytes */
        SPAN(SIGNATURE "\x21\x11\0\x13" INET "\x03\0\x04sums"), /* a wrong one */
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct proxy_header header;
        CHECK_INT(decode(headers[i], &header), PROXY_BAD);
    }
}

TEST(what_is_behind_the_addresses)
{
    struct proxy_header header;
    char bytes[] = SIGNATURE "\x21\x11\0\x1b" INET
                             "\x04\0\x05"
                             "empty"
                             "\x03\0\x04\0\0\0\0";
    struct span whole = { bytes, sizeof(bytes) - 1 };
    CHECK_INT(decode(whole, &header), PROXY_BAD);
    uint32_t crc = crc32c(0, whole);
    for (int i = 0; i < 4; i++)
        bytes[whole.size - 1 - (size_t)i] = (char)(crc >> (8 * i));
    CHECK_INT(decode(whole, &header), PROXY_OK);
    CHECK_INT(header.source_port, 40000);
    bytes[PROXY_HEADER_START] ^= 1;
    CHECK_INT(decode(whole, &header), PROXY_BAD);
}
