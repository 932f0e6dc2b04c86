#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Writing JSON (RFC 8259) on the request path and in canonical form; reading is jansson's, away
 * from that path.
 *
 *   json_open(&out, '{'); json_key(&out, "status"); json_uint(&out, 410); json_close(&out, '}');
 *
 * The names are none of jansson's, which some programs link too. Commas are put by the writer. No white space: with sorted keys the result is canonical
 * (RFC 8785 for the strings and integers we use).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

struct json_out {
    struct buf *buf;
    bool needs_comma;
};

void json_open(struct json_out *out, char bracket);  /* '{' or '[' */
void json_close(struct json_out *out, char bracket); /* '}' or ']' */
void json_key(struct json_out *out, struct span key);
void json_text(struct json_out *out, struct span text); /* bytes that are no UTF-8 become U+FFFD */
void json_uint(struct json_out *out, uint64_t value);
void json_int(struct json_out *out, int64_t value);
void json_bool(struct json_out *out, bool value);
void json_none(struct json_out *out);

/* A whole problem document (RFC 9457): type about:blank, title from the status. The object stays
 * open for members of the caller, who ends it with json_close(). */
void json_problem_open(struct json_out *out, unsigned status, struct span detail);
