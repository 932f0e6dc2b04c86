/* SPDX-License-Identifier: Apache-2.0 */

#include "base/list.h"

#include "check.h"

struct item {
    char name;
    struct list link;
};

static const char *names(const struct list *head)
{
    static char text[16];
    size_t n = 0;
    list_each (link, head) {
        CHECK(link->next->prev == link && link->prev->next == link);
        text[n++] = container_of(link, struct item, link)->name;
    }
    text[n] = 0;
    return text;
}

TEST(order_and_removal)
{
    struct list head;
    struct item a = { .name = 'a' }, b = { .name = 'b' }, c = { .name = 'c' };
    list_init(&head);
    list_init(&a.link);
    CHECK(list_is_empty(&head));
    CHECK(!list_take_first(&head));
    list_remove(&a.link); /* in no list: nothing happens */

    list_add_last(&head, &b.link);
    list_add_last(&head, &c.link);
    list_add_first(&head, &a.link);
    CHECK_STR(names(&head), "abc");
    list_remove(&b.link);
    list_remove(&b.link);
    CHECK_STR(names(&head), "ac");
    CHECK(list_take_first(&head) == &a.link);
    CHECK(list_is_empty(&a.link));
    CHECK_STR(names(&head), "c");
}

TEST(removal_while_walking)
{
    struct list head;
    struct item items[6];
    list_init(&head);
    for (int i = 0; i < 6; i++) {
        items[i].name = (char)('a' + i);
        list_add_last(&head, &items[i].link);
    }
    list_each_safe (link, &head) {
        if (container_of(link, struct item, link)->name % 2)
            list_remove(link);
    }
    CHECK_STR(names(&head), "bdf");
}

TEST(moving_all)
{
    struct list from, to;
    struct item a = { .name = 'a' }, b = { .name = 'b' }, c = { .name = 'c' };
    list_init(&from);
    list_init(&to);
    list_move_all(&to, &from);
    CHECK(list_is_empty(&to));
    list_add_last(&to, &a.link);
    list_add_last(&from, &b.link);
    list_add_last(&from, &c.link);
    list_move_all(&to, &from);
    CHECK_STR(names(&to), "abc");
    CHECK(list_is_empty(&from));
}
