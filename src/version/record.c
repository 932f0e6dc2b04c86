/* SPDX-License-Identifier: Apache-2.0 */

#include "version/record.h"

#include "base/mem.h"

int version_record_decode(const struct store_event *event,
                          const ProtobufCMessageDescriptor *descriptor,
                          ProtobufCMessage **ret_message)
{
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, NULL, event->entry.value.size,
                                                          (const uint8_t *)event->entry.value.data);
    if (!message)
        return err_origin(-EBADMSG);

    *ret_message = message;
    return 0;
}

ProtobufCMessage *version_record_free(ProtobufCMessage *message)
{
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
    return NULL;
}

void version_record_put(struct txn *txn, struct span key, const ProtobufCMessage *message)
{
    txn_put(txn, key, txn_pack(txn, message));
}

char *version_text(struct txn *txn, struct span text)
{
    /* The generated messages want char *, and only read it. */
    return arena_format(&txn->arena, "%.*s", SPAN_ARG(text));
}

void version_text_set(char **text, const char *value)
{
    if (*text && strcmp(*text, value) == 0)
        return;
    free(*text);
    *text = mem_strdup(value);
}
