/* SPDX-License-Identifier: Apache-2.0 */

/* Lines of text, each a tag, or with " = " in it a pair of metadata. What is found is a version, and
 * read again it is the same. */

#include "faces/consul/version.h"

#include "property.h"

#define TEXTS_MAX 16u

static void check_version(struct span text)
{
    char again[SEMVER_TEXT_MAX];
    struct semver version;
    PROPERTY(text.size < SEMVER_TEXT_MAX);
    PROPERTY(!semver_parse(text, &version));
    size_t size = consul_version_normalise(text, again);
    PROPERTY(span_equals((struct span){ again, size }, text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = { (const char *)data, size }, tags[TEXTS_MAX];
    struct consul_pair meta[TEXTS_MAX];
    struct consul_saying saying = { .tags = tags, .meta = meta };
    char text[SEMVER_TEXT_MAX];
    for (unsigned i = 0; i < TEXTS_MAX && rest.data; i++) {
        struct span value = span_cut(&rest, '\n'), line = value;
        struct span key = span_cut(&value, '=');
        if (value.data && span_ends_with(key, SPAN(" ")))
            meta[saying.n_meta++] = (struct consul_pair){ span_trim(key), span_trim(value) };
        else
            tags[saying.n_tags++] = line;
    }
    size_t found = consul_version_find(&saying, text);
    if (found)
        check_version((struct span){ text, found });
    return 0;
}
