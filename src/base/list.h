#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An intrusive doubly linked ring. The head is a link of its own; a link that is in no list
 * points at itself, so list_remove() may be called at any time and twice.
 *
 * Cost: all O(1), list_count() O(n).
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *list)
{
    list->next = list->prev = list;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

/* Puts the link before the head: at the end. */
static inline void list_add_last(struct list *head, struct list *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void list_add_first(struct list *head, struct list *link)
{
    list_add_last(head->next, link);
}

static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* Removes and returns the first link, NULL when there is none. */
static inline struct list *list_take_first(struct list *head)
{
    if (list_is_empty(head))
        return NULL;
    struct list *first = head->next;
    list_remove(first);
    return first;
}

/* Moves all links of `from` to the end of `to`. */
static inline void list_move_all(struct list *to, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* for (each struct list *link of the list); the body may remove `link` in the safe form. */
#define list_each(link, head)                                                                      \
    for (struct list *link = (head)->next; link != (head); link = link->next)
#define list_each_safe(link, head)                                                                 \
    for (struct list *link = (head)->next, *link##_next = link->next; link != (head);              \
         link = link##_next, link##_next = link->next)
