/* SPDX-License-Identifier: Apache-2.0 */

/* Lines of text, each a version and a range. A version written from its parts is the same version;
 * precedence is an order over all the lines. */

#include "codec/semver.h"

#include "property.h"

#define MAX_VERSIONS 8u

static void check_written(const struct semver *version, struct span text)
{
    char written[SEMVER_TEXT_MAX + 1];
    int size =
        snprintf(written, sizeof(written), "%u.%u.%u%s%.*s%s%.*s", version->major, version->minor,
                 version->patch, version->prerelease.data ? "-" : "", SPAN_ARG(version->prerelease),
                 version->build.data ? "+" : "", SPAN_ARG(version->build));
    PROPERTY(span_equals((struct span){ written, (size_t)size }, text));
}

static int sign(int order)
{
    return (order > 0) - (order < 0);
}

static void check_order(const struct semver *versions, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        PROPERTY(semver_compare(&versions[i], &versions[i]) == 0);
        for (size_t k = 0; k < n; k++) {
            int order = sign(semver_compare(&versions[i], &versions[k]));
            PROPERTY(order == -sign(semver_compare(&versions[k], &versions[i])));
            for (size_t m = 0; m < n; m++) {
                if (order <= 0 && semver_compare(&versions[k], &versions[m]) <= 0)
                    PROPERTY(semver_compare(&versions[i], &versions[m]) <= 0);
            }
        }
    }
}

static void check_range(struct span text)
{
    struct major_range range;
    if (major_range_parse(text, &range))
        return;
    PROPERTY(range.n_parts >= 1 && range.n_parts <= MAJOR_RANGE_PARTS);
    for (unsigned i = 0; i < range.n_parts; i++) {
        PROPERTY(range.parts[i].low <= range.parts[i].high);
        PROPERTY(major_range_has(&range, range.parts[i].low));
        PROPERTY(major_range_has(&range, range.parts[i].high));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct semver versions[MAX_VERSIONS];
    size_t n = 0;
    struct span input = copy_of(input_of(data, size)), rest = input;
    while (rest.data) {
        struct span line = span_cut(&rest, '\n');
        if (n < MAX_VERSIONS && semver_parse(line, &versions[n]) == SEMVER_OK)
            check_written(&versions[n++], line);
        check_range(line);
    }
    check_order(versions, n);
    free_copy(input);
    return 0;
}
