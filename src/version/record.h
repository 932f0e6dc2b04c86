#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Records of the version room as bytes: one decode and one put for every message of
 * records.proto, and the text fields that applying fills.
 *
 * Owns: nothing. Threads: any. A decoded message belongs to the caller.
 */

#include "base/compiler.h"
#include "base/error.h"
#include "base/span.h"
#include "store/store.h"
#include "version/records.pb-c.h"

/* A value the schema does not allow is a fault: only this room writes below its prefix. */
int version_record_decode(const struct store_event *event,
                          const ProtobufCMessageDescriptor *descriptor,
                          ProtobufCMessage **ret_message) MUST_CHECK;

ProtobufCMessage *version_record_free(ProtobufCMessage *message);
DEFINE_CLEANUP(ProtobufCMessage *, version_record_free);

void version_record_put(struct txn *txn, struct span key, const ProtobufCMessage *message);

/* Room for a key, from the transaction's arena. */
#define version_key(txn, ...) span_of(arena_format(&(txn)->arena, __VA_ARGS__))

/* A NUL-ended copy for a message under construction; it lives as long as the transaction. */
char *version_text(struct txn *txn, struct span text);

/* Replaces an owned text. */
void version_text_set(char **text, const char *value);
