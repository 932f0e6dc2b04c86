/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/version.h"

#include <zlib.h>

#define PACKED_MAX 512u     /* bytes of a compressed version; what is longer is none */
#define MAJOR_DIGITS_MAX 6u /* more of them are a date, or a number of something else */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A number alone, or with a suffix that is one, tells when it was built, not what it is. */
static bool is_date(struct span text)
{
    size_t n = 0;
    while (n < text.size && is_digit(text.data[n]))
        n++;
    if (n > MAJOR_DIGITS_MAX)
        return true;
    return n + 1 < text.size && text.data[n] == '-' && is_digit(text.data[n + 1]);
}

/* "1", "1.2", "1.2-rc.1": the numbers that are not there are 0. */
static size_t fill_numbers(struct span text, char ret_text[SEMVER_TEXT_MAX])
{
    size_t end = 0;
    unsigned n_dots = 0;
    while (end < text.size && text.data[end] != '-' && text.data[end] != '+')
        n_dots += text.data[end++] == '.';
    size_t n_more = n_dots < 2 ? 2 * (2 - n_dots) : 0;
    if (text.size + n_more >= SEMVER_TEXT_MAX)
        return 0;
    memcpy(ret_text, text.data, end);
    memcpy(ret_text + end, ".0.0", n_more);
    memcpy(ret_text + end + n_more, text.data + end, text.size - end);
    return text.size + n_more;
}

size_t consul_version_normalise(struct span text, char ret_text[SEMVER_TEXT_MAX])
{
    struct semver version;
    text = span_trim(text);
    if (text.size > 1 && (text.data[0] == 'v' || text.data[0] == 'V'))
        text = span_from(text, 1);
    if (text.size == 0 || is_date(text))
        return 0;
    size_t size = fill_numbers(text, ret_text);
    return size > 0 && !semver_parse((struct span){ ret_text, size }, &version) ? size : 0;
}

static int digit(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A tag is whoever registers's to choose, so what it unpacks to has a limit, too. */
static struct span unpack(struct span hex, char memory[SEMVER_TEXT_MAX])
{
    unsigned char packed[PACKED_MAX];
    if (hex.size % 2 || hex.size / 2 > sizeof(packed))
        return SPAN_NULL;
    for (size_t i = 0; i < hex.size / 2; i++) {
        int high = digit(hex.data[2 * i]), low = digit(hex.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return SPAN_NULL;
        packed[i] = (unsigned char)(high << 4 | low);
    }
    uLongf size = SEMVER_TEXT_MAX;
    int r = uncompress((Bytef *)memory, &size, packed, hex.size / 2);
    return r == Z_OK ? (struct span){ memory, size } : SPAN_NULL;
}

static size_t find_tag(const struct consul_saying *saying, struct span prefix,
                       char ret_text[SEMVER_TEXT_MAX])
{
    char memory[SEMVER_TEXT_MAX];
    bool is_packed = span_is(prefix, "v-");
    for (size_t i = 0; i < saying->n_tags; i++) {
        if (!span_starts_with(saying->tags[i], prefix))
            continue;
        struct span found = span_from(saying->tags[i], prefix.size);
        size_t size = consul_version_normalise(is_packed ? unpack(found, memory) : found, ret_text);
        if (size)
            return size;
    }
    return 0;
}

static size_t find_meta(const struct consul_saying *saying, const char *name,
                        char ret_text[SEMVER_TEXT_MAX])
{
    for (size_t i = 0; i < saying->n_meta; i++) {
        size_t size = span_equals_nocase(saying->meta[i].key, span_of(name))
                          ? consul_version_normalise(saying->meta[i].value, ret_text)
                          : 0;
        if (size)
            return size;
    }
    return 0;
}

size_t consul_version_find(const struct consul_saying *saying, char ret_text[SEMVER_TEXT_MAX])
{
    static const struct span prefixes[] = { SPAN("v-"), SPAN("v="), SPAN("version="),
                                            SPAN("version:") };
    static const char *const names[] = { "version", "app_version", "api_version" };
    size_t size = 0;
    for (size_t i = 0; !size && i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        size = find_tag(saying, prefixes[i], ret_text);
    for (size_t i = 0; !size && i < sizeof(names) / sizeof(names[0]); i++)
        size = find_meta(saying, names[i], ret_text);
    return size;
}
