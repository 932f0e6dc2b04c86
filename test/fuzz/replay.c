/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Runs a corpus through a fuzz target without libFuzzer, as an ordinary test with any compiler:
 * each file as it is, cut off after each byte, and changed in some thousand ways that are the same
 * in every run.
 *
 *   replay DIRECTORY…
 */

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "property.h"

#define N_CHANGES 2000u
#define MAX_CUTS 2048u

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void run(struct span bytes)
{
    struct span copy = copy_of(bytes);
    LLVMFuzzerTestOneInput((const uint8_t *)copy.data, copy.size);
    free_copy(copy);
}

/* One to four bytes set, left out or said twice. What follows most rules and breaks one comes of
 * it, which is where parsers go wrong. */
static void change(struct buf *buf, uint64_t *state)
{
    static const char special[] = "\r\n\t :,;%/.?#\"\\=0a\x7f\x80\xff-_+*[";
    for (uint64_t n = random_next(state) % 4 + 1; n && buf->size; n--) {
        size_t at = random_next(state) % buf->size;
        switch (random_next(state) % 4) {
        case 0: buf->data[at] = (char)random_next(state); break;
        case 1: buf->data[at] = special[random_next(state) % sizeof(special)]; break;
        case 2:
            memmove(buf->data + at, buf->data + at + 1, buf->size - at - 1);
            buf->size--;
            break;
        default:
            IGNORE(buf_reserve(buf, 1), "there is no limit");
            memmove(buf->data + at + 1, buf->data + at, buf->size - at);
            buf->size++;
        }
    }
}

static void replay(struct span bytes)
{
    run(bytes);
    for (size_t size = 0; size < bytes.size && size < MAX_CUTS; size++)
        run(span_first(bytes, size));

    uint64_t state = 88172645463325252u;
    struct buf buf = { .limit = 0 };
    for (unsigned i = 0; i < N_CHANGES; i++) {
        buf_clear(&buf);
        buf_put(&buf, bytes);
        change(&buf, &state);
        run(buf_span(&buf));
    }
    buf_fini(&buf);
}

static bool replay_file(int directory, const char *name)
{
    struct buf buf = { .limit = 1024 * 1024 };
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    bool is_read = fd >= 0 && buf_read_all(&buf, fd) == BUF_OK;
    if (is_read)
        replay(buf_span(&buf));
    if (fd >= 0)
        close(fd);
    buf_fini(&buf);
    return is_read;
}

int main(int argc, char **argv)
{
    int n = 0, failed = 0;
    for (int i = 1; i < argc; i++) {
        DIR *directory = opendir(argv[i]);
        if (!directory) {
            perror(argv[i]);
            return 1;
        }
        for (struct dirent *entry; (entry = readdir(directory));) {
            if (entry->d_name[0] == '.')
                continue;
            bool is_read = replay_file(dirfd(directory), entry->d_name);
            failed += !is_read;
            printf("%s %d - %s\n", is_read ? "ok" : "not ok", ++n, entry->d_name);
        }
        closedir(directory);
    }
    printf("1..%d\n", n);
    return failed || !n ? 1 : 0;
}
