#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Checks that we make ourselves, private to the face: where a check's target leads, and what comes
 * of asking.
 *
 * A registration can have us connect to any address, so the host of a target must be the caller's
 * own (the address it called from or, for one on this machine, any of this machine's) or in one of
 * the setting health.networks. A name is resolved again and again, and each address held to that.
 *
 * Threads: the control loop.
 */

#include "faces/consul/service.h"

/* Holds the target to that; notes who called where it is a name. 0, or a status as consul_deny()
 * has. */
int consul_check_judge(struct consul_call *call, Consul__CheckRecord *record);

/* Asks in the check's interval, or goes on with it where it does so already. One that we do not
 * make is left alone. */
void consul_check_start(struct consul *consul, struct consul_check *check);
void consul_check_stop(struct consul_check *check);

/* status.c: what came of it. */
void consul_check_told(struct consul *consul, struct consul_check *check, enum check_status status,
                       const char *output);
