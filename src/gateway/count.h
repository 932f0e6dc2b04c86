#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How requests become usage: each that got as far as a contract is counted once, when it ends, or
 * while it runs when usage is collected before. As long as it runs, each collection says anew that
 * the contract is in use, so that none goes offline under a stream.
 *
 * Threads: the worker's.
 */

#include "gateway/request.h"

/* At the end of the request; nothing where there is no contract. */
void count_request(struct request *request, bool is_error);

/* Counts the requests that are under way, and says that what they use is in use now. */
void count_running(struct worker *worker);
