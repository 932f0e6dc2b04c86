/* SPDX-License-Identifier: Apache-2.0 */

#include "store/head.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/error.h"
#include "io/file.h"
#include "store/bytes.h"

#define HEAD_MAGIC SPAN("SARSENH1")
#define HEAD_SLOT_SIZE 48u
#define HEAD_SLOT_STEP 4096u
#define HEAD_FILE_SIZE (2u * HEAD_SLOT_STEP)
#define HEAD_FILE_MODE 0640

static void slot_encode(const struct head *head, char slot[HEAD_SLOT_SIZE])
{
    struct span magic = HEAD_MAGIC;
    memcpy(slot, magic.data, magic.size);
    memcpy(slot + 8, head->id, HEAD_ID_SIZE);
    bytes_set(slot + 24, head->sequence, 8);
    bytes_set(slot + 32, (uint64_t)head->revision, 8);
    bytes_set(slot + 40, head->chain, 4);
    bytes_set(slot + 44, crc32c(0, (struct span){ slot, HEAD_SLOT_SIZE - 4 }), 4);
}

/* Takes the slot into `head` when it is whole and newer. */
static void slot_decode(struct head *head, struct span slot, bool *has_head)
{
    uint32_t crc = crc32c(0, span_first(slot, HEAD_SLOT_SIZE - 4));
    struct bytes_reader reader = { .rest = slot };
    struct span magic = bytes_take(&reader, 8);
    struct span id = bytes_take(&reader, HEAD_ID_SIZE);
    uint64_t sequence = bytes_take_number(&reader, 8);
    int64_t revision = (int64_t)bytes_take_number(&reader, 8);
    uint32_t chain = (uint32_t)bytes_take_number(&reader, 4);
    if (!span_equals(magic, HEAD_MAGIC) || bytes_take_number(&reader, 4) != crc)
        return;
    if (*has_head && sequence < head->sequence)
        return;

    memcpy(head->id, id.data, HEAD_ID_SIZE);
    head->sequence = sequence;
    head->revision = revision;
    head->chain = chain;
    *has_head = true;
}

int head_create(struct head *head, int dir_fd, const char *name)
{
    char bytes[HEAD_FILE_SIZE] = { 0 };
    head->sequence = 0;
    slot_encode(head, bytes);
    int r = file_write(dir_fd, name, (struct span){ bytes, sizeof(bytes) }, HEAD_FILE_MODE);
    if (r)
        return err_trace(r);

    head->fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);
    return head->fd < 0 ? err_origin(-errno) : 0;
}

int head_open(struct head *head, int dir_fd, const char *name)
{
    head->fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);
    if (head->fd < 0)
        return errno == ENOENT ? HEAD_ABSENT : err_origin(-errno);

    bool has_head = false;
    for (unsigned i = 0; i < 2; i++) {
        char slot[HEAD_SLOT_SIZE];
        ssize_t size = pread(head->fd, slot, sizeof(slot), (off_t)i * HEAD_SLOT_STEP);
        if (size < 0)
            return err_origin(-errno);
        if (size == (ssize_t)sizeof(slot))
            slot_decode(head, (struct span){ slot, sizeof(slot) }, &has_head);
    }
    return has_head ? 0 : HEAD_BAD;
}

void head_close(struct head *head)
{
    if (head->fd >= 0)
        close(head->fd);
    head->fd = -1;
}

int head_write(struct head *head, int64_t revision, uint32_t chain)
{
    struct head next = *head;
    next.sequence++;
    next.revision = revision;
    next.chain = chain;

    char slot[HEAD_SLOT_SIZE];
    slot_encode(&next, slot);
    ssize_t size =
        pwrite(head->fd, slot, sizeof(slot), (off_t)(next.sequence % 2) * HEAD_SLOT_STEP);
    if (size != (ssize_t)sizeof(slot))
        return err_origin(size < 0 ? -errno : -EIO);
    if (fdatasync(head->fd) < 0)
        return err_origin(-errno);

    *head = next;
    return 0;
}
