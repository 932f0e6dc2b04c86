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
RARE static int refuse_end(struct parser *parser, const char *cr)
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

/* Reads the 8 bytes at `at`; false unless they are a version we speak. */
static inline bool read_version(const char *at, unsigned *ret_minor)
{
    *ret_minor = (unsigned)(at[7] - '0');
    return memcmp(at, "HTTP/1.", 7) == 0 && *ret_minor <= 1;
}

/* What is wrong with the 8 bytes at `at`, if anything. */
static int check_version(struct parser *parser, const char *at)
{
    unsigned minor;
    if (read_version(at, &minor))
        return HTTP1_OK;
    bool has_form = memcmp(at, "HTTP/", 5) == 0 && at[6] == '.' && (uint8_t)(at[5] - '0') < 10 &&
                    (uint8_t)(at[7] - '0') < 10;
    if (!has_form)
        return refuse(parser, 400, "the HTTP version is malformed");
    return refuse(parser, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
}

/* What is wrong with a request line from its version on, or that it is not complete. */
RARE static int refuse_version(struct parser *parser, const char *version)
{
    if (parser->end - version < 8)
        return need_more(parser);
    if ((size_t)(version + 10 - parser->line) > parser->max_line)
        return refuse_size(parser);
    int r = check_version(parser, version);
    if (r)
        return r;
    const char *cr = version + 8;
    if (cr < parser->end && *cr != '\r')
        return refuse(parser, 400, "the request line does not end after its version");
    return refuse_end(parser, cr);
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

    const char *version = at + 1, *next = version + 10;
    bool is_whole = parser->end - version >= 10 && read_version(version, &head->minor_version) &&
                    memcmp(version + 8, "\r\n", 2) == 0 &&
                    (size_t)(next - parser->line) <= parser->max_line;
    if (unlikely(!is_whole))
        return refuse_version(parser, version);
    parser->at = parser->line = next;
    return HTTP1_OK;
}

/* Takes the status line that nearly all responses have. */
static inline bool take_plain_status_line(struct parser *parser, struct http_head *head)
{
    static const struct span plain = SPAN("HTTP/1.1 200 OK\r\n");
    const char *line = parser->at;
    if ((size_t)(parser->end - line) < plain.size || parser->max_line < plain.size ||
        memcmp(line, plain.data, plain.size) != 0)
        return false;

    head->minor_version = 1;
    head->status = 200;
    head->reason = (struct span){ line + plain.size - 4, 2 };
    parser->at = parser->line = line + plain.size;
    return true;
}

static int parse_status_line(struct parser *parser, struct http_head *head)
{
    if (likely(take_plain_status_line(parser, head)))
        return HTTP1_OK;
    const char *version = parser->at, *code = version + 9;
    if (parser->end - version < 13)
        return need_more(parser);
    if (parser->max_line < 13)
        return refuse_size(parser);
    if (unlikely(!read_version(version, &head->minor_version)))
        return check_version(parser, version);

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
    const char *stop = scan_value(reason, parser->end);
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

/* Reads the name of a field in its first vector of bytes, when it is one of ours or made of letters,
 * digits and "-". No control byte stands in a name that is then taken. NULL for all others. */
static inline const struct http1_known *read_name(const char *name, size_t *ret_size)
{
    bytes16 bytes = bytes16_load(name);
    unsigned colons = bytes16_bits((bytes16)(bytes == ':')) & ~1u; /* a name is not empty */
    if (unlikely(!colons))
        return NULL;

    /* Setting bit 5 makes capitals small. No byte but a control turns into one of a name by it. */
    unsigned size = first_bit(colons);
    const struct http1_known *known = http1_name_guess(name, size);
    unsigned differences = ~bytes16_bits((bytes16)((bytes | 0x20) == bytes16_load(known->line)));
    *ret_size = size;
    if (likely(first_bit(differences) > size))
        return known;
    return first_bit(~bytes16_in_name(bytes)) == size ? http1_known_names : NULL;
}

/* Takes a line that is as nearly all lines are: a short name of ordinary bytes, one space, a value
 * of visible ASCII and spaces. Returns what follows it, or NULL for any other line, about which
 * nothing is decided. At least 16 bytes can be read at the line, and 2 at every stop. */
static inline const char *take_plain_field(const char *name, struct stops *stops,
                                           struct http_field *field)
{
    const char *stop = stops_next(stops, name);
    size_t size;
    const struct http1_known *known = read_name(name, &size);
    if (unlikely(!known))
        return NULL;
    const char *value = name + size + 2;
    bool is_plain = stop > value && value[-1] == ' ' && value[0] != ' ' && stop[-1] != ' ' &&
                    memcmp(stop, "\r\n", 2) == 0;
    if (unlikely(!is_plain))
        return NULL;

    field->name = (struct span){ name, size };
    field->value = (struct span){ value, (size_t)(stop - value) };
    field->id = known->id;
    field->is_hop_by_hop = known->is_hop_by_hop;
    field->has_underscore = false;
    field->is_canonical = true;
    return stop + 2;
}

/* Takes any line, or says what is wrong with it. */
RARE static int parse_field(struct parser *parser, struct http_field *field)
{
    const char *name = parser->at;
    const char *colon = scan_token(name, parser->end);
    if (colon == parser->end)
        return need_more(parser);
    if (*colon != ':' || colon == name)
        return refuse_name(parser, colon);

    const char *value = colon + 1;
    const char *cr = scan_value(value, parser->end), *stop = cr;
    int r = end_line(parser, cr);
    if (r)
        return r;
    while (value < stop && byte_is_blank(*value))
        value++;
    while (stop > value && byte_is_blank(stop[-1]))
        stop--;

    field->name = (struct span){ name, (size_t)(colon - name) };
    field->value = (struct span){ value, (size_t)(stop - value) };
    const struct http1_known *known = http1_name_of_token(field->name);
    field->id = known->id;
    field->is_hop_by_hop = known->is_hop_by_hop;
    field->has_underscore = memchr(name, '_', field->name.size) != NULL;
    field->is_canonical = value == colon + 2 && colon[1] == ' ' && stop == cr;
    return HTTP1_OK;
}

/* Counts field number `n` in. */
static inline void add_field(struct http_head *head, unsigned n, enum http_name id,
                             uint64_t *repeated)
{
    if (!head->by_name[id]) {
        head->by_name[id] = (uint8_t)(n + 1);
    } else {
        *repeated |= http1_bit(id);
    }
}

/* The first plain line from `at` on that is too long, if there is one, or `end`. */
RARE static const char *find_long_line(const struct http_field *field, const char *at,
                                       const char *end, size_t max_line)
{
    for (; at < end; field++) {
        struct span line = http_field_line(field);
        if (line.size > max_line)
            return at;
        at += line.size;
    }
    return end;
}

/* Takes plain lines, as many as stand one after the other; their fields are number `n` and
 * following. Returns the number of fields then. */
static inline unsigned take_plain_fields(struct parser *parser, struct http_head *head, unsigned n,
                                         uint64_t *repeated)
{
    if (parser->end - parser->at < 16)
        return n;
    const char *at = parser->at, *vectors_end = parser->end - 15, *next;
    struct http_field *field = &head->fields[n], *first = field;
    struct stops stops;
    stops_init(&stops, at, parser->end - 2);
    while (at < vectors_end && n < parser->max_fields) {
        next = take_plain_field(at, &stops, field);
        if (!next)
            break;
        at = next;
        add_field(head, n++, field++->id, repeated);
    }
    /* Together they are hardly ever longer than one may be. From the line on that is too long, all
     * are left to the longer way, which refuses it. */
    if (unlikely((size_t)(at - parser->at) > parser->max_line))
        at = find_long_line(first, parser->at, at, parser->max_line);
    parser->at = parser->line = at;
    return n;
}

static int parse_fields(struct parser *parser, struct http_head *head, uint64_t *ret_repeated)
{
    uint64_t repeated = 0;
    unsigned n = 0;
    memset(head->by_name, 0, sizeof(head->by_name));
    parser->is_in_start_line = false;

    for (;;) {
        n = take_plain_fields(parser, head, n, &repeated);
        if (parser->at == parser->end || *parser->at == '\r')
            break;
        if (n == parser->max_fields)
            return refuse(parser, 431, "there are too many fields");
        int r = parse_field(parser, &head->fields[n]);
        if (r)
            return r;
        add_field(head, n, head->fields[n].id, &repeated);
        n++;
    }
    head->n_fields = n;
    head->by_name[HTTP_OTHER] = 0;
    *ret_repeated = head->repeated = repeated;
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
    uint64_t repeated;
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
    r = parse_fields(&parser, ret_head, &repeated);
    if (r)
        return r;

    ret_head->size = (size_t)(parser.at - bytes.data);
    ret_head->status = 0;
    ret_head->reason = SPAN_NULL;
    ret_head->is_http2 = false;
    return http1_read_request(ret_head, repeated, ret_error);
}

/* What fields mean depends on the version, and Host on the target's form. */
bool http1_parse_request_line(struct span line, const struct http1_limits *limits,
                              struct http_head *head)
{
    struct http1_error error;
    struct parser parser = parser_of(line, limits, &error);
    unsigned minor_version = head->minor_version;
    if (head->form != HTTP_TARGET_ORIGIN || head->by_name[HTTP_UPGRADE] ||
        parse_request_line(&parser, head) || parser.at != parser.end ||
        head->minor_version != minor_version || head->target.data[0] != '/' ||
        span_equals(head->method, SPAN("CONNECT")))
        return false;
    head->path_and_query = head->target;
    return true;
}

int http1_parse_response(struct span bytes, struct span method, const struct http1_limits *limits,
                         struct http_head *ret_head, struct http1_error *ret_error)
{
    if (!bytes.size)
        return HTTP1_MORE;
    struct parser parser = parser_of(bytes, limits, ret_error);
    uint64_t repeated;
    parser.is_response = true;

    int r = parse_status_line(&parser, ret_head);
    if (r)
        return r;
    r = parse_fields(&parser, ret_head, &repeated);
    if (r)
        return r;

    ret_head->size = (size_t)(parser.at - bytes.data);
    ret_head->method = ret_head->target = ret_head->path_and_query = ret_head->authority =
        SPAN_NULL;
    ret_head->form = HTTP_TARGET_ORIGIN;
    ret_head->expects_continue = ret_head->is_http2 = false;
    return http1_read_response(ret_head, method, repeated, ret_error);
}

int http1_parse_trailers(struct span bytes, const struct http1_limits *limits,
                         struct http_head *ret_head, struct http1_error *ret_error)
{
    if (!bytes.size)
        return HTTP1_MORE;
    struct parser parser = parser_of(bytes, limits, ret_error);
    uint64_t repeated;
    int r = parse_fields(&parser, ret_head, &repeated);
    if (r)
        return r;
    ret_head->size = (size_t)(parser.at - bytes.data);
    http1_drop_forbidden_trailers(ret_head);
    return HTTP1_OK;
}
