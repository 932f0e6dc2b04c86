/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Everything written here is either the bytes of a field that the parser has taken, or made here
 * from such bytes and constants, so nothing is checked a second time. Names of ours have small
 * letters, as they must in HTTP/2, where names with capitals have to be copied first.
 */

#include "gateway/forward_headers.h"

#include "base/hash.h"
#include "codec/grpc.h"
#include "gateway/cookie.h"
#include "io/tls.h"

#define REQUEST_ID_MAX 128u
#define FORWARD_LIST_MAX 4096u /* of an X-Forwarded-For that is passed on */

/* All of put_forwarded() but host and scheme. */
#define FORWARDED_MAX (FORWARD_LIST_MAX + INET6_ADDRSTRLEN + 128u)

/* --- writing --- */

/* Where `size` bytes can be written; NULL, once and for all, when they do not fit. */
static char *begin(struct http1_out *out, size_t size)
{
    if (unlikely(out->is_full || size > out->capacity - out->size)) {
        out->is_full = true;
        return NULL;
    }
    return out->data + out->size;
}

static void end(struct http1_out *out, const char *at)
{
    out->size = (size_t)(at - out->data);
}

static inline char *add(char *at, struct span text)
{
    if (text.size)
        memcpy(at, text.data, text.size);
    return at + text.size;
}

/* A line with a value that is known to be legal. `name` comes with its colon and space. */
static inline void put_line(struct http1_out *out, struct span name, struct span value)
{
    char *at = begin(out, name.size + value.size + 2);
    if (!at)
        return;
    at = add(at, name);
    at = add(at, value);
    end(out, add(at, SPAN("\r\n")));
}

/* Lines of the head that stand together and go on as they came. */
struct run {
    struct span lines;
};

static inline void run_flush(struct run *run, struct http1_out *out)
{
    if (run->lines.size)
        http1_put(out, run->lines);
    run->lines = SPAN_NULL;
}

static inline void run_pass(struct run *run, struct http1_out *out, const struct http_field *field)
{
    if (unlikely(!field->is_canonical)) {
        run_flush(run, out);
        http1_put_parsed(out, field);
        return;
    }
    struct span line = http_field_line(field);
    if (run->lines.size && run->lines.data + run->lines.size == line.data) {
        run->lines.size += line.size;
        return;
    }
    run_flush(run, out);
    run->lines = line;
}

/* --- names --- */

_Static_assert(HTTP_N_NAMES <= 64, "a set of names is a word");

#define NAME(id) ((uint64_t)1 << (id))

/* Names that only we say. */
#define NAMES_OURS                                                                                 \
    (NAME(HTTP_SARSEN_BOM) | NAME(HTTP_SARSEN_BUILD) | NAME(HTTP_SARSEN_CALLER) |                  \
     NAME(HTTP_SARSEN_CONTRACT) | NAME(HTTP_SARSEN_CUSTOMER) | NAME(HTTP_SARSEN_DEADLINE) |        \
     NAME(HTTP_SARSEN_SERVICE))

#define NAMES_FRAMING (NAME(HTTP_CONTENT_LENGTH) | NAME(HTTP_TRANSFER_ENCODING))

/* What never goes on to a service, or is written anew. */
#define NAMES_REPLACED                                                                             \
    (NAMES_OURS | NAMES_FRAMING | NAME(HTTP_HOST) | NAME(HTTP_EXPECT) | NAME(HTTP_DATE) |          \
     NAME(HTTP_BAGGAGE) | NAME(HTTP_TRACEPARENT) | NAME(HTTP_TRACESTATE) |                         \
     NAME(HTTP_X_REQUEST_ID) | NAME(HTTP_X_FORWARDED_FOR) | NAME(HTTP_X_FORWARDED_HOST) |          \
     NAME(HTTP_X_FORWARDED_PROTO))

static bool has_prefix_nocase(struct span name, struct span prefix)
{
    return span_equals_nocase(span_first(name, prefix.size), prefix);
}

/* In either spelling: a CGI-like reader folds "_" to "-". */
static inline bool is_ours(struct span name)
{
    return (name.data[0] | 0x20) == 's' &&
           (has_prefix_nocase(name, SPAN("sarsen-")) || has_prefix_nocase(name, SPAN("sarsen_")));
}

/* Names no client may use towards a service. "Sarsen_Customer" would reach a Rack or CGI
 * application under the very name that a gateway's own header has. */
static inline bool is_forged(const struct http_field *field)
{
    struct span name = field->name;
    if (field->has_underscore)
        return true;
    return (name.data[0] | 0x20) == 'x' && (has_prefix_nocase(name, SPAN("x-forwarded-")) ||
                                            span_equals_nocase(name, SPAN("x-real-ip")));
}

/* --- what goes to a service --- */

/* Our cookie is between the browser and us. */
static void put_cookie(struct http1_out *out, const struct http_field *field)
{
    char *start = begin(out, field->value.size + sizeof("cookie: \r\n"));
    if (!start)
        return;
    char *value = add(start, SPAN("cookie: "));
    size_t size = cookie_strip(field->value, value);
    if (size)
        end(out, add(value + size, SPAN("\r\n")));
}

/* By its route, a field of a name that is not well known. */
static inline bool is_taken_out(const struct field_rules *rules, struct span name)
{
    return unlikely(rules != NULL) && rules->n_names && field_rules_name(rules, name);
}

/* A client's lines from `first` on, without those whose names are in `dropped`. */
static void pass_request_fields(const struct forward_context *context, unsigned first,
                                uint64_t dropped, struct run *run, struct http1_out *out)
{
    const struct http_head *head = context->head;
    for (unsigned i = first; i < head->n_fields; i++) {
        const struct http_field *field = &head->fields[i];
        if (field->is_hop_by_hop || (dropped & NAME(field->id)))
            continue;
        if (field->id == HTTP_COOKIE) {
            run_flush(run, out);
            put_cookie(out, field);
            continue;
        }
        /* Fields with a known name are none of those below, so most fields end here. */
        if (field->id == HTTP_OTHER &&
            (is_ours(field->name) || (!context->is_internal && is_forged(field)) ||
             is_taken_out(context->rules, field->name)))
            continue;
        run_pass(run, out, field);
    }
    run_flush(run, out);
}

/* Adds what the caller's X-Forwarded-For fields say, in one list. One that is longer than we pass on
 * says nothing trustworthy, and nothing is added. */
static char *add_forwarded_list(char *at, const struct http_head *head)
{
    char *list = at;
    for (unsigned i = head->by_name[HTTP_X_FORWARDED_FOR] - 1u; i < head->n_fields; i++) {
        struct span value = head->fields[i].value;
        if (head->fields[i].id != HTTP_X_FORWARDED_FOR || !value.size)
            continue;
        if ((size_t)(at - list) + value.size + 2 > FORWARD_LIST_MAX)
            return list;
        at = add(at, at == list ? SPAN_NULL : SPAN(", "));
        at = add(at, value);
    }
    return at;
}

/* All lines of the list and the peer in one line: many applications read the first line only. */
static char *add_forwarded_for(char *line, const struct forward_context *context)
{
    bool goes_on = context->is_internal && context->head->by_name[HTTP_X_FORWARDED_FOR];
    char *list = add(line, SPAN("x-forwarded-for: "));
    char *list_end = goes_on ? add_forwarded_list(list, context->head) : list;
    char *peer = list_end == list ? list : add(list_end, SPAN(", "));
    char *peer_end = context->peer ? address_put_host(peer, context->peer) : peer;
    char *at = peer_end == peer ? list_end : peer_end;
    return at == list ? line : add(at, SPAN("\r\n"));
}

/* Who the client has proved to be; nobody else can say so, for the name is ours. A line for each, as
 * a URI may have commas. */
static RARE void put_client_names(const struct tls_peer *peer, struct http1_out *out)
{
    for (unsigned i = 0; i < peer->n_names; i++) {
        struct span text = peer->names[i].text;
        char *at = begin(out, text.size + 32);
        if (!at)
            return;
        end(out, add(add(add(at, SPAN("sarsen-client-san: ")), text), SPAN("\r\n")));
    }
}

static void put_forwarded(const struct forward_context *context, struct http1_out *out)
{
    const struct http_head *head = context->head;
    struct span host = SPAN_NULL, scheme = SPAN_NULL;
    if (context->is_internal) {
        host = http_head_value(head, HTTP_X_FORWARDED_HOST);
        scheme = http_head_value(head, HTTP_X_FORWARDED_PROTO);
    }
    if (!host.size)
        host = head->authority;
    if (!scheme.size)
        scheme = context->is_secure ? SPAN("https") : SPAN("http");

    char *at = begin(out, FORWARDED_MAX + host.size + scheme.size);
    if (!at)
        return;
    at = add_forwarded_for(at, context);
    if (host.size) /* a client of HTTP/1.0 need not name one */
        at = add(add(add(at, SPAN("x-forwarded-host: ")), host), SPAN("\r\n"));
    at = add(add(at, SPAN("x-forwarded-proto: ")), scheme);
    struct span version = head->minor_version ? SPAN("1.1") : SPAN("1.0");
    at = add(add(at, SPAN("\r\nvia: ")), unlikely(head->is_http2) ? SPAN("2.0") : version);
    end(out, add(at, SPAN(" " FORWARD_VIA "\r\n")));
    if (unlikely(context->tls) && context->tls->is_verified)
        put_client_names(context->tls, out);
}

/* Exactly one, printable and of bounded size: it ends up in everybody's logs. */
static bool request_id_is_sane(const struct http_head *head)
{
    struct span id = http_head_value(head, HTTP_X_REQUEST_ID);
    if (id.size == 0 || id.size > REQUEST_ID_MAX || !http_head_has_one(head, HTTP_X_REQUEST_ID))
        return false;
    for (size_t i = 0; i < id.size; i++) {
        if (id.data[i] <= ' ' || id.data[i] > '~')
            return false;
    }
    return true;
}

/* Of a valid one, which always has it. */
static struct span trace_id(struct span traceparent)
{
    return (struct span){ traceparent.data + 3, 32 };
}

static void tell_ids(const struct forward_context *context, struct span own, struct span trace,
                     struct span request)
{
    struct forward_ids *ids = context->ret_ids;
    memcpy(ids->own, own.data, sizeof(ids->own));
    struct span kept = { ids->own, sizeof(ids->own) };
    ids->trace = trace.data == own.data ? kept : trace;
    ids->request = request.data == own.data ? kept : request;
}

/* A trace that comes in goes on as it is; one that starts here also names the request. What an
 * edge client calls its request is not believed: it would choose the line that others find. */
struct trace {
    bool goes_on, has_id;
};

static struct trace trace_of(const struct forward_context *context)
{
    const struct http_head *head = context->head;
    return (struct trace){
        .goes_on = http_head_has_one(head, HTTP_TRACEPARENT) &&
                   traceparent_is_valid(http_head_value(head, HTTP_TRACEPARENT)),
        .has_id = context->is_internal && request_id_is_sane(head),
    };
}

/* The names of it that go on as they came. */
static uint64_t trace_names(struct trace trace)
{
    return (trace.goes_on ? NAME(HTTP_TRACEPARENT) | NAME(HTTP_TRACESTATE) : 0) |
           (trace.has_id ? NAME(HTTP_X_REQUEST_ID) : 0);
}

static void put_trace(const struct forward_context *context, struct http1_out *out)
{
    const struct http_head *head = context->head;
    struct trace trace = trace_of(context);
    char text[TRACEPARENT_SIZE + 1];
    struct span own = { text, TRACEPARENT_SIZE };
    if (!trace.goes_on || !(trace.has_id || context->is_internal)) {
        uint64_t random[3];
        for (unsigned i = 0; i < 3; i++)
            random[i] = random_next(context->random);
        traceparent_format((const uint8_t *)random, text);
    }
    struct span went = trace.goes_on ? http_head_value(head, HTTP_TRACEPARENT) : own;
    struct span id = trace_id(context->is_internal ? went : own);
    char *at = begin(out, 2 * TRACEPARENT_SIZE + 64);
    if (!at)
        return;
    if (!trace.goes_on) {
        at = add(at, SPAN("traceparent: "));
        at = add(at, (struct span){ text, TRACEPARENT_SIZE });
        at = add(at, SPAN("\r\n"));
    }
    if (!trace.has_id) {
        at = add(at, SPAN("x-request-id: "));
        at = add(at, id);
        at = add(at, SPAN("\r\n"));
    }
    end(out, at);
    if (unlikely(context->ret_ids != NULL)) {
        tell_ids(context, trace_id(own), trace_id(went),
                 trace.has_id ? http_head_value(head, HTTP_X_REQUEST_ID) : id);
    }
}

static void put_baggage(const struct forward_context *context, struct http1_out *out)
{
    static const struct span name = SPAN("baggage: ");
    size_t start = out->size;
    http1_put(out, name);
    baggage_put(out, context->head, context->ours);
    if (out->size == start + name.size) {
        out->size = start;
    } else {
        http1_put(out, SPAN("\r\n"));
    }
}

static void put_deadline(const struct forward_context *context, struct http1_out *out)
{
    if (likely(!context->deadline_ms))
        return;
    http1_put_field_uint(out, SPAN("sarsen-deadline"), context->deadline_ms);
    if (context->is_grpc) {
        char memory[GRPC_TIMEOUT_MAX];
        put_line(out, SPAN("grpc-timeout: "), grpc_timeout_format(context->grpc_timeout, memory));
    }
}

/* RFC 9110 section 7.6.2; whoever may send no further has been answered before. */
static void put_max_forwards(const struct forward_context *context, struct http1_out *out)
{
    uint64_t left = 0;
    if (span_to_uint(http_head_value(context->head, HTTP_MAX_FORWARDS), UINT32_MAX, &left) && left)
        http1_put_field_uint(out, SPAN("max-forwards"), left - 1);
}

void forward_fields(const struct forward_context *context, struct http1_out *out)
{
    const struct http_head *head = context->head;
    struct run run = { SPAN_NULL };
    unsigned first = 0;
    uint64_t dropped = NAMES_REPLACED & ~trace_names(trace_of(context));
    if (!context->is_internal)
        dropped |= NAME(HTTP_FORWARDED);
    if (unlikely(head->by_name[HTTP_MAX_FORWARDS] && forward_counts_hops(head)))
        dropped |= NAME(HTTP_MAX_FORWARDS);
    if (unlikely(context->rules != NULL))
        dropped |= context->rules->known;
    if (unlikely(context->is_grpc))
        dropped |=
            NAME(HTTP_GRPC_TIMEOUT) | (context->content_type.size ? NAME(HTTP_CONTENT_TYPE) : 0);
    /* Host first (RFC 9112 section 3.2): as it came, where that is how it came. */
    if (unlikely(context->host.size)) {
        put_line(out, SPAN("host: "), context->host);
    } else if (head->form == HTTP_TARGET_ORIGIN && head->by_name[HTTP_HOST] == 1) {
        run_pass(&run, out, &head->fields[0]);
        first = 1;
    } else {
        put_line(out, SPAN("host: "), head->authority);
    }
    pass_request_fields(context, first, dropped, &run, out);
    if (unlikely(head->expects_continue))
        http1_put(out, SPAN("expect: 100-continue\r\n"));
    if (unlikely((head->accepts_trailers && head->minor_version) || context->is_grpc))
        http1_put(out, SPAN("te: trailers\r\nconnection: te\r\n"));
    if (unlikely(context->content_type.size != 0))
        put_line(out, SPAN("content-type: "), context->content_type);
    put_forwarded(context, out);
    put_baggage(context, out);
    if (unlikely(context->rules != NULL))
        http1_put(out, context->rules->lines);
}

void forward_trace(const struct forward_context *context, struct http1_out *out)
{
    put_trace(context, out);
    put_deadline(context, out);
    if (unlikely(context->head->by_name[HTTP_MAX_FORWARDS] && forward_counts_hops(context->head)))
        put_max_forwards(context, out);
}

bool forward_counts_hops(const struct http_head *head)
{
    return span_equals(head->method, SPAN("OPTIONS")) || span_equals(head->method, SPAN("TRACE"));
}

/* --- what goes to a client --- */

static bool is_cookie_of_ours(struct span set_cookie)
{
    struct span name = span_trim(span_first(set_cookie, span_find(set_cookie, '=')));
    return span_equals(name, SPAN(COOKIE_NAME));
}

bool forward_has_date(const struct http_head *head)
{
    return http_head_has_one(head, HTTP_DATE);
}

void forward_answerer(struct span bom, struct span contract, struct span build,
                      struct http1_out *out)
{
    static const struct span names[] = { SPAN("sarsen-bom: "), SPAN("\r\nsarsen-contract: "),
                                         SPAN("\r\nsarsen-build: ") };
    char *at = begin(out, bom.size + contract.size + build.size + 64);
    if (!at)
        return;
    at = add(add(at, names[0]), bom);
    at = add(add(at, names[1]), contract);
    at = add(add(at, names[2]), build);
    end(out, add(at, SPAN("\r\n")));
}

void forward_response(const struct http_head *head, const struct forward_answer *ours,
                      struct http1_out *out)
{
    struct run run = { SPAN_NULL };
    uint64_t dropped = NAMES_OURS | NAMES_FRAMING;
    if (!forward_has_date(head))
        dropped |= NAME(HTTP_DATE);
    if (unlikely(ours->rules != NULL))
        dropped |= ours->rules->known;
    if (unlikely(ours->content_type.size != 0)) {
        dropped |= NAME(HTTP_CONTENT_TYPE);
        put_line(out, SPAN("content-type: "), ours->content_type);
    }
    if (ours->set_cookie.size)
        put_line(out, SPAN("set-cookie: "), ours->set_cookie);
    for (unsigned i = 0; i < head->n_fields; i++) {
        const struct http_field *field = &head->fields[i];
        if (field->is_hop_by_hop || (dropped & NAME(field->id)))
            continue;
        if ((field->id == HTTP_SET_COOKIE && is_cookie_of_ours(field->value)) ||
            (field->id == HTTP_OTHER &&
             (is_ours(field->name) || is_taken_out(ours->rules, field->name))))
            continue;
        run_pass(&run, out, field);
    }
    run_flush(&run, out);
    if (unlikely(ours->rules != NULL))
        http1_put(out, ours->rules->lines);
}
