/* SPDX-License-Identifier: Apache-2.0 */

/* A whole message read, written as a proxy does, and read again: it means the same, nothing is left
 * over, and to write it once more makes the very same bytes. The first byte chooses request or
 * response, and in which pieces bodies are decoded. */

#include "base/buf.h"
#include "head.h"

static const struct http1_limits wide = { .head = 1 << 20, .line = 1 << 20 };

struct message {
    struct http_head head, trailers;
    struct buf body, trailer_section;
    size_t size; /* of all of it */
};

static void message_fini(struct message *message)
{
    buf_fini(&message->body);
    buf_fini(&message->trailer_section);
}

static bool read_chunked(struct message *message, struct span bytes, size_t step)
{
    struct http1_chunked chunked = { 0 };
    struct http1_error error;
    int answer = HTTP1_CHUNK_MORE;
    while (bytes.size && answer == HTTP1_CHUNK_MORE) {
        struct span piece = span_first(bytes, step), rest = piece, data;
        while ((answer = http1_chunked_decode(&chunked, &rest, &data)) == HTTP1_CHUNK_DATA ||
               answer == HTTP1_CHUNK_TRAILER)
            buf_put(answer == HTTP1_CHUNK_DATA ? &message->body : &message->trailer_section, data);
        message->size += piece.size - rest.size;
        bytes = span_from(bytes, piece.size - rest.size);
    }
    if (answer != HTTP1_CHUNK_END)
        return false;
    return !message->trailer_section.size ||
           http1_parse_trailers(buf_span(&message->trailer_section), &wide, &message->trailers,
                                &error) == HTTP1_OK;
}

/* False unless it is a complete message. `method` NULL: a request. */
static bool message_read(struct message *message, struct span bytes, const char *method,
                         size_t step)
{
    struct http_head *head = &message->head;
    struct http1_error error;
    message->size = message->trailers.n_fields = 0;
    int r = method ? http1_parse_response(bytes, span_of(method), &wide, head, &error)
                   : http1_parse_request(bytes, &wide, head, &error);
    if (r != HTTP1_OK)
        return false;

    message->size = head->size;
    struct span rest = span_from(bytes, head->size);
    switch (head->framing) {
    case HTTP_BODY_NONE: return true;
    case HTTP_BODY_CHUNKED: return read_chunked(message, rest, step);
    case HTTP_BODY_LENGTH:
        if (rest.size < head->content_length)
            return false;
        rest = span_first(rest, (size_t)head->content_length);
        break;
    case HTTP_BODY_UNTIL_CLOSE: break;
    }
    buf_put(&message->body, rest);
    message->size += rest.size;
    return true;
}

static void put(struct buf *bytes, const struct http1_out *out)
{
    PROPERTY(!out->is_full);
    buf_put(bytes, (struct span){ out->data, out->size });
}

static void write_chunked(const struct message *message, struct buf *bytes, char *memory,
                          size_t capacity)
{
    struct http1_out last = { .data = memory, .capacity = capacity };
    if (message->body.size) {
        char text[24];
        struct http1_out chunk = { .data = text, .capacity = sizeof(text) };
        http1_put_chunk_head(&chunk, message->body.size);
        put(bytes, &chunk);
        buf_put(bytes, buf_span(&message->body));
        buf_puts(bytes, "\r\n");
    }
    http1_put_chunk_head(&last, 0);
    for (unsigned i = 0; i < message->trailers.n_fields; i++)
        http1_put_parsed(&last, &message->trailers.fields[i]);
    http1_put_end(&last);
    put(bytes, &last);
}

/* What is for one hop is left out, and an absolute target becomes a path. */
static void message_write(const struct message *message, struct buf *bytes)
{
    static char memory[1 << 20];
    const struct http_head *head = &message->head;
    struct http1_out out = { .data = memory, .capacity = sizeof(memory) };
    if (head->status) {
        http1_put_status_line(&out, head->status);
    } else {
        bool is_absolute = head->form == HTTP_TARGET_ABSOLUTE;
        http1_put_request_line(&out, head->method,
                               is_absolute ? head->path_and_query : head->target);
    }
    for (unsigned i = 0; i < head->n_fields; i++) {
        if (!head->fields[i].is_hop_by_hop)
            http1_put_parsed(&out, &head->fields[i]);
    }
    if (head->framing == HTTP_BODY_CHUNKED)
        http1_put_field(&out, SPAN("transfer-encoding"), SPAN("chunked"));
    http1_put_end(&out);
    put(bytes, &out);
    if (head->framing == HTTP_BODY_CHUNKED) {
        write_chunked(message, bytes, memory, sizeof(memory));
    } else {
        buf_put(bytes, buf_span(&message->body));
    }
}

/* The fields that go on, in their order. */
static const struct http_field *next_field(const struct http_head *head, unsigned *n)
{
    while (*n < head->n_fields && head->fields[*n].is_hop_by_hop)
        (*n)++;
    return *n < head->n_fields ? &head->fields[(*n)++] : NULL;
}

static void check_same_fields(const struct http_head *a, const struct http_head *b)
{
    unsigned at = 0, bt = 0;
    const struct http_field *one, *other;
    do {
        one = next_field(a, &at);
        other = next_field(b, &bt);
        PROPERTY(!one == !other);
        PROPERTY(!one || span_equals(one->name, other->name));
        PROPERTY(!one || span_equals(one->value, other->value));
        PROPERTY(!one || (other->is_canonical && other->id == one->id));
    } while (one);
}

static void check_same_message(const struct message *a, const struct message *b)
{
    const struct http_head *head = &a->head, *again = &b->head;
    PROPERTY(span_equals(head->method, again->method) && head->status == again->status);
    PROPERTY(span_equals(head->path_and_query, again->path_and_query));
    PROPERTY(span_equals_nocase(head->authority, again->authority));
    PROPERTY(head->framing == again->framing && again->minor_version == 1);
    PROPERTY(head->content_length == again->content_length);
    check_same_fields(head, again);
    check_same_fields(&a->trailers, &b->trailers);
    PROPERTY(span_equals(buf_span(&a->body), buf_span(&b->body)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = { NULL, "GET", "HEAD", "CONNECT" };
    static struct message first, second;
    struct span input = input_of(data, size);
    uint8_t choice = cut_byte(&input);
    const char *method = methods[choice % 4];

    bool is_whole = message_read(&first, input, method, 1 + choice / 4);
    /* HTTP/1.0 may leave Host out, and then there is nothing that 1.1 could be told. */
    bool has_host = method || first.head.minor_version == 1 || first.head.by_name[HTTP_HOST];
    if (is_whole && has_host) {
        struct buf written = { .limit = 0 }, again = { .limit = 0 };
        message_write(&first, &written);
        PROPERTY(message_read(&second, buf_span(&written), method, written.size));
        PROPERTY(second.size == written.size);
        check_same_message(&first, &second);
        message_write(&second, &again);
        PROPERTY(span_equals(buf_span(&written), buf_span(&again)));
        buf_fini(&written);
        buf_fini(&again);
        message_fini(&second);
    }
    message_fini(&first);
    return 0;
}
