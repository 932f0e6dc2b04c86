#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Nodes of a YAML document and the sentences that refuse them, private to daemon/settings*.c.
 *
 * Borrows:  everything. Threads: any.
 */

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

#include "base/error.h"
#include "base/span.h"

/* The text of a scalar; SPAN_NULL for anything else. */
struct span yaml_text(const yaml_node_t *node);

/* YAML's "\0": the rest of the value would be lost. */
bool yaml_has_nul(const yaml_node_t *node);

/* The node's line in the file, from 1. */
size_t yaml_line(const yaml_node_t *node);

/* What a sentence says was found. */
struct span yaml_found(const yaml_node_t *node);

/* Each fills the problem, which may be NULL, and returns SETTINGS_INVALID. */
int settings_refuse(struct problem *problem, size_t line, const char *key, struct span found,
                    const char *accepts);
int settings_refuse_twice(struct problem *problem, size_t line, const char *key);
int settings_refuse_because(struct problem *problem, size_t line, const char *key, const char *why);
