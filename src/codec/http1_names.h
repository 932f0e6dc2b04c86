#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Field names as numbers, for the parser. Private to codec.
 */

#include "base/span.h"
#include "codec/http1.h"

/* The id of a name that is known to be a token, so it is not empty. */
enum http_name http1_name_of_token(struct span token);
