/* SPDX-License-Identifier: Apache-2.0 */

#include "base/heap.h"

#include "check.h"

#define N_NODES 500

static void check_invariants(const struct heap *heap)
{
    for (size_t i = 0; i < heap->n_nodes; i++) {
        CHECK_INT(heap->nodes[i]->position, i + 1);
        if (i)
            CHECK(heap->nodes[(i - 1) / 2]->at <= heap->nodes[i]->at);
    }
}

TEST(earliest_comes_first)
{
    struct heap heap = { 0 };
    struct heap_node nodes[N_NODES] = { 0 };
    unsigned random = 7;

    CHECK(!heap_first(&heap));
    for (int i = 0; i < 20000; i++) {
        random = random * 1103515245 + 12345;
        struct heap_node *node = &nodes[random / 65536 % N_NODES];
        if (random % 7 == 0) {
            heap_remove(&heap, node);
        } else {
            heap_set(&heap, node, random / 1024 % 1000); /* adds, moves up, moves down, ties */
        }
        check_invariants(&heap);
    }
    nsec last = 0;
    size_t n = 0;
    for (size_t i = 0; i < N_NODES; i++)
        n += heap_has(&nodes[i]);
    CHECK_INT(heap.n_nodes, n);
    for (struct heap_node *node; (node = heap_first(&heap)); n--) {
        CHECK(node->at >= last);
        last = node->at;
        heap_remove(&heap, node);
        heap_remove(&heap, node);
        CHECK(!heap_has(node));
    }
    CHECK_INT(n, 0);
    heap_fini(&heap);
}
