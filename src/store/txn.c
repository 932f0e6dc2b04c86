/* SPDX-License-Identifier: Apache-2.0 */

#include <protobuf-c/protobuf-c.h>

#include "base/mem.h"
#include "store/store.h"

/*
 * Keys are looked up by walking: a transaction has a handful of operations, at most
 * STORE_TXN_OPS_MAX, and a table beside them would cost more than it saves.
 */

void txn_fini(struct txn *txn)
{
    free(txn->compares);
    free(txn->ops);
    arena_fini(&txn->arena);
    *txn = (struct txn){ .ops_max = txn->ops_max };
}

void txn_clear(struct txn *txn)
{
    txn_fini(txn);
}

void txn_expect(struct txn *txn, struct span key, int64_t mod_revision)
{
    mem_grow(txn->compares, txn->n_compares, txn->compares_capacity);
    txn->compares[txn->n_compares++] = (struct txn_compare){
        .key = arena_span_dup(&txn->arena, key),
        .mod_revision = mod_revision,
    };
}

static struct txn_op *txn_find_op(const struct txn *txn, struct span key)
{
    for (size_t i = 0; i < txn->n_ops; i++) {
        if (span_equals(txn->ops[i].key, key))
            return &txn->ops[i];
    }
    return NULL;
}

/* The operation for this key, made when it is the first. */
static struct txn_op *txn_take_op(struct txn *txn, struct span key)
{
    struct txn_op *op = txn_find_op(txn, key);
    if (op)
        return op;
    mem_grow(txn->ops, txn->n_ops, txn->ops_capacity);
    op = &txn->ops[txn->n_ops++];
    *op = (struct txn_op){ .key = arena_span_dup(&txn->arena, key) };
    return op;
}

static void txn_put_with(struct txn *txn, struct span key, struct span value, int64_t lease)
{
    struct txn_op *op = txn_take_op(txn, key);
    op->kind = TXN_PUT;
    op->lease = lease;
    op->value = arena_span_dup(&txn->arena, value);
    txn->size += op->key.size + value.size;
}

void txn_put(struct txn *txn, struct span key, struct span value)
{
    txn_put_with(txn, key, value, 0);
}

void txn_delete(struct txn *txn, struct span key)
{
    struct txn_op *op = txn_take_op(txn, key);
    op->kind = TXN_DELETE;
    op->lease = 0;
    op->value = SPAN_NULL;
}

void txn_put_leased(struct txn *txn, struct span key, struct span value,
                    const struct store_lease *lease)
{
    txn_put_with(txn, key, value, lease->id);
}

bool txn_has_room(const struct txn *txn, unsigned n)
{
    unsigned max = txn_ops_max(txn);
    return txn->n_ops + n <= max && txn->n_compares + n <= max && txn->size <= STORE_TXN_PART_SIZE;
}

struct span txn_pending(const struct txn *txn, struct span key)
{
    const struct txn_op *op = txn_find_op(txn, key);
    return op && op->kind == TXN_PUT ? op->value : SPAN_NULL;
}

struct span txn_pack(struct txn *txn, const ProtobufCMessage *record)
{
    size_t size = protobuf_c_message_get_packed_size(record);
    uint8_t *bytes = arena_alloc(&txn->arena, size + 1, 1); /* + 1: the zero record has no bytes */
    protobuf_c_message_pack(record, bytes);
    return (struct span){ (const char *)bytes, size };
}
