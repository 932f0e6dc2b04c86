/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/access_redact.h"

#include <stdint.h>

#include "base/mem.h"
#include "codec/escape.h"

/* Of a longer name nobody says what it is, so it counts as a secret's. */
#define NAME_MAX_SIZE 96u

/* As they are compared. The first four letters of each say no to nearly every place. */
static const struct span anywhere[] = {
    SPAN("token"),         SPAN("secret"),     SPAN("passw"),      SPAN("passphrase"),
    SPAN("passcode"),      SPAN("credential"), SPAN("apikey"),     SPAN("signature"),
    SPAN("authorization"), SPAN("session"),    SPAN("privatekey"),
};

static const struct span alone[] = {
    SPAN("key"),       SPAN("sig"),         SPAN("sid"),          SPAN("pwd"),
    SPAN("otp"),       SPAN("pin"),         SPAN("jwt"),          SPAN("code"),
    SPAN("auth"),      SPAN("pass"),        SPAN("hmac"),         SPAN("nonce"),
    SPAN("ticket"),    SPAN("sessid"),      SPAN("phpsessid"),    SPAN("accesskey"),
    SPAN("assertion"), SPAN("samlrequest"), SPAN("samlresponse"), SPAN("codeverifier"),
};

#define N(array) (sizeof(array) / sizeof((array)[0]))

enum class {
    CLASS_OF_NAME,
    CLASS_LEFT_OUT, /* of a name that is compared */
    CLASS_BRACKET,
    CLASS_ESCAPE,
    CLASS_SEPARATOR,
    CLASS_EQUALS,
};

static const uint8_t classes[256] = {
    ['-'] = CLASS_LEFT_OUT,  ['_'] = CLASS_LEFT_OUT,  ['.'] = CLASS_LEFT_OUT,
    [']'] = CLASS_LEFT_OUT,  [' '] = CLASS_LEFT_OUT,  ['+'] = CLASS_LEFT_OUT,
    ['['] = CLASS_BRACKET,   ['%'] = CLASS_ESCAPE,    ['&'] = CLASS_SEPARATOR,
    [';'] = CLASS_SEPARATOR, ['?'] = CLASS_SEPARATOR, ['#'] = CLASS_SEPARATOR,
    ['='] = CLASS_EQUALS,
};

/* --- names --- */

/* A name as it is compared. */
struct name {
    char bytes[NAME_MAX_SIZE + 4]; /* four may be looked at wherever the name goes on */
    size_t size;
    size_t part; /* where the part in the last brackets starts */
    bool is_too_long;
};

static inline void name_add(struct name *name, char byte)
{
    enum class class = classes[(uint8_t)byte];
    if (class == CLASS_LEFT_OUT)
        return;
    if (class == CLASS_BRACKET) {
        name->part = name->size;
        return;
    }
    if (name->size == NAME_MAX_SIZE) {
        name->is_too_long = true;
        return;
    }
    bool is_capital = (uint8_t)(byte - 'A') < 26;
    name->bytes[name->size++] = (char)(byte | is_capital << 5);
}

/* The byte at `*at`, which moves over it, whether it stands there as it is or escaped. */
static inline char take_byte(struct span query, size_t *at)
{
    int escaped = escape_read(query, *at);
    char byte = (char)(escaped < 0 ? query.data[*at] : escaped);
    *at += escaped < 0 ? 1 : 3;
    return byte;
}

static void name_read(struct span text, struct name *ret_name)
{
    ret_name->size = ret_name->part = 0;
    ret_name->is_too_long = false;
    for (size_t at = 0; at < text.size && !ret_name->is_too_long;) {
        char small = (char)(text.data[at] | 0x20);
        if (small >= 'a' && small <= 'z' && ret_name->size < NAME_MAX_SIZE) {
            ret_name->bytes[ret_name->size++] = small;
            at++;
        } else {
            name_add(ret_name, take_byte(text, &at));
        }
    }
    memset(ret_name->bytes + ret_name->size, 0, 4);
}

static bool is_alone(const struct access_redaction *redaction, struct span name)
{
    for (size_t i = 0; i < N(alone); i++) {
        if (alone[i].size == name.size && alone[i].data[0] == name.data[0] &&
            span_equals(alone[i], name))
            return true;
    }
    for (const char *at = redaction->names; at && at < redaction->names + redaction->size;
         at += strlen(at) + 1) {
        if (span_is(name, at))
            return true;
    }
    return false;
}

static bool word_is_at(struct span rest)
{
    for (size_t i = 0; i < N(anywhere); i++) {
        if (memcmp(anywhere[i].data, rest.data, 4) == 0 && span_starts_with(rest, anywhere[i]))
            return true;
    }
    return false;
}

/* No word begins with another letter than these. */
static inline bool may_begin_word(char byte)
{
    const uint32_t letters = 1u << ('t' - 'a') | 1u << ('s' - 'a') | 1u << ('p' - 'a') |
                             1u << ('c' - 'a') | 1u << ('a' - 'a');
    unsigned letter = (uint8_t)(byte - 'a');
    return letter < 26 && letters & 1u << letter;
}

static bool is_secret(const struct access_redaction *redaction, struct span text)
{
    struct name name;
    name_read(text, &name);
    if (name.is_too_long)
        return true;
    struct span whole = { name.bytes, name.size };
    for (size_t i = 0; i + 4 < name.size; i++) {
        struct span rest = { name.bytes + i, name.size - i };
        if (may_begin_word(*rest.data) && word_is_at(rest))
            return true;
    }
    struct span part = span_from(whole, name.part);
    return (whole.size && is_alone(redaction, whole)) ||
           (name.part && part.size && is_alone(redaction, part));
}

/* --- queries --- */

/* Over what can only be part of a name or a value. */
static inline size_t skip_name(struct span query, size_t start)
{
    const char *at = query.data + start, *end = query.data + query.size;
    while (at < end && classes[(uint8_t)*at] < CLASS_ESCAPE)
        at++;
    return (size_t)(at - query.data);
}

/* A separator starts a name at any level: a value may be a URL with a query of its own. The secret
 * ends at a plain "&" only, as everything else may be part of it. */
struct span access_redact(const struct access_redaction *redaction, struct span *query,
                          bool *ret_is_secret)
{
    struct span all = *query;
    size_t name_at = 0;
    *ret_is_secret = false;
    for (size_t at = 0; at < all.size;) {
        at = skip_name(all, at);
        if (at == all.size)
            break;
        size_t name_end = at;
        enum class class = classes[(uint8_t)take_byte(all, &at)];
        if (class == CLASS_EQUALS &&
            is_secret(redaction, (struct span){ all.data + name_at, name_end - name_at })) {
            struct span secret = span_from(all, at);
            *query = span_from(secret, span_find(secret, '&'));
            *ret_is_secret = true;
            return span_first(all, at);
        }
        if (class == CLASS_EQUALS || class == CLASS_SEPARATOR)
            name_at = at;
    }
    *query = SPAN_NULL;
    return all;
}

void access_redaction_init(struct access_redaction *redaction, struct span names)
{
    *redaction = (struct access_redaction){ .names = mem_zalloc(names.size + 2, 1) };
    while (names.data) {
        struct name name;
        name_read(span_cut(&names, ','), &name);
        if (!name.size || name.is_too_long)
            continue;
        memcpy(redaction->names + redaction->size, name.bytes, name.size);
        redaction->size += name.size + 1;
    }
}

void access_redaction_fini(struct access_redaction *redaction)
{
    free(redaction->names);
    *redaction = (struct access_redaction){ 0 };
}
