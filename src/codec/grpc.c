/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/grpc.h"

#include <string.h>

/* --- content types --- */

#define TYPE_PLAIN "application/grpc"

/* What follows the base must be the end, a codec or parameters: "application/grpcx" is another. */
static bool has_base(struct span type, struct span base)
{
    if (!span_equals_nocase(span_first(type, base.size), base))
        return false;
    struct span rest = span_from(type, base.size);
    return rest.size == 0 || rest.data[0] == '+' || rest.data[0] == ';' || rest.data[0] == ' ' ||
           rest.data[0] == '\t';
}

enum grpc_kind grpc_kind_of(struct span content_type)
{
    if (span_equals(content_type, SPAN(TYPE_PLAIN))) /* as it nearly always is */
        return GRPC_PLAIN;
    struct span base = span_first(content_type, sizeof(TYPE_PLAIN) - 1);
    if (!span_equals_nocase(base, SPAN(TYPE_PLAIN)))
        return GRPC_NONE;
    if (has_base(content_type, SPAN(TYPE_PLAIN)))
        return GRPC_PLAIN;
    if (has_base(content_type, SPAN("application/grpc-web")))
        return GRPC_WEB;
    if (has_base(content_type, SPAN("application/grpc-web-text")))
        return GRPC_WEB_TEXT;
    return GRPC_NONE;
}

struct span grpc_codec_of(struct span content_type)
{
    struct span type = span_first(content_type, span_find(content_type, ';'));
    struct span codec = span_from(type, span_find(type, '+'));
    size_t size = 0;
    while (size < codec.size && codec.data[size] > ' ')
        size++;
    return span_first(codec, size);
}

/* --- statuses --- */

enum grpc_status grpc_status_parse(struct span text)
{
    uint64_t status;
    return span_to_uint(text, GRPC_UNAUTHENTICATED, &status) ? (enum grpc_status)status
                                                             : GRPC_UNKNOWN;
}

bool grpc_status_find(struct span lines, enum grpc_status *ret_status)
{
    bool is_found = false;
    while (lines.size) {
        struct span value = span_cut(&lines, '\n'), name = span_cut(&value, ':');
        if (!span_equals_nocase(name, SPAN("grpc-status")))
            continue;
        value = span_first(value, span_find(value, '\r'));
        *ret_status = grpc_status_parse(span_trim(value));
        is_found = true;
    }
    return is_found;
}

bool grpc_is_server_fault(enum grpc_status status)
{
    switch ((int)status) {
    case GRPC_UNKNOWN:
    case GRPC_DEADLINE_EXCEEDED:
    case GRPC_UNIMPLEMENTED:
    case GRPC_INTERNAL:
    case GRPC_UNAVAILABLE:
    case GRPC_DATA_LOSS: return true;
    default: return false;
    }
}

enum grpc_status grpc_status_of_http(unsigned status)
{
    switch (status) {
    case 400: return GRPC_INTERNAL;
    case 401: return GRPC_UNAUTHENTICATED;
    case 403: return GRPC_PERMISSION_DENIED;
    case 404: return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504: return GRPC_UNAVAILABLE;
    default: return GRPC_UNKNOWN;
    }
}

enum grpc_status grpc_status_of_reset(uint32_t code)
{
    switch (code) {
    case 7: return GRPC_UNAVAILABLE; /* REFUSED_STREAM */
    case 8: return GRPC_CANCELLED;
    case 11: return GRPC_RESOURCE_EXHAUSTED; /* ENHANCE_YOUR_CALM */
    case 12: return GRPC_PERMISSION_DENIED;  /* INADEQUATE_SECURITY */
    default: return GRPC_INTERNAL;
    }
}

/* --- times --- */

#define TIMEOUT_DIGITS 8u

static const struct {
    char letter;
    nsec size;
} units[] = {
    { 'n', 1 },
    { 'u', 1000 },
    { 'm', NSEC_PER_MSEC },
    { 'S', NSEC_PER_SEC },
    { 'M', 60 * NSEC_PER_SEC },
    { 'H', 3600 * NSEC_PER_SEC },
};

bool grpc_timeout_parse(struct span text, nsec *ret_timeout)
{
    uint64_t value = 0;
    if (text.size < 2 || text.size > TIMEOUT_DIGITS + 1 ||
        !span_to_uint(span_first(text, text.size - 1), UINT32_MAX, &value))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (units[i].letter != text.data[text.size - 1])
            continue;
        *ret_timeout = value > NSEC_NEVER / units[i].size ? NSEC_NEVER : value * units[i].size;
        return true;
    }
    return false;
}

struct span grpc_timeout_format(nsec timeout, char memory[GRPC_TIMEOUT_MAX])
{
    size_t unit = 0;
    while (timeout / units[unit].size > 99999999 && unit + 1 < sizeof(units) / sizeof(units[0]))
        unit++;
    uint64_t value = timeout / units[unit].size;
    if (value > 99999999)
        value = 99999999;
    char *at = &memory[GRPC_TIMEOUT_MAX - 1];
    *at = units[unit].letter;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return (struct span){ at, (size_t)(memory + GRPC_TIMEOUT_MAX - at) };
}

/* --- messages --- */

struct span grpc_message_encode(struct span text, char *memory)
{
    static const char hex[] = "0123456789ABCDEF";
    char *at = memory;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        /* A space at an end would be lost with the blanks around the value. */
        bool is_edge = byte == ' ' && (i == 0 || i + 1 == text.size);
        if (byte >= ' ' && byte <= '~' && byte != '%' && !is_edge) {
            *at++ = (char)byte;
            continue;
        }
        *at++ = '%';
        *at++ = hex[byte >> 4];
        *at++ = hex[byte & 15];
    }
    return (struct span){ memory, (size_t)(at - memory) };
}

/* --- frames --- */

void grpc_frame_head(uint8_t flags, uint32_t size, char memory[GRPC_FRAME_HEAD])
{
    memory[0] = (char)flags;
    for (unsigned i = 0; i < 4; i++)
        memory[1 + i] = (char)(size >> (24 - 8 * i));
}

void grpc_frames_feed(struct grpc_frames *frames, struct span bytes)
{
    while (bytes.size) {
        size_t size = bytes.size < frames->left ? bytes.size : frames->left;
        frames->left -= (uint32_t)size;
        bytes = span_from(bytes, size);
        if (!bytes.size)
            return;
        frames->head[frames->n_head++] = (uint8_t)bytes.data[0];
        bytes = span_from(bytes, 1);
        if (frames->n_head < GRPC_FRAME_HEAD)
            continue;
        frames->n_head = 0;
        for (unsigned i = 1; i < GRPC_FRAME_HEAD; i++)
            frames->left = frames->left << 8 | frames->head[i];
    }
}

/* --- base64 --- */

/* The value of a sextet's letter, or -1. */
static int sextet_of(char letter)
{
    if (letter >= 'A' && letter <= 'Z')
        return letter - 'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - 'a' + 26;
    if (letter >= '0' && letter <= '9')
        return letter - '0' + 52;
    if (letter == '+')
        return 62;
    return letter == '/' ? 63 : -1;
}

/* The bits that a padded group leaves over must be 0, or two texts would say the same. */
static bool end_group(struct base64_in *in, char **at)
{
    uint32_t bits = in->bits;
    unsigned n_bytes = 3 - in->n_padded;
    if (in->n_padded && bits << (8 + 8 * n_bytes))
        return false;
    for (unsigned i = 0; i < n_bytes; i++)
        *(*at)++ = (char)(bits >> (16 - 8 * i));
    *in = (struct base64_in){ 0 };
    return true;
}

bool base64_decode(struct base64_in *in, struct span text, char *out, size_t *ret_size)
{
    char *at = out;
    for (size_t i = 0; i < text.size; i++) {
        bool is_padding = text.data[i] == '=';
        int sextet = is_padding ? 0 : sextet_of(text.data[i]);
        if (sextet < 0 || (is_padding ? in->n < 2 : in->n_padded > 0))
            return false;
        in->n_padded += is_padding;
        in->bits = in->bits << 6 | (uint32_t)sextet;
        if (++in->n == 4 && !end_group(in, &at))
            return false;
    }
    *ret_size = (size_t)(at - out);
    return true;
}

size_t base64_encode(struct span bytes, char *out)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *at = out;
    for (size_t i = 0; i < bytes.size; i += 3) {
        uint32_t bits = 0;
        size_t n = bytes.size - i < 3 ? bytes.size - i : 3;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (k < n ? (uint8_t)bytes.data[i + k] : 0u);
        for (size_t k = 0; k < 4; k++)
            *at++ = (char)(k <= n ? letters[bits >> (18 - 6 * k) & 63] : '=');
    }
    return (size_t)(at - out);
}
