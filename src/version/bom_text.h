#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading the canonical JSON of a BOM, in the one form we write:
 *
 *   {"builds":{"orders@3":"3.15.0"},"contracts":{"orders":3},"releases":{"shop":"4.2.0"}}
 *
 * Names and versions have no character that JSON escapes, so a backslash is refused.
 *
 * Borrows: the text. Threads: any. No allocation.
 */

#include "base/compiler.h"
#include "base/span.h"

struct bom_text {
    void *owner;
    void (*on_build)(struct bom_text *text, struct span contract, struct span build);
    void (*on_contract)(struct bom_text *text, struct span service, uint32_t major);
    void (*on_release)(struct bom_text *text, struct span app, struct span release);
};

enum bom_text_answer {
    BOM_TEXT_OK,
    BOM_TEXT_BAD,
};

/* Calls back for each member while it reads. Answers: BOM_TEXT_BAD. */
int bom_text_parse(struct bom_text *text, struct span json) MUST_CHECK;
