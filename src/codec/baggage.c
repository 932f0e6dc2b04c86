/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/baggage.h"

#include "base/hash.h"
#include "base/utf8.h"
#include "codec/escape.h"
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

static bool is_ours(struct span member)
{
    return span_equals_nocase(span_first(member, prefix.size), prefix);
}

/* baggage-octet without the escape itself. */
static bool is_octet(char byte)
{
    return byte > 0x20 && byte < 0x7f && byte != '"' && byte != ',' && byte != ';' &&
           byte != '\\' && byte != '%';
}

/* Decodes into `memory`. What it stands for must be text that may go on: UTF-8 without control
 * bytes, which would end a line in a header or a log. */
static bool decode(struct span value, char *memory, size_t capacity, size_t *ret_size)
{
    struct utf8 utf8 = { 0 };
    size_t size = 0;
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

/* Whether nothing needs an escape: ids of BOMs never do, and those of customers hardly ever. */
static bool is_plain(struct span value)
{
    const char *end = value.data + value.size;
    return scan_host(value.data, end) == end;
}

static size_t encoded_size(struct span value)
{
    size_t size = 0;
    if (is_plain(value))
        return value.size;
    for (size_t i = 0; i < value.size; i++)
        size += is_octet(value.data[i]) ? 1 : 3;
    return size;
}

static void put_encoded(struct http1_out *out, struct span value)
{
    size_t start = 0;
    if (is_plain(value)) {
        http1_put(out, value);
        return;
    }
    for (size_t i = 0; i < value.size; i++) {
        if (is_octet(value.data[i]))
            continue;
        char escape[3];
        http1_put(out, (struct span){ value.data + start, i - start });
        escape_write((uint8_t)value.data[i], escape);
        http1_put(out, (struct span){ escape, sizeof(escape) });
        start = i + 1;
    }
    http1_put(out, span_from(value, start));
}

void baggage_put(struct http1_out *out, const struct http_head *head, const struct baggage *ours)
{
    const struct {
        struct span key, value;
    } members_of_ours[] = {
        { SPAN("sarsen.bom="), ours->bom },
        { SPAN("sarsen.customer="), ours->customer },
        { SPAN("sarsen.lane="), ours->lane },
    };
    const size_t n_ours = sizeof(members_of_ours) / sizeof(members_of_ours[0]);
    size_t size = 0;
    for (size_t i = 0; i < n_ours; i++) {
        if (members_of_ours[i].value.size)
            size += 1 + members_of_ours[i].key.size + encoded_size(members_of_ours[i].value);
    }

    struct members members = members_of(head);
    struct span member;
    const char *separator = "";
    while (members_next(&members, &member)) {
        if (is_ours(member) || size + 1 + member.size > BAGGAGE_MAX_BYTES)
            continue;
        size += 1 + member.size;
        http1_put(out, span_of(separator));
        http1_put(out, member);
        separator = ",";
    }
    for (size_t i = 0; i < n_ours; i++) {
        if (!members_of_ours[i].value.size)
            continue;
        http1_put(out, span_of(separator));
        http1_put(out, members_of_ours[i].key);
        put_encoded(out, members_of_ours[i].value);
        separator = ",";
    }
}

/* Lower-case digits only (Trace Context section 3.2.2.1), and not all of them zero. */
static bool is_hex(struct span text, bool may_be_zero)
{
    bool has_digit = may_be_zero;
    for (size_t i = 0; i < text.size; i++) {
        char byte = text.data[i];
        if (!(byte >= '0' && byte <= '9') && !(byte >= 'a' && byte <= 'f'))
            return false;
        has_digit |= byte != '0';
    }
    return has_digit;
}

static struct span part(struct span value, size_t start, size_t size)
{
    return span_first(span_from(value, start), size);
}

bool traceparent_is_valid(struct span value)
{
    if (value.size < TRACEPARENT_SIZE || value.data[2] != '-' || value.data[35] != '-' ||
        value.data[52] != '-')
        return false;
    struct span version = span_first(value, 2);
    bool is_version_0 = span_equals(version, SPAN("00"));
    /* Later versions may be longer, behind one more "-". */
    if (value.size > TRACEPARENT_SIZE && (is_version_0 || value.data[TRACEPARENT_SIZE] != '-'))
        return false;
    return is_hex(version, true) && !span_equals(version, SPAN("ff")) &&
           is_hex(part(value, 3, 32), false) && is_hex(part(value, 36, 16), false) &&
           is_hex(part(value, 53, 2), true);
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

    memcpy(ret_text, "00-", 3);
    hash_hex((const uint8_t *)words, 16, ret_text + 3);
    ret_text[35] = '-';
    hash_hex((const uint8_t *)(words + 2), 8, ret_text + 36);
    memcpy(ret_text + 52, "-00", 4);
}
