/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/semver.h"

#include "codec/http1_scan.h"

/* A number as section 2 wants it: no sign and no leading zero. */
static bool read_number(struct span text, uint32_t *ret_number)
{
    uint64_t number;
    if ((text.size > 1 && text.data[0] == '0') || !span_to_uint(text, UINT32_MAX, &number))
        return false;
    *ret_number = (uint32_t)number;
    return true;
}

static bool is_number(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    }
    return text.size > 0;
}

/* Identifiers between dots (sections 9 and 10). Metadata may have leading zeros. */
static bool are_identifiers(struct span text, bool is_metadata)
{
    while (text.data) {
        struct span identifier = span_cut(&text, '.');
        if (!identifier.size)
            return false;
        for (size_t i = 0; i < identifier.size; i++) {
            char byte = identifier.data[i];
            if (!byte_is(byte, CLASS_PLAIN) || byte == '_' || byte == '~')
                return false;
        }
        if (!is_metadata && identifier.size > 1 && identifier.data[0] == '0' &&
            is_number(identifier))
            return false;
    }
    return true;
}

int semver_parse(struct span text, struct semver *ret_version)
{
    struct semver version = { 0 };
    if (text.size > SEMVER_TEXT_MAX)
        return SEMVER_BAD;

    version.build = text;
    struct span rest = span_cut(&version.build, '+');
    version.prerelease = rest;
    struct span numbers = span_cut(&version.prerelease, '-');

    struct span major = span_cut(&numbers, '.');
    struct span minor = span_cut(&numbers, '.');
    if (!read_number(major, &version.major) || !read_number(minor, &version.minor) ||
        !read_number(numbers, &version.patch))
        return SEMVER_BAD;
    if ((version.prerelease.data && !are_identifiers(version.prerelease, false)) ||
        (version.build.data && !are_identifiers(version.build, true)))
        return SEMVER_BAD;
    *ret_version = version;
    return SEMVER_OK;
}

static int compare_numbers(uint32_t a, uint32_t b)
{
    return a < b ? -1 : a > b;
}

/* Numbers are below words and have any length: without leading zeros the longer is the larger. */
static int compare_identifiers(struct span a, struct span b)
{
    bool a_is_number = is_number(a), b_is_number = is_number(b);
    if (a_is_number != b_is_number)
        return a_is_number ? -1 : 1;
    if (a_is_number && a.size != b.size)
        return a.size < b.size ? -1 : 1;
    return span_compare(a, b);
}

int semver_compare(const struct semver *a, const struct semver *b)
{
    int order = compare_numbers(a->major, b->major);
    if (!order)
        order = compare_numbers(a->minor, b->minor);
    if (!order)
        order = compare_numbers(a->patch, b->patch);
    if (order)
        return order;

    struct span x = a->prerelease, y = b->prerelease;
    if (!x.data || !y.data)
        return (y.data != NULL) - (x.data != NULL); /* a release is above its prereleases */
    while (x.data && y.data) {
        order = compare_identifiers(span_cut(&x, '.'), span_cut(&y, '.'));
        if (order)
            return order;
    }
    return (x.data != NULL) - (y.data != NULL);
}

static void skip_blanks(struct span *text)
{
    while (text->size && byte_is_blank(text->data[0]))
        *text = span_from(*text, 1);
}

/* Cuts "<", ">=" … off the front. */
static struct span cut_sign(struct span *text)
{
    static const struct span signs[] = { SPAN(">="), SPAN("<="), SPAN(">"),
                                         SPAN("<"),  SPAN("="),  SPAN("^") };
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        if (span_starts_with(*text, signs[i])) {
            *text = span_from(*text, signs[i].size);
            return signs[i];
        }
    }
    return SPAN("=");
}

/* Narrows [*low, *high] by the comparator at the front of the text, and cuts it off. */
static bool read_comparator(struct span *text, uint64_t *low, uint64_t *high)
{
    if (text->data[0] == '*') {
        *text = span_from(*text, 1);
        return true;
    }
    struct span sign = cut_sign(text);
    skip_blanks(text);
    size_t size = 0;
    while (size < text->size && text->data[size] >= '0' && text->data[size] <= '9')
        size++;
    uint32_t number;
    if (!read_number(span_first(*text, size), &number))
        return false;
    *text = span_from(*text, size);

    char first = sign.data[0];
    uint64_t is_strict = sign.size == 1;
    uint64_t from = first == '>' ? number + is_strict : first == '<' ? 0 : number;
    if (first == '<' && is_strict && number == 0)
        return false;
    uint64_t to = first == '<' ? number - is_strict : first == '>' ? UINT32_MAX : number;
    *low = from > *low ? from : *low;
    *high = to < *high ? to : *high;
    return true;
}

/* Comparators side by side, all of which hold. A range that no major is in is a mistake. */
static bool read_part(struct span text, uint64_t *ret_low, uint64_t *ret_high)
{
    uint64_t low = 0, high = UINT32_MAX;
    text = span_trim(text);
    if (!text.size)
        return false;
    while (text.size) {
        if (!read_comparator(&text, &low, &high))
            return false;
        if (text.size && !byte_is_blank(text.data[0]))
            return false;
        skip_blanks(&text);
    }
    *ret_low = low;
    *ret_high = high;
    return low <= high;
}

int major_range_parse(struct span text, struct major_range *ret_range)
{
    struct major_range range = { .n_parts = 0 };
    while (text.data) {
        struct span part = span_cut(&text, '|');
        uint64_t low, high;
        if (range.n_parts == MAJOR_RANGE_PARTS || !read_part(part, &low, &high))
            return SEMVER_BAD;
        range.parts[range.n_parts].low = (uint32_t)low;
        range.parts[range.n_parts++].high = (uint32_t)high;

        if (text.data && (!text.size || text.data[0] != '|'))
            return SEMVER_BAD; /* a single "|" */
        if (text.data)
            text = (struct span){ text.data + 1, text.size - 1 };
    }
    if (!range.n_parts)
        return SEMVER_BAD;
    *ret_range = range;
    return SEMVER_OK;
}

bool major_range_has(const struct major_range *range, uint32_t major)
{
    for (unsigned i = 0; i < range->n_parts; i++) {
        if (major >= range->parts[i].low && major <= range->parts[i].high)
            return true;
    }
    return false;
}
