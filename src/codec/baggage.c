/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/baggage.h"

#include "base/hash.h"
#include "base/utf8.h"
#include "codec/escape.h"
#include "codec/http1_out.h"
#include "codec/http1_scan.h"

static const struct span prefix = SPAN("sarsen.");

/* Goes through the members of all baggage fields of a head. */
struct members {
    const struct http_head *head;
    unsigned next_field;
    struct span rest;
};

static bool members_next(struct members *members, struct span *ret_member)
{
    for (;;) {
        while (members->rest.data) {
            *ret_member = span_trim(span_cut(&members->rest, ','));
            if (ret_member->size)
                return true;
        }
        while (members->next_field < members->head->n_fields &&
               members->head->fields[members->next_field].id != HTTP_BAGGAGE)
            members->next_field++;
        if (members->next_field == members->head->n_fields)
            return false;
        members->rest = members->head->fields[members->next_field++].value;
    }
}

static struct members members_of(const struct http_head *head)
{
    unsigned first = head->by_name[HTTP_BAGGAGE];
    return (struct members){ head, first ? first - 1 : head->n_fields, SPAN_NULL };
}

/* Values of fields hold no control bytes, so setting bit 5 makes nothing else look like ours. */
static bool is_ours(struct span member)
{
    const uint64_t small = 0x2020202020202020u, of_prefix = UINT64_MAX >> 8;
    uint64_t start, ours;
    if (member.size < sizeof(start))
        return span_equals_nocase(member, prefix);
    memcpy(&start, member.data, sizeof(start));
    memcpy(&ours, "sarsen.", sizeof(ours));
    return ((start | small) & of_prefix) == ours;
}

/* baggage-octet without the escape itself. */
static bool is_octet(char byte)
{
    return byte > 0x20 && byte < 0x7f && byte != '"' && byte != ',' && byte != ';' &&
           byte != '\\' && byte != '%';
}

/* Whether nothing is an escape or needs one: ids of BOMs never do, and those of customers hardly
 * ever. */
static bool is_plain(struct span value)
{
    if (!value.size)
        return false;
    const char *end = value.data + value.size;
    return scan_host(value.data, end) == end;
}

/* Decodes into `memory`. What it stands for must be text that may go on: UTF-8 without control
 * bytes, which would end a line in a header or a log. */
static bool decode(struct span value, char *memory, size_t capacity, size_t *ret_size)
{
    struct utf8 utf8 = { 0 };
    size_t size = 0;
    if (value.size <= capacity && is_plain(value)) {
        memcpy(memory, value.data, *ret_size = value.size);
        return true;
    }
    for (size_t i = 0; i < value.size; i++) {
        int byte = (uint8_t)value.data[i];
        if (byte == '%') {
            byte = escape_read(value, i);
            i += 2;
        } else if (!is_octet(value.data[i])) {
            return false;
        }
        if (byte < 0x20 || byte == 0x7f || !utf8_take(&utf8, (uint8_t)byte) || size == capacity)
            return false;
        memory[size++] = (char)byte;
    }
    *ret_size = size;
    return size > 0 && !utf8.n_left;
}

static struct span *slot_of(struct baggage *baggage, struct span key)
{
    if (span_equals(key, SPAN("sarsen.bom")))
        return &baggage->bom;
    if (span_equals(key, SPAN("sarsen.customer")))
        return &baggage->customer;
    return span_equals(key, SPAN("sarsen.lane")) ? &baggage->lane : NULL;
}

void baggage_read(const struct http_head *head, struct baggage *ret_baggage)
{
    static const char refused[1];
    size_t used = 0;
    struct members members = members_of(head);
    struct span member;

    ret_baggage->bom = ret_baggage->customer = ret_baggage->lane = SPAN_NULL;
    while (members_next(&members, &member)) {
        if (!is_ours(member))
            continue;
        struct span value = span_cut(&member, ';'); /* properties say nothing to us */
        struct span key = span_trim(span_cut(&value, '='));
        struct span *slot = slot_of(ret_baggage, key);
        if (!slot)
            continue;

        char *memory = ret_baggage->memory + used;
        size_t size;
        bool is_valid = value.data &&
                        decode(span_trim(value), memory, sizeof(ret_baggage->memory) - used, &size);
        struct span decoded = { memory, is_valid ? size : 0 };
        /* Whom to believe when a member comes twice nobody can say: then it is absent. */
        if (!is_valid || (slot->data && !span_equals(*slot, decoded))) {
            *slot = (struct span){ refused, 0 };
        } else if (!slot->data) {
            used += (*slot = decoded).size;
        }
    }
    struct span *slots[] = { &ret_baggage->bom, &ret_baggage->customer, &ret_baggage->lane };
    for (size_t i = 0; i < 3; i++) {
        if (!slots[i]->size)
            *slots[i] = SPAN_NULL;
    }
}

/* A member of ours, and what it takes when it is written. */
struct own_member {
    struct span key, value; /* the key with its "=" */
    bool is_plain;
    size_t size;
};

static struct own_member own_member_of(struct span key, struct span value)
{
    struct own_member member = { key, value, is_plain(value), value.size ? key.size : 0 };
    for (size_t i = 0; i < value.size; i++)
        member.size += member.is_plain || is_octet(value.data[i]) ? 1 : 3;
    return member;
}

static char *write_encoded(char *at, struct span value)
{
    for (size_t i = 0; i < value.size; i++) {
        if (is_octet(value.data[i])) {
            *at++ = value.data[i];
        } else {
            escape_write((uint8_t)value.data[i], at);
            at += 3;
        }
    }
    return at;
}
/* The members that are not ours, byte for byte, as long as all together stay within the limit. */
RARE static void put_others(struct http1_out *out, const struct http_head *head,
                            size_t size_of_ours)
{
    struct members members = members_of(head);
    struct span member;
    size_t size = size_of_ours;
    const char *separator = "";
    while (members_next(&members, &member)) {
        if (is_ours(member) || size + 1 + member.size > BAGGAGE_MAX_BYTES)
            continue;
        size += 1 + member.size;
        http1_put(out, span_of(separator));
        http1_put(out, member);
        separator = ",";
    }
}

void baggage_put(struct http1_out *out, const struct http_head *head, const struct baggage *ours)
{
    const struct own_member members[] = {
        own_member_of(SPAN("sarsen.bom="), ours->bom),
        own_member_of(SPAN("sarsen.customer="), ours->customer),
        own_member_of(SPAN("sarsen.lane="), ours->lane),
    };
    size_t size = 0, start = out->size;
    for (size_t i = 0; i < 3; i++)
        size += members[i].size ? 1 + members[i].size : 0;
    if (head->by_name[HTTP_BAGGAGE])
        put_others(out, head, size);

    /* Each comes with a comma, but for the first of all. */
    bool needs_comma = out->size > start;
    char *at = size ? out_reserve(out, size - !needs_comma) : NULL;
    for (size_t i = 0; at && i < 3; i++) {
        if (!members[i].size)
            continue;
        if (needs_comma)
            *at++ = ',';
        needs_comma = true;
        at = out_copy(at, members[i].key);
        at = members[i].is_plain ? out_copy(at, members[i].value)
                                 : write_encoded(at, members[i].value);
    }
}

/* Four vectors, of which the last begins where the text ends with it. */
static uint64_t traceparent_bits(const bytes16 hits[4])
{
    return bytes16_bits(hits[0]) | (uint64_t)bytes16_bits(hits[1]) << 16 |
           (uint64_t)bytes16_bits(hits[2]) << 32 | (uint64_t)bytes16_bits(hits[3]) << 39;
}

/* Fields of hexadecimal digits, in small letters (Trace Context section 3.2.2.1), with "-" between
 * them. */
bool traceparent_is_valid(struct span value)
{
    const uint64_t all = ((uint64_t)1 << TRACEPARENT_SIZE) - 1;
    const uint64_t dashes = (uint64_t)1 << 2 | (uint64_t)1 << 35 | (uint64_t)1 << 52;
    const uint64_t trace_id = (((uint64_t)1 << 32) - 1) << 3;
    const uint64_t parent_id = (((uint64_t)1 << 16) - 1) << 36;
    static const uint8_t starts[4] = { 0, 16, 32, TRACEPARENT_SIZE - 16 };
    bytes16 is_hex[4], is_dash[4], is_zero[4];

    if (value.size < TRACEPARENT_SIZE)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        bytes16 bytes = bytes16_load(value.data + starts[i]);
        is_hex[i] = bytes16_in_row(bytes, '9', 10) | bytes16_in_row(bytes, 'f', 6);
        is_dash[i] = (bytes16)(bytes == '-');
        is_zero[i] = (bytes16)(bytes == '0');
    }
    if (traceparent_bits(is_hex) != (all ^ dashes) || traceparent_bits(is_dash) != dashes)
        return false;
    /* An id of zeros is none. */
    uint64_t others = ~traceparent_bits(is_zero);
    if (!(others & trace_id) || !(others & parent_id))
        return false;

    struct span version = span_first(value, 2);
    if (value.size == TRACEPARENT_SIZE)
        return !span_equals(version, SPAN("ff"));
    /* Later versions may be longer, behind one more "-". */
    return !span_equals(version, SPAN("ff")) && !span_equals(version, SPAN("00")) &&
           value.data[TRACEPARENT_SIZE] == '-';
}

void traceparent_format(const uint8_t random[24], char ret_text[TRACEPARENT_SIZE + 1])
{
    uint64_t words[3];
    memcpy(words, random, sizeof(words));
    /* Ids of zero are invalid; the odds are nil, the test is free. */
    if (!(words[0] | words[1]))
        words[0] = 1;
    if (!words[2])
        words[2] = 1;

    out_copy(ret_text, SPAN("00-"));
    hash_hex_8((const uint8_t *)&words[0], ret_text + 3);
    hash_hex_8((const uint8_t *)&words[1], ret_text + 19);
    ret_text[35] = '-';
    hash_hex_8((const uint8_t *)&words[2], ret_text + 36);
    memcpy(ret_text + 52, "-00", 4);
}
