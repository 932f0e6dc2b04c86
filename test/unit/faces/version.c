/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/version.h"

#include <zlib.h>

#include "base/hash.h"
#include "check.h"

static const char *normalised(const char *text)
{
    static char memory[SEMVER_TEXT_MAX + 1];
    memory[consul_version_normalise(span_of(text), memory)] = '\0';
    return memory;
}

TEST(numbers_that_are_not_there_are_0)
{
    CHECK_STR(normalised("1.2.3"), "1.2.3");
    CHECK_STR(normalised("v1.2.3"), "1.2.3");
    CHECK_STR(normalised("V2"), "2.0.0");
    CHECK_STR(normalised("3.1"), "3.1.0");
    CHECK_STR(normalised("3.1-rc.1"), "3.1.0-rc.1");
    CHECK_STR(normalised("3+sha"), "3.0.0+sha");
    CHECK_STR(normalised(" 1.2\t"), "1.2.0");
    CHECK_STR(normalised("2024.1.15"), "2024.1.15");
    CHECK_STR(normalised("1.2-1"), "1.2.0-1");
    CHECK_STR(normalised("1.2.3-SNAPSHOT"), "1.2.3-SNAPSHOT");
}

/* Each day, or each year, would be a contract of its own that nobody asks for. */
TEST(a_date_is_no_version)
{
    static const char *const texts[] = { "2024-01-15",          "20240115",   "v20240115",
                                         "20240115.1",          "2024.01.15", "1705312800",
                                         "2024-01-15T10:00:00Z" };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        CHECK_STR(normalised(texts[i]), "");
}

TEST(what_is_no_version_is_none)
{
    static const char *const texts[] = { "",       "v",   "latest", "1.2.3.4", "1..2",
                                         "x1.2.3", "v-1", "01.2.3", "1.2.x",   "4294967296.0.0",
                                         ".1" };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        CHECK_STR(normalised(texts[i]), "");
    char text[SEMVER_TEXT_MAX + 8];
    memset(text, '1', sizeof(text));
    CHECK_INT(consul_version_normalise((struct span){ text, sizeof(text) }, text), 0);
}

static const char *found(const char *const *texts, size_t n_tags, const char *key,
                         const char *value)
{
    static char memory[SEMVER_TEXT_MAX + 1];
    struct span tags[8];
    for (size_t i = 0; i < n_tags; i++)
        tags[i] = span_of(texts[i]);
    const struct consul_pair meta = { span_of(key), span_of(value) };
    const struct consul_saying saying = {
        .tags = tags, .n_tags = n_tags, .meta = &meta, .n_meta = key ? 1 : 0
    };
    memory[consul_version_find(&saying, memory)] = '\0';
    return memory;
}

/* The tags, behind an empty one. */
#define FOUND(key, value, ...)                                                                     \
    ({                                                                                             \
        const char *const tags_[] = { "", ##__VA_ARGS__ };                                         \
        found(tags_, sizeof(tags_) / sizeof(tags_[0]), key, value);                                \
    })

/* As go-micro's own code writes "latest", with an empty block behind the text, and as others do. */
TEST(compressed_tags)
{
    CHECK_STR(FOUND(NULL, NULL, "v-789c33d433d133020002dc00f4"), "1.4.2");
    CHECK_STR(FOUND(NULL, NULL, "v-789cca492c492d2e01040000ffff08cc028e"), "");
    CHECK_STR(FOUND(NULL, NULL, "v-789c33d433d133020002dc00f"), "");  /* half a byte */
    CHECK_STR(FOUND(NULL, NULL, "v-789c33d433d133020002dc00f5"), ""); /* another sum */
    CHECK_STR(FOUND("version", "2.0.0", "v-00"), "2.0.0");
    CHECK_STR(FOUND(NULL, NULL, "v-789C33D433D133020002DC00F4"), "1.4.2");
    CHECK_STR(FOUND(NULL, NULL, "v-"), "");
    /* A tag of the team's own that only looks like one does not hide the real one. */
    CHECK_STR(FOUND(NULL, NULL, "v-next", "v-abcd", "v-789c33d433d133020002dc00f4"), "1.4.2");
}

TEST(the_first_that_is_there_counts)
{
    CHECK_STR(FOUND("version", "9.9.9", "version:3.0.0", "version=2.0.0", "v=1.0.0"), "1.0.0");
    CHECK_STR(FOUND("version", "9.9.9", "version:3.0.0", "version=2.0.0"), "2.0.0");
    CHECK_STR(FOUND("version", "9.9.9", "version:3.0.0"), "3.0.0");
    CHECK_STR(FOUND("App_Version", "4.1", "vegetable"), "4.1.0");
    CHECK_STR(FOUND("zone", "4.1"), "");
}

TEST(what_is_no_version_is_passed_over)
{
    CHECK_STR(FOUND("version", "1.2", "v=latest"), "1.2.0");
    CHECK_STR(FOUND("version", "1.2", "version:canary", "version=stable"), "1.2.0");
    CHECK_STR(FOUND("version", "1.2", "version=", "version:3"), "3.0.0");
    CHECK_STR(FOUND("version", "latest", "version=latest"), "");
}

/* A tag that unpacks to more than any version has is none. */
TEST(a_bomb)
{
    static unsigned char text[65536], packed[1024];
    char tag[2 * sizeof(packed) + 3] = "v-";
    uLongf size = sizeof(packed);
    memset(text, '1', sizeof(text));
    CHECK_INT(compress(packed, &size, text, sizeof(text)), Z_OK);
    CHECK(size < 512);
    hash_hex(packed, size, tag + 2);
    CHECK_STR(FOUND(NULL, NULL, tag), "");
}
