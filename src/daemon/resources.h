#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the machine gives this process: descriptors and memory.
 *
 * Every connection is a descriptor, so they are shared out before they run out: whoever opens one
 * for the store, the API or a listener finds it, however many clients come. Of the limit, 64 and a
 * sixteenth are kept for these. Of the rest clients may hold 55 %, for they do not all ask at the
 * same time, and connections to instances 45 %.
 *
 * Threads:  any.
 */

#include <stdint.h>

#include "gateway/settings.h"

/* Raises the soft limit of descriptors to the hard one. */
void resources_raise_descriptors(void);

/* Lowers the gateway's limits of connections to what there are descriptors for; 0 is "that many".
 */
void resources_share_descriptors(struct gateway_settings *gateway);

/* The smaller of the cgroup's limit and 80 % of the machine's memory, in bytes. */
uint64_t resources_memory(void);

/* What of the process lies in memory now, in bytes. */
uint64_t resources_resident(void);
