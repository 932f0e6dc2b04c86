#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Running copies of services: each registers somewhere, sends heartbeats to this process or that one,
 * goes in good order or just goes, and comes back. A copy that goes on must not be reaped; one that
 * has gone must be.
 */

#include "store/store.h"

void copies_begin(void);

/* An instance's record, or a process's, goes or comes. */
void copies_on_truth(const struct store_event *event);

/* In the calm: each copy is where it should be, at everyone, and no other. */
void copies_check_settled(void);
bool copies_are_settled(void);
