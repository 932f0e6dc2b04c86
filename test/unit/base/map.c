/* SPDX-License-Identifier: Apache-2.0 */

#include "base/map.h"

#include "base/mem.h"
#include "check.h"

struct item {
    struct map_node node;
    int number;
    bool is_in;
    char name[16];
};

#define N_ITEMS 2000

static struct item *items_new(void)
{
    struct item *items = mem_new_array(struct item, N_ITEMS);
    for (int i = 0; i < N_ITEMS; i++) {
        items[i].number = i;
        snprintf(items[i].name, sizeof(items[i].name), "key-%d", i);
    }
    return items;
}

static void check_against(struct map *map, struct item *items)
{
    size_t n = 0;
    for (int i = 0; i < N_ITEMS; i++) {
        struct item *found = map_find_as(map, span_of(items[i].name), struct item, node);
        CHECK(found == (items[i].is_in ? &items[i] : NULL));
        n += items[i].is_in;
    }
    CHECK_INT(map->n_nodes, n);
    map_each (node, map)
        n--;
    CHECK_INT(n, 0);
}

/* Against an array of what should be in it, through growth and removals. */
TEST(adding_finding_removing)
{
    struct map map;
    struct item *items = items_new();
    unsigned random = 1;
    map_init(&map);
    CHECK(!map_find(&map, SPAN("x")));
    for (int i = 0; i < 20000; i++) {
        random = random * 1103515245 + 12345;
        struct item *item = &items[random / 65536 % N_ITEMS];
        if (item->is_in) {
            map_remove(&map, &item->node);
        } else {
            map_add(&map, &item->node, span_of(item->name));
        }
        item->is_in = !item->is_in;
        if (i % 1000 == 0)
            check_against(&map, items);
    }
    check_against(&map, items);
    map_fini(&map);
    CHECK_INT(map.n_nodes, 0);
    free(items);
}

TEST(order_of_insertion)
{
    struct map map;
    struct item *items = items_new();
    map_init(&map);
    for (int i = N_ITEMS - 1; i >= 0; i--)
        map_add(&map, &items[i].node, span_of(items[i].name));
    int want = N_ITEMS - 1;
    map_each (node, &map) {
        CHECK_INT(container_of(node, struct item, node)->number, want);
        if (want % 3)
            map_remove(&map, node);
        want--;
    }
    CHECK_INT(want, -1);
    CHECK_INT(map.n_nodes, (N_ITEMS + 2) / 3);
    map_fini(&map);
    free(items);
}

TEST(keys_are_bytes)
{
    struct map map;
    struct item a = { .number = 1 }, b = { .number = 2 }, c = { .number = 3 };
    map_init(&map);
    map_add(&map, &a.node, SPAN("a\0b"));
    map_add(&map, &b.node, SPAN("a\0c"));
    map_add(&map, &c.node, SPAN_NULL);
    CHECK(map_find(&map, SPAN("a\0c")) == &b.node);
    CHECK(map_find(&map, SPAN("")) == &c.node);
    CHECK(!map_find(&map, SPAN("a")));
    map_fini(&map);
}
