/* SPDX-License-Identifier: Apache-2.0 */

/* What fields mean together: target and host, framing, connection (RFC 9112). */

#include "head.h"

struct row {
    const char *bytes;
    const char *want;
};

static void check_rows(const struct row *rows, size_t n_rows, const char *before, const char *after)
{
    for (size_t i = 0; i < n_rows; i++) {
        char text[1024];
        int size = snprintf(text, sizeof(text), "%s%s%s", before, rows[i].bytes, after);
        check_request((struct span){ text, (size_t)size }, rows[i].want);
    }
}

#define CHECK_ROWS(rows, before, after)                                                            \
    check_rows((rows), sizeof(rows) / sizeof((rows)[0]), (before), (after))

TEST(targets)
{
    static const struct row rows[] = {
        { "GET //admin/../x HTTP/1.1", "GET //admin/../x host h.x:80, 1.1 keep, none" },
        { "GET http://h.x:80 HTTP/1.1", "GET / host h.x:80 absolute, 1.1 keep, none" },
        { "GET hTTps://H.X:80/a?b HTTP/1.1", "GET /a?b host H.X:80 absolute, 1.1 keep, none" },
        { "GET http://h.x:80?b HTTP/1.1", "400 the request target has a query and no path" },
        { "GET http://other/ HTTP/1.1", "400 Host differs from the host of the request target" },
        { "GET http://h.x/ HTTP/1.1", "400 Host differs from the host of the request target" },
        { "GET http:///a HTTP/1.1", "400 the host of the request target is malformed" },
        { "GET http://u@h.x:80/ HTTP/1.1", "400 the host of the request target is malformed" },
        { "GET http://h.x:80\\a HTTP/1.1", "400 the host of the request target is malformed" },
        { "GET http:// HTTP/1.1", "400 the request target is no path, and no http or https URI" },
        { "GET ftp://h.x/ HTTP/1.1",
          "400 the request target is no path, and no http or https URI" },
        { "GET h.x:80 HTTP/1.1", "400 the request target is no path, and no http or https URI" },
        { "GET a/b HTTP/1.1", "400 the request target is no path, and no http or https URI" },
        { "GET ?a HTTP/1.1", "400 the request target is no path, and no http or https URI" },
        { "OPTIONS * HTTP/1.1", "OPTIONS * host h.x:80 asterisk, 1.1 keep, none" },
        { "GET * HTTP/1.1", "400 only OPTIONS takes *" },
        { "OPTIONS ** HTTP/1.1", "400 the request target is no path, and no http or https URI" },
        { "CONNECT h.x:80 HTTP/1.1", "CONNECT  host h.x:80 authority, 1.1 keep, none" },
        { "CONNECT [::1]:80 HTTP/1.1", "CONNECT  host [::1]:80 authority, 1.1 keep, none" },
        { "CONNECT h.x HTTP/1.1", "400 CONNECT takes host:port" },
        { "CONNECT h.x: HTTP/1.1", "400 CONNECT takes host:port" },
        { "CONNECT / HTTP/1.1", "400 CONNECT takes host:port" },
        { "CONNECT http://h.x:80/ HTTP/1.1", "400 CONNECT takes host:port" },
    };
    CHECK_ROWS(rows, "", "\r\nHost: h.x:80\r\n\r\n");
}

TEST(hosts)
{
    static const struct row rows[] = {
        { "Host: a-b_c.d~1.example", "GET / host a-b_c.d~1.example, 1.1 keep, none" },
        { "Host: 127.0.0.1:65535", "GET / host 127.0.0.1:65535, 1.1 keep, none" },
        { "Host: [2001:db8::1]", "GET / host [2001:db8::1], 1.1 keep, none" },
        { "Host: [::ffff:1.2.3.4]:8", "GET / host [::ffff:1.2.3.4]:8, 1.1 keep, none" },
        { "Host: a-name-of-a-host-that-is-long.example:8000",
          "GET / host a-name-of-a-host-that-is-long.example:8000, 1.1 keep, none" },
        { "Host: h:", "GET / host h:, 1.1 keep, none" },
        { "X: y", "400 Host is missing" },
        { "Host: h\r\nHost: h", "400 Host is repeated" },
        { "Host: h\r\nhost: i", "400 Host is repeated" },
        { "Host:", "400 Host is malformed" },
        { "Host: :80", "400 Host is malformed" },
        { "Host: h:65536", "400 Host is malformed" },
        { "Host: h:8a", "400 Host is malformed" },
        { "Host: h:000080", "400 Host is malformed" },
        { "Host: h:80:80", "400 Host is malformed" },
        { "Host: a, b", "400 Host is malformed" },
        { "Host: a b", "400 Host is malformed" },
        { "Host: h/x", "400 Host is malformed" },
        { "Host: u@h", "400 Host is malformed" },
        { "Host: h?x", "400 Host is malformed" },
        { "Host: h%2ex", "400 Host is malformed" },
        { "Host: h\xc3\xa9", "400 Host is malformed" },
        { "Host: a-name-of-a-host-that-is-long.exampl\xe9", "400 Host is malformed" },
        { "Host: [::1", "400 Host is malformed" },
        { "Host: [::1]x", "400 Host is malformed" },
        { "Host: []", "400 Host is malformed" },
        { "Host: [", "400 Host is malformed" },
        { "Host: [v1.x]", "400 Host is malformed" },
        { "Host: [::1%25eth0]", "400 Host is malformed" },
    };
    CHECK_ROWS(rows, "GET / HTTP/1.1\r\n", "\r\n\r\n");
}

TEST(framing_of_requests)
{
    static const struct row rows[] = {
        { "Content-Length: 5", "POST / host h, 1.1 keep, length 5" },
        { "Content-Length: 0", "POST / host h, 1.1 keep, length 0" },
        { "Content-Length: 007", "POST / host h, 1.1 keep, length 7" },
        { "content-LENGTH:5\t", "POST / host h, 1.1 keep, length 5" },
        { "Content-Length: 9223372036854775807",
          "POST / host h, 1.1 keep, length 9223372036854775807" },
        { "Content-Length: 9223372036854775808", "400 Content-Length is malformed" },
        { "Content-Length: 18446744073709551621", "400 Content-Length is malformed" },
        { "Content-Length: 100000000000000000000000000000005", "400 Content-Length is malformed" },
        { "Content-Length:", "400 Content-Length is malformed" },
        { "Content-Length: +5", "400 Content-Length is malformed" },
        { "Content-Length: -5", "400 Content-Length is malformed" },
        { "Content-Length: 0x5", "400 Content-Length is malformed" },
        { "Content-Length: 5 5", "400 Content-Length is malformed" },
        { "Content-Length: 5, 5", "400 Content-Length is malformed" },
        { "Content-Length: 5;x", "400 Content-Length is malformed" },
        { "Content-Length: 5.0", "400 Content-Length is malformed" },
        { "Content-Length: \"5\"", "400 Content-Length is malformed" },
        { "Content-Length: \xd9\xa5", "400 Content-Length is malformed" },
        { "Content-Length: 5\r\nContent-Length: 5", "400 Content-Length is repeated" },
        { "Content-Length: 5\r\nContent-Length: 6", "400 Content-Length is repeated" },
        { "Transfer-Encoding: chunked", "POST / host h, 1.1 keep, chunked" },
        { "transfer-encoding:CHUNKED ", "POST / host h, 1.1 keep, chunked" },
        { "Content-Length: 5\r\nTransfer-Encoding: chunked",
          "400 Content-Length and Transfer-Encoding stand together" },
        { "Transfer-Encoding: chunked\r\nContent-Length: 5",
          "400 Content-Length and Transfer-Encoding stand together" },
        { "Transfer-Encoding: identity\r\nContent-Length: 5",
          "400 Content-Length and Transfer-Encoding stand together" },
        { "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
          "400 Transfer-Encoding is repeated" },
        { "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
          "400 Transfer-Encoding is repeated" },
        { "Transfer-Encoding: gzip, chunked", "501 the only transfer coding taken is chunked" },
        { "Transfer-Encoding: chunked, gzip", "400 the transfer coding is not chunked" },
        { "Transfer-Encoding: chunked, chunked", "501 the only transfer coding taken is chunked" },
        { "Transfer-Encoding: , chunked", "501 the only transfer coding taken is chunked" },
        { "Transfer-Encoding: chunked,", "400 the transfer coding is not chunked" },
        { "Transfer-Encoding: identity", "400 the transfer coding is not chunked" },
        { "Transfer-Encoding: xchunked", "400 the transfer coding is not chunked" },
        { "Transfer-Encoding: chunkedx", "400 the transfer coding is not chunked" },
        { "Transfer-Encoding: chunked;q=1", "400 the transfer coding is not chunked" },
        { "Transfer-Encoding: \"chunked\"", "400 the transfer coding is not chunked" },
        { "Transfer-Encoding: chun ked", "400 the transfer coding is not chunked" },
        { "Transfer-Encoding:", "400 the transfer coding is not chunked" },
        { "Transfer-Encoding : chunked", "400 white space stands before a colon" },
        { "Transfer_Encoding: chunked", "POST / host h, 1.1 keep, none" },
    };
    CHECK_ROWS(rows, "POST / HTTP/1.1\r\nHost: h\r\n", "\r\n\r\n");
    check_request(SPAN("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
                  "400 HTTP/1.0 has no Transfer-Encoding");
    check_request(SPAN("POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\n"),
                  "POST / host , 1.0 close, length 1");
}

TEST(framing_of_responses)
{
    static const struct {
        const char *method, *lines, *want;
    } rows[] = {
        { "GET", "200 OK\r\nContent-Length: 5", "200 OK, 1.1 keep, length 5" },
        { "GET", "200 OK\r\nTransfer-Encoding: chunked", "200 OK, 1.1 keep, chunked" },
        { "GET", "200 OK\r\nX: y", "200 OK, 1.1 close, until close" },
        { "GET", "200 OK\r\nConnection: keep-alive", "200 OK, 1.1 close, until close" },
        { "HEAD", "200 OK\r\nContent-Length: 5", "200 OK, 1.1 keep, none" },
        { "HEAD", "200 OK\r\nTransfer-Encoding: chunked", "200 OK, 1.1 keep, none" },
        { "HEAD", "200 OK\r\nX: y", "200 OK, 1.1 keep, none" },
        { "GET", "304 Not Modified\r\nContent-Length: 5", "304 Not Modified, 1.1 keep, none" },
        { "GET", "204 No Content\r\nX: y", "204 No Content, 1.1 keep, none" },
        { "GET", "204 No Content\r\nContent-Length: 0", "204 No Content, 1.1 keep, none" },
        { "GET", "204 No Content\r\nContent-Length: 5",
          "502 a status without a body comes with one" },
        { "GET", "204 No Content\r\nTransfer-Encoding: chunked",
          "502 a status without a body comes with one" },
        { "GET", "100 Continue\r\nX: y", "100 Continue, 1.1 keep, none" },
        { "GET", "103 Early Hints\r\nContent-Length: 5",
          "502 a status without a body comes with one" },
        { "GET", "101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade",
          "101 Switching Protocols, 1.1 keep, none" },
        { "CONNECT", "200 OK\r\nContent-Length: 5", "200 OK, 1.1 keep, none" },
        { "CONNECT", "400 Bad Request\r\nContent-Length: 5",
          "400 Bad Request, 1.1 keep, length 5" },
        { "GET", "200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
          "502 Content-Length and Transfer-Encoding stand together" },
        { "GET", "200 OK\r\nContent-Length: 5\r\nContent-Length: 5",
          "502 Content-Length is repeated" },
        { "GET", "200 OK\r\nContent-Length: 5x", "502 Content-Length is malformed" },
        { "GET", "200 OK\r\nTransfer-Encoding: gzip", "502 the transfer coding is not chunked" },
        { "HEAD", "200 OK\r\nContent-Length: 5x", "502 Content-Length is malformed" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        int size = snprintf(text, sizeof(text), "HTTP/1.1 %s\r\n\r\n", rows[i].lines);
        check_response((struct span){ text, (size_t)size }, rows[i].method, rows[i].want);
    }
    check_response(SPAN("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "GET",
                   "502 HTTP/1.0 has no Transfer-Encoding");
    check_response(SPAN("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n"),
                   "GET", "200 OK, 1.0 keep, length 1");
}

TEST(connection)
{
    static const struct row rows[] = {
        { "Connection: close", "GET / host h, 1.1 close, none" },
        { "Connection: Keep-Alive", "GET / host h, 1.1 keep, none" },
        { "Connection: keep-alive, close", "GET / host h, 1.1 close, none" },
        { "Connection: x\r\nConnection: close", "GET / host h, 1.1 close, none" },
        { "Connection: keep-alive\r\nConnection: close", "GET / host h, 1.1 close, none" },
        { "Connection: , ,close,", "GET / host h, 1.1 close, none" },
        { "Connection:", "GET / host h, 1.1 keep, none" },
        { "Connection: TE, upgrade, Transfer-Encoding", "GET / host h, 1.1 keep, none" },
        { "Connection: closed", "GET / host h, 1.1 keep, none" },
        { "Connection: close;x", "400 Connection is malformed" },
        { "Connection: \"close\"", "400 Connection is malformed" },
        { "Connection: a b", "400 Connection is malformed" },
        { "Connection: Host", "400 Connection names a field that is not its to name" },
        { "Connection: close, content-length",
          "400 Connection names a field that is not its to name" },
        { "Connection: Sarsen-Customer", "400 Connection names a field that is not its to name" },
        { "Connection: x-forwarded-for", "400 Connection names a field that is not its to name" },
        { "Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p", "GET / host h, 1.1 keep, none" },
        { "Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "400 Connection names too many fields" },
        { "Connection: a,b,c,d,e,f,g,h\r\nConnection: i,j,k,l,m,n,o,p,q",
          "400 Connection names too many fields" },
    };
    CHECK_ROWS(rows, "GET / HTTP/1.1\r\nHost: h\r\n", "\r\n\r\n");
    check_request(SPAN("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
                  "GET / host , 1.0 keep, none");
    check_request(SPAN("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"),
                  "GET / host , 1.0 close, none");
}

TEST(hop_by_hop)
{
    struct verdict verdict = { 0 };
    parse(SPAN("GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nX-B: 3\r\nKeep-Alive: 1\r\n"
               "TE: trailers\r\nUpgrade: u\r\nTrailer: t\r\nProxy-Authorization: p\r\n"
               "Connection: X-a, X-C, referer\r\nContent-Type: c\r\nX-C: 4\r\n"
               "Referer: 5\r\nUser-Agent: 6\r\n\r\n"),
          NULL, &wide, &verdict);
    static const bool want[] = { 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0 };
    CHECK_INT(verdict.answer, HTTP1_OK);
    CHECK_INT(verdict.head.n_fields, sizeof(want));
    for (size_t i = 0; i < sizeof(want); i++)
        CHECK_INT(verdict.head.fields[i].is_hop_by_hop, want[i]);
    free(verdict.bytes);
}

TEST(expect_and_te)
{
    static const struct row rows[] = {
        { "Expect: 100-continue", "GET / host h, 1.1 keep, none, expects" },
        { "expect: 100-Continue", "GET / host h, 1.1 keep, none, expects" },
        { "Expect: 100-continue, x", "417 the only expectation met is 100-continue" },
        { "Expect: 200-ok", "417 the only expectation met is 100-continue" },
        { "Expect:", "417 the only expectation met is 100-continue" },
        { "Expect: 100-continue\r\nExpect: 100-continue",
          "417 the only expectation met is 100-continue" },
        { "TE: trailers", "GET / host h, 1.1 keep, none, trailers" },
        { "TE: gzip;q=0.5, Trailers", "GET / host h, 1.1 keep, none, trailers" },
        { "TE: gzip\r\nTE: trailers", "GET / host h, 1.1 keep, none, trailers" },
        { "TE: trailersx", "GET / host h, 1.1 keep, none" },
    };
    CHECK_ROWS(rows, "GET / HTTP/1.1\r\nHost: h\r\n", "\r\n\r\n");
    check_request(SPAN("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"),
                  "GET / host , 1.0 close, none");
}
