#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What two processes say to each other when one takes over from the other, over a channel at
 * takeover.sock in the data directory (docs/protocols/takeover.md):
 *
 *     new                                   old
 *      ── hello VERSION ────────────────────►
 *      ◄─ socket USE KEPT ASKED, + fds ─────   for each listener
 *      ◄─ door, + fd ───────────────────────   where the next one will ask
 *      ◄─ output, + fds ────────────────────   where its log goes
 *      ◄─ sockets ──────────────────────────
 *      ── give ─────────────────────────────►  answers who waits, closes the store
 *      ◄─ given SECONDS ────────────────────────────
 *      ── ready 1101… ──────────────────────►  which listeners go on; the old one drains
 *      ◄─ connection, usage, bom, elder ────   as long as it does
 *      ◄─ bye ──────────────────────────────
 *
 * Or, instead of any answer, ◄─ refused WHY. A message is words with a NUL behind each; what is no
 * text comes last.
 */

#include <stdio.h>

#include "base/buf.h"
#include "gateway/gateway.h"
#include "io/channel.h"

#define TAKEOVER_PROTOCOL "1"
#define TAKEOVER_FILE "takeover.sock"

/* Of sockets and connections, beside enum gateway_use. A process that does not know a use leaves its
 * sockets alone. */
#define USE_API ((unsigned)GATEWAY_USE_INTERNAL + 1)
#define USE_CONSUL (USE_API + 1)

static inline void takeover_put(struct buf *message, const char *word)
{
    buf_put(message, (struct span){ word, strlen(word) + 1 });
}

static inline void takeover_put_address(struct buf *message, const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(address, text);
    takeover_put(message, text);
}

static inline void takeover_put_number(struct buf *message, unsigned number)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", number);
    takeover_put(message, text);
}

/* A message of one word or two; `more` may be NULL. */
static inline void takeover_say(struct channel *channel, const char *word, const char *more)
{
    CLEANUP(buf_fini) struct buf message = { 0 };
    takeover_put(&message, word);
    if (more)
        takeover_put(&message, more);
    channel_send(channel, buf_span(&message), NULL, 0);
}

static inline struct span takeover_take(struct span *rest)
{
    return span_cut(rest, '\0');
}

static inline unsigned takeover_take_number(struct span *rest)
{
    uint64_t number = 0;
    return span_to_uint(takeover_take(rest), UINT32_MAX, &number) ? (unsigned)number : 0;
}

/* A client of a unix socket has no name. */
static inline struct address takeover_take_address(struct span *rest)
{
    struct address address = { .size = sizeof(sa_family_t), .any.sa_family = AF_UNIX };
    IGNORE(address_parse(takeover_take(rest), &address), "then it is one without a name");
    return address;
}
