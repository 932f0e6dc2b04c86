#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Where the keys are kept, as the config file says it: what must hold of `store.etcd`, and what the
 * store takes of it.
 *
 * Threads: any; before serving, or on the control loop.
 */

#include "base/arena.h"
#include "base/compiler.h"
#include "base/error.h"
#include "daemon/settings.h"
#include "store/store.h"

/* "10.0.0.1:2379" or "https://10.0.0.1:2379", one or more with commas between them. */
bool settings_endpoints_are_valid(struct span list);

/* Answers: SETTINGS_INVALID. */
int settings_check_store(const struct settings *settings, struct problem *problem) MUST_CHECK;

/* Reads the files that it names. Text is the arena's; the caller drops ret_etcd->tls. Answers:
 * SETTINGS_INVALID. */
int settings_read_etcd(const struct settings_etcd *settings, struct arena *arena,
                       struct store_etcd_settings *ret_etcd, struct problem *problem) MUST_CHECK;

/* NULL is the same as NULL alone. */
bool settings_text_equals(const char *a, const char *b);

/* Whether both lead to the same keys in the same way. */
bool settings_etcd_equals(const struct settings_etcd *a, const struct settings_etcd *b);
