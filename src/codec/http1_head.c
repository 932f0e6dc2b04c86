/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The syntax of a head, read once from left to right; what its fields mean together is in
 * http1_meaning.c.
 *
 * Every refusal depends on the bytes up to one position only, and an end of the input before that
 * position is HTTP1_MORE. That is why splitting the input cannot change the verdict. Limits obey
 * the same rule: a line counts with its CRLF, and the head is never looked at beyond its limit.
 */

#include "codec/http1.h"
#include "codec/http1_meaning.h"
#include "codec/http1_names.h"
#include "codec/http1_scan.h"

struct parser {
    const char *at, *end;
    const char *line; /* where the current line starts */
    size_t max_line;
    unsigned max_fields;
    struct http1_error *error;
    bool is_response, is_in_start_line;
    bool is_cut; /* `end` is the limit, not the end of the input */
};

/* A response is refused with 502 whatever is wrong with it: the client did nothing. */
static int refuse(struct parser *parser, unsigned status, const char *text)
{
    *parser->error = (struct http1_error){ parser->is_response ? 502 : status, text };
    return HTTP1_BAD;
}

static int refuse_size(struct parser *parser)
{
    if (parser->is_in_start_line)
        return refuse(parser, 414, "the start line is too long");
    return refuse(parser, 431, "a field line is too long");
}

/* Refuses for the byte at `at`, unless the line was too long before that. */
static int refuse_at(struct parser *parser, const char *at, unsigned status, const char *text)
{
    if ((size_t)(at - parser->line) >= parser->max_line)
        return refuse_size(parser);
    return refuse(parser, status, text);
}

static int need_more(struct parser *parser)
{
    if ((size_t)(parser->end - parser->line) > parser->max_line)
        return refuse_size(parser);
    if (!parser->is_cut)
        return HTTP1_MORE;
    if (parser->is_in_start_line)
        return refuse(parser, 414, "the start line is too long");
    return refuse(parser, 431, "the head is too large");
}

/* What is wrong where a line should end, or that the end is not there yet. */
static int refuse_end(struct parser *parser, const char *cr)
{
    if (cr == parser->end)
        return need_more(parser);
    if (*cr != '\r') {
        return refuse_at(parser, cr, 400,
                         *cr == '\n' ? "a line ends without CR" : "a line holds a control byte");
    }
    if ((size_t)(cr + 2 - parser->line) > parser->max_line)
        return refuse_size(parser);
    if (cr + 1 == parser->end)
        return need_more(parser);
    return refuse(parser, 400, "a CR stands alone");
}

/* `cr` is where a scan stopped. Moves behind the CRLF there. */
static inline int end_line(struct parser *parser, const char *cr)
{
    if (unlikely(parser->end - cr < 2 || memcmp(cr, "\r\n", 2) != 0 ||
                 (size_t)(cr + 2 - parser->line) > parser->max_line))
        return refuse_end(parser, cr);
    parser->at = parser->line = cr + 2;
    return HTTP1_OK;
}

/* The 8 bytes "HTTP/1.0" or "HTTP/1.1"; there are at least 8 at `at`. */
static int parse_version(struct parser *parser, const char *at, unsigned *ret_minor)
{
    static const char prefix[] = { 'H', 'T', 'T', 'P', '/' };
    bool has_form = memcmp(at, prefix, sizeof(prefix)) == 0 && at[6] == '.' &&
                    (uint8_t)(at[5] - '0') < 10 && (uint8_t)(at[7] - '0') < 10;
    if (!has_form)
        return refuse(parser, 400, "the HTTP version is malformed");
    if (at[5] != '1' || at[7] > '1')
        return refuse(parser, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    *ret_minor = (unsigned)(at[7] - '0');
    return HTTP1_OK;
}

static int parse_request_line(struct parser *parser, struct http_head *head)
{
    const char *method = parser->at;
    const char *at = scan_token(method, parser->end);
    if (at == parser->end)
        return need_more(parser);
    if (at == method || *at != ' ')
        return refuse_at(parser, at, 400, "the method is malformed");
    head->method = (struct span){ method, (size_t)(at - method) };

    const char *target = at + 1;
    at = scan_target(target, parser->end);
    if (at == parser->end)
        return need_more(parser);
    if (at == target || *at != ' ')
        return refuse_at(parser, at, 400, "the request target holds a forbidden byte");
    head->target = (struct span){ target, (size_t)(at - target) };

    const char *version = at + 1;
    if (parser->end - version < 8)
        return need_more(parser);
    if ((size_t)(version + 10 - parser->line) > parser->max_line)
        return refuse_size(parser);
    int r = parse_version(parser, version, &head->minor_version);
    if (r)
        return r;
    const char *cr = version + 8;
    if (cr < parser->end && *cr != '\r')
        return refuse(parser, 400, "the request line does not end after its version");
    return end_line(parser, cr);
}

static int parse_status_line(struct parser *parser, struct http_head *head)
{
    const char *version = parser->at, *code = version + 9;
    if (parser->end - version < 13)
        return need_more(parser);
    if (parser->max_line < 13)
        return refuse_size(parser);
    int r = parse_version(parser, version, &head->minor_version);
    if (r)
        return r;

    uint64_t status = 0;
    if (version[8] != ' ' || !span_to_uint((struct span){ code, 3 }, 599, &status) || status < 100)
        return refuse(parser, 502, "the status is malformed");
    head->status = (unsigned)status;

    /* A status line that ends right after the code is not by the grammar, but many servers send
     * it and there is only one way to read it. */
    const char *reason = code + 3;
    if (*reason == ' ') {
        reason++;
    } else if (*reason != '\r') {
        return refuse(parser, 502, "the status is malformed");
    }
    const char *stop = scan_value(version, reason, parser->end);
    head->reason = (struct span){ reason, (size_t)(stop - reason) };
    return end_line(parser, stop);
}

/* What is wrong at the first byte that does not belong to a name. */
static int refuse_name(struct parser *parser, const char *at)
{
    const char *text = "a field name holds a forbidden byte";
    if (at == parser->line && byte_is_blank(*at)) {
        text = "a field line starts with white space";
    } else if (byte_is_blank(*at)) {
        text = "white space stands before a colon";
    } else if (*at == ':') {
        text = "a field name is empty";
    } else if (*at == '\r' || *at == '\n') {
        text = "a field line has no colon";
    }
    return refuse_at(parser, at, 400, text);
}

/* Reads the name at the start of a line when it is one of ours, or made of ordinary bytes, and
 * ends in the first vector: nearly always. Returns its size, 0 for what needs the longer way. */
static inline size_t read_short_name(const char *name, const char *end, enum http_name *ret_id)
{
    if (end - name < 16)
        return 0;
    bytes16 bytes = bytes16_load(name), lower = bytes16_lower(bytes);
    unsigned colons = bytes16_bits((bytes16)(bytes == ':'));
    unsigned size = colons ? (unsigned)__builtin_ctz(colons) : 0;
    if (size == 0)
        return 0;

    /* All bits up to the colon; in the comparison with the colon itself, which is the size. */
    unsigned places = (1u << size) - 1;
    enum http_name id = http1_name_guess(name, size);
    unsigned equal = bytes16_bits((bytes16)(lower == bytes16_load(http1_name_lines[id])));
    if ((~equal & (places << 1 | 1)) == 0) {
        *ret_id = id;
        return size;
    }
    *ret_id = HTTP_OTHER;
    return (~bytes16_in_name(bytes) & places) == 0 ? size : 0;
}

/* As above for any name, in place. Answers as the parser's. */
static int read_long_name(struct parser *parser, struct http_field *field)
{
    const char *name = parser->at;
    const char *colon = scan_token(name, parser->end);
    if (colon == parser->end)
        return need_more(parser);
    if (*colon != ':' || colon == name)
        return refuse_name(parser, colon);

    field->name = (struct span){ name, (size_t)(colon - name) };
    field->id = http1_name_of_token(field->name);
    field->has_underscore = memchr(name, '_', field->name.size) != NULL;
    return HTTP1_OK;
}

static int parse_field(struct parser *parser, struct http_head *head, struct http1_seen *seen)
{
    if (unlikely(head->n_fields == parser->max_fields))
        return refuse(parser, 431, "there are too many fields");
    struct http_field *field = &head->fields[head->n_fields];
    struct span name = { parser->at, 0 };
    enum http_name id = HTTP_OTHER;
    name.size = read_short_name(name.data, parser->end, &id);
    field->has_underscore = false;
    int r = HTTP1_OK;
    if (unlikely(!name.size)) {
        r = read_long_name(parser, field);
        if (r)
            return r;
        name = field->name;
        id = field->id;
    }

    const char *value = name.data + name.size + 1;
    const char *stop = scan_value(name.data, value, parser->end);
    while (value < stop && (uint8_t)*value <= ' ') /* a space or a tab, after that scan */
        value++;
    r = end_line(parser, stop);
    if (unlikely(r))
        return r;

    bool has_one_space = value == name.data + name.size + 2 && value[-1] == ' ';
    field->is_canonical = has_one_space && (value == stop || (uint8_t)stop[-1] > ' ');
    while (stop > value && (uint8_t)stop[-1] <= ' ')
        stop--;
    head->n_fields++;
    field->name = name;
    field->value = (struct span){ value, (size_t)(stop - value) };
    field->id = id;
    field->is_hop_by_hop = http1_is_hop_by_hop(id);

    uint64_t bit = http1_bit(id);
    if (!(seen->names & bit)) {
        head->by_name[id] = (uint16_t)head->n_fields;
    } else {
        seen->repeated |= bit;
    }
    seen->names |= bit;
    return HTTP1_OK;
}

static int parse_fields(struct parser *parser, struct http_head *head, struct http1_seen *seen)
{
    parser->is_in_start_line = false;
    head->n_fields = 0;
    memset(head->by_name, 0, sizeof(head->by_name));

    while (parser->at < parser->end && *parser->at != '\r') {
        int r = parse_field(parser, head, seen);
        if (r)
            return r;
    }
    head->by_name[HTTP_OTHER] = 0;
    return end_line(parser, parser->at);
}

static struct parser parser_of(struct span bytes, const struct http1_limits *limits,
                               struct http1_error *error)
{
    bool is_cut = bytes.size >= limits->head;
    size_t size = is_cut ? limits->head : bytes.size;
    return (struct parser){
        .at = bytes.data,
        .line = bytes.data,
        .end = bytes.data + size,
        .max_line = limits->line,
        .max_fields =
            limits->fields && limits->fields < HTTP1_MAX_FIELDS ? limits->fields : HTTP1_MAX_FIELDS,
        .error = error,
        .is_cut = is_cut,
        .is_in_start_line = true,
    };
}

int http1_parse_request(struct span bytes, const struct http1_limits *limits,
                        struct http_head *ret_head, struct http1_error *ret_error)
{
    if (!bytes.size)
        return HTTP1_MORE;
    struct parser parser = parser_of(bytes, limits, ret_error);
    struct http1_seen seen = { 0 };
    int r;

    /* One empty line before the request is skipped (RFC 9112 section 2.2): old clients send it
     * behind a body. */
    if (parser.at < parser.end && *parser.at == '\r') {
        r = end_line(&parser, parser.at);
        if (r)
            return r;
    }
    r = parse_request_line(&parser, ret_head);
    if (r)
        return r;
    const char *text = http1_read_target(ret_head);
    if (text)
        return refuse(&parser, 400, text);
    r = parse_fields(&parser, ret_head, &seen);
    if (r)
        return r;

    ret_head->size = (size_t)(parser.at - bytes.data);
    ret_head->status = 0;
    ret_head->reason = SPAN_NULL;
    return http1_read_request(ret_head, &seen, ret_error);
}

int http1_parse_response(struct span bytes, struct span method, const struct http1_limits *limits,
                         struct http_head *ret_head, struct http1_error *ret_error)
{
    if (!bytes.size)
        return HTTP1_MORE;
    struct parser parser = parser_of(bytes, limits, ret_error);
    struct http1_seen seen = { 0 };
    parser.is_response = true;

    int r = parse_status_line(&parser, ret_head);
    if (r)
        return r;
    r = parse_fields(&parser, ret_head, &seen);
    if (r)
        return r;

    ret_head->size = (size_t)(parser.at - bytes.data);
    ret_head->method = ret_head->target = ret_head->path_and_query = ret_head->authority =
        SPAN_NULL;
    ret_head->form = HTTP_TARGET_ORIGIN;
    ret_head->expects_continue = false;
    return http1_read_response(ret_head, method, &seen, ret_error);
}

int http1_parse_trailers(struct span bytes, const struct http1_limits *limits,
                         struct http_head *ret_head, struct http1_error *ret_error)
{
    if (!bytes.size)
        return HTTP1_MORE;
    struct parser parser = parser_of(bytes, limits, ret_error);
    struct http1_seen seen = { 0 };
    int r = parse_fields(&parser, ret_head, &seen);
    if (r)
        return r;
    ret_head->size = (size_t)(parser.at - bytes.data);
    http1_drop_forbidden_trailers(ret_head);
    return HTTP1_OK;
}
