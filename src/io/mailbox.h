#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Mailboxes: the one way threads meet.
 *
 * Any thread posts letters, the loop that owns the mailbox receives them in the order of posting.
 * A letter is embedded in what it carries and changes owner by being posted.
 *
 * Owns:     an eventfd. Letters belong to the receiver once posted.
 * Threads:  mailbox_post() any, before mailbox_free(); the rest on the loop's thread.
 * Cost:     one system call when the mailbox was empty, none otherwise.
 */

#include "base/compiler.h"
#include "io/loop.h"

struct letter {
    struct letter *next;
};

struct mailbox;

/* on_letter owns the letter it is handed. */
typedef void (*mailbox_fn)(void *owner, struct letter *letter);

struct mailbox *mailbox_new(struct loop *loop, mailbox_fn on_letter, void *owner);

/* Letters still inside are handed to on_letter first. */
struct mailbox *mailbox_free(struct mailbox *mailbox);

void mailbox_post(struct mailbox *mailbox, struct letter *letter);
