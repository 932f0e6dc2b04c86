/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Posting pushes onto a stack with one compare-and-swap; the receiver takes the whole stack with
 * one exchange and turns it round. Only the post that finds the stack empty writes to the eventfd,
 * and the receiver never reads it: with EPOLLET every write is an event. One receiver that takes
 * everything also means that there is no ABA to guard against.
 */

#include "io/mailbox.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

struct mailbox {
    _Atomic(struct letter *) newest;
    int fd;
    mailbox_fn on_letter;
    void *owner;
    struct watch watch;
};

static void mailbox_deliver(struct mailbox *mailbox)
{
    struct letter *letter = atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire);
    struct letter *oldest = NULL;
    while (letter) {
        struct letter *next = letter->next;
        letter->next = oldest;
        oldest = letter;
        letter = next;
    }
    while (oldest) {
        struct letter *next = oldest->next;
        oldest->next = NULL;
        mailbox->on_letter(mailbox->owner, oldest);
        oldest = next;
    }
}

static void mailbox_on_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    mailbox_deliver(container_of(watch, struct mailbox, watch));
}

struct mailbox *mailbox_new(struct loop *loop, mailbox_fn on_letter, void *owner)
{
    struct mailbox *mailbox = mem_new(struct mailbox);
    mailbox->on_letter = on_letter;
    mailbox->owner = owner;
    mailbox->watch.on_ready = mailbox_on_ready;
    mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    /* Mailboxes are made at start-up only, like the loop they belong to. */
    if (mailbox->fd < 0 || watch_add(&mailbox->watch, loop, mailbox->fd, EPOLLIN))
        mem_exhausted(sizeof(*mailbox));
    return mailbox;
}

struct mailbox *mailbox_free(struct mailbox *mailbox)
{
    if (!mailbox)
        return NULL;

    watch_remove(&mailbox->watch);
    mailbox_deliver(mailbox);
    close(mailbox->fd);
    free(mailbox);
    return NULL;
}

void mailbox_post(struct mailbox *mailbox, struct letter *letter)
{
    struct letter *newest = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
    do {
        letter->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &newest, letter,
                                                    memory_order_release, memory_order_relaxed));
    if (newest)
        return;

    uint64_t one = 1;
    ssize_t n;
    do {
        n = write(mailbox->fd, &one, sizeof(one));
    } while (n < 0 && errno == EINTR);
}
