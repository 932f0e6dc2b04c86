/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/hpack_table.h"

/* RFC 7541 appendix A. */
const struct hpack_static hpack_static[HPACK_N_STATIC + 1] = {
#define ENTRY(index, first, name, value) [index] = { SPAN(name), SPAN(value), first }
    ENTRY(1, 1, ":authority", ""),
    ENTRY(2, 2, ":method", "GET"),
    ENTRY(3, 2, ":method", "POST"),
    ENTRY(4, 4, ":path", "/"),
    ENTRY(5, 4, ":path", "/index.html"),
    ENTRY(6, 6, ":scheme", "http"),
    ENTRY(7, 6, ":scheme", "https"),
    ENTRY(8, 8, ":status", "200"),
    ENTRY(9, 8, ":status", "204"),
    ENTRY(10, 8, ":status", "206"),
    ENTRY(11, 8, ":status", "304"),
    ENTRY(12, 8, ":status", "400"),
    ENTRY(13, 8, ":status", "404"),
    ENTRY(14, 8, ":status", "500"),
    ENTRY(15, 15, "accept-charset", ""),
    ENTRY(16, 16, "accept-encoding", "gzip, deflate"),
    ENTRY(17, 17, "accept-language", ""),
    ENTRY(18, 18, "accept-ranges", ""),
    ENTRY(19, 19, "accept", ""),
    ENTRY(20, 20, "access-control-allow-origin", ""),
    ENTRY(21, 21, "age", ""),
    ENTRY(22, 22, "allow", ""),
    ENTRY(23, 23, "authorization", ""),
    ENTRY(24, 24, "cache-control", ""),
    ENTRY(25, 25, "content-disposition", ""),
    ENTRY(26, 26, "content-encoding", ""),
    ENTRY(27, 27, "content-language", ""),
    ENTRY(28, 28, "content-length", ""),
    ENTRY(29, 29, "content-location", ""),
    ENTRY(30, 30, "content-range", ""),
    ENTRY(31, 31, "content-type", ""),
    ENTRY(32, 32, "cookie", ""),
    ENTRY(33, 33, "date", ""),
    ENTRY(34, 34, "etag", ""),
    ENTRY(35, 35, "expect", ""),
    ENTRY(36, 36, "expires", ""),
    ENTRY(37, 37, "from", ""),
    ENTRY(38, 38, "host", ""),
    ENTRY(39, 39, "if-match", ""),
    ENTRY(40, 40, "if-modified-since", ""),
    ENTRY(41, 41, "if-none-match", ""),
    ENTRY(42, 42, "if-range", ""),
    ENTRY(43, 43, "if-unmodified-since", ""),
    ENTRY(44, 44, "last-modified", ""),
    ENTRY(45, 45, "link", ""),
    ENTRY(46, 46, "location", ""),
    ENTRY(47, 47, "max-forwards", ""),
    ENTRY(48, 48, "proxy-authenticate", ""),
    ENTRY(49, 49, "proxy-authorization", ""),
    ENTRY(50, 50, "range", ""),
    ENTRY(51, 51, "referer", ""),
    ENTRY(52, 52, "refresh", ""),
    ENTRY(53, 53, "retry-after", ""),
    ENTRY(54, 54, "server", ""),
    ENTRY(55, 55, "set-cookie", ""),
    ENTRY(56, 56, "strict-transport-security", ""),
    ENTRY(57, 57, "transfer-encoding", ""),
    ENTRY(58, 58, "user-agent", ""),
    ENTRY(59, 59, "vary", ""),
    ENTRY(60, 60, "via", ""),
    ENTRY(61, 61, "www-authenticate", ""),
#undef ENTRY
};

/* The compiler refuses two names in one slot, so this is a perfect hash as long as it compiles. */
const uint8_t hpack_static_names[128] = {
#define NAME(size, first, last) [HPACK_NAME_SLOT(size, first, last)]
    NAME(10, ':', 'y') = 1,  /* :authority */
    NAME(7, ':', 'd') = 2,   /* :method */
    NAME(5, ':', 'h') = 4,   /* :path */
    NAME(7, ':', 'e') = 6,   /* :scheme */
    NAME(7, ':', 's') = 8,   /* :status */
    NAME(14, 'a', 't') = 15, /* accept-charset */
    NAME(15, 'a', 'g') = 16, /* accept-encoding */
    NAME(15, 'a', 'e') = 17, /* accept-language */
    NAME(13, 'a', 's') = 18, /* accept-ranges */
    NAME(6, 'a', 't') = 19,  /* accept */
    NAME(27, 'a', 'n') = 20, /* access-control-allow-origin */
    NAME(3, 'a', 'e') = 21,  /* age */
    NAME(5, 'a', 'w') = 22,  /* allow */
    NAME(13, 'a', 'n') = 23, /* authorization */
    NAME(13, 'c', 'l') = 24, /* cache-control */
    NAME(19, 'c', 'n') = 25, /* content-disposition */
    NAME(16, 'c', 'g') = 26, /* content-encoding */
    NAME(16, 'c', 'e') = 27, /* content-language */
    NAME(14, 'c', 'h') = 28, /* content-length */
    NAME(16, 'c', 'n') = 29, /* content-location */
    NAME(13, 'c', 'e') = 30, /* content-range */
    NAME(12, 'c', 'e') = 31, /* content-type */
    NAME(6, 'c', 'e') = 32,  /* cookie */
    NAME(4, 'd', 'e') = 33,  /* date */
    NAME(4, 'e', 'g') = 34,  /* etag */
    NAME(6, 'e', 't') = 35,  /* expect */
    NAME(7, 'e', 's') = 36,  /* expires */
    NAME(4, 'f', 'm') = 37,  /* from */
    NAME(4, 'h', 't') = 38,  /* host */
    NAME(8, 'i', 'h') = 39,  /* if-match */
    NAME(17, 'i', 'e') = 40, /* if-modified-since */
    NAME(13, 'i', 'h') = 41, /* if-none-match */
    NAME(8, 'i', 'e') = 42,  /* if-range */
    NAME(19, 'i', 'e') = 43, /* if-unmodified-since */
    NAME(13, 'l', 'd') = 44, /* last-modified */
    NAME(4, 'l', 'k') = 45,  /* link */
    NAME(8, 'l', 'n') = 46,  /* location */
    NAME(12, 'm', 's') = 47, /* max-forwards */
    NAME(18, 'p', 'e') = 48, /* proxy-authenticate */
    NAME(19, 'p', 'n') = 49, /* proxy-authorization */
    NAME(5, 'r', 'e') = 50,  /* range */
    NAME(7, 'r', 'r') = 51,  /* referer */
    NAME(7, 'r', 'h') = 52,  /* refresh */
    NAME(11, 'r', 'r') = 53, /* retry-after */
    NAME(6, 's', 'r') = 54,  /* server */
    NAME(10, 's', 'e') = 55, /* set-cookie */
    NAME(25, 's', 'y') = 56, /* strict-transport-security */
    NAME(17, 't', 'g') = 57, /* transfer-encoding */
    NAME(10, 'u', 't') = 58, /* user-agent */
    NAME(4, 'v', 'y') = 59,  /* vary */
    NAME(3, 'v', 'a') = 60,  /* via */
    NAME(16, 'w', 'e') = 61, /* www-authenticate */
#undef NAME
};
