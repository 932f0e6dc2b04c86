#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The registry's instance, as a registration tells it: where it is, what it speaks and which build
 * it is of. What frameworks do not say, operators do by rules.
 *
 * Owns:     nothing; what is made lives in the arena. Borrows: the record and the rules.
 * Threads:  the control loop.
 */

#include "faces/consul/records.pb-c.h"
#include "faces/consul/rule.h"
#include "registry/registry.h"

/* Its health and its TTL are not looked at. */
void consul_instance_read(struct arena *arena, const Consul__ServiceRecord *record,
                          const struct consul_rules *rules, struct instance_spec *ret_spec);
