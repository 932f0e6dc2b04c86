#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The record of one revision: the events of its transaction, as bytes.
 *
 *   u8 format (1) · u64 state sum · u32 events · then each event:
 *   u8 kind (1 put, 2 delete) · u16 key size · u32 value size · i64 create revision · i64 version
 *   · key · value
 *
 * All little-endian. The state sum is the sum, modulo 2^64, of record_entry_hash() of every entry
 * that is alive after this revision: with it a reader knows that the whole content is what was
 * written, whatever was compacted. The chain is the CRC-32C of the chain before, the revision and
 * the record.
 *
 * Threads: any.
 */

#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/compiler.h"
#include "store/store.h"

enum record_answer {
    RECORD_OK,
    RECORD_BAD, /* not the bytes of a record, or more than them */
};

struct record {
    uint64_t state_sum;
    const struct store_event *events;
    size_t n_events;
};

void record_encode(const struct record *record, struct buf *bytes);

/* The events borrow keys and values from `bytes`; their array lives in the arena. `revision` is
 * what their mod_revision becomes. Answers: RECORD_BAD. */
int record_decode(struct span bytes, int64_t revision, struct arena *arena,
                  struct record *ret_record) MUST_CHECK;

uint32_t record_chain(uint32_t chain, int64_t revision, struct span bytes);

uint64_t record_entry_hash(const struct store_entry *entry);
