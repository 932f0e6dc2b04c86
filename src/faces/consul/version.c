/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/version.h"

#include <zlib.h>

#define PACKED_MAX 512u /* bytes of a compressed version; what is longer is none */

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
    if (text.size > 1 && (text.data[0] == 'v' || text.data[0] == 'V'))
        text = span_from(text, 1);
    if (text.size == 0)
        return 0;
    size_t size = fill_numbers(text, ret_text);
    return size > 0 && !semver_parse((struct span){ ret_text, size }, &version) ? size : 0;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A tag is whoever registers's to choose, so what it unpacks to has a limit, too. */
static size_t unpack(struct span hex, char ret_text[SEMVER_TEXT_MAX])
{
    unsigned char packed[PACKED_MAX];
    if (hex.size % 2 || hex.size / 2 > sizeof(packed))
        return 0;
    for (size_t i = 0; i < hex.size / 2; i++) {
        int high = digit(hex.data[2 * i]), low = digit(hex.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return 0;
        packed[i] = (unsigned char)(high << 4 | low);
    }
    uLongf size = SEMVER_TEXT_MAX;
    int r = uncompress((Bytef *)ret_text, &size, packed, hex.size / 2);
    return r == Z_OK ? size : 0;
}

static bool find_tag(const struct span *tags, size_t n_tags, struct span prefix,
                     struct span *ret_rest)
{
    for (size_t i = 0; i < n_tags; i++) {
        if (!span_starts_with(tags[i], prefix))
            continue;
        *ret_rest = span_from(tags[i], prefix.size);
        return true;
    }
    return false;
}

static bool find_meta(const struct consul_pair *meta, size_t n_meta, struct span *ret_value)
{
    static const char *const names[] = { "version", "app_version", "api_version" };
    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
        for (size_t i = 0; i < n_meta; i++) {
            if (!span_equals_nocase(meta[i].key, span_of(names[k])))
                continue;
            *ret_value = meta[i].value;
            return true;
        }
    }
    return false;
}

size_t consul_version_find(const struct span *tags, size_t n_tags, const struct consul_pair *meta,
                           size_t n_meta, char ret_text[SEMVER_TEXT_MAX])
{
    char unpacked[SEMVER_TEXT_MAX];
    struct span found;
    if (find_tag(tags, n_tags, SPAN("v-"), &found)) {
        size_t size = unpack(found, unpacked);
        if (size > 0)
            return consul_version_normalise((struct span){ unpacked, size }, ret_text);
    }
    if (find_tag(tags, n_tags, SPAN("v="), &found) ||
        find_tag(tags, n_tags, SPAN("version="), &found) ||
        find_tag(tags, n_tags, SPAN("version:"), &found) || find_meta(meta, n_meta, &found))
        return consul_version_normalise(found, ret_text);
    return 0;
}
