#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Apps: the shell page of the release a customer gets, and the immutable files of releases.
 *
 *   /apps/shop/                 the page, with the release's import map inlined
 *   /apps/shop                  redirected there
 *   /apps/shop/4.2.0/main.js    a file of that release, the same for everybody, for ever
 *   /apps/shop/4.9.9/main.js    no such release: 404, for a page is no script
 *   /apps/shop/orders/17        no release is called "orders": the page, whose script routes it
 *
 * Threads: the worker's.
 */

#include "gateway/request.h"

/* `rest` is the path behind "/apps/". */
void app_answer(struct request *request, struct span rest);
