#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The list `registration.rules` of the config file, private to daemon/settings*.c: its own table of
 * keys, from which the reader, the reference and the schema come.
 *
 * Threads: any.
 */

#include <yaml.h>

#include "base/buf.h"
#include "base/error.h"
#include "codec/json.h"
#include "daemon/settings.h"

/* Fills settings->rules. Answers: SETTINGS_INVALID. */
int settings_read_rules(struct settings *settings, yaml_document_t *document,
                        const yaml_node_t *node, struct problem *problem) MUST_CHECK;

void settings_write_rules_reference(struct buf *text);

/* The members of the list's schema. */
void settings_write_rules_schema(struct json_out *out);
