#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A listener that is a section of its own, private to daemon/settings*.c: its own table of keys,
 * from which the reader, the reference and the schema come.
 *
 *   gateway.edge:
 *     - 127.0.0.1:8000
 *     - address: 0.0.0.0:8443
 *       tls: { certificates: [{ certificate: site.pem, key: site.key }] }
 *
 * Threads: any.
 */

#include <yaml.h>

#include "base/buf.h"
#include "base/error.h"
#include "codec/json.h"
#include "daemon/settings.h"

/* Answers: SETTINGS_INVALID. */
int settings_read_listener(struct settings *settings, yaml_document_t *document,
                           const yaml_node_t *node, struct gateway_listener *listener,
                           struct problem *problem) MUST_CHECK;

void settings_write_listeners_reference(struct buf *text);

/* What a key of listeners may be: the "anyOf" of its schema. */
void settings_write_listener_schema(struct json_out *out);
