/* SPDX-License-Identifier: Apache-2.0 */

#include "base/heap.h"

#include "base/mem.h"

void heap_fini(struct heap *heap)
{
    free(heap->nodes);
    *heap = (struct heap){ 0 };
}

static void heap_place(struct heap *heap, struct heap_node *node, size_t index)
{
    heap->nodes[index] = node;
    node->position = index + 1;
}

static void heap_rise(struct heap *heap, struct heap_node *node, size_t index)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (heap->nodes[parent]->at <= node->at)
            break;
        heap_place(heap, heap->nodes[parent], index);
        index = parent;
    }
    heap_place(heap, node, index);
}

static void heap_sink(struct heap *heap, struct heap_node *node, size_t index)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->n_nodes)
            break;
        if (child + 1 < heap->n_nodes && heap->nodes[child + 1]->at < heap->nodes[child]->at)
            child++;
        if (heap->nodes[child]->at >= node->at)
            break;
        heap_place(heap, heap->nodes[child], index);
        index = child;
    }
    heap_place(heap, node, index);
}

static void heap_add(struct heap *heap, struct heap_node *node, nsec at)
{
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): it is an array of pointers */
    mem_grow(heap->nodes, heap->n_nodes, heap->capacity);
    node->at = at;
    heap_rise(heap, node, heap->n_nodes++);
}

void heap_set(struct heap *heap, struct heap_node *node, nsec at)
{
    if (!heap_has(node)) {
        heap_add(heap, node, at);
        return;
    }

    bool is_earlier = at < node->at;
    node->at = at;
    if (is_earlier) {
        heap_rise(heap, node, node->position - 1);
    } else {
        heap_sink(heap, node, node->position - 1);
    }
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (!heap_has(node))
        return;

    size_t index = node->position - 1;
    struct heap_node *last = heap->nodes[--heap->n_nodes];
    node->position = 0;
    if (last == node)
        return;
    if (index > 0 && heap->nodes[(index - 1) / 2]->at > last->at) {
        heap_rise(heap, last, index);
    } else {
        heap_sink(heap, last, index);
    }
}
