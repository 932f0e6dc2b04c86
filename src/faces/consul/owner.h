#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who minds a registration in a cluster, private to the face: its deadlines and the checks that we
 * make run at the owner of its instance alone, and those of a session at the session's own.
 *
 * Threads: the control loop.
 */

#include "faces/consul/service.h"

/* Whether its instance's heartbeats come here, or we are elected and they come nowhere. */
bool consul_owns(const struct consul *consul, const struct consul_service *service);

/* Whether its deadlines and checks run here: of this node's services those that we own, of nodes the
 * one that we are. */
bool consul_minds(const struct consul *consul, const struct consul_service *service);

/* Whether it runs on another host than ours, as its instance does: see instance_is_away(). */
bool consul_is_away(const struct consul *consul, const struct consul_service *service);

/* How long it has: one whose owner is gone no less than that one's lease takes to end. */
nsec consul_patience(const struct consul *consul, const struct consul_service *service, nsec time);

/* A call was a sign of life of it: it becomes ours, where it is another's. Answers of the
 * registry. */
int consul_claim(const struct consul *consul, const struct consul_service *service, struct txn *txn)
    MUST_CHECK;

/* "service/id" of the registry may have another owner. */
void consul_owner_changed(struct consul *consul, struct span instance);

/* service.c: lets what is minded here run, and stops the rest. */
void consul_service_mind(struct consul *consul, struct consul_service *service);

/* session.c: the same for all. */
void consul_sessions_mind(struct consul *consul);
void consul_sessions_forgive(struct consul *consul);
