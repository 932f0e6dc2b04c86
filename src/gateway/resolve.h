#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What browsers ask of Sarsen itself, below /.sarsen/:
 *
 *   /.sarsen/resolve?app=shop           the customer's BOM, why, and the app's release
 *   /.sarsen/bom/<id>/importmap.json    one BOM's import map, the same for everybody, for ever;
 *                                       ?app=shop of one app, else of all its releases
 *
 * Threads: the worker's.
 */

#include "gateway/request.h"

/* Answers every path at or below /.sarsen. */
void resolve_answer(struct request *request);
