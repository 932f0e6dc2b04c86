#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Whether the certificates, keys and authorities that settings name can be used. The daemon reads
 * them when it starts; who only checks a config file wants to know before.
 *
 * Threads: any.
 */

#include "base/error.h"
#include "daemon/settings.h"

/* Opens and reads each. Answers: SETTINGS_INVALID. */
int settings_check_files(const struct settings *settings, struct problem *problem) MUST_CHECK;
