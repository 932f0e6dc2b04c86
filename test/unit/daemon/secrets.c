/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/secrets.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "check.h"
#include "io/file.h"

/* A directory of the case's own, gone from the file system as soon as it is open. */
static int open_dir(void)
{
    char path[] = "/tmp/sarsen-secrets.XXXXXX";
    CHECK(mkdtemp(path));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static void close_dir(int dir)
{
    char link[64], path[256];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    CHECK(n > 0);
    path[n] = '\0';
    unlinkat(dir, "token", 0);
    unlinkat(dir, "cookie.keys", 0);
    close(dir);
    CHECK_INT(rmdir(path), 0);
}

static void put(int dir, const char *name, const char *content)
{
    unlinkat(dir, name, 0);
    CHECK_INT(file_write(dir, name, span_of(content), 0600), 0);
}

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeffa0a1a2a3a4a5a6a7a8a9aaabacadaeaf"

TEST(secrets_are_made_once_and_stay)
{
    int dir = open_dir();
    char first[TOKEN_TEXT_SIZE + 1], again[TOKEN_TEXT_SIZE + 1];
    struct cookie_keys keys, keys_again;
    struct problem problem = { 0 };
    CHECK_INT(secrets_token(dir, first, &problem), 0);
    CHECK_INT(strlen(first), TOKEN_TEXT_SIZE);
    CHECK_INT(secrets_token(dir, again, &problem), 0);
    CHECK_STR(again, first);
    CHECK_INT(secrets_cookie_keys(dir, &keys, &problem), 0);
    CHECK_INT(keys.n_keys, 1);
    CHECK_INT(secrets_cookie_keys(dir, &keys_again, &problem), 0);
    CHECK_INT(memcmp(keys.keys[0], keys_again.keys[0], COOKIE_KEY_SIZE), 0);

    struct stat status;
    CHECK_INT(fstatat(dir, "token", &status, 0), 0);
    CHECK_INT(status.st_mode & 0777, 0600);
    CHECK_INT(fstatat(dir, "cookie.keys", &status, 0), 0);
    CHECK_INT(status.st_mode & 0777, 0600);
    close_dir(dir);
}

TEST(two_directories_have_two_tokens)
{
    int a = open_dir(), b = open_dir();
    char of_a[TOKEN_TEXT_SIZE + 1], of_b[TOKEN_TEXT_SIZE + 1];
    CHECK_INT(secrets_token(a, of_a, NULL), 0);
    CHECK_INT(secrets_token(b, of_b, NULL), 0);
    CHECK(strcmp(of_a, of_b) != 0);
    close_dir(a);
    close_dir(b);
}

TEST(a_file_that_others_can_read_is_refused)
{
    int dir = open_dir();
    char token[TOKEN_TEXT_SIZE + 1];
    struct cookie_keys keys;
    put(dir, "token", "0123456789abcdef\n");
    put(dir, "cookie.keys", KEY_A "\n");
    CHECK_INT(fchmodat(dir, "token", 0640, 0), 0);
    CHECK_INT(fchmodat(dir, "cookie.keys", 0604, 0), 0);
    struct problem problem = { 0 };
    CHECK_INT(secrets_token(dir, token, &problem), SECRETS_REFUSED);
    CHECK_STR(problem.path, "token");
    CHECK_STR(problem.text, "can be read by others (mode 0640); chmod 600 it");
    CHECK_INT(secrets_cookie_keys(dir, &keys, &problem), SECRETS_REFUSED);
    CHECK_STR(problem.path, "cookie.keys");
    close_dir(dir);
}

TEST(a_token_is_the_first_line_without_blanks)
{
    static const struct {
        const char *content;
        int r;
        const char *token;
    } table[] = {
        { "0123456789abcdef", 0, "0123456789abcdef" },
        { " 0123456789abcdef \nmore\n", 0, "0123456789abcdef" },
        { "0123456789abcdef\r\n", 0, "0123456789abcdef" },
        { "0123456789abcde", SECRETS_REFUSED, NULL },
        { "0123456789 bcdef", SECRETS_REFUSED, NULL },
        { "0123456789\tbcdef", SECRETS_REFUSED, NULL },
        { "0123456789\xc3\xa4"
          "bcdef",
          SECRETS_REFUSED, NULL },
        { "", SECRETS_REFUSED, NULL },
        { "\n0123456789abcdef\n", SECRETS_REFUSED, NULL },
        { "0123456789abcdef0123456789abcdef0123456789abcdef01234", SECRETS_REFUSED, NULL },
    };
    int dir = open_dir();
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char token[TOKEN_TEXT_SIZE + 1];
        put(dir, "token", table[i].content);
        CHECK_INT(secrets_token(dir, token, NULL), table[i].r);
        if (table[i].token)
            CHECK_STR(token, table[i].token);
    }
    close_dir(dir);
}

TEST(one_or_two_cookie_keys_are_read)
{
    static const struct {
        const char *content;
        int r;
        unsigned n_keys;
    } table[] = {
        { KEY_A, 0, 1 },
        { KEY_A "\n", 0, 1 },
        { "\n" KEY_A "\n\n" KEY_B "\n", 0, 2 },
        { KEY_A "\n" KEY_B "\n" KEY_A "\n", SECRETS_REFUSED, 0 },
        { "", SECRETS_REFUSED, 0 },
        { "\n\n", SECRETS_REFUSED, 0 },
        { KEY_A "0\n", SECRETS_REFUSED, 0 },
        { KEY_A "\nshort\n", SECRETS_REFUSED, 0 },
        { "G00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", SECRETS_REFUSED, 0 },
    };
    int dir = open_dir();
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct cookie_keys keys = { 0 };
        struct problem problem = { 0 };
        put(dir, "cookie.keys", table[i].content);
        CHECK_INT(secrets_cookie_keys(dir, &keys, &problem), table[i].r);
        CHECK_INT(keys.n_keys, table[i].n_keys);
        CHECK_STR(problem.path, table[i].r ? "cookie.keys" : "");
    }
    struct cookie_keys keys;
    put(dir, "cookie.keys", KEY_B "\n" KEY_A "\n");
    CHECK_INT(secrets_cookie_keys(dir, &keys, NULL), 0);
    CHECK_INT(keys.keys[0][0], 0xf0);
    CHECK_INT(keys.keys[1][31], 0x1f);
    close_dir(dir);
}

TEST(a_huge_file_is_refused)
{
    int dir = open_dir();
    char token[TOKEN_TEXT_SIZE + 1], huge[5001];
    memset(huge, 'x', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    put(dir, "token", huge);
    struct problem problem = { 0 };
    CHECK_INT(secrets_token(dir, token, &problem), SECRETS_REFUSED);
    CHECK_STR(problem.text, "is larger than 4096 bytes");
    close_dir(dir);
}
