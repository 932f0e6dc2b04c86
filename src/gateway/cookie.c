/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/cookie.h"

#include <stdint.h>
#include <stdio.h>

#include "base/hash.h"
#include "codec/uri.h"

#define MAC_TEXT_SIZE 52u /* base32 of 256 bits */
#define SIGNED_MAX (COOKIE_VALUE_MAX - MAC_TEXT_SIZE - 2)

/* The name is part of what is signed, so that no other text signed with these keys passes. */
static void cookie_mac(const unsigned char key[COOKIE_KEY_SIZE], struct span text,
                       char ret_mac[MAC_TEXT_SIZE + 1])
{
    char bytes[COOKIE_VALUE_MAX + sizeof(COOKIE_NAME)];
    memcpy(bytes, COOKIE_NAME "=", sizeof(COOKIE_NAME));
    memcpy(bytes + sizeof(COOKIE_NAME), text.data, text.size);

    uint8_t digest[SHA256_SIZE];
    hash_hmac_sha256((struct span){ (const char *)key, COOKIE_KEY_SIZE },
                     (struct span){ bytes, sizeof(COOKIE_NAME) + text.size }, digest);
    hash_base32(digest, sizeof(digest), ret_mac);
}

/* Letters and digits of base32, of the exact size or, where allowed, none. */
static bool take_id(struct span text, size_t size, bool may_be_empty, char *ret_id)
{
    if (text.size != size && !(may_be_empty && text.size == 0))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '2' && c <= '7'))
            return false;
    }
    if (text.size)
        memcpy(ret_id, text.data, text.size);
    ret_id[text.size] = '\0';
    return true;
}

static bool take_customer(struct span text, char ret_customer[CUSTOMER_ID_MAX + 1])
{
    char decoded[COOKIE_VALUE_MAX];
    struct span customer = SPAN_NULL;
    ret_customer[0] = '\0';
    if (span_is_empty(text))
        return true;
    if (text.size > sizeof(decoded) || uri_decode(text, decoded, &customer) ||
        !customer_id_is_valid(customer))
        return false;
    memcpy(ret_customer, customer.data, customer.size);
    ret_customer[customer.size] = '\0';
    return true;
}

/* Only called with text that one of our keys has signed. */
static bool cookie_parse(struct span text, struct cookie *ret_cookie)
{
    struct span version = span_cut(&text, '.');
    struct span expiry = span_cut(&text, '.');
    struct span device = span_cut(&text, '.');
    struct span bom = span_cut(&text, '.');
    uint64_t seconds = 0;
    if (!span_is(version, "1") || !span_to_uint(expiry, UINT32_MAX, &seconds))
        return false;
    ret_cookie->expires = (unix_msec)seconds * 1000;
    return take_id(device, DEVICE_ID_SIZE, false, ret_cookie->device) &&
           take_id(bom, BOM_ID_SIZE, true, ret_cookie->bom) &&
           take_customer(text, ret_cookie->customer);
}

bool cookie_verify(const struct cookie_keys *keys, struct span value, unix_msec now,
                   struct cookie *ret_cookie)
{
    if (value.size <= MAC_TEXT_SIZE + 1 || value.size >= COOKIE_VALUE_MAX)
        return false;
    struct span text = span_first(value, value.size - MAC_TEXT_SIZE - 1);
    struct span mac = span_from(value, text.size + 1);
    if (value.data[text.size] != '.')
        return false;

    /* Every key is tried, so that the time does not tell which one fits. */
    unsigned matches = 0;
    for (unsigned i = 0; i < keys->n_keys; i++) {
        char expected[MAC_TEXT_SIZE + 1];
        cookie_mac(keys->keys[i], text, expected);
        matches |= (unsigned)hash_equals((struct span){ expected, MAC_TEXT_SIZE }, mac) << i;
    }
    struct cookie cookie = { .is_signed_with_old_key = !(matches & 1u) };
    if (!matches || !cookie_parse(text, &cookie) || cookie.expires <= now)
        return false;
    *ret_cookie = cookie;
    return true;
}

/* Percent-encodes all but letters, digits, "-" and "_"; "." separates our parts. */
static size_t put_encoded(const char *text, char *out)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t size = 0;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (is_plain) {
            out[size++] = (char)c;
            continue;
        }
        out[size++] = '%';
        out[size++] = digits[c >> 4];
        out[size++] = digits[c & 15];
    }
    return size;
}

size_t cookie_format(const struct cookie_keys *keys, const struct cookie *cookie,
                     char ret_value[COOKIE_VALUE_MAX])
{
    int n = snprintf(ret_value, SIGNED_MAX, "1.%lld.%s.%s.", (long long)(cookie->expires / 1000),
                     cookie->device, cookie->bom);
    size_t size = (size_t)n;
    size += put_encoded(cookie->customer, ret_value + size);
    char mac[MAC_TEXT_SIZE + 1];
    cookie_mac(keys->keys[0], (struct span){ ret_value, size }, mac);
    ret_value[size++] = '.';
    memcpy(ret_value + size, mac, sizeof(mac));
    return size + MAC_TEXT_SIZE;
}

size_t cookie_strip(struct span field, char *ret_text)
{
    size_t size = 0;
    while (field.data) {
        /* Copied with the white space it came with, so that the result is never longer. */
        struct span part = span_cut(&field, ';');
        struct span pair = span_trim(part);
        if (span_is_empty(pair) || span_is(span_first(pair, span_find(pair, '=')), COOKIE_NAME))
            continue;
        if (size) {
            ret_text[size++] = ';';
        } else {
            part = pair;
        }
        memcpy(ret_text + size, part.data, part.size);
        size += part.size;
    }
    return size;
}
