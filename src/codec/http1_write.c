/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/http1_out.h"
#include "codec/http1_scan.h"

#define UINT_TEXT_MAX 20u

void http1_put(struct http1_out *out, struct span bytes)
{
    char *at = out_reserve(out, bytes.size);
    if (at)
        out_copy(at, bytes);
}

/* The methods of nearly all requests are not looked at again. */
static inline bool is_method(struct span method)
{
    return span_equals(method, SPAN("GET")) || span_equals(method, SPAN("POST")) ||
           http_is_token(method);
}

void http1_put_request_line(struct http1_out *out, struct span method, struct span target)
{
    static const struct span version = SPAN(" HTTP/1.1\r\n");
    const char *end = target.data + target.size;
    if (!is_method(method) || !target.size || scan_target(target.data, end) != end) {
        out->is_full = true;
        return;
    }
    char *at = out_reserve(out, method.size + 1 + target.size + version.size);
    if (!at)
        return;
    at = out_copy(at, method);
    *at++ = ' ';
    at = out_copy(at, target);
    out_copy(at, version);
}

void http1_put_status_line(struct http1_out *out, unsigned status)
{
    if (likely(status == 200)) {
        http1_put(out, SPAN("HTTP/1.1 200 OK\r\n"));
        return;
    }
    struct span reason = span_of(http_status_reason(status));
    char code[] = "HTTP/1.1 000 ";
    code[9] = (char)('0' + status / 100 % 10);
    code[10] = (char)('0' + status / 10 % 10);
    code[11] = (char)('0' + status % 10);

    char *at = out_reserve(out, sizeof(code) - 1 + reason.size + 2);
    if (!at)
        return;
    at = out_copy(at, (struct span){ code, sizeof(code) - 1 });
    at = out_copy(at, reason);
    out_copy(at, SPAN("\r\n"));
}

static void put_line(struct http1_out *out, struct span name, struct span value)
{
    char *at = out_reserve(out, name.size + 2 + value.size + 2);
    if (!at)
        return;
    at = out_copy(at, name);
    at = out_copy(at, SPAN(": "));
    at = out_copy(at, value);
    out_copy(at, SPAN("\r\n"));
}

void http1_put_field(struct http1_out *out, struct span name, struct span value)
{
    if (!http_is_token(name) || !http_is_field_value(value)) {
        out->is_full = true;
        return;
    }
    put_line(out, name, value);
}

void http1_put_parsed(struct http1_out *out, const struct http_field *field)
{
    if (field->is_canonical) {
        http1_put(out, http_field_line(field));
    } else {
        put_line(out, field->name, field->value);
    }
}

/* Writes backwards from `end` and returns the start. */
static inline char *digits_before(char *end, uint64_t value, unsigned base)
{
    do {
        *--end = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    return end;
}

void http1_put_field_uint(struct http1_out *out, struct span name, uint64_t value)
{
    char text[UINT_TEXT_MAX], *end = text + sizeof(text);
    char *start = digits_before(end, value, 10);
    if (!http_is_token(name)) {
        out->is_full = true;
        return;
    }
    put_line(out, name, (struct span){ start, (size_t)(end - start) });
}

void http1_put_end(struct http1_out *out)
{
    http1_put(out, SPAN("\r\n"));
}

void http1_put_chunk_head(struct http1_out *out, uint64_t size)
{
    char text[UINT_TEXT_MAX], *end = text + sizeof(text) - 2;
    out_copy(end, SPAN("\r\n"));
    char *start = digits_before(end, size, 16);
    http1_put(out, (struct span){ start, (size_t)(end + 2 - start) });
}

/* The registry of RFC 9110 section 15 and what later documents added to it. */
const char *http_status_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        { 100, "Continue" },
        { 101, "Switching Protocols" },
        { 102, "Processing" },
        { 103, "Early Hints" },
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 203, "Non-Authoritative Information" },
        { 204, "No Content" },
        { 205, "Reset Content" },
        { 206, "Partial Content" },
        { 207, "Multi-Status" },
        { 208, "Already Reported" },
        { 226, "IM Used" },
        { 300, "Multiple Choices" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 303, "See Other" },
        { 304, "Not Modified" },
        { 305, "Use Proxy" },
        { 307, "Temporary Redirect" },
        { 308, "Permanent Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 402, "Payment Required" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 406, "Not Acceptable" },
        { 407, "Proxy Authentication Required" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 411, "Length Required" },
        { 412, "Precondition Failed" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 416, "Range Not Satisfiable" },
        { 417, "Expectation Failed" },
        { 421, "Misdirected Request" },
        { 422, "Unprocessable Content" },
        { 423, "Locked" },
        { 424, "Failed Dependency" },
        { 425, "Too Early" },
        { 426, "Upgrade Required" },
        { 428, "Precondition Required" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 451, "Unavailable For Legal Reasons" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
        { 506, "Variant Also Negotiates" },
        { 507, "Insufficient Storage" },
        { 508, "Loop Detected" },
        { 511, "Network Authentication Required" },
    };

    size_t low = 0, high = sizeof(reasons) / sizeof(reasons[0]);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (reasons[middle].status == status)
            return reasons[middle].reason;
        if (reasons[middle].status < status) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return "";
}
