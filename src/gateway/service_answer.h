#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The head of a service's answer on its way to the client: what it says passes, and what answered,
 * by which BOM, and the cookie are added.
 *
 * Threads: the worker's.
 */

#include "gateway/request.h"

/* The lines as they go to the client. They stand in the worker's memory for lines. */
struct http1_out service_answer_lines(struct request *request, const struct http_head *head);
