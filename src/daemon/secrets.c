/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/secrets.h"

#include <fcntl.h>

#include "base/buf.h"
#include "base/hash.h"
#include "io/file.h"

#define SECRET_FILE_MAX 4096u
#define TOKEN_MIN 16u

static int make(int dir_fd, const char *name, struct span fresh, struct buf *bytes)
{
    int r = file_write(dir_fd, name, fresh, 0600);
    if (r)
        return err_trace(r);
    return err_fold(buf_append(bytes, fresh));
}

/* Reads the file, or makes it of `fresh`. Answers: SECRETS_REFUSED. */
static int read_or_make(int dir_fd, const char *name, struct span fresh, struct buf *bytes,
                        struct problem *problem)
{
    struct stat status;
    if (fstatat(dir_fd, name, &status, 0) == 0 && (status.st_mode & 077)) {
        problem_set(problem, name, "can be read by others (mode %04o); chmod 600 it",
                    status.st_mode & 07777);
        return SECRETS_REFUSED;
    }

    int r = file_read(dir_fd, name, bytes);
    if (r == FILE_ABSENT)
        return make(dir_fd, name, fresh, bytes);
    if (r == FILE_TOO_LARGE) {
        problem_set(problem, name, "is larger than %u bytes", SECRET_FILE_MAX);
        return SECRETS_REFUSED;
    }
    return err_trace(r);
}

/* The next line, without blanks around it and without the CR of other systems. */
static struct span cut_line(struct span *rest)
{
    struct span line = span_cut(rest, '\n');
    return span_trim(span_first(line, line.size - span_ends_with(line, SPAN("\r"))));
}

int secrets_token(int dir_fd, char ret_token[TOKEN_TEXT_SIZE + 1], struct problem *problem)
{
    unsigned char random[32];
    char text[TOKEN_TEXT_SIZE + 2];
    hash_random(random, sizeof(random));
    size_t size = hash_base32(random, sizeof(random), text);
    text[size] = '\n';

    CLEANUP(buf_fini) struct buf bytes = { .limit = SECRET_FILE_MAX };
    int r = read_or_make(dir_fd, "token", (struct span){ text, size + 1 }, &bytes, problem);
    if (r)
        return r;

    struct span rest = buf_span(&bytes), token = cut_line(&rest);
    if (token.size < TOKEN_MIN || token.size > TOKEN_TEXT_SIZE) {
        problem_set(problem, "token", "has %zu characters; %u to %u are accepted", token.size,
                    TOKEN_MIN, TOKEN_TEXT_SIZE);
        return SECRETS_REFUSED;
    }
    for (size_t i = 0; i < token.size; i++) {
        if (token.data[i] <= ' ' || token.data[i] > '~') {
            problem_set(problem, "token", "has a character that is not visible ASCII");
            return SECRETS_REFUSED;
        }
    }
    memcpy(ret_token, token.data, token.size);
    ret_token[token.size] = '\0';
    return 0;
}

static bool hex_decode(struct span text, unsigned char *bytes, size_t size)
{
    if (text.size != 2 * size)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        const char *digits = "0123456789abcdef", *at = strchr(digits, text.data[i]);
        if (!at || !text.data[i])
            return false;
        unsigned char digit = (unsigned char)(at - digits);
        bytes[i / 2] = (unsigned char)(i % 2 ? bytes[i / 2] | digit : digit << 4);
    }
    return true;
}

int secrets_read_cookie_keys(struct span text, const char *path, struct cookie_keys *ret_keys,
                             struct problem *problem)
{
    struct cookie_keys keys = { 0 };
    while (text.data) {
        struct span line = cut_line(&text);
        if (!line.size)
            continue;
        if (keys.n_keys == 2) {
            problem_set(problem, path, "has more than two keys");
            return SECRETS_REFUSED;
        }
        if (!hex_decode(line, keys.keys[keys.n_keys++], COOKIE_KEY_SIZE)) {
            problem_set(problem, path, "has a line that is not 64 hex digits");
            return SECRETS_REFUSED;
        }
    }
    if (!keys.n_keys) {
        problem_set(problem, path, "is empty; a line of 64 hex digits is accepted");
        return SECRETS_REFUSED;
    }
    *ret_keys = keys;
    return 0;
}

size_t secrets_write_cookie_keys(const struct cookie_keys *keys, char ret_text[COOKIE_KEYS_TEXT])
{
    size_t size = 0;
    for (unsigned i = 0; i < keys->n_keys; i++) {
        size += hash_hex(keys->keys[i], COOKIE_KEY_SIZE, ret_text + size);
        ret_text[size++] = '\n';
    }
    return size;
}

int secrets_cookie_keys(int dir_fd, struct cookie_keys *ret_keys, struct problem *problem)
{
    unsigned char random[COOKIE_KEY_SIZE];
    char text[2 * COOKIE_KEY_SIZE + 2];
    hash_random(random, sizeof(random));
    size_t size = hash_hex(random, sizeof(random), text);
    text[size] = '\n';

    CLEANUP(buf_fini) struct buf bytes = { .limit = SECRET_FILE_MAX };
    int r = read_or_make(dir_fd, "cookie.keys", (struct span){ text, size + 1 }, &bytes, problem);
    if (r)
        return r;

    return secrets_read_cookie_keys(buf_span(&bytes), "cookie.keys", ret_keys, problem);
}
