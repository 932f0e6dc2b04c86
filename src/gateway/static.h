#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What routes answer by themselves: static answers and redirects. Nobody is asked who the customer
 * is, so these are the same for everybody.
 *
 * Threads: the worker's.
 */

#include "gateway/request.h"

/* Answers the request by request->route, which is an answer or a redirect. */
void static_answer(struct request *request, uint32_t route);
